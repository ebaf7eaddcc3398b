"""Uploads that are taken back: one that failed, and those of callbacks that run again."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from rocketjob.store import atomically
from rocketjob_plugins.batch.category import InputCategory
from rocketjob_plugins.batch.io.job_writes import reset_marks
from rocketjob_plugins.batch.slices import reject_slices

if TYPE_CHECKING:
    from rocketjob_plugins.batch.model import BatchModel


def start_over(job: BatchModel) -> None:
    """Note what input there is before the callbacks; a second time, remove what came since.

    Those callbacks upload: where a worker died in them they are run again from the beginning.
    """
    if job.upload_mark is None:
        writers = {each.name: job.input_for(each) for each in job.input_categories}
        first = {name: each.next_record_number() for name, each in writers.items()}
        first["main"] = max(first["main"], (job.record_count or 0) + 1)
        job.upload_mark = {"record_count": job.record_count, "first": first}
        return
    first = job.upload_mark["first"]
    for category in job.input_categories:
        remove(job, category, first.get(category.name, 1), sys.maxsize)
    reset_marks(job, first)  # no worker has had these records: their numbers are free again
    job.record_count = job.upload_mark["record_count"]


def forget_uploads(job: BatchModel) -> None:
    """Remove what failed callbacks before the batch had uploaded: a retry uploads it again."""
    if job.upload_mark is None or job.sub_state != "before" or job.state != "failed":
        return
    if not job.is_new:
        condition = {"_id": job.id, "state": "failed", "upload_mark": {"$exists": True}}
        if job.collection().find_one(condition, {"_id": 1}) is None:
            return
    start_over(job)
    job.upload_mark = None
    if not job.is_new:
        job.save(validate=False)


def remove(job: BatchModel, category: InputCategory, first: int, end: int) -> None:
    """Remove records from the input, and what was made of them if they were processed already."""
    numbers = {"_id": {"$gte": first, "$lt": end}}
    slices = job.input_for(category)

    def step(session: Any) -> None:
        slices.collection.delete_many(numbers)
        if category.name != "main" or job.is_new:
            return
        outputs = [job.output_for(output) for output in job.output_categories]
        for made in (*outputs, reject_slices(job.id)):
            made.collection.delete_many(numbers)

    atomically(slices.store, step)
