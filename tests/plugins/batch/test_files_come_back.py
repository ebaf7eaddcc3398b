"""Whatever a record or a file is packed in: it comes back equal, or a reject or error names it."""

import enum
import importlib.util
import io
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from bson import ObjectId
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from rocketjob import Job
from rocketjob.testing import sandbox
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory
from rocketjob_plugins.batch.streams import StreamError, open_lines, open_writer
from rocketjob_plugins.encryption.keys import new_key
from rocketjob_plugins.files import ConversionJob
from support.batch import completed, rejected_numbers
from support.zones import time_zone

COLUMNS = ["id", "a", "b"]
KEY = new_key()
SPECIAL = st.sampled_from(list("\",;|\t\r\n '\0\ufeff\u2028\x85=\\_xD"))
TEXTS = st.text(st.one_of(SPECIAL, st.characters(codec="utf-8")), max_size=5)
LINES = st.one_of(TEXTS, st.sampled_from(["", " ", "a\nb", "\r", "_x000D_", "=1+1", "#N/A"]))
ZONES = st.sampled_from(
    [UTC, timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(1) / 2)]
)
TIMES = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=ZONES).map(
    lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)  # as a store keeps them
)


class Colour(enum.Enum):
    RED = "red"


SCALARS = {
    "text": TEXTS,
    "number": st.one_of(st.integers(-(2**63), 2**63 - 1), st.booleans(), st.none()),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "decimal": st.decimals(-(10**9), 10**9, places=3),
    "time": TIMES,
    "day": st.dates(),
    "duration": st.timedeltas(timedelta(-999), timedelta(999)),
    "uuid": st.uuids(),
    "id": st.binary(min_size=12, max_size=12).map(ObjectId),
    "bytes": st.binary(max_size=4),
    "set": st.sets(st.integers(0, 9), max_size=2),
    "tuple": st.tuples(st.integers(0, 9), TIMES),
}
VALUES = st.one_of(*SCALARS.values())
NESTED = st.one_of(
    VALUES,
    st.lists(VALUES, max_size=3),
    st.dictionaries(st.sampled_from(["x", "a.b", "$c"]), VALUES, max_size=2),
)
WITHOUT_TEXT = (bytes, set, frozenset)
SERIALIZERS = ["none", "compress", "zstd", "encrypt"]
few = settings(  # the same each time, and a failure is not made smaller: each opens stores
    max_examples=6,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
)


class CameBackBatchJob(Batch, Job):
    destroy_on_complete = False
    max_rejects = 1000
    output_category = OutputCategory()

    def perform(self, record):
        return record


@pytest.fixture(autouse=True, scope="module")
def elsewhere():
    """Run in a time zone that is not UTC."""
    with time_zone("Asia/Kolkata"):
        yield


def way_of_list(job, records):
    job.upload(records)


def way_of_iterator(job, records):
    job.upload(iter(records))


def way_of_writer(job, records):
    with job.upload() as writer:
        for record in records:
            writer.append(record)


def way_of_slices(job, records):
    for start in range(0, len(records), 2):
        job.upload_slice(records[start : start + 2])
    job.upload([])


WAYS = st.sampled_from([way_of_list, way_of_iterator, way_of_writer, way_of_slices])


# --- records of every type --------------------------------------------------------------------


def check_records(app, serializer, records, way):
    job = CameBackBatchJob(
        input_categories=[InputCategory(slice_size=3, serializer=serializer)],
        output_categories=[OutputCategory(serializer=serializer, nils=True)],
    )
    way(job, records)
    found = list(completed(app, job).records())
    assert found == records
    for came, was in zip(found, records, strict=True):
        assert isinstance(came, type(was))


@pytest.mark.parametrize("serializer", SERIALIZERS)
@few
@given(records=st.lists(NESTED, max_size=8), way=WAYS)
def test_records_of_every_type_come_back_by_every_way(serializer, records, way):
    with sandbox(encryption_keys=[KEY]) as app:
        check_records(app, serializer, records, way)


@settings(few, max_examples=3)
@given(records=st.lists(NESTED, max_size=6), way=WAYS)
def test_records_of_every_type_come_back_from_mongodb(mongo_url, records, way):
    with sandbox(mongo_url) as app:
        check_records(app, "compress", records, way)


def test_an_enum_is_no_record_and_its_number_is_named(rocketjob):
    with pytest.raises(StreamError, match="record 2: cannot be stored"):
        CameBackBatchJob().upload([{"c": "red"}, {"c": Colour.RED}])


# --- rows of every type -----------------------------------------------------------------------


