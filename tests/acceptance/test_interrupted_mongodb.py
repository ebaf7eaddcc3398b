"""Each write to MongoDB in turn is interrupted on the wire, as networks and elections can do it.

Whoever wrote cannot tell what was done. Nothing may be lost, doubled or stuck for that. The ways
are those of `support.wire`, and the driver makes its own errors of them. In CI every third write is
interrupted, each in another way, and other ones with transactions than without; here all are, in
all ways:

    ROCKETJOB_FAULTS_WAYS=all python -I -m pytest -s tests/acceptance/test_interrupted_mongodb.py
"""

import contextlib
import itertools
import os
from urllib.parse import urlsplit, urlunsplit

import pymongo
import pytest
from pymongo import errors

from rocketjob import Job
from rocketjob.testing import sandbox
from rocketjob.worker import pool
from rocketjob_plugins.batch.work import persist
from rocketjob_plugins.store_mongodb import MongoStore, transactions
from support import wire, write_cases, write_sites
from support.interrupted_scenarios import PLUGINS, SCENARIOS, performed, run
from support.runtime import Gate, eventually, running_pool
from support.wire import WAYS, WireProxy

ALL = os.environ.get("ROCKETJOB_FAULTS_WAYS") == "all"
EVERY = 1 if ALL else 3  # all of them take a quarter of an hour, most of it waiting
STORES = {
    "transactions": "rocketjobTransactions=true&rocketjobWakeUp=polling",
    "without": "rocketjobTransactions=false&rocketjobWakeUp=polling",
}
GIVES_UP_MS = 1000  # more than an answer takes, and it is waited for
KEPT = ("rocket_job.indexes", "rocket_job.deployment", "rocket_job.outbox")  # not anew each time


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(pool, "RETRY_SECONDS", (0.001, 0.01))
    monkeypatch.setattr(persist, "RETRY_SECONDS", (0.001, 0.01))
    monkeypatch.setattr(transactions, "COMMIT_SECONDS", 0)  # the outcome stays unknown


@pytest.fixture
def seen(monkeypatch):
    """Where the writes are sent from."""
    seen = write_sites.Seen(wire.WRITES)
    monkeypatch.setattr(MongoStore, "_listeners", lambda store: [seen])
    return seen


@pytest.fixture
def proxy(mongo_url):
    parts = urlsplit(mongo_url)
    proxy = WireProxy((parts.hostname, parts.port))
    yield proxy
    proxy.close()


@pytest.fixture
def through(mongo_url, proxy):
    """The URL of an empty database, through the proxy."""
    # A server that is no primary any more says so at once; of this one the driver has to ask it.
    query = f"serverMonitoringMode=poll&directConnection=true&socketTimeoutMS={GIVES_UP_MS}"
    parts = urlsplit(mongo_url)._replace(netloc=f"127.0.0.1:{proxy.port}", query=query)
    return urlunsplit(parts)


@contextlib.contextmanager
def place(through, store):
    with sandbox(f"{through}&{STORES[store]}") as made:
        made.application._plugins = PLUGINS
        _ = made.store
        yield made


