"""`transition_writes`: what plugins store goes with the change of state, or neither is stored."""

import itertools
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from rocketjob import Job, StateConflict, hookimpl, only_for
from rocketjob.base import clock
from rocketjob.base.log import FIELDS
from rocketjob.queue.reclaim import requeue_claims
from rocketjob.store import Also, Insert, Write
from rocketjob.testing.store_contract.mortal import Mortal
from rocketjob.testing.store_contract.units import LONG_AFTER
from rocketjob_plugins.cron import Cron
from rocketjob_plugins.retry import Retry
from support.jobs import FailingJob, KeptJob, PassingJob, job_in, stored
from support.runtime import count, eventually, running_pool

OUTBOX, TOTALS = "letters", "totals"


class Outbox:
    """Stores a message for each change, and counts them in every document of totals."""

    @hookimpl
    def transition_writes(self, job, event, source, target):
        text = f"{event}: {source} -> {target}"
        return [
            Insert(OUTBOX, {"job": job.id, "text": text, "state": job.state}),
            Also(TOTALS, Write({"open": True}, {"$inc": {event: 1}}), many=True),
            Also(TOTALS, Write({"until": event}, None)),
        ]


class PatientJob(Retry, Job):
    retry_limit = 1

    def perform(self):
        raise OSError("no line")


class HourlyReportJob(Cron, Job):
    cron_schedule = "0 * * * *"

    def perform(self): ...


@pytest.fixture
def outbox(rocketjob):
    plugin = Outbox()
    rocketjob.plugins.register(plugin, "letters")
    rocketjob.store.collection(TOTALS).insert_many([{"_id": n, "open": True} for n in (1, 2)])
    return plugin


def texts(rocketjob, collection=OUTBOX):
    return [each["text"] for each in rocketjob.store.collection(collection).find({})]


def totals(rocketjob, event):
    found = rocketjob.store.collection(TOTALS).find({"open": True}, sort=[("_id", 1)])
    return [each.get(event, 0) for each in found]


# --- every change -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "event", "text"),
    [
        ("queued", "abort", "abort: queued -> aborted"),
        ("queued", "fail", "fail: queued -> failed"),
        ("queued", "pause", "pause: queued -> paused"),
        ("queued", "run_now", "run_now: queued -> queued"),
        ("paused", "resume", "resume: paused -> queued"),
        ("failed", "retry", "retry: failed -> queued"),
        ("running", "complete", "complete: running -> completed"),
        ("running", "requeue", "requeue: running -> queued"),
    ],
)
@pytest.mark.both_stores
def test_an_event_from_outside_is_stored_with_what_plugins_bring(
    rocketjob, outbox, state, event, text
):
    job = job_in(state)
    rocketjob.store.collection(OUTBOX).delete_many({})
    before = totals(rocketjob, event)
    getattr(job, event)()
    assert texts(rocketjob) == [text]
    assert totals(rocketjob, event) == [each + 1 for each in before]


@pytest.mark.both_stores
def test_the_end_of_a_job_that_is_removed_leaves_what_plugins_bring(rocketjob, outbox):
    job = PassingJob.create()
    rocketjob.work_off()
    assert stored(job) is None
    assert texts(rocketjob) == ["complete: running -> completed"]


def test_a_write_can_be_a_delete(rocketjob, outbox):
    rocketjob.store.collection(TOTALS).insert_one({"until": "abort"})
    job = KeptJob.create()
    job.pause()
    assert rocketjob.store.collection(TOTALS).count_documents({}) == 3
    job.abort()
    assert rocketjob.store.collection(TOTALS).count_documents({}) == 2


def test_a_failure_in_perform_and_the_retry_in_the_same_write_are_both_told(rocketjob, outbox):
    PatientJob.create()
    rocketjob.work_off()
    found = rocketjob.store.collection(OUTBOX).find({})
    assert [(each["text"], each["state"]) for each in found] == [
        ("fail: running -> failed", "queued"),
        ("retry: failed -> queued", "queued"),
    ]


@pytest.mark.both_stores
def test_it_goes_together_with_the_successor_of_a_scheduled_job(rocketjob, outbox):
    HourlyReportJob.create().run_now()
    rocketjob.work_off()
    assert texts(rocketjob) == ["run_now: queued -> queued", "complete: running -> completed"]
    assert HourlyReportJob.queued().count() == 1


