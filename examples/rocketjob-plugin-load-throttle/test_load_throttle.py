import os
from datetime import timedelta

import pytest
import rocketjob_plugin_load_throttle as plugin
from bson import ObjectId
from rocketjob_plugin_load_throttle import LoadThrottle, Probe, ReplicaThrottle

from rocketjob import Job
from rocketjob.testing import sandbox
from rocketjob.testing.mixin_contract import MixinContract
from rocketjob.testing.throttle_contract import ThrottleContract

URL = os.environ.get("LOAD_THROTTLE_TEST_URL", "sqlite://:memory:")
SETTINGS = {"plugins": ["throttle", plugin]}
MINUTE = timedelta(seconds=61)
measured = {"load": 0.0, "lag": 0.0, "times": 0}


def lag() -> float:
    measured["times"] += 1
    if measured["lag"] < 0:
        raise ConnectionError("no route to the replica")
    return measured["lag"]


class ResizeJob(LoadThrottle, Job):
    def perform(self): ...


class PlainJob(Job):
    def perform(self): ...


class ShrinkJob(LoadThrottle, Job):
    def perform(self): ...


class ImportJob(ReplicaThrottle, Job):
    replica_lag = Probe(lag)

    def perform(self): ...


class ExportJob(ReplicaThrottle, Job):
    replica_lag = ImportJob.replica_lag

    def perform(self): ...


@pytest.fixture(autouse=True)
def _idle(monkeypatch):
    measured.update(load=0.0, lag=0.0, times=0)
    monkeypatch.setattr(LoadThrottle, "load", Probe(lambda: measured["load"]))
    monkeypatch.setattr(ImportJob, "replica_lag", Probe(lag))
    monkeypatch.setattr(ExportJob, "replica_lag", ImportJob.replica_lag)


@pytest.fixture
def rocketjob():
    url = URL.replace("DATABASE", f"load_throttle_{ObjectId()}")
    with sandbox(url, plugins=SETTINGS["plugins"]) as made:
        yield made


class Turned(ThrottleContract):
    settings = SETTINGS
    gauge = ""

    def hold(self, rocketjob):
        measured[self.gauge] = 900.0
        rocketjob.travel(timedelta(seconds=5))  # what was measured is kept for so long

    def release(self, rocketjob):
        measured[self.gauge] = 0.0
        rocketjob.travel(timedelta(seconds=5))


class TestLoadThrottle(Turned):
    job_class, reason, gauge = ResizeJob, "load_is_too_high", "load"


class TestReplicaThrottle(Turned):
    job_class, reason, gauge = ImportJob, "replica_lags", "lag"


class TestLoadMixin(MixinContract):
    mixin, bases = LoadThrottle, ()
    settings = SETTINGS
    others = ()
    overrides = ("claim_limits", "waiting_note", "cleared_by_claim")


def test_it_says_how_high_the_load_is(rocketjob):
    measured["load"] = 3.24
    job = ResizeJob.create()
    assert rocketjob.work_off() == 0
    assert job.reload().throttled_text == "load 3.2 > 0.8"


def test_a_class_that_was_not_asked_about_says_so_too(rocketjob):
    measured["load"] = 3.24
    asked = ResizeJob.create()
    rocketjob.work_off()
    other = ShrinkJob.create()
    assert rocketjob.work_off() == 0
    assert f"load_is_too_high, with ResizeJob {asked.id}: load 3.2 > 0.8" in str(other.explain())


def test_a_job_that_bears_more_is_not_left_alone_with_the_others(rocketjob):
    measured["load"] = 3.24
    ResizeJob.create(priority=1)
    robust = ShrinkJob.create(max_load=5, destroy_on_complete=False)
    assert rocketjob.work_off() == 1
    assert robust.reload().is_completed


def test_the_replica_is_asked_once_for_all_jobs_of_all_classes(rocketjob):
    measured["lag"] = 400.0
    jobs = [*ImportJob.create_many([{}] * 5), ExportJob.create()]
    assert rocketjob.work_off() == 0
    assert measured["times"] == 1
    assert jobs[0].reload().throttled_text == "the replica is 400 s behind, more than 300"
    measured["lag"] = 1.0
    rocketjob.travel(MINUTE)
    assert rocketjob.work_off() == 6
    assert measured["times"] == 2


def test_a_replica_that_cannot_be_asked_holds_back_and_fails_nothing(rocketjob):
    measured["lag"] = -1.0
    job = ImportJob.create()
    assert rocketjob.work_off() == 0
    assert job.reload().is_queued
    assert "no route to the replica" in job.throttled_text


def test_the_defaults_are_settings():
    with sandbox(**SETTINGS, load_throttle={"max_load": 9.5, "max_replica_lag": 7}):
        assert ResizeJob().max_load == 9.5
        assert ImportJob().max_replica_lag == 7
        assert not ResizeJob(max_load=-1).is_valid()


def test_a_busy_server_takes_urgent_jobs_only():
    with sandbox(**SETTINGS, load_throttle={"max_server_load": 2}) as rocketjob:
        measured["load"] = 3.24
        PlainJob.create(priority=50)
        PlainJob.create(priority=10)
        assert rocketjob.work_off() == 1
        measured["load"] = 1.0
        rocketjob.travel(MINUTE)
        assert rocketjob.work_off() == 1


def test_the_real_load_can_be_measured():
    assert plugin.load_of_each_core() >= 0
