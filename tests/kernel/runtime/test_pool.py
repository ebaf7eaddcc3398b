"""The worker pool: claims, performs and commits, whatever the jobs and the store do."""

import asyncio
import threading

import pytest

import rocketjob as rj
from rocketjob import Job, after, before
from rocketjob.base import clock
from rocketjob.base.errors import DocumentTooLarge, NotFound
from rocketjob.jobs import claims, completions
from rocketjob.jobs.claims import claim_of
from rocketjob.queue.dispatch import Queue
from rocketjob.worker import committer
from rocketjob.worker.freshness import Freshness
from rocketjob.worker.pool import WorkerPool
from rocketjob.worker.slots import Slots
from support.jobs import KeptJob, PassingJob, stored
from support.runtime import (
    FlakyStore,
    Gate,
    count,
    events_of,
    eventually,
    queue_of,
    running_pool,
    stop_claiming,
)


class OhNoJob(Job):
    """Raises."""

    def perform(self):
        raise RuntimeError("oh no")


class GateJob(Job):
    """Waits at the gate of its class."""

    destroy_on_complete = False
    gate = None

    def perform(self):
        type(self).gate.pass_through()


@pytest.fixture
def gate():
    GateJob.gate = Gate()
    yield GateJob.gate
    GateJob.gate.open()


def test_jobs_are_performed_and_completed(file_store):
    kept = KeptJob.create(number=7, collect_output=True)
    gone = [PassingJob.create() for _ in range(30)]
    with running_pool(file_store) as pool:
        eventually(lambda: count(state={"$ne": "completed"}) == 0)
        eventually(lambda: pool.worked == 31)
    assert stored(kept)["result"] == {"result": 7}
    assert "claimed_by" not in stored(kept)
    assert not any(stored(job) for job in gone)


def test_what_is_removed_is_noted_for_all_although_the_notes_are_gathered(file_store, monkeypatch):
    monkeypatch.setattr(committer, "NOTE_SECONDS", 1000.0)  # so that only rest or the end is left
    monkeypatch.setattr(committer, "GATHER_COUNT", 10)
    jobs = PassingJob.create_many([{}] * 200)
    with running_pool(file_store, threads=1):
        eventually(lambda: count() == 0)
    notes = list(file_store.store.collection(completions.COLLECTION).find({}))
    assert sorted(id for note in notes for id in note["jobs"]) == sorted(job.id for job in jobs)


def test_a_failing_job_fails_alone(file_store):
    failing, fine = OhNoJob.create(), KeptJob.create()
    with running_pool(file_store):
        eventually(lambda: count(state="failed") == 1 and count(state="completed") == 1)
    assert stored(failing)["exception"]["message"] == "oh no"
    assert stored(fine)["state"] == "completed"


class BrokenTextError(Exception):
    def __str__(self):
        raise ValueError("no text for you")


class UnlikelyJob(Job):
    """Raises what jobs seldom raise."""

    destroy_on_complete = False
    kind: str = "exit"
    where: str = "perform"

    def do(self, where):
        if where == self.where:
            raise {
                "exit": SystemExit(3),
                "interrupt": KeyboardInterrupt(),
                "base": BaseException("base"),
                "cancelled": asyncio.CancelledError(),
                "broken": BrokenTextError(),
                "generator": GeneratorExit(),
            }[self.kind]

    @before("start")
    def at_start(self):
        self.do("start")

    @before("complete")
    def at_complete(self):
        self.do("complete")

    @after("complete")
    def after_complete(self):
        self.do("after complete")

    @before("fail")
    def at_fail(self):
        self.do("fail")

    @after("fail")
    def after_fail(self):
        self.do("after fail")

    def perform(self):
        self.do("perform")
        if "fail" in self.where:
            raise RuntimeError("as it should")


