"""Reading compressed data: gzip, bzip2, xz, Zstandard and zip, against truncation and bombs."""

from __future__ import annotations

import tempfile
import zipfile
import zlib
from typing import IO

import zstandard

from rocketjob_plugins.batch.streams import content
from rocketjob_plugins.batch.streams.errors import StreamError
from rocketjob_plugins.batch.streams.limits import Limits
from rocketjob_plugins.batch.streams.source import Reader, Source
from rocketjob_plugins.batch.streams.stream import HEAD_BYTES, Decompressor, Place, Stream

CHUNK = 64 * 1024  # compressed bytes that are read at once
XZ_MEMORY = 256 * 1024 * 1024  # `xz -9` needs 65 MB; a file may ask for 4 GB
ZSTD_WINDOW = 128 * 1024 * 1024
CUT_OFF = "ends in the middle: it was cut off, or is still being written; fetch it again"
DAMAGED = "is damaged or was cut off: fetch it again"
HUNGRY = "takes too much memory to be unpacked: pack it with a lower level or smaller window"
MOST_IDLE = 10_000  # calls that neither take nor give anything
ZSTD_PIECE = 1024  # unpacks to 32 MB at worst, and the library has no limit itself


class Gunzip:
    """Unpacks gzip."""

    def __init__(self) -> None:
        self._object = zlib.decompressobj(wbits=31)  # 31: with gzip's header and checksum
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._object.eof

    @property
    def unused_data(self) -> bytes:
        return self._object.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        tail = self._object.unconsumed_tail
        content = self._object.decompress(tail + data if tail else data, max_length)
        # A full answer may have more behind it, though no input is left over.
        self.needs_input = not self._object.unconsumed_tail and len(content) < max_length
        return content


class _Unzstd:
    def __init__(self) -> None:
        self._object = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW).decompressobj()
        self._waiting = memoryview(b"")
        self.eof = False
        self.unused_data = b""

    @property
    def needs_input(self) -> bool:
        return not self._waiting

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if data:
            self._waiting = memoryview(data)
        piece, self._waiting = self._waiting[:ZSTD_PIECE], self._waiting[ZSTD_PIECE:]
        content: bytes = self._object.decompress(piece)
        if self._object.eof:
            self.eof = True
            self.unused_data = self._object.unused_data + bytes(self._waiting)
        return content


class _Skip:
    """A frame of Zstandard that only notes something, as parallel and seekable tools write them."""

    needs_input = True

    def __init__(self) -> None:
        self._head = b""
        self._left: int | None = None  # unknown before all of the head is there
        self.eof = False
        self.unused_data = b""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if self._left is None:
            self._head += data
            if len(self._head) < 8:
                return b""
            self._left = int.from_bytes(self._head[4:8], "little")
            data = self._head[8:]
        self.eof = len(data) >= self._left
        if self.eof:
            self.unused_data = data[self._left :]
        self._left -= min(len(data), self._left)
        return b""


class ZstdDecompressor:
    """Unpacks a frame of Zstandard, or passes over one that only notes something."""

    def __init__(self) -> None:
        self._frame: _Unzstd | _Skip | None = None

    @property
    def eof(self) -> bool:
        return self._frame is not None and self._frame.eof

    @property
    def needs_input(self) -> bool:
        return self._frame is None or self._frame.needs_input

    @property
    def unused_data(self) -> bytes:
        return b"" if self._frame is None else self._frame.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if self._frame is None:  # the first data is enough to tell
            self._frame = _Skip() if content.SKIPPED.match(data) else _Unzstd()
        return self._frame.decompress(data, max_length)


