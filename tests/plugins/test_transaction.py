"""The mixin Transaction."""

from contextlib import contextmanager

import pytest

from rocketjob import ConfigurationError, Document, Job, after, around, before, field
from rocketjob_plugins.transaction import Transaction

LOG = []


@contextmanager
def unit_of_work():
    LOG.append("begin")
    try:
        yield
    except BaseException:
        LOG.append("rollback")
        raise
    LOG.append("commit")


class UserJob(Transaction, Job):
    destroy_on_complete = False
    broken: bool = False

    def transaction(self):
        return unit_of_work()

    @before("start")
    def starting(self):
        LOG.append("start")

    @before("perform")
    def before_it(self):
        LOG.append("before perform")

    @after("complete")
    def completed(self):
        LOG.append("complete")

    def perform(self):
        LOG.append("perform")
        if self.broken:
            raise RuntimeError("audit failed")


@pytest.fixture(autouse=True)
def _empty_log():
    LOG.clear()


def test_success_commits_before_the_job_completes(rocketjob):
    job = UserJob.create()
    rocketjob.work_off()
    assert LOG == ["start", "begin", "before perform", "perform", "commit", "complete"]
    assert job.reload().is_completed


def test_an_error_rolls_back_and_fails_the_job(rocketjob):
    job = UserJob.create(broken=True)
    rocketjob.work_off()
    assert LOG == ["start", "begin", "before perform", "perform", "rollback"]
    assert (job.reload().state, job.exception.message) == ("failed", "audit failed")


def test_a_commit_that_fails_fails_the_job(rocketjob):
    class CommitFailsJob(UserJob):
        @contextmanager
        def transaction(self):
            yield
            raise OSError("disk full")

    job = CommitFailsJob.create()
    rocketjob.work_off()
    assert (job.reload().state, job.exception.message) == ("failed", "disk full")


def test_a_job_that_works_slices_has_one_transaction_for_each(rocketjob):
    class Sliced(Document):
        callback_events = frozenset({"slice"})

        def work(self, worker):
            for _ in range(2):
                self.chain("slice").run(self, lambda: LOG.append("slice"))
            self.complete()

    class SlicedTransactionJob(Transaction, Sliced, Job):
        def transaction(self):
            return unit_of_work()

        @around("perform")
        def never(self):
            yield

        def perform(self): ...

    SlicedTransactionJob.create()
    rocketjob.work_off()
    assert LOG == ["begin", "slice", "commit"] * 2


def test_a_class_without_a_transaction_is_an_error_when_it_is_made():
    with pytest.raises(ConfigurationError, match="ForgottenJob must have a method `transaction`"):
        type("ForgottenJob", (Transaction, Job), {"__module__": __name__})


def test_an_abstract_base_need_not_have_one():
    class AbstractBillingJob(Transaction, Job, abstract=True):
        account: str | None = field(default=None)

    class BillingJob(AbstractBillingJob):
        def transaction(self):
            return unit_of_work()

    assert BillingJob().transaction
