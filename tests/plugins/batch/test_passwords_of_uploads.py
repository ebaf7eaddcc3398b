"""The password of a URL to upload is shown nowhere, and kept for when it is read again."""

import pytest
from click.testing import CliRunner

from rocketjob import Job, before
from rocketjob.cli import make_cli
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.dirmon import DirmonEntry

URL = "ftp://me:secret@127.0.0.1:1/a.csv"


class FtpUploadJob(Batch, Job):
    destroy_on_complete = False

    @before("batch")
    def load(self):
        self.upload()

    def perform(self, record): ...


@pytest.fixture
def job(rocketjob):
    job = FtpUploadJob()
    job.upload_file_name = URL
    job.save()
    rocketjob.work_off()
    job.reload()
    assert job.is_failed
    return job


def command(*words):
    return CliRunner().invoke(make_cli(), words).output


def test_a_failed_upload_keeps_the_password_to_itself(rocketjob, job):
    shown = [job.status(), job.as_dict(), job.input_categories, job.exception, job.history]
    assert "me:***@127.0.0.1" in repr(shown[0])
    for each in (*shown, str(job.explain())):
        assert "secret" not in repr(each)
    stored = job.collection().find_one({})
    assert stored.pop("input_categories")[0]["file_name"] == URL
    assert "secret" not in repr(stored)


def test_a_retry_reads_the_url_again(rocketjob, job):
    job.retry()
    assert FtpUploadJob.first().upload_file_name == URL


@pytest.mark.parametrize(
    "words",
    [("show",), ("show", "--json"), ("show", "--reveal"), ("explain",), ("explain", "--json")],
)
def test_commands_do_not_show_it(rocketjob, job, words):
    said = command("jobs", words[0], str(job.id), *words[1:])
    assert str(job.id) in said
    assert "secret" not in said
    assert "secret" not in command("jobs", "list", "--json")


def test_neither_do_those_of_the_directory_monitor(rocketjob):
    pattern = "memory://me:secret@host/in/*.csv"
    entry = DirmonEntry.create(pattern=pattern, job_class_name="FtpUploadJob").enable()
    again = command("dirmon", "add", pattern, "FtpUploadJob")
    assert "is the pattern of another entry" in again
    for said in (again, command("dirmon", "list"), command("dirmon", "disable", str(entry.id))):
        assert "secret" not in said
    assert DirmonEntry.first().pattern == pattern
