"""Async jobs on the event loop of a worker process: hundreds at once, without a thread each."""

import asyncio
import contextlib
import contextvars
import threading
from datetime import timedelta

import pytest

from rocketjob import Discard, Job, Snooze, after, around, before, configure, current_job, hookimpl
from rocketjob.base import clock
from rocketjob.jobs.performance import performance_of
from rocketjob.server.subscribers import WorkerSubscriber
from rocketjob.worker import async_loop, limits, loop_watch, loop_workers
from rocketjob.worker.pool import WorkerPool
from rocketjob.worker.runner import Worker
from rocketjob.worker.slots import Slots
from rocketjob.worker.stacks import stacks, work
from rocketjob.worker.steps import claimed_job_steps, runs_on_loop
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.retry import Retry
from rocketjob_plugins.throttle import Throttle
from support.jobs import KeptJob, stored
from support.runtime import PATIENCE, Gate, count, eventually, queue_of, running_pool, stop_claiming

FAST = timedelta(milliseconds=50)
TENANT = contextvars.ContextVar("tenant of a job", default=None)


class LoopGate:
    """What coroutines wait at, so that a test decides when they end."""

    def __init__(self):
        self.entered, self.cleaned, self.futures = [], [], []
        self.is_open = False

    async def pass_through(self, job):
        future = asyncio.get_running_loop().create_future()
        self.futures.append(future)
        self.entered.append(job.id)
        try:
            if not self.is_open:
                await future  # HERE it waits
        finally:
            self.cleaned.append(job.id)

    def open(self):
        self.is_open = True
        for future in (each for each in self.futures if not each.done()):
            with contextlib.suppress(RuntimeError):  # its loop is closed
                future.get_loop().call_soon_threadsafe(_let_go, future)


def _let_go(future):
    if not future.done():
        future.set_result(None)


gate, thread_gate = LoopGate(), Gate()


@pytest.fixture(autouse=True)
def nobody_has_entered():
    gate.__init__()
    thread_gate.__init__()
    OnLoopHeldUpJob.begun = []
    yield
    gate.open()
    thread_gate.open()


class OnLoopJob(Job):
    destroy_on_complete = False
    collect_output = True
    number: int = 0

    async def perform(self):
        await gate.pass_through(self)
        return threading.current_thread().name


class HoldingThreadJob(Job):
    destroy_on_complete = False
    collect_output = True

    def perform(self):
        thread_gate.pass_through()
        return threading.current_thread().name


class OnLoopRetriedJob(Retry, OnLoopJob):
    retry_limit = 3


class OnLoopFewJob(Throttle, OnLoopJob):
    throttle_running_jobs = 2


def result(job):
    return stored(job)["result"]["result"]


def test_three_hundred_jobs_are_under_way_at_once_on_one_thread(rocketjob):
    OnLoopJob.create_many([{}] * 300)
    with running_pool(rocketjob, threads=1, async_workers=300):
        eventually(lambda: len(gate.entered) == 300)
        assert gate.cleaned == []
        gate.open()
        eventually(lambda: OnLoopJob.completed().count() == 300)
    assert {job.result["result"] for job in OnLoopJob.all()} == {"rocketjob-async"}


def test_no_more_are_claimed_than_there_are_places_and_the_most_urgent_first(rocketjob):
    jobs = [OnLoopJob.create(priority=priority) for priority in (30, 10, 20)]
    with running_pool(rocketjob, async_workers=2):
        eventually(lambda: len(gate.entered) == 2)
        assert stored(jobs[0])["state"] == "queued"
        assert set(gate.entered) == {jobs[1].id, jobs[2].id}
        gate.open()
        eventually(lambda: count(state="completed") == 3)
    assert gate.entered[2] == jobs[0].id


