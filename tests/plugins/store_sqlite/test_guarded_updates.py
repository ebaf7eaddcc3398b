"""Guarded updates: what is stored is what an update says, whether its values were normalised."""

from datetime import UTC, datetime

import pytest

from rocketjob.base import clock
from rocketjob.store import Write
from rocketjob.store.documents.values import normalise
from rocketjob_plugins.store_sqlite import SqliteStore, steps

AT = datetime(2024, 5, 1, 12, 30, 1, 123456, tzinfo=UTC)


class Text(str):
    __slots__ = ()


@pytest.fixture
def store():
    store = SqliteStore("sqlite://:memory:")
    yield store
    store.close()


def end(entry):
    """Return the update that ends a job that is kept."""
    push = {"history": {"$each": [entry], "$slice": -2}}
    return {"$set": {"state": "completed"}, "$push": push, "$unset": {"claimed_by": ""}}


ENTRIES = [
    {"event": "complete", "at": AT},
    {"event": Text("complete"), "at": AT},
    {"event": "complete", "at": clock.now()},
    {"event": "complete", "at": AT.replace(tzinfo=None)},
    {"event": "complete", "details": {"ids": [1, 2.5, None], "by": ("a", "b")}},
]


@pytest.mark.parametrize("entry", ENTRIES, ids=range(len(ENTRIES)))
def test_an_entry_is_stored_as_bson_has_it(store, entry):
    jobs = store.collection("jobs")
    jobs.insert_one({"_id": 1, "state": "running", "claimed_by": "me", "history": [{"event": "s"}]})
    assert store.write_many("jobs", [Write({"_id": 1, "claimed_by": "me"}, end(entry))]) == [True]
    expected = {"_id": 1, "state": "completed", "history": [{"event": "s"}, normalise(entry)]}
    assert jobs.find_one({"_id": 1}) == expected


def test_plain_values_are_not_encoded_one_time_more(monkeypatch):
    def fail(update):
        raise AssertionError(update)

    monkeypatch.setattr(steps.values, "normalise", fail)
    steps.prepared(end(ENTRIES[0]), returned=False)
    with pytest.raises(AssertionError):
        steps.prepared(end(ENTRIES[1]), returned=False)
    with pytest.raises(AssertionError):  # it compares values, and must see them as they are stored
        steps.prepared({"$pull": {"history": {"at": AT}}}, returned=False)
