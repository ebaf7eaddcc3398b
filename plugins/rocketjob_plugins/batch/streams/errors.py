"""What goes wrong between a file and its records."""

from __future__ import annotations

from typing import Any

from rocketjob.base.errors import RocketJobError
from rocketjob.base.passwords import hide_passwords

PLACE = ("file", "line", "record", "column")


class StreamError(RocketJobError, ValueError):
    """A file cannot be read or written as asked.

    Attributes:
        file: its name, without any password of a URL.
        line: the line, counted from 1, where that is known.
        record: the record's number in the upload, where that is known and the line is not.
        column: the character within the line, or the name of a column, where that is known.
        problem: the message without the place.
    """

    def __init__(
        self,
        problem: str,
        *,
        file: str | None = None,
        line: int | None = None,
        record: int | None = None,
        column: int | str | None = None,
    ) -> None:
        problem = hide_passwords(problem)
        self.problem, self.file, self.line = problem, file, line
        self.record, self.column = record, column
        where = [] if file is None else [file]
        where += [] if line is None else [f"line {line}"]
        where += [] if record is None else [f"record {record}"]
        where += [] if column is None else [f"column {column}"]
        super().__init__(f"{', '.join(where)}: {problem}" if where else problem)

    def __reduce__(self) -> tuple[Any, ...]:
        place = {name: getattr(self, name) for name in PLACE}
        return _again, (type(self), self.problem, place)

    def at(
        self,
        *,
        file: str | None = None,
        line: int | None = None,
        record: int | None = None,
        column: int | str | None = None,
    ) -> StreamError:
        """Return the same error with more of its place; what it knows already stays."""
        return type(self)(
            self.problem,
            file=self.file if self.file is not None else file,
            line=self.line if self.line is not None else line,
            record=self.record if self.record is not None else record,
            column=self.column if self.column is not None else column,
        )


def _again(cls: type[StreamError], problem: str, place: dict[str, Any]) -> StreamError:
    return cls(problem, **place)
