"""The supervisor, step by step, without worker processes of its own."""

import errno
import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta

import pytest

from rocketjob import Job, Server, hookimpl
from rocketjob.base import backoff, clock
from rocketjob.base.errors import ConfigurationError, InvalidTransition
from rocketjob.server import draining, signals
from rocketjob.server import supervisor as supervising
from rocketjob.server.supervisor import Supervisor
from rocketjob.server.worker_process import Exit, Process
from rocketjob.worker.slots import Slots
from support.jobs import KeptJob, stored
from support.runtime import FlakyStore, eventually, queue_of


@pytest.fixture
def supervisor(file_store):
    """A supervisor that is registered, and whose worker processes are only noted."""
    config = file_store.application.config
    config.workers, config.processes, config.heartbeat_seconds = 4, 2, 0.5
    made = registered(file_store)
    made.spawned = []
    made.tree.spawn = lambda threads, quarantined=False: made.spawned.append((threads, quarantined))
    yield made
    for each in made.tree.processes.values():
        each.popen.stdin.close()
        each.slots.close()


def registered(file_store):
    made = Supervisor(file_store.application)
    made.registration.enter()
    return made


def process(supervisor, number=1, threads=2, quarantined=False, places=0):
    """Add a worker process that has ended already."""
    popen = subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.PIPE, text=True)
    popen.wait()
    claimed_by = f"{supervisor.server.incarnation}.{number}"
    slots = Slots(threads + places)
    made = Process(number, claimed_by, threads, quarantined, slots, popen, 0.0, places)
    supervisor.tree.processes[number] = made
    return made


def claim(file_store, process):
    job = KeptJob.create()
    queue_of(file_store, process.claimed_by).claim(1)
    return job


def ends(supervisor, process, status):
    supervisor.tree.exits.put(Exit(process, status, 30))
    supervisor.tree.handle_exits()


def test_a_killed_process_is_replaced_and_its_work_queued(file_store, supervisor):
    ended = process(supervisor)
    performing, waiting = claim(file_store, ended), claim(file_store, ended)
    ended.slots.performing(1, performing.id)
    ended.slots.set_ready()
    ends(supervisor, ended, -signal.SIGKILL)
    supervisor.tree.restart_due()
    assert supervisor.spawned == [(2, False)]
    supervisor.tree.reclaim_ended()
    assert stored(performing)["interruptions"] == 1
    assert stored(waiting)["interruptions"] == 0
    assert {stored(job)["state"] for job in (performing, waiting)} == {"queued"}


def test_a_process_that_user_code_ends_with_0_has_crashed_too(file_store, supervisor):
    ended = process(supervisor)
    job = claim(file_store, ended)
    ended.slots.performing(1, job.id)
    ends(supervisor, ended, 0)
    supervisor.tree.reclaim_ended()
    assert stored(job)["interruptions"] == 1


def test_a_process_that_the_supervisor_killed_has_not_crashed(file_store, supervisor):
    ended = process(supervisor)
    job = claim(file_store, ended)
    ended.slots.performing(1, job.id)
    ended.stopping = True
    supervisor.stop()
    ends(supervisor, ended, -signal.SIGKILL)
    supervisor.tree.reclaim_ended()
    assert stored(job)["state"] == "queued"
    assert stored(job)["interruptions"] == 0
    assert supervisor.cut_short == 1
    assert supervisor.spawned == []


def test_a_crash_is_not_forgotten_while_the_store_is_away(file_store, supervisor):
    ended = process(supervisor)
    job = claim(file_store, ended)
    ended.slots.performing(1, job.id)
    store = file_store.store
    flaky = file_store.application._store = FlakyStore(store)
    flaky.fail("write_many", times=2)
    ends(supervisor, ended, -signal.SIGSEGV)
    supervisor.tree.restart_due()
    assert supervisor.spawned == [(2, False)], "it is replaced at once all the same"
    for _ in range(2):
        with pytest.raises(ConnectionError):
            supervisor.tree.reclaim_ended()
    supervisor.tree.reclaim_ended()
    assert stored(job)["interruptions"] == 1
    assert supervisor.tree.to_reclaim == []
    file_store.application._store = store


def test_processes_that_die_at_once_are_started_more_and_more_slowly(supervisor, monkeypatch):
    monkeypatch.setattr(clock, "monotonic", lambda: 100.0)
    delays = []
    for number in range(1, 9):
        ended = process(supervisor, number)
        ended.started = float("inf")
        ends(supervisor, ended, 1)
        due = supervisor.tree.restarts[-1][0]
        delays.append(due)
    assert delays == sorted(delays)
    assert supervisor.tree.next_restart(1.0) <= 1.0
    supervisor.tree.restart_due()
    assert len(supervisor.spawned) == 1


