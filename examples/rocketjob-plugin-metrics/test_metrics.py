import threading

import pytest
import rocketjob_plugin_metrics as plugin

from rocketjob import Job
from rocketjob.testing import sandbox
from rocketjob_plugins.batch import Batch


class FineJob(Job):
    def perform(self): ...


class BadJob(Job):
    def perform(self):
        raise OSError("closed")


class LinesJob(Batch, Job):
    slice_size = 2
    max_rejects = 5

    def perform(self, line):
        if line == "bad":
            raise ValueError("a bad line")


@pytest.fixture
def rocketjob(tmp_path):
    with sandbox(plugins=[plugin, "batch"], metrics_files={"directory": str(tmp_path)}) as made:
        plugin.counts.clear()
        yield made
        plugin.process_stopping()


def told():
    return [line for line in plugin.counts.lines() if "seconds" not in line and line[0] != "#"]


def test_what_a_process_does_is_counted(rocketjob):
    FineJob.create_many([{}, {}])
    BadJob.create()
    rocketjob.work_off()
    assert told() == [
        'rocketjob_events_total{job="BadJob",event="fail"} 1',
        'rocketjob_events_total{job="BadJob",event="start"} 1',
        'rocketjob_events_total{job="FineJob",event="complete"} 2',
        'rocketjob_events_total{job="FineJob",event="start"} 2',
        'rocketjob_performed_total{job="BadJob",outcome="failed"} 1',
        'rocketjob_performed_total{job="FineJob",outcome="performed"} 2',
        'rocketjob_removed_total{job="FineJob",why="completed"} 2',
    ]
    assert BadJob.failed().count() == 1


def test_slices_and_records_are_counted(rocketjob):
    job = LinesJob()
    job.upload(["a", "bad", "c"])
    job.save()
    rocketjob.work_off()
    assert 'rocketjob_slices_total{job="LinesJob",state="done"} 2' in told()
    assert 'rocketjob_records_total{job="LinesJob"} 3' in told()
    assert 'rocketjob_rejects_total{job="LinesJob"} 1' in told()


def test_each_process_writes_a_file_of_its_own_when_it_ends_at_the_latest(rocketjob, tmp_path):
    plugin.process_started("worker", "web-1:2")
    plugin.process_started("supervisor", "web-1")
    FineJob.create()
    rocketjob.work_off()
    plugin.process_stopping()
    (file,) = tmp_path.iterdir()
    assert file.name == "rocketjob-web-1-2.prom"
    assert 'rocketjob_performed_total{job="FineJob",outcome="performed"} 1' in file.read_text()
    assert "metrics-files" not in [thread.name for thread in threading.enumerate()]


def test_a_directory_that_is_gone_stops_nothing(rocketjob, tmp_path):
    plugin.process_started("worker", "web-1:2")
    tmp_path.rmdir()
    plugin.process_stopping()


def test_labels_are_escaped():
    assert plugin.line("x", 1, {"job": 'a"b\\c\nd'}) == 'x{job="a\\"b\\\\c\\nd"} 1'


def test_nothing_is_written_without_a_directory():
    with sandbox(plugins=[plugin]):
        plugin.process_started("worker", "web-1:2")
        assert plugin.writers == []
