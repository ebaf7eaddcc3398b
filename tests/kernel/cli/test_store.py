"""`rocketjob store`: indexes, and moving to another store."""

import sqlite3

import pytest

from rocketjob import Job
from rocketjob.application import Application
from rocketjob.base.errors import StoreError
from rocketjob.server.supervisor import Supervisor
from rocketjob.store import copying
from rocketjob.testing import sandbox
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.cron import Cron
from rocketjob_plugins.store_sqlite import SqliteStore
from rocketjob_plugins.store_sqlite.collection import SqliteCollection

JOBS = "rocket_job.jobs"


class CopiedJob(Job):
    number: int = 0

    def perform(self): ...


class CopiedCronJob(Cron, Job):
    cron_schedule = "@daily"

    def perform(self): ...


class MovedBatchJob(Batch, Job):
    def perform(self, line): ...


@pytest.fixture
def source(tmp_path):
    """The URL of a store with jobs and slices in it."""
    url = f"sqlite:///{tmp_path}/source.db"
    with sandbox(url):
        CopiedJob.create_many([{"number": number} for number in range(1200)])
        job = MovedBatchJob()
        job.upload(["a", "b", "c"])
        job.save()
    return url


@pytest.fixture
def target(tmp_path):
    return f"sqlite:///{tmp_path}/target.db"


def test_indexes_are_made_and_verified(cli, rocketjob):
    shown = cli("store", "indexes")
    assert shown.code == 0
    assert "claim" in shown.out and "cron_key (unique)" in shown.out
    assert all(each["error"] is None for each in cli("store", "indexes", "--json").objects)


def test_an_index_with_another_definition_stops_nothing_and_can_be_made_again(cli, local, tmp_path):
    url = f"sqlite:///{tmp_path}/old.db"
    with sandbox(url) as old:
        jobs = old.store.collection(JOBS)
        jobs.drop_index("due")
        jobs.create_index([("run_at", 1)], name="due")
    with sandbox(url):
        CopiedJob.create()  # an older release's index is no reason not to work
    shown = local("store", "indexes", "--url", url)
    assert shown.code == 1
    assert "due" in shown.err and "--rebuild" in shown.err
    assert local("jobs", "list", "--url", url).code == 0
    assert local("store", "indexes", "--rebuild", "--url", url).code == 0
    assert local("store", "indexes", "--url", url).code == 0
    with sandbox(url):
        assert CopiedJob.count() == 1


def test_a_unique_index_that_cannot_be_made_stops_all_but_what_repairs_it(local, tmp_path):
    url = f"sqlite:///{tmp_path}/old.db"
    with sandbox(url) as old:
        CopiedJob.create()
        servers = old.store.collection("rocket_job.servers")
        servers.drop_index("name")
        servers.insert_many([{"_id": 1, "name": "db-1:7"}, {"_id": 2, "name": "db-1:7"}])
    why = r"unique index name of rocket_job\.servers"
    with sandbox(url) as local_server, pytest.raises(StoreError, match=why):
        Supervisor(local_server.application)
    with sandbox(url), pytest.raises(StoreError, match=why):
        CopiedJob.create()
    refused = local("enqueue", "--url", url, "rocketjob_plugins.housekeeping:HousekeepingJob")
    assert refused.code == 1
    assert "`rocketjob store indexes` says what to do" in refused.err
    assert local("jobs", "list", "--url", url).code == 0
    shown = local("store", "indexes", "--url", url)
    assert (shown.code, "remove one of them" in shown.err) == (1, True)
    store = SqliteStore(url)
    store.collection("rocket_job.servers").delete_one({"_id": 2})
    store.close()
    assert local("store", "indexes", "--url", url).code == 0
    with sandbox(url):
        assert CopiedJob.count() == 1