def test_a_process_that_cannot_be_started_is_tried_again(supervisor):
    def spawn(threads, quarantined=False):
        raise OSError(errno.EAGAIN, "no more processes")

    supervisor.tree.spawn = spawn
    supervisor.tree.restarts = [(0.0, 2, False)]
    supervisor.tree.restart_due()
    ((when, threads, quarantined),) = supervisor.tree.restarts
    assert when > 0
    assert (threads, quarantined) == (2, False)


def test_a_spawn_that_fails_leaves_nothing_open(file_store, monkeypatch):
    supervisor = registered(file_store)

    def popen(*args, **kwargs):
        raise OSError(errno.ENOMEM, "no memory")

    monkeypatch.setattr(subprocess, "Popen", popen)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(OSError, match="no memory"):
            supervisor.tree.spawn(2)
    assert len(os.listdir("/proc/self/fd")) == before
    assert supervisor.tree.processes == {}


def test_an_end_that_somebody_else_saw_first_is_reported_all_the_same(supervisor):
    code = "import sys; sys.exit(7)"
    popen = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, text=True)
    popen.wait()  # it is waited for already, as `kill` may do
    made = Process(1, "x.1", 1, False, Slots(1), popen, 0.0)
    supervisor.tree.processes[1] = made
    supervisor.tree.wait_for(made)
    ended = supervisor.tree.exits.get_nowait()
    assert ended.status == 7


def test_quarantined_jobs_get_a_process_of_their_own_when_they_are_due(file_store, supervisor):
    due, later = KeptJob.create(), KeptJob.create(run_at=clock.now().add(hours=1))
    Job.collection().update_one({"_id": later.id}, {"$set": {"interruptions": 1}})
    supervisor.tree.start_quarantined()
    assert supervisor.spawned == []
    Job.collection().update_one({"_id": due.id}, {"$set": {"interruptions": 1}})
    supervisor.tree.start_quarantined()
    assert supervisor.spawned == [(1, True)]


def test_a_process_for_quarantined_jobs_that_does_not_start_is_not_started_at_once_again(
    file_store, supervisor
):
    job = KeptJob.create()
    Job.collection().update_one({"_id": job.id}, {"$set": {"interruptions": 1}})
    ended = process(supervisor, threads=1, quarantined=True)
    ends(supervisor, ended, 1)
    supervisor.tree.reclaim_ended()
    assert supervisor.spawned == []


@pytest.fixture
def dice(monkeypatch):
    """What the supervisor's jitter gets: 0.9, 0.8, 0.7 and so on."""
    throws = iter(round(1 - n / 10, 1) for n in range(1, 6))
    monkeypatch.setattr(backoff.random, "uniform", lambda low, high: next(throws))
    monkeypatch.setattr(clock, "monotonic", lambda: 100.0)


def test_processes_that_cannot_be_started_are_not_tried_again_in_step(supervisor, dice):
    def spawn(threads, quarantined=False):
        raise OSError(errno.EAGAIN, "no more processes")

    supervisor.tree.spawn = spawn
    supervisor.tree.restarts = [(0.0, 2, False), (0.0, 3, False)]
    supervisor.tree.restart_due()
    assert supervisor.tree.restarts == [(104.5, 2, False), (104.0, 3, False)]


def test_processes_that_die_together_are_not_started_again_in_step(supervisor, dice):
    supervisor.tree.quick_deaths = 90
    for number in (1, 2):
        ended = process(supervisor, number)
        ended.started = 99.0
        ends(supervisor, ended, 1)
    assert [due for due, *_ in supervisor.tree.restarts] == [127.0, 124.0]


def test_servers_do_not_ask_in_step_for_a_store_that_is_away(supervisor, dice, monkeypatch):
    waited = []

    def wait(seconds):
        waited.append(seconds)
        supervisor.stop() if len(waited) == 2 else None

    flaky = supervisor.application._store = FlakyStore(supervisor.application.store)
    flaky.fail("change_mark", times=2)
    monkeypatch.setattr(supervisor.interrupt, "wait", wait)
    supervisor.watch()
    supervisor.application._store = flaky._store
    assert waited == [0.9, 0.8]


def test_servers_do_not_beat_in_step_once_the_store_is_back(supervisor, dice, monkeypatch):
    waited = []

    def sleep(seconds):
        waited.append(seconds)
        supervisor.stop() if len(waited) == 3 else None

    def fail(number):
        raise ConnectionError("away")

    monkeypatch.setattr(supervisor.heartbeat, "sleep", sleep)
    monkeypatch.setattr(supervisor.heartbeat, "beat", fail)
    supervisor.heartbeat.run()
    assert waited == [0.0, 0.45, 0.4]


