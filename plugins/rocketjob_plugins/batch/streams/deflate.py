"""Writing compressed data: each layer packs what it is given and hands it down."""

from __future__ import annotations

import bz2
import lzma
import zipfile
import zlib
from collections.abc import Callable
from typing import IO, Any, Protocol

import zstandard

Write = Callable[[bytes], Any]


class Layer(Protocol):
    """One layer of a writer."""

    def write(self, data: bytes, /) -> None: ...

    def finish(self) -> None:
        """Write what is left; the layers below are finished after this one."""
        ...

    def close(self) -> None:
        """Release what is held, whether it was finished or not."""
        ...


def _compressor(stream: str) -> Any:
    if stream == "gz":
        return zlib.compressobj(6, wbits=31)  # no time and no name: equal content, equal file
    if stream == "bz2":
        return bz2.BZ2Compressor()
    if stream == "xz":
        return lzma.LZMACompressor()
    return zstandard.ZstdCompressor(write_checksum=True).compressobj()


class Deflate:
    """Pack as gzip, bzip2, xz or Zstandard."""

    def __init__(self, below: Write, stream: str) -> None:
        self._below = below
        self._compressor = _compressor(stream)

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
