"""What is wrong is said, without passwords; and what passes is waited out."""

import os
import threading

import pymongo
import pytest
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    OperationFailure,
    ServerSelectionTimeoutError,
)

from rocketjob import Job
from rocketjob.base.errors import ConfigurationError, StoreError, StoreUnavailable
from rocketjob.store import Write, atomically
from rocketjob.testing import sandbox
from rocketjob_plugins.batch import Batch, Statistics
from rocketjob_plugins.batch.outcome import rejects
from rocketjob_plugins.cron import Cron
from rocketjob_plugins.store_mongodb import MongoStore, failures, judgement, location
from support.mongo import MongoServer, database_url, free_port, needs_a_server

SECRET = "s3cr3t"
QUICK = "serverSelectionTimeoutMS=300&connectTimeoutMS=300"


@pytest.fixture(scope="module")
def faulty():
    """A server that fails when it is told to."""
    needs_a_server()
    server = MongoServer(None, "--enable-test-commands")
    yield server
    server.stop()


@pytest.fixture
def store(faulty):
    store = MongoStore(database_url(faulty.url, heartbeatFrequencyMS=500))
    assert store.supports_transactions
    yield store
    heal(store)
    store.close()


def fail(store, commands, times=1, **how):
    data = {"failCommands": commands, **how}
    store.client.admin.command(
        "configureFailPoint", "failCommand", mode={"times": times}, data=data
    )


def heal(store):
    store.client.admin.command("configureFailPoint", "failCommand", mode="off")


def refusal(url, error=StoreError):
    with pytest.raises(error) as caught:
        MongoStore(url)
    assert SECRET not in str(caught.value)
    return str(caught.value)


# --- what is wrong is said ----------------------------------------------------------------------


def test_a_server_that_does_not_answer_is_named():
    port = free_port()
    said = refusal(f"mongodb://me:{SECRET}@127.0.0.1:{port}/jobs?{QUICK}", StoreUnavailable)
    assert f"mongodb://me:***@127.0.0.1:{port}/jobs" in said
    assert "Check the host and port" in said


def test_an_unknown_host_is_named():
    said = refusal(f"mongodb://me:{SECRET}@no-such-host.invalid/jobs?{QUICK}", StoreUnavailable)
    assert "no-such-host.invalid" in said and "check its name" in said


@pytest.mark.parametrize(
    "url",
    [
        f"mongodb://me:{SECRET}@host:port/jobs",
        f"mongodb://me:{SECRET}@/jobs",
        f"mongodb://me:x/{SECRET}@host/jobs",
        f"mongodb://me:x?{SECRET}@host/jobs",
        f"mongodb://me:{SECRET}%zz@host/jobs",
        f"mongodb:/me:{SECRET}@host/jobs",
        f"mongodb://me:{SECRET}@host/jobs?maxPoolSizes=3",
        f"mongodb://me:{SECRET}@host/jobs?tls=perhaps",
        f"mongodb://me:{SECRET}@host/jobs?w=0",
        f"mongodb://me:{SECRET}@host/jobs.nightly",
        f"mongodb://me:{SECRET}@host/jobs?tls=true&tlsCAFile=/nowhere/ca.pem",
        f"mongodb://me:{SECRET}@host/jobs?rocketjobTransactions=maybe",
    ],
)
def test_a_url_that_is_wrong_is_explained(url):
    said = refusal(url, ConfigurationError)
    assert "MongoDB" in said or "true, false or auto" in said


@pytest.mark.parametrize(
    ("said", "code", "expected"),
    [
        ("Authentication failed.", 18, "authSource"),
        ("bad auth : authentication failed", 8000, "authSource"),
        ("not authorized on jobs to execute command", 13, "readWrite"),
    ],
)
def test_credentials_and_rights_are_explained(said, code, expected):
    error = failures.refused("mongodb://me:***@host", "jobs", OperationFailure(said, code))
    assert isinstance(error, StoreError) and not isinstance(error, StoreUnavailable)
    assert expected in str(error)


