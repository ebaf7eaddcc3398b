"""A store that is away for one call only, wherever batch calls it, fails neither job nor slice.

The store's own class of error is known to nobody but the store, as that of a driver is.
"""

import itertools
from datetime import timedelta

import pytest

from rocketjob import Job, after, before
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory
from rocketjob_plugins.batch.slices import Slices

MOST = 200  # calls that one run of the job makes, and more
WAITING = [("queued", "slices_are_away"), ("running", None)]


class DriverError(Exception):
    """What the driver of a database raises as a connection is closed."""


class BlipsBatchJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=2)
    output_category = OutputCategory()
    ended: int = 0

    @before("start")
    def start_well(self):
        self.description = "started"

    @before("batch")
    def upload_three(self):
        self.upload(["one", "two", "three"])

    def perform(self, record):
        return record

    @after("batch")
    def end_well(self):
        self.ended += 1


@pytest.fixture
def fails_once(rocketjob, monkeypatch):
    """Let the access number so and so to a class's collection fail; return what counts them."""
    store = type(rocketjob.store)
    is_transient = store.is_transient
    monkeypatch.setattr(
        store,
        "is_transient",
        lambda self, error: isinstance(error, DriverError) or is_transient(self, error),
    )

    def install(patched, owner, number):
        accesses = itertools.count(1)
        real = owner.collection

        def failing(*args):
            if next(accesses) == number:
                raise DriverError("connection closed")
            return real.fget(*args) if isinstance(real, property) else real.__func__(*args)

        made = property(failing) if isinstance(real, property) else classmethod(failing)
        patched.setattr(owner, "collection", made)
        return accesses

    return install


@pytest.mark.parametrize("owner", [Slices, BlipsBatchJob])
def test_no_moment_without_the_store_fails_a_batch_job(rocketjob, monkeypatch, fails_once, owner):
    for number in range(1, MOST):
        job = BlipsBatchJob.create()
        with monkeypatch.context() as patched:
            accesses = fails_once(patched, owner, number)
            rocketjob.work_off()
            count = next(accesses) - 1
        if job.reload().state != "completed":
            assert (job.state, job.throttled_by) in WAITING, (number, job.exception)
            rocketjob.travel(timedelta(seconds=6))
            rocketjob.work_off()
        assert job.reload().is_completed, (number, job.state, job.exception)
        assert list(job.records()) == ["one", "two", "three"], number
        assert (job.failure_count, job.ended) == (0, 1), number
        if count < number:
            return
    pytest.fail(f"the job makes more than {MOST} calls")