def test_a_plain_perform_is_never_on_the_loop_and_neither_kind_waits_for_the_other(rocketjob):
    holding = [HoldingThreadJob.create(priority=1) for _ in range(2)]
    with running_pool(rocketjob, threads=1, async_workers=1):
        thread_gate.wait_for_entry()
        first = OnLoopJob.create()
        eventually(lambda: gate.entered == [first.id])
        OnLoopJob.create()
        assert count(state="queued") == 2  # one of each kind, and all places are taken
        gate.open()
        eventually(lambda: OnLoopJob.completed().count() == 2)
        assert HoldingThreadJob.completed().count() == 0
        thread_gate.open()
        eventually(lambda: count(state="completed") == 4)
    assert all(" thread 1" in result(job) for job in holding)


def test_without_places_an_async_job_takes_a_thread(rocketjob):
    OnLoopJob.create_many([{}] * 2)
    with running_pool(rocketjob, threads=1):
        eventually(lambda: gate.entered)
        assert OnLoopJob.queued().count() == 1
        gate.open()
        eventually(lambda: count(state="completed") == 2)


class OnLoopAroundJob(OnLoopJob):
    @around("perform")
    def _opened_and_closed_on_one_thread(self):
        self.number = threading.get_ident()
        yield
        assert self.number == threading.get_ident()


class OnLoopRecordsJob(Batch, Job):
    async def perform(self, record):
        await asyncio.sleep(0)


class OnLoopIsolatedJob(OnLoopJob):
    isolation = "process"


def test_what_has_to_stay_on_one_thread_is_not_for_the_loop(rocketjob):
    assert runs_on_loop(OnLoopJob)
    assert runs_on_loop(OnLoopRetriedJob)
    others = (KeptJob, OnLoopAroundJob, OnLoopRecordsJob, OnLoopIsolatedJob)
    assert not any(map(runs_on_loop, others))
    job = OnLoopAroundJob.create()
    gate.open()
    with running_pool(rocketjob, async_workers=2):
        eventually(lambda: stored(job)["state"] == "completed")


# --- what is around it ---------------------------------------------------------------------------


class OnLoopCallbacksJob(Job):
    destroy_on_complete = False
    seen = None

    @before("start", "perform", "complete")
    @after("perform", "complete")
    def _note(self):
        assert current_job().id == self.id
        self.seen.append(threading.current_thread().name.partition(" ")[2].partition(" ")[0])

    async def perform(self):
        assert current_job() is self
        self.seen.append("loop")


def test_callbacks_are_called_on_threads_which_may_wait(rocketjob):
    OnLoopCallbacksJob.seen = seen = []
    OnLoopCallbacksJob.create()
    with running_pool(rocketjob, async_workers=2):
        eventually(lambda: len(seen) == 6)
    assert seen == ["steps", "steps", "loop", "steps", "steps", "steps"]


class OnLoopContextJob(Job):
    destroy_on_complete = False
    collect_output = True
    number: int

    @before("perform")
    def _set(self):
        assert TENANT.get() is None
        TENANT.set(self.number)

    async def perform(self):
        await gate.pass_through(self)
        child = await asyncio.create_task(self._child())
        TENANT.set(TENANT.get() * 10)
        return child

    async def _child(self):
        assert current_job() is self
        return TENANT.get()

    @after("perform")
    def _keep(self):
        self.number = TENANT.get()


def test_each_job_has_context_variables_of_its_own(rocketjob):
    jobs = [OnLoopContextJob.create(number=number) for number in range(1, 21)]
    with running_pool(rocketjob, async_workers=20):
        eventually(lambda: len(gate.entered) == 20)
        gate.open()
        eventually(lambda: count(state="completed") == 20)
    assert [result(job) for job in jobs] == [*range(1, 21)]
    assert [stored(job)["number"] for job in jobs] == [*range(10, 210, 10)]


class WrappingOnLoop:
    def __init__(self):
        self.seen = []

    @hookimpl(wrapper=True)
    def perform(self, job, part):
        token = TENANT.set("wrapped")
        try:
            self.seen.append((yield))
        except BaseException as error:
            self.seen.append(error)
            raise
        finally:
            TENANT.reset(token)


