"""The hook `dirmon_file`: a plugin refuses, defers or changes what becomes of a found file."""

import logging

import pytest

from rocketjob import Job, field, hookimpl
from rocketjob.base.log import FIELDS
from rocketjob_plugins.dirmon import Defer, DirmonEntry, DirmonJob, Refuse, Take
from rocketjob_plugins.files import UploadFileJob


class AskedFileJob(Job):
    destroy_on_complete = False
    upload_file_name: str | None = None
    account_id: int = field(default=0, user_editable=True)
    region: str = field(default="none", user_editable=True)
    pin: str | None = field(default=None, user_editable=True, encrypted=True)

    def perform(self): ...


class AskedOtherFileJob(Job):
    destroy_on_complete = False
    full_file_name: str | None = None

    def perform(self): ...


class Asking:
    def __init__(self, answer):
        self.answer, self.asked = answer, []

    @hookimpl
    def dirmon_file(self, entry, file):
        self.asked.append((entry.name, file.name))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def asking(rocketjob, tmp_path):
    """Return a function that drops a file and registers a plugin with an answer."""

    def make(answer):
        (tmp_path / "a.csv").write_text("data")
        properties = {"account_id": 1, "region": "north"}
        entry = DirmonEntry.create(
            name="all",
            pattern=f"{tmp_path}/*.csv",
            job_class_name="AskedFileJob",
            properties=properties,
        )
        entry.enable()
        plugin = Asking(answer)
        rocketjob.plugins.register(plugin, "asking")
        return plugin

    return make


def said(caplog):
    """Return why files were passed over, as the log has it."""
    fields = [getattr(record, FIELDS, {}) for record in caplog.records]
    return [str(each["reason"]) for each in fields if "reason" in each]


def scan(before=None):
    job = DirmonJob(previous_file_names=before.previous_file_names if before else {})
    job.perform_now()
    return job


def test_a_plugin_that_says_nothing_lets_the_entry_decide(rocketjob, asking):
    plugin = asking(None)
    scan(scan())
    rocketjob.work_off()
    (job,) = AskedFileJob.all()
    assert (job.account_id, job.region) == (1, "north")
    assert plugin.asked == [("all", "a.csv")]


def test_a_deferred_file_stays_and_is_asked_about_again_and_logged_once(asking, tmp_path, caplog):
    plugin = asking(Defer("the month is not closed"))
    before = scan(scan())
    before = scan(before)
    assert len(plugin.asked) == 2
    assert said(caplog) == ["the month is not closed"]
    assert (tmp_path / "a.csv").exists()
    plugin.answer = None
    scan(before)
    assert UploadFileJob.count() == 1


def test_a_refused_file_stays_and_is_asked_about_again_when_it_has_changed(asking, tmp_path):
    plugin = asking(Refuse("has no signature"))
    before = scan(scan())
    for _ in range(3):
        before = scan(before)
    assert len(plugin.asked) == 1
    assert (tmp_path / "a.csv").exists()
    (tmp_path / "a.csv").write_text("signed data")
    scan(scan(before))
    assert len(plugin.asked) == 2
    assert UploadFileJob.count() == 0


def test_a_plugin_chooses_another_job_and_other_fields(rocketjob, asking):
    plugin = asking(Take(properties={"region": "south", "pin": "4711"}))
    with_key = rocketjob.application.config
    with_key.encryption_keys = ["old:" + "A" * 43 + "="]
    scan(scan())
    (upload,) = UploadFileJob.all()
    assert "4711" not in str(upload.collection().find_one({}))
    rocketjob.work_off()
    (job,) = AskedFileJob.all()
    assert (job.account_id, job.region, job.pin) == (1, "south", "4711")
    assert DirmonEntry.first().properties == {"account_id": 1, "region": "north"}
    assert len(plugin.asked) == 1


def test_a_job_that_the_file_does_not_fit_defers_it_and_the_entry_goes_on(asking, tmp_path, caplog):
    asking(Take(job_class_name="AskedOtherFileJob"))
    before = scan(scan())
    assert "wants it for a job that it does not fit: properties: " in said(caplog)[0]
    assert (tmp_path / "a.csv").exists()
    assert DirmonEntry.first().is_enabled
    scan(before)
    assert UploadFileJob.count() == 0


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (KeyError("boom"), "The plugin asking failed in dirmon_file: KeyError: 'boom'"),
        ("nonsense", "returned 'nonsense', expected Refuse, Defer or Take"),
    ],
)
def test_a_plugin_that_fails_defers_the_file_and_is_named(asking, tmp_path, caplog, answer, reason):
    caplog.set_level(logging.WARNING)
    plugin = asking(answer)
    before = scan(scan())
    assert reason in said(caplog)[0]
    assert (tmp_path / "a.csv").exists()
    assert DirmonEntry.first().is_enabled
    plugin.answer = None
    scan(before)
    assert UploadFileJob.count() == 1
