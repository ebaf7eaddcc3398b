"""What the tests run in processes of their own."""

import contextlib
import os
import sqlite3
from datetime import UTC, datetime

from rocketjob.base.errors import StoreUnavailable
from rocketjob_plugins.store_sqlite import SqliteStore

NOW = datetime(2024, 5, 1, tzinfo=UTC)


def claim_all(url, ready, go, results):
    """Claim until nothing is left; report which, and whether anything failed."""
    store = SqliteStore(url)
    claimed = []
    try:
        store.collection("jobs").find_one({})
        ready.release()
        go.wait()
        me = os.getpid()
        while found := store.claim_many(
            "jobs",
            {"state": "queued", "$or": [{"run_at": None}, {"run_at": {"$lte": NOW}}]},
            {"$set": {"state": "running", "claimed_by": me}, "$inc": {"claim_number": 1}},
            sort=[("priority", 1), ("_id", 1)],
            limit=1 + len(claimed) % 7,
        ):
            assert all(job["claimed_by"] == me and job["claim_number"] == 1 for job in found)
            claimed.extend(job["_id"] for job in found)
        results.put(claimed)
    except BaseException as error:
        results.put(repr(error))
        raise
    finally:
        store.close()


def write_for_ever(url, started):
    """Write groups whose parts belong together, until somebody kills us."""
    store = SqliteStore(url)
    docs = store.collection("docs")
    number = 0
    while True:
        number += 1
        group = [{"_id": f"{os.getpid()}-{number}-{i}", "n": number, "of": 3} for i in range(3)]
        docs.insert_many([{**one, "pad": "x" * 3000} for one in group])
        with store.transaction():
            docs.update_many({"n": number}, {"$set": {"done": True, "pad": "y" * 5000}})
            docs.delete_many({"n": number - 40})
        if number == 5:
            started.set()


def add_index(url):
    """Add an index, and a document that only it knows how to refuse."""
    store = SqliteStore(url)
    store.collection("docs").create_index([("key", 1)], name="key", unique=True)
    store.close()


def insert_strange(url):
    """Store values that a column cannot hold exactly, and a null."""
    store = SqliteStore(url)
    store.collection("docs").insert_many([{"_id": "a", "key": [5, 6]}, {"_id": "b", "key": None}])
    store.close()


def drop_and_refill(url):
    """Replace a collection by another of the same name."""
    store = SqliteStore(url)
    docs = store.collection("docs")
    docs.drop()
    docs.insert_one({"_id": "new"})
    store.close()


def insert_one(url, document):
    """Insert a document."""
    store = SqliteStore(url)
    store.collection("docs").insert_one(document)
    store.close()


def read_until(path, ready, end):
    """Hold one state of a file for as long as it is to be."""
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("BEGIN")
    raw.execute("SELECT count(*) FROM sqlite_master").fetchone()
    ready.set()
    end.wait(60)
    raw.execute("ROLLBACK")
    raw.close()


def hold_open(url, ready, end):
    """Have a store open for as long as it is to be; then try to write to it."""
    store = SqliteStore(url)
    store.collection("docs").insert_one({"_id": "of the child"})
    ready.set()
    end.wait(60)
    with contextlib.suppress(StoreUnavailable):
        store.collection("docs").insert_one({"_id": "last of the child"})
    store.close()
