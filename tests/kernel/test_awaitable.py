"""`create_async`, `find_async`, `wait_async`, queries: from coroutines; the loop goes on."""

import asyncio
import contextvars
import threading

import pytest

from rocketjob import (
    Job,
    JobTimeout,
    NotFound,
    StoreUnavailable,
    ValidationError,
    before,
    current_job,
    field,
    off_loop,
    validators,
)
from rocketjob.jobs import awaited
from support.jobs import KeptJob, PassingJob, stored
from support.runtime import PATIENCE, eventually

TENANT = contextvars.ContextVar("tenant of a caller", default=None)


class HeldUpJob(Job):
    """Is stored only once somebody lets it be."""

    allowed = threading.Event()
    asked = threading.Event()
    destroy_on_complete = False
    number: int = field(default=1, validator=validators.in_range(1, 9))
    tenant: str | None = None

    @before("create")
    def _wait(self):
        self.tenant = TENANT.get()
        HeldUpJob.asked.set()
        assert HeldUpJob.allowed.wait(PATIENCE), "the event loop stood still"

    def perform(self): ...


class CreatingAsyncJob(Job):
    destroy_on_complete = False

    async def perform(self):
        assert current_job() is self
        await KeptJob.create_async(text="made in a coroutine")


@pytest.fixture
def held_up():
    HeldUpJob.allowed.clear()
    HeldUpJob.asked.clear()
    yield HeldUpJob
    HeldUpJob.allowed.set()


def test_the_event_loop_goes_on_while_a_job_is_stored(rocketjob, held_up):
    async def main():
        creating = asyncio.create_task(HeldUpJob.create_async(number=2))
        while not HeldUpJob.asked.is_set():
            await asyncio.sleep(0.001)
        HeldUpJob.allowed.set()  # by the loop that would be held
        return await creating

    job = asyncio.run(main())
    assert isinstance(job, HeldUpJob)
    assert stored(job)["number"] == 2


def test_what_runs_on_a_thread_sees_the_context_of_the_coroutine(rocketjob, held_up):
    HeldUpJob.allowed.set()

    async def main():
        TENANT.set("seven")
        return await HeldUpJob.create_async()

    assert stored(asyncio.run(main()))["tenant"] == "seven"


def test_a_call_that_is_cancelled_is_made_all_the_same(rocketjob, held_up):
    async def main():
        creating = asyncio.create_task(HeldUpJob.create_async())
        while not HeldUpJob.asked.is_set():
            await asyncio.sleep(0.001)
        creating.cancel()
        with pytest.raises(asyncio.CancelledError):
            await creating
        HeldUpJob.allowed.set()

    asyncio.run(main())
    assert eventually(HeldUpJob.first)


def test_errors_are_those_of_the_plain_forms(rocketjob):
    async def main():
        with pytest.raises(ValidationError, match="number"):
            await HeldUpJob.create_async(number=10)
        with pytest.raises(TypeError, match="nubmer"):
            await HeldUpJob.create_async(nubmer=1)
        with pytest.raises(NotFound):
            await KeptJob.find_async("55aeaf03a26ec0c1bd00008d")
        with pytest.raises(TypeError, match="numbr"):
            await KeptJob.where(number=1).pluck_async("numbr")

    asyncio.run(main())
    assert HeldUpJob.count() == 0


def test_a_stop_iteration_is_an_error_that_a_coroutine_can_raise(rocketjob):
    async def main():
        with pytest.raises(RuntimeError, match="raised StopIteration"):
            async with asyncio.timeout(PATIENCE):
                await off_loop(next, iter([]))

    asyncio.run(main())


def test_a_document_is_stored_changed_found_and_removed(rocketjob):
    async def main():
        job = await KeptJob.create_async(text="a")
        assert (await KeptJob.find_async(str(job.id))).text == "a"
        await job.update_async(text="b")
        other = await Job.find_async(job.id)
        other.text = "c"
        await other.save_async()
        assert (await job.reload_async()).text == "c"
        await off_loop(job.abort, reason="asked for")
        assert (await job.reload_async()).is_aborted
        await job.destroy_async()
        assert await KeptJob.first_async() is None

    asyncio.run(main())


def test_queries_are_answered(rocketjob):
    async def main():
        await KeptJob.create_many_async({"number": number} for number in range(250))
        few = KeptJob.where({"number": {"$lt": 5}}).order_by("-number")
        assert [job.number for job in await few.list_async()] == [4, 3, 2, 1, 0]
        assert [job.number async for job in KeptJob.all()] == [*range(250)]
        assert (await few.first_async()).number == 4
        assert (await few.last_async()).number == 0
        assert (await KeptJob.last_async()).number == 249
        assert await few.count_async() == 5
        assert await few.count_async(at_most=3) == 3
        assert await KeptJob.count_async() == 250
        assert await few.exists_async()
        assert await few.pluck_async("number") == [4, 3, 2, 1, 0]
        assert await few.update_all_async(priority=1) == 5
        assert await KeptJob.where(priority=1).delete_all_async() == 5
        assert await KeptJob.where({"number": {"$lt": 10}}).destroy_all_async() == 5
        assert await KeptJob.queued().count_async() == 240

    asyncio.run(main())


