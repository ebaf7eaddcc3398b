"""A server is tried before any job is trusted to it, and what it lacks is worked around or said."""

import threading
from collections import Counter
from datetime import timedelta
from types import SimpleNamespace

import pymongo
import pytest
from bson import ObjectId
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.errors import OperationFailure, WriteError

from rocketjob import Job
from rocketjob.base import clock
from rocketjob.base.errors import StoreError
from rocketjob.server.checks import OK, PROBLEM, WARNING, Patient
from rocketjob.testing import sandbox
from rocketjob_plugins import store_mongodb
from rocketjob_plugins.store_mongodb import (
    MongoStore,
    checks,
    deployment,
    judgement,
    tailable,
    transactions,
    trials,
)


class MongoJudgedJob(Job):
    destroy_on_complete = False

    def perform(self): ...


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch):
    """Forget which servers this process has accepted."""
    monkeypatch.setattr(judgement, "_accepted", {})


@pytest.fixture
def database(mongo_url):
    with pymongo.MongoClient(mongo_url) as client:
        yield client.get_default_database()


@pytest.fixture
def tried(monkeypatch):
    """Trust every server without a trial, and note that it would have been tried."""
    noted = []

    def try_none(connect, database, server):
        noted.append(server)
        return judgement.Judgement(server, {})

    monkeypatch.setattr(judgement, "tried", try_none)
    return noted


def refusal(url):
    with pytest.raises(StoreError) as caught:
        MongoStore(url)
    return str(caught.value)


# --- servers that lie ---------------------------------------------------------------------------


def gives_one_to_two(patch):
    """Hand each document out again, as where findAndModify looks first and updates later."""
    real, given = Collection.find_one_and_update, []

    def find_one_and_update(self, *args, **options):
        again = given.pop() if given else None
        if again is None:
            given.append(real(self, *args, **options))
        return again or given[-1]

    patch.setattr(Collection, "find_one_and_update", find_one_and_update)


def gives_a_group_to_two(patch):
    real = Collection.update_many

    def forgets_the_guard(self, filter, update, **options):
        return real(self, {"_id": filter["_id"]}, update, **options)

    patch.setattr(Collection, "update_many", forgets_the_guard)


def tells_everybody_yes(patch):
    real = Collection.update_one

    def always(self, *args, **options):
        real(self, *args, **options)
        return SimpleNamespace(matched_count=1)

    patch.setattr(Collection, "update_one", always)


def loses_additions(patch):
    """Lose each second $inc, as where it reads first and writes later."""
    real, times = Collection.update_one, []

    def update_one(self, filter, update, **options):
        times.append(1)
        lost = list(update) == ["$inc"] and len(times) % 2
        return real(self, {**filter, "n": -1} if lost else filter, update, **options)

    patch.setattr(Collection, "update_one", update_one)


def keeps_all_members(patch):
    real = Collection.update_one

    def update_one(self, filter, update, **options):
        for change in update.get("$push", {}).values():
            change.pop("$slice", None)
        return real(self, filter, update, **options)

    patch.setattr(Collection, "update_one", update_one)


def makes_indexes_that_are_not_unique(patch):
    real = Collection.create_index
    patch.setattr(
        Collection,
        "create_index",
        lambda self, keys, name, unique=False, **more: real(self, keys, name=name, **more),
    )


def knows_no_partial_indexes(patch):
    real = Collection.create_index

    def create_index(self, keys, **options):
        if "partialFilterExpression" in options:
            raise OperationFailure("partialFilterExpression is not implemented yet", 238)
        return real(self, keys, **options)

    patch.setattr(Collection, "create_index", create_index)


def overlooks_the_filter_of_indexes(patch):
    real = Collection.create_index

    def create_index(self, keys, **options):
        options.pop("partialFilterExpression", None)
        return real(self, keys, **options)

    patch.setattr(Collection, "create_index", create_index)