def test_a_new_job_that_is_stored_by_an_event_takes_it_along(rocketjob, outbox):
    job = KeptJob()
    job.abort()
    assert stored(job)["state"] == "aborted"
    assert texts(rocketjob) == ["abort: queued -> aborted"]
    assert totals(rocketjob, "abort") == [1, 1]


def test_an_event_in_memory_stores_nothing(rocketjob, outbox):
    KeptJob.create().abort(save=False)
    assert texts(rocketjob) == []


def test_the_job_that_is_reclaimed_from_a_dead_server_takes_it_along(rocketjob, outbox):
    KeptJob.create()
    (claimed,) = rocketjob.queue.claim(1)
    requeue_claims(rocketjob.store, rocketjob.plugins, "test.1", crash_limit=3)
    assert texts(rocketjob) == ["requeue: running -> queued"]
    (claimed,) = rocketjob.queue.claim(1)
    crashed = {str(claimed.id): "SIGKILL"}
    requeue_claims(rocketjob.store, rocketjob.plugins, "test.1", crash_limit=1, crashed=crashed)
    assert texts(rocketjob)[1:] == ["fail: running -> failed"]


def test_a_job_that_cannot_be_loaded_is_failed_with_it_and_told_of(rocketjob, outbox):
    told = []

    class Observer:
        @hookimpl
        def state_changed(self, job, event, source, target):
            told.append((job.id, event, source, target, job.exception.class_name))

    rocketjob.plugins.register(Observer())
    job = KeptJob.create()
    job.collection().update_one({"_id": job.id}, {"$set": {"number": "seven"}})
    rocketjob.work_off()
    assert stored(job)["state"] == "failed"
    assert texts(rocketjob) == ["fail: running -> failed"]
    assert told == [(job.id, "fail", "running", "failed", "ValidationError")]


def test_a_queued_job_that_takes_no_claim_is_failed_with_it(rocketjob, outbox):
    job = KeptJob.create()
    job.collection().update_one({"_id": job.id}, {"$set": {"history": "none"}})
    rocketjob.work_off()
    assert stored(job)["state"] == "failed"
    assert texts(rocketjob) == ["fail: queued -> failed"]


def test_only_the_classes_that_it_is_for_are_asked(rocketjob):
    class Few:
        @hookimpl
        @only_for(PassingJob)
        def transition_writes(self, event):
            return [Insert(OUTBOX, {"text": event})]

    rocketjob.plugins.register(Few())
    PassingJob.create(), KeptJob.create()
    rocketjob.work_off()
    assert texts(rocketjob) == ["complete"]


# --- both or neither --------------------------------------------------------------------------


@pytest.mark.both_stores
def test_of_a_change_that_is_refused_nothing_is_stored(rocketjob, outbox):
    job = KeptJob.create()
    KeptJob.find(job.id).abort()
    with pytest.raises(StateConflict):
        job.pause()
    assert texts(rocketjob) == ["abort: queued -> aborted"]
    assert totals(rocketjob, "pause") == [0, 0]


@pytest.mark.parametrize("cls", [KeptJob, PassingJob, FailingJob])
@pytest.mark.both_stores
def test_a_worker_that_dies_leaves_the_end_of_the_job_and_the_message_or_neither(
    rocketjob, outbox, cls
):
    mortal = Mortal(rocketjob.store)
    for number in itertools.count(1):
        rocketjob.store.collection(OUTBOX).delete_many({})
        rocketjob.store.collection(TOTALS).update_many({}, {"$unset": {"complete": "", "fail": ""}})
        job = cls.create()
        with mortal.dies_at(number):
            rocketjob.work_off(1)
        clock.travel(clock.now() + LONG_AFTER)
        rocketjob.store.recover()
        ended = (stored(job) or {"state": "gone"})["state"] not in ("queued", "running")
        event = "fail" if cls is FailingJob else "complete"
        assert len(texts(rocketjob)) == ended, number
        assert totals(rocketjob, event) == [ended, ended], number
        requeue_claims(rocketjob.store, rocketjob.plugins, "test.1", crash_limit=3)
        rocketjob.work_off()
        assert [text for text in texts(rocketjob) if text.startswith(event)] == [
            f"{event}: running -> {'failed' if cls is FailingJob else 'completed'}"
        ], number
        assert totals(rocketjob, event) == [1, 1], number
        if not mortal.died:
            break
    assert number > 1, "it was meant to die in between"