@pytest.mark.parametrize("kind", ["exit", "interrupt", "base", "cancelled", "broken", "generator"])
@pytest.mark.parametrize("where", ["start", "perform", "complete"])
def test_whatever_a_job_raises_fails_it_and_nothing_else(file_store, kind, where):
    job, next_job = UnlikelyJob.create(kind=kind, where=where), KeptJob.create()
    with running_pool(file_store, threads=1):
        eventually(lambda: count(state={"$in": ["queued", "running"]}) == 0)
    names = {"exit": "SystemExit", "interrupt": "KeyboardInterrupt", "base": "BaseException"}
    names |= {"cancelled": "CancelledError", "broken": "BrokenTextError"}
    names |= {"generator": "GeneratorExit"}
    assert stored(job)["state"] == "failed"
    assert stored(job)["exception"]["class_name"] == names[kind]
    assert stored(next_job)["state"] == "completed"


@pytest.mark.parametrize("kind", ["exit", "interrupt", "broken"])
@pytest.mark.parametrize("where", ["fail", "after fail"])
def test_a_callback_of_fail_that_raises_does_not_hide_the_failure(file_store, kind, where):
    job, next_job = UnlikelyJob.create(kind=kind, where=where), KeptJob.create()
    with running_pool(file_store, threads=1):
        eventually(lambda: count(state={"$in": ["queued", "running"]}) == 0)
    assert stored(job)["state"] == "failed"
    assert stored(job)["exception"]["message"] == "as it should"
    assert stored(next_job)["state"] == "completed"


@pytest.mark.parametrize("kind", ["exit", "interrupt", "broken"])
def test_a_callback_after_completion_that_raises_leaves_the_job_completed(file_store, kind):
    job, next_job = UnlikelyJob.create(kind=kind, where="after complete"), KeptJob.create()
    with running_pool(file_store, threads=1):
        eventually(lambda: count(state="completed") == 2)
        eventually(lambda: stored(job).get("exception"))
    assert stored(job)["state"] == "completed"
    assert stored(next_job)["state"] == "completed"


class SeekingJob(Job):
    """Raises NotFound of another document, as any use of `find` may."""

    def perform(self):
        KeptJob.find("0" * 24)


def test_not_found_of_another_document_fails_the_job(file_store):
    job = SeekingJob.create()
    with running_pool(file_store):
        eventually(lambda: count(state="failed") == 1)
    assert stored(job)["exception"]["class_name"] == "NotFound"


def test_not_found_of_another_document_fails_an_inline_job_too(rocketjob):
    job = SeekingJob()
    with pytest.raises(NotFound):
        job.perform_now()
    assert job.is_failed


def test_a_job_that_is_deleted_while_it_runs_stays_away(file_store, gate, caplog):
    job = GateJob.create()
    with running_pool(file_store):
        gate.wait_for_entry()
        job.collection().delete_one({"_id": job.id})
        gate.open()
        eventually(lambda: "ClaimLost" in caplog.text)
    assert stored(job) is None


def test_a_job_that_somebody_ended_while_it_ran_is_left_as_it_is(file_store, gate, caplog):
    job = GateJob.create()
    with running_pool(file_store):
        gate.wait_for_entry()
        Job.find(job.id).abort()
        gate.open()
        eventually(lambda: "ClaimLost" in caplog.text)
    assert stored(job)["state"] == "aborted"
    assert events_of(job) == ["start", "abort"]


def test_a_claim_that_went_to_another_worker_is_lost_for_this_one(file_store, gate, caplog):
    job = GateJob.create()
    with running_pool(file_store) as pool:
        gate.wait_for_entry()
        stop_claiming(pool)  # or it could be quicker to claim the job than the other worker
        Job.find(job.id).requeue()
        (again,) = queue_of(file_store, "there.1").claim(1)
        gate.open()
        eventually(lambda: "ClaimLost" in caplog.text)
    assert stored(job)["claimed_by"] == "there.1"
    assert stored(job)["claim_number"] == again.claim_number == 2
    assert events_of(job) == ["start", "requeue", "start"]


