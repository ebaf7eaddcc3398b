"""Servers watch each other's heartbeats, and take back the work of those that died."""

import os
import subprocess
import sys
from contextlib import contextmanager
from datetime import timedelta

import pytest

from rocketjob import Job, Server, after
from rocketjob.base import clock
from rocketjob.base.errors import InvalidTransition, NotFound
from rocketjob.queue.reclaim import requeue_claims
from rocketjob.server import recovery
from rocketjob.server.recovery import Recovery
from rocketjob.worker.steps import runs_on_loop
from support.jobs import KeptJob, stored
from support.runtime import queue_of
from support.servers import ended_process


@pytest.fixture
def watch(monkeypatch):
    """The monotonic clock of the recovery, moved by hand."""

    class Watch:
        now = 1000.0

        def monotonic(self):
            return self.now

        def sleep(self, server_watch, seconds, beating=()):
            """Let time pass in steps in which the recovery looks, and some servers beat."""
            end = self.now + seconds
            while self.now < end:
                self.now += server_watch.interval
                for server in beating:
                    beat(server)
                server_watch.sweep(set())

    made = Watch()
    monkeypatch.setattr(recovery.clock, "monotonic", made.monotonic)
    return made


@pytest.fixture
def mine(rocketjob, watch):
    return Recovery(rocketjob.application, "mine")


def server(name, number=1, **fields):
    heartbeat = {"updated_at": clock.now(), "number": number, "workers": 1, "performing": []}
    return Server.create(
        **{
            "name": name,
            "state": "running",
            "heartbeat": heartbeat,
            "heartbeat_seconds": 1,
            **fields,
        }
    )


def beat(server):
    Server.collection().update_one({"_id": server.id}, {"$inc": {"heartbeat.number": 1}})


def claim_for(rocketjob, server, process=1):
    job = KeptJob.create()
    queue_of(rocketjob, f"{server.incarnation}.{process}").claim(1)
    return job


def test_a_server_that_stops_beating_is_removed_and_its_work_queued(rocketjob, mine, watch):
    dead = server("dead")
    job = claim_for(rocketjob, dead)
    watch.sleep(mine, 3)
    assert stored(job)["state"] == "running"
    watch.sleep(mine, 2)
    assert Server.count() == 0
    assert stored(job)["state"] == "queued"


def test_while_nothing_is_written_the_servers_that_are_known_are_watched(
    rocketjob, mine, watch, monkeypatch
):
    monkeypatch.setattr(mine, "sweep", lambda _: mine.watch_others())
    Recovery.sweep(mine, set())
    assert not mine.watch_others()
    dead, alive = server("dead"), server("alive")
    job = claim_for(rocketjob, dead)
    Recovery.sweep(mine, set())  # since they were written
    assert stored(job)["state"] == "running"
    watch.sleep(mine, 5, beating=[alive])
    assert stored(job)["state"] == "queued"
    assert [each.name for each in Server.all()] == ["alive"]


def test_a_living_server_is_never_robbed(rocketjob, mine, watch):
    alive = server("alive")
    job = claim_for(rocketjob, alive)
    watch.sleep(mine, 60, beating=[alive])
    assert Server.count() == 1
    assert stored(job)["state"] == "running"


def test_the_time_in_a_heartbeat_does_not_count(rocketjob, mine, watch):
    alive = server("alive")
    stale = {"updated_at": clock.now().subtract(hours=1), "number": 5}
    Server.collection().update_one({"_id": alive.id}, {"$set": {"heartbeat": stale}})
    job = claim_for(rocketjob, alive)
    watch.sleep(mine, 10, beating=[alive])
    assert stored(job)["state"] == "running"


def test_a_job_of_no_server_at_all_is_taken_back_at_once(rocketjob, mine):
    gone = server("gone")
    job = claim_for(rocketjob, gone)
    gone.delete()
    assert mine.sweep(set()) == {"requeued": 1, "failed": 0}
    assert stored(job)["state"] == "queued"


