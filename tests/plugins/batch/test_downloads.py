"""A download is written as its name says, whatever the serializer; never in clear under another."""

import bz2
import gzip
import io
import json
import lzma
import re
import struct
import subprocess
import zipfile

import pytest

from rocketjob import Job
from rocketjob.testing import sandbox
from rocketjob_plugins.batch import Batch, OutputCategory
from rocketjob_plugins.batch.streams import StreamError, open_lines, open_writer

LINES = [f"card 4111 {number}" for number in range(5)]
SERIALIZERS = ["none", "compress", "encrypt", "bz2", "encrypted_bz2"]


class CardsJob(Batch, Job):
    destroy_on_complete = False
    slice_size = 2

    def perform(self, record):
        return record


@pytest.fixture
def keys():
    pytest.importorskip("cryptography")
    from rocketjob_plugins.encryption import keys

    with sandbox(encryption_keys=[keys.new_key("k")]) as rocketjob:
        yield rocketjob


def worked_off(rocketjob, **output):
    job = CardsJob()
    job.output_categories = [OutputCategory(**output)]
    job.upload(LINES)
    job.save()
    rocketjob.work_off()
    return job.reload()


@pytest.mark.parametrize("serializer", SERIALIZERS)
@pytest.mark.parametrize("name", ["a.txt", "a.bz2", "a.gz", "a.enc", "a.bz2.enc", "a.zst.ENC"])
def test_a_file_is_what_its_name_says(keys, tmp_path, serializer, name):
    job = worked_off(keys, serializer=serializer)
    path = tmp_path / name
    job.download(str(path))
    assert (b"4111" in path.read_bytes()) == (name == "a.txt")
    assert path.read_bytes()[:3] == {"a.bz2": b"BZh", "a.txt": b"car"}.get(
        name, b"RJF" if name.lower().endswith("enc") else b"\x1f\x8b\x08"
    )
    with open_lines(str(path)) as lines:
        assert list(lines) == LINES


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_streams_that_are_given_are_done(keys, serializer):
    job = worked_off(keys, serializer=serializer)
    for given in ([], ["bz2"], ["gz"], ["bz2", "enc"]):
        file = io.BytesIO()
        job.download(file, streams=given)
        file.seek(0)
        with open_lines(file, streams=given) as lines:
            assert list(lines) == LINES


@pytest.mark.parametrize("serializer", ["compress", "bz2", "encrypted_bz2"])
def test_a_header_is_written_whatever_the_serializer(keys, tmp_path, serializer):
    job = worked_off(keys, serializer=serializer, format="csv", columns=["card"], nils=True)
    job.download(str(tmp_path / "a.csv.bz2"), header_line="card")
    assert bz2.decompress((tmp_path / "a.csv.bz2").read_bytes()).startswith(b"card\n")


def test_an_output_without_records_is_an_empty_file_of_its_kind(keys, tmp_path):
    job = CardsJob()
    job.output_categories = [OutputCategory(serializer="bz2")]
    job.upload([])
    job.save()
    keys.work_off()
    job.reload().download(str(tmp_path / "a.bz2"))
    assert list(open_lines(str(tmp_path / "a.bz2"))) == []


@pytest.mark.parametrize("serializer", ["compress", "bz2"])
@pytest.mark.parametrize("name", ["a.enc", "a.csv.PGP", "a.gz.gpg"])
def test_a_name_that_says_encrypted_is_never_written_in_clear(
    rocketjob, tmp_path, serializer, name
):
    job = worked_off(rocketjob, serializer=serializer)
    path = tmp_path / name
    for given in ([], ["gz"], ["bz2"]):
        with pytest.raises(StreamError, match=r"is named \.\w+ and would be written in clear"):
            job.download(str(path), streams=given)
    assert not path.exists()
    with (
        open(path, "wb") as file,
        pytest.raises(StreamError, match="would be written in clear"),
    ):
        job.download(file)
    assert path.read_bytes() == b""


# --- PGP --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gpg(tmp_path_factory):
    import shutil

    if shutil.which("gpg") is None:
        pytest.skip("gpg is not installed")
    home = tmp_path_factory.mktemp("gnupg")
    home.chmod(0o700)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GNUPGHOME", str(home))
        make = ["gpg", "--batch", "--passphrase", "", "--quick-gen-key"]
        subprocess.run([*make, "Ba Ann <ba@example.com>"], check=True, capture_output=True)
        yield home
        subprocess.run(["gpgconf", "--kill", "gpg-agent"], check=False)


def fingerprint():
    told = subprocess.run(
        ["gpg", "--with-colons", "-K"], check=True, capture_output=True, text=True
    )
    return next(line.split(":")[9] for line in told.stdout.splitlines() if line[:4] == "fpr:")