def test_a_unique_index_of_another_definition_is_kept_until_it_is_rebuilt(local, tmp_path):
    url = f"sqlite:///{tmp_path}/old.db"
    with sandbox(url) as old:
        jobs = old.store.collection(JOBS)
        jobs.drop_index("active_key")
        other = {"active_key": {"$exists": True}}
        jobs.create_index(
            [("active_key", 1)], name="active_key", unique=True, partialFilterExpression=other
        )
    with sandbox(url):
        CopiedJob.create()
    assert local("store", "indexes", "--url", url).code == 1


def test_the_indexes_of_earlier_versions_serve(local, tmp_path):
    url = f"sqlite:///{tmp_path}/old.db"
    listed = {"active_key": ["queued", "running", "paused"]}
    listed["cron_key"] = [*listed["active_key"], "failed"]
    with sandbox(url) as old:
        jobs = old.store.collection(JOBS)
        for key, states in listed.items():
            partial = {key: {"$exists": True}, "state": {"$in": states}}
            jobs.drop_index(key)
            jobs.create_index([(key, 1)], name=key, unique=True, partialFilterExpression=partial)
    assert local("store", "indexes", "--url", url).code == 0


@pytest.fixture
def index_calls(monkeypatch):
    """The collections that were asked for their indexes, or for another one."""
    calls = []

    def counted(method):
        def call(self, *keys, **options):
            calls.append((method.__name__, self.name))
            return method(self, *keys, **options)

        return call

    for method in (SqliteCollection.index_information, SqliteCollection.create_index):
        monkeypatch.setattr(SqliteCollection, method.__name__, counted(method))
    return calls


def test_a_store_that_was_given_its_indexes_is_not_asked_for_them_again(tmp_path, index_calls):
    url = f"sqlite:///{tmp_path}/jobs.db"
    with sandbox(url):
        CopiedJob.create()
    assert ("create_index", JOBS) in index_calls
    index_calls.clear()
    with sandbox(url):
        CopiedJob.create()
    assert index_calls == []


def test_only_what_another_version_or_plugin_adds_is_made(tmp_path, index_calls, monkeypatch):
    url, indexes = f"sqlite:///{tmp_path}/jobs.db", Application.indexes
    with sandbox(url):
        CopiedJob.create()
    with monkeypatch.context() as patch:
        more = {"keys": [("colour", 1)], "name": "colour"}
        patch.setattr(
            Application, "indexes", lambda *of: {**indexes(*of), "rocket_job.paints": [more]}
        )
        for _ in range(2):
            index_calls.clear()
            with sandbox(url):
                CopiedJob.create()
    assert index_calls == []
    with sandbox(url) as without:
        assert "colour" in without.store.collection("rocket_job.paints").index_information()
        index_calls.clear()
        CopiedJob.create()
        assert index_calls == []


def test_a_server_makes_the_indexes_of_a_collection_that_was_dropped(tmp_path):
    url = f"sqlite:///{tmp_path}/jobs.db"
    with sandbox(url) as made:
        made.store.collection(JOBS).drop()
    with sandbox(url) as made:
        Supervisor(made.application)
        assert "active_key" in made.store.collection(JOBS).index_information()
        Supervisor(made.application)  # and finds nothing to do


def test_everything_is_copied_and_verified(cli, source, target):
    shown = cli("store", "copy", source, target, "--json")
    assert shown.code == 0
    found = {each["collection"]: each for each in shown.objects}
    assert found[JOBS]["written"] == found[JOBS]["target"]["count"] == 1201
    assert all(each["equal"] for each in found.values())
    with sandbox(target) as made:
        assert CopiedJob.count() == 1200
        job = MovedBatchJob.first()
        assert [record for each in job.input for record in each] == ["a", "b", "c"]
        assert job.input.collection.index_information().keys() == {"state_1__id_1"}
        assert made.work_off(limit=1) == 1


