"""Acts of people: what is changed meanwhile is somebody's doing, not a worker's or a program's.

A command, a page or a script of an administrator says who acts, and why::

    with acting(by="ada", how="script tidy", reason="wrong file"):
        job.abort()

What a worker does is no act of anybody: jobs are performed in a context of their own.

An `Act` is who and why, a `Deed` each change made meanwhile. `rocketjob.model.deeds` makes the
deeds and asks the hook `act_writes` what is to be stored with them; the plugin `audit` answers.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import attrs

from rocketjob.base.passwords import brief

T = TypeVar("T")
NAME = 100  # characters of a name that are kept


def _name(text: str | None) -> str | None:
    return (brief(" ".join(text.split()), NAME) or None) if text else None


def _reason(text: str | None) -> str | None:
    return (brief(text.strip()) or None) if text else None


def _how(text: str) -> str:
    return brief(text, 200)


@attrs.frozen(kw_only=True)
class Act:
    """What a person is doing.

    Attributes:
        by: the person's name; None where it is not known.
        how: such as `rocketjob jobs retry`, or `POST /jobs/{id}/retry`.
        via: `command`, `web`, `api` or `code`.
        reason: why, in the person's words.
        grant: what let the person in, for what goes on in that name later: see
            `rocketjob.jobs.grants`. None: nothing that could be withdrawn is known here.
    """

    by: str | None = attrs.field(default=None, converter=_name)
    how: str = attrs.field(default="", converter=_how)
    via: str = "code"
    reason: str | None = attrs.field(default=None, converter=_reason)
    grant: str | None = None


@attrs.frozen(kw_only=True)
class Deed:
    """One change that a person makes.

    Attributes:
        event: such as `retry`, `create`, `save`, `destroy`, `compact`.
        kind: of what: `job`, or the name of the class of another document, `store` and so on.
        id: of the document, or what else it is known by.
        name: for people: a job's class, a server's name.
        before: what it was, as far as it was changed; what is secret is hidden.
        after: what it is.
    """

    event: str
    kind: str
    id: Any = None
    name: str | None = None
    before: Mapping[str, Any] = attrs.field(factory=dict)
    after: Mapping[str, Any] = attrs.field(factory=dict)


_act: contextvars.ContextVar[Act | None] = contextvars.ContextVar("act", default=None)
begun = False
"""Whether there has been any act in this process: in a worker there is none, and nothing to ask.

Whatever is done for each job asks this first, since it costs next to nothing.
"""


def present() -> Act | None:
    """Return the act that is under way here; None if it is nobody's."""
    return _act.get()


def end() -> None:
    """Let what follows in this context be nobody's doing."""
    _act.set(None)


@contextmanager
def part_of_it() -> Iterator[None]:
    """Record nothing of a block: it is a part of what has been recorded already."""
    token = _act.set(None)
    try:
        yield
    finally:
        _act.reset(token)


def by_nobody(do: Callable[[], T]) -> T:
    """Do what is nobody's doing, though somebody may be acting here."""

    def alone() -> T:
        end()
        return do()

    return contextvars.copy_context().run(alone) if present() is not None else do()


@contextmanager
def acting(
    by: str | None = None,
    *,
    how: str = "",
    via: str = "code",
    reason: str | None = None,
    grant: str | None = None,
) -> Iterator[Act]:
    """Say who makes the changes of a block, and why.

    Args:
        by: the person's name; 100 characters are kept.
        how: by which command, page or script.
        via: `command`, `web`, `api` or `code`.
        reason: in the person's words; 500 characters are kept.
        grant: see `Act`.
    """
    global begun
    begun = True
    act = Act(by=by, how=how, via=via, reason=reason, grant=grant)
    token = _act.set(act)
    try:
        yield act
    finally:
        _act.reset(token)


@contextmanager
def granted(grant: str | None) -> Iterator[None]:
    """Within a block, say more exactly what lets the person who acts here do that."""
    act = _act.get()
    token = _act.set(act if act is None else attrs.evolve(act, grant=grant))
    try:
        yield
    finally:
        _act.reset(token)
