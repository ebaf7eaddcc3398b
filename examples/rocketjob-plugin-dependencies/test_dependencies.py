import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import rocketjob_plugin_dependencies as plugin
from bson import ObjectId
from rocketjob_plugin_dependencies import COMPLETED, Dependent, after_all, chain

from rocketjob import Job, ValidationError
from rocketjob.server.checks import Patient
from rocketjob.testing import sandbox
from rocketjob_plugins.retry import Retry
from rocketjob_plugins.throttle import Throttle

ran = []


class Step(Dependent, Job):
    n: str

    def perform(self):
        ran.append(self.n)


class Bad(Dependent, Job):
    def perform(self):
        raise OSError("x")


class Again(Retry, Dependent, Job):
    retry_limit = 3

    def perform(self):
        if self.failure_count < 2:
            raise OSError("not yet")


class Both(Dependent, Throttle, Retry, Job):
    throttle_running_jobs = 1

    def perform(self): ...


class Independent(Job):
    def perform(self): ...


@pytest.fixture
def rocketjob():
    url = os.environ.get("DEPENDENCIES_TEST_URL", "sqlite://:memory:")
    if "DEPENDENCIES_TEST_URL" in os.environ:
        url = url.replace("DATABASE", f"dependencies_{ObjectId()}")
    with sandbox(url, plugins=[plugin, "throttle", "retry", "batch"]) as made:
        yield made


@pytest.fixture(autouse=True)
def _clear():
    ran.clear()


def events(job):
    return [entry.event for entry in job.reload().history]


# --- the order ------------------------------------------------------------------------------------


def test_a_diamond_runs_from_top_to_bottom_whatever_the_priorities(rocketjob):
    a = Step.create(n="a", priority=90)
    b, c = (Step.create(n=n, depends_on=[a.id]) for n in "bc")
    d = Step.create(n="d", depends_on=[b.id, c.id], priority=1)
    assert [job.state for job in (a, b, c, d)] == ["queued", "waiting", "waiting", "waiting"]
    assert d.explain().names() == ["state", "dependencies"]
    assert f"it waits for Step {b.id} (waiting), Step {c.id} (waiting)" in str(d.explain())
    assert rocketjob.work_off() == 4
    assert ran[0] == "a"
    assert ran[-1] == "d"


def test_a_job_that_waits_is_counted_and_found_by_its_state(rocketjob):
    a = Step.create(n="a")
    b = Step.create(n="b", depends_on=[a.id])
    assert Job.counts_by_state()["waiting"] == 1
    assert [job.id for job in Job.in_state("waiting")] == [b.id]
    assert b.is_waiting


def test_what_it_depends_on_may_have_completed_and_be_gone_already(rocketjob):
    a = Step.create(n="a")
    rocketjob.work_off()
    b = Step.create(n="b", depends_on=[a.id])
    assert b.state == "queued"
    assert rocketjob.work_off() == 1


def test_a_chain_runs_one_after_the_other_and_its_groups_in_between(rocketjob):
    jobs = chain(
        Step(n="a"), [Step(n="b", priority=2), Step(n="c", priority=1)], Step(n="d", priority=1)
    )
    assert [job.n for job in jobs] == ["a", "b", "c", "d"]
    assert rocketjob.work_off() == 4
    assert ran == ["a", "c", "b", "d"]


def test_nothing_of_a_chain_runs_if_one_of_its_jobs_is_not_valid(rocketjob):
    with pytest.raises(ValidationError):
        chain(Step(n="a"), Step(n="b", priority=1000))
    assert rocketjob.work_off() == 0
    assert Job.counts_by_state() == {"aborted": 1}


def test_nothing_of_a_chain_runs_before_it_is_stored_as_a_whole(rocketjob, monkeypatch):
    def die(job):
        raise KeyboardInterrupt

    class Last(Step):
        submit = die

    monkeypatch.setattr(Step, "abort", lambda self: None)  # a process that dies aborts nothing
    with pytest.raises(KeyboardInterrupt):
        chain(Step(n="a"), Last(n="b"))
    plugin.server_sweep()
    assert rocketjob.work_off() == 0
    (first,) = Job.in_state("waiting")
    assert "gone: release this job, or abort it" in str(first.explain())
    first.release()
    assert rocketjob.work_off() == 1


def test_after_all_runs_when_all_have_completed(rocketjob):
    parts = Step.create_many([{"n": n} for n in "abc"])
    last = after_all(parts, Step(n="last"))
    assert last.is_waiting
    assert rocketjob.work_off() == 4
    assert ran == ["a", "b", "c", "last"]


def test_with_other_mixins_their_rules_hold_too(rocketjob):
    a = Step.create(n="a")
    for _ in range(2):
        Both.create(depends_on=[a.id])
    assert rocketjob.work_off() == 3
    assert Job.count() == 0


