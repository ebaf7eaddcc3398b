"""What a deploy finds in the queue: it is said by `check`, run, and rewritten by `jobs migrate`."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from rocketjob import Job, field
from rocketjob.cli.root import make_cli
from rocketjob.jobs import stuck
from rocketjob.jobs.shown import unknown_fields
from rocketjob.queue import survey as surveys
from rocketjob.queue.migration import Migration
from rocketjob.queue.survey import Survey
from rocketjob.testing import sandbox
from rocketjob.worker.runner import work_claimed_job
from rocketjob_plugins.singleton import Singleton
from support.deploy import MADE, deploy, forget, forget_all

seen = []


def perform(self):
    seen.append((self.file_name, self.number))


@pytest.fixture(autouse=True)
def _nothing_is_left():
    seen.clear()
    yield
    forget_all()


def before(*bases, **attributes):
    given = {"path": "default.csv", "number": 0, "perform": lambda self: None}
    return deploy(
        "OldImportDeployJob", *bases, fields={"path": str, "number": int}, **given | attributes
    )


def after(*bases, formerly=("OldImportDeployJob",), **attributes):
    for cls in list(MADE):
        forget(cls)
    given = {"number": 0, "perform": perform, "formerly": list(formerly)}
    given["file_name"] = field(default="default.csv", formerly="path")
    fields = {"file_name": str, "number": int}
    return deploy("ImportDeployJob", *bases, fields=fields, **given | attributes)


def silent(count): ...


def survey(made):
    looked = Survey().look(made.store, silent)
    return looked.jobs, [(f.kind, f.job_class, f.field, f.count) for f in looked.findings]


def migrate(made, writes=True):
    return Migration(made.store, writes).run(silent)


def stored(id):
    return Job.collection().find_one({"_id": id})


@pytest.mark.parametrize(("store", "jobs"), [("sqlite", 1000), ("mongodb", 40)])
def test_a_deploy_that_renames_a_class_and_a_field_loses_no_job_and_no_value(store, jobs, request):
    url = [request.getfixturevalue("mongo_url")] if store == "mongodb" else []
    with sandbox(*url) as made:
        before().create_many([{"path": f"{i}.csv", "number": i} for i in range(jobs)])
        after()
        assert survey(made) == (jobs, [])
        while claimed := made.queue.claim(50):
            for job in claimed:
                assert work_claimed_job(job, made.worker)
        assert sorted(seen, key=lambda each: each[1]) == [(f"{i}.csv", i) for i in range(jobs)]
        assert Job.count() == 0


def test_jobs_of_before_are_rewritten_and_found_by_the_present_names_alone(rocketjob):
    ids = [before().create(path=f"{i}.csv").id for i in range(3)]
    after()
    planned = migrate(rocketjob, writes=False)
    assert planned.rewritten == {("ImportDeployJob", "OldImportDeployJob"): 3}
    assert stored(ids[0])["_type"] == "OldImportDeployJob"
    assert migrate(rocketjob).rewritten == planned.rewritten
    assert [stored(id)["_type"] for id in ids] == ["ImportDeployJob"] * 3
    assert [stored(id)["file_name"] for id in ids] == ["0.csv", "1.csv", "2.csv"]
    assert not any("path" in stored(id) for id in ids)
    again = migrate(rocketjob)
    assert (again.jobs, again.rewritten, again.is_complete) == (3, {}, True)


def test_a_migration_that_was_killed_goes_on_where_it_was(rocketjob, monkeypatch):
    monkeypatch.setattr(surveys, "PAGE", 2)
    before().create_many([{"path": f"{i}.csv"} for i in range(5)])
    after()

    def killed(count):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Migration(rocketjob.store, writes=True).run(killed)
    assert Job.collection().count_documents({"_type": "ImportDeployJob"}) == 2
    assert sum(migrate(rocketjob).rewritten.values()) == 3
    assert Job.collection().count_documents({"_type": "ImportDeployJob"}) == 5


def test_a_running_job_is_left_alone_and_named(rocketjob):
    job = before().create(path="a.csv")
    job.start()
    after()
    done = migrate(rocketjob)
    assert done.running.named == [f"ImportDeployJob {job.id}"]
    assert not done.is_complete
    assert stored(job.id)["path"] == "a.csv"


def test_a_job_that_somebody_changes_meanwhile_is_not_overwritten(rocketjob, monkeypatch):
    job = before().create(path="a.csv")
    after()
    write_many, edits = rocketjob.store.write_many, ["edited.csv"]

    def edited_before(collection, writes, **options):
        if edits:
            Job.collection().update_one({"_id": job.id}, {"$set": {"path": edits.pop()}})
        return write_many(collection, writes, **options)

    monkeypatch.setattr(type(rocketjob.store), "write_many", staticmethod(edited_before))
    assert migrate(rocketjob).changed == 1
    assert migrate(rocketjob).changed == 0
    assert stored(job.id)["file_name"] == "edited.csv"


def test_one_that_cannot_be_rewritten_does_not_keep_the_others(rocketjob):
    bad, good = (before().create(number=number) for number in (1, 2))

    def upcast(cls, document):
        if document["number"] == 1:
            raise LookupError("one is wrong")
        return document

    after(schema_version=2, upcast=classmethod(upcast))
    done = migrate(rocketjob)
    assert done.failed.named == [f"ImportDeployJob {bad.id}: LookupError: one is wrong"]
    assert stored(good.id)["_version"] == 2
    assert not done.is_complete


def test_the_key_of_a_singleton_follows_once_the_old_name_is_dropped(rocketjob):
    job = before(Singleton).create()
    after(Singleton)
    migrate(rocketjob)
    assert stored(job.id)["active_key"] == "OldImportDeployJob"  # as the code of before makes it
    assert survey(rocketjob)[1] == []
    after(Singleton, formerly=[])
    assert survey(rocketjob)[1] == [("old key", "ImportDeployJob", "active_key", 1)]
    migrate(rocketjob)
    assert stored(job.id)["active_key"] == "ImportDeployJob"
    assert survey(rocketjob)[1] == []


def test_the_survey_tells_what_this_code_could_not_run(rocketjob):
    old = before()
    first, second = (old.create(number=number) for number in (1, 2))
    third, fourth = (old.create(number=number) for number in (3, 4))
    done = old.create(destroy_on_complete=False)
    done.abort()

    def change(job, **values):
        Job.collection().update_one({"_id": job.id}, {"$set": values})

    change(first, number="many")
    change(second, number="few", currency="EUR")
    change(third, currency="EUR")
    change(fourth, _type="GoneDeployJob")
    newer = old.create()
    change(newer, _version=7)
    after()
    assert survey(rocketjob) == (
        5,
        [
            ("misfit", "ImportDeployJob", "number", 2),
            ("unknown field", "ImportDeployJob", "currency", 1),
            ("unknown class", "GoneDeployJob", "", 1),
            ("newer", "ImportDeployJob", "", 1),
        ],
    )
    (misfit, *_) = Survey().look(rocketjob.store, silent).findings
    assert (misfit.example, misfit.text) == (first.id, "must be int, not str 'many'")


def test_what_the_system_keeps_of_a_job_is_no_field_that_is_missing(rocketjob):
    job = before().create()
    job.start()
    stuck.note(job, None, ["  File ..."])
    job.collection().update_one({"_id": job.id}, {"$set": {"suspected": 1, "awaited": job.run_at}})
    assert {"stuck", "suspected", "awaited"} <= stored(job.id).keys()
    assert unknown_fields(job.reload()) == {}
    assert survey(rocketjob)[1] == []


def test_arguments_and_classes_that_raise_are_findings_too(rocketjob):
    def takes(self, name): ...

    deploy("OldImportDeployJob", perform=takes).perform_later("a")
    deploy("OldImportDeployJob", perform=lambda self: None)
    raising = property(lambda self: 1 / 0)
    assert survey(rocketjob)[1] == [("misfit", "OldImportDeployJob", "arguments", 1)]

    def raises(cls, document):
        return document["no such key"]

    deploy(
        "OldImportDeployJob", perform=takes, schema_version=2, upcast=classmethod(raises), x=raising
    )
    assert survey(rocketjob)[1] == [("cannot be loaded", "OldImportDeployJob", "", 1)]


def test_findings_are_bounded(rocketjob, monkeypatch):
    monkeypatch.setattr(surveys, "MOST", 2)
    job = before().create()
    Job.collection().update_one({"_id": job.id}, {"$set": {"a": 1, "b": 1, "c": 1}})
    looked = Survey().look(rocketjob.store, silent)
    assert (len(looked.findings), looked.more) == (2, 1)


def test_what_jobs_migrate_prints(rocketjob):
    def run(*args):
        return CliRunner().invoke(make_cli(), ["jobs", "migrate", *args])

    job = before().create(path="a.csv")
    running = before().create()
    running.start()
    after()
    planned = run()
    assert planned.exit_code == 1
    assert "  1  ImportDeployJob  OldImportDeployJob\n" in planned.stdout
    assert f"1 job running, and left alone:\n  ImportDeployJob {running.id}\n" in planned.stdout
    assert planned.stdout.endswith("1 job would be rewritten: add --yes to do it\n")
    running.fail("for now")
    count, summary = map(json.loads, run("--yes", "--json").stdout.splitlines())
    assert count == {
        "class": "ImportDeployJob",
        "stored_as": "OldImportDeployJob",
        "count": 2,
        "done": True,
    }
    assert (summary["jobs"], summary["failed"]) == (2, {"count": 0, "named": []})
    assert stored(job.id)["file_name"] == "a.csv"
    assert run().stdout == "nothing to rewrite\n"


APP = """
from rocketjob import Job, field

class ReportJob(Job):
    file_name: str
    def perform(self): ...
"""


def test_check_against_queue_names_what_the_app_could_not_run(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    with sandbox(f"sqlite:///{tmp_path}/rocketjob.db"):
        ids = [deploy("OldReportJob", perform=perform).create().id for _ in range(3)]
    run = [sys.executable, "-m", "rocketjob.cli", "check", "--against-queue", "--app", "app"]
    found = subprocess.run([*run, "--json"], cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 1
    finding, summary = map(json.loads, found.stdout.splitlines())
    assert (finding["kind"], finding["class"]) == ("unknown class", "OldReportJob")
    assert (finding["count"], finding["example"]) == (3, str(ids[0]))
    assert summary == {"kind": "summary", "jobs": 3, "more": 0}
