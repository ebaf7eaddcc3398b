"""What holds up a batch job that has begun, for `job.explain()`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rocketjob.base.text import counted
from rocketjob.jobs import holds
from rocketjob.jobs.reasons import Reason, Remark
from rocketjob.server.explain import lost
from rocketjob_plugins.batch.holding import BUDGET, CANARY, in_canary, within_reach_of
from rocketjob_plugins.batch.present import unseen

if TYPE_CHECKING:
    from rocketjob_plugins.batch.model import BatchModel

HOW = "approve it to let it go on, or abort it"


def held_up_by(job: BatchModel) -> Iterator[Reason]:
    try:
        if job.is_held:
            yield Reason(str(job.held_by), f"it waits for approval: {job.held_text}; {HOW}")
        elif job.is_failed:
            yield from _failures(job)
        elif job.is_running and job.sub_state == "processing":
            yield from lost(job.input.owners())
            yield from _left(job)
    except Exception as error:
        yield Reason("slices", unseen(error))


def remarks(job: BatchModel) -> Iterator[Remark]:
    """Say what a job is held for; name the records that were set aside: it can complete without."""
    if job.is_held:
        do = f"`rocketjob batch approve {job.id}` or `job.approve()` lets it go on"
        text = f"It waits for approval: {job.held_text}. {do}"
        if job.held_by == BUDGET:
            text += ", with `--failure-budget` to raise the budget"
        yield Remark("held_by", job.held_by, "waits for approval", text)
    try:
        count = job.reject_count
    except Exception as error:
        yield Remark("slices", None, "slices out of reach", f"not known: {unseen(error)}")
        return
    if count:
        records = "1 record was" if count == 1 else f"{count} records were"
        how = f'`rocketjob rejects download {job.id} bad.csv` or `job.download_rejects("bad.csv")`'
        text = f"{records} rejected: {how} writes them, with the errors"
        yield Remark("reject_count", count, f"{count} rejected", text)


def _failures(job: BatchModel) -> Iterator[Reason]:
    groups = job.input.group_exceptions()
    if not groups and (elsewhere := job.slices_are_elsewhere()):
        yield Reason("slices", elsewhere)
    for group in groups:
        slices = f"{counted(group['count'], 'slice')} failed"
        message, *others = group["messages"]
        more = f" (and {len(others)} other messages)" if others else ""
        yield Reason("slices", f"{slices}: {group['class_name']}: {message}{more}")
    count = job.reject_count
    if job.max_rejects and count >= job.max_rejects:
        text = f"as many records are set aside as max_rejects allows, {count}: one more fails its"
        yield Reason(
            "max_rejects", f"{text} slice; correct and resubmit them, or raise max_rejects"
        )


def _left(job: BatchModel) -> Iterator[Reason]:
    """Say what its slices wait for; nothing, where workers are at the last of them."""
    counts = job.input.counts_by_state()
    failed = counts.get("failed", 0)
    if counts.get("queued"):
        yield from _canary(job)
        yield from _throttles(job)
    elif counts.get("running"):
        return
    elif job.record_count is None:
        text = "it waits for its input: record_count is not set (upload to it)"
        yield Reason("record_count", text)
    elif failed:
        slices = f"{failed} of its slices failed, and the others are"
        yield Reason("slices", f"{slices} done: it fails as soon as a worker is free")
    elif elsewhere := job.slices_are_elsewhere():
        yield Reason("slices", elsewhere)
    else:
        yield Reason("slices", "all its slices are done: it ends as soon as a worker is free")


def _canary(job: BatchModel) -> Iterator[Reason]:
    if not in_canary(job):
        return
    which = f"the canary, its first {counted(job.canary_slices or 0, 'slice')}"
    if within_reach_of(job) is None:
        text = f"it waits until {which}, is uploaded"
    else:
        text = f"only {which}, is processed until that is done"
    yield Reason(CANARY, text)


def _throttles(job: BatchModel) -> Iterator[Reason]:
    if job.free_places() <= 0:
        text = f"throttle_running_workers lets {job.throttle_running_workers} of its slices be in"
        yield Reason("throttle_running_workers", f"{text} work at once, and that many are")
    if job.throttled_by is not None:
        yield Reason(job.throttled_by, f"its slices are {holds.said(job)}")