def test_a_copy_that_broke_off_goes_on(cli, source, target, monkeypatch):
    calls = []
    monkeypatch.setattr(copying, "GROUP", 100)
    groups = copying._groups

    def breaking(documents):
        for group in groups(documents):
            calls.append(group)
            if len(calls) == 8:
                raise ConnectionError("gone")
            yield group

    with monkeypatch.context() as patch:
        patch.setattr(copying, "_groups", breaking)
        assert cli("store", "copy", source, target).code == 1
    shown = cli("store", "copy", source, target, "--json")
    found = {each["collection"]: each for each in shown.objects}
    assert shown.code == 0
    assert 0 < found[JOBS]["written"] < 1201
    again = cli("store", "copy", source, target, "--json")
    written = {each["collection"]: each["written"] for each in again.objects}
    assert written.pop("rocket_job.audit") == 1  # that it was copied again
    assert sum(written.values()) == 0


def test_what_differs_in_the_target_is_replaced_and_what_is_more_is_told(cli, source, target):
    cli("store", "copy", source, target)
    with sandbox(target) as made:
        made.store.collection(JOBS).update_one({"number": 5}, {"$set": {"number": 6}})
    assert cli("store", "copy", source, target).code == 0
    with sandbox(target):
        CopiedJob.create()
    shown = cli("store", "copy", source, target)
    assert shown.code == 1
    assert "1 collections differ" in shown.err
    shown = cli("store", "copy", source, target, "--delete")
    assert shown.code == 0
    assert "1 removed, equal" in shown.out


def test_slices_of_a_job_that_has_gone_meanwhile_are_told_and_removed(cli, source, target):
    cli("store", "copy", source, target, "--live")
    with sandbox(source):
        MovedBatchJob.first().destroy()
    shown = cli("store", "copy", source, target, "--json")
    assert shown.code == 1
    told = {each["collection"]: each["equal"] for each in shown.objects if not each["equal"]}
    (slices,) = set(told) - {JOBS}
    assert slices.startswith("rocket_job.inputs.")
    assert cli("store", "copy", source, target, "--delete").code == 0
    with sandbox(target) as made:
        assert slices not in made.store.collection_names()


def test_a_unique_key_that_only_the_target_has_in_the_way_is_said(cli, source, target):
    cli("store", "copy", source, target)
    for url in (source, target):
        with sandbox(url):
            CopiedCronJob.create()
    shown = cli("store", "copy", source, target)
    assert shown.code == 1
    assert "--delete removes them" in shown.err
    assert cli("store", "copy", source, target, "--delete").code == 0


def living_server(made):
    from rocketjob import Server, now

    made.store.collection("rocket_job.servers").insert_one(
        {
            "_id": 1,
            "_type": Server.type_name(),
            "name": "host:1",
            "state": "running",
            "incarnation": "x",
            "heartbeat_seconds": 15.0,
            "heartbeat": {"updated_at": now(), "number": 1},
        }
    )


def test_a_store_in_use_is_not_copied_unless_asked(cli, source, target):
    with sandbox(source) as made:
        living_server(made)
    shown = cli("store", "copy", source, target)
    assert shown.code == 1
    assert "host:1" in shown.err and "--live" in shown.err
    assert cli("store", "copy", source, target, "--live").code == 0


@pytest.mark.parametrize("options", [[], ["--live"], ["--delete"], ["--live", "--delete"]])
def test_a_source_that_is_not_there_is_not_made_and_the_target_is_left_alone(
    cli, source, target, tmp_path, options
):
    assert cli("store", "copy", source, target).code == 0
    shown = cli("store", "copy", f"sqlite:///{tmp_path}/missing.db", target, *options)
    assert shown.code == 1
    assert f"There is no store: {tmp_path}/missing.db does not exist" in shown.err
    shown = cli("store", "copy", f"sqlite:///{tmp_path}/missing.db", f"sqlite:///{tmp_path}/new.db")
    assert shown.code == 1
    assert not list(tmp_path.glob("missing.db*")) and not list(tmp_path.glob("new.db*"))
    with sandbox(target):
        assert CopiedJob.count() == 1200


