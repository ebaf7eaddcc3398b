"""The verdict on the whole: FAILING, WATCH, OK or UNKNOWN, by what there is to see."""

import types
from datetime import timedelta

import pytest
from bson import ObjectId

from rocketjob import Job, Server, hookimpl
from rocketjob.base import clock
from rocketjob.base.errors import StoreUnavailable
from rocketjob.server.checks import PROBLEM, Check, Finding, Patient
from rocketjob.server.verdict import FAILING, OK, UNKNOWN, WATCH, judge
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.cron import Cron
from rocketjob_plugins.dirmon import DirmonEntry, DirmonJob
from rocketjob_plugins.housekeeping import HousekeepingJob


class JudgedJob(Job):
    destroy_on_complete = False

    def perform(self): ...


class JudgedCronJob(Cron, Job):
    cron_schedule = "0 * * * * UTC"

    def perform(self): ...


class JudgedBatchJob(Batch):
    def perform(self, record):
        raise ValueError("a bad record")


@pytest.fixture(autouse=True)
def _kept_in_order(rocketjob):
    """Let nothing be wrong: there is housekeeping, which is never due here."""
    rocketjob.freeze()
    job = HousekeepingJob.create()
    Job.collection().update_one({"_id": job.id}, {"$set": {"run_at": clock.now() + 99 * DAY}})


DAY = timedelta(days=1)


def server(name="host:1", state="running", beat=timedelta(0), **values):
    heartbeat = {"updated_at": clock.now() - beat, "number": 1, "workers": 2, "performing": []}
    return Server.create(name=name, state=state, heartbeat=heartbeat, **values)


def verdict(rocketjob, memory=None):
    return judge(Patient(rocketjob.application, memory={} if memory is None else memory))


def said(rocketjob, level):
    found = verdict(rocketjob)
    assert found.level is level, found.sentence
    return [cause.message for cause in found.causes]


def test_where_nothing_is_wrong_it_says_what_was_looked_at(rocketjob):
    server()
    found = verdict(rocketjob)
    assert (found.level, found.causes) == (OK, ())
    assert found.sentence.startswith("nothing is wrong with servers, the queue, ")
    for area in ("jobs", "directories", "schedules", "housekeeping", "running jobs"):
        assert area in found.looked_at


def test_each_level_is_told_without_colour_too():
    assert len({(level.icon, level.word) for level in (FAILING, WATCH, OK, UNKNOWN)}) == 4


# --- jobs that have failed -----------------------------------------------------------------------


def test_a_job_that_has_just_failed_is_failing_and_after_an_hour_to_be_watched(rocketjob):
    server()
    job = JudgedJob.create()
    job.fail("the disk is full")
    (message,) = said(rocketjob, FAILING)
    assert message == f"1 job has failed since {clock.now():%H:%M} UTC"
    rocketjob.travel(timedelta(minutes=61))
    Server.collection().update_many({}, {"$set": {"heartbeat.updated_at": clock.now()}})
    assert said(rocketjob, WATCH) == ["1 job has failed more than an hour ago"]
    job.reload().retry()
    assert said(rocketjob, OK) == []


def test_a_failed_slice_of_a_job_that_still_runs_is_failing(rocketjob):
    server()
    job = JudgedBatchJob()
    job.upload(["a", "b"])
    job.save()
    rocketjob.work_off()
    Job.collection().update_one({"_id": job.id}, {"$set": {"state": "running"}})
    (message,) = said(rocketjob, FAILING)
    assert message == f"1 slice has failed since {clock.now():%H:%M} UTC"


# --- servers -------------------------------------------------------------------------------------


def test_work_and_no_server_is_failing_and_no_work_is_not(rocketjob):
    assert said(rocketjob, OK) == []
    JudgedJob.create()
    assert said(rocketjob, FAILING) == ["no server is running, and 1 job waiting"]
    server(state="stopping")
    assert said(rocketjob, FAILING) == ["no server is running, and 1 job waiting"]
    server("host:2", state="starting")
    assert said(rocketjob, OK) == []