def test_wrong_credentials_and_missing_rights_are_refused_by_a_server(tmp_path):
    needs_a_server()
    server = MongoServer(tmp_path / "data")
    with pymongo.MongoClient(server.url) as client:
        client.admin.command("createUser", "me", pwd=SECRET, roles=["root"])
        for name, db in (("reader", "jobs"), ("stranger", "elsewhere")):
            role = {"role": "read" if name == "reader" else "readWrite", "db": db}
            client.admin.command("createUser", name, pwd=SECRET, roles=[role])
    server.stop()
    server.options = ("--auth",)
    server.start()
    try:
        host = server.url.removeprefix("mongodb://")
        MongoStore(f"mongodb://me:{SECRET}@{host}/jobs?authSource=admin").close()
        said = refusal(f"mongodb://me:{SECRET}x@{host}/jobs?authSource=admin")
        assert "refused the user or the password" in said
        assert "Name a user" in refusal(f"mongodb://{host}/jobs")
        for name in ("reader", "stranger"):
            said = refusal(f"mongodb://{name}:{SECRET}@{host}/jobs?authSource=admin")
            assert "may not do what is needed" in said
            assert "[{role: 'readWrite', db: 'jobs'}]" in said
    finally:
        server.stop()


TIMED_OUT = "_ssl.c:989: The handshake operation timed out"
SELF_SIGNED = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate"


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        (f"SSL handshake failed: host:27017: {TIMED_OUT}", "leave tls=true out of the URL"),
        ("host:27017: [SSL: WRONG_VERSION_NUMBER] wrong version number", "leave tls=true out"),
        (f"host:27017: {SELF_SIGNED}", "Check tlsCAFile"),
        ("host:27017: [Errno 104] Connection reset by peer", "tls=true if it wants TLS"),
        ("No servers found yet", "tls in the URL is as the server has it"),
        ('No replica set members available for replica set name "rs0"', "which a standalone"),
        ("No replica set members match selector Primary()", "whether the set has a primary"),
    ],
)
def test_what_keeps_a_server_out_of_reach_is_explained(said, advice):
    error = failures.refused("mongodb://host", "jobs", ServerSelectionTimeoutError(said))
    assert isinstance(error, StoreUnavailable)
    assert said in str(error) and advice in str(error)


def test_a_server_that_became_read_only_is_refused(mongo_url, monkeypatch):
    def insert_many(*_, **__):
        raise OperationFailure("Cannot perform writes in read-only mode", 20)

    monkeypatch.setattr(judgement, "_accepted", {})
    monkeypatch.setattr("pymongo.collection.Collection.insert_many", insert_many)
    assert "it says: Cannot perform writes in read-only mode" in refusal(mongo_url)


def test_an_old_server_is_refused():
    with pytest.raises(StoreError, match=r"MongoDB 4\.4 or later"):
        failures.check_hello("mongodb://host", {"maxWireVersion": 8, "isWritablePrimary": True})


def test_a_read_only_node_is_refused():
    hello = {"maxWireVersion": 21, "isWritablePrimary": False, "setName": "rs0"}
    with pytest.raises(StoreError, match=r"read-only node of the replica set rs0\. Name the mem"):
        failures.check_hello("mongodb://host", hello)


def test_rights_that_are_missing_are_found():
    def status(db, actions):
        privilege = {"resource": {"db": db, "collection": ""}, "actions": actions}
        users = [{"user": "me", "db": "admin"}]
        return {
            "authInfo": {"authenticatedUsers": users, "authenticatedUserPrivileges": [privilege]}
        }

    every = ["find", "insert", "update", "remove", "createIndex"]
    assert failures.missing_rights(status("jobs", every), "jobs") == set()
    assert failures.missing_rights(status("", every), "jobs") == set()
    assert failures.missing_rights(status("jobs", ["find"]), "jobs") == set(every) - {"find"}
    assert failures.missing_rights(status("other", every), "jobs") == set(every)
    assert failures.missing_rights({"authInfo": {"authenticatedUsers": []}}, "jobs") == set()


def test_rights_for_single_collections_are_not_enough():
    def status(*collections):
        resources = [{"db": "jobs", "collection": name} for name in collections]
        privileges = [{"resource": each, "actions": ["find", "insert"]} for each in resources]
        users = [{"user": "me", "db": "admin"}]
        return {
            "authInfo": {"authenticatedUsers": users, "authenticatedUserPrivileges": privileges}
        }

    said = failures.rights_problem(status("rocket_job.jobs", "system.js"), "jobs")
    assert "it lacks createIndex, find, insert, remove, update on the database jobs" in said
    assert "; rights for rocket_job.jobs alone are not enough" in said
    assert "alone" not in failures.rights_problem(status("system.js"), "jobs")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mongodb://me:pw@a,b:1/db?x=1", "mongodb://me:***@a,b:1/db?x=1"),
        ("mongodb+srv://me:p%40w@host/", "mongodb+srv://me:***@host/"),
        ("mongodb://me@host", "mongodb://me@host"),
        ("mongodb://host", "mongodb://host"),
        ("mongodb://me:a@b@host", "mongodb://me:***@host"),
        ("mongodb://me:a/b@host/db", "mongodb://me:***@host/db"),
        ("mongodb://me:a?b@host/db", "mongodb://me:***@host/db"),
        ("mongodb://me:a#b@host/db", "mongodb://me:***@host/db"),
        ("mongodb:/me:pw@host/db", "mongodb:/me:***@host/db"),
        ("mongodb://host:1,host2:2/db?x=1", "mongodb://host:1,host2:2/db?x=1"),
        (
            "mongodb://h/?tlsCertificateKeyFilePassword=x&a=1",
            "mongodb://h/?tlsCertificateKeyFilePassword=***&a=1",
        ),
    ],
)
def test_passwords_are_hidden(url, shown):
    assert location.hide_password(url) == shown