class OnLoopWrappedJob(Job):
    destroy_on_complete = False
    fails: bool = False

    async def perform(self):
        await asyncio.sleep(0)
        if self.fails:
            raise LookupError(TENANT.get())
        return TENANT.get()


def test_wrappers_of_plugins_are_around_it(rocketjob):
    wrapping = WrappingOnLoop()
    rocketjob.plugins.register(wrapping, "wrapping-on-loop")
    with running_pool(rocketjob, async_workers=2):
        OnLoopWrappedJob.create()
        eventually(lambda: count(state="completed") == 1)
        failed = OnLoopWrappedJob.create(fails=True)
        eventually(lambda: count(state="failed") == 1)
    assert wrapping.seen[0] == "wrapped"
    assert repr(wrapping.seen[1]) == "LookupError('wrapped')"
    assert stored(failed)["exception"]["class_name"] == "LookupError"


class OnLoopEndingJob(Job):
    destroy_on_complete = False
    how: str

    async def perform(self):
        await asyncio.sleep(0)
        if self.how == "snooze":
            raise Snooze(timedelta(hours=1), "later")
        if self.how == "discard":
            raise Discard("of no use")
        if self.how == "fail":
            raise RuntimeError("oh no")
        if self.how == "exit":
            raise SystemExit(3)
        if self.how == "close":
            raise GeneratorExit
        if self.how == "cancel":
            asyncio.current_task().cancel()
            await asyncio.sleep(PATIENCE)
        return asyncio.sleep(0)  # nobody awaits it


def test_it_ends_as_any_other(rocketjob):
    how = ("snooze", "discard", "fail", "exit", "close", "cancel", "lazy")
    jobs = {each: OnLoopEndingJob.create(how=each) for each in how}
    with running_pool(rocketjob, async_workers=3):
        eventually(lambda: count(state="failed") == 5 and count(state="aborted") == 1)
    found = {each: stored(job) for each, job in jobs.items()}
    assert found["snooze"]["state"] == "queued" and found["snooze"]["run_at"]
    assert found["discard"]["state"] == "aborted"
    failed = {each: found[each]["exception"]["class_name"] for each in how[2:]}
    assert failed == {
        "fail": "RuntimeError",
        "exit": "SystemExit",
        "close": "GeneratorExit",
        "cancel": "CancelledError",
        "lazy": "TypeError",
    }
    assert "in perform" in "".join(found["fail"]["exception"]["backtrace"])


class OnLoopTasksJob(Job):
    async def perform(self):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._fetch("a"))
            tasks.create_task(self._fetch("b"))

    async def _fetch(self, what):
        if what == "b":
            raise LookupError("no b")  # HERE it fails


def test_of_a_group_of_errors_each_is_told(rocketjob):
    job = OnLoopTasksJob.create()
    with running_pool(rocketjob, async_workers=1):
        eventually(lambda: stored(job)["state"] == "failed")
    exception = job.reload().exception
    assert exception.message.endswith("(1 sub-exception): LookupError: no b")
    assert "LookupError: no b" in exception.backtrace
    assert "# HERE it fails" in "".join(exception.backtrace)


def test_steps_that_nobody_goes_on_with_are_no_failure(rocketjob):
    job = OnLoopJob.create()
    (claimed,) = queue_of(rocketjob).claim(1)
    steps = claimed_job_steps(claimed, Worker(), list)
    contextvars.copy_context().run(next, steps).close()
    steps.close()  # as the interpreter does at its end
    assert stored(job)["state"] == "running"  # until it is reclaimed


class OnLoopAgainJob(Retry, Job):
    destroy_on_complete = False
    retry_limit = 3
    times: int = 0

    def retry_delay(self, attempt):
        return 0

    async def perform(self):
        self.times += 1
        await asyncio.sleep(0)
        if self.failure_count < 2:
            raise RuntimeError("not yet")


