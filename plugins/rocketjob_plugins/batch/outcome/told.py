"""What plugins are told of slices that are stored: the hook `slice_done`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

import attrs

from rocketjob.application import current

if TYPE_CHECKING:
    from rocketjob_plugins.batch.model import BatchModel
    from rocketjob_plugins.batch.outcome.render import Outcome


@attrs.frozen
class SliceDone:
    """What became of a slice.

    Attributes:
        number: of its first record in the input, from 1.
        records: how many of its records were gone through, those set aside among them.
        state: whether it is done, or has failed and stays for a retry.
        rejects: how many records were set aside.
        error: what it has failed with; None if it is done.
        seconds: how long that took, without what it waited for before and after.
    """

    number: int
    records: int
    state: Literal["done", "failed"]
    rejects: int
    error: BaseException | None
    seconds: float


def is_told(job: BatchModel) -> bool:
    """Return whether anybody is to be told of the slices of a job."""
    return current().plugins.listens("slice_done", type(job))


def tell(job: BatchModel, outcomes: Iterable[Outcome]) -> None:
    """Tell the plugins of those slices that were stored, and are not to go on."""
    if not is_told(job):
        return
    for outcome in outcomes:
        if outcome.is_stored and outcome.state in ("done", "failed"):
            current().plugins.notify("slice_done", job=job, slice=_told(outcome))


def _told(outcome: Outcome) -> SliceDone:
    return SliceDone(
        outcome.slice.id,
        outcome.index - outcome.start,
        "failed" if outcome.state == "failed" else "done",
        len(outcome.rejected),
        outcome.error,
        outcome.seconds,
    )