def reason(database, name):
    """Return what one trial finds lacking."""
    (trial,) = (each for each in trials.TRIALS if each.name == name)
    with trials.Ground(database) as ground:
        return trial.reason(ground)


@pytest.mark.parametrize(
    ("lie", "name", "said"),
    [
        (gives_one_to_two, "claims by several at once", "it gave away 8 documents "),
        (gives_a_group_to_two, "claims in groups", "it "),
        (tells_everybody_yes, "guarded updates", "it told 16 writers that theirs was one of 4"),
        (loses_additions, "$inc", "of 16 additions it kept "),
        (keeps_all_members, "$push with $slice", "of [1, 2, 3] and [4, 5] it kept [1, 2, 3, 4, 5]"),
        (makes_indexes_that_are_not_unique, "unique indexes", "4 unique keys were stored 16 times"),
        (knows_no_partial_indexes, "unique partial indexes", "it says: partialFilterExpression is"),
        (
            overlooks_the_filter_of_indexes,
            "unique partial indexes",
            "it refused {'key': 1, 'state'",
        ),
    ],
)
def test_a_lie_is_found(database, monkeypatch, lie, name, said):
    assert reason(database, name) is None
    lie(monkeypatch)
    assert reason(database, name).startswith(said)


@pytest.mark.parametrize("name", ["unique indexes", "unique partial indexes"])
@pytest.mark.parametrize(("times", "lacks"), [(1, False), (trials.CONNECTIONS, True)])
def test_a_writer_that_is_given_up_asks_again(database, monkeypatch, name, times, lacks):
    """On DocumentDB two who insert one key wait for each other, until one of them is given up."""
    real, given_up = Collection.insert_one, Counter()

    def insert_one(self, document, **options):
        who = (threading.get_ident(), str(document))
        given_up[who] += 1
        if given_up[who] <= times:
            raise WriteError("deadlock detected", 16908292)
        return real(self, document, **options)

    monkeypatch.setattr(Collection, "insert_one", insert_one)
    found = reason(database, name)
    assert found.startswith("it gave up 4 times whether") if lacks else found is None


def test_no_job_is_trusted_to_a_server_that_lies(mongo_url, database, monkeypatch):
    server = judgement.server_name(database.client.admin.command("buildInfo"))
    with monkeypatch.context() as patch:
        gives_one_to_two(patch)
        for _ in range(2):  # it is not believed the second time either
            text = refusal(mongo_url)
            assert f" is {server}, to which no jobs can be trusted; claims by several at" in text
            assert " 8 documents " in text
    assert database.list_collection_names() == []
    MongoStore(mongo_url).close()


# --- what is lacking is done in another way -----------------------------------------------------


def writes_at_once(patch):
    patch.setattr(transactions, "begin", lambda session: session.start_transaction())
    patch.setattr(ClientSession, "_apply_to", lambda self, command, *rest: None)


def loses_an_update(patch):
    """Two transactions that have read the same both write, as without any isolation."""
    real = trials._add_one

    def add_one(docs, both_have_read):
        docs.update_one({"_id": "balance"}, {"$set": {"n": 0}})
        return real(docs, SimpleNamespace(wait=lambda seconds: None))

    def one_by_one(self, step, threads=trials.CONNECTIONS):
        return [step(number) for number in range(threads)]

    patch.setattr(trials, "_add_one", add_one)
    patch.setattr(trials.Ground, "at_once", one_by_one)


def has_none(patch):
    def refuse(session):
        raise OperationFailure("Transaction numbers are only allowed on a replica set member", 20)

    patch.setattr(transactions, "begin", refuse)


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        (writes_at_once, "others see what a transaction has not committed yet"),
        (loses_an_update, "2 transactions added 1, and the sum is 1"),
        (has_none, "it says: Transaction numbers are only allowed on a replica set member"),
    ],
)
def test_transactions_that_are_none_are_found_out(database, monkeypatch, lie, said):
    lie(monkeypatch)
    assert reason(database, "transactions") == said


