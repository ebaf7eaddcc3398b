"""The mixin Resumable: jobs that go on where they were."""

import asyncio
import itertools
import threading

import pytest

from rocketjob import ClaimLost, Job, ServerStopping, StateConflict, StoreUnavailable
from rocketjob.jobs.performance import performance_of
from rocketjob.queue.reclaim import requeue_claims
from rocketjob.testing.store_contract.mortal import Mortal
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.resumable import Resumable, RowsChanged, mark_of
from support.jobs import stored
from support.runtime import PATIENCE, eventually, running_pool

DONE = []  # rows, in the order in which perform was through with them


class CopyingJob(Resumable, Job):
    destroy_on_complete = False
    every: int = 3
    copied: int = 0
    rows = staticmethod(lambda: range(10))
    each = staticmethod(lambda job, row: None)

    def perform(self):
        for row in self.resumable(type(self).rows(), every=self.every):
            type(self).each(self, row)
            DONE.append(row)
            self.copied += 1
        for row in self.resumable(["x", "y"], every=1):
            DONE.append(row)


class PagingJob(Resumable, Job):
    destroy_on_complete = False
    fails_at: int = 99

    def perform(self):
        for page in range(self.checkpointed.get("page", -1) + 1, 5):
            if page == self.fails_at:
                raise RuntimeError("no line")
            DONE.append(page)
            self.checkpoint(page=page)


class ResumableBatchJob(Resumable, Batch, Job):
    def perform(self, record):
        list(self.resumable([1, 2]))


@pytest.fixture(autouse=True)
def _nothing_done():
    DONE.clear()


def at_row(number, act):
    """Return what acts once, when a row is in work."""
    left = [act]

    def each(job, row):
        if row == number and left:
            left.pop()(job)

    return staticmethod(each)


def fail(job):
    raise RuntimeError("no line")


# --- going on ---------------------------------------------------------------------------------


def test_a_job_that_failed_goes_on_from_the_last_checkpoint(rocketjob, monkeypatch):
    monkeypatch.setattr(CopyingJob, "each", at_row(7, fail))
    job = CopyingJob.create()
    rocketjob.work_off()
    assert job.reload().is_failed
    assert (DONE, job.resumes["1"]["rows"]) == ([0, 1, 2, 3, 4, 5, 6], 6)
    DONE.clear()
    job.retry()
    rocketjob.work_off()
    assert (job.reload().state, DONE) == ("completed", [6, 7, 8, 9, "x", "y"])


def test_it_goes_on_in_the_second_loop(rocketjob, monkeypatch):
    monkeypatch.setattr(CopyingJob, "rows", staticmethod(lambda: iter(range(4))))
    job = CopyingJob.create()
    with Mortal(rocketjob.store).dies_at(5):  # the start, two of the first loop, one of the second
        rocketjob.work_off()
    DONE.clear()
    requeue_claims(rocketjob.store, rocketjob.plugins, "test.1", crash_limit=3)
    rocketjob.work_off()
    assert job.reload().is_completed
    assert set(DONE) <= {"x", "y"}


def test_killed_at_every_write_no_row_is_left_out_and_few_are_done_again(rocketjob):
    mortal = Mortal(rocketjob.store)
    for number in itertools.count(1):
        DONE.clear()
        job = CopyingJob.create()
        with mortal.dies_at(number):
            rocketjob.work_off(1)
        requeue_claims(rocketjob.store, rocketjob.plugins, "test.1", crash_limit=9)
        rocketjob.work_off()
        document = stored(job)
        assert document["state"] == "completed", number
        assert [*dict.fromkeys(DONE)] == [*range(10), "x", "y"], number
        assert len(DONE) - 12 <= 3, number  # `every`
        assert document["copied"] == 10, number  # stored in the same write as the position
        if not mortal.died:
            break
    assert number > 6, "it was meant to die in between"


@pytest.mark.parametrize("rows_away", [(2,), (2, 5), (5, 8), (9,)])
def test_a_store_that_is_away_at_a_checkpoint_does_not_fail_the_job(
    rocketjob, monkeypatch, rows_away
):
    away = []

    def save(job, *args, **kwargs):
        if DONE[-1:] and DONE[-1] in rows_away:
            away.append(job.resumes["1"]["rows"])
            raise StoreUnavailable("the cable is out")
        return original(job, *args, **kwargs)

    original = CopyingJob.save
    monkeypatch.setattr(CopyingJob, "save", save)
    job = CopyingJob.create()
    rocketjob.work_off()
    assert away and {row + 1 for row in rows_away} == {*away}
    assert (job.reload().state, DONE) == ("completed", [*range(10), "x", "y"])
    assert (job.copied, job.resumes["1"]["rows"]) == (10, 10)