def test_what_a_dead_server_performed_counts_as_a_crash(rocketjob, mine, watch):
    dead = server("dead")
    performing, waiting = claim_for(rocketjob, dead), claim_for(rocketjob, dead)
    change = {"$set": {"heartbeat.performing": [str(performing.id)]}}
    Server.collection().update_one({"_id": dead.id}, change)
    watch.sleep(mine, 6)
    assert stored(performing)["interruptions"] == 1
    assert stored(waiting)["interruptions"] == 0
    assert {stored(job)["state"] for job in (performing, waiting)} == {"queued"}


def test_a_recovery_that_was_away_itself_judges_nobody(rocketjob, mine, watch):
    other = server("other")
    job = claim_for(rocketjob, other)
    mine.sweep(set())
    watch.now += 3600
    mine.sweep(set())
    assert stored(job)["state"] == "running"
    watch.sleep(mine, 2, beating=[other])
    assert stored(job)["state"] == "running"


def test_to_forget_is_to_watch_anew(rocketjob, mine, watch):
    other = server("other")
    job = claim_for(rocketjob, other)
    watch.sleep(mine, 3.5)
    mine.forget()
    watch.sleep(mine, 2)
    assert stored(job)["state"] == "running"
    watch.sleep(mine, 3)
    assert stored(job)["state"] == "queued"


def test_a_beat_at_the_last_moment_saves_a_server(rocketjob, mine, watch):
    other = server("other")
    job = claim_for(rocketjob, other)
    watch.sleep(mine, 3.5)
    found = Server.collection().find_one({"_id": other.id})
    beat(other)
    assert mine.bury(found) == {"requeued": 0, "failed": 0}
    assert Server.count() == 1
    assert stored(job)["state"] == "running"


def test_own_processes_keep_their_work_and_ended_ones_lose_it(rocketjob, watch):
    me = server("me")
    own = Recovery(rocketjob.application, me.incarnation)
    living, ended = claim_for(rocketjob, me, 1), claim_for(rocketjob, me, 2)
    own.sweep({f"{me.incarnation}.1"})
    assert stored(living)["state"] == "running"
    assert stored(ended)["state"] == "queued"


def test_two_recoveries_take_a_job_back_once(rocketjob, mine, watch):
    theirs = Recovery(rocketjob.application, "theirs")
    dead = server("dead")
    job = claim_for(rocketjob, dead)
    for _ in range(30):
        watch.now += mine.interval
        mine.sweep(set())
        theirs.sweep(set())
    assert stored(job)["state"] == "queued"
    assert [entry["event"] for entry in stored(job)["history"]] == ["start", "requeue"]


def test_a_crash_counts_though_another_recovery_is_at_it_at_the_same_time(
    rocketjob, mine, watch, monkeypatch
):
    theirs = Recovery(rocketjob.application, "theirs")
    dead = server("dead")
    job = claim_for(rocketjob, dead)
    change = {"$set": {"heartbeat.performing": [str(job.id)]}}
    Server.collection().update_one({"_id": dead.id}, change)
    reclaim = mine._reclaim

    def let_the_other_be_first(*arguments):
        for _ in range(30):
            watch.now += theirs.interval
            theirs.sweep(set())
        return reclaim(*arguments)

    monkeypatch.setattr(mine, "_reclaim", let_the_other_be_first)
    mine.bury(Server.collection().find_one({"_id": dead.id}))
    assert stored(job)["interruptions"] == 1
    assert [entry["event"] for entry in stored(job)["history"]] == ["start", "requeue"]


def test_a_server_that_is_known_to_be_dead_is_buried(rocketjob, mine):
    dead = server("dead")
    job = claim_for(rocketjob, dead)
    mine.bury(Server.collection().find_one({"_id": dead.id}))
    assert Server.count() == 0
    assert stored(job)["state"] == "queued"