# --- heartbeat and registration -----------------------------------------------------------------


def test_a_beat_is_stored_with_what_is_performed(file_store, supervisor):
    working = process(supervisor)
    job = claim(file_store, working)
    working.slots.set_ready()
    working.slots.performing(2, job.id)
    supervisor.heartbeat.beat(5)
    heartbeat = Server.collection().find_one({})["heartbeat"]
    assert (heartbeat["number"], heartbeat["workers"]) == (5, 2)
    assert heartbeat["performing"] == [str(job.id)]
    assert working.slots.beat == supervisor.heartbeat.at


class OnLoopsJob(Job):
    async def perform(self): ...


def test_a_beat_tells_threads_from_places_on_event_loops(file_store, supervisor):
    job, other = OnLoopsJob.create(), KeptJob.create()
    for number in (1, 2):
        working = process(supervisor, number, threads=2, places=3)
        working.slots.set_ready()
        working.slots.performing(1, other.id)
        working.slots.performing(4, job.id)
    process(supervisor, 3, threads=1, quarantined=True, places=3).slots.set_ready()
    supervisor.heartbeat.beat(1)
    server = Server.first()
    on_loops = server.heartbeat["on_loops"]
    assert (on_loops["places"], on_loops["taken"]) == (6, 2)
    assert "OnLoopsJob" in on_loops["classes"] and "KeptJob" not in on_loops["classes"]
    assert (server.workers_for("OnLoopsJob"), server.workers_for("KeptJob")) == (6, 4)
    assert server.has_room_for("KeptJob")
    for each in supervisor.tree.processes.values():
        each.slots.performing(2, other.id)
    supervisor.heartbeat.beat(2)
    server = Server.first()
    assert (server.has_room_for("KeptJob"), server.has_room_for("OnLoopsJob")) == (False, True)
    assert server.is_free


def test_the_thread_for_quarantined_jobs_is_not_one_of_the_workers_that_people_asked_for(
    supervisor,
):
    process(supervisor, 1, threads=2).slots.set_ready()
    process(supervisor, 2, threads=1, quarantined=True).slots.set_ready()
    supervisor.heartbeat.beat(1)
    assert Server.collection().find_one({})["heartbeat"]["workers"] == 2


def test_a_beat_tells_of_crashes_that_could_not_be_noted_yet(file_store, supervisor):
    ended = process(supervisor)
    job = claim(file_store, ended)
    ended.slots.performing(1, job.id)
    ends(supervisor, ended, -signal.SIGKILL)
    supervisor.heartbeat.beat(5)
    assert Server.collection().find_one({})["heartbeat"]["performing"] == [str(job.id)]
    supervisor.tree.reclaim_ended()
    supervisor.heartbeat.beat(6)
    assert Server.collection().find_one({})["heartbeat"]["performing"] == []


def test_a_beat_survives_a_process_that_ends_meanwhile(supervisor):
    ended, living = process(supervisor, 1), process(supervisor, 2)
    ended.slots.close()
    supervisor.heartbeat.beat(1)
    assert Server.collection().find_one({})["heartbeat"]["performing"] == []
    assert living.slots.beat == supervisor.heartbeat.at
    del supervisor.tree.processes[1]
    ended.popen.stdin.close()


def test_a_server_whose_document_is_gone_registers_again(supervisor):
    supervisor.tree.paused = True
    Server.collection().delete_many({})
    supervisor.heartbeat.beat(3)
    found = Server.collection().find_one({})
    assert found["incarnation"] == supervisor.server.incarnation
    assert found["state"] == "paused"


def test_a_server_that_comes_back_leaves_the_name_to_its_successor(file_store, supervisor):
    name = supervisor.server.name
    Server.collection().delete_many({})
    Server.create(name=name)
    supervisor.heartbeat.beat(3)
    assert Server.count() == 2
    assert supervisor.server.name.startswith(f"{name}:")


def test_a_server_that_has_signed_off_does_not_come_back(supervisor):
    supervisor.sign_off()
    supervisor.heartbeat.beat(9)
    assert Server.count() == 0


def test_to_sign_off_queues_what_is_left(file_store, supervisor):
    job = claim(file_store, process(supervisor))
    supervisor.sign_off()
    assert stored(job)["state"] == "queued"
    assert supervisor.cut_short == 1


