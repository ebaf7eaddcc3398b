"""Writing compressed data: each layer packs what it is given and hands it down."""

from __future__ import annotations

import zipfile
import zlib
from typing import IO, Any

import zstandard

from rocketjob_plugins.batch.streams.stream import Compressor, Write


def gzip_compressor() -> Compressor:
    """Return what packs as gzip, without time and name: equal content, equal file."""
    return zlib.compressobj(6, wbits=31)


def zstd_compressor() -> Compressor:
    """Return what packs as Zstandard, with a checksum."""
    return zstandard.ZstdCompressor(write_checksum=True).compressobj()


class Deflate:
    """Pack with a compressor."""

    def __init__(self, below: Write, compressor: Compressor) -> None:
        self._below = below
        self._compressor = compressor

    def write(self, data: bytes) -> None:
        if packed := self._compressor.compress(data):
            self._below(packed)

    def finish(self) -> None:
        self._below(self._compressor.flush())

    def close(self) -> None:
        pass


class _Target:
    """A file that `zipfile` can write to and not move about in."""

    def __init__(self, below: Write) -> None:
        self._below = below
        self.is_closed = False

    def write(self, data: bytes) -> int:
        if not self.is_closed:
            self._below(bytes(data))
        return len(data)

    def flush(self) -> None:
        pass


class Zip:
    """Pack as the one file of a zip archive."""

    def __init__(self, below: Write, member: str) -> None:
        self._target = _Target(below)
        target: Any = self._target
        self._archive = zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED)
        info = zipfile.ZipInfo(member)  # of 1980: equal content, equal file
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = 0o644 << 16
        try:
            self._member: IO[bytes] = self._archive.open(info, "w", force_zip64=True)
        except BaseException:
            self._target.is_closed = True  # else the archive writes its index when it is collected
            raise

    def write(self, data: bytes) -> None:
        self._member.write(data)

    def finish(self) -> None:
        self._member.close()
        self._archive.close()

    def close(self) -> None:
        # Closing writes the index, which nobody needs of a file that is thrown away.
        self._target.is_closed = True
        self._member.close()
        self._archive.close()