# --- those of this machine ----------------------------------------------------------------------


def ended(name="ended", **fields):
    """Store a server of this machine whose process has ended a moment ago."""
    return server(name, pid=ended_process(), **fields)


def test_what_a_server_of_this_machine_held_is_queued_as_soon_as_all_its_processes_have_ended(
    rocketjob, mine
):
    jobs = [claim_for(rocketjob, each) for each in (ended(), server("alive"))]
    mine.sweep(set())
    assert [stored(job)["state"] for job in jobs] == ["queued", "running"]
    assert [each.name for each in Server.all()] == ["alive"]


@contextmanager
def called_with(*words):
    """Run a process that is called with these words, until the end of a block."""
    command = [sys.executable, "-S", "-c", "print(flush=True); input()", *words]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        process.stdout.readline()  # it is called so by now
        try:
            yield
        finally:
            process.kill()


@pytest.mark.parametrize("mark", ["{incarnation}.3", "rocketjob.child ended:3"])
def test_while_a_worker_process_of_it_lives_its_work_is_left_alone_until_the_heartbeat_is_missed(
    rocketjob, mine, watch, mark
):
    gone = ended()
    job = claim_for(rocketjob, gone)
    with called_with(mark.format(incarnation=gone.incarnation)):
        mine.sweep(set())
        assert stored(job)["state"] == "running"
        watch.sleep(mine, 5)
        assert stored(job)["state"] == "queued"


def test_a_process_of_another_server_is_none_of_its_own(rocketjob, mine):
    job = claim_for(rocketjob, ended())
    with called_with("rocketjob.child ended-2:3", "rocketjob.child web:1", "ended:3"):
        mine.sweep(set())
    assert stored(job)["state"] == "queued"


@pytest.mark.parametrize("hidden", ["no /proc", "others", "what they are called with"])
def test_where_the_processes_cannot_be_seen_its_heartbeat_tells(
    rocketjob, mine, monkeypatch, tmp_path, hidden
):
    job = claim_for(rocketjob, ended())
    monkeypatch.setattr("rocketjob.server.ended.PROCESSES", str(tmp_path / "proc"))
    if hidden != "no /proc":
        (tmp_path / "proc" / "7").mkdir(parents=True)
    if hidden == "what they are called with":
        (tmp_path / "proc" / "1" / "cmdline").mkdir(parents=True)  # opening it is an error
    mine.sweep(set())
    assert stored(job)["state"] == "running"


@pytest.mark.parametrize(
    "elsewhere", [{"host": "other"}, {"pid_namespace": "pid:[1]"}], ids=["machine", "container"]
)
def test_of_another_machine_or_container_only_the_heartbeat_tells(rocketjob, mine, elsewhere):
    job = claim_for(rocketjob, ended(**elsewhere))
    mine.sweep(set())
    assert stored(job)["state"] == "running"


def test_a_server_whose_number_of_its_process_is_none_keeps_nobody_from_the_others(rocketjob, mine):
    odd = server("odd")
    Server.collection().update_one({"_id": odd.id}, {"$set": {"pid": "x"}})
    job = claim_for(rocketjob, ended())
    mine.sweep(set())
    assert stored(job)["state"] == "queued"


def test_a_process_that_has_ended_and_that_nobody_has_asked_after_is_gone(rocketjob):
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    try:
        assert server("unburied", pid=process.pid).is_gone()
    finally:
        process.wait()


# --- the document -------------------------------------------------------------------------------


def test_a_starting_server_is_no_zombie(rocketjob):
    assert not server("a", state="starting", heartbeat=None).is_zombie()


def test_a_server_without_a_heartbeat_is_a_zombie(rocketjob):
    assert server("a", heartbeat=None).is_zombie()


