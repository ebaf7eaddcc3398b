"""What is claimed, in which order, under whose name; and what is released or reclaimed."""

import threading
from datetime import timedelta

import attrs
import bson
import pytest

from rocketjob import Job, after, application
from rocketjob.base import clock
from rocketjob.base.config import Config
from rocketjob.base.errors import ConfigurationError, StoreUnavailable
from rocketjob.jobs.claims import held_by
from rocketjob.queue.eligible import takes
from rocketjob.queue.limits import Limit
from rocketjob.queue.reclaim import owners, requeue_claims
from support.jobs import KeptJob, PassingJob, stored
from support.runtime import FlakyStore, events_of, queue_of


@pytest.fixture
def queue(rocketjob):
    return queue_of(rocketjob)


def ids(jobs):
    return [job.id for job in jobs]


def configured(**settings):
    current = application.current()
    current.config = attrs.evolve(current.config, **settings)  # with the test's own store


def take_back(sandbox, owner, **options):
    options = {"crash_limit": 3, **options}
    return requeue_claims(sandbox.store, sandbox.plugins, owner, **options)


def test_a_claim_is_stored_under_the_claimers_name(queue):
    job = KeptJob.create()
    (claimed,) = queue.claim(1)
    assert claimed.id == job.id
    found = stored(job)
    assert found["state"] == "running"
    assert found["worker_name"] == "here:1"
    assert found["claimed_by"] == "here.1"
    assert found["claim_number"] == 1
    assert found["started_at"] is not None
    assert events_of(job) == ["start"]


def test_the_most_urgent_comes_first_and_then_the_oldest(queue):
    later, sooner, urgent = (KeptJob.create(priority=p) for p in (50, 50, 30))
    assert ids(queue.claim(3)) == ids([urgent, later, sooner])


def test_a_changed_priority_counts_at_the_next_claim(queue):
    fifty, thirty = KeptJob.create(priority=50), KeptJob.create(priority=30)
    thirty.update(priority=90)
    assert ids(queue.claim(1)) == [fifty.id]
    assert ids(queue.claim(1)) == [thirty.id]


def test_a_group_takes_no_more_than_asked_for(queue):
    jobs = [KeptJob.create() for _ in range(5)]
    assert ids(queue.claim(3)) == ids(jobs[:3])
    assert ids(queue.claim(3)) == ids(jobs[3:])
    assert queue.claim(3) == []
    assert queue.claim(0) == []


def test_run_at_holds_a_job_back_until_then(queue, rocketjob):
    rocketjob.freeze()
    due = KeptJob.create(run_at=clock.now())
    past = KeptJob.create(run_at=clock.now().subtract(hours=1))
    future = KeptJob.create(run_at=clock.now().add(hours=1))
    assert ids(queue.claim(9)) == ids([due, past])
    assert queue.next_due(clock.now()) == future.run_at
    rocketjob.travel(future.run_at - clock.now())
    assert ids(queue.claim(9)) == [future.id]
    assert queue.next_due(clock.now()) is None


def test_an_expired_job_is_removed_and_the_next_one_returned(queue):
    expired = KeptJob.create(expires_at=clock.now().subtract(seconds=1))
    other = KeptJob.create(expires_at=clock.now().add(hours=1))
    assert ids(queue.claim(2)) == [other.id]
    assert stored(expired) is None


@pytest.mark.parametrize("state", ["running", "completed", "failed", "paused", "aborted"])
def test_only_queued_jobs_are_claimed(queue, state):
    from support.jobs import job_in

    job_in(state)
    assert queue.claim(1) == []


@pytest.mark.parametrize(
    "settings",
    [{"include": "^kept"}, {"exclude": "passing"}, {"where": {"text": "mine"}}],
)
def test_a_server_takes_what_its_settings_say(rocketjob, settings):
    configured(**settings)
    mine = KeptJob.create(text="mine")
    PassingJob.create()
    assert ids(queue_of(rocketjob).claim(5)) == [mine.id]


def test_include_matches_anywhere_in_the_name_in_either_case():
    assert takes(Config(include="EPTJ"), KeptJob)
    assert not takes(Config(include="^ept"), KeptJob)
    assert not takes(Config(exclude="ept"), KeptJob)
    assert not takes(Config(), Job)


def test_a_class_that_is_not_loaded_is_not_claimed(queue):
    job = KeptJob.create()
    Job.collection().update_one({"_id": job.id}, {"$set": {"_type": "StrangerJob"}})
    assert queue.claim(1) == []