def test_transactions_that_are_none_are_not_used(mongo_url, monkeypatch):
    with monkeypatch.context() as patch:
        has_none(patch)
        said = refusal(f"{mongo_url}?rocketjobTransactions=true")
        assert "rocketjobTransactions=true needs: it says: Transaction numbers are" in said
    store = MongoStore(mongo_url)  # it is remembered
    assert set(store.deployment.judgement.lacks) == {"transactions", trials.ORDER}
    assert not store.capabilities.transactions
    assert list(store.indexes()) == ["rocket_job.jobs"]  # those of the outbox
    store.close()


def test_a_change_stream_that_tells_nothing_wakes_nobody(mongo_url, monkeypatch):
    monkeypatch.setattr(trials, "EVENT_SECONDS", 0.0)
    monkeypatch.setattr(
        "pymongo.change_stream.ChangeStream.try_next", lambda self: None, raising=True
    )
    store = MongoStore(mongo_url)
    assert store.wake_up == "tailable"
    store.close()
    said = refusal(f"{mongo_url}?rocketjobWakeUp=changeStreams")
    assert "rocketjobWakeUp=changeStreams needs: a change stream told nothing of a write" in said


def test_what_a_user_may_not_do_is_not_remembered_of_the_server(mongo_url, monkeypatch):
    with monkeypatch.context() as patch:

        def watch(*_, **__):
            raise OperationFailure("not authorized on db to execute command aggregate", 13)

        patch.setattr("pymongo.database.Database.watch", watch)
        store = MongoStore(mongo_url)
        assert "the user may not do this" in store.deployment.judgement.lacks["change streams"]
        store.close()
    store = MongoStore(mongo_url)
    assert set(store.deployment.judgement.lacks) == {trials.ORDER}  # SecantusDB always sorts
    store.close()


# --- what was found is remembered ---------------------------------------------------------------


def test_a_deployment_is_tried_once(mongo_url, database, monkeypatch):
    MongoStore(mongo_url).close()
    (known,) = database[judgement.COLLECTION].find({})
    assert [each["name"] for each in known["lacks"]] == [trials.ORDER]
    assert known["server"] in known["_id"]
    judgement._accepted.clear()  # as in another process

    def trying(*_):
        raise AssertionError("it is known already")

    with monkeypatch.context() as patch:
        patch.setattr(judgement, "tried", trying)
        store = MongoStore(mongo_url)
        assert store.wake_up == "changeStreams" and store.supports_transactions
        assert store.collection_names() == []
        store.close()
    assert database.list_collection_names() == [judgement.COLLECTION]


def test_another_version_or_build_is_tried_again(mongo_url, database, monkeypatch, tried):
    said = {"version": "7.0.1", "gitVersion": "a"}
    monkeypatch.setattr(deployment, "_build_info", lambda client: said)
    for change in ({}, {}, {"version": "7.0.2"}, {}, {"gitVersion": "b"}, {}):
        said.update(change)
        MongoStore(mongo_url).close()
    assert tried == ["MongoDB 7.0.1", "MongoDB 7.0.2", "MongoDB 7.0.2"]
    assert database[judgement.COLLECTION].count_documents({}) == 3


def test_a_trial_that_is_new_is_made(mongo_url, database, tried):
    MongoStore(mongo_url).close()
    database[judgement.COLLECTION].update_one({}, {"$pop": {"tried": 1}})
    judgement._accepted.clear()
    MongoStore(mongo_url).close()
    assert len(tried) == 2
    assert database[judgement.COLLECTION].find_one({})["tried"] == judgement.NAMES


def test_a_process_that_died_in_a_trial_leaves_nothing_for_long(mongo_url, database, tried):
    old = ObjectId.from_datetime(clock.now() - timedelta(hours=2))
    left = [f"{trials.PREFIX}{old}", f"{trials.PREFIX}{old}.capped", f"{trials.PREFIX}{ObjectId()}"]
    for name in left:
        database[name].insert_one({})
    with trials.Ground(database):
        pass
    assert database.list_collection_names() == [left[2]]
    store = MongoStore(mongo_url)
    assert store.collection_names() == []
    store.close()


