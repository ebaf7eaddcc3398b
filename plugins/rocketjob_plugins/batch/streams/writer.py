"""Writing a file, compressed and encrypted as its name says."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any, cast

from rocketjob.base.errors import RocketJobError
from rocketjob_plugins.batch.streams.deflate import Deflate
from rocketjob_plugins.batch.streams.errors import StreamError
from rocketjob_plugins.batch.streams.file_formats import FileFormat, FilePlace
from rocketjob_plugins.batch.streams.known import (
    chosen_streams,
    file_formats,
    known_streams,
    streams_of,
)
from rocketjob_plugins.batch.streams.names import shown
from rocketjob_plugins.batch.streams.options import CSV, Dialect
from rocketjob_plugins.batch.streams.stream import Layer, Place, Stream, Write
from rocketjob_plugins.batch.streams.target import Target, open_target, rehearsed
from rocketjob_plugins.batch.streams.texts import line_of

SMALL = 64 * 1024  # what is less is gathered before it goes through the layers


class Writer:
    """Write text or bytes; as a context manager it lets the file take its place at the end.

    Attributes:
        name: the file, for messages.
        streams: through which it is written, from left to right as in a name.
    """

    def __init__(
        self, target: Target, file_name: str | None, streams: list[str], recipients: Sequence[str]
    ) -> None:
        self.name, self.streams = target.name, streams
        self._target = target
        self._layers: list[Layer] = []  # the lowest first
        self._waiting: list[bytes] = []
        self._size = 0
        self._open = True
        self._below = target.write
        try:
            for stream in reversed(streams):  # some write a header at once
                self._guard(self._add, stream, file_name, recipients)
        except BaseException:
            self.discard()
            raise

    def _add(self, stream: str, file_name: str | None, recipients: Sequence[str]) -> None:
        place = Place(name=self.name, file_name=file_name, recipients=recipients)
        layer = _layer(known_streams()[stream], self._below, place)
        self._layers.append(layer)
        self._below = layer.write

    def write(self, data: str | bytes) -> None:
        """Write text, as UTF-8, or bytes; nothing is added.

        Raises:
            StreamError: it cannot be written; what was there before is untouched.
        """
        if not self._open:
            raise StreamError("is closed", file=self.name)
        encoded = self._encode(data) if isinstance(data, str) else bytes(data)
        self._waiting.append(encoded)
        self._size += len(encoded)
        if self._size >= SMALL:
            self._flush()

    def write_lines(self, lines: Iterable[Any]) -> None:
        """Write records, each followed by one line feed, whatever it ends with."""
        lines = lines if isinstance(lines, list) else list(lines)
        if not lines:
            return
        try:
            text = "\n".join(lines)
        except TypeError:
            text = "\n".join(map(line_of, lines))
        self.write(text + "\n")

    def _encode(self, text: str) -> bytes:
        try:
            return text.encode("utf-8")
        except UnicodeEncodeError as error:
            start = text.rfind("\n", 0, error.start) + 1
            line = text[start : start + 60].partition("\n")[0]
            raise StreamError(
                f"the character {text[error.start]!r} cannot be written as UTF-8, in the line that "
                f"begins with {line!r}",
                file=self.name,
            ) from None

    def _flush(self) -> None:
        data = self._waiting[0] if len(self._waiting) == 1 else b"".join(self._waiting)
        self._waiting, self._size = [], 0
        if data:
            self._guard(self._below, data)

    def close(self) -> None:
        """Finish the file and let it take its place.

        Raises:
            StreamError: that failed; what was there before is untouched.
        """
        if not self._open:
            return
        try:
            self._flush()
            for layer in reversed(self._layers):
                self._guard(layer.finish)
            self._guard(self._target.commit)
        except BaseException:
            self.discard()
            raise
        self._open = False
        self._close_layers()

    def discard(self) -> None:
        """Throw away what was written; a file object keeps what it has got."""
        if self._open:
            self._open = False
            self._close_layers()
            self._target.discard()

    def _close_layers(self) -> None:
        for layer in reversed(self._layers):
            layer.close()

    def _guard(self, call: Any, *arguments: Any) -> None:
        try:
            call(*arguments)
        except RocketJobError as error:
            if isinstance(error, StreamError):
                raise error.at(file=self.name) from error.__cause__
            raise StreamError(str(error), file=self.name) from error
        except OSError as error:
            raise StreamError(
                f"cannot be written: {error.strerror or error}; what was there before is untouched",
                file=self.name,
            ) from error
        except MemoryError:
            raise
        except Exception as error:  # whatever the library of a plugin raises
            raise StreamError(
                f"cannot be written: {type(error).__name__}: {error}; what was there before is "
                "untouched",
                file=self.name,
            ) from error

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


def open_writer(
    target: Any,
    *,
    file_name: str | None = None,
    streams: Sequence[str] | str | None = None,
    fsync: bool = True,
    pgp_recipients: Sequence[str] = (),
    as_it_is: bool = False,
) -> Writer:
    """Open a file to be written, to be used in a `with` block.

    A path or URL is written under another name and takes its place at the end of the block; an
    error in the block leaves what was there before. A file object is written through.

    Args:
        target: a path, a URL, or a file object in binary or text mode.
        file_name: whose extensions say what the streams are; by default that of a path or URL.
        streams: instead, from left to right as in a name: `["gz", "enc"]` for `a.csv.gz.enc`.
        fsync: wait until a file is on the disk before it takes its place.
        pgp_recipients: whose keys a `.pgp` file is encrypted for: addresses or fingerprints.
        as_it_is: what is written is packed and encrypted already, as the name says.

    Raises:
        StreamError: it cannot be written, or would be in clear under a name that says otherwise.
    """
    name = file_name
    if name is None and not hasattr(target, "write"):
        name = str(target)
    chosen = [] if as_it_is else chosen_streams(name, streams)
    if not as_it_is:
        _refuse_clear(target, name, chosen, streams is None)
    if chosen and chosen[0] in file_formats():
        raise StreamError(f"{chosen[0]} is no text and has rows: write_file writes it", file=name)
    if _is_text(target):
        if chosen:
            raise StreamError(f"A text file object cannot take {chosen[-1]}: open it in binary")
        target = _TextTarget(target)
    opened, _ = open_target(target, fsync)
    return Writer(opened, name, chosen, pgp_recipients)


def write_file(
    target: Any,
    rows: Iterable[list[Any]],
    format: type[FileFormat],
    *,
    options: Mapping[str, Any] | None = None,
    dialect: Dialect = CSV,
    streams: Sequence[str] | None = None,
    pgp_recipients: Sequence[str] = (),
) -> None:
    """Write rows as a file that is no text, which appears when it is complete.

    Args:
        target: a path, a URL, or a file object in binary mode.
        rows: in blocks; dicts, or lines in a dialect where the format has these.
        format: such as the classes of `register_file_formats`.
        options: for the format.
        dialect: of lines of csv.
        streams: what the file is packed by, without the format itself; by default as it is named.
        pgp_recipients: whose keys a `.pgp` file is encrypted for.

    Raises:
        StreamError: it cannot be written; what was there before is untouched.
    """
    if not hasattr(format, "write"):
        raise StreamError(
            f"{format.name} can only be read: write another format", file=shown(str(target))
        )
    name = None if hasattr(target, "write") else str(target)
    chosen = without_format(chosen_streams(name, streams))
    with open_writer(target, streams=chosen, pgp_recipients=pgp_recipients) as writer:
        place = FilePlace(name=writer.name, file_name=name, dialect=dialect)
        try:
            format(options or {}).write(rows, cast("IO[bytes]", _Sink(writer)), place)
        except (RocketJobError, MemoryError):
            raise
        except Exception as error:  # whatever the library of a plugin raises
            problem = f"cannot be written as {format.name}: {type(error).__name__}: {error}"
            raise StreamError(problem, file=writer.name) from error


def without_format(streams: Sequence[str]) -> list[str]:
    """Return streams without the file format that may be the first of them."""
    return list(streams[1:] if streams and streams[0] in file_formats() else streams)


class _Sink(io.RawIOBase):
    """A file to write to, for libraries that ask for one."""

    def __init__(self, writer: Writer) -> None:
        self._writer, self._at = writer, 0

    def write(self, data: Any) -> int:
        content = bytes(data)
        self._writer.write(content)
        self._at += len(content)
        return len(content)

    def tell(self) -> int:
        return self._at

    def writable(self) -> bool:
        return True


def check_writer(
    target: str, *, streams: Sequence[str] | None = None, pgp_recipients: Sequence[str] = ()
) -> None:
    """Find out whether a path or URL can be written by this process, and leave it as it is.

    A folder, a library, a key or a recipient that is missing is found; of a URL not whether it may
    be written, since to open it could do something to what is there.

    Raises:
        StreamError: it cannot.
    """
    tried, chosen = rehearsed(target), chosen_streams(target, streams)
    format = file_formats().get(chosen[0]) if chosen else None
    if format is not None and hasattr(format, "library"):
        format.library()
    chosen = without_format(chosen)
    open_writer(tried, file_name=target, streams=chosen, pgp_recipients=pgp_recipients).discard()


def _refuse_clear(target: Any, name: str | None, chosen: list[str], is_default: bool) -> None:
    """Refuse to write in clear what is named as encrypted."""
    own = getattr(target, "name", None) if name is None and is_default else None
    named = name if name is not None else own
    known = known_streams()
    for stream in streams_of(named) if isinstance(named, str) else ():
        if stream in known and known[stream].secret and stream not in chosen:
            raise StreamError(
                f"is named .{stream} and would be written in clear: pass streams=[..., "
                f'"{stream}"], or another name',
                file=shown(str(named)),
            )


def _is_text(target: Any) -> bool:
    return isinstance(target, io.TextIOBase)


class _TextTarget:
    """A text file object, which gets whole characters."""

    def __init__(self, file: Any) -> None:
        import codecs  # for start-up time

        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.name = getattr(file, "name", "the file object")

    def write(self, data: memoryview) -> None:
        self._file.write(self._decoder.decode(bytes(data)))

    def flush(self) -> None:
        self._file.flush()


def _layer(stream: Stream, below: Write, place: Place) -> Layer:
    if stream.compressor is not None:
        return Deflate(below, stream.compressor())
    if stream.writer is None:
        raise StreamError(f"{stream.name} can only be read: write to another name")
    return stream.writer(below, place)
