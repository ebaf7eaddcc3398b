"""Documents come back as instances of their own class, of a known one or of none."""

import subprocess
import sys
import types

import pytest

from rocketjob import InvalidTransition, Job, UnknownJob, UnknownJobClass
from rocketjob.base.errors import FieldClash
from rocketjob.jobs.job import job_class
from rocketjob.model.registry import loaded_classes, lookup
from support.jobs import KeptJob, job_in, stored


class AnimalJob(Job):
    destroy_on_complete = False
    name: str = ""

    def perform(self): ...


class DogJob(AnimalJob):
    tricks: list[str] = []


class PuppyJob(DogJob):
    age: int = 0


def test_documents_come_back_as_instances_of_their_own_class(rocketjob):
    AnimalJob.create(name="a")
    DogJob.create(name="b", tricks=["sit"])
    PuppyJob.create(name="c", age=1)
    KeptJob.create()
    assert [type(job) for job in Job.all()] == [AnimalJob, DogJob, PuppyJob, KeptJob]
    assert [type(job) for job in AnimalJob.all()] == [AnimalJob, DogJob, PuppyJob]
    assert [job.name for job in DogJob.all()] == ["b", "c"]
    assert PuppyJob.count() == 1
    assert Job.where(name="b").first().tricks == ["sit"]


def test_a_class_made_later_is_found_by_queries_that_were_made_before(rocketjob):
    assert AnimalJob.count() == 0

    class CatJob(AnimalJob):
        pass

    CatJob.create()
    assert AnimalJob.count() == 1


def test_two_classes_of_one_name_are_refused_with_both_places():
    with pytest.raises(TypeError) as error:
        type(Job)("KeptJob", (Job,), {"__module__": "elsewhere"})
    assert "Two classes are called KeptJob: support.jobs.KeptJob and elsewhere.KeptJob" in str(
        error.value
    )
    assert "rename one" in str(error.value)
    assert lookup("KeptJob", Job) is KeptJob


def test_a_class_may_be_defined_again_in_the_same_place(rocketjob):
    module = types.ModuleType("reloaded_jobs")
    sys.modules["reloaded_jobs"] = module
    try:
        code = "from rocketjob import Job\nclass ReloadedJob(Job):\n    n: int = 0\n"
        code += "    def perform(self): ...\n"
        exec(code, module.__dict__)
        first = module.ReloadedJob
        exec(code, module.__dict__)
        assert module.ReloadedJob is not first
        module.ReloadedJob.create(n=5)
        assert type(Job.first()) is module.ReloadedJob
        assert Job.count() == module.ReloadedJob.count() == 1
    finally:
        del sys.modules["reloaded_jobs"]


def test_loaded_classes_start_with_the_base():
    found = loaded_classes(AnimalJob)
    assert found[:3] == [AnimalJob, DogJob, PuppyJob]
    assert lookup("PuppyJob", KeptJob) is None


def test_a_job_class_is_found_by_name_or_the_nearest_is_named():
    assert job_class("PuppyJob") is PuppyJob
    with pytest.raises(UnknownJobClass, match="No job class PupyJob is loaded here; did you mean"):
        job_class("PupyJob")
    with pytest.raises(LookupError, match="import its module, or name it in `app`"):
        job_class("Zzzzzzzzzzz")


# --- a class that is not loaded ---------------------------------------------------------------


@pytest.fixture
def unknown(rocketjob):
    job = AnimalJob.create(name="kept as it is")
    job.collection().update_one({"_id": job.id}, {"$set": {"_type": "VanishedJob"}})
    return Job.find(job.id)


def test_a_document_of_an_unknown_class_comes_back_as_unknown_job(unknown):
    assert type(unknown) is UnknownJob
    assert unknown.class_name == "VanishedJob"
    assert repr(unknown) == f"<UnknownJob VanishedJob {unknown.id} queued>"
    assert Job.where({"_type": "VanishedJob"}).count() == 1
    assert unknown.status()["state"] == "queued"


def test_an_unknown_job_can_be_aborted_and_keeps_its_document(unknown):
    unknown.abort()
    document = stored(unknown)
    assert (document["state"], document["_type"], document["name"]) == (
        "aborted",
        "VanishedJob",
        "kept as it is",
    )


@pytest.mark.parametrize("event", ["pause", "fail"])
def test_an_unknown_job_can_be_paused_and_failed(unknown, event):
    getattr(unknown, event)()
    assert stored(unknown)["state"] == unknown.state != "queued"


def test_an_unknown_job_can_be_destroyed(unknown):
    unknown.destroy()
    assert Job.count() == 0


def test_an_unknown_job_is_never_run(unknown, rocketjob):
    assert rocketjob.work_off() == 0
    assert not unknown.may("start")
    with pytest.raises(InvalidTransition):
        unknown.start()
    with pytest.raises(UnknownJobClass, match="The class VanishedJob is not loaded here"):
        unknown.perform_now()
    with pytest.raises(UnknownJobClass):
        unknown.perform()
    assert stored(unknown)["state"] == "queued"


def test_what_an_unknown_job_may_not_it_does_not_offer(unknown):
    assert set(unknown.allowed_events()) <= {"abort", "pause", "fail"}
    with pytest.raises(InvalidTransition, match="Possible now: fail, pause, abort"):
        unknown.start()


def test_a_loaded_class_of_another_collection_does_not_answer_for_a_job(rocketjob):
    from rocketjob import Document

    class Bystander(Document):
        collection_name = "test.bystanders"

    job = job_in("queued")
    job.collection().update_one({"_id": job.id}, {"$set": {"_type": "Bystander"}})
    assert type(Job.find(job.id)) is UnknownJob


def test_a_document_without_a_class_name_is_one_of_the_class_that_is_asked(rocketjob):
    job = KeptJob.create()
    job.collection().update_one({"_id": job.id}, {"$unset": {"_type": ""}})
    assert type(Job.find(job.id)) is Job


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("state", r"every Job has a field state that only the system sets"),
        ("arguments", r"every Job has a field arguments that only the system sets"),
        ("seconds", r"Job has a property of that name"),
        ("history", r"Job has a property of that name"),
        ("save", r"Document has a method of that name"),
        ("perform", r"Job has a method of that name"),
        ("collection", r"every document has something of that name"),
    ],
)
def test_a_field_cannot_take_the_name_of_what_every_job_has(name, said):
    with pytest.raises(FieldClash, match=rf"NamesJob\.{name}: {said}.*choose another name"):
        type("NamesJob", (Job,), {"__annotations__": {name: str}, "__module__": __name__})


def test_nor_can_the_field_of_a_mixin_that_knows_no_jobs():
    class TimedMixin:
        seconds: float = 1.0

    with pytest.raises(FieldClash, match=r"TimedMixin\.seconds: Job has a property"):
        type("MixedNamesJob", (TimedMixin, Job), {"__module__": __name__})


def test_a_class_may_still_compute_an_inherited_field():
    class PlainNumberJob(Job):
        number: int = 1

        def perform(self): ...

    class ComputedNumberJob(PlainNumberJob):
        @property
        def number(self):
            return 2

        @number.setter
        def number(self, value): ...

    assert ComputedNumberJob().number == 2


def test_one_file_that_is_imported_under_two_names_is_named(tmp_path):
    path = tmp_path / "twice_imported.py"
    path.write_text(
        "from rocketjob import Job\nclass TwiceImportedJob(Job):\n    def perform(self): ...\n"
        "if __name__ == '__main__':\n    import twice_imported\n"
    )
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True)
    said = done.stderr.splitlines()[-1]
    assert f"The file {path.resolve()} is imported under two names, __main__ and twice_im" in said
