"""What docs/security.md claims, tried with what a hostile hand would write into the store."""

import logging
import sys
from pathlib import Path

import click
import pytest
from bson import ObjectId

from rocketjob import Job, Subscriber, field
from rocketjob.base import clock
from rocketjob.base.log_format import ConsoleFormatter, JsonFormatter
from rocketjob.cli.errors import Failure, run
from rocketjob.cli.session import Session
from rocketjob.server import events
from rocketjob.testing import sandbox
from rocketjob_plugins.encryption import EncryptionError, keys

TOUCH = "import pathlib; pathlib.Path('run').touch()"
FILE_JOBS = "^(CopyFileJob|ConversionJob|UploadFileJob)$"


class SecuritySealedJob(Job):
    secret: str | None = field(default=None, encrypted=True)

    def perform(self): ...


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def stored(name, **values):
    """Write a queued job past all checks."""
    document = {"_id": ObjectId(), "_type": name, "state": "queued", "priority": 50, **values}
    Job.collection().insert_one({**document, "created_at": clock.now()})
    return document["_id"]


def was_run():
    return Path("run").exists()


def test_a_name_of_a_class_in_the_store_imports_nothing(rocketjob, tmp_path, monkeypatch):
    Path("hostile_module.py").write_text(f"{TOUCH}\nclass HostileJob: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    names = ("hostile_module.HostileJob", "hostile_module:HostileJob", "hostile_module")
    for name in (*names, "os.system", "Job", "Document", "Server", "../hostile_module", "", 5):
        stored(name)
    assert rocketjob.work_off() == 0
    assert "hostile_module" not in sys.modules
    assert not was_run()


@pytest.mark.parametrize("allowed", [True, False])
def test_code_in_a_job_is_run_only_where_the_settings_of_the_server_allow_it(allowed):
    with sandbox(allow_on_demand=allowed) as rocketjob:
        stored("OnDemandJob", code=TOUCH)
        rocketjob.work_off()
    assert was_run() is allowed


def test_code_does_not_come_in_by_the_job_that_uploads_a_file(rocketjob):
    Path("file.txt").write_text("a\n")
    code = {"code": TOUCH, "before_code": TOUCH}
    given = {"properties": code, "upload_file_name": "file.txt"}
    stored("UploadFileJob", job_class_name="OnDemandBatchJob", **given)
    rocketjob.work_off()
    assert Job.where({"_type": "OnDemandBatchJob"}).count() == 1
    assert not was_run()


@pytest.mark.parametrize("exclude", [None, FILE_JOBS])
def test_jobs_for_files_write_wherever_the_server_may_unless_they_are_excluded(exclude):
    Path("app.py").write_text("the app")
    Path("source.py").write_text("hostile")
    with sandbox(exclude=exclude) as rocketjob:
        stored("CopyFileJob", source_url="source.py", target_url="app.py")
        rocketjob.work_off()
    assert Path("app.py").read_text() == ("the app" if exclude else "hostile")


def test_the_page_excludes_all_jobs_for_files():
    from acceptance.test_docs import DOCS
    from rocketjob_plugins import files

    assert f'exclude = "{FILE_JOBS}"' in (DOCS / "security.md").read_text()
    assert {cls.__name__ for cls in files.register_jobs()} == set(FILE_JOBS[2:-2].split("|"))


def test_a_job_that_is_to_give_a_file_to_a_class_that_takes_none_says_so(rocketjob):
    Path("file.txt").write_text("a\n")
    id = stored("UploadFileJob", job_class_name="SecuritySealedJob", upload_file_name="file.txt")
    rocketjob.work_off()
    assert "SecuritySealedJob cannot be given a file" in Job.find(id).exception.message


def test_an_event_calls_no_method_that_is_private_or_of_every_subscriber(rocketjob):
    called = []

    class HostileSubscriber(Subscriber):
        def flush(self, **given):
            called.append("flush")

        def _private(self, **given):
            called.append("private")

    subscription = HostileSubscriber.subscribe()
    try:
        for action in ("_private", "__init__", "subscribe", "process_action", "__class__", "flush"):
            events.dispatch("HostileSubscriber", action, {"x": 1})
    finally:
        subscription.unsubscribe()
    assert called == ["flush"]


def test_an_encrypted_value_cannot_be_changed_but_another_one_can_take_its_place():
    with sandbox(encryption_keys=[keys.new_key("k")]):
        job, other = SecuritySealedJob.create(secret="one"), SecuritySealedJob.create(secret="two")
        collection = SecuritySealedJob.collection()
        value = bytearray(collection.find_one({"_id": job.id})["secret"])
        value[-1] ^= 1
        collection.update_one({"_id": job.id}, {"$set": {"secret": bytes(value)}})
        with pytest.raises(EncryptionError, match="is damaged"):
            _ = SecuritySealedJob.find(job.id).secret
        theirs = collection.find_one({"_id": other.id})["secret"]
        for placed, read in ((theirs, "two"), ("plain", "plain")):
            collection.update_one({"_id": job.id}, {"$set": {"secret": placed}})
            assert SecuritySealedJob.find(job.id).secret == read


HOSTILE = "got\x1b]0;title\x07\x9b2J\r\n2026-01-31 08:30:00.000 info  all is well"


def record_of(message):
    return logging.LogRecord("app", logging.INFO, "app.py", 1, message, (), None)


def test_a_line_of_the_log_neither_controls_a_terminal_nor_looks_like_another_line():
    text = ConsoleFormatter().format(record_of(HOSTILE))
    first, second = text.split("\n")
    assert first.endswith(r"app: got\x1b]0;title\x07\x9b2J\r")
    assert second == "    2026-01-31 08:30:00.000 info  all is well"
    assert "\n" not in JsonFormatter().format(record_of(HOSTILE))


def test_a_traceback_does_not_control_a_terminal():
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        record = logging.LogRecord("app", logging.ERROR, "app.py", 1, "failed", (), sys.exc_info())
    text = ConsoleFormatter().format(record)
    assert 'test_security.py", line' in text
    assert not set(text) & {"\x1b", "\x07", "\x9b", "\r"}


def test_an_error_of_a_command_does_not_control_a_terminal(capsys):
    def fail():
        raise Failure(HOSTILE)

    assert run(fail, Session()) == 1
    said = click.unstyle(capsys.readouterr().err)
    assert said.startswith(r"error: got\x1b]0;title\x07")
    assert "\x1b" not in said
