"""What servers do beside jobs: sweeps, one server at a time, and who tells the plugins of what."""

import threading
from datetime import timedelta
from math import inf

import pytest

from rocketjob import Server, Subscriber, events, hookimpl, now
from rocketjob.base.errors import StoreUnavailable
from rocketjob.jobs import completions
from rocketjob.plugins.manager import PluginManager
from rocketjob.server import lifetime
from rocketjob.server.recovery import Recovery
from rocketjob.server.sweeper import COLLECTION, Sweeper
from rocketjob.store import upkeep
from rocketjob.store.lease import Turns
from rocketjob.testing import sandbox
from support.runtime import PATIENCE, FlakyStore, eventually


class Sweeping:
    def __init__(self):
        self.swept, self.of_server, self.error = 0, [], None

    @hookimpl
    def sweep(self):
        self.swept += 1
        if self.error:
            raise self.error

    @hookimpl
    def server_sweep(self, server):
        self.of_server.append(server.name)
        if self.error:
            raise self.error


@pytest.fixture
def sweeping(rocketjob):
    plugin = Sweeping()
    rocketjob.plugins.register(plugin, "sweeping")
    return plugin


def sweeper(sandbox, name="one", seconds=60.0):
    return Sweeper(sandbox.application, Server(name=name), seconds)


def again(made):
    """Sweep as after the time that a server waits, by its own clock."""
    made._next_turn = 0.0
    made.sweep()


# --- whose turn it is ------------------------------------------------------------------------


def test_every_server_sweeps_for_itself_and_one_for_all(rocketjob, sweeping):
    rocketjob.freeze()
    for made in (sweeper(rocketjob, "one"), sweeper(rocketjob, "two")):
        again(made)
        again(made)
    assert sweeping.of_server == ["one", "one", "two", "two"]
    assert sweeping.swept == 1
    rocketjob.travel(timedelta(seconds=16))
    again(sweeper(rocketjob, "three"))
    assert sweeping.swept == 2


def test_one_server_asks_for_its_turn_no_more_often_than_there_is_one(rocketjob, sweeping):
    made = sweeper(rocketjob)
    made.sweep()
    rocketjob.travel(timedelta(minutes=1))
    made.sweep()  # by its own clock no time has passed
    assert (sweeping.swept, len(sweeping.of_server)) == (1, 2)


@pytest.fixture
def turns(rocketjob):
    rocketjob.freeze()
    kept = rocketjob.store.collection(COLLECTION)
    every, longest = timedelta(seconds=15), timedelta(minutes=5)
    return [Turns(kept, "a", every, longest) for _ in range(3)]


def test_nobody_gets_a_turn_while_another_is_at_it(rocketjob, turns):
    one, two, _ = turns
    assert one.take()
    rocketjob.travel(timedelta(minutes=4))
    assert not two.take()
    one.end()
    assert two.take()  # since it was due long before


def test_a_turn_of_the_dead_is_over_after_five_minutes(rocketjob, turns):
    one, two, three = turns
    assert one.take()
    rocketjob.travel(timedelta(minutes=5))
    assert two.take()
    one.end()  # it lives after all, and must not end the turn of the other
    assert not three.take()


def test_the_next_turn_is_counted_from_the_begin_of_the_last(rocketjob, turns):
    one, two, _ = turns
    assert one.take()
    rocketjob.travel(timedelta(seconds=14))
    one.end()
    assert not two.take()
    rocketjob.travel(timedelta(seconds=1))
    assert two.take()


def test_a_turn_that_was_taken_by_a_clock_far_ahead_holds_nobody_up(rocketjob, turns):
    one, two, _ = turns
    rocketjob.freeze(now().add(days=1))
    assert one.take()
    rocketjob.travel(timedelta(days=-1))
    assert two.take()


