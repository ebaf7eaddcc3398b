"""Which event leads from which state to which, and what each sets and clears."""

import pytest

from rocketjob import InvalidTransition, Job, Transition, event
from rocketjob.model.record import record_of
from rocketjob.testing import sandbox
from support.jobs import KeptJob, PassingJob, PausableJob, job_in, stored

STATES = ("queued", "running", "completed", "failed", "paused", "aborted")
TABLE = {
    ("start", "queued"): "running",
    ("complete", "running"): "completed",
    ("fail", "queued"): "failed",
    ("fail", "running"): "failed",
    ("fail", "paused"): "failed",
    ("retry", "failed"): "queued",
    ("pause", "queued"): "paused",
    ("resume", "paused"): "queued",
    ("abort", "queued"): "aborted",
    ("abort", "running"): "aborted",
    ("abort", "paused"): "aborted",
    ("abort", "failed"): "aborted",
    ("requeue", "running"): "queued",
    ("snooze", "running"): "queued",
    ("run_now", "queued"): "queued",
}
EVENTS = (
    "start", "complete", "fail", "retry", "pause", "resume",
    "abort", "requeue", "snooze", "run_now",
)  # fmt: skip
EVERY = [(event, state) for event in EVENTS for state in STATES]


@pytest.fixture(scope="module")
def shared():
    with sandbox() as made:
        yield made


def test_these_are_the_events():
    assert set(Job.__events__) == set(EVENTS)


@pytest.mark.parametrize(("event", "state"), EVERY)
def test_an_event_leads_where_the_table_says_or_is_refused(shared, event, state):
    job = job_in(state)
    target = TABLE.get((event, state))
    assert job.may(event) is (target is not None)
    if target is not None:
        getattr(job, event)()
        assert job.state == stored(job)["state"] == target
        assert job.changed() == {}
        return
    before, document = record_of(job).snapshot(job), stored(job)
    with pytest.raises(InvalidTransition, match=f"Cannot {event} a job that is {state}"):
        getattr(job, event)()
    assert record_of(job).snapshot(job) == before
    assert stored(job) == document


@pytest.mark.parametrize(("event", "state"), EVERY)
def test_in_memory_an_event_leads_to_the_same_and_leaves_the_store_alone(shared, event, state):
    job = job_in(state)
    document = stored(job)
    target = TABLE.get((event, state))
    if target is None:
        with pytest.raises(InvalidTransition):
            getattr(job, event)(save=False)
    else:
        getattr(job, event)(save=False)
        assert job.state == target
    assert stored(job) == document


@pytest.mark.parametrize(("event", "state"), sorted(TABLE))
def test_the_history_of_an_event_says_when_and_where_to(shared, event, state):
    job = job_in(state)
    before = len(job.history)
    getattr(job, event)()
    job.reload()
    assert len(job.history) == before + 1
    entry = job.history[-1]
    assert (entry.event, entry.state) == (event, job.state)
    assert entry.at is not None


def test_a_refusal_says_what_is_possible(rocketjob):
    with pytest.raises(InvalidTransition) as error:
        job_in("failed").start()
    assert str(error.value) == "Cannot start a job that is failed. Possible now: retry, abort"
    assert (error.value.event, error.value.state, error.value.allowed) == (
        "start",
        "failed",
        ["retry", "abort"],
    )
    with pytest.raises(InvalidTransition, match="Possible now: none: the state is final"):
        job_in("aborted").retry()


def test_asking_for_an_event_that_does_not_exist_is_an_error():
    with pytest.raises(ValueError, match="there is no event begin; events are "):
        KeptJob().may("begin")


@pytest.mark.parametrize("state", STATES)
def test_a_predicate_for_each_state(rocketjob, state):
    job = job_in(state)
    assert [s for s in STATES if getattr(job, f"is_{s}")] == [state]


# --- guards -----------------------------------------------------------------------------------


def test_a_running_job_is_paused_only_if_its_class_is_pausable(rocketjob):
    job = job_in("running")
    with pytest.raises(InvalidTransition, match="a running job must be `pausable`"):
        job.pause()
    assert job.is_running
    pausable = job_in("running", PausableJob)
    assert pausable.may("pause")
    pausable.pause()
    assert pausable.is_paused
    pausable.resume()
    assert pausable.is_queued
    assert pausable.completed_at is None


def test_requeue_takes_a_job_from_the_server_named_and_no_other(rocketjob):  # row 13
    one, other = KeptJob.create(), KeptJob.create()
    one.start(worker_name="server:12345:1")
    other.start(worker_name="server:76467:1")
    for job in KeptJob.running():
        if job.may("requeue", server_name="server:12345"):
            job.requeue("server:12345")
    assert one.reload().is_queued
    assert (one.worker_name, one.started_at) == (None, None)
    assert other.reload().is_running
    assert other.worker_name == "server:76467:1"