def test_a_server_is_a_zombie_after_four_missed_beats(rocketjob):
    rocketjob.freeze()
    made = server("a", heartbeat_seconds=15)
    assert not made.is_zombie()
    rocketjob.travel(clock.now().add(seconds=59))
    assert not made.is_zombie()
    rocketjob.travel(clock.now().add(seconds=1))
    assert made.is_zombie()
    assert not made.is_zombie(missed=5)


def test_a_server_is_paused_resumed_and_stopped(rocketjob):
    made = Server.create(name="a")
    assert made.started().state == "running"
    assert made.started_at is not None
    assert made.pause().state == "paused"
    assert made.resume().state == "running"
    assert made.stop().state == "stopping"
    with pytest.raises(InvalidTransition, match="server a"):
        made.pause()


def test_servers_are_found_by_name(rocketjob):
    one, two = server("host:1"), server("host:2")
    assert {each.id for each in Server.named("host")} == {one.id, two.id}
    assert [each.id for each in Server.named("host:2")] == [two.id]
    assert len(Server.named(None)) == 2
    with pytest.raises(NotFound, match="there are: host:1, host:2"):
        Server.named("host:3")


def test_all_servers_are_counted_and_told(rocketjob):
    server("a"), server("b", state="paused"), server("c", state="starting")
    assert Server.counts_by_state() == {"running": 1, "paused": 1, "starting": 1}
    assert Server.pause_all() == 1
    assert Server.resume_all() == 2
    assert Server.stop_all() == 3
    assert Server.counts_by_state() == {"stopping": 3}


# --- running jobs that nobody holds --------------------------------------------------------------


def test_a_job_that_was_started_where_no_worker_is_is_queued_again(rocketjob, mine, watch):
    job = KeptJob.create()
    job.start()
    held = claim_for(rocketjob, server("alive"))
    assert job.explain().names() == ["lost"]
    watch.sleep(mine, 4 * rocketjob.application.config.heartbeat_seconds - 1, beating=Server.all())
    assert stored(job)["state"] == "running"
    watch.sleep(mine, 2 * mine.interval + 1, beating=Server.all())
    assert stored(job)["state"] == "queued"
    assert stored(job)["history"][-1]["reason"] == "it was running and nobody held it"
    assert stored(held)["state"] == "running"
    assert rocketjob.work_off() == 1


class RaisesWhenRequeuedJob(KeptJob):
    @after("requeue")
    def break_off(self):
        raise LookupError("after requeue")


def test_one_whose_callback_raises_does_not_keep_the_others_waiting(rocketjob, mine, watch):
    jobs = [RaisesWhenRequeuedJob.create(), KeptJob.create()]
    for job in jobs:
        job.start()
    lost = claim_for(rocketjob, server("dead"))
    watch.sleep(mine, 4 * rocketjob.application.config.heartbeat_seconds + 2 * mine.interval)
    assert [stored(job)["state"] for job in (*jobs, lost)] == ["queued"] * 3


def test_one_that_ends_meanwhile_is_left_alone(rocketjob, mine, watch):
    job = KeptJob.create()
    job.start()
    watch.sleep(mine, 30)
    job.complete()
    watch.sleep(mine, 100)
    assert stored(job)["state"] == "completed"


def test_the_time_begins_again_with_each_start(rocketjob, mine, watch):
    job = KeptJob.create()
    job.start()
    watch.sleep(mine, 40)
    job.requeue()
    rocketjob.travel(timedelta(seconds=1))
    job.start()
    watch.sleep(mine, 40)
    assert stored(job)["state"] == "running"


# --- whole servers that die at once --------------------------------------------------------------


def die_with(rocketjob, mine, job, *, quarantined):
    """Let a server claim, and die before its heartbeat has named anything."""
    dead = server(f"dead {job.reload().claim_number}")
    queue = queue_of(rocketjob, f"{dead.incarnation}.1", quarantined=quarantined)
    claimed = [each.id for each in queue.claim(5)]
    mine.bury(Server.collection().find_one({"_id": dead.id}))
    return claimed


