"""The streams that are built in."""

from __future__ import annotations

import bz2
import lzma

from rocketjob_plugins.batch.streams import content
from rocketjob_plugins.batch.streams.deflate import Zip, gzip_compressor, zstd_compressor
from rocketjob_plugins.batch.streams.inflate import Gunzip, Unzip, ZstdDecompressor
from rocketjob_plugins.batch.streams.names import base_name
from rocketjob_plugins.batch.streams.source import Reader
from rocketjob_plugins.batch.streams.stream import Decompressor, Layer, Place, Stream, Write

XZ_MEMORY = 256 * 1024 * 1024  # `xz -9` needs 65 MB; a file may ask for 4 GB


def _unxz() -> Decompressor:
    return lzma.LZMADecompressor(memlimit=XZ_MEMORY)


def _zip(below: Write, place: Place) -> Layer:
    return Zip(below, _member(place.file_name))


def _member(file_name: str | None) -> str:
    """Return how the one file of a zip archive is called: as the archive, without .zip."""
    name = base_name(file_name or "") or "data"
    stem, _, extension = name.rpartition(".")
    name = stem if stem and extension.lower() in ("zip", "enc", "pgp", "gpg") else name
    return name.removesuffix(".zip")


def _decrypt(below: Reader, place: Place) -> Reader:
    from rocketjob_plugins.encryption.files import DecryptingReader  # optional: rocketjob[crypto]

    return DecryptingReader(below.read, below.close, place.name)


def _encrypt(below: Write, place: Place) -> Layer:
    from rocketjob_plugins.encryption.files import EncryptingWriter  # optional: rocketjob[crypto]

    return EncryptingWriter(below, place.name)


def _from_pgp(below: Reader, place: Place) -> Reader:
    from rocketjob_plugins.batch.streams.pgp import Decrypt  # for start-up time

    return Decrypt(below, place.name)


def _to_pgp(below: Write, place: Place) -> Layer:
    from rocketjob_plugins.batch.streams.pgp import Encrypt  # for start-up time

    return Encrypt(below, place.name, place.recipients)


BUILT_IN = (
    Stream(
        name="gz",
        words="gzip data",
        extensions=("gzip",),
        magic=(content.GZIP,),
        decompressor=Gunzip,
        compressor=gzip_compressor,
        padded=True,
    ),
    Stream(
        name="bz2",
        words="bzip2 data",
        magic=(content.BZIP2,),
        decompressor=bz2.BZ2Decompressor,
        compressor=bz2.BZ2Compressor,
    ),
    Stream(
        name="xz",
        words="xz data",
        magic=(content.XZ,),
        decompressor=_unxz,
        compressor=lzma.LZMACompressor,
        padded=True,
    ),
    Stream(
        name="zst",
        words="Zstandard data",
        extensions=("zstd",),
        magic=(content.ZSTD, content.SKIPPED),
        decompressor=ZstdDecompressor,
        compressor=zstd_compressor,
    ),
    Stream(
        name="zip",
        words="a zip archive or Excel workbook",
        magic=content.ZIPS,
        reader=Unzip,
        writer=_zip,
    ),
    Stream(
        name="enc",
        words="a file encrypted by RocketJob",
        magic=(content.ENC + b"\x01",),
        reader=_decrypt,
        writer=_encrypt,
        secret=True,
    ),
    Stream(
        name="pgp",
        words="a PGP message",
        extensions=("gpg",),
        magic=(b"-----BEGIN PGP MESSAGE", content.PGP),
        reader=_from_pgp,
        writer=_to_pgp,
        secret=True,
    ),
)