def test_a_recipient_is_one_key(gpg, tmp_path):
    key = fingerprint()
    path = tmp_path / "a.txt.pgp"
    for recipients in (
        ["ba@example.com"],
        "ba@example.com",
        ["<ba@example.com>"],
        ["Ba Ann <ba@example.com>"],
        [key],
        [f"0x{key}"],
        [key[-16:]],
    ):
        with open_writer(path, pgp_recipients=recipients) as writer:
            writer.write_lines(["secret"])
        assert b"secret" not in path.read_bytes()
        assert list(open_lines(path)) == ["secret"]


@pytest.mark.parametrize(
    "recipient",
    [
        "a@example.com",
        "example",
        "Ba Ann",
        "@example.com",
        "ba@example",
        "*",
        "",
        "Ann <ba@example.com>",
    ],
)
def test_a_part_of_a_name_is_no_recipient(gpg, tmp_path, recipient):
    with (
        pytest.raises(StreamError, match=r"not a recipient that means one key|gpg cannot encrypt"),
        open_writer(tmp_path / "a.pgp", pgp_recipients=[recipient]) as writer,
    ):
        writer.write_lines(["for another"])
    assert not (tmp_path / "a.pgp").exists()


@pytest.mark.parametrize("armor", [["--armor"], []])
def test_a_pgp_message_is_recognised(gpg, tmp_path, armor):
    command = ["gpg", "--batch", "--trust-model=always", *armor, "-r", "ba@example.com", "-e"]
    data = subprocess.run(command, input=b"id\n1\n", check=True, capture_output=True).stdout
    (tmp_path / "a.csv").write_bytes(data)
    for encoding in ("utf-8", "cp1252"):
        with pytest.raises(StreamError, match=r'looks like a PGP message.*streams=\["pgp"\]'):
            list(open_lines(tmp_path / "a.csv", encoding=encoding))
    assert list(open_lines(tmp_path / "a.csv", streams=["pgp"])) == ["id", "1"]
    assert list(open_lines(io.BytesIO(data), file_name="a.csv.gpg")) == ["id", "1"]


# --- frames that only note something ----------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 7, 64 * 1024])
def test_frames_of_zstandard_that_only_note_something_are_passed_over(monkeypatch, chunk):
    zstandard = pytest.importorskip("zstandard")
    monkeypatch.setattr("rocketjob_plugins.batch.streams.inflate.CHUNK", chunk)
    pack = zstandard.ZstdCompressor().compress
    skip = struct.pack("<II", 0x184D2A50, 4) + b"abcd"
    long = struct.pack("<II", 0x184D2A5F, 300) + b"\x28\xb5\x2f\xfd" * 75
    none = struct.pack("<II", 0x184D2A51, 0)
    data = skip + pack(b"1\n") + long + none + pack(b"2\n") + skip
    assert list(open_lines(io.BytesIO(data), streams=["zst"])) == ["1", "2"]
    for cut in (data[:5], data[:10]):
        with pytest.raises(StreamError, match="ends in the middle"):
            list(open_lines(io.BytesIO(cut), streams=["zst"]))
    with pytest.raises(StreamError, match=r'Zstandard data; .*streams=\["zst"\]'):
        list(open_lines(io.BytesIO(data)))


# --- what is within archives ------------------------------------------------------------------


def zipped(data):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x", data)
    return file.getvalue()


PACK = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zip": zipped}


@pytest.mark.parametrize("name", ["", "gz", "zip", "bz2", "gz.zip", "xz.gz"])
@pytest.mark.parametrize("inner", [*PACK, ""])
def test_the_streams_that_are_advised_read_the_file(name, inner):
    """Unless the outermost is wrong, for then nobody knows what is within."""
    said = name.split(".") if name else []
    real = ([inner] if inner else []) + said[1:]
    data = b"id\n1\n"
    for stream in real:
        data = PACK[stream](data)
    if real == said:
        return
    for _ in range(3):
        try:
            assert list(open_lines(io.BytesIO(data), streams=said)) == ["id", "1"]
            return
        except StreamError as error:
            said = json.loads(re.search(r"pass streams=(\[.*?\])", str(error))[1])
    raise AssertionError(f"the advice does not help: {said}")


def test_what_is_twice_packed_is_named_with_both():
    with pytest.raises(StreamError, match=r'streams=\["gz", "zip"\]'):
        list(open_lines(io.BytesIO(zipped(gzip.compress(b"id\n"))), file_name="a.csv.zip"))
    with pytest.raises(StreamError, match=r'\["xlsx", "gz"\] for a workbook'):
        list(open_lines(io.BytesIO(gzip.compress(zipped(b"id\n"))), file_name="a.csv.gz"))
