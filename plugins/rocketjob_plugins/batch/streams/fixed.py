"""Reading a file as records of a fixed length, without line breaks between them."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, overload

from rocketjob_plugins.batch.streams import encodings
from rocketjob_plugins.batch.streams.errors import StreamError
from rocketjob_plugins.batch.streams.limits import Limits
from rocketjob_plugins.batch.streams.lines import BLOCK
from rocketjob_plugins.batch.streams.options import text_encoding
from rocketjob_plugins.batch.streams.readers import Opened, open_layers


class FixedBlocks:
    """Lists of records, in order; also a context manager that closes what it opened."""

    def __init__(self, opened: Opened, length: int, encoding: str | None) -> None:
        self._opened, self._length, self._encoding = opened, length, encoding
        self.name, self.streams = opened.name, opened.streams
        self.record = 0
        self._begun = False
        self._blocks = self._read()

    def __iter__(self) -> Iterator[list[Any]]:
        return self._blocks

    def __next__(self) -> list[Any]:
        return next(self._blocks)

    def __enter__(self) -> FixedBlocks:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, unless it was given as a file object."""
        self._opened.reader.close()

    def _read(self) -> Iterator[list[Any]]:
        length, rest = self._length, b""
        with self:
            while data := self._data(max(BLOCK, length)):
                data = rest + data
                end = len(data) - len(data) % length
                rest = data[end:]
                if end:
                    yield self._records(data, end)
            if rest:
                raise StreamError(
                    f"record {self.record + 1} has {len(rest)} bytes and not {length}: the file "
                    "was cut off, or its records have another length",
                    file=self.name,
                )

    def _data(self, size: int) -> bytes:
        data = self._opened.reader.read(size)
        if not data or self._begun or self._encoding is None:
            return data
        self._begun = True
        encodings.check_encoding(data, self.name, self._encoding)
        if self._encoding == "utf-8":  # the mark is not part of the first record
            return data.removeprefix(codecs.BOM_UTF8) or self._opened.reader.read(size)
        return data

    def _records(self, data: bytes, end: int) -> list[Any]:
        pieces = [data[at : at + self._length] for at in range(0, end, self._length)]
        records = pieces if self._encoding is None else [self._text(*x) for x in enumerate(pieces)]
        self.record += len(records)
        return records

    def _text(self, index: int, piece: bytes) -> str:
        try:
            return piece.decode(self._encoding or "utf-8")
        except UnicodeDecodeError as error:
            raise StreamError(
                f"record {self.record + index + 1}: the byte 0x{piece[error.start]:02x} is not "
                f"valid {error.encoding}; pass the right encoding, or None for bytes",
                file=self.name,
                column=error.start + 1,
            ) from None


def open_fixed_length_blocks(
    source: Any,
    length: int,
    *,
    file_name: str | None = None,
    streams: Sequence[str] | str | None = None,
    encoding: str | None = "utf-8",
    limits: Limits | None = None,
) -> FixedBlocks:
    """Open a file to be read as lists of records of `length` bytes each.

    Args:
        encoding: of the text; None gives the records as bytes.

    Raises:
        StreamError: it cannot be opened; while reading, if the last record is too short.
    """
    if not isinstance(length, int) or isinstance(length, bool) or length < 1:
        raise StreamError(f"The length of records must be a whole number above 0: {length!r}")
    known = None if encoding is None else text_encoding(encoding)
    opened = open_layers(source, file_name, streams, limits)
    if opened.source.is_text or opened.format:
        opened.reader.close()
        raise StreamError("has no bytes to count: open it in binary", file=opened.name)
    return FixedBlocks(opened, length, known)


@overload
def open_fixed_length(
    source: Any, length: int, *, encoding: str = "utf-8", **options: Any
) -> Iterator[str]: ...
@overload
def open_fixed_length(
    source: Any, length: int, *, encoding: None, **options: Any
) -> Iterator[bytes]: ...
def open_fixed_length(
    source: Any, length: int, *, encoding: str | None = "utf-8", **options: Any
) -> Iterator[Any]:
    """Open a file to be read record by record; see `open_fixed_length_blocks`."""
    blocks = open_fixed_length_blocks(source, length, encoding=encoding, **options)
    return chain.from_iterable(blocks)