def text_of(value):
    """Say how a value stands in a text, in this test's own words."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()  # a store keeps instants
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple):
        return f'[{value[0]},"{text_of(value[1])}"]'
    return str(value)


ROWS = st.lists(st.fixed_dictionaries({name: VALUES for name in COLUMNS}), max_size=6)


@pytest.mark.parametrize("format", ["csv", "auto"])
@few
@given(rows=ROWS, way=WAYS)
def test_rows_of_every_type_are_texts_in_csv_or_rejects(format, rows, way):
    with sandbox() as app:
        job = CameBackBatchJob(
            input_categories=[InputCategory(format="hash", slice_size=3)],
            output_categories=[OutputCategory(format=format, columns=COLUMNS)],
        )
        way(job, rows)
        gone = rejected_numbers(completed(app, job))
        assert gone == {
            number
            for number, row in enumerate(rows, 1)
            if any(isinstance(value, WITHOUT_TEXT) for value in row.values())
        }
        target = io.BytesIO()
        job.download(target)
        again = CameBackBatchJob(input_categories=[InputCategory(format="csv")])
        again.upload(io.BytesIO(target.getvalue()), encode_cleaner=lambda line: line)
        found = list(completed(app, again).records())
        right = [row for number, row in enumerate(rows, 1) if number not in gone]
        assert found == [{name: text_of(row[name]) for name in COLUMNS} for row in right]


# --- files of every kind ----------------------------------------------------------------------


def csv_lines(rows):
    quoted = [[row[name].replace('"', '""') for name in COLUMNS] for row in rows]
    return [",".join(COLUMNS), *(",".join(f'"{text}"' for text in row) for row in quoted)]


TEXT_ROWS = st.lists(st.fixed_dictionaries({name: TEXTS for name in COLUMNS}), max_size=6)


@pytest.mark.parametrize("serializer", [*SERIALIZERS, "bz2", "encrypted_bz2"])
@few
@given(
    rows=TEXT_ROWS,
    source=st.sampled_from(["gz", "zip", "bz2", "xz", "zst", "enc", "gz.enc", "zst.zip"]),
    target=st.sampled_from(["", ".gz", ".zip", ".bz2", ".xz", ".zst", ".enc", ".bz2.enc"]),
)
def test_packed_files_come_back_with_every_serializer(
    tmp_path_factory, serializer, rows, source, target
):
    folder = tmp_path_factory.mktemp("packed")
    with sandbox(encryption_keys=[KEY]) as app:
        with open_writer(folder / f"in.csv.{source}") as writer:
            writer.write_lines(csv_lines(rows))
        job = CameBackBatchJob(
            input_categories=[InputCategory(format="csv", slice_size=2)],
            output_categories=[
                OutputCategory(format="csv", columns=COLUMNS, serializer=serializer)
            ],
        )
        job.upload(folder / f"in.csv.{source}", encode_cleaner=lambda line: line)
        completed(app, job).download(folder / f"out.csv{target}")
        assert job.reject_count == 0
        again = CameBackBatchJob(input_categories=[InputCategory(format="csv")])
        again.upload(folder / f"out.csv{target}", encode_cleaner=lambda line: line)
        assert list(completed(app, again).records()) == rows


@pytest.mark.parametrize("serializer", ["compress", "bz2"])
@few
@given(texts=st.lists(LINES, max_size=8), way=WAYS)
def test_texts_without_a_format_are_the_lines_of_a_file(tmp_path_factory, serializer, texts, way):
    path = tmp_path_factory.mktemp("lines") / "out.txt"
    with sandbox() as app:
        job = CameBackBatchJob(
            input_categories=[InputCategory(slice_size=3)],
            output_categories=[OutputCategory(file_name=str(path), serializer=serializer)],
        )
        way(job, texts)
        gone = rejected_numbers(completed(app, job))
        assert gone == {n for n, text in enumerate(texts, 1) if {"\n", "\r"} & set(text)}
        job.download()
        right = [text for number, text in enumerate(texts, 1) if number not in gone]
        with open_lines(path, encode_cleaner=lambda line: line) as lines:
            found = list(lines)
        if right:  # a mark at the beginning of a file is not part of its text
            right[0] = right[0].removeprefix("\ufeff")
        assert found == right


@pytest.mark.skipif(not importlib.util.find_spec("openpyxl"), reason="openpyxl is not installed")
@few
@example(rows=[dict.fromkeys(COLUMNS, ""), dict.fromkeys(COLUMNS, "x")] * 2, packed="")
@given(rows=TEXT_ROWS, packed=st.sampled_from(["", ".gz", ".zst"]))
def test_rows_of_workbooks_come_back(tmp_path_factory, rows, packed):
    folder = tmp_path_factory.mktemp("sheets")
    with sandbox() as app:
        with open_writer(folder / "in.csv") as writer:
            writer.write_lines(csv_lines(rows))
        target = str(folder / f"out.xlsx{packed}")
        job = ConversionJob(source=str(folder / "in.csv"), target=target, max_rejects=1000)
        job.upload(encode_cleaner=lambda line: line)
        assert rejected_numbers(completed(app, job)) == set()
        again = CameBackBatchJob(input_categories=[InputCategory(format="xlsx")])
        again.upload(target, encode_cleaner=lambda line: line)
        assert list(completed(app, again).records()) == rows