def test_a_limit_and_a_retry_hold_for_it(rocketjob):
    few = [OnLoopFewJob.create() for _ in range(3)]
    with running_pool(rocketjob, async_workers=9):
        eventually(lambda: len(gate.entered) == 2)
        again = OnLoopAgainJob.create()
        eventually(lambda: stored(again)["state"] == "completed")
        assert len(gate.entered) == 2
        gate.open()
        eventually(lambda: OnLoopFewJob.completed().count() == len(few))
    assert stored(again)["times"] == 3


# --- to its end ----------------------------------------------------------------------------------


def test_one_that_is_aborted_is_cancelled_and_can_clean_up(rocketjob):
    job, other = OnLoopJob.create(), OnLoopJob.create()
    with running_pool(rocketjob, async_workers=2) as pool, WorkerSubscriber.subscribed(pool):
        eventually(lambda: len(gate.entered) == 2)
        Job.find(job.id).abort()
        pool.interrupt(job.id)  # as the event does
        eventually(lambda: gate.cleaned == [job.id])
        gate.open()
        eventually(lambda: stored(other)["state"] == "completed")
    assert stored(job)["state"] == "aborted"


def test_one_that_takes_too_long_is_cancelled(rocketjob):
    job = OnLoopJob.create(timeout=FAST)
    with running_pool(rocketjob, async_workers=2):
        eventually(lambda: stored(job)["state"] == "failed")
    assert stored(job)["exception"]["class_name"] == "JobTimeout"
    assert gate.cleaned == [job.id]


class OnLoopStubbornJob(Job):
    destroy_on_complete = False

    async def perform(self):
        while not gate.is_open:
            try:
                await gate.pass_through(self)
            except asyncio.CancelledError:
                self.logger.info("it goes on all the same")


def test_one_that_does_not_let_itself_be_cancelled_is_failed_with_where_it_is(
    rocketjob, monkeypatch, caplog
):
    monkeypatch.setattr(limits, "GIVE_UP_SECONDS", 0.05)
    job = OnLoopStubbornJob.create(timeout=FAST)
    with running_pool(rocketjob, threads=1, async_workers=2):
        eventually(lambda: stored(job)["state"] == "failed")
        fine = KeptJob.create()  # the process is of use all the same
        eventually(lambda: stored(fine)["state"] == "completed")
        gate.open()
        eventually(lambda: "ClaimLost" in caplog.text)
    assert "could not be interrupted" in stored(job)["exception"]["message"]
    assert "# HERE it waits" in "".join(stored(job)["exception"]["backtrace"])


@pytest.fixture
def ended(monkeypatch):
    """What processes would have ended for that gave themselves up."""
    monkeypatch.setattr(limits, "GIVE_UP_SECONDS", 0.05)
    ended = []
    monkeypatch.setattr(limits, "end_as_spoilt", ended.append)
    return ended


def test_a_process_whose_places_all_hang_gives_itself_up(rocketjob, ended):
    jobs = [OnLoopStubbornJob.create(timeout=FAST) for _ in range(2)]
    with running_pool(rocketjob, async_workers=2):
        eventually(lambda: ended)
        assert {stored(job)["state"] for job in jobs} == {"failed"}
        gate.open()
    assert ended[0] == "every place on the event loop hangs at a job that is past its timeout"


def test_a_process_whose_loop_is_blocked_by_a_job_past_its_timeout_gives_itself_up(
    rocketjob, monkeypatch, ended
):
    monkeypatch.setattr(loop_watch, "BLOCKED_SECONDS", 0.05)
    monkeypatch.setattr(loop_watch, "WAIT_SECONDS", 0.02)
    job = BlockingLoopJob.create(timeout=FAST)
    with running_pool(rocketjob, async_workers=9):
        eventually(lambda: ended)
        assert stored(job)["state"] == "failed"
        assert "# HERE it blocks" in "".join(stored(job)["exception"]["backtrace"])
        thread_gate.open()
    assert "blocks the event loop, and is past its timeout" in ended[0]


