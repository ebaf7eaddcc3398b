"""A change of state is one guarded write: it is made whole, or the object stays as it was."""

import copy

import pytest

from rocketjob import (
    ClaimLost,
    Document,
    Job,
    NotFound,
    StateConflict,
    ValidationError,
    after,
    around,
    before,
    hookimpl,
)
from rocketjob.base.errors import InvalidTransition
from rocketjob.model.record import record_of
from support.jobs import KeptJob, PassingJob, job_in, stored


class Ledger(Document):
    collection_name = "test.ledgers"
    text: str = ""


def picture(job):
    """Return all that an object holds, so that it can be compared after a refusal."""
    return copy.deepcopy(record_of(job).snapshot(job))


# --- StateConflict ----------------------------------------------------------------------------


@pytest.mark.parametrize("event", ["start", "pause", "abort", "fail"])
def test_a_state_that_somebody_else_changed_is_not_overwritten(rocketjob, event):
    mine = KeptJob.create(text="a")
    yours = KeptJob.find(mine.id)
    yours.start()
    mine.text = "unsaved"
    held, document = picture(mine), stored(mine)
    with pytest.raises(StateConflict, match=r"is running in the store, no longer queued"):
        getattr(mine, event)()
    assert picture(mine) == held
    assert stored(mine) == document
    assert mine.changed() == {"text": "unsaved"}


def test_a_state_that_went_away_and_came_back_is_a_conflict_too(rocketjob):
    mine = KeptJob.create()
    yours = KeptJob.find(mine.id)
    yours.fail("x")
    yours.retry()
    with pytest.raises(StateConflict, match="is not as it was: somebody else has changed it"):
        mine.fail("y")
    assert stored(mine)["failure_count"] == 1
    mine.reload().fail("y")
    assert stored(mine)["failure_count"] == 2


def test_after_a_conflict_the_job_can_be_reloaded_and_decided_again(rocketjob):
    mine = KeptJob.create()
    KeptJob.find(mine.id).start()
    with pytest.raises(StateConflict):
        mine.pause()
    mine.reload().abort()
    assert stored(mine)["state"] == "aborted"


def test_a_conflict_undoes_what_callbacks_did_to_the_object(rocketjob):
    class TouchingJob(Job):
        tags: list[str] = []
        data: dict[str, list[int]] = {}
        note: str = ""

        @before("pause")
        def touch(self):
            self.tags.append("x")
            self.data.setdefault("a", []).append(1)
            self.note = "touched"

        def perform(self): ...

    mine = TouchingJob.create(data={"a": [0]})
    TouchingJob.find(mine.id).start()
    held = picture(mine)
    with pytest.raises(StateConflict):
        mine.pause()
    assert picture(mine) == held
    assert mine.changed() == {}


def test_an_event_on_a_deleted_job_is_not_found_and_the_object_stays(rocketjob):
    job = KeptJob.create()
    KeptJob.find(job.id).delete()
    held = picture(job)
    with pytest.raises(NotFound):
        job.start()
    assert picture(job) == held
    assert KeptJob.count() == 0


def test_a_state_changed_in_memory_and_saved_later_is_guarded_too(rocketjob):
    mine = KeptJob.create()
    KeptJob.find(mine.id).start()
    mine.pause(save=False)
    with pytest.raises(StateConflict):
        mine.save()
    assert stored(mine)["state"] == "running"


def test_a_save_that_leaves_the_state_alone_is_not_guarded_by_it(rocketjob):
    mine = KeptJob.create()
    KeptJob.find(mine.id).start()
    mine.update(text="x")
    assert (stored(mine)["text"], stored(mine)["state"]) == ("x", "running")


def test_a_write_under_a_claim_that_was_lost_is_refused(rocketjob):
    KeptJob.create()
    job = rocketjob.queue.claim(1)[0]
    KeptJob.find(job.id).requeue()
    rocketjob.queue.claim(1)
    held = picture(job)
    with pytest.raises(ClaimLost):
        job.complete()
    assert picture(job) == held
    with pytest.raises(ClaimLost):
        job.update(text="x")
    assert (stored(job)["state"], stored(job)["claim_number"]) == ("running", 2)


def test_pause_all_and_resume_all_pass_over_what_somebody_else_changed(rocketjob):
    from support.jobs import PausableJob

    jobs = [job_in("running", PausableJob) for _ in range(3)]
    job_in("running")

    class MeddlingJob(PausableJob):
        @before("pause")
        def meddle(self):
            KeptJob.find(self.id).abort()

    jobs.append(job_in("running", MeddlingJob))
    assert Job.pause_all() == 3
    assert Job.counts_by_state() == {"running": 1, "paused": 3, "aborted": 1}
    assert Job.resume_all() == 3


# --- raising callbacks ------------------------------------------------------------------------


