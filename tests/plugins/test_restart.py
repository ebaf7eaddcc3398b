"""The mixin Restart."""

from datetime import timedelta

import pytest

from rocketjob import Job, ValidationError, after, field, now
from rocketjob_plugins.restart import Restart


class RestartableJob(Restart, Job):
    destroy_on_complete = False
    limit: int | None = field(default=None, copy_on_restart=True)
    list: "list[int]" = [1, 2, 3]

    @after("initialize", when=lambda job: job.is_new)
    def set_run_at(self):
        self.run_at = now() + timedelta(minutes=30)

    def perform(self):
        return "DONE"


class PlainRestartJob(Restart, Job):
    destroy_on_complete = False

    def perform(self): ...


def test_the_example_of_the_guide(rocketjob):
    job = RestartableJob.create(limit=10, list=[4, 5, 6])
    assert (job.reload().state, job.limit, job.list) == ("queued", 10, [4, 5, 6])
    rocketjob.travel(timedelta(minutes=30, seconds=1))
    assert rocketjob.work_off() == 1
    assert job.reload().is_completed
    job2 = RestartableJob.last()
    assert (job2.state, job2.limit, job2.list) == ("queued", 10, [1, 2, 3])


@pytest.mark.parametrize("event", ["complete", "abort"])
@pytest.mark.parametrize(("kept", "documents"), [(True, 2), (False, 1)])
def test_an_end_leaves_a_new_instance(rocketjob, event, kept, documents):
    job = PlainRestartJob.create()
    job.update(destroy_on_complete=not kept)
    job.start()
    getattr(job, event)()
    assert PlainRestartJob.queued().count() == 1
    assert PlainRestartJob.count() == (documents if event == "complete" else 2)


@pytest.mark.parametrize("way", [(), ("start",), ("pause",)], ids=["queued", "running", "paused"])
def test_failing_ends_aborted_and_starts_anew(rocketjob, way):
    job = PlainRestartJob.create()
    for event in way:
        getattr(job, event)()
    job.fail("broken")
    assert sorted(each.state for each in PlainRestartJob.all()) == ["aborted", "queued"]
    assert job.reload().exception.message == "broken"
    assert [entry.event for entry in job.history][-2:] == ["fail", "abort"]


def test_an_expired_job_is_not_restarted(rocketjob):
    job = PlainRestartJob.create(expires_at=timedelta(seconds=1))
    job.start()
    rocketjob.travel(timedelta(seconds=2))
    job.abort()
    assert PlainRestartJob.count() == 1


@pytest.mark.parametrize(("event", "left"), [("pause", 1), ("destroy", 0)])
def test_neither_pausing_nor_destroying_restarts(rocketjob, event, left):
    getattr(PlainRestartJob.create(), event)()
    assert PlainRestartJob.count() == left


def test_an_empty_hook_keeps_it_failed(rocketjob):
    class KeptFailedJob(PlainRestartJob):
        def abort_on_failure(self):
            pass

    job = KeptFailedJob.create()
    job.fail("broken")
    assert (job.state, KeptFailedJob.count()) == ("failed", 1)


def test_a_required_field_that_the_next_would_miss_is_refused(rocketjob):
    class ForgetfulRestartJob(Restart, Job):
        account: str

        def perform(self): ...

    with pytest.raises(
        ValidationError, match=r"account: .* declare it with field\(copy_on_restart"
    ):
        ForgetfulRestartJob.create(account="acme")