def test_a_job_that_waits_for_later_is_not_due_before(rocketjob):
    a = Step.create(n="a")
    Step.create(n="b", depends_on=[a.id], run_at=timedelta(hours=1))
    assert rocketjob.work_off() == 1
    rocketjob.travel(timedelta(hours=2))
    assert rocketjob.work_off() == 1


# --- one that does not complete -------------------------------------------------------------------


def test_if_one_fails_its_dependents_wait_are_aborted_or_run_as_they_say(rocketjob):
    bad = Bad.create()
    waits = Step.create(n="waits", depends_on=[bad.id])
    aborted = Step.create(n="aborted", depends_on=[bad.id], if_dependency_fails="abort")
    runs = Step.create(n="runs", depends_on=[bad.id], if_dependency_fails="run")
    rocketjob.work_off()
    assert waits.reload().state == "waiting"
    assert "failed: retry or abort it" in str(waits.explain())
    assert aborted.reload().state == "aborted"
    assert str(bad.id) in aborted.history[-1].reason
    assert ran == ["runs"]
    assert Job.where({"_id": runs.id}).count() == 0
    bad.reload().abort()
    assert waits.reload().state == "aborted"


def test_a_retry_that_succeeds_lets_the_dependents_go(rocketjob):
    again = Again.create()
    Step.create(n="b", depends_on=[again.id], if_dependency_fails="abort")
    for _ in range(3):
        rocketjob.work_off()
        rocketjob.travel(timedelta(days=1))
    assert ran == ["b"]


def test_one_that_is_retried_by_hand_lets_the_dependents_go(rocketjob):
    bad = Bad.create()
    b = Step.create(n="b", depends_on=[bad.id])
    rocketjob.work_off()
    job = bad.reload()
    job.retry()
    job.start()
    job.complete()
    assert b.reload().state == "queued"


def test_what_is_made_after_the_failure_is_aborted_at_once(rocketjob):
    bad = Bad.create()
    rocketjob.work_off()
    assert Step.create(n="x", depends_on=[bad.id], if_dependency_fails="abort").state == "aborted"
    assert Step.create(n="x", depends_on=[bad.id], if_dependency_fails="run").state == "queued"


def test_it_is_aborted_when_the_first_of_them_fails_though_others_have_not_ended(rocketjob):
    later, bad = Step.create(n="later", run_at=timedelta(days=1)), Bad.create()
    jobs = [
        Step.create(n="x", depends_on=[later.id, bad.id], if_dependency_fails="abort")
        for _ in range(8)  # each waits for one of the two
    ]
    rocketjob.work_off()
    assert {job.reload().state for job in jobs} == {"aborted"}


def test_one_that_waits_for_many_moves_on_until_the_last_has_ended(rocketjob):
    parts = Step.create_many([{"n": str(n)} for n in range(30)])
    last = after_all(parts, Step(n="last"))
    assert rocketjob.work_off(29) == 29
    assert last.reload().is_waiting
    assert rocketjob.work_off() == 2
    assert ran[-1] == "last"


def test_a_long_chain_is_aborted_to_its_end(rocketjob):
    jobs = chain(*[Step(n=str(n)) for n in range(150)])
    jobs[0].reload().abort()
    assert Job.counts_by_state() == {"aborted": 150}


def test_one_that_is_destroyed_holds_its_dependents_until_somebody_decides(rocketjob):
    a = Step.create(n="a")
    b = Step.create(n="b", depends_on=[a.id], if_dependency_fails="abort")
    a.destroy()
    plugin.server_sweep()
    assert b.reload().state == "waiting"
    assert "gone: release this job, or abort it" in str(b.explain())
    (finding,) = plugin._look_for_gone(Patient(rocketjob.application, {}))
    assert "1 jobs wait for jobs that are gone" in finding.message
    b.release()
    assert rocketjob.work_off() == 1


# --- what is refused ------------------------------------------------------------------------------


def test_a_circle_is_refused(rocketjob):
    a = Step.create(n="a", run_at=timedelta(days=1))
    b = Step.create(n="b", depends_on=[a.id])
    a.depends_on = [b.id]
    with pytest.raises(ValidationError, match="wait for one another"):
        a.save()
    c = Step(n="c")
    c.depends_on = [c.id]
    with pytest.raises(ValidationError, match="wait for one another"):
        c.save()


def test_a_job_that_there_is_not_is_refused(rocketjob):
    with pytest.raises(ValidationError, match="nobody knows whether it completed: store it first"):
        Step.create(n="a", depends_on=[ObjectId()])


def test_a_job_without_the_mixin_is_refused(rocketjob):
    other = Independent.create()
    with pytest.raises(ValidationError, match=f"Independent {other.id} does not have the mixin"):
        Step.create(n="a", depends_on=[other.id])


