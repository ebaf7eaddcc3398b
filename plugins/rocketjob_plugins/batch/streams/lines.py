"""Reading a file as lines, by the block: never more than a few hundred KiB are in memory.

Everything is done for a whole block at a time (decode, look for what is no text, split), so that
a plain file costs little more than the lines themselves.
"""

from __future__ import annotations

import codecs
import functools
import re
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Unpack

from rocketjob_plugins.batch.streams import content, quotes, xlsx
from rocketjob_plugins.batch.streams.errors import StreamError
from rocketjob_plugins.batch.streams.inflate import LIMITS
from rocketjob_plugins.batch.streams.options import LineKeywords, ReadOptions
from rocketjob_plugins.batch.streams.readers import Opened, open_layers, refuse_packed

BLOCK = 256 * 1024
DETECT_CHARACTERS = 100 * 64 * 1024  # within these there must be a line break
MAX_RECORD = 16 * 1024 * 1024  # characters: a store takes no larger document

_DELIMITER = re.compile(r"\r\n|\n|\r")
_CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]


class LineBlocks:
    """Lists of lines, in order; also a context manager that closes what it opened.

    Attributes:
        name: the file, for messages.
        streams: through which it is read, from left to right as in a name.
        delimiter: what separates the lines; None as long as that is not known.
        line: how many lines of the file have been read.
    """

    def __init__(self, opened: Opened, blocks: Callable[[LineBlocks], Iterator[list[str]]]) -> None:
        self._opened = opened
        self.name, self.streams = opened.name, opened.streams
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
    if opened.workbook:
        return LineBlocks(opened, lambda blocks: _rows(blocks, opened, options))
    return LineBlocks(opened, lambda blocks: _Splitter(blocks, opened, options).lists())


def _rows(blocks: LineBlocks, opened: Opened, options: ReadOptions) -> Iterator[list[str]]:
    sheet, limits = options.format_options, options.limits or LIMITS
    for block in xlsx.row_blocks(opened.reader, opened.name, sheet, limits):
        blocks.line += len(block)
        yield block


@functools.cache
def _delimiters(separator: str | None) -> re.Pattern[str]:
    """Return what finds delimiters, and what is within quotes, where that is to be passed over."""
    if separator is None:
        return _DELIMITER
    begins = rf"(?:\A|(?<={re.escape(separator)}))"
    return re.compile(rf'{begins}"[^"]*(?:""[^"]*)*(?:"|\Z)|{_DELIMITER.pattern}')


@functools.cache
def _controls(delimiter: str | None) -> re.Pattern[str]:
    kept = {"\t", "\r", "\n", *(delimiter or "")}
    return re.compile("[" + "".join(re.escape(c) for c in _CONTROLS if c not in kept) + "]")


class _Splitter:
    """Splits a file into lists of lines and keeps count of where it is."""

    def __init__(self, blocks: LineBlocks, opened: Opened, options: ReadOptions) -> None:
        self._state, self._opened, self._options = blocks, opened, options
        self._separator = options.quoted.separator if options.quoted else None
        self._state.delimiter = options.delimiter
        self._tail = ""  # of the block before: the beginning of a line

    def lists(self) -> Iterator[list[str]]:
        lists = self._lists()
        if self._separator is not None:
            lists = quotes.join_quoted(lists, self._state, self._separator, MAX_RECORD)
        clean = self._options.encode_cleaner
        return (list(map(clean, lines)) for lines in lists) if callable(clean) else lists

    def _lists(self) -> Iterator[list[str]]:
        for text in self._texts():
            if "\0" in text:
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
                    f"{self._state.delimiter!r} right?",
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
        for found in _delimiters(self._separator).finditer(text):
            if found[0][0] == '"':
                continue
            if found[0] == "\r" and found.end() == len(text) and not final:
                return None  # a LF may follow
            return found[0]
        if len(text) > DETECT_CHARACTERS:
            raise StreamError(
                f"no line break within the first {DETECT_CHARACTERS:,} characters; for records of "
                "another kind pass delimiter, or use open_fixed_length"
            )
        return None

    # --- text --------------------------------------------------------------------------------

    def _texts(self) -> Iterator[str]:
        texts = self._given() if self._opened.source.is_text else self._decoded()
        if self._options.encode_cleaner != "printable":
            return texts
        controls = _controls(self._options.delimiter)
        return (controls.sub("", text) for text in texts)

    def _given(self) -> Iterator[str]:
        while text := self._read_text():
            yield text

    def _read_text(self) -> str:
        try:
            text: str = self._opened.source.read(BLOCK)
            return text
        except UnicodeDecodeError as error:
            raise self._invalid(error) from None

    def _decoded(self) -> Iterator[str]:
        options, read = self._options, self._opened.reader.read
        decoder = codecs.getincrementaldecoder(options.encoding)(options.errors)
        first = True
        while True:
            data = self._head() if first else read(BLOCK)
            try:
                text = decoder.decode(data, not data)
            except UnicodeDecodeError as error:
                raise self._invalid(error) from None
            if first and options.encoding == "utf-8":
                text = text.removeprefix("\ufeff")
            first = False
            if text:
                yield text
            if not data:
                return

    def _head(self) -> bytes:
        read = self._opened.reader.read
        data = read(BLOCK)
        while data and len(data) < content.HEAD_BYTES and (more := read(BLOCK)):
            data += more
        if data:
            refuse_packed(data[: content.HEAD_BYTES], self._opened.name, self._options.encoding)
        return data

    # --- errors ------------------------------------------------------------------------------

    def _invalid(self, error: UnicodeDecodeError) -> StreamError:
        before = error.object[: error.start].decode(error.encoding, "replace")
        byte = error.object[error.start]
        return self._error(
            f"the byte 0x{byte:02x} is not valid {error.encoding} ({error.reason}); pass the right "
            'encoding, for example encoding="latin-1", or encode_replace="?" to replace it',
            before,
        )

    def _error(self, problem: str, before: str = "") -> StreamError:
        """Return an error at what comes after the tail and `before`."""
        text = (self._tail + before).removeprefix("\ufeff")
        delimiter = self._state.delimiter or self._detect_in(text)
        lines = text.split(delimiter) if delimiter else [text]
        return StreamError(
            problem,
            file=self._opened.name,
            line=self._state.line + len(lines),
            column=len(lines[-1]) + 1,
        )

    def _detect_in(self, text: str) -> str | None:
        found = _DELIMITER.search(text)
        return found[0] if found else None