def test_of_many_that_come_at_once_one_has_the_turn(rocketjob):
    kept = rocketjob.store.collection(COLLECTION)
    ready, mine = threading.Barrier(8), []

    def come():
        turn = Turns(kept, "a", timedelta(seconds=15))
        ready.wait(PATIENCE)
        mine.append(turn.take())

    threads = [threading.Thread(target=come) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(mine) == [False] * 7 + [True]


# --- who fails -------------------------------------------------------------------------------


def test_a_plugin_that_fails_in_a_sweep_is_named_and_the_others_and_the_next_sweep_go_on(
    rocketjob, sweeping, caplog
):
    other = Sweeping()
    rocketjob.plugins.register(other, "other")
    sweeping.error = SystemExit("enough")
    made = sweeper(rocketjob)
    for _ in range(3):
        again(made)
        rocketjob.travel(timedelta(seconds=16))
    assert (other.swept, sweeping.swept) == (3, 3)
    problems = rocketjob.plugins.problems
    assert [each for each in problems if "sweeping failed in sweep: SystemExit: enough" in each]
    said = [each.getMessage() for each in caplog.records if "failed in sweep" in each.getMessage()]
    assert len(said) == 1  # each says it once, until it works again
    sweeping.error = None
    again(made)
    assert not rocketjob.plugins.problems


def test_a_store_that_is_away_makes_no_plugin_a_problem(rocketjob, sweeping):
    sweeping.error = StoreUnavailable("the store is away")
    again(sweeper(rocketjob))
    assert not rocketjob.plugins.problems
    assert sweeping.swept == 1


def test_where_the_turn_cannot_be_stored_nobody_sweeps_and_the_next_time_it_is_tried(
    rocketjob, sweeping
):
    made = sweeper(rocketjob)
    flaky = FlakyStore(rocketjob.store.collection(COLLECTION))
    made._turns._turns = flaky
    flaky.fail("find_one")
    again(made)
    assert (sweeping.swept, sweeping.of_server) == (0, ["one"])
    again(made)
    assert sweeping.swept == 1


# --- what the kernel itself sweeps -------------------------------------------------------------


def test_old_events_and_completions_are_removed_by_the_sweep(rocketjob, monkeypatch):
    events.publish("logger", "set", level="info")
    completions.note([1])
    kept = [rocketjob.store.collection(each.COLLECTION) for each in (events, completions)]
    again(sweeper(rocketjob))
    assert [each.count_documents({}) for each in kept] == [1, 1]
    rocketjob.travel(timedelta(hours=2))
    monkeypatch.setattr(events, "_next_sweep", -inf)  # ten minutes later
    again(sweeper(rocketjob))
    assert [each.count_documents({}) for each in kept] == [0, 0]


def test_a_sweep_lets_every_store_give_back_space(rocketjob, monkeypatch):
    tidied = []
    monkeypatch.setattr(upkeep, "tidy", tidied.append)
    sweeper(rocketjob).sweep()
    assert tidied == rocketjob.application.stores()


def test_a_store_that_cannot_give_back_space_is_said_once_and_stops_nothing(
    rocketjob, monkeypatch, caplog, sweeping
):
    def fail(store):
        raise OSError("the disk is full")

    made = sweeper(rocketjob)
    for tidy in (fail, fail, fail, lambda store: None, fail):
        monkeypatch.setattr(upkeep, "tidy", tidy)
        made.sweep()
    said = [
        each
        for each in caplog.records
        if "cannot give back space" in each.getMessage() and each.levelname == "ERROR"
    ]
    assert len(said) == 2
    assert len(sweeping.of_server) == 5


# --- what is told ----------------------------------------------------------------------------


class Told:
    def __init__(self):
        self.heard, self.gate = [], threading.Event()
        self.gate.set()

    @hookimpl
    def server_lost(self, server):
        self.gate.wait(PATIENCE)
        self.heard.append(server.name)

    @hookimpl
    def process_started(self, role, name):
        self.heard.append(("started", role, name))

    @hookimpl
    def process_stopping(self, role):
        self.heard.append(("stopping", role))


def dead(name):
    """Return the document of a server whose heartbeat has stopped."""
    return Server(name=name, state="running", heartbeat={"number": 1}).save().to_document()


def test_the_loss_of_a_server_is_told_once_whoever_else_looks(rocketjob):
    told = Told()
    rocketjob.plugins.register(told)
    found = dead("dead")
    for name in ("one", "two"):
        Recovery(rocketjob.application, name).bury(found)
    assert told.heard == ["dead"]


def test_a_plugin_that_hears_of_a_loss_holds_no_recovery_up_and_the_end_waits_for_it(rocketjob):
    told = Told()
    rocketjob.plugins.register(told)
    made = sweeper(rocketjob)
    told.gate.clear()
    made.start()
    for name in ("a", "b"):
        Recovery(rocketjob.application, "me", made.tell).bury(dead(name))
    assert (Server.count(), told.heard) == (0, [])
    told.gate.set()
    made.stop(PATIENCE)
    assert told.heard == ["a", "b"]


def test_an_end_does_not_wait_for_ever_for_who_is_told(rocketjob):
    told = Told()
    rocketjob.plugins.register(told)
    made = sweeper(rocketjob)
    told.gate.clear()
    made.start()
    made.tell("server_lost", server=Server(name="a"))
    made.stop(0.01)
    assert told.heard == []
    told.gate.set()
    eventually(lambda: told.heard == ["a"])


def test_what_nobody_listens_to_is_not_even_noted():
    with sandbox(plugins=[]) as alone:
        made = sweeper(alone)
        made.tell("server_lost", server=None)
    assert made._notices.empty()


def test_the_thread_sweeps_at_once_and_between_what_it_tells(rocketjob, sweeping):
    made = sweeper(rocketjob, seconds=0.01)
    made.start()
    eventually(lambda: len(sweeping.of_server) >= 3 and sweeping.swept == 1)
    made.stop(PATIENCE)
    assert not made._thread.is_alive()


def test_the_life_of_a_process_is_told_also_where_its_work_fails(rocketjob):
    told = Told()
    rocketjob.plugins.register(told)
    with pytest.raises(KeyError), lifetime.told_of(rocketjob.plugins, lifetime.COMMAND, "x"):
        raise KeyError
    assert told.heard == [("started", "command", "x"), ("stopping", "command")]


# --- subscribers -----------------------------------------------------------------------------


class Flusher(Subscriber):
    heard: list[str] = []

    def flush(self, *, region):
        self.heard.append(region)


class Needing(Subscriber):
    def __init__(self, what):
        self.what = what


class Bringing:
    def __init__(self, *subscribers):
        self.subscribers, self.roles = subscribers, []

    @hookimpl
    def register_subscribers(self, role):
        self.roles.append(role)
        return list(self.subscribers)


@pytest.fixture
def heard():
    Flusher.heard.clear()
    return Flusher.heard


@pytest.mark.parametrize("what", [Flusher, Flusher()], ids=["a class", "an instance"])
def test_a_plugins_subscriber_hears_for_as_long_as_the_process_serves(rocketjob, heard, what):
    plugin = Bringing(what)
    rocketjob.plugins.register(plugin)
    with lifetime.subscribers(rocketjob.plugins, lifetime.WORKER):
        events.dispatch("Flusher", "flush", {"region": "eu"})
    events.dispatch("Flusher", "flush", {"region": "us"})
    assert (heard, plugin.roles) == (["eu"], ["worker"])


def test_a_subscriber_that_cannot_be_made_is_left_out_and_its_plugin_named(rocketjob, heard):
    rocketjob.plugins.register(Bringing(Needing, Flusher), "bringing")
    with lifetime.subscribers(rocketjob.plugins, lifetime.SUPERVISOR):
        events.dispatch("Flusher", "flush", {"region": "eu"})
    assert heard == ["eu"]
    (problem,) = rocketjob.plugins.problems
    assert problem.startswith("The plugin bringing brings the subscriber Needing, which cannot")


def test_what_is_no_subscriber_is_refused_with_what_was_expected(rocketjob):
    rocketjob.plugins.register(Bringing(5), "bringing")
    with lifetime.subscribers(rocketjob.plugins, lifetime.WORKER):
        pass
    (problem,) = rocketjob.plugins.problems
    assert "returned a list with 5, expected a list of subclasses of Subscriber" in problem


def test_the_kernels_own_subscriber_comes_by_the_hook_too():
    brought = PluginManager(entry_points=[]).collect("register_subscribers", role="worker")
    assert [each.event_name for each in brought] == ["logger"]