def test_the_server_name_is_compared_by_parts(rocketjob):
    job = KeptJob.create()
    job.start(worker_name="host:12:1")
    assert not job.may("requeue", server_name="host:1")
    with pytest.raises(InvalidTransition, match="its worker is on another server"):
        job.requeue("host:1")
    assert job.may("requeue", server_name="host:12")
    assert job.may("requeue", server_name="host:12:1")
    assert job.may("requeue")


def test_requeue_in_memory_and_stored(rocketjob):  # row 14
    job = KeptJob.create()
    job.start(worker_name="server:1")
    job.requeue(save=False)
    assert (job.is_queued, job.worker_name) == (True, None)
    assert (stored(job)["state"], stored(job)["worker_name"]) == ("running", "server:1")
    job.reload().requeue()
    assert (stored(job)["state"], "worker_name" in stored(job)) == ("queued", False)


# --- effects ----------------------------------------------------------------------------------


def test_start_notes_when_and_who(rocketjob):
    job = KeptJob.create()
    job.start(worker_name="me")
    assert (job.worker_name, job.started_at is not None) == ("me", True)
    job = KeptJob.create()
    job.start()
    assert job.worker_name is None


def test_complete_clears_the_worker_and_sets_100_percent(rocketjob):
    job = KeptJob.create()
    job.start("me")
    job.complete()
    job.reload()
    assert (job.worker_name, job.percent_complete) == (None, 100)
    assert job.completed_at is not None


def test_complete_removes_a_job_that_is_not_to_be_kept(rocketjob):
    job = job_in("running", PassingJob)
    job.complete()
    assert job.is_completed
    assert PassingJob.count() == 0
    assert job.reload().is_completed


def test_complete_in_memory_removes_nothing(rocketjob):
    job = job_in("running", PassingJob)
    job.complete(save=False)
    assert PassingJob.count() == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), ("JobException", None, None, [])),
        (("oh no",), ("JobException", "oh no", None, [])),
        ((RuntimeError("oh no"),), ("RuntimeError", "oh no", None, [])),
    ],
)
def test_fail_takes_nothing_a_reason_or_an_exception(rocketjob, arguments, expected):  # row 8
    job = job_in("running")
    job.fail(*arguments)
    made = job.reload().exception
    assert (made.class_name, made.message, made.worker_name, made.backtrace) == expected
    assert (job.failure_count, job.worker_name) == (1, None)
    assert job.completed_at is not None


def test_fail_notes_the_worker_that_is_named_or_that_had_it(rocketjob):
    job = job_in("queued")
    job.start(worker_name="one")
    job.fail("x")
    assert job.exception.worker_name == "one"
    job = job_in("running")
    job.fail("x", worker_name="two")
    assert job.exception.worker_name == "two"


def test_fail_keeps_backtrace_and_cause_and_drops_what_utf8_cannot_hold(rocketjob):
    def deep():
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ValueError("outer \ud800!") from error

    job = job_in("running")
    try:
        deep()
    except ValueError as error:
        job.fail(error)
    made = job.reload().exception
    assert (made.class_name, made.message) == ("ValueError", "outer !")
    assert any("in deep" in line for line in made.backtrace)
    assert (made.cause.class_name, made.cause.cause) == ("KeyError", None)


def test_a_reason_that_utf8_cannot_hold_is_stored_without_that(rocketjob):
    job = job_in("running")
    job.fail("bad \ud800 text")
    assert job.reload().exception.message == "bad  text"
    assert job.history[-1].reason == "bad  text"


def test_fail_with_an_error_whose_text_fails(rocketjob):
    class Broken(Exception):
        def __str__(self):
            raise RuntimeError

    job = job_in("running")
    job.fail(Broken())
    assert "cannot be read: RuntimeError" in job.reload().exception.message


def test_retry_clears_the_exception_and_keeps_the_count(rocketjob):  # row 9
    job = job_in("failed")
    job.retry()
    job.reload()
    assert (job.state, job.worker_name, job.exception, job.completed_at) == (
        "queued",
        None,
        None,
        None,
    )
    assert job.failure_count == 1
    assert job.started_at is not None
    again = job_in("failed")
    again.retry(keep_exception=True)
    assert again.reload().exception is not None


def test_pause_and_abort_note_when(rocketjob):
    assert job_in("paused").completed_at is not None
    assert job_in("aborted").completed_at is not None


def test_run_now_clears_run_at(rocketjob):
    job = KeptJob.create(run_at=KeptJob().created_at.add(hours=1))
    job.run_now()
    assert job.reload().run_at is None
    assert not job.is_scheduled