# --- what passes is waited out ------------------------------------------------------------------

STEPPED_DOWN = {"errorCode": 10107, "errorLabels": ["RetryableWriteError"]}


def test_a_primary_that_steps_down_once_is_not_noticed(store):
    store.collection("docs").insert_one({"_id": 1})
    fail(store, ["update", "find"], **STEPPED_DOWN)
    assert store.write_many("docs", [Write({"_id": 1}, {"$set": {"a": 1}})]) == [True]
    fail(store, ["find"], closeConnection=True)
    assert store.collection("docs").find_one({"_id": 1}) == {"_id": 1, "a": 1}


@pytest.mark.parametrize("code", [10107, 13435, 91, 189, 11600, 11602, 14031, 112, 16908292])
def test_what_passes_is_known(store, code):
    fail(store, ["insert"], times=5, errorCode=code)
    with pytest.raises(Exception) as caught:
        store.collection("docs").insert_one({})
    assert store.is_transient(caught.value)


def test_what_does_not_pass_is_known(store):
    for code in (2, 13, 11000):
        assert not store.is_transient(OperationFailure("no", code))
    assert store.is_transient(AutoReconnect("gone"))


def test_a_pool_that_is_exhausted_is_an_error_that_passes(faulty):
    store = MongoStore(database_url(faulty.url, maxPoolSize=1, waitQueueTimeoutMS=50))
    docs = store.collection("docs")
    docs.insert_one({"_id": 1})
    fail(store, ["aggregate"], blockConnection=True, blockTimeMS=1000)
    holding = threading.Thread(target=lambda: docs.count_documents({}))
    holding.start()
    caught = None
    while holding.is_alive() and caught is None:
        try:
            docs.find_one({})
        except Exception as error:
            caught = error
    holding.join()
    assert caught is not None and store.is_transient(caught)
    assert docs.find_one({}) == {"_id": 1}
    store.close()


def test_a_commit_whose_outcome_is_unknown_is_asked_for(store):
    store.collection("docs").insert_one({"_id": 0})
    fail(store, ["commitTransaction"], times=3, closeConnection=True)
    runs = []

    def step(session):
        runs.append(1)
        store.collection("docs").insert_one({"_id": 1})

    atomically(store, step)
    assert store.collection("docs").count_documents({}) == 2
    assert len(runs) == 1


