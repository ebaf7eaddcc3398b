"""A source with the layers that its streams ask for on top of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from rocketjob.base.errors import RocketJobError
from rocketjob_plugins.batch.streams.errors import StreamError
from rocketjob_plugins.batch.streams.file_formats import FileFormat
from rocketjob_plugins.batch.streams.inflate import Inflate
from rocketjob_plugins.batch.streams.known import (
    chosen_streams,
    file_formats,
    kind_of,
    known_streams,
    wrong_content,
)
from rocketjob_plugins.batch.streams.limits import LIMITS, Limits
from rocketjob_plugins.batch.streams.source import Reader, Source, open_source
from rocketjob_plugins.batch.streams.stream import Place, Stream


@attrs.define
class Opened:
    """An open source.

    Attributes:
        reader: the topmost layer.
        source: the lowest one.
        streams: what lies between, from left to right as in the name.
        format: what reads what the topmost layer gives, where that is no text.
    """

    reader: Reader
    source: Source
    streams: list[str]
    format: type[FileFormat] | None = None

    @property
    def name(self) -> str:
        return self.source.name


def open_layers(
    source: Any,
    file_name: str | None,
    streams: Sequence[str] | str | None,
    limits: Limits | None = None,
) -> Opened:
    """Open a source and put its layers on top of it.

    Raises:
        StreamError: it cannot be opened, or is not what its streams say.
    """
    if streams is not None:
        chosen_streams(None, streams)  # a misspelt one is named before anything is opened
    lowest = open_source(source, file_name)
    try:
        names = chosen_streams(lowest.file_name, streams)
        _check(names, lowest)
        format, known = file_formats().get(names[0]) if names else None, known_streams()
        reader: Reader = lowest
        for index in reversed(range(int(format is not None), len(names))):
            outer = names[index + 1 :]
            place = _place(names[index], lowest, limits or LIMITS, outer)
            reader = _layer(known[names[index]], reader, place)
        return Opened(reader, lowest, names, format)
    except BaseException as error:
        lowest.close()
        if isinstance(error, StreamError):
            raise error.at(file=lowest.name) from error.__cause__
        raise


def _check(names: list[str], source: Source) -> None:
    if source.is_text and names:
        raise StreamError(f"is open as text, so that {names[-1]} cannot be read: open it in binary")
    inside = next((name for name in names[1:] if name in file_formats()), None)
    if inside is not None:
        raise StreamError(f"{inside} must be the first of the streams: nothing can be inside it")


def _place(stream: str, source: Source, limits: Limits, outer: list[str]) -> Place:
    return Place(
        name=source.name,
        file_name=source.file_name,
        limits=limits,
        outer=outer,
        wrong=lambda head: wrong_content(source.name, stream, head, outer),
    )


def _layer(stream: Stream, below: Reader, place: Place) -> Reader:
    if stream.decompressor is not None:
        return Inflate(below, stream, place)
    if stream.reader is None:
        raise StreamError(f"{stream.name} can only be written", file=place.name)
    return _Named(stream.reader(below, place), stream, place.name)


class _Named:
    """A layer whose errors are made to name the file."""

    def __init__(self, below: Reader, stream: Stream, name: str) -> None:
        self._below, self._words, self._name = below, stream.words, name
        self.close = below.close

    def read(self, size: int) -> bytes:
        try:
            return self._below.read(size)
        except StreamError:
            raise
        except RocketJobError as error:
            raise StreamError(str(error), file=self._name) from error
        except MemoryError:
            raise
        except Exception as error:  # whatever the library of a plugin raises
            problem = f"cannot be read as {self._words}: {type(error).__name__}: {error}"
            raise StreamError(problem, file=self._name) from error


def refuse_packed(head: bytes, name: str, outer: Sequence[str] = ()) -> None:
    """Refuse what is about to be read as text and is known to be something else.

    Raises:
        StreamError: it says what it looks like.
    """
    words, stream = kind_of(head)
    if stream is not None or words.startswith(("a ", "an old")):
        raise wrong_content(name, "text", head, outer)


class BinaryFile:
    """The bytes of a file, unpacked and decrypted, as a file object to read from."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self.name, self.streams = opened.name, opened.streams

    def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes, and none only at the end; without a size, all."""
        if size is None or size < 0:
            return b"".join(iter(lambda: self._opened.reader.read(1 << 18), b""))
        return self._opened.reader.read(size) if size else b""

    def readable(self) -> bool:
        return True

    def __enter__(self) -> BinaryFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._opened.reader.close()


def open_binary(
    source: Any,
    *,
    file_name: str | None = None,
    streams: Sequence[str] | str | None = None,
    limits: Limits | None = None,
) -> BinaryFile:
    """Open the bytes of a path, URL or binary file object, unpacked and decrypted.

    Raises:
        StreamError: it cannot be opened, or is not what its streams say.
    """
    opened = open_layers(source, file_name, streams, limits)
    if opened.source.is_text or opened.format:
        opened.reader.close()
        raise StreamError("cannot be read as bytes", file=opened.name)
    return BinaryFile(opened)