def test_an_event_on_a_new_job_stores_it(rocketjob):
    job = KeptJob(text="x")
    job.start()
    found = KeptJob.find(job.id)
    assert (found.state, found.text) == ("running", "x")
    assert [entry.event for entry in found.history] == ["start"]


def test_events_in_memory_on_a_new_job_are_stored_with_it(rocketjob):
    job = KeptJob()
    job.start(save=False)
    job.fail("x", save=False)
    job.save()
    assert [entry.event for entry in KeptJob.find(job.id).history] == ["start", "fail"]
    assert [entry.event for entry in job.history] == ["start", "fail"]


def test_events_in_memory_on_a_stored_job_are_in_its_history_once_it_is_saved(rocketjob):
    job = KeptJob.create()
    job.start(save=False)
    assert [entry.event for entry in job.history] == ["start"]
    job.save()
    assert [entry.event for entry in job.history] == ["start"]
    job.complete(save=False)
    job.text = "x"
    job.save()
    found = KeptJob.find(job.id)
    assert [entry.event for entry in found.history] == ["start", "complete"]
    assert [entry.event for entry in job.history] == ["start", "complete"]
    job.save()
    assert len(KeptJob.find(job.id).history) == 2


def test_events_in_memory_come_before_the_one_that_is_stored(rocketjob):
    job = KeptJob.create()
    job.start(save=False)
    job.complete()
    assert [entry.event for entry in KeptJob.find(job.id).history] == ["start", "complete"]
    assert [entry.event for entry in job.history] == ["start", "complete"]


def test_a_reload_forgets_events_in_memory(rocketjob):
    job = KeptJob.create()
    job.start(save=False)
    assert job.reload().history == []
    job.abort()
    assert [entry.event for entry in job.reload().history] == ["abort"]


def test_the_history_keeps_the_last_hundred(rocketjob):
    job = KeptJob.create()
    for _ in range(55):
        job.pause()
        job.resume()
    assert len(job.history) == len(job.reload().history) == 100
    assert job.history[-1].event == "resume"


# --- events of one's own ----------------------------------------------------------------------


class ReviewedJob(KeptJob):
    reviewer: str | None = None

    @event(Transition(("completed",), "queued", "has_reviewer", "nobody has reviewed it"))
    def reopen(self, note: str = "", *, save: bool = True):
        """Queue a completed job again."""
        self.completed_at = None
        self.text = note

    def has_reviewer(self, **_):
        return self.reviewer is not None


def test_a_class_can_have_events_of_its_own(rocketjob):
    job = job_in("completed", ReviewedJob)
    assert not job.may("reopen")
    with pytest.raises(InvalidTransition, match="nobody has reviewed it"):
        job.reopen()
    job.update(reviewer="me")
    job.reopen("again")
    assert (job.state, job.text) == ("queued", "again")
    assert "reopen" not in Job.__events__
    with pytest.raises(ValueError, match="there is no event reopen"):
        KeptJob().may("reopen")


def test_a_mixin_replaces_an_event_and_callbacks_stay(rocketjob):
    from rocketjob import before

    class Gentle:
        @event(Transition(("failed",), "paused"))
        def retry(self, *, save=True):
            self.completed_at = None

    class GentleJob(Gentle, KeptJob):
        @before("retry")
        def note(self):
            self.text = "noted"

    job = job_in("failed", GentleJob)
    job.retry()
    assert (job.state, job.text) == ("paused", "noted")
    plain = job_in("failed")
    plain.retry()
    assert plain.is_queued


def test_a_refusal_does_not_offer_what_its_guard_refuses(rocketjob):
    class UnpausableJob(Job):
        def perform(self): ...

    job = UnpausableJob.create()
    job.start(worker_name="one:1")
    assert job.allowed_events() == ["complete", "fail", "abort", "requeue", "snooze"]
    with pytest.raises(InvalidTransition, match=r"now: complete, fail, abort, requeue, snooze$"):
        job.pause()
    with pytest.raises(InvalidTransition, match=r"now: complete, fail, abort, snooze$"):
        job.requeue("other")


def test_an_event_whose_guard_wants_arguments_counts_as_possible(rocketjob):
    class SignedOffJob(Job):
        @event(Transition(("queued",), "paused", "is_signed"))
        def sign_off(self, by: str, *, save: bool = True) -> None:
            """Hold it back."""

        def is_signed(self, by: str) -> bool:
            return by == "ann"

        def perform(self): ...

    job = SignedOffJob()
    assert "sign_off" in job.allowed_events()
    with pytest.raises(InvalidTransition):
        job.sign_off("bob")