def test_transactions_that_meet_are_all_made(store):
    store.collection("docs").insert_one({"_id": 0, "n": 0})

    def add(session):
        docs = store.collection("docs")
        n = docs.find_one({"_id": 0})["n"]
        docs.update_one({"_id": 0}, {"$set": {"n": n + 1}})

    threads = [
        threading.Thread(target=lambda: [atomically(store, add) for _ in range(5)])
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.collection("docs").find_one({"_id": 0})["n"] == 15


class MongoConflictBatchJob(Statistics, Batch, Job):
    destroy_on_complete = False
    slice_size = 1
    collect_output = True
    max_rejects = 2

    def perform(self, record):
        self.statistics_inc("seen")
        if record == 3:
            raise ValueError("three")
        return -record


class MongoConflictCronJob(Cron, Job):
    cron_schedule = "0 1 * * * UTC"

    def perform(self):
        self.abort(save=False)


CONFLICT = {"errorCode": 112, "errorLabels": ["TransientTransactionError"]}


@pytest.mark.parametrize("command", ["insert", "delete", "commitTransaction"])
def test_a_batch_outlives_that_its_transactions_meet_others(faulty, command):
    with sandbox(database_url(faulty.url)) as made:
        job = MongoConflictBatchJob()
        job.upload(range(1, 6))
        job.save()
        fail(made.store, [command], times=3, **CONFLICT)
        made.work_off()
        heal(made.store)
        assert job.reload().is_completed
        assert [record for each in job.output for record in each] == [-1, -2, -4, -5]
        assert [number for number, _, _ in rejects.each(job)] == [3]
        assert job.statistics == {"seen": 4}


@pytest.mark.parametrize("command", ["insert", "commitTransaction"])
def test_a_series_outlives_that_its_transaction_meets_another(faulty, command):
    with sandbox(database_url(faulty.url)) as made:
        job = MongoConflictCronJob.create()
        job.run_now()
        fail(made.store, [command], times=3, **CONFLICT)
        made.work_off()
        heal(made.store)
        assert job.reload().is_aborted
        assert MongoConflictCronJob.queued().count() == MongoConflictCronJob.count() - 1 == 1


@pytest.mark.parametrize("labels", [["TransientTransactionError"], []], ids=["label", "none"])
def test_a_group_of_writes_that_meets_another_is_made_one_by_one(store, labels):
    """DocumentDB tells of a conflict in a transaction without the label that MongoDB adds."""
    store.collection("docs").insert_many([{"_id": number} for number in range(3)])
    fail(store, ["update"], times=1, errorCode=112, errorLabels=labels)
    writes = [Write({"_id": number}, {"$set": {"a": 1}}) for number in (0, 1, 9)]
    assert store.write_many("docs", writes) == [True, True, False]
    assert store.collection("docs").count_documents({"a": 1}) == 2


@pytest.mark.parametrize("labelled", [True, False])
def test_an_inner_step_leaves_it_to_the_outer_one_to_run_again(store, labelled):
    store.collection("docs").insert_one({"_id": 0})
    runs = []

    def inner(session):
        runs.append("inner")
        if len(runs) < 3:
            error = OperationFailure("conflict", 112)
            if labelled:
                error._add_error_label("TransientTransactionError")
            raise error

    atomically(store, lambda session: atomically(store, inner))
    assert runs == ["inner"] * 3


def test_a_transaction_may_use_another_store(store, faulty):
    other = MongoStore(database_url(faulty.url))
    for each in (store, other):
        each.collection("docs").insert_one({"_id": 0})
    with pytest.raises(KeyError), store.transaction():
        store.collection("docs").insert_one({"_id": 1})
        other.collection("docs").insert_one({"_id": 1})
        raise KeyError
    assert store.collection("docs").count_documents({}) == 1
    assert other.collection("docs").count_documents({}) == 2
    other.close()


def test_a_change_stream_that_breaks_off_wakes_and_comes_back(store):
    store.collection("docs").insert_one({"_id": 0})
    assert store.wake_up == "changeStreams"
    store.wait_for_change(store.change_mark(), 0)
    fail(store, ["getMore", "aggregate"], times=3, closeConnection=True)
    while store.client.admin.command("ping") and not store._changes.breaks:
        store.wait_for_change(store.change_mark(), 0.05)
    mark = store.change_mark()
    store.collection("docs").insert_one({"_id": 1})
    assert store.wait_for_change(mark, 20)


# --- processes ----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:This process")  # that is what the test is about
def test_a_forked_child_has_a_client_of_its_own(store):
    store.collection("docs").insert_one({"_id": 0})
    store.wait_for_change(store.change_mark(), 0)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            store.collection("docs").insert_one({"_id": 1})
            with store.transaction():
                store.collection("docs").insert_one({"_id": 2})
            code = 0
        finally:
            os.write(writer, b"x")
            os._exit(code)
    assert os.read(reader, 1) == b"x"
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert store.collection("docs").count_documents({}) == 3


def test_what_was_found_is_reported(store, mongo_url):
    assert store.check()["wake-up"] == "change streams"
    assert store.check()["transactions"] is True
    other = MongoStore(f"{mongo_url}?rocketjobTransactions=false&rocketjobWakeUp=polling")
    assert other.check()["wake-up"] == "polling"
    assert other.check()["transactions"] is False
    other.close()


@pytest.mark.parametrize(
    ("refused", "unknown", "passes"),
    [([], [64], True), ([], [91], True), ([11000], [64], False), ([112], [], True)],
)
def test_a_group_of_which_the_majority_knows_nothing_yet_is_taken_for_transient(
    refused, unknown, passes
):
    details = {
        "writeErrors": [{"code": code} for code in refused],
        "writeConcernErrors": [{"code": code} for code in unknown],
    }
    assert failures.is_transient(BulkWriteError(details)) == passes