class Inflate:
    """Unpack a stream of one of the kinds; several packed files in a row are read as one."""

    def __init__(self, below: Reader, stream: Stream, place: Place) -> None:
        assert stream.decompressor is not None
        self._below, self._stream, self._place = below, stream, place
        self._make = stream.decompressor
        self._waiting = b""
        self._done = False
        self._packed = self._unpacked = self._idle = 0
        self._decompressor: Decompressor | None = None

    def read(self, size: int) -> bytes:
        while not self._done:
            if self._decompressor is None or self._decompressor.eof:
                self._begin()
            elif data := self._unpack(self._decompressor, size):
                return data
        return b""

    def _unpack(self, decompressor: Decompressor, size: int) -> bytes:
        data = b""
        if decompressor.needs_input:
            data, self._waiting = self._waiting or self._more(), b""
            if not data:
                raise self._error(CUT_OFF)
        try:
            found = decompressor.decompress(data, size)
        except StreamError:
            raise
        except MemoryError:
            raise
        except Exception as error:  # each library has its own, with its own wording
            hungry = "memory" in str(error).lower()
            raise self._error(HUNGRY if hungry else DAMAGED) from None
        # A library of a plugin that never goes on would keep its thread for ever.
        self._idle = 0 if found or data else self._idle + 1
        if self._idle > MOST_IDLE:
            raise self._error(DAMAGED)
        self._unpacked += len(found)
        self._place.limits.check(self._place.name, self._packed, self._unpacked)
        return found

    def _begin(self) -> None:
        """Start the first packed file, or the next one if there is another."""
        first = self._decompressor is None
        head = self._head(
            b"" if self._decompressor is None else self._decompressor.unused_data or b""
        )
        if not head and not first:
            self._done = True
            return
        if self._stream.magic and not self._stream.begins(head):
            if not first:
                raise self._error(
                    f"is damaged: something else follows the {self._stream.words}; fetch it again"
                )
            raise self._place.wrong(head)
        if first and not head:
            raise self._place.wrong(head)
        self._decompressor, self._waiting = self._make(), head

    def _head(self, rest: bytes) -> bytes:
        """Return what comes next, enough to tell what it is; nothing only at the end."""
        padded = self._stream.padded and self._decompressor is not None
        while True:
            rest = rest.lstrip(b"\0") if padded else rest
            if len(rest) >= HEAD_BYTES:
                return rest
            data = self._more()
            if not data:
                return rest
            rest += data

    def _more(self) -> bytes:
        data = self._below.read(CHUNK)
        self._packed += len(data)
        return data

    def _error(self, problem: str) -> StreamError:
        return StreamError(problem, file=self._place.name)

    def close(self) -> None:
        self._below.close()


# --- zip -------------------------------------------------------------------------------------


class Unzip:
    """Read the one file in a zip archive. Its name is never used as a path."""

    def __init__(self, below: Reader, place: Place) -> None:
        self._below, self._place, self._name = below, place, place.name
        self._copy: IO[bytes] | None = None
        try:
            self._member = self._open(place.limits)
        except BaseException:
            self.close()
            raise

    def _open(self, limits: Limits) -> IO[bytes]:
        file, self._copy = seekable(self._below, self._name, limits)
        head = file.read(HEAD_BYTES)
        file.seek(0)
        if not head.startswith(content.ZIPS):
            raise self._place.wrong(head)
        try:
            archive = zipfile.ZipFile(file)
            return archive.open(self._only_file(archive, limits))
        except zipfile.BadZipFile:
            raise StreamError(DAMAGED, file=self._name) from None
        except (RuntimeError, NotImplementedError) as error:  # a password; an exotic method
            raise StreamError(
                "has a password, or is packed in a way that is not supported: pack it without",
                file=self._name,
            ) from error

    def _only_file(self, archive: zipfile.ZipFile, limits: Limits) -> zipfile.ZipInfo:
        files = [
            entry
            for entry in archive.infolist()
            if not entry.is_dir()
            and not entry.filename.startswith("__MACOSX/")  # notes of the Finder
        ]
        if len(files) != 1:
            names = ", ".join(repr(entry.filename) for entry in files[:10]) or "none"
            more = f" and {len(files) - 10} more" if len(files) > 10 else ""
            raise StreamError(
                f"must contain one file and contains {len(files)}: {names}{more}; pack the file "
                "that is meant alone",
                file=self._name,
            )
        member = files[0]
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise StreamError(
                "is packed in a way that is not supported: pack it as deflated", file=self._name
            )
        # No more than this size is ever unpacked: zipfile stops there, and checks the sum.
        limits.check(self._name, member.compress_size, member.file_size)
        return member

    def read(self, size: int) -> bytes:
        try:
            return self._member.read(size)
        except (zipfile.BadZipFile, zlib.error, EOFError):
            raise StreamError(DAMAGED, file=self._name) from None

    def close(self) -> None:
        if self._copy is not None:
            self._copy.close()
        self._below.close()


def seekable(below: Reader, name: str, limits: Limits) -> tuple[IO[bytes], IO[bytes] | None]:
    """Return a file that one can move about in, and the temporary copy that was made for it."""
    if isinstance(below, Source) and (file := below.seekable_file()) is not None:
        return file, None
    copy = tempfile.TemporaryFile()  # noqa: SIM115 (closed by the reader)
    try:
        while data := below.read(CHUNK):
            copy.write(data)
            if copy.tell() > limits.max_bytes:
                limits.check(name, copy.tell(), copy.tell())
    except BaseException:
        copy.close()
        raise
    copy.seek(0)
    return copy, copy
