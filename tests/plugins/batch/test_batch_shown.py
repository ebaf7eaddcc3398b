"""What the command line says of batch jobs: rejects, missing input, categories, tracebacks."""

import json

import pytest
from click.testing import CliRunner

from rocketjob import Job
from rocketjob.cli import make_cli
from rocketjob.cli.output import Column, print_table
from rocketjob_plugins.batch import Batch


class ShownBatchJob(Batch, Job):
    destroy_on_complete = False
    max_rejects = 5

    def perform(self, record):
        return int(record)


class ShownFailingJob(Job):
    def perform(self):
        raise ValueError("no such thing")


@pytest.fixture
def cli(rocketjob):
    def run(*words):
        done = CliRunner().invoke(make_cli(), list(words), catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    return run


def test_rejected_records_are_told_of_wherever_a_job_is_shown(rocketjob, cli):
    job = ShownBatchJob(slice_size=2)
    job.upload(["1", "x", "3", "y"])
    job.save()
    rocketjob.work_off()
    assert job.reload().is_completed
    assert job.status()["reject_count"] == 2
    assert "2 rejected" in cli("jobs", "list")
    assert 'job.download_rejects("bad.csv")' in cli("jobs", "show", str(job.id))
    shown = json.loads(cli("jobs", "show", str(job.id), "--json"))
    assert shown["remarks"] == {"reject_count": 2}


def test_a_job_without_its_input_says_so_wherever_it_is_shown(rocketjob, cli):
    job = ShownBatchJob.create()
    rocketjob.work_off()
    said = "waits for its input: record_count is not set (upload to it)"
    assert job.reload().is_running
    assert said in cli("jobs", "list")
    assert said in cli("jobs", "show", str(job.id))
    assert said in cli("jobs", "explain", str(job.id))


def test_a_failed_job_says_what_its_slices_have_failed_of(rocketjob, cli):
    job = ShownBatchJob(slice_size=1, max_rejects=None)
    job.upload(["x", "2", "y"])
    job.save()
    rocketjob.work_off()
    assert job.reload().is_failed
    shown = cli("jobs", "show", str(job.id))
    assert "Why         2 slices failed: ValueError: invalid literal for int()" in shown


def test_categories_are_shown_in_words_and_idle_internals_not_at_all(rocketjob, cli):
    job = ShownBatchJob.create(slice_size=7)
    shown = cli("jobs", "show", str(job.id))
    assert "main: slices of 7, compress" in shown
    assert "upload_mark" not in shown


def test_a_stored_traceback_begins_with_the_job_s_own_code(rocketjob):
    job = ShownFailingJob.create()
    rocketjob.work_off()
    first = job.reload().exception.backtrace[0]
    assert "test_batch_shown.py" in first


def test_a_narrow_terminal_leaves_out_what_matters_least(monkeypatch, capsys):
    monkeypatch.setattr("rocketjob.cli.output.fits_terminal", lambda: True)
    monkeypatch.setattr("rocketjob.cli.output.terminal_width", lambda: 40)
    columns = [Column("ID", fixed=True), Column("PRI", spare=1), Column("DETAIL", least=20)]
    print_table(columns, [["1" * 18, "50", "a long text that is cut at the end"]])
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["ID", "DETAIL"]
    assert len(row) <= 40
    assert row.endswith("…")
