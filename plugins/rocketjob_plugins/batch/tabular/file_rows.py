"""The rows of files that are no text, as a format like those of lines: dicts stay what they are."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, ClassVar

from rocketjob_plugins.batch.streams.errors import StreamError
from rocketjob_plugins.batch.streams.file_formats import FileFormat, lines_of
from rocketjob_plugins.batch.tabular.formats import Format, Hash

OF_TABULAR = ("strict", "blank_lines")


@functools.cache
def of_file(file_format: type[FileFormat]) -> type[Format] | None:
    """Return the rows of a file format; None where these are lines of another format."""
    if lines_of(file_format) is not None:
        return None

    class Rows(Hash):
        name: ClassVar[str] = file_format.name

        def __init__(self, options: Mapping[str, Any]) -> None:
            file_format(own_options(options))

        def parse(self, line: Any) -> dict[str, Any]:
            return _row(line, f"is not a row of {self.name}")

        def render(self, row: Any) -> Any:
            return _row(row, f"a row of {self.name} must be a dict, not")

    return Rows


def own_options(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the options of a category that are for its file format."""
    return {name: value for name, value in (options or {}).items() if name not in OF_TABULAR}


def _row(value: Any, problem: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        end = "" if problem.endswith("not") else ":"
        raise StreamError(f"{problem}{end} {type(value).__name__}")
    return dict(value)
