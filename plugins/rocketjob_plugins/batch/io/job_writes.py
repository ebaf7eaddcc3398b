"""What an upload writes into the stored job, while workers may begin it already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rocketjob.base.errors import StateConflict
from rocketjob.model.record import record_of
from rocketjob_plugins.batch.category import InputCategory

if TYPE_CHECKING:
    from rocketjob_plugins.batch.model import BatchModel

MARKS = "uploaded"  # key of the stored job: the next record number of each category
ENDED = ["completed", "aborted"]


def write_filter(job: BatchModel) -> dict[str, Any]:
    """Return the filter for the job; in a worker only as long as it has the claim.

    Workers may begin the job while a script uploads to it: its `sub_state` may change.
    """
    return {name: value for name, value in job.write_guard().items() if name != "sub_state"}


def mark_and_count(job: BatchModel, category: InputCategory) -> tuple[int | None, int | None]:
    """Return a category's mark and the `record_count`, as they are stored."""
    if job.is_new:
        return None, None
    stored = job.collection().find_one({"_id": job.id}, {MARKS: 1, "record_count": 1}) or {}
    return stored.get(MARKS, {}).get(category.name), stored.get("record_count")


def reset_marks(job: BatchModel, first: Mapping[str, int]) -> None:
    """Let the next upload to each category begin at a number, where nobody processes yet."""
    if not job.is_new:
        job.collection().update_one(write_filter(job), {"$set": {MARKS: dict(first)}})


def add_to_record_count(job: BatchModel, count: int) -> None:
    """Add to `record_count`, which also says that an upload has ended."""
    if job.is_new:
        job.record_count = (job.record_count or 0) + count
        return
    update = {"$inc": {"record_count": count}}
    condition = {**write_filter(job), "state": {"$nin": ENDED}}
    stored = job.collection().find_one_and_update(condition, update, return_document=True)
    if stored is None:
        raise StateConflict(f"{job!r} has ended or was removed while records were uploaded to it")
    job.record_count = stored["record_count"]
    record_of(job).written_apart({"record_count": job.record_count})


def take_back_record_count(
    job: BatchModel, mark: int | None, before: int | None, added: int
) -> None:
    """Take back what was added, if it was: the answer was lost.

    Args:
        mark: of this upload; another one since would have set another.
        before: the count when it began.
    """
    if job.is_new or mark is None:
        return
    is_counted = {"record_count": (before or 0) + added, f"{MARKS}.main": mark}
    update = (
        {"$unset": {"record_count": ""}} if before is None else {"$set": {"record_count": before}}
    )
    job.collection().update_one({**write_filter(job), **is_counted}, update)


def store_categories(job: BatchModel) -> None:
    """Store what an upload found out, such as the columns, before a worker needs it."""
    if job.is_new:
        return
    changed = {k: v for k, v in record_of(job).changes(job)[0].items() if k == "input_categories"}
    if changed:
        job.collection().update_one(write_filter(job), {"$set": changed})
        record_of(job).written_apart(changed)