def test_a_before_that_raises_leaves_object_and_store_as_they_were(rocketjob):
    class RefusingJob(Job):
        note: str = ""

        @before("start")
        def first(self):
            self.note = "first ran"

        @before("start")
        def second(self):
            raise RuntimeError("no")

        def perform(self): ...

    job = RefusingJob.create()
    held, document = picture(job), stored(job)
    with pytest.raises(RuntimeError, match="no"):
        job.start()
    assert (picture(job), stored(job)) == (held, document)
    with pytest.raises(RuntimeError, match="no"):
        job.start(save=False)
    assert picture(job) == held


def test_an_after_that_raises_leaves_the_new_state_in_place(rocketjob):
    class LateJob2(Job):
        @after("start")
        def late(self):
            raise RuntimeError("late")

        def perform(self): ...

    job = LateJob2.create()
    with pytest.raises(RuntimeError, match="late"):
        job.start()
    assert job.state == stored(job)["state"] == "running"


def test_arounds_of_an_event_see_a_conflict(rocketjob):
    seen = []

    class WatchingJob(Job):
        @around("pause")
        def watch(self):
            try:
                yield
            except StateConflict as error:
                seen.append(error)
                raise

        def perform(self): ...

    job = WatchingJob.create()
    WatchingJob.find(job.id).start()
    with pytest.raises(StateConflict) as error:
        job.pause()
    assert seen == [error.value]


def test_an_after_save_that_raises_closes_the_arounds_of_the_event(rocketjob):
    closed = []

    class ClosingJob(Job):
        @around("pause")
        def wrap(self):
            try:
                yield
            finally:
                closed.append(True)

        @after("save")
        def fail_late(self):
            if self.is_paused:
                raise RuntimeError("late")

        def perform(self): ...

    job = ClosingJob.create()
    with pytest.raises(RuntimeError, match="late"):
        job.pause()
    assert closed == [True]


def test_before_save_that_raises_leaves_the_state(rocketjob):
    class UnsavedJob(Job):
        locked: bool = False

        @before("save")
        def refuse(self):
            if self.locked:
                raise RuntimeError("locked")

        def perform(self): ...

    job = UnsavedJob.create()
    job.locked = True
    with pytest.raises(RuntimeError):
        job.start()
    assert job.is_queued


def test_a_before_that_goes_another_way_has_its_way(rocketjob):
    class DivertedJob(KeptJob):
        @before("complete")
        def divert(self):
            self.fail("diverted", save=False)

    job = job_in("running", DivertedJob)
    job.complete()
    assert stored(job)["state"] == job.state == "failed"
    assert job.reload().exception.message == "diverted"


# --- follow_with ------------------------------------------------------------------------------


class AgainJob(KeptJob):
    limit: int = 2

    @before("fail")
    def again(self):
        if self.failure_count <= self.limit:
            self.follow_with("retry", keep_exception=True)


def test_a_following_event_is_in_the_same_write(rocketjob):
    job = job_in("running", AgainJob)
    mark = rocketjob.store.change_mark()
    states = []

    class Watch:
        @hookimpl
        def state_changed(self, job, event, source, target):
            states.append((event, source, target, stored(job)["state"]))

    rocketjob.plugins.register(Watch())
    job.fail("x")
    assert rocketjob.store.wait_for_change(mark, 10)
    assert (job.state, stored(job)["state"], job.failure_count) == ("queued", "queued", 1)
    assert states == [
        ("fail", "running", "failed", "queued"),
        ("retry", "failed", "queued", "queued"),
    ]
    assert [e.event for e in job.reload().history] == ["start", "fail", "retry"]
    assert job.exception.message == "x"


def test_a_following_event_in_memory_too(rocketjob):
    job = AgainJob()
    job.start(save=False)
    job.fail("x", save=False)
    assert (job.state, job.failure_count, job.is_new) == ("queued", 1, True)


def test_a_following_event_that_is_not_possible_undoes_the_whole(rocketjob):
    class WrongWayJob(KeptJob):
        @before("fail")
        def wrong(self):
            self.follow_with("resume")

    job = job_in("running", WrongWayJob)
    held = picture(job)
    with pytest.raises(InvalidTransition, match="Cannot resume a job that is failed"):
        job.fail("x")
    assert picture(job) == held
    assert stored(job)["state"] == "running"


def test_callbacks_of_both_events_run(rocketjob):
    ran = []

    class BothJob(AgainJob):
        @before("retry")
        def before_retry(self):
            ran.append(("before retry", self.state))

        @after("retry")
        def after_retry(self):
            ran.append(("after retry", stored(self)["state"]))

        @after("fail")
        def after_fail(self):
            ran.append(("after fail", stored(self)["state"]))

    job_in("running", BothJob).fail("x")
    assert ran == [("before retry", "failed"), ("after fail", "queued"), ("after retry", "queued")]


def test_a_conflict_undoes_both_events(rocketjob):
    job = job_in("running", AgainJob)
    AgainJob.find(job.id).abort()
    held = picture(job)
    with pytest.raises(StateConflict):
        job.fail("x")
    assert picture(job) == held


@pytest.mark.parametrize("method", ["follow_with", "create_with"])
def test_adding_to_a_change_outside_of_one_is_an_error_that_says_where_it_belongs(
    rocketjob, method
):
    with pytest.raises(
        RuntimeError, match=f"{method} must be called in a before callback of an event"
    ):
        getattr(KeptJob.create(), method)("retry")


