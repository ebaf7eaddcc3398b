"""Stores that earlier versions have left: everything in them loads and runs.

`tests/data/make_store.py` says what they hold.
"""

import shutil
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest

from data.make_store import (
    GONE,
    LINES,
    MADE_AT,
    Address,
    EarlierImportJob,
    EarlierLinesJob,
    EarlierNightlyJob,
    EarlierOrderJob,
)
from rocketjob.queue.reclaim import requeue_claims
from rocketjob.server.server import Server
from rocketjob.testing import sandbox
from rocketjob_plugins.dirmon import DirmonEntry

STORES = sorted((Path(__file__).parent.parent / "data").glob("store-*.db"))


@pytest.fixture(params=STORES, ids=lambda path: path.stem)
def earlier(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(request.param, tmp_path / "rocketjob.db")
    with sandbox(f"sqlite:///{tmp_path}/rocketjob.db") as made:
        made.freeze(MADE_AT + timedelta(minutes=1))
        yield made


def order(text):
    (found,) = EarlierOrderJob.where(text=text)
    return found


def events_of(job):
    return [entry.event for entry in job.history]


def recover(made):
    return requeue_claims(made.store, made.plugins, GONE, crash_limit=3)


def test_there_is_a_store_of_an_earlier_version():
    assert STORES


def test_its_jobs_are_as_they_were(earlier):
    assert EarlierOrderJob.counts_by_state() == {
        "queued": 4,
        "running": 1,
        "completed": 1,
        "failed": 1,
        "paused": 1,
        "aborted": 1,
        "queued_now": 3,
        "scheduled": 1,
    }
    nested = order("nested")
    assert nested.homes == [Address("Main Street", [1, 2]), Address("Back Lane", [4])]
    assert nested.limits == {"eu": Address("Rue", [8])}
    assert nested.due == MADE_AT + timedelta(days=1)
    assert order("completed").result == {"floors": 0}
    assert order("running").claimed_by == GONE
    assert all(not job.changed() and job.is_valid() for job in EarlierOrderJob.all())


def test_an_exception_and_the_history_are_still_told(earlier):
    failed = order("failed")
    assert failed.exception.class_name == "ValueError"
    assert failed.exception.message == "failed cannot be delivered"
    assert "make_store.py" in failed.exception.backtrace[0]
    assert events_of(failed) == ["start", "fail"]
    assert failed.history[-1].claim_number == 1
    assert failed.failure_count == 1


def test_its_jobs_run(earlier):
    assert recover(earlier) == {"requeued": 2, "failed": 0}
    order("paused").resume()
    order("failed").retry()
    earlier.travel(timedelta(hours=2))
    EarlierLinesJob.destroy_all()
    DirmonEntry.destroy_all()
    earlier.work_off()
    assert EarlierOrderJob.counts_by_state() == {"completed": 8, "aborted": 1}
    assert order("nested").result == {"floors": 7}
    assert order("queued").result == {"floors": 3}
    assert events_of(order("running")) == ["start", "requeue", "start", "complete"]
    assert events_of(order("failed")) == ["start", "fail", "retry", "start", "complete"]


def test_a_batch_job_goes_on_where_it_was(earlier):
    (job,) = EarlierLinesJob.all()
    assert job.sub_state == "processing"
    assert job.statistics == {"lines": 10}
    assert job.input.counts_by_state() == {"queued": 2, "running": 1}
    recover(earlier)
    earlier.work_off()
    job.reload()
    assert job.is_completed
    assert job.statistics == {"lines": len(LINES)}
    written = BytesIO()
    job.download(written)
    assert written.getvalue().decode().split("\n")[:-1] == [line.upper() for line in LINES]


def test_a_cron_job_runs_when_it_is_due_and_leaves_the_next(earlier, monkeypatch):
    monkeypatch.setattr(EarlierNightlyJob, "ran", [])
    (job,) = EarlierNightlyJob.all()
    due = (MADE_AT + timedelta(days=1)).replace(hour=3)
    assert job.run_at == due
    earlier.travel(due + timedelta(minutes=1))
    earlier.work_off()
    assert EarlierNightlyJob.ran == [due]
    (later,) = EarlierNightlyJob.all()
    assert later.run_at == due + timedelta(days=1)


def test_a_directory_entry_still_finds_its_files_and_makes_their_jobs(earlier, tmp_path):
    (entry,) = DirmonEntry.enabled()
    (other,) = DirmonEntry.pending()
    assert other.may("enable")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("1\n2\n3\n")
    (found,) = entry.files()
    entry.later(found.path)
    earlier.work_off()
    (job,) = EarlierImportJob.all()
    assert job.is_completed
    assert job.record_count == 3
    entry.disable()
    assert entry.is_disabled


def test_a_server_is_still_known_by_its_state(earlier):
    (server,) = Server.paused()
    assert server.resume().state == "running"
