"""`rocketjob doctor --deep` says whether a server is fit for jobs, or why it was not tried."""

import functools
import json
from datetime import UTC, datetime, timedelta

import pymongo
import pytest
from bson import ObjectId
from click.testing import CliRunner

from rocketjob.cli import make_cli
from rocketjob.testing import deep
from rocketjob_plugins.store_mongodb import groups, judgement, scratch
from support import middleman
from support.middleman import Middleman
from support.mongo import MongoServer, free_port, needs_a_server

SECRET = "s3cr3t"
RUN = deep.run
QUICK = "serverSelectionTimeoutMS=500&connectTimeoutMS=500"
URGENT, THREADS = "test_a_claim_takes_the_most_urgent_first", "test_threads_never_claim_the_same"
EVERY = ("find", "insert", "update", "remove", "createIndex")


@pytest.fixture(autouse=True)
def _few_tests(monkeypatch, rocketjob):
    """Run a few tests of the contract: all of it is run by `tests/contract`."""
    monkeypatch.setattr(judgement, "_accepted", {})
    run_only(URGENT, monkeypatch)


def run_only(test, patch):
    patch.setattr(deep, "run", functools.partial(RUN, only=test))


@pytest.fixture(scope="module")
def standalone():
    needs_a_server()
    server = MongoServer(None, "--standalone")
    yield server.url
    server.stop()


def look(url):
    """Return the exit code, what was found by its kind, and the verdict."""
    made = CliRunner().invoke(make_cli(), ["doctor", "--deep", "--json", url])
    assert SECRET not in made.output
    lines = [json.loads(line) for line in made.stdout.splitlines()]
    found = {kind: [each for each in lines if each["kind"] == kind] for kind in ("finding", "part")}
    return made.exit_code, found, lines[-1]


def databases(url):
    with pymongo.MongoClient(url) as client:
        return [name for name in client.list_database_names() if name not in ("admin", "local")]


def counts(found):
    return {each["part"]: (each["passed"], len(each["failed"])) for each in found["part"]}


# --- fit, and unfit -----------------------------------------------------------------------------


def test_a_replica_set_is_fit_and_nothing_is_left_of_the_tests(mongo_server):
    before = databases(mongo_server)
    code, found, verdict = look(f"{mongo_server}/jobs")
    assert (code, verdict["verdict"], verdict["reasons"]) == (0, "fit", [])
    assert verdict["engine"].startswith(("SecantusDB ", "MongoDB "))
    assert counts(found)["claims and groups of writes"] == (1, 0)
    assert "was tried: claims by several at once" in found["finding"][0]["message"]
    assert databases(mongo_server) == before


def test_a_standalone_server_is_fit_and_lacks_transactions(standalone):
    code, found, verdict = look(f"{standalone}/jobs")
    assert (code, verdict["verdict"]) == (0, "fit")
    assert verdict["engine"].endswith(", standalone")
    assert counts(found)["claims and groups of writes"] == (1, 0)
    assert databases(standalone) == []


def test_a_server_that_gives_one_document_to_two_is_refused(mongo_server):
    before = databases(mongo_server)
    with Middleman(mongo_server, middleman.gives_to_two()) as liar:
        code, found, verdict = look(liar.url("jobs"))
    assert (code, verdict["verdict"], found["part"]) == (1, "unfit", [])
    (reason,) = verdict["reasons"]
    assert "to which no jobs can be trusted; claims by several at once: it gave away 8" in reason
    assert databases(mongo_server) == before


def test_a_lie_that_the_trials_believe_is_found_by_the_tests(mongo_server, monkeypatch):
    run_only(THREADS, monkeypatch)
    with Middleman(mongo_server, **middleman.forgets_what_is_claimed(groups.TOKEN)) as liar:
        code, found, verdict = look(liar.url("jobs"))
    assert (code, verdict["verdict"]) == (1, "unfit")
    assert "claims and groups of writes: a job may run twice, or never" in verdict["reasons"]
    (part,) = (each for each in found["part"] if each["part"] == "claims and groups of writes")
    assert part["failed"][0]["test"] == "test_threads_never_claim_the_same"
    assert part["instead"] == "nothing: use another server"


def test_an_old_server_is_unfit(mongo_server):
    with Middleman(mongo_server, middleman.greets_with(maxWireVersion=7)) as old:
        code, _, verdict = look(old.url("jobs", f"directConnection=true&{QUICK}"))
    assert (code, verdict["verdict"]) == (1, "unfit")
    assert "RocketJob needs MongoDB 4.4 or later: upgrade it" in verdict["reasons"][0]


@pytest.mark.parametrize(("hours", "said"), [(1, "1h ahead of"), (-1, "1h behind")])
def test_a_clock_that_is_off_is_a_warning(mongo_server, hours, said):
    with Middleman(mongo_server, middleman.clock_is_off(timedelta(hours=hours))) as other:
        code, found, _ = look(other.url("jobs"))
    (warning,) = (each for each in found["finding"] if each["status"] == "warning")
    assert (code, warning["area"]) == (0, "clock")
    assert warning["message"] == f"the clock of the database server is {said} this one"