def test_an_empty_source_is_said_and_removes_nothing(cli, source, target, tmp_path):
    assert cli("store", "copy", source, target).code == 0
    with sandbox(f"sqlite:///{tmp_path}/empty.db") as empty:
        for name in empty.store.collection_names():
            empty.store.collection(name).drop()
    shown = cli("store", "copy", f"sqlite:///{tmp_path}/empty.db", target, "--delete")
    assert shown.code == 1
    assert "there is nothing in sqlite:///" in shown.err
    with sandbox(target):
        assert CopiedJob.count() == 1200


def test_a_store_is_not_copied_to_itself(cli, source):
    assert "to itself" in cli("store", "copy", source, source).err


def test_a_url_that_no_store_has_is_wrong_use(cli, source):
    shown = cli("store", "copy", source, "mysql://x")
    assert shown.code == 2
    assert "mysql" in shown.err


@pytest.fixture
def without_slices(tmp_path):
    """Options that name a store of jobs, and one of slices that has gone; and a running job."""
    jobs, slices = (f"sqlite:///{tmp_path}/{name}.db" for name in ("jobs", "slices"))
    with sandbox(jobs, slices_url=slices) as rocketjob:
        job = MovedBatchJob()
        job.upload(["a"])
        job.save()
        is_open = {"$set": {"state": "running", "sub_state": "processing"}}
        rocketjob.store.collection(JOBS).update_one({"_id": job.id}, is_open)
    for each in tmp_path.glob("slices.db*"):
        each.unlink()
    return ["--url", jobs, "--set", f"slices_url={slices}"], str(job.id)


@pytest.mark.parametrize("command", ["list", "show", "explain"])
def test_what_shows_jobs_shows_them_without_their_slices(cli, without_slices, tmp_path, command):
    options, id = without_slices
    shown = cli(*options, "jobs", command, *([] if command == "list" else [id]))
    assert shown.code == 0, shown.err
    assert "its slices cannot be looked at: There is no store: " in shown.out
    assert cli(*options, "jobs", "list", "--json").objects[0]["remarks"] == {"slices": None}
    assert not list(tmp_path.glob("slices.db*"))


def test_doctor_makes_no_store_of_slices(cli, without_slices, tmp_path):
    options, _ = without_slices
    assert "slices.db does not exist" in cli(*options, "doctor").out
    assert not list(tmp_path.glob("slices.db*"))


# --- its size --------------------------------------------------------------------------------


def emptied(url):
    """Make a store with much that was deleted."""
    with sandbox(url) as made:
        docs = made.store.collection("docs")
        docs.insert_many([{"_id": number, "pad": "x" * 4000} for number in range(300)])
        docs.delete_many({})


def without_auto_vacuum(path):
    """Make the file as an earlier version did."""
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("PRAGMA auto_vacuum = NONE")
    raw.execute("VACUUM")
    raw.close()


@pytest.fixture
def wasteful(tmp_path):
    emptied(f"sqlite:///{tmp_path}/jobs.db")
    return tmp_path / "jobs.db"


def test_a_store_is_made_smaller(local, wasteful):
    before = wasteful.stat().st_size
    shown = local("store", "compact", "--url", f"sqlite:///{wasteful}")
    assert shown.code == 0
    assert " MB before, " in shown.out and " MB now" in shown.out
    assert "rewriting" in shown.err
    assert wasteful.stat().st_size < before - 1_000_000
    again = local("store", "compact", "--url", f"sqlite:///{wasteful}", "--json").object
    assert again["before"] == again["after"] == wasteful.stat().st_size
    assert (again["free"], again["in_steps"], again["dry_run"]) == (0, False, False)