def test_a_queued_job_can_be_made_to_wait_and_a_job_that_waits_for_others(rocketjob):
    a, b, c = (Step.create(n=n) for n in "abc")
    c.update(depends_on=[a.id])
    assert c.reload().state == "waiting"
    c.update(depends_on=[b.id])
    assert c.reload().waits_for == b.id
    c.update(depends_on=[])
    assert c.reload().state == "queued"
    job = Bad.create()
    rocketjob.work_off()
    with pytest.raises(ValidationError, match="cannot be changed of a job that is failed"):
        job.reload().update(depends_on=[a.id])


# --- many, and processes that die -----------------------------------------------------------------


def test_many_that_wait_do_not_keep_others_from_running(rocketjob):
    slow = Step.create(n="slow")
    slow.pause()
    Step.create_many([{"n": str(n), "depends_on": [slow.id]} for n in range(1100)])
    Step.create(n="free")
    assert rocketjob.work_off() == 1
    assert ran == ["free"]


def test_dependents_beyond_those_of_the_worker_are_released_by_the_sweep(rocketjob, monkeypatch):
    monkeypatch.setattr(plugin, "AT_ONCE", 3)
    monkeypatch.setattr(plugin, "IN_A_SWEEP", 4)
    a = Step.create(n="a")
    Step.create_many([{"n": str(n), "depends_on": [a.id]} for n in range(10)])
    assert rocketjob.work_off() == 1 + 3
    plugin.server_sweep()
    assert rocketjob.work_off() == 4
    plugin.server_sweep()
    assert rocketjob.work_off() == 3


def test_what_a_process_that_died_left_is_released_once_by_a_sweep(rocketjob, monkeypatch):
    a = Step.create(n="a")
    b = Step.create(n="b", depends_on=[a.id])
    with monkeypatch.context() as patch:
        patch.setattr(plugin, "_settle", lambda id: None)  # as if it died with the completion
        rocketjob.work_off()
    assert b.reload().state == "waiting"
    plugin.server_sweep()
    plugin.server_sweep()
    assert events(b) == ["wait_for_dependencies", "release"]
    assert rocketjob.work_off() == 1


def test_one_that_ended_while_its_dependent_was_stored_is_noticed(rocketjob, monkeypatch):
    a, insert = Step.create(n="a"), Step._insert

    def late(job):
        rocketjob.work_off()
        insert(job)

    monkeypatch.setattr(Step, "_insert", late)
    b = Step.create(n="b", depends_on=[a.id])
    assert (b.state, b.reload().state) == ("queued", "queued")


DIE = """
import os, signal
import rocketjob_plugin_dependencies as plugin
from test_dependencies import Step
from rocketjob.testing import sandbox

plugin._settle = lambda id: os.kill(os.getpid(), signal.SIGKILL)
with sandbox(os.environ["STORE"], plugins=[plugin]) as rocketjob:
    rocketjob.work_off()
"""


def test_killed_between_the_last_completion_and_the_release_nothing_is_lost(tmp_path):
    url = f"sqlite:///{tmp_path}/rocketjob.db"
    with sandbox(url, plugins=[plugin]):
        a = Step.create(n="a")
        b = Step.create(n="b", depends_on=[a.id])
    here = str(Path(__file__).parent)
    path = os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])
    died = subprocess.run(
        [sys.executable, "-c", DIE], env={**os.environ, "STORE": url, "PYTHONPATH": path}
    )
    assert died.returncode == -signal.SIGKILL
    with sandbox(url, plugins=[plugin]) as rocketjob:
        assert (Job.count(), b.reload().state) == (1, "waiting")
        plugin.server_sweep()
        assert events(b) == ["wait_for_dependencies", "release"]
        assert rocketjob.work_off() == 1


def test_that_a_job_completed_is_forgotten_when_nobody_needs_it_any_more(rocketjob):
    _, needed, last = (Step.create(n=n) for n in ("a", "needed", "last"))
    last.pause()
    Step.create(n="b", depends_on=[last.id, needed.id])
    rocketjob.work_off()
    rocketjob.travel(timedelta(days=29))
    plugin.sweep()
    assert rocketjob.store.collection(COMPLETED).count_documents({}) == 2
    rocketjob.travel(timedelta(days=2))
    plugin.sweep()
    assert [note["_id"] for note in rocketjob.store.collection(COMPLETED).find({})] == [needed.id]
    last.reload().resume()
    rocketjob.work_off()
    assert ran[-1] == "b"


def test_without_the_plugin_its_jobs_stay_and_with_it_they_go_on(rocketjob):
    a = Step.create(n="a")
    b = Step.create(n="b", depends_on=[a.id])
    rocketjob.plugins.unregister(plugin)
    assert rocketjob.work_off() == 1
    assert b.reload().state == "waiting"
    assert Job.in_state("waiting").count() == 1
    rocketjob.plugins.register(plugin, "dependencies")
    plugin.server_sweep()
    assert "gone" in str(b.explain())  # it completed while nobody took note
    b.release()
    assert rocketjob.work_off() == 1
