"""What is kept of an error that ended a job."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from itertools import islice
from typing import Any

import attrs

from rocketjob.base.passwords import bounded, hide_passwords
from rocketjob.base.tracebacks import from_job_code

MAX_BACKTRACE = 200  # lines; a recursion error would otherwise fill the document
MAX_LINE = 2000  # characters of a line of it
MAX_CAUSES = 5
MAX_OF_GROUP = 20  # errors of a group that are told
DESCRIBED = "_rocketjob_description"


@attrs.define
class JobException:
    """An error as it is stored on a job, a slice or an entry.

    Attributes:
        class_name: `JobException` where only a message was given.
        message: the error's text.
        backtrace: lines as Python prints them, from the job's own code on, innermost call last.
        worker_name: the worker that met it.
        cause: the error that it was raised from.
    """

    class_name: str = "JobException"
    message: str | None = None
    backtrace: list[str] = attrs.field(factory=list)
    worker_name: str | None = None
    cause: JobException | None = None

    @classmethod
    def of(
        cls, reason: BaseException | str | None, worker_name: str | None = None, depth: int = 0
    ) -> JobException:
        """Describe an error, or a plain reason."""
        if (described := getattr(reason, DESCRIBED, None)) is not None:
            return attrs.evolve(described, worker_name=worker_name)  # type: ignore[no-any-return]
        if not isinstance(reason, BaseException):
            message = None if reason is None else message_of(reason)
            return cls(message=message, worker_name=worker_name)
        return cls(
            class_name=type(reason).__name__,
            message=message_of(reason),
            backtrace=_backtrace(reason),
            worker_name=worker_name,
            cause=_cause(reason, depth),
        )


def describe_as(error: BaseException, described: JobException) -> None:
    """Say how an error is stored whose traceback is not here: it happened on another thread."""
    setattr(error, DESCRIBED, described)


def message_of(error: BaseException | str) -> str:
    """Return an error's message, even if its `__str__` fails.

    Of a group also those of its errors. Of a long one the beginning and the end; without passwords
    of URLs, and without what UTF-8 cannot hold.
    """
    try:
        text = str(error)
        if inner := [f"{type(e).__name__}: {e}" for e in islice(_within(error), MAX_OF_GROUP)]:
            text = f"{text}: {'; '.join(inner)}"
    except BaseException as broken:  # whatever it is, the worker has to live on
        text = f"(the message of the error cannot be read: {type(broken).__name__})"
    return hide_passwords(bounded(text)).encode("utf-8", "ignore").decode()


def _backtrace(error: BaseException) -> list[str]:
    lines = [*_lines(error), *_lines_of_group(error)][-MAX_BACKTRACE:]
    clean = hide_passwords("\n".join(bounded(line, MAX_LINE) for line in lines))
    return clean.encode("utf-8", "ignore").decode().splitlines()


def _lines(error: BaseException) -> list[str]:
    return "".join(traceback.format_tb(from_job_code(error.__traceback__))).splitlines()


def _lines_of_group(error: BaseException) -> list[str]:
    """Return what and where the errors of a group are, such as those of a TaskGroup's tasks."""
    lines: list[str] = []
    for each in islice(_within(error), MAX_OF_GROUP):
        lines += [f"{type(each).__name__}: {message_of(each)}", *_lines(each)]
    return lines


def _within(error: BaseException | str) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            if not isinstance(each, BaseExceptionGroup):
                yield each
            yield from _within(each)


def _cause(error: BaseException, depth: int) -> JobException | None:
    cause: Any = error.__cause__
    if cause is None and not error.__suppress_context__:
        cause = error.__context__
    if cause is None or depth >= MAX_CAUSES:
        return None
    return JobException.of(cause, depth=depth + 1)