def test_who_cannot_beat_does_not_judge_the_others(file_store, supervisor, monkeypatch):
    swept = []
    monkeypatch.setattr(supervisor.recovery, "sweep", swept.append)
    supervisor.sweep()
    assert swept == []
    supervisor.heartbeat.beat(1)
    supervisor.sweep()
    assert swept == [set()]


def test_a_class_that_nobody_has_is_named_when_it_turns_up(
    file_store, supervisor, caplog, monkeypatch
):
    monkeypatch.setattr(supervising, "UNSERVED_SECONDS", 0.0)

    def looks():
        caplog.clear()
        supervisor.heartbeat.beat(1)
        supervisor.sweep()
        return "no server has loaded" in caplog.text

    jobs = file_store.store.collection("rocket_job.jobs")
    assert not looks()
    jobs.insert_one({"_type": "VanishedJob", "state": "queued", "priority": 50})
    assert looks()
    assert not looks()  # once is enough
    jobs.delete_many({})
    assert not looks()
    jobs.insert_one({"_type": "VanishedJob", "state": "queued", "priority": 50})
    assert looks()


def test_the_state_in_the_store_is_obeyed(supervisor):
    supervisor.server.started()
    Server.pause_all()
    supervisor.obey()
    assert supervisor.paused
    Server.collection().delete_many({})
    supervisor.obey()
    assert supervisor.paused, "a document that is gone says nothing"


@pytest.fixture
def drained(supervisor, file_store):
    """A supervisor whose server is drained, and that looks at that a second later each time."""
    supervisor.server.started()

    def turn():
        supervisor.obey()
        file_store.travel(timedelta(seconds=1))
        return Server.find(supervisor.server.id).state

    supervisor.turn = turn
    return supervisor


def held_by(file_store, made):
    """Return a job that a process of the server holds."""
    job = KeptJob.create()
    queue_of(file_store, f"{made.server.incarnation}.1").claim(1)
    return job


def test_P36_a_server_that_is_drained_pauses_and_ends_once_it_is_at_rest(file_store, drained):
    job = held_by(file_store, drained)
    Server.find(drained.server.id).drain()
    assert [drained.turn() for _ in range(4)] == ["paused"] * 4
    assert drained.paused and not drained.stopping
    Job.collection().update_one({"_id": job.id}, {"$unset": {"claimed_by": ""}})
    assert [drained.turn() for _ in range(2)] == ["paused", "stopping"]  # it looks twice
    drained.obey()
    assert drained.stopping
    assert Server.find(drained.server.id).stopping_at is not None


def test_P36_what_its_processes_perform_and_what_cannot_be_known_keep_it_from_ending(
    drained, monkeypatch
):
    class Unknowing:
        broken = False

        @hookimpl
        def claim_owners(self):
            if self.broken:
                raise KeyError("boom")
            return [None]

    unknowing = Unknowing()
    Server.find(drained.server.id).drain()
    drained.application.plugins.register(unknowing)
    assert [drained.turn() for _ in range(4)] == ["paused"] * 4
    unknowing.broken = True
    assert [drained.turn() for _ in range(3)] == ["paused"] * 3
    drained.application.plugins.unregister(unknowing)
    with monkeypatch.context() as patched:
        patched.setattr(drained.drain, "_performing", lambda: ["a job"])
        assert [drained.turn() for _ in range(3)] == ["paused"] * 3
    assert [drained.turn() for _ in range(2)] == ["paused", "stopping"]


def test_what_a_drained_server_has_left_is_known_once_it_has_heard_of_it_whatever_its_clock(
    file_store, drained
):
    held_by(file_store, drained)
    drained.heartbeat.beat(2)
    Server.find(drained.server.id).drain()
    earlier = {"draining_at": clock.now() - timedelta(hours=1)}  # by the clock of who has asked
    Server.collection().update_one({"_id": drained.server.id}, {"$set": earlier})
    assert Server.find(drained.server.id).left_in_work is None
    drained.obey()
    drained.heartbeat.beat(3)
    assert Server.find(drained.server.id).left_in_work == 0


def test_P36_a_server_that_was_taken_for_dead_comes_back_to_be_drained(file_store, drained):
    held_by(file_store, drained)
    Server.find(drained.server.id).drain(3.0)
    assert [drained.turn() for _ in range(2)] == ["paused"] * 2
    Server.collection().delete_many({})
    drained.heartbeat.beat(3)
    assert Server.find(drained.server.id).is_draining
    assert [drained.turn() for _ in range(3)] == ["paused"] * 2 + ["stopping"]