class SavingJob(Job):
    """Saves in the midst of its work."""

    destroy_on_complete = False
    step: str = ""
    gate = None

    def perform(self):
        self.step, self.percent_complete = "half", 50
        self.save()
        type(self).gate.pass_through()
        self.step = "all"
        self.save()


def test_perform_saves_under_its_claim(file_store):
    SavingJob.gate = Gate()
    job = SavingJob.create()
    with running_pool(file_store):
        SavingJob.gate.wait_for_entry()
        assert stored(job)["step"] == "half"
        assert stored(job)["percent_complete"] == 50
        SavingJob.gate.open()
        eventually(lambda: stored(job)["state"] == "completed")
    assert stored(job)["step"] == "all"


def test_a_save_without_the_claim_ends_the_work(file_store, caplog):
    SavingJob.gate = Gate()
    job = SavingJob.create()
    with running_pool(file_store) as pool:
        SavingJob.gate.wait_for_entry()
        stop_claiming(pool)
        Job.find(job.id).requeue()
        SavingJob.gate.open()
        eventually(lambda: "ClaimLost" in caplog.text)
    assert stored(job)["step"] == "half"
    assert stored(job)["state"] == "queued"
    assert "exception" not in stored(job)


class AsyncJob(Job):
    destroy_on_complete = False
    how: str = "well"

    async def perform(self):
        await asyncio.sleep(0)
        if self.how == "exit":
            raise SystemExit(1)
        if self.how == "task":
            asyncio.create_task(_exits())  # noqa: RUF006 (nobody waits for it: that is the test)
            await asyncio.sleep(0.01)
        if self.how == "cancelled":
            asyncio.current_task().cancel()
            await asyncio.sleep(10)
        return self.how


async def _exits():
    raise SystemExit(2)


def test_an_async_perform_runs_on_the_loop_of_the_process(file_store):
    jobs = [AsyncJob.create(collect_output=True) for _ in range(5)]
    with running_pool(file_store):
        eventually(lambda: count(state="completed") == 5)
    assert {stored(job)["result"]["result"] for job in jobs} == {"well"}


def test_an_async_perform_that_exits_does_not_take_the_loop_with_it(file_store):
    exits = AsyncJob.create(how="exit")
    with running_pool(file_store, threads=1):
        eventually(lambda: stored(exits)["state"] == "failed")
        fine = AsyncJob.create()
        eventually(lambda: stored(fine)["state"] == "completed")
    assert stored(exits)["exception"]["class_name"] == "SystemExit"


@pytest.mark.filterwarnings("ignore:.*Task exception was never retrieved")
def test_a_stray_task_that_exits_does_not_take_the_loop_with_it(file_store):
    stray = AsyncJob.create(how="task")
    with running_pool(file_store, threads=1):
        eventually(lambda: stored(stray)["state"] == "completed")
        fine = AsyncJob.create()
        eventually(lambda: stored(fine)["state"] == "completed")


def test_a_cancelled_async_perform_is_a_failure(file_store):
    job = AsyncJob.create(how="cancelled")
    with running_pool(file_store):
        eventually(lambda: stored(job)["state"] == "failed")
    assert stored(job)["exception"]["class_name"] == "CancelledError"


class WatchfulJob(Job):
    """Notes what is stored when its afters run."""

    destroy_on_complete = False
    seen = []

    @after("complete")
    def look(self):
        WatchfulJob.seen.append(stored(self)["state"])

    def perform(self):
        return None


def test_afters_run_when_the_state_is_stored(file_store):
    WatchfulJob.seen.clear()
    WatchfulJob.create()
    with running_pool(file_store):
        eventually(lambda: WatchfulJob.seen == ["completed"])


def test_a_job_with_afters_is_removed_once_they_have_run(file_store):
    WatchfulJob.seen.clear()
    job = WatchfulJob.create(destroy_on_complete=True)
    with running_pool(file_store):
        eventually(lambda: stored(job) is None)
    assert WatchfulJob.seen == ["completed"]


