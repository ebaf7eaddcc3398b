"""`FileFormat`: a file that is no text, such as a workbook, as rows, and rows as such a file.

A plugin brings a class like this with the hook `register_file_formats`::

    class Pickled:
        name, extensions = "pickled", ("pkl",)

        def __init__(self, options): ...

        def read(self, file, place):
            while (row := next_row(file)) is not None:
                yield [row]

        def write(self, rows, file, place):
            for block in rows:
                for row in block:
                    file.write(as_bytes(row))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import IO, Any, ClassVar, Protocol

import attrs

from rocketjob_plugins.batch.streams.options import CSV, Dialect
from rocketjob_plugins.batch.streams.stream import Place


@attrs.frozen(kw_only=True)
class FilePlace(Place):
    """Where a file format is used: see `Place`.

    Attributes:
        dialect: of the lines, where a format gives or takes lines of csv.
        clean: is to be applied to each text, where there is one.
    """

    dialect: Dialect = CSV
    clean: Callable[[str], str] | None = None


class FileFormat(Protocol):
    """What a format of files that are no text has to be.

    A row is a dict, by the names of the columns. A format of which one way makes no sense leaves
    out `read` or `write`. It may also have `library()`, a static method that raises `StreamError`
    where what it needs is not installed: it is called before there is any work.

    Attributes:
        name: as in a category; it is an extension, too.
        extensions: further ones, without a dot.
        as_lines: the rows are lines of this text format instead: `csv`. It may be left out.
        replaces: it may take the place of another one of its name. It may be left out.
    """

    name: ClassVar[str]
    extensions: ClassVar[tuple[str, ...]]

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Raise StreamError where the `format_options` of a category are wrong."""

    def read(self, file: IO[bytes], place: FilePlace) -> Iterator[list[Any]]:
        """Yield the rows in blocks, so that memory is bounded; raise StreamError for a bad file.

        Args:
            file: one can move about in it.
            place: names the file, and says what is to be heeded.
        """

    def write(self, rows: Iterable[list[Any]], file: IO[bytes], place: FilePlace) -> None:
        """Write the rows, which come in blocks of any size; raise StreamError for a bad one.

        Args:
            rows: are made while they are taken.
            file: has `write` and `tell`, and one cannot move about in it.
            place: names the file.
        """


def is_file_format(value: Any) -> bool:
    """Return whether something is a format of files, rather than of lines."""
    named = isinstance(getattr(value, "name", None), str) and not hasattr(value, "parse")
    return named and (hasattr(value, "read") or hasattr(value, "write"))


def lines_of(format: Any) -> str | None:
    """Return the text format of the lines that a file format has for rows; None for dicts."""
    as_lines: str | None = getattr(format, "as_lines", None)
    return as_lines
