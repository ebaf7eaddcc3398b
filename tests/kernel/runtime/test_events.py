"""Events reach the subscribers of every process that listens, once."""

import threading
from datetime import timedelta

import pytest

from rocketjob import Subscriber, events
from rocketjob.base import clock
from rocketjob.server.subscribers import LoggerSubscriber, ServerSubscriber
from support.runtime import eventually


class Cache(Subscriber):
    def __init__(self, *names):
        self.names, self.calls = names, []

    def flush(self, *, region: str = "all"):
        self.calls.append(("flush", region))

    def clear(self):
        self.calls.append(("clear",))

    def need(self, *, what):
        self.calls.append(("need", what))

    def explode(self):
        raise RuntimeError("boom")


class Everything(Subscriber):
    event_name = "*"

    def __init__(self):
        self.calls = []

    def process_event(self, name, action, parameters):
        self.calls.append((name, action, dict(parameters)))


@pytest.fixture
def listener(rocketjob):
    """A listener that reads when told to."""
    made = events.Listener()
    made.read()
    return made


def test_an_event_reaches_its_subscribers_once(listener):
    with Cache.subscribed() as one, Cache.subscribed() as two:
        Cache.publish("flush", region="eu")
        assert listener.read() == 1
        assert listener.read() == 0
    assert one.calls == two.calls == [("flush", "eu")]


def test_events_come_in_their_order(listener):
    with Cache.subscribed() as cache:
        for region in "abc":
            Cache.publish("flush", region=region)
        listener.read()
    assert cache.calls == [("flush", "a"), ("flush", "b"), ("flush", "c")]


def test_what_was_announced_before_is_not_for_a_later_listener(rocketjob):
    with Cache.subscribed() as cache:
        Cache.publish("clear")
        late = events.Listener()
        late.read()
        assert cache.calls == []
        Cache.publish("clear")
        late.read()
    assert cache.calls == [("clear",)]


@pytest.mark.parametrize("skew", [timedelta(hours=1), timedelta(hours=-1), timedelta(seconds=-30)])
def test_the_publishers_clock_may_be_wrong(rocketjob, listener, skew):
    with Cache.subscribed() as cache:
        clock.travel(skew)
        Cache.publish("flush", region="odd")
        clock.reset()
        Cache.publish("flush", region="fine")
        listener.read()
        listener._next_full_look = 0.0  # as after some seconds
        listener.read()
        Cache.publish("flush", region="later")
        listener.read()
    assert sorted(cache.calls) == [("flush", "fine"), ("flush", "later"), ("flush", "odd")]


def test_parameters_come_as_they_were(listener):
    with Everything.subscribed() as everything:
        events.publish("any", "thing", when=timedelta(seconds=3), ids=[1, 2])
        listener.read()
    assert everything.calls == [("any", "thing", {"when": timedelta(seconds=3), "ids": [1, 2]})]


def test_a_parameter_that_cannot_be_stored_is_refused(rocketjob):
    with pytest.raises(ValueError, match=r"event a\.b"):
        events.publish("a", "b", what=object())


def test_an_unknown_action_cannot_be_published(rocketjob):
    with pytest.raises(ValueError, match="Cache has no action flash; it has clear, explode, flush"):
        Cache.publish("flash")
    with pytest.raises(NotImplementedError):
        Everything.publish("process_event")


@pytest.mark.parametrize(
    ("action", "parameters", "effect"),
    [
        ("clear", {}, [("clear",)]),
        ("clear", {"not": "wanted"}, [("clear",)]),
        ("flush", {}, [("flush", "all")]),
        ("flush", {"region": "eu"}, [("flush", "eu")]),
        ("flush", {"planet": "earth"}, []),
        ("need", {}, []),
        ("need", {"what": 1}, [("need", 1)]),
        ("explode", {}, []),
        ("no_such_action", {}, []),
        ("_action", {}, []),
        ("unsubscribe", {}, []),
    ],
)
def test_only_proper_calls_have_an_effect_and_nothing_escapes(listener, action, parameters, effect):
    with Cache.subscribed() as first, Cache.subscribed() as second:
        events.publish("Cache", action, **parameters)
        listener.read()
    assert first.calls == second.calls == effect