def test_a_dead_server_is_failing(rocketjob):
    server()
    server("old:7", beat=timedelta(minutes=5))
    assert said(rocketjob, FAILING) == ["the server old:7 is dead: its last heartbeat was 5m ago"]


def test_servers_that_are_all_paused_are_to_be_watched(rocketjob):
    server(state="paused")
    JudgedJob.create()
    assert said(rocketjob, WATCH) == ["host:1 is paused"]
    server("host:2", state="paused")
    assert said(rocketjob, WATCH) == ["all servers are paused"]
    for each in Server.all():
        each.drain()
    assert said(rocketjob, WATCH) == ["all servers are draining"]
    server("host:3")
    assert said(rocketjob, OK) == []


def test_a_server_that_stops_for_long_is_to_be_watched(rocketjob):
    stopping = server()
    server("host:2")
    stopping.stop()
    rocketjob.travel(timedelta(minutes=4))
    Server.collection().update_many({}, {"$set": {"heartbeat.updated_at": clock.now()}})
    assert said(rocketjob, OK) == []
    rocketjob.travel(timedelta(minutes=2))
    Server.collection().update_many({}, {"$set": {"heartbeat.updated_at": clock.now()}})
    assert said(rocketjob, WATCH) == ["host:1 has been stopping for 6m"]


# --- jobs that wait, and that run for long -------------------------------------------------------


def test_a_job_that_waits_for_long_is_to_be_watched_behind_more_urgent_ones_too(rocketjob):
    JudgedJob.create(priority=90)
    rocketjob.travel(timedelta(minutes=11))
    server()
    JudgedJob.create(priority=10)
    assert said(rocketjob, WATCH) == ["JudgedJob has been waiting for 11m"]


def test_a_job_that_was_queued_again_waits_from_then_on(rocketjob):
    job = JudgedJob.create()
    job.fail("the disk is full")
    rocketjob.travel(timedelta(hours=2))
    server()
    job.retry()
    assert said(rocketjob, OK) == []


def test_a_job_that_runs_far_longer_than_its_class_is_to_be_watched(rocketjob):
    memory = {}
    for _ in range(20):
        JudgedJob.create()
        rocketjob.work_off()
    job = JudgedJob.create()
    Job.collection().update_one(
        {"_id": job.id}, {"$set": {"state": "running", "started_at": clock.now()}}
    )
    rocketjob.travel(timedelta(minutes=3))
    server()
    found = verdict(rocketjob, memory)
    assert found.level is WATCH
    assert "1 job takes far longer than usual: JudgedJob has been running for 3m" in found.sentence


# --- what plugins look at ------------------------------------------------------------------------


def test_a_schedule_that_is_late_is_to_be_watched(rocketjob):
    server()
    job = JudgedCronJob.create()
    late = clock.now() - timedelta(minutes=5)
    Job.collection().update_one({"_id": job.id}, {"$set": {"run_at": late}})
    assert said(rocketjob, WATCH) == ["JudgedCronJob should have run 5m ago by its schedule"]


def test_entries_that_nobody_looks_at_are_to_be_watched_and_a_failed_one_is_failing(
    rocketjob, tmp_path
):
    server()
    entry = DirmonEntry.create(pattern=f"{tmp_path}/*.csv", job_class_name="JudgedBatchJob")
    assert said(rocketjob, OK) == []
    entry.enable()
    (message,) = said(rocketjob, WATCH)
    assert message.startswith("nobody looks for files")
    DirmonJob.create()
    assert said(rocketjob, OK) == []
    entry.fail("the folder is gone")
    (message,) = said(rocketjob, FAILING)
    assert message == f"1 directory entry failed: {tmp_path}/*.csv"


