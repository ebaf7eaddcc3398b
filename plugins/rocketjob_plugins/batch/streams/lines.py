"""Reading a file as lines, by the block: never more than a few hundred KiB are in memory.

Everything is done for a whole block at a time (decode, look for what is not text, split), so that
a plain file costs little more than the lines themselves.
"""

from __future__ import annotations

import codecs
import contextlib
import functools
import re
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Unpack

from rocketjob_plugins.batch.streams import content, encodings, quotes
from rocketjob_plugins.batch.streams.errors import StreamError
from rocketjob_plugins.batch.streams.file_formats import FilePlace, lines_of
from rocketjob_plugins.batch.streams.inflate import seekable
from rocketjob_plugins.batch.streams.known import wrong_content
from rocketjob_plugins.batch.streams.limits import LIMITS
from rocketjob_plugins.batch.streams.options import (
    CSV,
    Dialect,
    LineKeywords,
    ReadOptions,
    text_encoding,
)
from rocketjob_plugins.batch.streams.readers import Opened, open_layers, refuse_packed
from rocketjob_plugins.batch.streams.stream import HEAD_BYTES

BLOCK = 256 * 1024
DETECT_CHARACTERS = 100 * 64 * 1024  # within these there must be a line break
MAX_RECORD = 16 * 1024 * 1024  # characters: a store takes no larger document

_DELIMITER = re.compile(r"\r\n|\n|\r")
_UNUSED = b"\x81\x8d\x8f\x90\x9d"  # of cp1252
_CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]


class LineBlocks:
    """Lists of lines, in order; also a context manager that closes what it opened.

    Attributes:
        name: the file, for messages.
        streams: through which it is read, from left to right as in a name.
        delimiter: what separates the lines; None as long as that is not known.
        line: how many lines of the file have been read.
        format: what reads the file, where it is no text: rows are dicts, or lines as it says.
    """

    def __init__(self, opened: Opened, blocks: Callable[[LineBlocks], Iterator[list[str]]]) -> None:
        self._opened = opened
        self.name, self.streams, self.format = opened.name, opened.streams, opened.format
        self.delimiter: str | None = None
        self.line = 0
        self._blocks = self._closing(blocks(self))

    def _closing(self, blocks: Iterator[list[str]]) -> Iterator[list[str]]:
        try:
            yield from blocks
        except StreamError as error:
            after = self.line if self.line else None
            if error.file is None or (error.line is None and after):
                raise error.at(file=self.name, line=after) from error.__cause__
            raise
        finally:
            self._opened.reader.close()

    def __iter__(self) -> Iterator[list[str]]:
        return self._blocks

    def __next__(self) -> list[str]:
        return next(self._blocks)

    def __enter__(self) -> LineBlocks:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, unless it was given as a file object."""
        self._blocks.close()  # type: ignore[attr-defined]
        self._opened.reader.close()


class Lines(Iterator[str]):
    """Lines, in order; also a context manager that closes what it opened."""

    def __init__(self, blocks: LineBlocks) -> None:
        self.blocks = blocks
        self._lines = chain.from_iterable(blocks)

    def __iter__(self) -> Iterator[str]:
        return self._lines  # a loop then runs in C

    def __next__(self) -> str:
        return next(self._lines)

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, unless it was given as a file object."""
        self.blocks.close()


def open_line_blocks(source: Any, **options: Unpack[LineKeywords]) -> LineBlocks:
    """Open a file to be read as lists of lines.

    Args:
        source: a path, a URL, or a file object in binary or text mode.
        options: those of `ReadOptions`.

    Raises:
        StreamError: at once if the file cannot be opened; while reading if it is damaged, or is
            no text: with file, line and column.
    """
    return read_line_blocks(source, ReadOptions.of(**options))


def open_lines(source: Any, **options: Unpack[LineKeywords]) -> Lines:
    """Open a file to be read line by line; see `open_line_blocks`."""
    return Lines(read_line_blocks(source, ReadOptions.of(**options)))


def read_line_blocks(source: Any, options: ReadOptions) -> LineBlocks:
    """Open a file to be read as lists of lines; see `open_line_blocks`."""
    opened = open_layers(source, options.file_name, options.streams, options.limits)
    if opened.format is not None:
        return LineBlocks(opened, lambda blocks: _rows(blocks, opened, options))
    return LineBlocks(opened, lambda blocks: _Splitter(blocks, opened, options).lists())


