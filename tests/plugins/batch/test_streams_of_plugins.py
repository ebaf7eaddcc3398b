"""Streams that plugins bring: known by extension and by content, both ways."""

import lzma
import re

import pytest

from rocketjob import Job, hookimpl
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory
from rocketjob_plugins.batch.streams import (
    Limits,
    Stream,
    StreamError,
    open_binary,
    open_lines,
    open_writer,
    streams_of,
)
from rocketjob_plugins.batch.streams.writer import check_writer
from rocketjob_plugins.files import ConversionJob, CopyFileJob


def old_xz():
    return lzma.LZMACompressor(format=lzma.FORMAT_ALONE)


def from_old_xz():
    return lzma.LZMADecompressor(format=lzma.FORMAT_ALONE)


LZMA = Stream(
    name="lzma",
    words="LZMA data",
    extensions=("lz",),
    magic=(b"\x5d\x00\x00",),
    decompressor=from_old_xz,
    compressor=old_xz,
)


class Turned:
    """A layer for both ways, which turns the bits of each byte."""

    def __init__(self, below, place):
        self.below, self.place = below, place

    def read(self, size):
        return bytes(byte ^ 255 for byte in self.below.read(size))

    def write(self, data):
        self.below(bytes(byte ^ 255 for byte in data))

    def finish(self):
        self.below(bytes(byte ^ 255 for byte in b"."))

    def close(self):
        if hasattr(self.below, "close"):
            self.below.close()


TURNED = Stream(name="turned", words="turned data", reader=Turned, writer=Turned, secret=True)


class Bringing:
    def __init__(self, *streams):
        self.streams = streams

    @hookimpl
    def register_streams(self):
        return self.streams


class CopiedBatchJob(Batch, Job):
    destroy_on_complete = False
    output_category = OutputCategory()

    def perform(self, record):
        return record


@pytest.fixture
def packing(rocketjob):
    rocketjob.plugins.register(Bringing(LZMA, TURNED), "packing")
    return rocketjob


def test_an_extension_is_known_whatever_else_is_in_the_name(packing):
    assert streams_of("orders.csv.lzma") == ["lzma"]
    assert streams_of("https://example.com/orders.csv.LZ.gz?key=1") == ["lzma", "gz"]
    assert streams_of("orders.lzma.csv") == []


def test_without_the_plugin_it_is_no_stream(rocketjob, tmp_path):
    assert streams_of("orders.csv.lzma") == []
    with pytest.raises(StreamError, match="There is no stream lzma"):
        open_writer(tmp_path / "a", streams=["lzma"])


@pytest.mark.parametrize("name", ["a.lzma", "a.lz", "a.lzma.gz", "a.gz.lzma", "a.turned"])
def test_a_file_is_written_and_read(packing, tmp_path, name):
    with open_writer(tmp_path / name) as writer:
        writer.write_lines(map(str, range(10_000)))
    end = ["."] if name == "a.turned" else []
    assert list(open_lines(tmp_path / name)) == [*map(str, range(10_000)), *end]


def test_a_batch_job_reads_and_writes_such_files(packing, tmp_path):
    (tmp_path / "in.lzma").write_bytes(lzma.compress(b"a\nb\n", lzma.FORMAT_ALONE))
    job = CopiedBatchJob()
    assert job.upload(tmp_path / "in.lzma") == 2
    job.save()
    packing.work_off()
    assert job.reload().download(tmp_path / "out.lzma") == 2
    assert lzma.decompress((tmp_path / "out.lzma").read_bytes()) == b"a\nb\n"


def test_jobs_that_copy_and_convert_know_it(packing, tmp_path):
    (tmp_path / "a.csv").write_text("id\n1\n")
    source = str(tmp_path / "a.csv")
    CopyFileJob.create(source_url=source, target_url=str(tmp_path / "b.csv.lzma"))
    packing.work_off()
    target = str(tmp_path / "c.json.gz")
    ConversionJob.create(source=str(tmp_path / "b.csv.lzma"), target=target)
    packing.work_off()
    assert list(open_lines(target)) == ['{"id":"1"}']


def test_a_file_object_is_read_by_a_stream_that_is_given(packing, tmp_path):
    (tmp_path / "a").write_bytes(lzma.compress(b"a\n", lzma.FORMAT_ALONE))
    with open(tmp_path / "a", "rb") as file:
        assert list(open_lines(file, streams="lzma")) == ["a"]


def test_what_looks_like_it_says_how_it_can_be_read(packing, tmp_path):
    packed = lzma.compress(b"a\n", lzma.FORMAT_ALONE)
    for name, outer in (("a.csv", ""), ("b.csv.gz", "")):
        (tmp_path / name).write_bytes(packed)
        cure = re.escape(f'it looks like LZMA data; rename it, or pass streams=["lzma"{outer}]')
        with pytest.raises(StreamError, match=cure):
            list(open_lines(tmp_path / name))
    (tmp_path / "c.lzma").write_text("plain text")
    with pytest.raises(StreamError, match=r"c\.lzma: is not lzma data: it looks like plain text"):
        list(open_lines(tmp_path / "c.lzma"))
    (tmp_path / "d.lzma").write_bytes(b"")
    with pytest.raises(StreamError, match="is empty, and lzma data never is"):
        list(open_lines(tmp_path / "d.lzma"))


def test_one_that_is_cut_off_and_one_that_unpacks_to_too_much_are_refused(packing, tmp_path):
    packed = lzma.compress(b"a\n" * 100_000, lzma.FORMAT_ALONE)
    (tmp_path / "a.lzma").write_bytes(packed[:-20])
    with pytest.raises(StreamError, match=r"a\.lzma.*ends in the middle"):
        list(open_lines(tmp_path / "a.lzma"))
    (tmp_path / "b.lzma").write_bytes(packed)
    with pytest.raises(StreamError, match="unpacks to more than 1,000 bytes"):
        list(open_lines(tmp_path / "b.lzma", limits=Limits(max_bytes=1000)))