def test_a_class_that_is_made_later_is_claimed(queue):
    assert queue.claim(1) == []

    class LaterMadeJob(Job):
        def perform(self):
            return None

    job = LaterMadeJob.create()
    assert ids(queue.claim(1)) == [job.id]


def test_what_the_filter_holds_back_can_be_named(queue):
    assert list(queue.eligible.clauses(clock.now())) == ["state", "run_at", "class"]


def test_quarantined_jobs_and_the_others_are_claimed_apart(rocketjob):
    quarantined, innocent, old = (KeptJob.create() for _ in range(3))
    Job.collection().update_one({"_id": quarantined.id}, {"$set": {"interruptions": 1}})
    Job.collection().update_one({"_id": old.id}, {"$unset": {"interruptions": ""}})
    assert queue_of(rocketjob, quarantined=True).is_waiting()
    assert ids(queue_of(rocketjob, quarantined=True).claim(9)) == [quarantined.id]
    assert not queue_of(rocketjob, quarantined=True).is_waiting()
    assert ids(queue_of(rocketjob, quarantined=False).claim(9)) == ids([innocent, old])


class InGroupJob(Job):
    async def perform(self): ...


def test_of_jobs_that_were_among_many_a_group_is_claimed_apart(rocketjob):
    shared, other, alone = (InGroupJob.create() for _ in range(3))
    plain = KeptJob.create()
    for job, fields in (
        (shared, {"suspected": -1}),
        (alone, {"suspected": 1}),
        (plain, {"suspected": -1}),  # its class was a coroutine before
    ):
        Job.collection().update_one({"_id": job.id}, {"$set": fields})
    assert ids(queue_of(rocketjob, quarantined=False).claim(9)) == [other.id]
    queue = queue_of(rocketjob, quarantined=True)
    assert queue.has_quarantined()
    group = queue.split(lambda cls: cls is InGroupJob)
    assert ids(group.claim(9)) == [shared.id]
    assert ids(queue.claim(9)) == ids([alone, plain])


def test_without_places_those_that_were_among_many_are_claimed_as_the_others(rocketjob):
    job = InGroupJob.create()
    Job.collection().update_one({"_id": job.id}, {"$set": {"suspected": -1}})
    assert ids(queue_of(rocketjob, quarantined=True).claim(9)) == [job.id]


def test_a_suspect_that_is_not_due_does_not_wait(rocketjob):
    quarantined = KeptJob.create(run_at=clock.now().add(hours=1))
    Job.collection().update_one({"_id": quarantined.id}, {"$set": {"interruptions": 1}})
    assert not queue_of(rocketjob, quarantined=True).is_waiting()


def test_no_job_is_claimed_twice_by_claimers_at_the_same_time(file_store):
    jobs = [KeptJob.create() for _ in range(60)]
    found, start = [], threading.Barrier(4)

    def claim(number):
        queue = queue_of(file_store, f"claimer{number}.1")
        start.wait(30)
        while claimed := queue.claim(3):
            found.extend(ids(claimed))

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(found) == sorted(ids(jobs))


@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize("fault", ["history is not a list", "no number", "full"])
def test_a_job_whose_document_cannot_be_claimed_fails_and_stops_no_other(
    rocketjob, monkeypatch, fault, limited
):
    if limited:
        monkeypatch.setattr(KeptJob, "claim_limits", lambda self: [])
    bad, good = KeptJob.create(priority=1), KeptJob.create()
    change = {
        "history is not a list": {"history": "none"},
        "no number": {"claim_number": "one"},
        "full": {"filling": "x" * 16_000_000},
    }[fault]
    KeptJob.collection().update_one({"_id": bad.id}, {"$set": change})
    if fault == "full":
        size = len(bson.encode(KeptJob.collection().find_one({"_id": bad.id})))
        full = "x" * (16_000_000 + 16 * 1024 * 1024 - size)
        KeptJob.collection().update_one({"_id": bad.id}, {"$set": {"filling": full}})
    queue = queue_of(rocketjob)
    assert ids(queue.claim(10)) == [good.id]
    found = stored(bad)
    assert found["state"] == "failed"
    if fault != "full":  # what is full has no room for words
        assert found["exception"]["message"]
    assert queue.claim(10) == []