def test_P36_or_when_its_time_is_up(file_store, drained):
    held_by(file_store, drained)
    Server.find(drained.server.id).drain(3.0)
    assert [drained.turn() for _ in range(5)] == ["paused"] * 4 + ["stopping"]


def test_P36_to_resume_it_ends_the_drain_and_another_one_has_its_own_time(file_store, drained):
    held_by(file_store, drained)
    server = Server.find(drained.server.id).drain(3.0)
    assert [drained.turn() for _ in range(3)] == ["paused"] * 3
    server.resume()
    assert drained.turn() == "running" and not drained.paused
    server.drain(3.0)
    assert [drained.turn() for _ in range(3)] == ["paused"] * 3


def test_P36_a_server_that_is_only_paused_does_not_end(drained):
    Server.find(drained.server.id).pause()
    assert [drained.turn() for _ in range(4)] == ["paused"] * 4
    with pytest.raises(InvalidTransition, match="it is not being drained"):
        Server.find(drained.server.id).drained()


def test_P36_a_server_that_was_resumed_this_moment_is_not_ended(drained, monkeypatch):
    server = Server.find(drained.server.id).drain()

    def resumed(_):
        server.resume()
        return True

    drained.turn()
    drained.turn()
    monkeypatch.setattr(draining, "is_at_rest", resumed)
    assert drained.turn() == "running"


@pytest.mark.parametrize("wrong", [{"draining_at": "x"}, {"drain_seconds": "soon"}])
def test_P36_what_something_else_has_written_does_not_end_the_supervisor(
    file_store, drained, wrong
):
    held_by(file_store, drained)
    Server.find(drained.server.id).drain()
    Server.collection().update_one({"_id": drained.server.id}, {"$set": wrong})
    assert [drained.turn() for _ in range(3)] == ["paused"] * 3


def test_while_it_is_paused_a_beat_says_at_once_what_it_has_finished(supervisor, monkeypatch):
    performing = [["a", "b"]]
    monkeypatch.setattr(supervisor.tree, "performing", lambda: performing[0])
    supervisor.heartbeat.beat(1)
    performing[0] = ["b"]
    assert not supervisor.heartbeat._has_news()
    supervisor.tree.pause(True)
    for number in (2, 3):
        assert supervisor.heartbeat._has_news()
        supervisor.heartbeat.beat(number)
        assert not supervisor.heartbeat._has_news()
        performing[0] = []


def test_a_server_without_a_name_takes_another_if_its_own_is_taken(file_store, supervisor):
    second = registered(file_store)
    assert second.server.name.startswith(f"{supervisor.server.name}:")


def test_a_name_that_a_living_server_has_is_refused(file_store, supervisor):
    file_store.application.config.name = "twin"
    first, second = Supervisor(file_store.application), Supervisor(file_store.application)
    first.registration.enter()
    stop, number = threading.Event(), iter(range(1, 10**9))

    def beat():
        while not stop.wait(0.05):
            first.heartbeat.beat(next(number))

    beating = threading.Thread(target=beat)
    beating.start()
    try:
        with pytest.raises(ConfigurationError, match="A server called twin is running already"):
            second.registration.enter()
    finally:
        stop.set()
        beating.join()


def test_the_name_of_a_silent_server_is_taken_over_with_its_work(file_store, supervisor):
    file_store.application.config.name = "phoenix"
    dead = registered(file_store)
    job = KeptJob.create()
    queue_of(file_store, f"{dead.server.incarnation}.1").claim(1)
    next_one = registered(file_store)
    assert next_one.server.name == "phoenix"
    assert stored(job)["state"] == "queued"


# --- signals ------------------------------------------------------------------------------------


def test_the_first_signal_stops_and_the_second_kills(supervisor):
    with signals.answered(supervisor.stop):
        os.kill(os.getpid(), signal.SIGTERM)
        eventually(lambda: supervisor.stopping)
        assert not supervisor.killing
        os.kill(os.getpid(), signal.SIGINT)
        eventually(lambda: supervisor.killing)


def test_a_signal_is_answered_while_the_main_thread_holds_the_lock_of_an_event(supervisor):
    with signals.answered(supervisor.stop):
        with supervisor.interrupt._cond:  # as in the midst of `clear` or `wait`
            os.kill(os.getpid(), signal.SIGTERM)
            for _ in range(1000):
                pass  # the handler runs here
        eventually(lambda: supervisor.stopping)


def test_how_a_process_ended_is_said_in_words(supervisor):
    ended = process(supervisor)
    assert "SIGKILL (signal 9), having used up to 30 MB" in Exit(ended, -9, 30).describe()
    assert "exit code 3" in Exit(ended, 3, 30).describe()