def _rows(blocks: LineBlocks, opened: Opened, options: ReadOptions) -> Iterator[list[Any]]:
    clean, each = options.encode_cleaner, None
    if clean == "printable":
        each = functools.partial(_controls(None).sub, "")
    limits, name, outer = options.limits or LIMITS, opened.streams[0], opened.streams[1:]
    place = FilePlace(
        name=opened.name,
        limits=limits,
        outer=outer,
        wrong=lambda head: wrong_content(opened.name, name, head, outer),
        dialect=options.quoted or CSV,
        clean=each,
    )
    for block in _blocks_of(opened, options, place):
        blocks.line += len(block)
        yield list(map(clean, block)) if callable(clean) and lines_of(opened.format) else block


def _blocks_of(opened: Opened, options: ReadOptions, place: FilePlace) -> Iterator[list[Any]]:
    assert opened.format is not None
    if not hasattr(opened.format, "read"):
        raise StreamError(f"{opened.format.name} can only be written", file=opened.name)
    file, copy = seekable(opened.reader, opened.name, place.limits)
    try:
        yield from opened.format(options.format_options or {}).read(file, place)
    except (StreamError, MemoryError):
        raise
    except Exception as error:  # whatever the library of a plugin raises
        problem = f"cannot be read as {opened.format.name}: {type(error).__name__}: {error}"
        raise StreamError(problem, file=opened.name) from error
    finally:
        if copy is not None:
            copy.close()


@functools.cache
def _delimiters(dialect: Dialect | None) -> re.Pattern[str]:
    """Return what finds delimiters, and what is within quotes, where that is to be passed over."""
    if dialect is None:
        return _DELIMITER
    separator, quote = re.escape(dialect.separator), re.escape(dialect.quote)
    quoted = (
        rf"(?:\A|(?<={separator})){quote}[^{quote}]*(?:{quote}{quote}[^{quote}]*)*(?:{quote}|\Z)"
    )
    return re.compile(rf"(?P<quoted>{quoted})|{_DELIMITER.pattern}")


@functools.cache
def _controls(delimiter: str | None) -> re.Pattern[str]:
    kept = {"\t", "\r", "\n", *(delimiter or "")}
    return re.compile("[" + "".join(re.escape(c) for c in _CONTROLS if c not in kept) + "]")