def test_a_store_that_refuses_every_write_fails_no_job(rocketjob, monkeypatch):
    job = KeptJob.create()
    queue = queue_of(rocketjob)

    def refuse(*_, **__):
        raise ValueError("no writes")

    monkeypatch.setattr(type(rocketjob.store), "claim_many", refuse)
    monkeypatch.setattr(type(rocketjob.store), "write_many", refuse)
    with pytest.raises(ValueError, match="no writes"):
        queue.claim(10)
    assert stored(job)["state"] == "queued"


def test_a_suspect_that_waits_for_a_limit_could_not_start(rocketjob):
    class OnceJob(PassingJob):
        def claim_limits(self):
            counts = {"_type": "OnceJob"}
            return [Limit(name="one", key="one", maximum=1, counts=counts, blocks=counts)]

    OnceJob.create()
    rocketjob.queue.claim(1)
    quarantined = OnceJob.create()
    OnceJob.collection().update_one({"_id": quarantined.id}, {"$set": {"interruptions": 1}})
    queue = queue_of(rocketjob, quarantined=True)
    assert not queue.has_quarantined()
    OnceJob.running().first().abort()
    assert queue.has_quarantined()


# --- releasing ----------------------------------------------------------------------------------


def test_what_is_released_can_be_claimed_by_others(queue, rocketjob):
    job = KeptJob.create()
    queue.release(queue.claim(1))
    found = stored(job)
    assert found["state"] == "queued"
    assert {"worker_name", "claimed_by", "started_at"}.isdisjoint(found)
    (again,) = queue_of(rocketjob, "there.1").claim(1)
    assert again.claim_number == 2
    assert events_of(job) == ["start", "give_back", "start"]


def test_what_another_claimed_first_is_not_released(queue, rocketjob):
    job = KeptJob.create()
    claimed = queue.claim(1)
    queue.release(claimed)
    queue_of(rocketjob, "there.1").claim(1)
    queue.release(claimed)
    assert stored(job)["claimed_by"] == "there.1"


# --- taking back --------------------------------------------------------------------------------


def test_the_claims_of_a_process_and_of_a_server(rocketjob):
    jobs = [KeptJob.create() for _ in range(3)]
    for owner in ("abc.1", "abc.2", "abcd.1"):
        queue_of(rocketjob, owner).claim(1)
    assert owners(rocketjob.store, rocketjob.plugins) == {"abc.1", "abc.2", "abcd.1"}
    assert ids(Job.where(held_by("abc"))) == ids(jobs[:2])
    assert ids(Job.where(held_by("abc.2"))) == [jobs[1].id]


def test_the_jobs_of_a_dead_process_are_queued_again(queue, rocketjob):
    mine, others = KeptJob.create(), KeptJob.create()
    queue.claim(1)
    queue_of(rocketjob, "there.1").claim(1)
    assert take_back(rocketjob, "here.1") == {"requeued": 1, "failed": 0}
    assert stored(mine)["state"] == "queued"
    assert stored(mine)["interruptions"] == 0
    assert stored(others)["claimed_by"] == "there.1"
    assert events_of(mine) == ["start", "requeue"]


def test_a_crash_is_counted_and_the_last_one_fails_the_job(queue, rocketjob):
    job = KeptJob.create()
    for _ in range(2):
        queue.claim(1)
        how = {str(job.id): "ended by SIGKILL"}
        assert take_back(rocketjob, "here.1", crashed=how) == {"requeued": 1, "failed": 0}
    assert stored(job)["interruptions"] == 2
    assert stored(job)["failure_count"] == 0
    queue.claim(1)
    assert take_back(rocketjob, "here.1", crashed=how) == {"requeued": 0, "failed": 1}
    assert stored(job)["state"] == "failed"
    assert stored(job)["exception"]["class_name"] == "WorkerCrashed"
    assert "ended by SIGKILL; 3 crashes" in stored(job)["exception"]["message"]


def test_two_that_take_back_at_once_count_once(queue, file_store):
    jobs = [KeptJob.create() for _ in range(40)]
    queue_of(file_store).claim(40)
    counts, start = [], threading.Barrier(3)

    def run():
        start.wait(30)
        counts.append(take_back(file_store, "here.1")["requeued"])

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(counts) == 40
    assert all(events_of(job) == ["start", "requeue"] for job in jobs)