def test_arguments_are_for_perform(rocketjob):
    class GreetingAsyncJob(Job):
        destroy_on_complete = False
        collect_output = True

        def perform(self, name: str):
            return f"hello {name}"

    async def main():
        first = await GreetingAsyncJob.perform_later_async("ann")
        second = await GreetingAsyncJob.set(priority=1).perform_later_async("bob")
        with pytest.raises(TypeError):
            await GreetingAsyncJob.perform_later_async(5)
        return first, second

    first, second = asyncio.run(main())
    rocketjob.work_off()
    assert [job.reload().result["result"] for job in (first, second)] == ["hello ann", "hello bob"]


def test_a_job_that_is_created_in_a_coroutine_of_another_says_so(rocketjob):
    job = CreatingAsyncJob.create()
    rocketjob.work_off()
    assert KeptJob.first().created_in == job.id


# --- waiting --------------------------------------------------------------------------------------


async def _until_waiting(jobs):
    waiting = awaited.awaited()._waiting
    while sum(job.id in waiting for job in jobs) < len(jobs):
        await asyncio.sleep(0.001)


def test_hundreds_wait_at_once_and_hold_no_thread(rocketjob):
    async def main():
        jobs = await KeptJob.create_many_async([{}] * 300)
        waits = [asyncio.create_task(job.wait_async(PATIENCE)) for job in jobs]
        await _until_waiting(jobs)
        assert await KeptJob.count_async() == 300  # there is a thread for it
        await off_loop(rocketjob.work_off)
        return await asyncio.gather(*waits)

    assert all(job.is_completed for job in asyncio.run(main()))


def test_a_job_that_is_removed_when_it_completes_is_completed_for_who_waits(rocketjob):
    async def main():
        job = await PassingJob.create_async()
        waiting = asyncio.create_task(job.wait_async(PATIENCE))
        await _until_waiting([job])
        await off_loop(rocketjob.work_off)
        return await waiting

    assert asyncio.run(main()).is_completed


def test_a_job_that_has_ended_is_not_waited_for(rocketjob):
    job = KeptJob.create()
    rocketjob.work_off()
    assert asyncio.run(job.wait_async(timeout=0)).is_completed


def test_who_waits_too_long_is_told_so(rocketjob):
    job = KeptJob.create()
    with pytest.raises(JobTimeout, match="has not ended after"):
        asyncio.run(job.wait_async(timeout=0.01))
    assert job.is_queued


def test_who_waits_for_a_job_that_is_destroyed_is_told_so(rocketjob):
    async def main():
        job = await KeptJob.create_async()
        waiting = asyncio.create_task(job.wait_async(PATIENCE))
        await _until_waiting([job])
        await (await Job.find_async(job.id)).destroy_async()
        with pytest.raises(NotFound):
            await waiting

    asyncio.run(main())


def test_who_waits_hears_that_the_store_is_away(rocketjob, monkeypatch):
    async def main():
        job = await KeptJob.create_async()
        monkeypatch.setattr(rocketjob.store, "change_mark", _away)
        with pytest.raises(StoreUnavailable):
            await job.wait_async(PATIENCE)

    asyncio.run(main())


def _away():
    raise StoreUnavailable("the store is away")


def test_waiting_can_be_cancelled_and_two_may_wait_for_one_job(rocketjob):
    async def main():
        job = await KeptJob.create_async()
        one, two = (asyncio.create_task((KeptJob.find(job.id)).wait_async()) for _ in range(2))
        await _until_waiting([job])
        while len(awaited.awaited()._waiting[job.id]) < 2:
            await asyncio.sleep(0.001)
        one.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one
        await off_loop(rocketjob.work_off)
        assert (await two).is_completed
        assert not awaited.awaited()._waiting

    asyncio.run(main())


def test_a_job_that_is_tried_again_before_anybody_looked_is_waited_for_further(rocketjob):
    job = KeptJob.create()

    async def main():
        waiting = asyncio.create_task(job.wait_async(PATIENCE))
        await _until_waiting([job])
        awaited.awaited()._tell([job.id])  # as if it had been seen to have ended
        await _until_waiting([job])
        assert not waiting.done()
        await off_loop(rocketjob.work_off)
        return await waiting

    assert asyncio.run(main()).is_completed
