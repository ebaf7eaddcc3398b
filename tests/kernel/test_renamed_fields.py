"""Jobs that were stored before a field of their class was renamed, as `field(formerly=)` says."""

import pytest

from rocketjob import Job, StateConflict, ValidationError, field
from rocketjob.model.document import Document
from rocketjob_plugins.cron import Cron, scheduled
from support.deploy import deploy, forget_all, roll_back, sync_made

seen = []


def perform(self):
    seen.append(getattr(self, "file_name", None) or getattr(self, "path", None))


@pytest.fixture(autouse=True)
def _nothing_is_left():
    seen.clear()
    yield
    forget_all()


def before(**attributes):
    given = {"path": "default.csv", "destroy_on_complete": False, "perform": perform}
    return deploy("FieldDeployJob", fields={"path": str}, **given, **attributes)


def after(formerly="path", **attributes):
    new = field(default="default.csv", formerly=formerly, user_editable=True, copy_on_restart=True)
    given = {"file_name": new, "destroy_on_complete": False, "perform": perform}
    return deploy("FieldDeployJob", fields={"file_name": str | None}, **given, **attributes)


def stored(job):
    return Job.collection().find_one({"_id": job.id})


def test_a_value_stored_under_the_old_name_is_that_of_the_field(rocketjob):
    job = before().create(path="a.csv")
    new = after()
    assert new.find(job.id).file_name == "a.csv"
    assert "file_name" not in new.find(job.id).changed()
    assert rocketjob.work_off() == 1
    assert seen == ["a.csv"]
    assert stored(job)["file_name"] == "a.csv"
    assert "path" not in stored(job)


def test_the_old_key_goes_with_the_first_save(rocketjob):
    job = before().create(path="a.csv")
    new = after()
    new.find(job.id).update(priority=3)
    assert stored(job)["file_name"] == "a.csv"
    assert "path" not in stored(job)
    assert new.find(job.id).update(file_name=None).file_name is None
    assert (stored(job)["file_name"], "path" in stored(job)) == (None, False)


@pytest.mark.parametrize("value", ["b.csv", None])
def test_a_value_that_is_assigned_takes_the_place_of_the_old_one(rocketjob, value):
    job = before().create(path="a.csv")
    new = after(priority=7)
    new.find(job.id).update(file_name=value)
    assert stored(job).get("file_name") == value
    assert "path" not in stored(job)


def test_a_change_of_state_renames_too(rocketjob):
    job = before().create(path="a.csv")
    after()
    Job.find(job.id).pause()
    assert stored(job)["file_name"] == "a.csv"
    assert "path" not in stored(job)


def test_of_several_old_names_the_newest_counts(rocketjob):
    job = before().create(path="a.csv")
    Job.collection().update_one({"_id": job.id}, {"$set": {"file": "b.csv"}})
    assert after(formerly=["file", "path"]).find(job.id).file_name == "b.csv"


def test_the_present_name_counts_before_an_old_one(rocketjob):
    job = before().create(path="a.csv")
    Job.collection().update_one({"_id": job.id}, {"$set": {"file_name": None}})
    assert after().find(job.id).file_name is None


def test_queries_find_what_is_stored_under_either_name(rocketjob):
    ids = [before().create(path=name).id for name in ("a.csv", "b.csv")]
    new = after()
    ids.append(new.create(file_name="a.csv").id)

    def found(*filters, **values):
        return [ids.index(job.id) for job in new.where(*filters, **values).order_by("id")]

    assert found(file_name="a.csv") == found({"file_name": "a.csv"}) == [0, 2]
    assert found({"path": "a.csv"}) == [0, 2]
    assert found({"file_name": {"$ne": "a.csv"}}) == [1]
    assert found({"file_name": {"$gt": "a.csv"}}) == [1]
    assert found({"file_name": None}) == found(file_name=None) == []
    assert found({"$or": [{"file_name": "b.csv"}, {"priority": 1}]}) == [1]
    assert found({"$and": [{"priority": 50}], "file_name": "b.csv"}) == [1]
    assert Job.where({"file_name": "a.csv"}).count() == 2
    assert new.all().order_by("id").pluck("file_name") == ["a.csv", "b.csv", "a.csv"]
    with pytest.raises(TypeError, match=r"FieldDeployJob\.path is called file_name now"):
        new.where(path="a.csv")


def test_a_field_of_another_class_with_the_old_name_is_not_meant(rocketjob):
    other = deploy("OtherPathJob", fields={"path": str}, perform=perform).create(path="a.csv")
    job = before().create(path="a.csv")
    after()
    assert [each.id for each in Job.where({"file_name": "a.csv"})] == [job.id]
    assert Job.where({"path": "a.csv", "state": "queued"}).first().id == other.id
    assert sorted(Job.all().pluck("file_name")) == ["a.csv", "default.csv"]


@pytest.mark.parametrize("value", ["b.csv", None])
def test_update_all_leaves_nothing_under_the_old_name(rocketjob, value):
    job = before().create(path="a.csv")
    assert after().all().update_all(file_name=value) == 1
    assert stored(job).get("file_name") == value
    assert "path" not in stored(job)


def test_texts_and_properties_may_have_the_old_name(rocketjob):
    new = after()
    assert new.from_properties({"path": "a.csv"}).file_name == "a.csv"
    with pytest.raises(ValidationError, match="is called file_name now, and both are given"):
        new.from_properties({"path": "a.csv", "file_name": "b.csv"})
    with pytest.raises(TypeError, match=r"FieldDeployJob\.path is called file_name now"):
        new(path="a.csv")