class StubbornJob(Job):
    """Leaves something on itself, or returns something, that cannot be stored."""

    destroy_on_complete = False
    how: str = "object"
    data: object = None
    failed_with = []

    @after("fail")
    def note(self):
        StubbornJob.failed_with.append(self.exception.class_name)

    def perform(self):
        if self.how == "object":
            return object()
        if self.how == "large":
            return "x" * 17_000_000
        if self.how == "raise large":
            raise RuntimeError("x" * 17_000_000)
        if self.how == "field":
            self.data = object()
        if self.how == "field and raise":
            self.data = object()
            raise RuntimeError("on top of it")
        return None


@pytest.mark.parametrize("how", ["object", "large", "raise large", "field", "field and raise"])
def test_what_cannot_be_stored_fails_that_job_alone(file_store, how):
    StubbornJob.failed_with.clear()
    job = StubbornJob.create(how=how, collect_output=True)
    others = [KeptJob.create() for _ in range(5)]
    with running_pool(file_store, threads=2):
        eventually(lambda: count(state={"$in": ["queued", "running"]}) == 0)
    assert stored(job)["state"] == "failed"
    assert stored(job)["exception"]
    assert {stored(other)["state"] for other in others} == {"completed"}


def test_a_result_that_is_too_large_is_a_failure_with_its_callbacks(file_store):
    StubbornJob.failed_with.clear()
    StubbornJob.create(how="large", collect_output=True)
    with running_pool(file_store, threads=1):
        eventually(lambda: StubbornJob.failed_with == [DocumentTooLarge.__name__])


# --- the store is away for a while --------------------------------------------------------------


def test_finished_work_is_kept_while_the_store_is_away(file_store, gate):
    flaky = FlakyStore(file_store.store)
    job = GateJob.create()
    with running_pool(file_store, store=flaky):
        gate.wait_for_entry()
        flaky.fail("write_many", times=3)
        gate.open()
        eventually(lambda: stored(job)["state"] == "completed")
    assert flaky.left("write_many") == 0
    assert events_of(job) == ["start", "complete"]


def test_a_write_whose_answer_was_lost_is_not_taken_for_a_lost_claim(file_store, gate, caplog):
    flaky = FlakyStore(file_store.store)
    done = []

    class AnswerJob(GateJob):
        @after("complete")
        def note(self):
            done.append(self.id)

    AnswerJob.gate = gate
    job = AnswerJob.create()
    with running_pool(file_store, store=flaky):
        gate.wait_for_entry()
        flaky.fail("write_many", after=True)
        gate.open()
        eventually(lambda: done == [job.id])
    assert events_of(job) == ["start", "complete"]
    assert "ClaimLost" not in caplog.text


def test_a_claim_whose_answer_was_lost_is_released_and_made_again(file_store):
    flaky = FlakyStore(file_store.store)
    flaky.fail("claim_many", after=True)
    job = KeptJob.create()
    # Classes of other tests may have limits, which a claim keeps in a transaction of its own.
    file_store.application.config.include = "^KeptJob$"
    with running_pool(file_store, store=flaky):
        eventually(lambda: stored(job)["state"] == "completed")
    assert events_of(job) == ["start", "give_back", "start", "complete"]


def test_a_claim_that_cannot_be_released_now_is_released_later(file_store, gate):
    flaky = FlakyStore(file_store.store)
    claiming = threading.Event()
    claiming.set()
    GateJob.create()
    with running_pool(file_store, threads=1, store=flaky, may_claim=claiming.is_set) as pool:
        gate.wait_for_entry()
        waiting = KeptJob.create()
        pool._unwanted = queue_of(file_store).claim(1)
        pool._held[waiting.id] = 1
        flaky.fail("write_many", times=2)
        claiming.clear()
        pool.wake()
        eventually(lambda: stored(waiting)["state"] == "queued")
        assert flaky.left("write_many") == 0
        gate.open()