def test_unsubscribing_takes_off_exactly_that_one(listener):
    one, two = Cache.subscribe("one"), Cache.subscribe("two")
    try:
        assert one.names == ("one",)
        one.unsubscribe()
        Cache.publish("clear")
        listener.read()
        assert (one.calls, two.calls) == ([], [("clear",)])
    finally:
        two.unsubscribe()


def test_a_block_that_raises_unsubscribes_all_the_same(listener):
    with pytest.raises(KeyError), Cache.subscribed() as cache:
        raise KeyError
    Cache.publish("clear")
    listener.read()
    assert cache.calls == []


def test_a_listener_thread_hears_what_others_publish(file_store):
    heard = threading.Event()

    class Bell(Subscriber):
        def ring(self):
            heard.set()

    with Bell.subscribed():
        listener = events.Listener().start()
        Bell.publish("ring")
        assert heard.wait(30)
        listener.stop()
    assert not listener._thread.is_alive()


def test_a_listener_goes_on_when_the_store_was_away(file_store, monkeypatch):
    fails = [3]
    real = events.Listener.read

    def read(self):
        if fails[0]:
            fails[0] -= 1
            raise ConnectionError("away")
        return real(self)

    monkeypatch.setattr(events.Listener, "read", read)
    monkeypatch.setattr(events, "PAUSE", 0.01)
    with Cache.subscribed() as cache:
        listener = events.Listener().start()
        eventually(lambda: not fails[0])
        eventually(lambda: listener._seen is not None)
        Cache.publish("clear")
        eventually(lambda: cache.calls)
        listener.stop()


def test_old_events_are_removed(rocketjob):
    Cache.publish("clear")
    rocketjob.travel(timedelta(minutes=61))
    Cache.publish("clear")
    assert events.remove_old() == 1
    assert rocketjob.store.collection(events.COLLECTION).count_documents({}) == 1


# --- those that are built in --------------------------------------------------------------------


class Told:
    """Stands in for a supervisor."""

    def __init__(self):
        self.calls = []
        self.server = type("Server", (), {"id": "42", "name": "host:1"})

    def __getattr__(self, name):
        return lambda: self.calls.append(name)


@pytest.mark.parametrize("action", ["stop", "kill", "pause", "resume"])
@pytest.mark.parametrize(
    ("target", "is_meant"),
    [
        ({}, True),
        ({"name": "host:1"}, True),
        ({"name": "host:2"}, False),
        ({"server_id": "42"}, True),
        ({"server_id": "43"}, False),
        ({"server_id": "43", "name": "host:1"}, True),
    ],
)
def test_a_server_obeys_events_that_are_meant_for_it(listener, action, target, is_meant):
    supervisor = Told()
    with ServerSubscriber.subscribed(supervisor):
        events.publish("server", action, **target)
        listener.read()
    assert supervisor.calls == ([action] if is_meant else [])


def test_a_server_is_woken_and_dumped(listener):
    supervisor = Told()
    with ServerSubscriber.subscribed(supervisor):
        events.publish("server", "refresh")
        events.publish("server", "thread_dump")
        listener.read()
    assert supervisor.calls == ["wake", "dump"]


@pytest.mark.parametrize(
    ("target", "is_meant"),
    [
        ({}, True),
        ({"pid": 0}, False),
        ({"host_name": "elsewhere"}, False),
        ({"pid": "here"}, True),
        ({"pid": "here", "host_name": "elsewhere"}, False),
    ],
)
def test_log_levels_change_where_they_are_meant_to(listener, monkeypatch, target, is_meant):
    import logging
    import os

    target = {key: os.getpid() if value == "here" else value for key, value in target.items()}
    logger = logging.getLogger("some.class")
    monkeypatch.setattr(logger, "level", logging.WARNING)
    with LoggerSubscriber.subscribed():
        events.publish("logger", "set", level="debug", class_name="some.class", **target)
        listener.read()
    assert (logger.level == logging.DEBUG) is is_meant
    logger.setLevel(logging.NOTSET)
