"""`created_in` and `created_for`: where a job comes from is stored in the write that creates it."""

import asyncio
import json
from datetime import timedelta

import pytest
from bson import ObjectId
from click.testing import CliRunner

from rocketjob import Job, ValidationError, before, hookimpl
from rocketjob.base.errors import FieldClash
from rocketjob.cli import make_cli
from rocketjob.jobs import origin
from rocketjob.store import context
from rocketjob.testing import sandbox
from rocketjob_plugins.batch import Batch, InputCategory
from rocketjob_plugins.cron import Cron, Schedule
from rocketjob_plugins.cron.schedules import sync
from rocketjob_plugins.dirmon import DirmonEntry, DirmonJob
from rocketjob_plugins.dirmon.intake import LEASE, DirmonFile, Intake
from rocketjob_plugins.files import UploadFileJob
from rocketjob_plugins.restart import Restart
from rocketjob_plugins.store_sqlite import SqliteStore
from rocketjob_plugins.store_sqlite.query import Query

ELSEWHERE = "55aeaf03a26ec0c1bd00008d"


class OriginJob(Job):
    destroy_on_complete = False
    upload_file_name: str | None = None

    def perform(self): ...


class OriginParentJob(Job):
    destroy_on_complete = False
    way: str = "create"

    def perform(self):
        if self.way == "create":
            OriginJob.create()
        elif self.way == "create_many":
            OriginJob.create_many([{}, {}])
        elif self.way == "perform_later":
            OriginJob.perform_later()
        elif self.way == "save_with":
            self.save_with(OriginJob())
        else:
            OriginParentJob.create(way="create")


class OriginAsyncJob(Job):
    destroy_on_complete = False

    async def perform(self):
        await asyncio.to_thread(OriginJob.create)


class OriginLinesJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=2)

    def perform(self, line):
        if line == "b":
            OriginJob.create()


class OriginSeriesJob(Cron, Job):
    cron_schedule = "0 * * * * UTC"
    destroy_on_complete = False

    def perform(self): ...


class OriginEarlyJob(OriginSeriesJob):
    cron_after_start = True


class OriginAgainJob(Restart, Job):
    destroy_on_complete = False

    def perform(self): ...


class OriginCallbackJob(Job):
    destroy_on_complete = False

    @before("abort")
    def _tell(self):
        self.create_with(OriginJob())

    def perform(self): ...


def only(cls=OriginJob):
    (job,) = cls.all()
    return job


def document(job):
    return Job.collection().find_one({"_id": job.id})


def test_a_job_that_nobody_created_has_nothing_stored_of_it(rocketjob):
    job = OriginJob.create()
    assert (job.created_in, job.created_for) == (None, None)
    assert not document(job).keys() & set(origin.FIELDS)


@pytest.mark.parametrize("way", ["create", "create_many", "perform_later", "save_with"])
def test_what_a_job_creates_has_its_id(rocketjob, way):
    parent = OriginParentJob.create(way=way)
    rocketjob.work_off()
    for job in OriginJob.all():
        assert document(job)["created_in"] == parent.id
    assert OriginJob.where(created_in=str(parent.id)).count() == OriginJob.count() > 0


def test_in_coroutines_and_slices_too(rocketjob):
    parent = OriginAsyncJob.create()
    rocketjob.work_off()
    assert only().created_in == parent.id
    OriginJob.delete_all()
    lines = OriginLinesJob()
    lines.upload(["a", "b", "c"])
    lines.save()
    rocketjob.work_off()
    assert only().created_in == lines.id


def test_it_is_the_job_itself_and_not_the_one_before(rocketjob):
    first = OriginParentJob.create(way="twice")
    rocketjob.work_off()
    second = OriginParentJob.where(created_in=first.id).first()
    assert only().created_in == second.id


def test_a_job_that_is_not_stored_is_linked_by_nothing(rocketjob):
    parent = OriginParentJob()
    parent.created_for = "order:7"
    parent.perform_now()
    assert (only().created_in, only().created_for) == (None, "order:7")


def test_what_it_was_created_for_is_handed_on(rocketjob):
    parent = OriginParentJob(way="twice")
    parent.created_for = origin.link("order", 7)
    parent.save()
    rocketjob.work_off()
    assert [job.created_for for job in Job.all()] == ["order:7"] * 3
    assert Job.where(origin.of_link("order:7")).count() == 3