# --- doctor -------------------------------------------------------------------------------------


@pytest.fixture
def patient(mongo_url):
    store = MongoStore(mongo_url)
    yield Patient(SimpleNamespace(store=store))
    store.close()


def test_doctor_tries_again_and_gives_the_reasons(patient, monkeypatch):
    found, sorts = checks.look(patient)
    assert sorts.status == OK and "lacks claims in the order of an index" in sorts.message
    assert found.status == OK and "was tried: claims by several at once, " in found.message
    assert set(found.data["lacks"]) == {trials.ORDER}
    has_none(monkeypatch)
    keeps_all_members(monkeypatch)
    _, lies, *others = checks.look(patient)
    (lacks,) = [each for each in others if "lacks transactions" in each.message]
    assert lies.status == PROBLEM and "lacks $push with $slice: of [1, 2, 3]" in lies.message
    assert lacks.status == OK
    assert "lacks transactions: it says: Transaction numbers are only allo" in lacks.message
    assert "so what belongs together is written in steps" in lacks.message


def test_doctor_says_that_the_servers_clock_is_an_hour_off(tried, patient, monkeypatch):
    time = deployment.Deployment.time
    for hours, said in ((-1, "1h behind"), (1, "1h ahead of")):
        off = timedelta(hours=hours)
        monkeypatch.setattr(deployment.Deployment, "time", lambda self, off=off: time(self) + off)
        *_, found = checks.look(patient)
        assert (found.area, found.status) == ("clock", WARNING)
        assert found.message == f"the clock of the database server is {said} this one"


def test_the_checks_are_those_of_doctor(rocketjob, tried):
    found = rocketjob.application.plugins.collect("register_checks")
    patient = Patient(rocketjob.application)
    look = next(each.look for each in found if each.look.__module__ == store_mongodb.__name__)
    assert bool(list(look(patient))) == isinstance(rocketjob.store, MongoStore)


# --- collections of others ----------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(judgement.OURS))
def test_a_database_of_another_program_is_refused(mongo_url, database, name):
    database[name].insert_one({"_id": "theirs", "state": "queued", "name": "x"})
    said = refusal(mongo_url)
    assert f"The collection {name} in mongodb://" in said
    assert "_id theirs: name a database of its own in the URL" in said
    assert list(database[name].find({}, {"_id": 1})) == [{"_id": "theirs"}]


def test_a_job_that_was_written_by_hand_stops_nothing(mongo_url, database, tried):
    with sandbox(mongo_url):
        MongoJudgedJob.create()
        database["rocket_job.jobs"].insert_one({"_id": "by hand"})
        database.drop_collection(judgement.COLLECTION)
    judgement._accepted.clear()
    with sandbox(mongo_url) as made:
        assert made.work_off() == 1


def test_a_collection_of_another_program_is_not_dropped_for_waking_others(mongo_url, database):
    database[tailable.COLLECTION].insert_one({"_id": 1, "name": "theirs"})
    with pytest.raises(StoreError, match="needs that name: name a database of its own in the URL"):
        tailable.make_capped(database)
    assert database[tailable.COLLECTION].count_documents({}) == 1


@pytest.mark.parametrize(
    ("info", "name"),
    [
        ({"version": "7.0.42", "ferretdbVersion": "v1.24.0"}, "FerretDB 1.24.0"),
        ({"version": "7.0.77", "ferretdb": {"version": "v2.5.0"}}, "FerretDB 2.5.0"),
        ({"version": "8.2.11", "secantusVersion": "0.7.0b3"}, "SecantusDB 0.7.0b3"),
        ({"version": "7.0.14"}, "MongoDB 7.0.14"),
        ({}, "MongoDB of unknown version"),
    ],
)
def test_a_server_has_the_name_that_it_gives_itself(info, name):
    assert judgement.server_name(info) == name
