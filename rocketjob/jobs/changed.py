"""What plugins are told of stored changes of state, many at once: the hook `jobs_changed`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from rocketjob.store import context

if TYPE_CHECKING:
    from rocketjob.states.machine import Change


class Changed(NamedTuple):
    """A change of a job's state that is stored.

    Attributes:
        job: as it is now; it is for reading.
        events: the one that was made, and those that followed it in the same write.
        source: the state that it started from; `job.state` is the one that it led to.
        run_at: the job's before the change, which a retry moves.
    """

    job: Any
    events: tuple[str, ...]
    source: str
    run_at: datetime | None = None


def tell(changes: Iterable[Change]) -> None:
    """Tell the plugins of changes that were stored together."""
    if context.current().plugins.listens("jobs_changed"):
        tell_of([_changed(change) for change in changes])


def tell_of(changes: list[Changed]) -> None:
    """Tell the plugins of changes that are described already."""
    plugins = context.current().plugins
    if changes and plugins.listens("jobs_changed"):
        plugins.notify("jobs_changed", changes=changes)


def _changed(change: Change) -> Changed:
    events: tuple[str, ...] = (change.event.name,)
    if change.follow_ups:
        events += tuple(follow_up.event.name for follow_up in change.follow_ups)
    return Changed(change.document, events, change.source, change.was("run_at"))
