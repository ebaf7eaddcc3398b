"""What happens to a job while its slices are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rocketjob.base.errors import NotFound

if TYPE_CHECKING:
    from rocketjob_plugins.batch.model import BatchModel


class Kept:
    """Knows whether a job was removed or aborted, and its slices with it, since this was made."""

    def __init__(self, job: BatchModel) -> None:
        self._job = job
        self._was_kept = self._is_kept()

    def check(self) -> None:
        """Refuse to have read all of its slices if they were removed meanwhile.

        Raises:
            NotFound: they were.
        """
        if self._was_kept and not self._is_kept():
            raise NotFound(
                f"{self._job!r} was removed or aborted, and its records with it, while they were "
                "read"
            )

    def _is_kept(self) -> bool:
        job = self._job
        kept = {"_id": job.id, "state": {"$ne": "aborted"}}
        return not job.is_new and job.collection().find_one(kept, {"_id": 1}) is not None
