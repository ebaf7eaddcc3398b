"""What happens all the time, and is no news, wakes nobody."""

import time

import pytest

from rocketjob.base import clock
from rocketjob.testing.store_contract.quiet import settled, wakes
from rocketjob_plugins.store_mongodb import MongoStore, changes, quiet

SERVERS, LEASES, TURNS = "rocket_job.servers", "rocket_job.limits", "rocket_job.turns"


@pytest.fixture(params=["changeStreams", "tailable"])
def two(request, mongo_url):
    """Two processes' stores on one database: one that waits, one that writes."""
    url = f"{mongo_url}?rocketjobWakeUp={request.param}"
    waiting, writing = MongoStore(url), MongoStore(url)
    writing.collection(SERVERS).insert_one({"_id": 1, "name": "a", "state": "running"})
    settled(waiting)
    yield waiting, writing
    writing.close()
    waiting.close()


def test_a_heartbeat_wakes_nobody(two):
    waiting, writing = two
    servers = writing.collection(SERVERS)
    assert not wakes(
        waiting,
        lambda: servers.update_one({"_id": 1}, {"$set": {"heartbeat": {"at": clock.now()}}}),
    )


def test_leases_turns_and_metrics_wake_nobody(two):
    waiting, writing = two

    def act():
        for name in (LEASES, TURNS, "rocket_job.metrics.minutes"):
            some = writing.collection(name)
            some.update_one({"_id": 1}, {"$set": {"by": clock.now()}}, upsert=True)
            some.find_one_and_update({"_id": 1}, {"$inc": {"n": 1}})
            some.delete_one({"_id": 1})

    assert not wakes(waiting, act)


NEWS = [
    lambda servers: servers.update_one({"_id": 1}, {"$set": {"state": "stopping", "seen": 1}}),
    lambda servers: servers.update_many({}, {"$set": {"draining_at": 1}}),
    lambda servers: servers.update_one({"_id": 1}, {"$unset": {"draining_at": ""}}),
    lambda servers: servers.find_one_and_update({"_id": 1}, {"$set": {"state": "running"}}),
    lambda servers: servers.replace_one({"_id": 1}, {"name": "b", "state": "paused"}),
    lambda servers: servers.insert_one({"_id": 2, "name": "c"}),
    lambda servers: servers.delete_one({"_id": 2}),
]


def test_what_people_change_of_a_server_wakes_and_so_does_a_server_that_comes_or_goes(two):
    waiting, writing = two
    for write in NEWS:
        mark = waiting.change_mark()
        write(writing.collection(SERVERS))
        assert waiting.wait_for_change(mark, 20)
        settled(waiting)


@pytest.mark.parametrize(
    ("updates", "is_quiet"),
    [
        ([{"u": {"$set": {"heartbeat": 1}}}], True),
        ([{"u": {"$set": {"heartbeat.number": 1, "state": "paused"}}}], False),
        ([{"u": {"$set": {"heartbeat": 1}, "$unset": {"drain_seconds": ""}}}], False),
        ([{"u": {"$set": {"heartbeat": 1}}}, {"u": {"$set": {"name": "b"}}}], False),
        ([{"u": {"name": "b"}}], False),
        ([{"u": [{"$set": {"state": "paused"}}]}], False),
    ],
)
def test_an_update_is_quiet_if_it_cannot_change_what_is_news(updates, is_quiet):
    assert quiet.is_quiet("update", {"update": SERVERS, "updates": updates}) is is_quiet
    assert quiet.is_quiet("update", {"update": "rocket_job.jobs", "updates": updates}) is False


def test_a_store_is_closed_at_once_though_its_read_would_wait(two):
    waiting, _ = two
    settled(waiting)
    reader, began = waiting._changes._thread, time.monotonic()
    waiting.close()
    assert time.monotonic() - began < changes.AWAIT / 2
    assert not reader.is_alive()


def test_the_server_holds_a_read_for_less_than_the_url_lets_a_connection_be_silent(mongo_url):
    for options, longest in (("", 10_000), ("socketTimeoutMS=3000", 1000)):
        store = MongoStore(f"{mongo_url}?rocketjobWakeUp=polling&{options}")
        assert changes.await_ms(store.database) == longest
        store.close()
