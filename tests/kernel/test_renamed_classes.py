"""Jobs that were stored before their class was renamed, as `formerly` says."""

import pytest
from click.testing import CliRunner

from rocketjob import Job, ValidationError
from rocketjob.base.errors import FieldClash
from rocketjob.cli.root import make_cli
from rocketjob.jobs.job import job_class
from rocketjob.queue.eligible import Eligible, takes
from rocketjob_plugins.batch import Batch, InputCategory
from rocketjob_plugins.cron import Cron, scheduled
from rocketjob_plugins.cron.schedules import undeclared
from rocketjob_plugins.dirmon import DirmonEntry
from rocketjob_plugins.singleton import Singleton
from rocketjob_plugins.throttle import Throttle, ThrottleDependentJobs
from support.deploy import MADE, deploy, forget, forget_all, sync_made

done = []


def before(*bases, **attributes):
    """Return the class as the code had it before the deploy."""
    return deploy("EarlierNameJob", *bases, **{"perform": perform} | attributes)


def after(*bases, name="PresentNameJob", formerly=("EarlierNameJob",), **attributes):
    """Return the class as the code has it after the deploy; the one of before is gone."""
    for cls in [each for each in MADE if each.__name__ == "EarlierNameJob"]:
        forget(cls)
    given = {"perform": perform, "formerly": list(formerly)}
    return deploy(name, *bases, **given | attributes)


def perform(self):
    done.append((type(self).__name__, self.id))


@pytest.fixture(autouse=True)
def _nothing_is_left():
    done.clear()
    yield
    forget_all()


def run(*args):
    return CliRunner().invoke(make_cli(), [str(each) for each in args])


def test_a_job_stored_under_the_old_name_is_found_and_run(rocketjob):
    id = before().create(destroy_on_complete=False).id
    new = after()
    assert type(Job.find(id)) is type(new.find(id)) is new
    assert rocketjob.work_off() == 1
    assert done == [("PresentNameJob", id)]
    assert new.find(id).is_completed


def test_both_names_are_counted_and_filtered_as_one(rocketjob):
    before().create()
    new = after()
    new.create()
    assert new.count() == new.queued().count() == 2
    for condition in [
        "PresentNameJob",
        "EarlierNameJob",
        {"$in": ["PresentNameJob"]},
        {"$ne": "OtherJob"},
    ]:
        assert Job.where({"_type": condition}).count() == 2
    for condition in [
        {"$ne": "PresentNameJob"},
        {"$nin": ["EarlierNameJob"]},
        {"$not": {"$eq": "PresentNameJob"}},
    ]:
        assert Job.where({"_type": condition}).count() == 0
    assert Job.where(_type="PresentNameJob").count() == 2
    assert new.where({"$or": [{"_type": "PresentNameJob"}]}).count() == 2


def test_a_class_above_finds_them_too(rocketjob):
    class RenamedFamilyJob(Job):
        def perform(self): ...

    first = before(RenamedFamilyJob).create()
    _second = after(RenamedFamilyJob)
    assert [job.id for job in RenamedFamilyJob.all()] == [first.id]


def test_a_class_is_renamed_again(rocketjob):
    before().create()
    between = after()
    between.create()
    forget(between)
    last = after(name="LastNameJob", formerly=["PresentNameJob", "EarlierNameJob"])
    last.create()
    assert last.count() == 3
    assert rocketjob.work_off() == 3
    assert {name for name, _ in done} == {"LastNameJob"}


def test_a_dotted_name_says_the_name_too(rocketjob):
    before().create()
    new = after(formerly=["old.module.EarlierNameJob"])
    assert new.count() == 1
    assert job_class("old.module.EarlierNameJob") is job_class("EarlierNameJob") is new


def test_a_class_that_only_moved_to_another_module_keeps_its_name():
    new = after(formerly=["old.module.PresentNameJob"])
    assert new.stored_names() == ["PresentNameJob", "old.module.PresentNameJob"]
    assert new.key_name() == "PresentNameJob"


def test_two_classes_that_had_one_name_are_refused():
    _first = after()
    both = r"formerly called EarlierNameJob: .*\.PresentNameJob and .*\.ThirdNameJob"
    with pytest.raises(TypeError, match=both):
        after(name="ThirdNameJob")
    assert job_class("EarlierNameJob") is _first