def test_one_that_cannot_be_taken_back_does_not_keep_the_others(queue, rocketjob):
    class PoisonousJob(Job):
        @after("initialize")
        def refuse(self):
            if self.is_running:
                raise RuntimeError("cannot be loaded")

        def perform(self):
            return None

    other = KeptJob.create()
    poisonous = PoisonousJob.create()
    queue.claim(1)
    owned = {"state": "running", "claimed_by": "here.1", "claim_number": 1}
    Job.collection().update_one({"_id": poisonous.id}, {"$set": owned})
    assert take_back(rocketjob, "here.1") == {"requeued": 1, "failed": 1}
    assert stored(other)["state"] == "queued"
    assert stored(poisonous)["state"] == "failed"
    assert "claimed_by" not in stored(poisonous)


def test_a_callback_that_raises_does_not_keep_a_job_with_the_dead(queue, rocketjob):
    class ClingyJob(Job):
        when: str = "before"

        @after("requeue")
        def cling(self):
            raise RuntimeError("no")

        def perform(self):
            return None

    clingy, other = ClingyJob.create(), KeptJob.create()
    queue.claim(2)
    take_back(rocketjob, "here.1")
    assert stored(clingy)["state"] == "queued"
    assert stored(other)["state"] == "queued"


def test_a_claim_that_nobody_can_write_to_does_not_hold_up_the_recovery(queue, rocketjob):
    odd, other = KeptJob.create(), KeptJob.create()
    queue.claim(2)
    Job.collection().update_one({"_id": odd.id}, {"$unset": {"claim_number": ""}})
    assert take_back(rocketjob, "here.1")["requeued"] >= 1
    assert stored(other)["state"] == "queued"


def test_a_store_that_is_away_is_the_callers_to_know(queue, rocketjob):
    KeptJob.create()
    queue.claim(1)
    flaky = FlakyStore(rocketjob.store)
    rocketjob.application._store = flaky
    flaky.fail("write_many")
    with pytest.raises(StoreUnavailable):
        take_back(rocketjob, "here.1")
    assert take_back(rocketjob, "here.1") == {"requeued": 1, "failed": 0}


def test_a_job_that_is_not_running_any_more_only_loses_the_name(queue, rocketjob):
    job = KeptJob.create()
    queue.claim(1)
    Job.collection().update_one({"_id": job.id}, {"$set": {"state": "paused"}})
    assert take_back(rocketjob, "here.1") == {"requeued": 0, "failed": 0}
    assert stored(job)["state"] == "paused"
    assert "claimed_by" not in stored(job)


def test_texts_in_the_setting_where_are_parsed_by_the_types_of_the_fields(rocketjob):
    configured(where={"created_at": {"$gte": "2026-01-31"}, "number": "3"})
    jobs = [KeptJob.create(number=n) for n in (3, 4)]
    assert ids(queue_of(rocketjob).claim(5)) == [jobs[0].id]


def test_a_text_in_the_setting_where_that_is_no_value_of_its_field_is_an_error(rocketjob):
    configured(where={"created_at": {"$gte": "whenever"}})
    with pytest.raises(ConfigurationError, match=r"where = .*: created_at must be a time such as"):
        queue_of(rocketjob).claim(1)


# --- the history of what waits ------------------------------------------------------------------


def test_claims_that_are_released_in_a_row_are_one_entry_that_counts(queue, rocketjob):
    rocketjob.freeze()
    job = KeptJob.create()
    first = clock.now()
    for _ in range(50):
        queue.release(queue.claim(1), reason="throttle lags")
        rocketjob.travel(timedelta(minutes=1))
    start, given = job.reload().history
    assert (start.event, given.event, given.reason) == ("start", "give_back", "throttle lags")
    assert (given.count, given.since, given.claim_number) == (50, first, 50)
    assert given.at == first.add(minutes=49)


def test_an_attempt_stays_in_the_history_however_long_the_job_waits_after_it(queue):
    job = KeptJob.create()
    queue.claim(1)[0].fail("the reason")
    job.reload().retry()
    for _ in range(200):
        queue.release(queue.claim(1))
    queue.claim(1)[0].complete()
    assert events_of(job) == ["start", "fail", "retry", "start", "give_back", "start", "complete"]
    assert job.reload().history[1].reason == "the reason"


def test_a_history_that_was_counted_survives_a_claim_by_another(queue, rocketjob):
    job = KeptJob.create()
    claimed = [queue.claim(1)]
    queue.release(claimed[0])
    claimed.append(queue.claim(1))
    queue.release(claimed[1])
    queue_of(rocketjob, "there.1").claim(1)
    queue.release(claimed[1])  # too late: nothing is written over
    assert events_of(job) == ["start", "give_back", "start"]