def test_a_job_that_ends_while_the_store_is_away_goes_on_from_the_checkpoint_that_waits(
    rocketjob, monkeypatch
):
    def away(job, *args, **kwargs):
        raise StoreUnavailable("the cable is out")

    def each(job, row):
        if row == 4:
            monkeypatch.setattr(CopyingJob, "save", away)
        if row == 7:
            monkeypatch.undo()
            fail(job)

    monkeypatch.setattr(CopyingJob, "each", staticmethod(each))
    job = CopyingJob.create()
    rocketjob.work_off()
    assert (job.reload().state, job.resumes["1"]["rows"]) == ("failed", 6)
    DONE.clear()
    job.retry()
    rocketjob.work_off()
    assert (job.reload().state, DONE) == ("completed", [6, 7, 8, 9, "x", "y"])


def test_each_checkpoint_of_ones_own_is_the_place_to_go_on(rocketjob):
    job = PagingJob.create(fails_at=3)
    rocketjob.work_off()
    assert (job.reload().checkpointed, DONE) == ({"page": 2}, [0, 1, 2])
    job.fails_at = 99
    job.save()
    job.retry()
    rocketjob.work_off()
    assert (job.reload().state, DONE) == ("completed", [0, 1, 2, 3, 4])


def test_checkpoints_keep_what_earlier_ones_said(rocketjob):
    job = PagingJob.create()
    job.checkpoint(page=1)
    job.checkpoint(file="b")
    assert job.checkpointed == {"page": 1, "file": "b"}


def test_progress_follows_the_rows_unless_the_job_says_something_itself(rocketjob, monkeypatch):
    monkeypatch.setattr(CopyingJob, "each", at_row(7, fail))
    job = CopyingJob.create()
    rocketjob.work_off()
    assert job.reload().progress_text == "6 of 10"
    monkeypatch.setattr(CopyingJob, "each", lambda job, row: job.progress(row, 99, "mine"))
    job.retry()
    assert (job.percent_complete, job.progress_text) == (60, "6 of 10")
    monkeypatch.setattr(
        CopyingJob, "rows", staticmethod(lambda: itertools.chain(range(9), [1 / 0]))
    )
    rocketjob.work_off()
    assert job.reload().is_failed


def test_perform_now_goes_through_all_rows_and_stores_no_checkpoint(rocketjob):
    job = CopyingJob()
    job.perform_now()
    assert (len(DONE), job.is_new, CopyingJob.count()) == (12, True, 0)


# --- pause, abort, stop -----------------------------------------------------------------------


@pytest.mark.parametrize("event", ["pause", "abort"])
def test_a_job_that_is_taken_from_its_worker_ends_at_the_next_checkpoint(
    rocketjob, monkeypatch, event
):
    other = at_row(4, lambda job: getattr(CopyingJob.find(job.id), event)())
    monkeypatch.setattr(CopyingJob, "each", other)
    job = CopyingJob.create()
    rocketjob.work_off()
    assert (job.reload().state, DONE) == (
        {"pause": "paused", "abort": "aborted"}[event],
        [*range(6)],
    )
    assert job.resumes["1"]["rows"] == 3  # what lost its claim has written nothing


def test_a_job_that_was_paused_goes_on_when_it_is_resumed(rocketjob, monkeypatch):
    other = at_row(4, lambda job: CopyingJob.find(job.id).pause())
    monkeypatch.setattr(CopyingJob, "each", other)
    job = CopyingJob.create()
    rocketjob.work_off()
    DONE.clear()
    job.reload().resume()
    rocketjob.work_off()
    assert (job.reload().state, DONE) == ("completed", [*range(3, 10), "x", "y"])


def test_a_job_that_another_worker_has_by_now_is_left_to_it(rocketjob, monkeypatch):
    def steal(job):
        CopyingJob.find(job.id).requeue()
        assert len(rocketjob.queue.claim(1)) == 1

    monkeypatch.setattr(CopyingJob, "each", at_row(4, steal))
    job = CopyingJob.create()
    rocketjob.work_off()
    assert (job.reload().state, job.claim_number, job.resumes["1"]["rows"]) == ("running", 2, 3)


