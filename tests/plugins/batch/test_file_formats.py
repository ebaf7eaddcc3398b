"""Formats that plugins bring, of lines and of files: by name and by extension, both ways."""

import pickle
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from rocketjob import Job, hookimpl
from rocketjob.base.errors import ConfigurationError
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory
from rocketjob_plugins.batch.outcome import rejects
from rocketjob_plugins.batch.streams import (
    StreamError,
    open_lines,
    open_writer,
    streams_of,
    write_file,
)
from rocketjob_plugins.batch.tabular import Csv
from rocketjob_plugins.files import ConversionJob, CopyFileJob


class Tabs:
    name, extensions, has_header = "tabs", ("tbs",), True

    def __init__(self, options):
        pass

    def parse(self, line):
        return line.split("\t")

    def parse_many(self, lines):
        return [self.parse(line) for line in lines]

    def render(self, row):
        return "\t".join(map(str, row))


class Pickled:
    """Files of pickled rows, behind a magic number: no text, and with types."""

    name, extensions = "pickled", ("pkl",)
    blocks = []

    def __init__(self, options):
        if wrong := set(options) - {"protocol"}:
            raise StreamError(f"the format pickled has no option {wrong.pop()!r}; it has protocol")
        self.protocol = options.get("protocol")

    def read(self, file, place):
        if file.read(4) != b"PKLD":
            file.seek(0)
            raise place.wrong(file.read(32))
        block = []
        while True:
            try:
                block.append(pickle.load(file))
            except EOFError:
                break
            if len(block) == 2:
                yield block
                block = []
        yield block

    def write(self, rows, file, place):
        file.write(b"PKLD")
        for block in rows:
            self.blocks.append(len(block))
            for row in block:
                if "unwritable" in row.values():
                    raise StreamError("holds what this format cannot", column="name")
                file.write(pickle.dumps(row, self.protocol))
        assert file.tell() > 4 or not self.blocks


class Scroll:
    """Files of lines of csv, turned."""

    name, extensions, as_lines = "scroll", (), "csv"

    def __init__(self, options):
        pass

    def read(self, file, place):
        for line in file.read().split(b"\xff"):
            yield [line[::-1].decode()]

    def write(self, rows, file, place):
        file.write(b"\xff".join(line.encode()[::-1] for block in rows for line in block))


class Plain:
    """Has no further extensions, and does not say so."""

    name = "plain"

    def __init__(self, options):
        pass

    def read(self, file, place):
        yield [{"text": file.read().decode()}]


class Bringing:
    def __init__(self, *formats):
        self.formats = formats

    @hookimpl
    def register_file_formats(self):
        return self.formats


ROWS = [
    {"id": 1, "amount": Decimal("1.10"), "at": datetime(2026, 1, 2, tzinfo=UTC), "raw": b"\0"},
    {"id": 2, "amount": Decimal("2.20"), "at": None, "raw": b""},
    {"id": 3, "amount": Decimal("3.30"), "at": None, "raw": b"x"},
]


class PickledBatchJob(Batch, Job):
    destroy_on_complete = False
    max_rejects = 5
    input_category = InputCategory(format="pickled", slice_size=2)
    output_category = OutputCategory(format="pickled")

    def perform(self, row):
        if row["id"] == 3:
            raise ValueError("not this one")
        return {**row, "twice": row["amount"] * 2}


class AnyFileBatchJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(format="auto", slice_size=2)
    output_category = OutputCategory(format="auto")

    def perform(self, row):
        return row