@pytest.fixture
def emptied(mongo_url):
    """Empties the database, except for what its servers know of it."""
    with pymongo.MongoClient(mongo_url) as client:
        database = client.get_default_database()

        def empty():
            for name in set(database.list_collection_names()) - {*KEPT}:
                database[name].delete_many({})

        yield empty


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.__name__)
def test_any_write_may_be_interrupted(tmp_path, scenario, store, through, proxy, emptied, seen):
    shift = SCENARIOS.index(scenario) * len(STORES) + list(STORES).index(store)
    interrupted = set()
    for number in itertools.count(1 + shift % EVERY, EVERY):
        ways = WAYS if ALL else (WAYS[(number // EVERY + shift) % len(WAYS)],)
        for way in ways:
            emptied()
            performed.clear()
            with place(through, store) as made:
                proxy.interrupt(number, way)
                try:
                    run(made, scenario(made, tmp_path / f"{number}{way}"), proxy)
                except BaseException as error:
                    error.add_note(f"at write {number}, {proxy.interrupted}: it {way}")
                    raise
            if proxy.interrupted:
                interrupted.add((number, proxy.interrupted))
        if len(proxy.writes) < number:  # the last one was left in peace
            break
    print(f"\n{scenario.__name__} {store}: {len(interrupted)} writes")
    assert set(write_cases.reached_by(scenario.__name__, store)) <= seen.sites
    assert number > 3


def test_each_place_that_writes_has_its_case():
    """A new one is to be put into `support.write_cases`, at the scenario that reaches it."""
    cases = [*write_cases.REACHED.values(), *write_cases.OTHERS.values()]
    listed = [site for sites in cases for site in sites]
    assert sorted(listed) == sorted(write_sites.in_source())


def test_each_method_of_the_store_port_reads_or_writes():
    """A new one that reads is to be put into `write_sites.READS`, any other is a write."""
    updates = {"find_one_and_update", "update_one", "update_many", "claim_many", "write_many"}
    others = {"insert_one", "insert_many", "delete_one", "delete_many", "commit", "recover"}
    assert updates | others | {"create_index", "drop_index", "drop"} == write_sites.WRITES
    assert write_sites.of_the_port() >= write_sites.READS


def test_each_scenario_of_a_case_is_there():
    assert set(write_cases.REACHED) <= {scenario.__name__ for scenario in SCENARIOS}


# --- a server that writes nothing for a while --------------------------------------------------


class InterruptedByRefusalsJob(Job):
    destroy_on_complete = False
    gate = None

    def perform(self):
        performed.append((self.id, self.claim_number))
        type(self).gate.pass_through()


@pytest.mark.parametrize(
    ("code", "name"), [(14031, "OutOfDiskSpace"), (10107, "NotWritablePrimary")]
)
@pytest.mark.parametrize("store", STORES)
def test_what_ends_while_the_server_writes_nothing_is_stored_later(
    store, code, name, through, proxy
):
    """Its disk is full, or it is no primary any more and no other one is."""
    performed.clear()
    InterruptedByRefusalsJob.gate = gate = Gate()
    with place(through, store) as made:
        jobs = [InterruptedByRefusalsJob.create() for _ in range(2)]
        with running_pool(made, threads=1):
            gate.wait_for_entry()
            with proxy.refusing(code, name):
                gate.open()
                eventually(lambda: proxy.refusals > 2)
                with pytest.raises(errors.PyMongoError) as caught:
                    InterruptedByRefusalsJob.create()
                assert made.store.is_transient(caught.value)
                assert InterruptedByRefusalsJob.where(state="completed").count() == 0
            eventually(lambda: InterruptedByRefusalsJob.where(state="completed").count() == 2)
        assert InterruptedByRefusalsJob.count() == 2
    assert [id for id, _ in performed] == [job.id for job in jobs]


# --- what the driver makes of it ----------------------------------------------------------------

SEEN = {
    wire.DROPPED: (errors.AutoReconnect, False),
    wire.LOST: (errors.AutoReconnect, True),
    wire.CUT: (errors.AutoReconnect, True),
    wire.LATE: (errors.NetworkTimeout, True),
    wire.OVERTAKEN: (errors.NetworkTimeout, False),
    wire.ELECTED: (errors.NotPrimaryError, False),
    wire.STEPPED_DOWN: (errors.NotPrimaryError, True),
    wire.UNREPLICATED: (errors.WriteConcernError, True),
}


@pytest.fixture
def driven(through, proxy):
    with pymongo.MongoClient(through) as client:
        documents = client.get_default_database()["documents"]
        documents.insert_one({"_id": 0})
        yield documents


@pytest.mark.parametrize("way", SEEN)
def test_the_driver_sees_the_failure_and_the_write_is_made_or_not(driven, proxy, way):
    error, made = SEEN[way]
    proxy.interrupt(1, way)
    with pytest.raises(error):
        driven.insert_one({"_id": 1})
    assert proxy.interrupted == "insert"
    assert (driven.find_one({"_id": 1}) is not None) == made
    proxy.stop()
    assert (driven.find_one({"_id": 1}) is not None) == (made or way == wire.OVERTAKEN)


COMMITS = {  # the label of the error, and whether it was committed
    wire.DROPPED: ("UnknownTransactionCommitResult", False),
    wire.LOST: ("UnknownTransactionCommitResult", True),
    wire.LATE: ("UnknownTransactionCommitResult", True),
    wire.ELECTED: ("UnknownTransactionCommitResult", False),
    wire.STEPPED_DOWN: ("UnknownTransactionCommitResult", True),
    wire.UNREPLICATED: ("UnknownTransactionCommitResult", True),
    wire.CONFLICT: ("TransientTransactionError", False),
}


@pytest.mark.parametrize("way", COMMITS)
def test_the_driver_sees_what_became_of_a_commit(driven, proxy, way):
    label, made = COMMITS[way]
    with driven.database.client.start_session() as session:
        session.start_transaction()
        driven.insert_one({"_id": 1}, session=session)
        proxy.interrupt(1, way)
        with pytest.raises(errors.PyMongoError) as caught:
            session.commit_transaction()
    assert proxy.interrupted == "commitTransaction"
    assert caught.value.has_error_label(label)
    proxy.stop()
    assert (driven.find_one({"_id": 1}) is not None) == made


def test_a_write_within_a_transaction_meets_a_conflict(driven, proxy):
    with driven.database.client.start_session() as session:
        session.start_transaction()
        proxy.interrupt(1, wire.CONFLICT)
        with pytest.raises(errors.OperationFailure) as caught:
            driven.insert_one({"_id": 1}, session=session)
    assert caught.value.has_error_label("TransientTransactionError")
    assert driven.find_one({"_id": 1}) is None


def test_the_outcome_of_a_commit_is_asked_for_until_it_is_known(driven, proxy, monkeypatch):
    monkeypatch.setattr(transactions, "COMMIT_SECONDS", 60)
    with driven.database.client.start_session() as session:
        transactions.begin(session)
        driven.insert_one({"_id": 1}, session=session)
        proxy.interrupt(1, wire.LOST, times=3)
        transactions.commit(session)
    assert driven.find_one({"_id": 1}) is not None