def test_no_process_ends_for_one_past_its_timeout_that_waits_for_a_blocked_loop(
    rocketjob, monkeypatch, ended
):
    monkeypatch.setattr(loop_watch, "BLOCKED_SECONDS", 0.05)
    monkeypatch.setattr(loop_watch, "WAIT_SECONDS", 0.01)
    looked = []
    look = loop_watch.LoopWatch._end_if_given_up
    monkeypatch.setattr(
        loop_watch.LoopWatch,
        "_end_if_given_up",
        lambda self, answered: looked.append(look(self, answered)),
    )
    blocking = BlockingLoopJob.create()
    with running_pool(rocketjob, async_workers=9):
        thread_gate.wait_for_entry()
        waiting = OnLoopJob.create(timeout=FAST)
        eventually(lambda: stored(waiting)["state"] == "failed")
        before = len(looked)
        eventually(lambda: len(looked) > before + 1)
        thread_gate.open()
        eventually(lambda: stored(blocking)["state"] == "completed")
    assert ended == []


class OnLoopSlowJob(OnLoopJob):
    stuck_after = FAST


def test_one_that_takes_long_says_where_it_waits(rocketjob):
    job = OnLoopSlowJob.create()
    with running_pool(rocketjob, async_workers=2):
        (remark,) = eventually(lambda: [*job.reload().remarks()])
        gate.open()
    assert "# HERE it waits" in remark.text


def test_at_the_end_of_the_grace_period_it_is_cancelled_cleans_up_and_is_queued_again(rocketjob):
    configure(grace_seconds=0.1)
    slots = Slots(2 + 2)
    slots.set_beat(clock.monotonic())
    jobs = [OnLoopJob.create(), OnLoopRetriedJob.create()]
    with running_pool(rocketjob, async_workers=2, watch=slots):
        eventually(lambda: len(gate.entered) == 2)
    assert slots.cut_short == 2  # the server's exit code says so
    slots.close()
    assert sorted(gate.cleaned) == sorted(job.id for job in jobs)
    assert {stored(job)["state"] for job in jobs} == {"queued"}
    assert {stored(job)["failure_count"] for job in jobs} == {0}


class OnLoopUncleanJob(OnLoopJob):
    how: str

    async def perform(self):
        if self.how == "tasks":
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._wait())
                tasks.create_task(self._wait())
        else:
            await self._wait()

    async def _wait(self):
        try:
            await gate.pass_through(self)
        finally:
            if self.how == "snooze":
                raise Snooze(timedelta(hours=1), "tries later")
            raise ConnectionError("it cannot be closed")


def test_what_fails_as_it_cleans_up_does_not_hide_why_it_was_cancelled(rocketjob):
    jobs = {how: OnLoopUncleanJob.create(how=how) for how in ("plain", "tasks", "snooze")}
    late = OnLoopUncleanJob.create(how="plain", timeout=FAST)
    with running_pool(rocketjob, async_workers=4) as pool:
        eventually(lambda: len(gate.entered) == 5)
        eventually(lambda: stored(late)["state"] == "failed")
        configure(grace_seconds=0.1)
        pool.config = rocketjob.application.config
    exception = late.reload().exception
    assert (exception.class_name, exception.cause.class_name) == ("JobTimeout", "ConnectionError")
    found = {how: stored(job) for how, job in jobs.items()}
    assert {each["state"] for each in found.values()} == {"queued"}
    assert {how: "run_at" in each for how, each in found.items()} == {
        "plain": False,
        "tasks": False,
        "snooze": True,
    }


class OnLoopImpatientJob(OnLoopJob):
    async def perform(self):
        await gate.pass_through(self)
        async with asyncio.timeout(0):
            await asyncio.sleep(PATIENCE)