def test_an_old_name_that_a_class_has_is_refused():
    _old = before()
    with pytest.raises(
        TypeError, match=r"\.NewNameJob was formerly called EarlierNameJob.*\.EarlierNameJob\. R"
    ):
        deploy("NewNameJob", formerly=["EarlierNameJob"])


def test_a_name_that_another_class_had_is_refused():
    _new = after()
    with pytest.raises(
        TypeError, match=r"\.EarlierNameJob has a name that .*\.PresentNameJob says it had"
    ):
        before()


def test_a_class_can_be_made_again_with_other_names():
    _first = after()
    _again = after(formerly=[])
    assert before().stored_names() == ["EarlierNameJob"]


@pytest.mark.parametrize("wrong", ["EarlierNameJob", [1], [""], ["a b"], ["old."], None, {"a": 1}])
def test_what_is_no_list_of_names_is_refused(wrong):
    with pytest.raises(
        TypeError, match=r"PresentNameJob\.formerly must be a list of names, such as"
    ):
        type(
            "PresentNameJob",
            (Job,),
            {"__module__": __name__, "perform": perform, "formerly": wrong},
        )


def test_an_abstract_class_has_no_documents_to_take_over():
    with pytest.raises(TypeError, match="is abstract: no document has its name"):

        class MixinOfOld(Job, abstract=True):
            formerly = ["OldMixin"]


@pytest.mark.parametrize("name", ["formerly", "schema_version", "upcast"])
def test_a_setting_that_is_annotated_is_no_field(name):
    with pytest.raises(FieldClash, match=rf"{name} says how documents .* without an annotation"):
        type(
            "PresentNameJob",
            (Job,),
            {"__module__": __name__, "__annotations__": {name: int}, name: 2},
        )


def test_what_a_subclass_inherits_is_not_its_old_name():
    new = after()
    below = type("BelowNameJob", (new,), {"__module__": __name__})
    assert below.stored_names() == ["BelowNameJob"]


def test_a_server_takes_and_says_both_names(rocketjob):
    new, config = after(), rocketjob.application.config
    names = Eligible(config, None).class_names()
    assert {"PresentNameJob", "EarlierNameJob"} <= set(names)
    config.exclude = "^EarlierNameJob$"  # written before the deploy
    assert not takes(config, new)
    config.exclude, config.include = None, "^EarlierNameJob$"
    assert takes(config, new)


def test_a_singleton_is_single_over_both_names(rocketjob):
    before(Singleton).create()
    new = after(Singleton)
    with pytest.raises(
        ValidationError, match="Another instance of PresentNameJob is already queued"
    ):
        new.create()


def test_processes_of_the_old_code_and_the_new_meet_in_the_key_of_a_singleton(rocketjob):
    key = before(Singleton).create().active_key
    Job.delete_all()
    assert after(Singleton).create().active_key == key


def test_a_singleton_without_its_old_name_does_not_see_the_old_job(rocketjob):
    before(Singleton).create()
    assert after(Singleton, formerly=[]).create().active_key == "PresentNameJob"


def test_a_schedule_goes_on_under_the_new_name(rocketjob):
    declared = {"cron_schedule": "0 1 * * * UTC"}
    scheduled(before(Cron, **declared))
    sync_made()
    new = scheduled(after(Cron, **declared))
    assert list(undeclared()) == []
    assert [step.action for step in sync_made()] == ["nothing"]
    assert new.count() == 1
    with pytest.raises(ValidationError, match="Another instance of PresentNameJob"):
        new.create()


def test_named_schedules_that_are_not_singletons_go_on(rocketjob):
    declared = {"cron_schedule": "0 1 * * * UTC", "cron_singleton": False}
    scheduled("0 2 * * * UTC", name="acme")(scheduled(before(Cron, **declared)))
    sync_made()
    keys = sorted(job.cron_key for job in Cron.all())
    new = scheduled("0 2 * * * UTC", name="acme")(scheduled(after(Cron, **declared)))
    sync_made()
    assert sorted(job.cron_key for job in new.all()) == keys


