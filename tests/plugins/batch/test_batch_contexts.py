"""What one slice leaves to the next, and values that would be work nobody does."""

import contextvars
import decimal

import pytest

from rocketjob import Job, after, before
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory
from support.runtime import eventually, running_pool

tenant = contextvars.ContextVar("tenant", default="none")


class SettingBatchJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=2)
    output_category = OutputCategory()
    at_the_end: str = ""

    @before("batch")
    def begin(self):
        tenant.set("begun")

    @before("slice")
    def begin_slice(self):
        tenant.set(f"{tenant.get()}, slice")

    def perform(self, record):
        tenant.set(f"{tenant.get()} {record}")
        decimal.getcontext().prec -= 1
        return f"{tenant.get()}; {decimal.getcontext().prec}"

    @after("batch")
    def end(self):
        self.at_the_end = tenant.get()


class AsyncSettingBatchJob(SettingBatchJob):
    async def perform(self, record):
        tenant.set(f"{tenant.get()} {record}")
        decimal.getcontext().prec -= 1
        return f"{tenant.get()}; {decimal.getcontext().prec}"


@pytest.mark.parametrize("cls", [SettingBatchJob, AsyncSettingBatchJob])
@pytest.mark.parametrize("inline", [False, True])
def test_the_calls_of_a_slice_share_a_context_that_is_fresh(file_store, cls, inline):
    job = cls()
    job.upload(iter(["a", "b", "c"]))
    if inline:
        job.perform_now()
    else:
        job.save()
        with running_pool(file_store, threads=1):
            eventually(lambda: job.reload().is_completed)
    found = [record for slice_ in job.output for record in slice_.records]
    assert found == ["none, slice a; 27", "none, slice a b; 26", "none, slice c; 27"]
    assert job.at_the_end == "none"
    assert tenant.get() == "none"


class LazyBatchJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=2)
    how: str

    def perform(self, record):
        return (each for each in record) if self.how == "generator" else promised(record)


class LazyOutputBatchJob(LazyBatchJob):
    output_category = OutputCategory()


async def promised(record):
    return record


@pytest.mark.parametrize(("how", "says"), [("generator", "a list"), ("coroutine", "async def")])
@pytest.mark.parametrize("cls", [LazyBatchJob, LazyOutputBatchJob])
def test_a_generator_or_coroutine_of_a_record_fails_its_slice(rocketjob, cls, how, says):
    job = cls(how=how)
    job.upload(iter(["ab", "cd", "ef"]))
    job.save()
    rocketjob.work_off()
    assert job.reload().is_failed
    assert says in job.input.failed()[0].exception.message