def test_following_with_an_event_that_does_not_exist_is_an_error(rocketjob):
    class NoEventJob(KeptJob):
        @before("start")
        def wrong(self):
            self.follow_with("begin")

    with pytest.raises(ValueError, match="there is no event begin"):
        NoEventJob.create().start()


# --- create_with ------------------------------------------------------------------------------


class SuccessorJob(KeptJob):
    @before("complete")
    def successor(self):
        self.create_with(SuccessorJob(text="next", priority=self.priority))


def test_a_companion_is_stored_in_the_same_step(rocketjob):
    job = job_in("running", SuccessorJob)
    job.complete()
    assert [(j.state, j.text) for j in SuccessorJob.all()] == [
        ("completed", ""),
        ("queued", "next"),
    ]


def test_a_companion_is_stored_though_the_job_itself_is_removed(rocketjob):
    job = job_in("running", SuccessorJob, destroy_on_complete=True)
    job.complete()
    assert [(j.state, j.text) for j in SuccessorJob.all()] == [("queued", "next")]


def test_a_companion_is_not_stored_if_the_change_is_refused(rocketjob):
    job = job_in("running", SuccessorJob)
    SuccessorJob.find(job.id).abort()
    with pytest.raises(StateConflict):
        job.complete()
    assert SuccessorJob.count() == 1


def test_an_invalid_companion_undoes_the_change(rocketjob):
    job = job_in("running", SuccessorJob)
    job.update(priority=500, validate=False)
    held = picture(job)
    with pytest.raises(ValidationError):
        job.complete()
    assert picture(job) == held
    assert (SuccessorJob.count(), stored(job)["state"]) == (1, "running")


def test_a_companion_of_another_collection_is_in_the_same_step(rocketjob):
    class BookedJob(KeptJob):
        @before("complete")
        def book(self):
            self.create_with(Ledger(text="booked"))

    job = job_in("running", BookedJob)
    BookedJob.find(job.id).abort()
    with pytest.raises(StateConflict):
        job.complete()
    assert Ledger.count() == 0
    job_in("running", BookedJob).complete()
    assert Ledger.count() == 1


def test_a_companion_that_exists_already_is_left_out_and_the_others_are_stored(rocketjob):
    present = Ledger.create(text="present")
    ran = []

    class Noted(Ledger):
        @after("create")
        def created(self):
            ran.append(self.text)

    class TwoBooksJob(KeptJob):
        @before("complete")
        def book(self):
            self.create_with(Noted(text="one"))
            self.create_with(Noted(id=present.id, text="two"))
            self.create_with(Noted(text="three"))

    job = job_in("running", TwoBooksJob)
    job.complete()
    assert stored(job)["state"] == "completed"
    assert sorted(Ledger.all().pluck("text")) == ["one", "present", "three"]
    assert sorted(ran) == ["one", "three"]


def test_a_store_that_fails_in_the_middle_leaves_nothing_by_halves(rocketjob, monkeypatch):
    job = job_in("running", SuccessorJob)
    held, document = picture(job), stored(job)
    monkeypatch.setattr(SuccessorJob, "to_document", _broken_for_new(SuccessorJob.to_document))
    with pytest.raises(OSError, match="disk"):
        job.complete()
    assert (picture(job), stored(job)) == (held, document)
    assert SuccessorJob.count() == 1


def _broken_for_new(real):
    def to_document(self, entries=()):
        if self.is_new:
            raise OSError("disk")
        return real(self, entries)

    return to_document


# --- observers --------------------------------------------------------------------------------


class Watcher:
    def __init__(self):
        self.seen = []

    @hookimpl
    def state_changed(self, job, event, source, target):
        self.seen.append((event, source, target))


def test_observers_learn_of_every_stored_change_and_of_no_other(rocketjob):
    watcher = Watcher()
    rocketjob.plugins.register(watcher)
    job = KeptJob.create()
    job.start(save=False)
    KeptJob(text="new").start(save=False)
    assert watcher.seen == []
    job.complete()
    assert watcher.seen == [("complete", "running", "completed")]
    with pytest.raises(InvalidTransition):
        job.start()
    PassingJob.create().start()
    assert watcher.seen[1:] == [("start", "queued", "running")]


def test_observers_learn_of_the_end_of_a_job_that_is_removed(rocketjob):
    watcher = Watcher()
    rocketjob.plugins.register(watcher)
    PassingJob.create()
    rocketjob.work_off()
    assert ("complete", "running", "completed") in watcher.seen


def test_an_observer_that_fails_changes_nothing(rocketjob, caplog):
    class Broken:
        @hookimpl
        def state_changed(self, job):
            raise RuntimeError("broken observer")

    watcher = Watcher()
    rocketjob.plugins.register(Broken(), "broken-plugin")
    rocketjob.plugins.register(watcher)
    KeptJob.create().start()
    assert watcher.seen == [("start", "queued", "running")]
    assert "broken-plugin failed in state_changed" in caplog.text