def test_errors_of_the_claimer_do_not_end_it(file_store):
    flaky = FlakyStore(file_store.store)
    flaky.fail("claim_many", error=RuntimeError("a bug"), times=2)
    flaky.fail("change_mark", error=OSError("gone"), times=1)
    job = KeptJob.create()
    with running_pool(file_store, store=flaky):
        eventually(lambda: stored(job)["state"] == "completed")


def test_a_pool_that_stops_waits_for_the_store_to_take_its_results(file_store, gate):
    flaky = FlakyStore(file_store.store)
    job = GateJob.create()
    with running_pool(file_store, store=flaky) as pool:
        gate.wait_for_entry()
        flaky.fail("write_many", times=2)
        pool.stop()
        gate.open()
    assert stored(job)["state"] == "completed"


class FollowedJob(Job):
    """Stores a successor in the step in which it completes."""

    destroy_on_complete = False

    @before("complete")
    def follow(self):
        self.create_with(KeptJob(text="successor", run_at=clock.now().add(hours=1)))

    def perform(self):
        return None


def test_a_successor_is_stored_with_the_completion_when_the_store_is_back(file_store):
    flaky = FlakyStore(file_store.store)
    flaky.fail("write_many", times=2)
    job = FollowedJob.create()
    store = file_store.store
    file_store.application._store = flaky  # what goes in one step goes through the application
    try:
        with running_pool(file_store, store=flaky):
            eventually(lambda: stored(job)["state"] == "completed")
    finally:
        file_store.application._store = store
    assert count(text="successor") == 1
    assert events_of(job) == ["start", "complete"]


def test_a_read_only_store_fails_nothing(file_store, gate):
    """The fault is the store's, though the error does not say that it will pass."""
    from rocketjob.base.errors import StoreError

    flaky = FlakyStore(file_store.store)
    job = GateJob.create()
    with running_pool(file_store, store=flaky):
        gate.wait_for_entry()
        flaky.fail("write_many", error=StoreError("read-only"), times=9)
        gate.open()
        eventually(lambda: flaky.left("write_many") == 0)
        eventually(lambda: stored(job)["state"] == "completed")
    assert events_of(job) == ["start", "complete"]


def test_a_job_that_cannot_be_loaded_fails_alone(file_store):
    class ShyJob(Job):
        shy: bool = False

        @after("initialize")
        def hide(self):
            if self.shy and self.is_running:
                raise RuntimeError("cannot be loaded")

        def perform(self):
            return None

    shy, others = ShyJob.create(shy=True), [KeptJob.create() for _ in range(3)]
    with running_pool(file_store):
        eventually(lambda: count(state={"$in": ["queued", "running"]}) == 0)
    assert stored(shy)["state"] == "failed"
    assert stored(shy)["exception"]["message"] == "cannot be loaded"
    assert "claimed_by" not in stored(shy)
    assert {stored(other)["state"] for other in others} == {"completed"}


def test_an_expired_job_whose_removal_fails_does_not_hold_up_the_others(file_store):
    class ClingingJob(Job):
        @before("destroy")
        def cling(self):
            raise RuntimeError("not yet")

        def perform(self):
            return None

    clinging = ClingingJob.create(expires_at=clock.now().subtract(hours=1))
    other = KeptJob.create()
    with running_pool(file_store):
        eventually(lambda: stored(other)["state"] == "completed")
    assert stored(clinging)["state"] == "failed"


# --- when it claims -----------------------------------------------------------------------------


def test_a_pool_claims_no_more_than_its_threads_can_start(file_store, gate):
    for _ in range(5):
        GateJob.create()
    with running_pool(file_store, threads=2):
        gate.wait_for_entry(2)
        assert count(state="running") == 2
        gate.open()
        eventually(lambda: count(state="completed") == 5)