@pytest.mark.parametrize(
    ("state", "days", "said_of_it"),
    [
        ("completed", 7, "JudgedJob, which completed 8d ago"),
        ("aborted", 7, "JudgedJob, which was aborted 8d ago"),
        ("failed", 14, "JudgedJob, which failed 15d ago"),
    ],
)
def test_no_housekeeping_is_to_be_watched_once_something_is_old(rocketjob, state, days, said_of_it):
    server()
    Job.collection().delete_many({})
    assert said(rocketjob, OK) == []  # as after the installation
    job = JudgedJob.create()
    ended = clock.now() - (days + 1) * DAY
    Job.collection().update_one({"_id": job.id}, {"$set": {"state": state, "completed_at": ended}})
    messages = said(rocketjob, WATCH)
    text = "there is no housekeeping, and what is old is never removed, such as "
    assert text + said_of_it in messages
    HousekeepingJob.create()
    assert text + said_of_it not in [cause.message for cause in verdict(rocketjob).causes]


def test_what_is_not_old_yet_needs_no_housekeeping(rocketjob):
    server()
    Job.collection().delete_many({})
    job = JudgedJob.create()
    ended = clock.now() - 6 * DAY
    Job.collection().update_one(
        {"_id": job.id}, {"$set": {"state": "completed", "completed_at": ended}}
    )
    assert said(rocketjob, OK) == []


def test_a_plugin_adds_a_sign_and_one_that_fails_hides_nothing(rocketjob):
    def full(patient):
        yield Finding("disk", PROBLEM, "it is full", "remove what is old")

    def broken(patient):
        raise KeyError("free")

    @hookimpl
    def register_signs():
        return [Check("fan", broken), Check("disk", full)]

    server()
    plugin = types.SimpleNamespace(register_signs=register_signs)
    rocketjob.plugins.register(plugin, "acme")
    try:
        found = said(rocketjob, FAILING)
    finally:
        rocketjob.plugins.unregister(plugin)
    assert found == ["it is full", "fan cannot be judged: KeyError: 'free'"]


def test_documents_that_were_edited_by_hand_hide_nothing(rocketjob):
    server()
    JudgedJob.create().fail("the disk is full")
    for wrong in ({}, {"priority": "high", "created_at": 5, "history": 7, "run_at": None}):
        stored = {"_id": ObjectId(), "_type": "JudgedJob", "state": "queued", **wrong}
        Job.collection().insert_one(stored)
        Job.collection().insert_one({**stored, "_id": ObjectId(), "state": "running"})
    (message,) = said(rocketjob, FAILING)
    assert message.startswith("1 job has failed")


# --- what is not known ---------------------------------------------------------------------------


def test_a_store_that_is_away_is_not_judged(rocketjob, monkeypatch):
    def away(name):
        raise StoreUnavailable("the store is away")

    patient = Patient(rocketjob.application)
    monkeypatch.setattr(rocketjob.store, "collection", away)
    with pytest.raises(StoreUnavailable):
        judge(patient)


def test_a_verdict_that_is_old_is_unknown_and_never_green(rocketjob):
    server()
    found = verdict(rocketjob)
    rocketjob.travel(timedelta(seconds=15))
    assert found.now() is found
    rocketjob.travel(timedelta(seconds=1))
    assert found.now().level is UNKNOWN
    assert found.now().sentence == f"nothing was seen since {found.at:%H:%M:%S} UTC"


def test_what_another_program_has_written_is_judged_as_far_as_it_can_be(rocketjob):
    kept = JudgedJob.create()
    wrong = {"history": ["queued by hand"]}
    Job.collection().update_one({"_id": kept.id}, {"$set": wrong})
    running = server()
    beat = {"heartbeat.version": ["0.1"], "heartbeat.memory": "much"}
    Server.collection().update_one({"_id": running.id}, {"$set": beat})
    found = running.reload()
    assert (found.version, found.memory) == ("", 0)
    assert not [cause for cause in verdict(rocketjob).causes if "cannot be judged" in cause.message]
