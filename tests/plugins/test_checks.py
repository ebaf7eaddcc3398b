"""What plugins have `rocketjob doctor` look at."""

import types
from datetime import timedelta

from rocketjob import Job, hookimpl
from rocketjob.cli.doctor import examine
from rocketjob.server.checks import OK, PROBLEM, WARNING, Check, Finding, Patient
from rocketjob.testing import sandbox
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.dirmon import DirmonEntry
from rocketjob_plugins.encryption.keys import new_key
from support.jobs import KeptJob


def looked_at(made, area):
    return [each for each in examine(Patient(made.application, {})) if each.area == area]


def test_nothing_is_said_of_plugins_that_are_not_used(rocketjob):
    for area in ("encryption", "slices", "dirmon"):
        assert looked_at(rocketjob, area) == []


class UploadedJob(Batch, Job):
    """Does nothing with its records."""

    def perform(self, record):
        return record


def test_a_batch_job_that_waits_for_an_input_that_does_not_come_is_named(rocketjob):
    job = UploadedJob.create()
    assert looked_at(rocketjob, "batch") == []
    rocketjob.work_off()
    (found,) = looked_at(rocketjob, "batch")
    assert (found.status, found.data) == (OK, {"id": job.id})
    rocketjob.travel(timedelta(minutes=20))
    (found,) = looked_at(rocketjob, "batch")
    assert found.status == WARNING
    assert f"UploadedJob {job.id} waits for its input, 20m after it was created" in found.message
    job.reload().upload(["a"])
    assert looked_at(rocketjob, "batch") == []


def test_a_batch_job_that_was_begun_and_no_server_is_a_problem(rocketjob):
    job = UploadedJob()
    job.upload(["a"])
    job.save()
    Job.collection().update_one(
        {"_id": job.id}, {"$set": {"state": "running", "sub_state": "processing"}}
    )
    (found,) = looked_at(rocketjob, "servers")
    assert found.status == PROBLEM
    assert found.message == "no server is running; 0 jobs due, 1 running that wait for workers"


def test_keys_are_named_by_their_ids():
    key = new_key()
    with sandbox(encryption_keys=[key]) as made:
        (found,) = looked_at(made, "encryption")
    assert (found.status, found.data) == (OK, {"keys": [key.partition(":")[0]]})
    assert key not in str(found)


def test_a_key_that_is_not_well_formed_is_a_problem_and_is_not_shown():
    with sandbox(encryption_keys=["topsecret"]) as made:
        (found,) = looked_at(made, "encryption")
    assert found.status == PROBLEM
    assert "key 1 is not well formed" in found.message
    assert "topsecret" not in str(found)


def test_the_store_of_the_slices_is_looked_at_if_it_is_another_one(tmp_path):
    with sandbox(slices_url=f"sqlite:///{tmp_path}/slices.db") as made:
        (found,) = looked_at(made, "slices")
        assert found.status == OK
    with sandbox(slices_url=f"sqlite:///{tmp_path}/no/such/folder/slices.db") as made:
        (found,) = looked_at(made, "slices")
        assert found.status == PROBLEM


def test_an_entry_that_has_failed_is_a_warning_with_its_reason(rocketjob, tmp_path):
    entry = DirmonEntry.create(
        name="sales",
        pattern=f"{tmp_path}/*.csv",
        job_class_name=CheckedFileJob.__name__,
        archive_directory=str(tmp_path / "archive"),
    )
    assert looked_at(rocketjob, "dirmon") == []
    entry.enable()
    entry.fail("the disk is full")
    (found,) = looked_at(rocketjob, "dirmon")
    assert found.status == WARNING
    assert "sales has failed, and gets no more files: the disk is full" in found.message


class CheckedFileJob(KeptJob):
    upload_file_name: str | None = None


def test_a_third_partys_check_is_made_after_the_kernels_own(rocketjob):
    def look(patient):
        yield Finding("disk", PROBLEM, "it is full", "remove what is old")

    @hookimpl
    def register_checks():
        return [Check("disk", look)]

    plugin = types.SimpleNamespace(register_checks=register_checks)
    rocketjob.plugins.register(plugin, "acme")
    areas = [each.area for each in examine(Patient(rocketjob.application, {}))]
    rocketjob.plugins.unregister(plugin)
    assert areas[-1] == "disk"
    assert areas.index("store") < areas.index("servers") < areas.index("disk")