@pytest.fixture
def bringing(rocketjob, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Pickled.blocks = []
    rocketjob.plugins.register(Bringing(Tabs, Pickled, Scroll), "bringing")
    return rocketjob


@pytest.fixture
def pickled(tmp_path):
    def make(name="a.pkl", rows=ROWS):
        (tmp_path / name).write_bytes(b"PKLD" + b"".join(map(pickle.dumps, rows)))
        return tmp_path / name

    return make


def unpickled(path):
    with open(path, "rb") as file:
        return [row for block in Pickled({}).read(file, None) for row in block]


def performed(rocketjob, job, source, **options):
    job.upload(source, **options)
    job.save()
    rocketjob.work_off()
    return job.reload()


# --- of lines ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.tabs", "a.tbs", "a.TBS", "a.tabs.gz"])
def test_auto_finds_a_format_of_lines_by_its_extensions_both_ways(bringing, tmp_path, name):
    with open_writer(tmp_path / name) as writer:
        writer.write_lines(["id\tname", "1\tann"])
    job = performed(bringing, AnyFileBatchJob(), tmp_path / name)
    assert job.input_category_for().columns == ["id", "name"]
    assert job.download(tmp_path / f"out.{name[2:]}") == 1
    assert list(open_lines(tmp_path / f"out.{name[2:]}")) == ["id\tname", "1\tann"]
    assert job.download(tmp_path / "out.json") == 1
    assert (tmp_path / "out.json").read_text() == '{"id":"1","name":"ann"}\n'


def test_lines_of_another_format_are_not_written_under_its_extension(bringing, tmp_path):
    (tmp_path / "a.csv").write_text("id\n1\n")
    job = AnyFileBatchJob(output_categories=[OutputCategory(format="csv")])
    performed(bringing, job, tmp_path / "a.csv")
    with pytest.raises(StreamError, match=r"is named \.tbs, and it is written as csv: name it"):
        job.download(tmp_path / "out.tbs")
    job.output_category_for().format = "tabs"
    with pytest.raises(StreamError, match=r"is named \.csv, and it is written as tabs: .* \.tbs"):
        job.download(tmp_path / "out.csv")


def test_a_conversion_job_knows_it(bringing, tmp_path):
    (tmp_path / "a.csv").write_text("id,name\n1,ann\n")
    ConversionJob.create(source="a.csv", target="b.tbs")
    bringing.work_off()
    ConversionJob.create(source="b.tbs", target="c.psv")
    bringing.work_off()
    assert (tmp_path / "c.psv").read_text() == "id|name\n1|ann\n"


# --- of files ---------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", ["", ".gz", ".zip"])
def test_rows_keep_their_types_from_file_to_file(bringing, pickled, tmp_path, packed):
    write_file(f"in.pickled{packed}", [ROWS[:2], ROWS[2:]], Pickled)
    job = performed(bringing, PickledBatchJob(), tmp_path / f"in.pickled{packed}")
    assert job.is_completed
    assert job.download(f"out.pkl{packed}") == 2
    with open_lines(f"out.pkl{packed}") as rows:
        assert list(rows) == [{**row, "twice": row["amount"] * 2} for row in ROWS[:2]]
    assert [record for _, record, _ in rejects.each(job)] == ROWS[2:]


def test_a_file_is_what_its_category_says_however_it_is_called(bringing, pickled):
    job = performed(bringing, PickledBatchJob(), pickled("data.bin"))
    assert (job.is_completed, job.record_count) == (True, 3)
    with pytest.raises(StreamError, match=r"a\.csv: is not pickled data: it looks like plain text"):
        (pickled("a.csv")).write_text("id\n1\n")
        PickledBatchJob().upload("a.csv")


def test_auto_finds_it_by_its_extension_and_a_file_object_by_a_name(bringing, pickled):
    job = performed(bringing, AnyFileBatchJob(), pickled(rows=[{"id": 1, "name": "ann"}]))
    assert job.download("b.csv") == 1
    assert Path("b.csv").read_text() == "id,name\n1,ann\n"
    assert job.download("b.pkl") == 1
    assert unpickled("b.pkl") == [{"id": 1, "name": "ann"}]
    with open(pickled(), "rb") as file:
        again = AnyFileBatchJob()
        assert again.upload(file, file_name="x.pkl") == 3


def test_one_without_further_extensions_is_found_by_its_name(bringing, tmp_path):
    bringing.plugins.register(Bringing(Plain), "plain")
    (tmp_path / "a.plain").write_text("hello")
    job = performed(bringing, AnyFileBatchJob(), "a.plain")
    assert list(job.records()) == [{"text": "hello"}]
    assert streams_of("a.csv.gz") == ["gz"]


def test_a_conversion_job_reads_and_writes_it(bringing, pickled):
    pickled(rows=[{"id": 1, "name": "ann"}])
    ConversionJob.create(source="a.pkl", target="b.csv.gz")
    bringing.work_off()
    job = ConversionJob.create(source="b.csv.gz", target="c.pickled")
    bringing.work_off()
    assert job.reload().is_completed, job.exception
    assert unpickled("c.pickled") == [{"id": "1", "name": "ann"}]


def test_rows_are_written_as_they_come_and_not_all_at_once(bringing, pickled):
    rows = [{"id": 10 * number, "amount": Decimal(1)} for number in range(1, 8)]
    job = performed(bringing, PickledBatchJob(), pickled(rows=rows))
    assert job.download("out.pkl") == 7
    assert Pickled.blocks == [2, 2, 2, 1]
    job = performed(bringing, AnyFileBatchJob(), pickled(rows=[{"id": n} for n in range(2500)]))
    Pickled.blocks.clear()
    assert job.download("out.pkl") == 2500
    assert Pickled.blocks == [1000, 1000, 500]


def test_a_row_that_it_cannot_hold_leaves_what_was_there(bringing, pickled, tmp_path):
    (tmp_path / "out.pkl").write_text("before")
    rows = [{"id": 1, "amount": Decimal(1), "name": "unwritable"}]
    job = performed(bringing, PickledBatchJob(), pickled(rows=rows))
    with pytest.raises(StreamError, match="column name: holds what this format cannot"):
        job.download("out.pkl")
    assert (tmp_path / "out.pkl").read_text() == "before"


def test_a_row_that_is_none_is_a_reject_and_an_error_names_the_record(bringing, pickled):
    class NotDictJob(PickledBatchJob):
        def perform(self, row):
            return row if row["id"] == 1 else [1, 2]

    job = performed(bringing, NotDictJob(), pickled())
    assert job.download("out.pkl") == 1
    said = [error for _, _, error in rejects.each(job)]
    assert "record 2: a row of pickled must be a dict, not list" in said[0]


def test_a_line_in_its_input_is_a_reject_that_says_so(bringing):
    job = performed(bringing, PickledBatchJob(), ["text", ROWS[0]])
    assert job.is_completed
    assert ["is not a row of pickled: str" in error for _, _, error in rejects.each(job)] == [True]


def test_the_options_are_checked_before_anything_is_done(bringing):
    options = {"protocl": 4}
    category = OutputCategory(format="pickled", format_options=options)
    job = PickledBatchJob(output_categories=[category])
    assert not job.is_valid()
    assert "the format pickled has no option 'protocl'; it has" in str(job.errors)


@pytest.mark.parametrize(
    ("category", "target", "said"),
    [
        ({"format": "pickled"}, "out.csv", r"is named .csv, and it is written as pickled: .* .pkl"),
        ({"format": "csv"}, "out.pkl", r"is named .pickled, and it is written as csv: name it"),
        ({}, "out.pkl", "cannot be pickled: the output has no format, and so no rows: set the"),
        ({}, "out.xlsx", "cannot be xlsx: the output has no format, and so no rows: set the"),
        ({"format": "json"}, "out.xlsx", "cannot be xlsx: the output has rows of json: set the"),
        ({"format": "csv", "serializer": "bz2"}, "out.xlsx", "the output is lines already"),
    ],
)
def test_a_target_of_another_kind_is_refused_with_what_to_do(bringing, category, target, said):
    job = AnyFileBatchJob(output_categories=[OutputCategory(**category)])
    Path("a.csv").write_text("id\n1\n")
    if category.get("format") == "pickled":
        job = PickledBatchJob(output_categories=[OutputCategory(**category)])
        job.upload([ROWS[0]])
    else:
        job.upload("a.csv")
    job.save()
    bringing.work_off()
    assert job.reload().is_completed, job.exception
    with pytest.raises(StreamError, match=said):
        job.download(target)


def test_a_file_of_another_format_than_the_category_is_refused(bringing, pickled):
    job = AnyFileBatchJob(input_categories=[InputCategory(format="csv")])
    with pytest.raises(StreamError, match="is a pickled file, which cannot be read as csv: use"):
        job.upload(pickled())
    with pytest.raises(ValueError, match="header_line is given, and pickled has no header line"):
        performed(bringing, PickledBatchJob(), [ROWS[0]]).download("a.pkl", header_line="id")


def test_it_is_the_innermost_part_of_a_file(bringing, pickled):
    assert streams_of("a.pkl.gz") == ["pickled", "gz"]
    with pytest.raises(StreamError, match="pickled must be the first of the streams: nothing can"):
        open_lines(pickled("a"), streams=["gz", "pickled"])


def test_what_a_library_raises_names_the_file(bringing, pickled):
    class Failing(Pickled):
        name, extensions = "failing", ()

        def read(self, file, place):
            yield [ROWS[0]]
            raise KeyError("page 7")

        def write(self, rows, file, place):
            raise KeyError("page 8")

    bringing.plugins.register(Bringing(Failing))
    pickled("a.failing")
    job = PickledBatchJob(input_categories=[InputCategory(format="failing")])
    with pytest.raises(StreamError, match=r"a\.failing.*: cannot be read as failing: .*page 7"):
        job.upload("a.failing")
    assert job.input.count() == 0
    job = performed(bringing, PickledBatchJob(), [ROWS[0]])
    job.output_category_for().format = "failing"
    with pytest.raises(StreamError, match=r"b\.failing: cannot be written as failing: .*page 8"):
        job.download("b.failing")


def test_one_way_only_is_refused_the_other_way(bringing, pickled):
    class Half:
        extensions = ()

        def __init__(self, options):
            pass

    class Reading(Half):
        name = "reading"

        def read(self, file, place):
            yield []

    class Writing(Half):
        name = "writing"

        def write(self, rows, file, place):
            list(rows)

    bringing.plugins.register(Bringing(Reading, Writing))
    with pytest.raises(StreamError, match="reading can only be read: write another format"):
        write_file("a.reading", [], Reading)
    pickled("a.writing")
    with open_lines("a.writing") as rows, pytest.raises(StreamError, match="can only be written"):
        list(rows)


def test_a_library_that_is_missing_is_found_before_the_work(bringing, tmp_path):
    class Needy(Pickled):
        name, extensions = "needy", ()

        @staticmethod
        def library():
            raise StreamError("needy needs a library: pip install it")

    bringing.plugins.register(Bringing(Needy))
    (tmp_path / "a.csv").write_text("id\n1\n")
    job = ConversionJob.create(source="a.csv", target="b.needy")
    bringing.work_off()
    assert "pip install it" in job.reload().exception.message
    assert job.record_count is None


def test_a_copy_to_text_says_that_it_must_be_converted(bringing, pickled):
    pickled()
    job = CopyFileJob(source_url="a.pkl", target_url="b.txt", retry_limit=0)
    job.save()
    bringing.work_off()
    assert "is pickled, which is no text: convert it by a ConversionJob" in str(
        job.reload().exception.message
    )
    job = CopyFileJob.create(source_url="a.pkl", target_url="c.pkl")
    bringing.work_off()
    assert unpickled("c.pkl") == ROWS


# --- of files that are made of lines ------------------------------------------------------------


def test_one_that_gives_lines_is_read_and_written_like_a_workbook(bringing, tmp_path):
    (tmp_path / "a.scroll").write_bytes(b"eman,di\xffnna,1")
    job = performed(bringing, AnyFileBatchJob(), "a.scroll")
    assert job.input_category_for().columns == ["id", "name"]
    assert job.download("b.scroll") == 1
    assert (tmp_path / "b.scroll").read_bytes() == b"eman,di\xffnna,1"
    named = AnyFileBatchJob(output_categories=[OutputCategory(format="scroll")])
    assert performed(bringing, named, "a.scroll").download("c.scroll.gz") == 1
    assert list(open_lines("c.scroll.gz")) == ["id,name", "1,ann"]


def test_a_workbook_is_written_by_a_download_too(bringing, tmp_path):
    pytest.importorskip("openpyxl")
    (tmp_path / "a.csv").write_text('id,name\n1,"a,b"\n')
    for format in ("auto", "csv", "xlsx"):
        job = AnyFileBatchJob(output_categories=[OutputCategory(format=format)])
        performed(bringing, job, "a.csv")
        assert job.download(f"{format}.xlsx.gz") == 1
        assert list(open_lines(f"{format}.xlsx.gz")) == ["id,name", '1,"a,b"']


# --- whose name it is -----------------------------------------------------------------------------


class Hasty(Csv):
    name = "csv"


class Greedy(Pickled):
    name, extensions = "greedy", ("xlsx",)


class Packing(Pickled):
    name, extensions = "packing", ("gz",)


@pytest.mark.parametrize(
    ("format", "said"),
    [
        (Hasty, "the file format 'csv', which is built in"),
        (Greedy, "the file format 'greedy' for .xlsx, which is built in"),
        (Packing, "the file format 'packing' for .gz, which is built in"),
    ],
)
def test_one_of_a_built_ins_name_or_extension_is_refused(rocketjob, format, said):
    before = streams_of("a.xlsx.gz")
    rocketjob.plugins.register(Bringing(format))
    assert streams_of("a.xlsx.gz") == before
    assert re.search(re.escape(said), rocketjob.plugins.problems[0])


def test_one_takes_the_place_of_a_built_in_if_it_says_so(rocketjob, pickled):
    class Own(Pickled):
        name, extensions, replaces = "xlsx", ("xlsm",), True

    rocketjob.plugins.register(Bringing(Own))
    job = performed(rocketjob, AnyFileBatchJob(), pickled("a.xlsx", [{"id": 1}]))
    assert list(job.records()) == [{"id": 1}]
    assert not rocketjob.plugins.problems


def test_of_two_plugins_with_one_extension_the_second_is_named(bringing, tmp_path):
    class Late(Pickled):
        name, extensions = "late", ("pkl",)

    bringing.plugins.register(Bringing(Late), "late")
    assert streams_of("a.pkl") == ["pickled"]
    assert bringing.plugins.problems == [
        "The plugin late registers the file format 'late' for .pkl, which the plugin bringing has "
        "too: give one of them another name (hook register_file_formats)"
    ]


def test_no_plugin_is_asked_while_a_class_is_made_since_it_may_be_in_one_of_them(monkeypatch):
    monkeypatch.setattr("rocketjob_plugins.batch.registered.current", lambda: pytest.fail("asked"))
    for format in ("auto", "csv", "xlsx", "pickled"):
        category = OutputCategory(format=format, columns=["a"], file_name="a.xlsx.lzma")
        type("UnaskedFileJob", (AnyFileBatchJob,), {"output_category": category})
    wrong = OutputCategory(format="csv", file_name="a.json.gz")
    with pytest.raises(ConfigurationError, match=r"is named \.json, and it is written as csv"):
        type("UnaskedFileJob", (AnyFileBatchJob,), {"output_category": wrong})