class _Splitter:
    """Splits a file into lists of lines and keeps count of where it is."""

    def __init__(self, blocks: LineBlocks, opened: Opened, options: ReadOptions) -> None:
        self._state, self._opened, self._options = blocks, opened, options
        self._state.delimiter = options.delimiter
        self._is_ascii = True  # so far
        self._tail = ""  # of the block before: the beginning of a line

    def lists(self) -> Iterator[list[str]]:
        lists = self._lists()
        dialect, clean = self._options.quoted, self._options.encode_cleaner
        if dialect is not None:
            lists = quotes.join_quoted(lists, self._state, dialect, MAX_RECORD)
        return (list(map(clean, lines)) for lines in lists) if callable(clean) else lists

    def _lists(self) -> Iterator[list[str]]:
        for text in self._texts():
            if "\0" in text and not callable(self._options.encode_cleaner):
                raise self._error(
                    'a NUL byte: is this text? If it is, encode_cleaner="printable" removes it',
                    text[: text.index("\0")],
                )
            text = self._tail + text if self._tail else text
            lines = self._split(text, final=False)
            self._tail = lines.pop()
            if len(self._tail) > MAX_RECORD:
                raise StreamError(
                    f"is longer than {MAX_RECORD:,} characters: is the delimiter "
                    f"{self._state.delimiter!r} right?{self._maybe_json()}",
                    file=self._opened.name,
                    line=self._state.line + len(lines) + 1,
                )
            if lines:
                yield lines
                self._state.line += len(lines)
        lines = self._split(self._tail, final=True)
        if not lines[-1]:  # a delimiter at the end adds nothing
            lines.pop()
        self._tail = ""
        if lines:
            yield lines
            self._state.line += len(lines)

    def _split(self, text: str, final: bool) -> list[str]:
        if self._state.delimiter is None:
            self._state.delimiter = self._detect(text, final)
        return text.split(self._state.delimiter) if self._state.delimiter else [text]

    def _detect(self, text: str, final: bool) -> str | None:
        for found in _delimiters(self._options.quoted).finditer(text):
            if found.lastgroup == "quoted":
                continue
            if found[0] == "\r" and found.end() == len(text) and not final:
                return None  # a LF may follow
            return found[0]
        if len(text) > DETECT_CHARACTERS:
            raise StreamError(
                f"no line break within the first {DETECT_CHARACTERS:,} characters; for records of "
                f"another kind pass delimiter, or use open_fixed_length{self._maybe_json(text)}"
            )
        return None

    def _maybe_json(self, text: str | None = None) -> str:
        array = (self._tail if text is None else text).lstrip()[:1] == "["
        return "; is it a JSON array? One value must stand on each line then" if array else ""

    # --- text --------------------------------------------------------------------------------

    def _texts(self) -> Iterator[str]:
        texts = self._given() if self._opened.source.is_text else self._decoded()
        if self._options.encode_cleaner != "printable":
            return texts
        controls = _controls(self._options.delimiter)
        instead = " " if self._options.keep_width else ""
        return (controls.sub(instead, text) for text in texts)

    def _given(self) -> Iterator[str]:
        text = self._read_text()
        if text:
            self._check_given(text[: encodings.SAMPLE])
        text = text.removeprefix(encodings.MARK) or self._read_text()
        while text:
            yield text
            text = self._read_text()

    def _check_given(self, begin: str) -> None:
        """Look whether what was opened as text by the caller was opened in the right encoding."""
        used = getattr(self._opened.source.file, "encoding", None)
        asked = self._options.encoding
        if used and asked[:5] != "utf-8" and asked != text_encoding(used):
            raise self._not_as_text(f'in {used}, so that encoding="{asked}" does nothing')
        with contextlib.suppress(UnicodeEncodeError):  # else it was not read byte by byte
            wrong = encodings.wrong_encoding(begin.encode("latin-1"), "latin-1")
            if wrong is not None:
                raise self._not_as_text(f'and {wrong[0]}; pass encoding="{wrong[1]}" then')

    def _not_as_text(self, problem: str) -> StreamError:
        return StreamError(f"is open as text, {problem}: open it in binary", file=self._opened.name)

    def _read_text(self) -> str:
        try:
            text: str = self._opened.source.read(BLOCK)
            return text
        except UnicodeError as error:
            raise self._invalid(error) from None

    def _decoded(self) -> Iterator[str]:
        options, read = self._options, self._opened.reader.read
        decoder = codecs.getincrementaldecoder(options.encoding)(options.errors)
        first = True
        data = self._head()
        while True:
            try:
                text = decoder.decode(data, not data)
            except UnicodeError as error:
                raise self._invalid(error) from None
            self._is_ascii = self._is_ascii and text.isascii()
            if first and text:
                text, first = text.removeprefix(encodings.MARK), False
            if text:
                yield text
            if not data:
                return
            data = read(BLOCK)

    def _head(self) -> bytes:
        read = self._opened.reader.read
        data = read(BLOCK)
        while data and len(data) < HEAD_BYTES and (more := read(BLOCK)):
            data += more
        if data:
            head = data[: content.TAR_AT + len(content.TAR)]
            refuse_packed(head, self._opened.name, self._opened.streams)
            encodings.check_encoding(data, self._opened.name, self._options.encoding)
        return data

    # --- errors ------------------------------------------------------------------------------

    def _invalid(self, error: UnicodeError) -> StreamError:
        if not isinstance(error, UnicodeDecodeError):  # UTF-16 or UTF-32 without its mark
            used = self._options.encoding
            either = "" if self._opened.source.is_text else f': pass encoding="{used}-le" or "-be"'
            return self._error(f"has no byte order mark{either}")
        before = error.object[: error.start].decode(error.encoding, "replace")
        byte = error.object[error.start]
        return self._error(
            f"the byte 0x{byte:02x} is not valid {error.encoding} ({error.reason}); "
            + self._cure(error, before),
            before,
        )

    def _cure(self, error: UnicodeDecodeError, before: str) -> str:
        if self._opened.source.is_text:
            return "open it with the right encoding, or in binary and pass encoding"
        replace = 'encode_replace="?" to replace it'
        if error.encoding == "utf-8" and not (self._is_ascii and before.isascii()):
            return f"text before it is, so that the file is damaged: correct it, or pass {replace}"
        windows = error.encoding in ("utf-8", "ascii") and error.object[error.start] not in _UNUSED
        example = ', for example encoding="cp1252" for text of Windows' if windows else ""
        return f"pass the right encoding{example}, or {replace}"

    def _error(self, problem: str, before: str = "") -> StreamError:
        """Return an error at what comes after the tail and `before`."""
        text = (self._tail + before).removeprefix(encodings.MARK)
        delimiter = self._state.delimiter or self._detect_in(text)
        lines = text.split(delimiter) if delimiter else [text]
        return StreamError(
            problem,
            file=self._opened.name,
            line=self._state.line + len(lines),
            column=len(lines[-1]) + 1,
        )

    def _detect_in(self, text: str) -> str | None:
        delimiter = _DELIMITER.search(text)
        return delimiter[0] if delimiter else None