def test_its_own_timeout_is_a_failure_also_once_the_server_stops(rocketjob):
    job = OnLoopImpatientJob.create()
    with running_pool(rocketjob, async_workers=1) as pool:
        eventually(lambda: gate.entered)
        pool.stop()
        performing = pool.on_loop.workers[0].job
        eventually(lambda: performance_of(performing).asked)
        gate.open()
    assert stored(job)["exception"]["class_name"] == "TimeoutError"


def test_within_the_grace_period_it_comes_to_its_end(rocketjob):
    job = OnLoopJob.create()
    with running_pool(rocketjob, async_workers=2) as pool:
        eventually(lambda: gate.entered)
        stop_claiming(pool)
        OnLoopJob.create()
        gate.open()
    assert stored(job)["state"] == "completed"
    assert OnLoopJob.queued().count() == 1


class OnLoopHeldUpJob(Job):
    destroy_on_complete = False
    begun = None

    @before("start")
    def _wait(self):
        self.begun.append(self.id)
        thread_gate.pass_through()

    async def perform(self): ...


def test_what_was_claimed_and_not_begun_is_released_at_the_end(rocketjob, monkeypatch):
    monkeypatch.setattr(loop_workers, "THREADS", 1)
    jobs = [OnLoopHeldUpJob.create() for _ in range(3)]
    with running_pool(rocketjob, async_workers=3) as pool:
        thread_gate.wait_for_entry()
        eventually(lambda: count(state="running") == 3)
        pool.stop()
        eventually(lambda: count(state="queued") == 2)
        thread_gate.open()
    assert [stored(job)["state"] for job in jobs] == ["completed", "queued", "queued"]


def test_few_are_claimed_ahead_and_an_urgent_one_is_begun_before_those(rocketjob, monkeypatch):
    monkeypatch.setattr(loop_workers, "THREADS", 1)
    monkeypatch.setattr(loop_workers, "CLAIM_LIMIT", 4)
    monkeypatch.setattr(loop_workers, "STUCK_SECONDS", PATIENCE)
    jobs = OnLoopHeldUpJob.create_many([{}] * 3)
    with running_pool(rocketjob, async_workers=20) as pool:
        thread_gate.wait_for_entry()
        eventually(lambda: count(state="running") == 3)
        urgent = OnLoopHeldUpJob.create(priority=1)
        eventually(lambda: stored(urgent)["state"] == "running")
        OnLoopHeldUpJob.create_many([{}] * 5)
        eventually(lambda: pool.on_loop.room == 0)
        thread_gate.open()
        eventually(lambda: count(state="completed") == 9)
    assert [id for id in OnLoopHeldUpJob.begun if id != jobs[0].id][:2] == [urgent.id, jobs[1].id]


def test_what_waits_for_a_callback_that_waits_is_left_to_others(rocketjob, monkeypatch):
    monkeypatch.setattr(loop_workers, "THREADS", 1)
    monkeypatch.setattr(loop_workers, "STUCK_SECONDS", 0.05)
    jobs = [OnLoopHeldUpJob.create() for _ in range(3)]
    with running_pool(rocketjob, async_workers=3):
        thread_gate.wait_for_entry()
        eventually(lambda: count(state="queued") == 2)
        thread_gate.open()
        eventually(lambda: count(state="completed") == len(jobs))


def test_claims_that_are_under_way_on_the_loop_are_not_taken_for_lost(rocketjob):
    configure(re_check_seconds=0.02, max_poll_seconds=0.02)
    job = OnLoopJob.create()
    with running_pool(rocketjob, async_workers=2) as pool:
        eventually(lambda: gate.entered)
        checked = pool._next_check
        eventually(lambda: pool._next_check > checked)
        pool.wake()
        assert stored(job)["state"] == "running"
        gate.open()
        eventually(lambda: stored(job)["state"] == "completed")
    assert gate.entered == [job.id]


# --- who looks -----------------------------------------------------------------------------------


