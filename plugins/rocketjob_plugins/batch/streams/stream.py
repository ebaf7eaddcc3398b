"""`Stream`: how a file is packed or encrypted, as its extension says, and both ways to do it.

A plugin brings one with the hook `register_streams`. One that compresses needs two classes, such as
the standard library has; what reads a file is then safe against cut-off files and bombs::

    Stream(
        name="lz4",
        words="LZ4 data",
        magic=(b"\\x04\\x22\\x4d\\x18",),
        decompressor=lz4.frame.LZ4FrameDecompressor,
        compressor=Lz4Compressor,
    )
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import attrs

from rocketjob_plugins.batch.streams.errors import StreamError
from rocketjob_plugins.batch.streams.limits import LIMITS, Limits
from rocketjob_plugins.batch.streams.source import Reader

HEAD_BYTES = 32  # of a file, that a stream is told by
Write = Callable[[bytes], Any]
_NAME = re.compile(r"[a-z0-9_+-]+")


class Decompressor(Protocol):
    """What `bz2.BZ2Decompressor` and `lzma.LZMADecompressor` are."""

    @property
    def eof(self) -> bool:
        """Whether the packed data has ended."""
        ...

    @property
    def needs_input(self) -> bool:
        """Whether there is no more to come without further data."""
        ...

    @property
    def unused_data(self) -> bytes | None:
        """What followed the end; nothing may be None, too."""
        ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """Return at most so many bytes; raise anything for damaged data."""
        ...


class Compressor(Protocol):
    """What `bz2.BZ2Compressor` and `lzma.LZMACompressor` are."""

    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


class Layer(Protocol):
    """One layer of a writer."""

    def write(self, data: bytes, /) -> None: ...

    def finish(self) -> None:
        """Write what is left; the layers below are finished after this one."""
        ...

    def close(self) -> None:
        """Release what is held, whether it was finished or not."""
        ...


def _as_it_begins(head: bytes) -> StreamError:
    return StreamError(f"is something else: it begins with {head[:8]!r}")


@attrs.frozen(kw_only=True)
class Place:
    """Where a layer is: which file it belongs to, and what it may do.

    Attributes:
        name: the file, as messages may show it.
        file_name: the name whose extensions were taken; None for a file object.
        limits: against decompression bombs.
        outer: the streams that are undone already when this one is read, from left to right.
        recipients: whom it is to be encrypted for.
        wrong: returns the error for a file that begins otherwise than it should.
    """

    name: str
    file_name: str | None = None
    limits: Limits = LIMITS
    outer: Sequence[str] = ()
    recipients: Sequence[str] = ()
    wrong: Callable[[bytes], StreamError] = _as_it_begins


def _tuple(instance: Any, attribute: Any, value: Any) -> None:
    if not isinstance(value, tuple):
        raise ValueError(f"{attribute.name} of a stream must be a tuple, not {value!r}")


def _named(instance: Any, attribute: Any, value: Any) -> None:
    for name in (value,) if isinstance(value, str) else value:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(
                f"{attribute.name} of a stream must be lower case letters and digits, not {name!r}"
            )


def _short(instance: Any, attribute: Any, value: Any) -> None:
    for magic in value:
        if not isinstance(magic, bytes | re.Pattern):
            raise ValueError(f"magic of a stream must be bytes or patterns of them: {magic!r}")
        if isinstance(magic, bytes) and not 0 < len(magic) <= HEAD_BYTES:
            raise ValueError(f"magic of a stream must be 1 to {HEAD_BYTES} bytes: {magic!r}")


@attrs.frozen(kw_only=True)
class Stream:
    """How a file is packed or encrypted.

    Give `decompressor` and `compressor`, or what does more than that: `reader` and `writer`. A
    stream that has only one way is refused where the other one is asked for.

    Attributes:
        name: by which callers ask for it, and an extension: `gz`.
        words: what messages call such data: `gzip data`.
        extensions: further ones, without a dot.
        magic: what such files begin with, bytes or a pattern of them, of which one must match; none
            if it cannot be told.
        decompressor: makes what unpacks one packed file; several in a row are read as one.
        compressor: makes what packs a file.
        reader: puts a layer on what it reads from, given a `Place`; closing it closes that too.
        writer: puts a layer on what it writes to, given a `Place`.
        padded: zeros may follow the packed data, as on tapes.
        secret: never write a file in clear that is named so.
        replaces: it may take the place of another one of its name.

    Raises:
        ValueError: one of these is wrong.
    """

    name: str = attrs.field(validator=_named)
    words: str
    extensions: tuple[str, ...] = attrs.field(default=(), validator=[_tuple, _named])
    magic: tuple[bytes | re.Pattern[bytes], ...] = attrs.field(
        default=(), validator=[_tuple, _short]
    )
    decompressor: Callable[[], Decompressor] | None = None
    compressor: Callable[[], Compressor] | None = None
    reader: Callable[[Reader, Place], Reader] | None = None
    writer: Callable[[Write, Place], Layer] | None = None
    padded: bool = False
    secret: bool = False
    replaces: bool = False

    def __attrs_post_init__(self) -> None:
        ways = (self.decompressor, self.compressor, self.reader, self.writer)
        if not any(ways):
            raise ValueError(
                f"the stream {self.name} has no way: give a decompressor or a reader, and a "
                "compressor or a writer"
            )
        if (self.decompressor and self.reader) or (self.compressor and self.writer):
            raise ValueError(
                f"the stream {self.name} has two ways: a reader does what a decompressor does, and "
                "a writer what a compressor does"
            )

    def begins(self, head: bytes) -> bool:
        """Return whether a file that begins so is one."""
        return any(
            head.startswith(magic) if isinstance(magic, bytes) else magic.match(head)
            for magic in self.magic
        )