def test_when_the_server_stops_nothing_is_done_again(rocketjob, monkeypatch):
    monkeypatch.setattr(CopyingJob, "each", at_row(4, lambda job: rocketjob.worker.stopping.set()))
    job = CopyingJob.create()
    rocketjob.work_off(1)
    job.reload()
    assert (job.state, job.failure_count, job.resumes["1"]["rows"]) == ("queued", 0, 6)
    assert (job.history[-1].event, job.run_at) == ("requeue", None)
    rocketjob.worker.stopping.clear()
    rocketjob.work_off()
    assert (job.reload().state, DONE) == ("completed", [*range(10), "x", "y"])


def test_losing_the_claim_is_an_error_of_its_own(rocketjob):
    job = CopyingJob.create()
    (claimed,) = rocketjob.queue.claim(1)
    CopyingJob.find(job.id).abort()
    with pytest.raises((ClaimLost, StateConflict)):
        claimed.checkpoint()


# --- rows that are not the same ---------------------------------------------------------------


def rows_change(rocketjob, monkeypatch, first, then):
    """Fail at the seventh of some rows, go on with others; return the job."""
    seventh = []

    def each(job, row):
        seventh.append(row)
        if len(seventh) == 8:
            raise RuntimeError("no line")

    monkeypatch.setattr(CopyingJob, "each", staticmethod(each))
    monkeypatch.setattr(CopyingJob, "rows", staticmethod(first))
    job = CopyingJob.create()
    rocketjob.work_off()
    assert job.reload().resumes["1"]["rows"] == 6
    DONE.clear()
    monkeypatch.setattr(CopyingJob, "rows", staticmethod(then))
    job.retry()
    rocketjob.work_off()
    return job.reload()


@pytest.mark.parametrize(
    ("then", "message"),
    [
        (lambda: range(9), "there were 10 rows, and now there are 9"),
        (lambda: range(5), "there were 10 rows, and now there are 5"),
        (lambda: iter(range(5)), "6 rows were done, and now there are 5"),
        (lambda: range(1, 11), "row 6, the last one that was done, is not what it was"),
        (lambda: iter(["0", 1, 2, 3, 4, "5", 6]), "row 6"),
    ],
)
def test_other_rows_are_refused_with_what_can_be_done(rocketjob, monkeypatch, then, message):
    job = rows_change(rocketjob, monkeypatch, lambda: range(10), then)
    assert (job.state, DONE) == ("failed", [])
    assert job.exception.class_name == RowsChanged.__name__
    assert message in job.exception.message
    assert f"rocketjob jobs set {job.id} start_over=true" in job.exception.message
    monkeypatch.setattr(CopyingJob, "rows", staticmethod(lambda: range(2)))
    job.update(start_over=True)
    job.retry()
    rocketjob.work_off()
    assert (job.reload().state, job.start_over, DONE) == ("completed", False, [0, 1, "x", "y"])


def test_rows_that_were_appended_are_done(rocketjob, monkeypatch):
    job = rows_change(rocketjob, monkeypatch, lambda: range(10), lambda: range(12))
    assert (job.state, DONE) == ("completed", [*range(6, 12), "x", "y"])


def test_rows_appended_to_a_loop_that_had_ended_are_done(rocketjob):
    job = CopyingJob.create()
    (claimed,) = rocketjob.queue.claim(1)
    assert list(claimed.resumable([1, 2])) == [1, 2]
    again = CopyingJob.find(job.id)
    assert list(again.resumable([1, 2, 3])) == [3]
    assert list(CopyingJob.find(job.id).resumable(iter([1, 2, 3]))) == []


def test_a_row_that_the_loop_changes_is_still_known(rocketjob, monkeypatch):
    def each(job, row):
        row["seen"] = True
        if row["n"] == 7 and job.failure_count == 0:
            raise RuntimeError("no line")

    monkeypatch.setattr(CopyingJob, "each", staticmethod(each))
    monkeypatch.setattr(CopyingJob, "rows", staticmethod(lambda: [{"n": n} for n in range(10)]))
    job = CopyingJob.create()
    rocketjob.work_off()
    job.reload().retry()
    rocketjob.work_off()
    assert job.reload().is_completed


def test_rows_that_may_look_different_each_time_are_not_compared():
    assert mark_of(object()) is None
    assert mark_of([1, {"a": object()}]) is None
    assert mark_of({"a": (1, "b", None)}) == mark_of({"a": (1, "b", None)}) != mark_of({"a": 1})
    assert mark_of("\ud800")


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (({1, 2},), TypeError, "a set has another order in each process"),
        ((7,), TypeError, "not iterable"),
        (([], 0), ValueError, "every must be 1 or more, not 0"),
        (([], -5), ValueError, "every must be 1 or more"),
        (([], 1.5), TypeError, "every must be an integer, not 1.5"),
        (([], True), TypeError, "every must be an integer, not True"),
        (([], "1"), TypeError, "every must be an integer, not '1'"),
    ],
)
def test_what_cannot_be_gone_through_is_refused_at_once(rocketjob, arguments, error, message):
    with pytest.raises(error, match=message):
        CopyingJob().resumable(*arguments)