class BlockingLoopJob(Job):
    destroy_on_complete = False

    async def perform(self):
        await asyncio.create_task(self._child())

    async def _child(self):
        thread_gate.pass_through()  # HERE it blocks


def test_one_that_blocks_the_loop_is_warned_of_with_its_line_and_how_long(
    rocketjob, monkeypatch, caplog
):
    monkeypatch.setattr(loop_watch, "BLOCKED_SECONDS", 0.05)
    job = BlockingLoopJob.create()
    with running_pool(rocketjob, async_workers=2):
        thread_gate.wait_for_entry()
        eventually(lambda: "the event loop is blocked" in caplog.text)
        thread_gate.open()
        eventually(lambda: "the event loop goes on" in caplog.text)
    records = [each for each in caplog.records if "the event loop" in each.getMessage()]
    first, last = (each.rocketjob_fields for each in records[:2])
    assert first["job_id"] == last["job_id"] == str(job.id)
    assert first["job"] == "BlockingLoopJob"
    assert last["blocked_seconds"] >= first["seconds"] > 0


def test_a_dump_says_where_each_coroutine_waits(rocketjob):
    jobs = [OnLoopJob.create() for _ in range(2)]
    with running_pool(rocketjob, async_workers=5) as pool:
        eventually(lambda: len(gate.entered) == 2)
        eventually(lambda: all(w.coroutine for w in pool.all_workers() if w.job and w.number > 2))
        dumped = [each for each in stacks(pool.all_workers()) if "job_id" in each]
        at_work = work(pool.all_workers())
        gate.open()
    for found in (dumped, at_work):
        assert {each["job_id"] for each in found} == {str(job.id) for job in jobs}
        assert {each["thread"] for each in found} == {"rocketjob-async"}
    assert all("# HERE it waits" in "".join(each["stack"]) for each in dumped)


def test_the_supervisor_sees_what_is_under_way_on_the_loop(rocketjob):
    slots = Slots(1 + 3)
    slots.set_beat(clock.monotonic())
    try:
        job = OnLoopJob.create()
        with running_pool(rocketjob, threads=1, async_workers=3, watch=slots) as pool:
            eventually(lambda: gate.entered)
            assert slots.performed() == [str(job.id)]
            gate.open()
            eventually(lambda: pool.worked == 1)
            eventually(lambda: slots.started() == set())
        assert slots.worked == 1
    finally:
        slots.close()


def test_in_quarantine_a_group_is_on_the_loop_and_what_crashed_alone_is_alone(rocketjob):
    group = [OnLoopJob.create(number=number) for number in range(3)]
    alone = [OnLoopJob.create(priority=1), HoldingThreadJob.create(priority=1)]
    jobs = Job.collection()
    jobs.update_many({"_id": {"$in": [job.id for job in group]}}, {"$set": {"suspected": -1}})
    jobs.update_many({"_id": {"$in": [job.id for job in alone]}}, {"$set": {"suspected": 1}})
    queue = queue_of(rocketjob, quarantined=True)
    pool = WorkerPool(queue, 1, rocketjob.application.config, async_workers=2)
    pool.end_when_idle = True
    runner = threading.Thread(target=pool.run, daemon=True)
    runner.start()
    eventually(lambda: len(gate.entered) == 2)
    assert set(gate.entered) < {job.id for job in group}
    assert count(state="running") == 2  # nothing beside them
    gate.open()
    thread_gate.wait_for_entry()
    assert count(state="running") == 1
    thread_gate.open()
    runner.join(PATIENCE)
    assert not runner.is_alive()
    assert count(state="completed") == 5
    assert {result(job) for job in group} == {"rocketjob-async"}


def test_a_process_without_async_classes_asks_for_none(rocketjob):
    configure(include="^KeptJob$")
    with running_pool(rocketjob, async_workers=5) as pool:
        assert pool.on_loop.room == 0
        job = KeptJob.create()
        eventually(lambda: stored(job)["state"] == "completed")
    assert pool.on_loop._threads == []
    assert async_loop._loop is None