def test_a_pool_that_may_not_claim_finishes_what_it_runs(file_store, gate):
    allowed, refused = threading.Event(), threading.Event()
    allowed.set()

    def may_claim():
        if not allowed.is_set():
            refused.set()
        return allowed.is_set()

    first = GateJob.create()
    with running_pool(file_store, may_claim=may_claim) as pool:
        gate.wait_for_entry()
        allowed.clear()
        pool.wake()
        eventually(refused.is_set)  # no claim that was allowed before is under way any more
        second = KeptJob.create()
        gate.open()
        eventually(lambda: stored(first)["state"] == "completed")
        assert stored(second)["state"] == "queued"
        allowed.set()
        pool.wake()
        eventually(lambda: stored(second)["state"] == "completed")


def test_a_backlog_that_will_not_start_soon_is_released(file_store, gate):
    for _ in range(3):
        GateJob.create()
    with running_pool(file_store, threads=1) as pool:
        pool._mean = 0.001  # as if jobs were quick: it claims ahead
        gate.wait_for_entry()
        eventually(lambda: count(state="queued") == 2)
        gate.open()
        eventually(lambda: count(state="completed") == 3)


def test_a_job_that_was_claimed_before_a_long_standstill_is_not_started(file_store, monkeypatch):
    load, stood_still = Queue.load, file_store.application.config.heartbeat_seconds + 1

    def loaded_long_ago(queue, document):
        claimed = load(queue, document)
        if claimed.claim_number == 1:
            since = clock.monotonic() - stood_still
            claims.hold(claimed, claim_of(claimed)._replace(at=since))
        return claimed

    monkeypatch.setattr(Queue, "load", loaded_long_ago)
    job = KeptJob.create()
    with running_pool(file_store, threads=1):
        eventually(lambda: stored(job)["state"] == "completed")
    assert events_of(job) == ["start", "give_back", "start", "complete"]


def test_jobs_are_performed_though_each_claim_takes_longer_than_a_heartbeat(
    file_store, monkeypatch
):
    load, slow = Queue.load, 3 * file_store.application.config.heartbeat_seconds

    def loaded_late(queue, document):
        claimed = load(queue, document)
        claims.hold(claimed, claim_of(claimed)._replace(at=clock.monotonic() - slow))
        return claimed

    monkeypatch.setattr(Queue, "load", loaded_late)
    first = KeptJob.create()
    with running_pool(file_store, threads=1):
        eventually(lambda: stored(first)["state"] == "completed")
        second = KeptJob.create()
        eventually(lambda: stored(second)["state"] == "completed")
    assert [stored(job)["claim_number"] for job in (first, second)] == [3, 1]


@pytest.mark.parametrize(
    ("ages", "allowed"),
    [
        ([1], 15),
        ([16], 30),
        ([16, 16], 30),  # the second one may start
        ([31, 31, 31], 60),
        ([99, 99, 99, 99], 60),
        ([31, 31, 20], 40),
        ([31, 31, 31, 1], 15),
    ],
)
def test_a_claim_may_be_older_while_none_is_young_enough(monkeypatch, ages, allowed):
    freshness, now = Freshness(15.0), 1000.0
    for age in ages:
        now += 100
        monkeypatch.setattr(clock, "monotonic", lambda now=now: now)
        freshness.allows(now - age)
        freshness.allows(now - age)  # of the same group
    assert freshness.allowed == allowed


def test_a_stopping_pool_gives_its_backlog_back(file_store, gate):
    jobs = [GateJob.create() for _ in range(3)]
    with running_pool(file_store, threads=1) as pool:
        pool._mean = 0.0001
        gate.wait_for_entry()
        eventually(lambda: count(state="running") == 3)
        pool.stop()
        eventually(lambda: count(state="queued") == 2)
        gate.open()
    assert sorted(stored(job)["state"] for job in jobs) == ["completed", "queued", "queued"]
    assert count(claimed_by={"$exists": True}) == 0


