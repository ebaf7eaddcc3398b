"""Job classes for tests. Their names are unique: documents are stored under the class's name.

A job that only one test needs is defined in that test.
"""

from rocketjob import Job


class KeptJob(Job):
    """Does nothing, and stays in the store when it is done."""

    destroy_on_complete = False
    text: str = ""
    number: int = 0

    def perform(self):
        return self.number


class PassingJob(Job):
    """Does nothing, and is gone when it is done."""

    def perform(self):
        return None


class FailingJob(Job):
    """Raises."""

    message: str = "oh no"

    def perform(self):
        raise RuntimeError(self.message)


class PausableJob(KeptJob):
    """Can be paused while it is running."""

    pausable = True


def job_in(state, cls=KeptJob, **fields):
    """Return a stored job that came to a state by events, as in life."""
    job = cls.create(**fields)
    for event in _WAY[state]:
        getattr(job, event)()
    assert job.state == state
    return job


def stored(job):
    """Return the document of a job as it is in the store, or None."""
    return job.collection().find_one({"_id": job.id})


_WAY = {
    "queued": (),
    "running": ("start",),
    "completed": ("start", "complete"),
    "failed": ("start", "fail"),
    "paused": ("pause",),
    "aborted": ("abort",),
}