def test_a_worker_with_the_code_of_before_leaves_a_new_job_to_the_others(rocketjob):
    old, new = before(), after()
    job = new.create(file_name="a.csv")
    roll_back(old)
    assert rocketjob.work_off() == 0
    assert seen == []
    reason = "was stored by code that calls a field of FieldDeployJob file_name"
    assert reason in Job.find(job.id).throttled_text
    assert "schema_version" in str(old.find(job.id).explain())
    assert old.create(path="b.csv").is_queued
    assert rocketjob.work_off() == 1  # what comes behind it is not kept back
    with pytest.raises(ValidationError, match="calls a field of FieldDeployJob file_name"):
        old.find(job.id).perform_now()
    roll_back(new)
    rocketjob._queue = None
    assert rocketjob.work_off() == 1
    assert seen == ["b.csv", "a.csv"]


def test_a_job_that_new_code_has_retried_is_not_run_with_a_default_by_old_code(rocketjob):
    old = before()
    job = old.create(path="a.csv")
    new = after()
    new.find(job.id).fail("for now")
    new.find(job.id).retry()
    roll_back(old)
    assert rocketjob.work_off() == 0
    assert seen == []


def test_an_edit_between_the_claim_and_the_renewal_is_kept(rocketjob, monkeypatch):
    job = before().create(path="a.csv")
    after()
    write_many, edits = rocketjob.store.write_many, ["edited.csv"]

    def edited_before(collection, writes, **options):
        if edits:
            Job.collection().update_one({"_id": job.id}, {"$set": {"path": edits.pop()}})
        return write_many(collection, writes, **options)

    monkeypatch.setattr(type(rocketjob.store), "write_many", staticmethod(edited_before))
    assert rocketjob.work_off() == 1
    assert seen == ["edited.csv"]
    assert stored(job)["file_name"] == "edited.csv"


def test_two_who_change_a_job_of_before_do_not_undo_each_other(rocketjob):
    job = before().create(path="a.csv")
    new = after()
    first, second = new.find(job.id), new.find(job.id)
    first.update(file_name="b.csv")
    with pytest.raises(StateConflict, match="is not as it was"):
        second.update(priority=3)
    second.reload().update(priority=3)
    assert (second.file_name, stored(job)["file_name"]) == ("b.csv", "b.csv")


@pytest.mark.parametrize("value", ["b.csv", None])
def test_a_running_job_keeps_its_old_key_for_the_worker_that_has_it(rocketjob, value):
    job = before().create(path="a.csv")
    job.start()
    new = after()
    new.find(job.id).update(file_name=value)
    assert stored(job)["path"] == "a.csv"
    assert new.find(job.id).file_name == value
    job.reload()
    job.fail("worker died")
    new.find(job.id).update(priority=3)
    assert "path" not in stored(job)
    assert new.find(job.id).file_name == value


def test_what_a_series_hands_on_is_under_the_present_name(rocketjob):
    schedule = {"cron_schedule": "*/5 * * * * UTC", "perform": perform}
    path = {"path": field(default="x", copy_on_restart=True)}
    cls = deploy("FieldDeployCronJob", Cron, fields={"path": str}, **path, **schedule)
    scheduled(path="a.csv")(cls)
    sync_made()
    renamed = {"file_name": field(default="x", copy_on_restart=True, formerly="path")}
    new = deploy("FieldDeployCronJob", Cron, fields={"file_name": str}, **renamed, **schedule)
    scheduled(file_name="b.csv")(new)
    (step,) = sync_made()
    assert step.action == "update"  # nobody has edited it by hand
    rocketjob.travel(new.first().run_at)
    assert rocketjob.work_off() == 1
    assert seen == ["b.csv"]
    assert new.first().file_name == "b.csv"


REFUSED = [
    ({"fields": {"path": str, "name": str}, "name": field(formerly="path")}, "has a field path"),
    (
        {
            "fields": {"a": str, "b": str},
            "a": field(formerly="path"),
            "b": field(formerly="path"),
        },
        "so was a",
    ),
    ({"fields": {"name": str}, "name": field(formerly="state")}, "has a field state"),
    ({"fields": {"name": str}, "name": field(formerly="_type")}, "no field can have had that name"),
    ({"fields": {"name": str}, "name": field(formerly="name")}, "has a field name"),
]


@pytest.mark.parametrize(("attributes", "problem"), REFUSED)
def test_an_old_name_that_cannot_be_one_is_refused_when_the_class_is_made(attributes, problem):
    with pytest.raises(
        TypeError, match=rf"FieldDeployJob\.\w+ was formerly called \w+: .*{problem}"
    ):
        deploy("FieldDeployJob", **attributes, perform=perform)


@pytest.mark.parametrize("wrong", ["a b", "", ["a", 1], ["a.b"]])
def test_what_is_no_name_is_refused(wrong):
    with pytest.raises(TypeError, match="must be the old name of the field"):
        field(formerly=wrong)


def test_documents_of_a_class_that_never_changed_have_no_marks(rocketjob):
    assert Document.__layout__.renewer is None
    assert {key for key in stored(before().create()) if key.startswith("_")} == {"_id", "_type"}