def test_a_loop_within_another_one_is_refused(rocketjob):
    job = CopyingJob()
    with pytest.raises(RuntimeError, match="a loop within another one"):
        for _ in job.resumable([1]):
            list(job.resumable([2]))
    for _ in job.resumable([1, 2]):
        break
    assert list(job.resumable([3])) == [3]


def test_a_batch_needs_no_loop(rocketjob):
    with pytest.raises(RuntimeError, match="is performed in parts, each of which is done or not"):
        ResumableBatchJob().resumable([1, 2])


# --- in a coroutine ------------------------------------------------------------------------------


class CopyingOnLoopJob(Resumable, Job):
    destroy_on_complete = False
    pages: int = 0
    each = None

    async def perform(self):
        async for row in self.resumable(range(10), every=3):
            await type(self).each(self, row)
            DONE.append(row)
        async for row in self.resumable(["x", "y"], every=1):
            DONE.append(row)
        self.pages += 1
        await self.checkpoint_async(page=self.pages)


async def nothing(job, row): ...


def test_in_a_coroutine_a_job_that_failed_goes_on_from_the_last_checkpoint(rocketjob, monkeypatch):
    async def fail_once(job, row):
        if row == 7 and job.failure_count == 0:
            raise RuntimeError("no line")

    monkeypatch.setattr(CopyingOnLoopJob, "each", fail_once)
    job = CopyingOnLoopJob.create()
    rocketjob.work_off()
    assert stored(job)["resumes"]["1"]["rows"] == 6
    job.reload().retry()
    rocketjob.work_off()
    assert [*range(7), *range(6, 10), "x", "y"] == DONE
    assert job.reload().is_completed and job.checkpointed == {"page": 1}


def test_while_a_checkpoint_is_stored_the_event_loop_goes_on(rocketjob, monkeypatch):
    asked, may_save = threading.Event(), threading.Event()
    save = CopyingOnLoopJob.save

    def slow_save(job, *args, **kwargs):
        asked.set()
        assert may_save.wait(PATIENCE), "the event loop stood still"
        return save(job, *args, **kwargs)

    class BesideJob(Job):
        async def perform(self):
            while not asked.is_set():
                await asyncio.sleep(0.001)
            may_save.set()

    monkeypatch.setattr(CopyingOnLoopJob, "each", nothing)
    job = CopyingOnLoopJob.create()
    BesideJob.create()
    monkeypatch.setattr(CopyingOnLoopJob, "save", slow_save)
    with running_pool(rocketjob, threads=2, async_workers=2):
        eventually(lambda: stored(job)["state"] == "completed", PATIENCE)
    assert [*range(10), "x", "y"] == DONE


def test_in_a_coroutine_a_loop_may_be_left_and_none_may_be_within_another(rocketjob):
    job = CopyingOnLoopJob()

    async def main():
        async for _ in job.resumable([1]):
            with pytest.raises(RuntimeError, match="within another"):
                async for _ in job.resumable([2]):
                    pass
        async for _ in job.resumable([1, 2]):
            break
        return [row async for row in job.resumable([3])]

    assert asyncio.run(main()) == [3]


def test_in_a_coroutine_other_rows_are_refused(rocketjob):
    job = CopyingOnLoopJob.create()
    (claimed,) = rocketjob.queue.claim(1)

    async def through(job, rows):
        return [row async for row in job.resumable(rows)]

    assert asyncio.run(through(claimed, [1, 2])) == [1, 2]
    with pytest.raises(RowsChanged, match="there were 2 rows"):
        asyncio.run(through(CopyingOnLoopJob.find(job.id), [1]))


def test_in_a_coroutine_nothing_is_done_again_when_the_server_stops(rocketjob, monkeypatch):
    async def stop(job, row):
        if row == 4 and not stopped:
            stopped.append(True)
            performance_of(job).ask(ServerStopping())

    stopped = []
    monkeypatch.setattr(CopyingOnLoopJob, "each", stop)
    job = CopyingOnLoopJob.create()
    rocketjob.work_off(1)
    assert stored(job)["resumes"]["1"]["rows"] == 5
    assert (stored(job)["state"], DONE) == ("queued", [0, 1, 2, 3, 4])
    rocketjob.work_off()
    assert [*range(10), "x", "y"] == DONE