# --- what cannot be tried -----------------------------------------------------------------------


def untried(url):
    code, found, verdict = look(url)
    assert (code, verdict["verdict"], found) == (2, "untried", {"finding": [], "part": []})
    (reason,) = verdict["reasons"]
    return reason


def test_a_server_that_is_not_there_is_not_tried():
    said = untried(f"mongodb://me:{SECRET}@127.0.0.1:{free_port()}/jobs?{QUICK}")
    assert "Check the host and port, that the server runs" in said


def test_a_url_that_is_wrong_is_not_tried():
    said = untried(f"mongodb://me:{SECRET}@host/jobs?maxPoolSizes=3")
    assert "is not a URL for MongoDB" in said


def test_credentials_that_are_refused_are_named(mongo_server):
    with Middleman(mongo_server, ask=middleman.refuses_passwords) as strict:
        url = strict.url("jobs", f"directConnection=true&{QUICK}")
        said = untried(url.replace("://", f"://me:{SECRET}@"))
    assert "refused the user or the password: " in said
    assert "authSource, the database in which the user was created" in said


@pytest.mark.parametrize(
    ("rights", "said"),
    [
        (
            middleman.user_may("find", database="jobs"),
            "it lacks createIndex, insert, remove, update on the database jobs. Name",
        ),
        (
            middleman.user_may(*EVERY, database="jobs", collection="rocket_job.jobs"),
            "rights for rocket_job.jobs alone are not enough",
        ),
        (
            middleman.user_may(*EVERY, database="jobs"),
            "the tests need a database of their own, and the user may not use one: it lacks",
        ),
    ],
    ids=["reads", "one collection", "one database"],
)
def test_rights_that_are_missing_are_named(mongo_server, rights, said):
    before = databases(mongo_server)
    with Middleman(mongo_server, rights) as strict:
        assert said in untried(strict.url("jobs"))
    assert databases(mongo_server) == before


def test_the_database_of_tests_is_emptied_if_the_user_may_not_drop_it(mongo_server):
    def ask(command):
        if middleman.name_of(command) == "dropDatabase":
            raise middleman.Answer(
                ok=0.0, code=13, errmsg="not authorized", codeName="Unauthorized"
            )
        return command

    with Middleman(mongo_server, ask=ask) as strict:
        code, _, _ = look(strict.url("jobs"))
    assert code == 0
    with pymongo.MongoClient(mongo_server) as client:
        made = [name for name in databases(mongo_server) if name.startswith(scratch.PREFIX)]
        assert [client[name].list_collection_names() for name in made] == [[]] * len(made)


def test_databases_of_those_who_were_killed_are_removed_after_a_day(mongo_server):
    now = datetime.now(UTC)
    ages = {"day": timedelta(days=1, minutes=5), "hours": timedelta(hours=23)}
    made = {age: ObjectId.from_datetime(now - ages[age]) for age in ages}
    names = {age: f"{scratch.PREFIX}{id}" for age, id in made.items()} | {
        "other": "scratch_of_ours"
    }
    with pymongo.MongoClient(mongo_server) as client:
        for name in names.values():
            client[name].things.insert_one({})
        try:
            look(f"{mongo_server}/jobs")
            assert not {names["day"]} & set(databases(mongo_server))
            assert {names["hours"], names["other"]} <= set(databases(mongo_server))
        finally:
            for name in names.values():
                client.drop_database(name)


def test_tls_where_the_server_has_none_is_named(mongo_server):
    said = untried(f"{mongo_server}/jobs?tls=true&{QUICK}")
    assert "cannot be reached" in said and "tls" in said.lower()


def test_a_replica_set_where_there_is_none_is_named(standalone):
    said = untried(f"{standalone}/jobs?replicaSet=rs0&{QUICK}")
    assert "Check replicaSet in the URL, which a standalone server has not" in said


def test_a_secondary_is_not_tried(mongo_server):
    facts = {"isWritablePrimary": False, "ismaster": False, "secondary": True}
    with Middleman(mongo_server, middleman.greets_with(**facts)) as secondary:
        said = untried(secondary.url("jobs"))
    assert "is a read-only node of the replica set secantus. Name the members" in said


def test_a_database_of_another_program_is_not_touched(mongo_server, mongo_url):
    with pymongo.MongoClient(mongo_url) as client:
        database = client.get_default_database()
        database["rocket_job.jobs"].insert_one({"_id": 7, "state": "queued"})
        said = untried(mongo_url)
        assert "has documents of something else, such as that with the _id 7" in said
        assert database.list_collection_names() == ["rocket_job.jobs"]
        assert list(database["rocket_job.jobs"].find()) == [{"_id": 7, "state": "queued"}]
