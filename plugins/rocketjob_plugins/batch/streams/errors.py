"""What goes wrong between a file and its records."""

from __future__ import annotations

from typing import Any

from rocketjob.errors import RocketJobError


class StreamError(RocketJobError, ValueError):
    """A file cannot be read or written as asked.

    Attributes:
        file: its name, without any password of a URL.
        line: the line, counted from 1, where that is known.
        column: the character within the line, or the name of a column, where that is known.
        problem: the message without the place.
    """

    def __init__(
        self,
        problem: str,
        *,
        file: str | None = None,
        line: int | None = None,
        column: int | str | None = None,
    ) -> None:
        self.problem, self.file, self.line, self.column = problem, file, line, column
        where = [] if file is None else [file]
        where += [] if line is None else [f"line {line}"]
        where += [] if column is None else [f"column {column}"]
        super().__init__(f"{', '.join(where)}: {problem}" if where else problem)

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.problem, self.file, self.line, self.column)

    def at(
        self,
        *,
        file: str | None = None,
        line: int | None = None,
        column: int | str | None = None,
    ) -> StreamError:
        """Return the same error with more of its place; what it knows already stays."""
        return type(self)(
            self.problem,
            file=self.file if self.file is not None else file,
            line=self.line if self.line is not None else line,
            column=self.column if self.column is not None else column,
        )


def _again(
    cls: type[StreamError], problem: str, file: str | None, line: int | None, column: Any
) -> StreamError:
    return cls(problem, file=file, line=line, column=column)