def test_quick_and_slow_jobs_together_leave_none_unwritten(file_store, gate):
    """A quick job's end is written though all threads are busy with slow ones afterwards."""
    quick = [PassingJob.create(priority=1) for _ in range(20)]
    slow = [GateJob.create(priority=2) for _ in range(2)]
    with running_pool(file_store, threads=2):
        gate.wait_for_entry(2)
        eventually(lambda: not any(stored(job) for job in quick), within=3)
        gate.open()
        eventually(lambda: all(stored(job)["state"] == "completed" for job in slow))


def test_a_job_that_becomes_due_is_started(file_store):
    job = KeptJob.create(run_at=clock.now().add(seconds=0.3))
    with running_pool(file_store):
        eventually(lambda: stored(job)["state"] == "completed")
    assert stored(job)["started_at"] >= job.run_at


def test_what_ends_after_the_last_turn_is_counted_too(file_store, gate, monkeypatch):
    job, slots = GateJob.create(), Slots(1)
    slots.set_beat(clock.monotonic())
    try:
        with running_pool(file_store, threads=1, watch=slots) as pool:
            gate.wait_for_entry()
            stop_claiming(pool)
            monkeypatch.setattr(pool, "_step", lambda: pool.commits.write(at_once=True))
            pool.wake()
            gate.open()
        assert stored(job)["state"] == "completed"
        assert slots.worked == 1
    finally:
        slots.close()


def test_a_pool_for_quarantined_jobs_ends_when_it_has_worked_them(file_store):
    jobs = [KeptJob.create() for _ in range(3)]
    Job.collection().update_many({}, {"$set": {"interruptions": 1}})
    innocent = KeptJob.create()
    pool = WorkerPool(queue_of(file_store, quarantined=True), 1, file_store.application.config)
    pool.end_when_idle = True
    runner = threading.Thread(target=pool.run, daemon=True)
    runner.start()
    runner.join(30)
    assert not runner.is_alive()
    assert {stored(job)["state"] for job in jobs} == {"completed"}
    assert stored(innocent)["state"] == "queued"


def test_threads_work_at_the_same_time(file_store):
    barrier = threading.Barrier(4)

    class BarrierJob(Job):
        def perform(self):
            barrier.wait(30)

    for _ in range(4):
        BarrierJob.create()
    with running_pool(file_store, threads=4):
        eventually(lambda: count() == 0)


def test_jobs_that_enqueue_jobs_are_all_worked(file_store):
    class BreedingJob(Job):
        depth: int = 0

        def perform(self):
            if self.depth < 4:
                for _ in range(3):
                    BreedingJob.create(depth=self.depth + 1)

    BreedingJob.create()
    with running_pool(file_store, threads=3) as pool:
        eventually(lambda: pool.worked == 1 + 3 + 9 + 27 + 81)
        eventually(lambda: count() == 0)


def test_an_observer_is_told_of_every_end(file_store):
    told = []

    class Observer:
        @rj.hookimpl
        def state_changed(self, job, event, target):
            told.append((event, target))

    observer = Observer()
    file_store.plugins.register(observer)
    KeptJob.create()
    OhNoJob.create()
    with running_pool(file_store):
        ends = {("complete", "completed"), ("fail", "failed")}
        eventually(lambda: ends <= set(told))
    assert len(told) == len(set(told)) + 1, "both were started, and each change is told once"


@pytest.mark.parametrize("level", ["debug", None])
def test_the_log_says_that_a_job_completed_if_somebody_wants_to_know(file_store, caplog, level):
    PassingJob.create(log_level=level)
    with running_pool(file_store):
        eventually(lambda: not count())
    said = [each for each in caplog.records if each.message == "completed"]
    assert len(said) == (level == "debug")
    for each in said:
        assert "seconds" in each.rocketjob_fields and each.rocketjob_fields["worker"]
