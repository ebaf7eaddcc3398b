"""Which jobs have rejects: for lists, which read neither records nor need the classes of jobs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs
from bson import ObjectId

from rocketjob import Job
from rocketjob.jobs import shown
from rocketjob.jobs.query import JobQuery
from rocketjob_plugins.batch.slices import jobs_with_rejects, reject_slices


@attrs.frozen
class Rejected:
    """A job that has set records aside, and how many; to be shown, not to be changed."""

    job: Job
    count: int

    def reasons(self, limit: int) -> list[tuple[int, str]]:
        """Return the number of the record and the reason of the first rejects in the file."""
        if not limit:
            return []
        rejects = reject_slices(self.job.id).collection
        found = rejects.find({}, {"error": 1}, sort=[("_id", 1)], limit=limit)
        return [(stored["_id"], stored.get("error", "")) for stored in found]


def of_jobs(query: JobQuery[Job], ids: Iterable[ObjectId] | None = None) -> Iterator[Rejected]:
    """Yield the jobs of a query that have rejects, the newest first.

    Args:
        ids: only of these.
    """
    for id in jobs_with_rejects() if ids is None else sorted(ids, reverse=True):
        count = reject_slices(id).count()
        if not count:
            continue
        stored = Job.collection().find_one(query.where({"_id": id}).filter())
        if stored is not None:
            yield Rejected(shown.load(stored), count)
