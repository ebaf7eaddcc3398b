"""Everything that this package raises on purpose, in one tree.

The docstring of an error is its default message: it says what is wrong and what to do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from rocketjob.base.clock import as_delay
from rocketjob.base.text import at


class RocketJobError(Exception):
    """Something went wrong in RocketJob."""

    def __init__(self, message: str | None = None) -> None:
        doc = type(self).__doc__ or ""
        super().__init__(message if message is not None else doc.strip().splitlines()[0])


class ConfigurationError(RocketJobError, ValueError):
    """A setting is wrong: correct it in the configuration file, environment or command line."""


class WrongSetting(ConfigurationError):
    """A file, the environment or code has a setting that is unknown or does not fit."""


class PluginError(RocketJobError):
    """A plugin cannot be loaded: correct it, remove its distribution or disable it."""


class HookFailed(PluginError):
    """A plugin failed in one of its hooks, or returned what the hook does not take.

    What it raised is the cause.

    Attributes:
        plugin: its name.
        hook: the hook's name.
    """

    def __init__(self, message: str, plugin: str = "", hook: str = "") -> None:
        super().__init__(message)
        self.plugin, self.hook = plugin, hook

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.plugin, self.hook)


class ValidationError(RocketJobError, ValueError):
    """The document is not valid.

    Attributes:
        errors: every message, by field; nothing was stored.
        conflict: whether the values are right, and only another document is in the way.
    """

    def __init__(
        self, errors: Mapping[str, list[str]], name: str = "document", conflict: bool = False
    ) -> None:
        self.errors: dict[str, list[str]] = {
            field: list(messages) for field, messages in errors.items()
        }
        self.name, self.conflict = name, conflict
        lines = [
            at(field, message, ": ")
            for field, messages in self.errors.items()
            for message in messages
        ]
        super().__init__(f"{name} is not valid: " + "; ".join(lines))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.errors, self.name, self.conflict)


class JobRefused(ValidationError):
    """A plugin does not let the job be stored; raise it in the hook `before_enqueue`.

    Attributes:
        reason: why, for whoever wanted to store it.
        field: of the job, which has the reason; `base` for the job as a whole.
    """

    def __init__(self, reason: str, field: str = "base", name: str = "job") -> None:
        super().__init__({field: [reason]}, name)
        self.reason, self.field = reason, field
        why = reason if field == "base" else at(field, reason, ": ")
        self.args = (f"{name} is refused: {why}",)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reason, self.field, self.name)


class NotFound(RocketJobError, LookupError):
    """No such document: it was deleted or never stored."""


class JobExpired(NotFound):
    """The job was not started before its `expires_at`, and was removed."""


class SearchError(RocketJobError, ValueError):
    """A search cannot be understood: the message says where, and what would be right.

    Attributes:
        problem: the message without the place.
        text: the search.
        start: where in it the part begins that is wrong, from 0.
        end: where that ends.
    """

    def __init__(self, problem: str, text: str = "", start: int = 0, end: int = 0) -> None:
        self.problem, self.text, self.start = problem, text, start
        self.end = max(start + 1, end)
        super().__init__(f"at character {start + 1}: {problem}")

    def pointer(self) -> str:
        """Return two lines that show the place: some of the search, and what is under it."""
        begin = max(0, self.start - 40)
        shown = "".join(c if c.isprintable() else " " for c in self.text[begin : begin + 75])
        marks = min(self.end, begin + 75) - self.start
        return f"{shown}\n{' ' * (self.start - begin)}{'^' * max(1, marks)}"


class FieldClash(RocketJobError, TypeError):
    """Two unrelated bases define the same field: rename one of them."""


class NameClash(RocketJobError, TypeError):
    """A class would replace unseen what a base of it has: the message says what to rename.

    Two unrelated bases have a callback, validation or event of one name, or a private name is one
    that RocketJob or a plugin uses itself.
    """


class InvalidTransition(RocketJobError):
    """The event is not allowed in the state that the job is in."""

    def __init__(self, event: str, state: str, allowed: list[str], guard: str | None = None):
        self.event, self.state, self.allowed, self.guard = event, state, allowed, guard
        why = f" ({guard})" if guard else ""
        may = ", ".join(allowed) or "none: the state is final"
        super().__init__(f"Cannot {event} a job that is {state}{why}. Possible now: {may}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.event, self.state, self.allowed, self.guard)


class StateConflict(RocketJobError):
    """Somebody else has changed the stored document: reload it and decide again."""


class ClaimLost(StateConflict):
    """The claim on this job belongs to somebody else now: the work stops, nothing is written."""


class JobAborted(ClaimLost):
    """The job was aborted while it was performed: the work stops, nothing is written."""


class JobTimeout(RocketJobError, TimeoutError):
    """The job has not ended in the time given."""


class ServerStopping(RocketJobError):
    """The server stops: the job is queued again, which is no failure and uses up no attempt."""


class Snooze(RocketJobError):
    """The job is to be performed again later.

    Raise it in `perform`: the job is queued for then, which is no failure and uses up no attempt.
    What `perform` has set on the job is stored.

    Args:
        delay: how long to wait; a number is seconds.
        reason: for the job's history.

    Raises:
        ValueError: the delay is negative or not a duration.
    """

    def __init__(self, delay: timedelta | float, reason: str | None = None) -> None:
        self.delay, self.reason = as_delay(delay), reason
        super().__init__(f"for {self.delay}" + (f": {reason}" if reason else ""))


class Discard(RocketJobError):
    """The job is not to be done any more.

    Raise it in `perform`: the job is aborted, whatever its retries.

    Args:
        reason: for the job's history.
    """

    def __init__(self, reason: str = "perform raised Discard") -> None:
        self.reason = reason
        super().__init__(reason)


class GrantLost(RocketJobError, PermissionError):
    """Whoever this is done for may not do it any more."""


class UnknownJobClass(RocketJobError, LookupError):
    """No job class of that name is loaded here: import its module or name it in `app`."""


class CrashError(RocketJobError):
    """A worker process ended while it was working."""


class MemoryExceeded(RocketJobError, MemoryError):
    """The process of the job has taken more memory than its `max_memory`."""


class WorkerCrashed(CrashError):
    """The worker process died too often while it ran this job."""


class StoreError(RocketJobError):
    """The store cannot do what was asked."""


class StoreUnavailable(StoreError, ConnectionError):
    """The store cannot be reached now: it may be locked, full or gone; trying again may help."""


class StoreUnfit(StoreError):
    """The server of the store does not do what jobs rest on: use another, or a later version."""


class UnsupportedOperation(StoreError, NotImplementedError):
    """The store does not support this operator: see the documentation of the store."""


class DuplicateKey(StoreError):
    """A unique index has this key already.

    Attributes:
        code: 11000, as MongoDB's own error has it.
        details: `index` (its name), `keyPattern` and `keyValue`, as MongoDB reports them.
    """

    code = 11000

    def __init__(self, message: str | None = None, details: Mapping[str, Any] | None = None):
        self.details: dict[str, Any] = dict(details or {})
        super().__init__(message)


class DocumentTooLarge(StoreError, ValueError):
    """A document may not be larger than 16 MB."""


TOO_LARGE = frozenset({10334, 17419, 17420})  # by itself; by an update's operators; replaced
_INDEX = re.compile(r"\b[Ii]ndex:? '?([\w.-]+)")  # in the message about a duplicate


def is_duplicate_key(error: BaseException) -> bool:
    """Return whether a write was refused by a unique index, on whichever store."""
    return getattr(error, "code", None) == 11000 or any(
        write.get("code") == 11000 for write in _refused_writes(error)
    )


def is_too_large(error: BaseException) -> bool:
    """Return whether a MongoDB refused a write for its size; other stores say so themselves.

    Its driver sees most of them, and names an error of its own like ours.
    """
    if isinstance(error, StoreError):
        return False
    codes = {getattr(error, "code", None), *(w.get("code") for w in _refused_writes(error))}
    return type(error).__name__ == DocumentTooLarge.__name__ or not TOO_LARGE.isdisjoint(codes)


def duplicate_key_details(error: BaseException) -> dict[str, Any]:
    """Return `keyPattern` and `keyValue` of a write that was refused, of a group its first.

    Not every relative of MongoDB tells them. Then the index is known by its name alone, and those
    by which documents are told apart here have the name of their field.
    """
    details = getattr(error, "details", None) or {}
    writes = _refused_writes(error)
    refused: dict[str, Any] = next((each for each in writes if each.get("code") == 11000), details)
    if "keyPattern" not in refused:
        index = _INDEX.search(str(refused.get("errmsg") or error))
        return {**refused, "keyPattern": {index[1]: 1}} if index else refused
    return refused


def refused_at(error: BaseException) -> int:
    """Return how many documents of an ordered insert are stored: those before the one refused.

    0 where the error does not say which one that was: such a store inserts all or nothing. What
    the count of those inserted says is not trusted, since a document of somebody else's could be
    taken for ours.
    """
    return min((write.get("index", 0) for write in _refused_writes(error)), default=0)


def _refused_writes(error: BaseException) -> list[dict[str, Any]]:
    return list((getattr(error, "details", None) or {}).get("writeErrors", ()))


WRITE_CONFLICT = 112  # of MongoDB's error codes
# PostgreSQL's deadlock and conflict, which FerretDB 2 passes on as they are (40P01 and 40001, as
# numbers).
GIVEN_UP = frozenset({WRITE_CONFLICT, 16908292, 16777220})


def is_given_up(error: BaseException) -> bool:
    """Return whether a single write met another one and was given up, with nothing of it stored."""
    return getattr(error, "code", None) in GIVEN_UP


def is_conflict(error: BaseException) -> bool:
    """Return whether a transaction was given up, with nothing stored, and is to be made again.

    Another one was in its way, or the server went; see `rocketjob.store.atomically`.
    """
    has_label = getattr(error, "has_error_label", None)
    if has_label is None:
        return False
    labelled = bool(has_label("TransientTransactionError"))
    return labelled or getattr(error, "code", None) == WRITE_CONFLICT  # DocumentDB has no labels