def test_a_dry_run_only_says_how_much_is_free(local, wasteful):
    before = wasteful.read_bytes()
    url = f"sqlite:///{wasteful}"
    shown = local("store", "compact", "--dry-run", "--url", url)
    assert "MB of it free; it would be rewritten" in shown.out
    found = local("store", "compact", "--dry-run", "--json", "--url", url).object
    assert found["free"] > 1_000_000 and found["after"] is None and found["dry_run"]
    assert wasteful.read_bytes() == before


def test_the_store_of_the_slices_is_made_smaller_too(local, wasteful, tmp_path):
    slices = f"sqlite:///{tmp_path}/slices.db"
    emptied(slices)
    settings = ("--url", f"sqlite:///{wasteful}", "--set", f"slices_url={slices}")
    shown = local("store", "compact", "--json", *settings)
    assert [each["store"].rpartition("/")[2] for each in shown.objects] == ["jobs.db", "slices.db"]
    assert all(each["after"] < each["before"] for each in shown.objects)


def test_a_store_that_servers_use_is_made_smaller_in_steps(local, wasteful):
    url = f"sqlite:///{wasteful}"
    with sandbox(url) as made:
        living_server(made)
    found = local("store", "compact", "--json", "--url", url).object
    assert found["in_steps"]
    assert found["after"] < found["before"] - 1_000_000


def test_a_store_that_servers_use_and_an_earlier_version_made_is_rewritten_only_if_asked(
    local, wasteful
):
    url = f"sqlite:///{wasteful}"
    without_auto_vacuum(wasteful)
    emptied(url)
    with sandbox(url) as made:
        living_server(made)
    shown = local("store", "compact", "--url", url)
    assert shown.code == 1
    assert "host:1" in shown.err and "--live" in shown.err and "stop --wait" in shown.err
    shown = local("store", "compact", "--live", "--url", url)
    assert shown.code == 0
    assert local("store", "compact", "--json", "--url", url).object["in_steps"]


def test_a_store_that_is_locked_is_said_and_left_as_it_is(local, wasteful):
    blocker = sqlite3.connect(wasteful, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    shown = local("store", "compact", "--url", f"sqlite:///{wasteful}?timeout=0.05")
    blocker.close()
    assert shown.code == 1
    assert "was locked for 0.05 s by another process" in shown.err


def test_a_store_that_has_no_file_is_said(local, tmp_path):
    shown = local("store", "compact", "--url", "sqlite://:memory:")
    assert shown.code == 1
    assert "it is in memory" in shown.err
    shown = local("store", "compact", "--url", f"sqlite:///{tmp_path}/missing.db")
    assert shown.code == 1
    assert "There is no store" in shown.err
    assert not list(tmp_path.glob("missing.db*"))


def test_doctor_names_a_store_that_does_not_shrink_by_itself(local, wasteful, monkeypatch):
    from rocketjob_plugins.store_sqlite import compaction

    monkeypatch.setattr(compaction, "FREE_KEPT", 100_000)
    without_auto_vacuum(wasteful)
    url = f"sqlite:///{wasteful}"
    emptied(url)
    for settings in (["--url", url], ["--set", f"slices_url={url}", "--url", f"{url}?timeout=9"]):
        found = local("doctor", "--json", *settings).objects
        warnings = [each for each in found if "does not shrink" in each["message"]]
        assert warnings
        assert {each["status"] for each in warnings} == {"warning"}
        assert all("rocketjob store compact" in each["advice"] for each in warnings)
    assert {each["area"] for each in warnings} == {"store", "slices"}


def test_a_store_of_slices_that_is_not_there_is_said_and_the_other_is_made_smaller(
    local, wasteful, tmp_path
):
    settings = ("--url", f"sqlite:///{wasteful}", "--set", f"slices_url=sqlite:///{tmp_path}/no.db")
    before = wasteful.stat().st_size
    shown = local("store", "compact", *settings)
    assert shown.code == 1
    assert f"{tmp_path}/no.db does not exist" in shown.err
    assert wasteful.stat().st_size < before
    assert not list(tmp_path.glob("no.db*"))