def test_a_plugin_sees_the_links_and_may_set_its_own(rocketjob):
    class Linking:
        @hookimpl
        def before_enqueue(self, job):
            job.created_for = job.created_for or f"seen:{job.created_in}"

    with sandbox(plugins=[Linking()]) as box:
        parent = OriginParentJob.create()
        box.work_off()
        assert parent.created_for == "seen:None"
        assert only().created_for == "seen:None"


def test_the_next_instance_of_a_series_has_the_one_before(rocketjob):
    for cls in (OriginSeriesJob, OriginEarlyJob):
        first = cls.create()
        rocketjob.travel(timedelta(hours=1, seconds=1))
        rocketjob.work_off()
        assert cls.queued().first().created_in == first.id


def test_what_a_schedule_created_has_its_name_and_so_has_all_that_follows(rocketjob):
    schedule = Schedule(OriginSeriesJob, "0 * * * * UTC", "acme", {})
    (step,) = sync([schedule])
    assert document(step.job)["created_for"] == "schedule:acme"
    step.job.abort()
    following = OriginSeriesJob.queued().first()
    assert (following.created_in, following.created_for) == (step.job.id, "schedule:acme")
    sync([schedule])
    assert following.reload().created_for == "schedule:acme"


def test_a_restarted_copy_has_the_one_before_whoever_ended_it(rocketjob):
    first = OriginAgainJob.create()
    first.abort()
    second = OriginAgainJob.queued().first()
    assert second.created_in == first.id
    copy = second.create_restart()
    assert copy.created_in == second.id
    assert OriginAgainJob().restarted().created_in is None


def test_what_is_created_with_a_change_of_state_has_the_job_that_changes(rocketjob):
    job = OriginCallbackJob.create()
    job.abort()
    assert only().created_in == job.id


def drop(tmp_path, text="a\nb\n"):
    folder = tmp_path / "in"
    folder.mkdir(exist_ok=True)
    (folder / "x.csv").write_text(text)
    return folder


def entry_of(folder):
    entry = DirmonEntry.create(pattern=f"{folder}/*.csv", job_class_name="OriginJob", name="acme")
    return entry.enable()


def test_a_file_of_a_directory_leads_to_its_entry_and_to_its_upload(rocketjob, tmp_path):
    entry = entry_of(drop(tmp_path))
    scan = DirmonJob.create(destroy_on_complete=False)
    scan.perform_now()
    again = DirmonJob.queued().first()
    again.run_now()
    again.perform_now()
    upload = only(UploadFileJob)
    assert (upload.created_in, upload.created_for) == (again.id, f"dirmon_entry:{entry.id}")
    upload.update(destroy_on_complete=False)
    assert rocketjob.work_off() >= 2
    job = only()
    assert (job.created_in, job.created_for) == (upload.id, f"dirmon_entry:{entry.id}")
    assert not document(DirmonJob.queued().first()).get("created_for")


def test_a_scan_that_goes_on_where_another_died_knows_the_entry(rocketjob, tmp_path):
    entry = entry_of(drop(tmp_path))
    (file,) = entry.files()
    dying, other = Intake("a:1"), Intake("b:1")
    claim = dying._claim(entry, file)
    (tmp_path / "in" / "archive").mkdir()
    (tmp_path / "in" / "x.csv").rename(claim.archived)
    rocketjob.travel(2 * LEASE)
    assert other.finish_others() == 1
    assert only(UploadFileJob).created_for == f"dirmon_entry:{entry.id}"


def test_one_of_an_earlier_version_is_finished_without(rocketjob, tmp_path):
    entry = entry_of(drop(tmp_path))
    (file,) = entry.files()
    claim = Intake("a:1")._claim(entry, file)
    DirmonFile.collection().update_one({"_id": claim.id}, {"$unset": {"entry_id": ""}})
    (tmp_path / "in" / "archive").mkdir()
    (tmp_path / "in" / "x.csv").rename(claim.archived)
    rocketjob.travel(2 * LEASE)
    assert Intake("b:1").finish_others() == 1
    assert only(UploadFileJob).created_for is None


def test_an_upload_job_that_was_enqueued_by_hand_is_linked_too(rocketjob, tmp_path):
    (tmp_path / "a.csv").write_text("a\n")
    upload = UploadFileJob.create(
        job_class_name="OriginJob", upload_file_name=str(tmp_path / "a.csv")
    )
    rocketjob.work_off()
    assert only().created_in == upload.id


# --- stored documents ----------------------------------------------------------------------------