def test_a_secret_stream_is_never_left_out_by_mistake(packing, tmp_path):
    with pytest.raises(StreamError, match=r"is named \.turned and would be written in clear"):
        open_writer(tmp_path / "a.turned", streams=[])


def test_a_layer_is_told_which_file_it_belongs_to(packing, tmp_path):
    places = []

    def writer(below, place):
        places.append(place)
        return Turned(below, place)

    packing.plugins.register(Bringing(Stream(name="told", words="told data", writer=writer)))
    with open_writer(tmp_path / "a.told.gz", pgp_recipients=["ann@example.com"]):
        pass
    assert places[0].name == places[0].file_name == str(tmp_path / "a.told.gz")
    assert places[0].recipients == ["ann@example.com"]
    with pytest.raises(StreamError, match="told can only be written"):
        open_lines(tmp_path / "a.told.gz")


def test_a_stream_that_can_only_be_read_is_refused_as_a_target_before_any_work(packing, tmp_path):
    reading = Stream(name="readonly", words="odd data", reader=Turned)
    packing.plugins.register(Bringing(reading))
    with pytest.raises(StreamError, match="readonly can only be read: write to another name"):
        check_writer(str(tmp_path / "a.readonly"))
    assert list(tmp_path.iterdir()) == []


def test_what_a_library_raises_names_the_file(packing, tmp_path):
    class Failing(Turned):
        def read(self, size):
            raise RuntimeError("error -7")

        def write(self, data):
            raise RuntimeError("error -8")

    failing = Stream(name="failing", words="odd data", reader=Failing, writer=Failing)
    packing.plugins.register(Bringing(failing))
    (tmp_path / "a.failing").write_bytes(b"x")
    with (
        open_binary(tmp_path / "a.failing") as file,
        pytest.raises(StreamError, match=r"a\.failing: cannot be read as odd data: .* error -7"),
    ):
        file.read()
    with (
        pytest.raises(StreamError, match=r"a\.failing: cannot be written: .* error -8; what was"),
        open_writer(tmp_path / "a.failing") as writer,
    ):
        writer.write("y")
    assert (tmp_path / "a.failing").read_bytes() == b"x"


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        (Stream(name="gz", words="x", reader=Turned), "the stream 'gz', which is built in"),
        (
            Stream(name="mine", extensions=("zst",), words="x", reader=Turned),
            "the stream 'mine' for .zst, which is built in",
        ),
        (Stream(name="csv", words="x", reader=Turned), "the stream 'csv', which is built in"),
        (Stream(name="xlsm", words="x", reader=Turned), "the stream 'xlsm', which is built in"),
    ],
)
def test_one_of_a_built_ins_name_or_extension_is_refused_and_the_built_in_holds(
    rocketjob, stream, said
):
    before = streams_of("a.gz.zst")
    rocketjob.plugins.register(Bringing(stream))
    assert streams_of("a.gz.zst") == before
    assert said in rocketjob.plugins.problems[0]


def test_one_takes_the_place_of_a_built_in_if_it_says_so(rocketjob, tmp_path):
    own = Stream(name="gz", words="my gzip", reader=Turned, writer=Turned, replaces=True)
    rocketjob.plugins.register(Bringing(own))
    with open_writer(tmp_path / "a.gz") as writer:
        writer.write("text")
    assert (tmp_path / "a.gz").read_bytes() == bytes(byte ^ 255 for byte in b"text.")
    assert not rocketjob.plugins.problems


def test_of_two_plugins_with_one_extension_the_second_is_named(packing):
    packing.plugins.register(
        Bringing(Stream(name="other", extensions=("lz",), words="x", reader=Turned)), "late"
    )
    assert streams_of("a.lz") == ["lzma"]
    assert packing.plugins.problems == [
        "The plugin late registers the stream 'other' for .lz, which the plugin packing has too: "
        "give one of them another name (hook register_streams)"
    ]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": "a.b"}, "name of a stream must be lower case letters and digits, not 'a.b'"),
        ({"extensions": (".gz",)}, "extensions of a stream must be lower case"),
        ({"extensions": "gz"}, "extensions of a stream must be a tuple, not 'gz'"),
        ({"magic": (b"",)}, "magic of a stream must be 1 to 32 bytes"),
        ({"magic": ("text",)}, "magic of a stream must be bytes or patterns"),
        ({"reader": None}, "has no way: give a decompressor or a reader"),
        ({"decompressor": from_old_xz}, "has two ways"),
    ],
)
def test_a_stream_that_is_wrong_says_so_when_it_is_made(wrong, said):
    right = {"name": "right", "words": "right data", "reader": Turned}
    with pytest.raises(ValueError, match=re.escape(said)):
        Stream(**{**right, **wrong})


def test_a_category_may_be_read_from_and_written_to_it_by_its_own_name(packing, tmp_path):
    (tmp_path / "a.csv.lzma").write_bytes(lzma.compress(b"id\n1\n", lzma.FORMAT_ALONE))
    job = CopiedBatchJob(
        input_categories=[InputCategory(format="auto", file_name=str(tmp_path / "a.csv.lzma"))],
        output_categories=[OutputCategory(format="auto", file_name=str(tmp_path / "b.csv.lzma"))],
    )
    job.upload()
    job.save()
    packing.work_off()
    job.reload().download()
    assert list(open_lines(tmp_path / "b.csv.lzma")) == ["id", "1"]