def test_the_next_run_of_a_renamed_series_has_the_new_name(rocketjob):
    before(Cron, cron_schedule="*/5 * * * * UTC").create()
    new = after(Cron, cron_schedule="*/5 * * * * UTC")
    rocketjob.travel(new.first().run_at)
    assert rocketjob.work_off() == 1
    assert [stored["_type"] for stored in Job.collection().find({"state": "queued"})] == [
        "PresentNameJob"
    ]


def test_running_jobs_of_the_old_name_count_towards_the_limit(rocketjob):
    before(Throttle, throttle_running_jobs=1).create().start()
    new = after(Throttle, throttle_running_jobs=1)
    new.create()
    assert rocketjob.queue.claim(1) == []
    assert "throttle_running_jobs" in {
        reason.name for reason in new.queued().first().explain().reasons
    }


def test_starts_of_before_the_deploy_count_towards_the_rate(rocketjob):
    before(Throttle, rate_limit="1/hour").create()
    rocketjob.work_off()
    after(Throttle, rate_limit="1/hour").create()
    assert rocketjob.work_off() == 0


def test_a_job_waits_for_those_that_it_knows_by_the_old_name(rocketjob):
    before().create().start()
    new = after()

    class BehindOldJob(ThrottleDependentJobs, Job):
        def perform(self): ...

    BehindOldJob.create(dependent_jobs=["EarlierNameJob"])
    BehindOldJob.create(dependent_jobs=["PresentNameJob"])
    assert rocketjob.queue.claim(2) == []
    new.delete_all()
    assert len(rocketjob.queue.claim(2)) == 2


def test_commands_speak_of_the_new_name(rocketjob):
    id = before().create().id
    _new = after()
    assert "PresentNameJob" in run("jobs", "list").stdout
    for name in ("PresentNameJob", "EarlierNameJob"):
        listed = run("jobs", "list", "--class", name)
        assert str(id) in listed.stdout and "EarlierNameJob" not in listed.stdout
    assert run("jobs", "show", id).stdout.startswith(f"PresentNameJob {id} queued")
    counted = run("jobs", "counts").stdout
    assert "PresentNameJob" in counted and "EarlierNameJob" not in counted
    assert (
        run("jobs", "pause", "--all-matching", "--class", "EarlierNameJob", "--yes").exit_code == 0
    )
    assert Job.find(id).is_paused


def test_a_batch_that_runs_goes_on_under_the_new_name(rocketjob):
    class_of_before = before(Batch, perform=lambda self, record: done.append(record))
    job = class_of_before(input_categories=[InputCategory(slice_size=1)])
    job.upload(["a", "b", "c"])
    job.save()
    (claimed,) = rocketjob.queue.claim(1)
    begun = {"$set": {"sub_state": "processing"}, "$unset": {"claimed_by": "", "worker_name": ""}}
    Job.collection().update_one({"_id": job.id}, begun)  # so that workers join it
    old = claimed.input.claim("old.1", "old:0:1", limit=1)  # a worker with the code of before
    after(Batch, perform=lambda self, record: done.append(record))
    rocketjob.work_off(1)
    assert done == ["b", "c"]
    assert Job.find(job.id).is_running
    claimed.input.requeue_running()
    assert [slice.records for slice in old] == [["a"]]
    rocketjob.work_off(1)
    assert done == ["b", "c", "a"]
    assert Job.count() == 0


def test_files_of_a_directory_entry_go_to_the_new_class(rocketjob, tmp_path):
    (tmp_path / "a.csv").write_text("a\n")
    fields = {"fields": {"upload_file_name": str}}
    before(**fields)
    entry = DirmonEntry(pattern=f"{tmp_path}/*.csv", job_class_name="EarlierNameJob").save()
    new = after(**fields)
    assert entry.job_class is new
    entry.reload().validate()
    assert entry.job_class_name == "EarlierNameJob"
    job = entry.later(str(tmp_path / "a.csv"))
    assert rocketjob.work_off(1) == 1
    assert type(Job.find(job.job_id)) is new
    entry.enable()
    assert entry.reload().job_class_name == "PresentNameJob"  # the old name goes with a save