@pytest.mark.parametrize("odd", [7, ["a"], {"$x": 1}, "no id", b"x", 1.5])
def test_what_something_else_has_written_there_keeps_nobody_from_the_job(rocketjob, odd):
    job = OriginParentJob.create()
    Job.collection().update_one(
        {"_id": job.id}, {"$set": {"created_in": odd, "created_for": {"no": ["text"]}}}
    )
    shown = show(job)
    assert "does not fit its class" in shown
    assert rocketjob.work_off() == 2
    assert only().created_in == job.id
    assert only().created_for is None


def test_a_class_cannot_have_fields_of_these_names(rocketjob):
    with pytest.raises(FieldClash, match="created_in"):

        class OriginOwnJob(Job):
            created_in: str = "Berlin"

            def perform(self): ...


def test_nobody_passes_them_to_a_constructor(rocketjob):
    with pytest.raises(TypeError, match="created_for"):
        OriginJob.create(created_for="order:7")
    with pytest.raises((TypeError, ValidationError), match="created_in"):
        OriginJob.from_properties({"created_in": ELSEWHERE})


def test_an_index_finds_what_one_has_created_in_its_order(rocketjob):
    jobs = Job.collection()
    for key in origin.FIELDS:
        index = jobs.index_information()[key]
        assert index["key"] == [(key, 1), ("_id", 1)]
        assert index["partialFilterExpression"] == {key: {"$exists": True}}
    parent = OriginParentJob.create(way="create_many")
    rocketjob.work_off()
    ids = sorted((job.id for job in OriginJob.all()), reverse=True)
    assert [stored["_id"] for stored in origin.newest(origin.of_creator(parent.id))] == ids


def test_the_embedded_store_sorts_nothing_for_that(rocketjob):
    if not isinstance(context.current().store, SqliteStore):
        pytest.skip("the plan of a query is that of SQLite")
    OriginJob.create()
    for filter in (origin.of_creator(ObjectId(ELSEWHERE)), origin.of_link("order:7")):
        plan = _plan(filter)
        assert "USING INDEX" in plan and "TEMP B-TREE" not in plan


def _plan(filter):
    """Return how SQLite answers a query for the newest jobs of a filter."""

    def explained(connection):
        table = connection.catalog.find(Job.collection_name)
        plan = Query(filter).plan(table, [("_id", -1)])
        assert plan.ordered and plan.streams
        rows = connection.raw.execute(f"EXPLAIN QUERY PLAN {plan.sql}", plan.parameters)
        return " ".join(row[3] for row in rows)

    return context.current().store._database.read(explained)


# --- the command line ----------------------------------------------------------------------------


def run(*args):
    done = CliRunner().invoke(make_cli(), [str(arg) for arg in args])
    assert done.exit_code == 0, done.output
    return done.stdout


def show(job):
    return " ".join(run("jobs", "show", job.id).split())


def test_jobs_show_says_where_a_job_comes_from_and_what_it_created(rocketjob):
    parent = OriginParentJob()
    parent.created_for = "order:7"
    parent.save()
    rocketjob.work_off()
    child = only()
    assert f"Created in OriginParentJob {parent.id} Created for order 7" in show(child)
    assert f"Jobs created in it {child.id} OriginJob completed" in show(parent)
    assert "Created in OriginParentJob" not in show(parent)
    other = OriginJob()
    other.created_in = parent.id
    assert "Created for" not in show(other.save())
    assert "Created in" not in show(OriginJob.create())
    parent.destroy()
    assert f"Created in a job that is not stored any more: {parent.id}" in show(child)


def test_jobs_show_names_ten_and_says_how_to_find_the_rest(rocketjob):
    parent = OriginParentJob.create()
    for _ in range(origin.SHOWN + 2):
        child = OriginJob()
        child.created_in = parent.id
        child.save()
    shown = run("jobs", "show", parent.id)
    assert shown.count(" OriginJob ") == origin.SHOWN
    where = json.dumps({"created_in": str(parent.id)})
    assert f"and more: rocketjob jobs list --where '{where}'" in shown
    assert run("jobs", "list", "--where", where, "--count").strip() == str(origin.SHOWN + 2)
    told = json.loads(run("jobs", "show", parent.id, "--json"))
    assert len(told["created_jobs"]) == origin.SHOWN
    assert told["created_jobs"][0] == {
        "id": str(child.id),
        "class": "OriginJob",
        "state": "queued",
    }
    assert json.loads(run("jobs", "show", child.id, "--json"))["created_in"] == str(parent.id)


def test_jobs_list_finds_by_what_a_job_was_created_for(rocketjob):
    job = OriginJob()
    job.created_for = "order:7"
    job.save()
    OriginJob.create()
    assert run("jobs", "list", "-w", '{"created_for": "order:7"}', "-q").split() == [str(job.id)]