def test_killed_at_every_step_of_an_end_the_message_is_stored_once(tmp_path):
    program = Path(__file__).parents[1] / "support" / "dying_outbox.py"
    ran = subprocess.run(
        [sys.executable, str(program), str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1])["points"] >= 4


@pytest.mark.both_stores
def test_jobs_that_are_written_in_one_group_each_take_it_along(file_store):
    file_store.plugins.register(Outbox(), "letters")
    file_store.store.collection(TOTALS).insert_one({"_id": 1, "open": True})
    PassingJob.create_many([{}] * 60)
    failing = FailingJob.create()
    with running_pool(file_store):
        eventually(lambda: count(state={"$ne": "failed"}) == 0)
    found = sorted(texts(file_store))
    assert found == ["complete: running -> completed"] * 60 + ["fail: running -> failed"]
    assert stored(failing)["state"] == "failed"
    assert totals(file_store, "complete") == [60]


# --- a plugin that is wrong -------------------------------------------------------------------

WRONG = {
    "raises": (lambda job: 1 / 0, "ZeroDivisionError"),
    "one": (lambda job: Insert(OUTBOX, {"text": "x"}), "expected a list of what is stored"),
    "pair": (lambda job: [(OUTBOX, {"text": "x"})], "expected a list of what is stored"),
    "name": (lambda job: [Insert("a$b", {})], "'a$b' is not a valid collection name"),
    "unstorable": (lambda job: [Insert(OUTBOX, {"text": object()})], "it cannot be stored"),
    "large": (lambda job: [Insert(OUTBOX, {"text": "x" * 2**24})], "its document is too large"),
    "no update": (lambda job: [Also(OUTBOX, Write({}, {"sent": True}))], "is not an update"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_a_plugin_brings_that_is_wrong_is_left_out_and_the_plugin_is_named(
    rocketjob, outbox, wrong
):
    returned, said = WRONG[wrong]

    class Wrong:
        @hookimpl
        def transition_writes(self, job):
            return returned(job)

    rocketjob.plugins.register(Wrong(), "wrong")
    job = KeptJob.create()
    rocketjob.work_off()
    assert stored(job)["state"] == "completed"
    assert texts(rocketjob) == ["complete: running -> completed"]
    (problem,) = rocketjob.plugins.problems
    assert "The plugin wrong " in problem
    assert said in problem
    assert "transition_writes" in problem


@pytest.mark.both_stores
def test_a_write_that_the_store_refuses_is_left_out_and_the_plugin_is_named(
    rocketjob, outbox, caplog
):
    class Wrong:
        @hookimpl
        def transition_writes(self):
            return [
                Also(TOTALS, Write({"_id": 1}, {"$inc": {"open": 1}})),  # which is no number
                Also(TOTALS, Write({"_id": 2}, {"$set": {"seen": True}})),
            ]

    rocketjob.plugins.register(Wrong(), "wrong")
    job = KeptJob.create()
    with caplog.at_level(logging.ERROR):
        rocketjob.work_off()
    assert stored(job)["state"] == "completed"
    assert texts(rocketjob) == ["complete: running -> completed"]
    assert rocketjob.store.collection(TOTALS).find_one({"_id": 2})["seen"] is True
    (record,) = [each for each in caplog.records if "the store refuses it" in each.message]
    assert getattr(record, FIELDS)["whose"] == "the plugin wrong (hook transition_writes)"
    assert rocketjob.store.recover("rocket_job.jobs", {}) == 0


@pytest.mark.both_stores
def test_a_message_that_is_there_already_is_not_stored_again(rocketjob):
    class Once:
        @hookimpl
        def transition_writes(self, job, event):
            return [Insert(OUTBOX, {"_id": f"{job.id} paused", "text": event})]

    rocketjob.plugins.register(Once())
    job = KeptJob.create()
    for event in ("pause", "resume", "pause"):
        getattr(job, event)()
    assert job.reload().is_paused
    assert texts(rocketjob) == ["pause"]