def test_a_job_that_takes_its_server_down_is_performed_alone_and_failed(rocketjob, mine):
    poison, other = KeptJob.create(priority=1), KeptJob.create()
    assert die_with(rocketjob, mine, poison, quarantined=False) == [poison.id, other.id]
    assert stored(poison)["interruptions"] == stored(other)["interruptions"] == 0
    other.reload().abort()
    assert die_with(rocketjob, mine, poison, quarantined=False) == []
    for count in (1, 2, 3):
        assert die_with(rocketjob, mine, poison, quarantined=True) == [poison.id]
        assert stored(poison)["interruptions"] == count
    assert stored(poison)["state"] == "failed"
    assert stored(poison)["exception"]["class_name"] == "WorkerCrashed"


class AmongManyJob(Job):
    destroy_on_complete = False

    async def perform(self): ...


def crash(rocketjob, job, *others):
    """Let a worker crash at a job and others; return what is stored of the job."""
    jobs = [job, *others]
    assert {each.id for each in queue_of(rocketjob, "x.1").claim(len(jobs))} == {
        each.id for each in jobs
    }
    how = {str(each.id): "was killed" for each in jobs}
    counts = requeue_claims(
        rocketjob.application.store,
        rocketjob.application.plugins,
        "x.1",
        crash_limit=1,
        crashed=how,
        on_loop=runs_on_loop,
    )
    assert sum(counts.values()) == len(jobs)
    return stored(job)


def test_of_many_on_one_loop_none_is_blamed_before_it_has_crashed_alone(rocketjob):
    job, other, plain = AmongManyJob.create(), AmongManyJob.create(), KeptJob.create()
    first = crash(rocketjob, job, other, plain)  # among hundreds
    assert (first["state"], first["interruptions"], first["suspected"]) == ("queued", 0, -1)
    assert stored(plain)["state"] == "failed"  # it had a thread
    second = crash(rocketjob, job, other)  # in a group
    assert (second["state"], second["interruptions"], second["suspected"]) == ("queued", 0, 2)
    other.reload().abort()
    third = crash(rocketjob, job)
    assert (third["state"], third["interruptions"]) == ("failed", 1)


def test_what_reclaims_twice_suspects_once(rocketjob, monkeypatch):
    jobs = AmongManyJob.create(), AmongManyJob.create()
    with monkeypatch.context() as patch:
        patch.setattr(AmongManyJob, "recover", lambda *_: None)  # it dies in between
        queue_of(rocketjob, "x.1").claim(2)
        for _ in range(2):
            requeue_claims(
                rocketjob.application.store,
                rocketjob.application.plugins,
                "x.1",
                crash_limit=1,
                crashed={str(job.id): "was killed" for job in jobs},
                on_loop=runs_on_loop,
            )
    assert [stored(job)["suspected"] for job in jobs] == [-1, -1]


def test_two_servers_that_bury_one_blame_no_job_twice(rocketjob, mine):
    job, dead = KeptJob.create(), server("dead")
    queue_of(rocketjob, f"{dead.incarnation}.1").claim(1)
    KeptJob.collection().update_one({"_id": job.id}, {"$set": {"suspected": 1}})  # by the other
    mine.bury(Server.collection().find_one({"_id": dead.id}))
    assert (stored(job)["state"], stored(job)["interruptions"]) == ("queued", 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"heartbeat": "x"},
        {"heartbeat_seconds": "x"},
        {"heartbeat.performing": 5},
        {"incarnation": None, "name": None},
    ],
)
def test_a_server_that_another_program_has_written_keeps_no_other_from_being_buried(
    mine, watch, wrong
):
    strange, dead = server("strange:1"), server("dead:1")
    Server.collection().update_one({"_id": strange.id}, {"$set": wrong})
    watch.sleep(mine, 100)
    assert Server.where(id=dead.id).first() is None
