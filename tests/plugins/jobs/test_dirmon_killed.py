"""Files are dropped while several processes scan, and are killed where it hurts most."""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from rocketjob import Job
from rocketjob.testing import sandbox
from rocketjob_plugins.dirmon import DirmonEntry, DirmonJob
from rocketjob_plugins.dirmon.intake import DROPPED, DirmonFile
from rocketjob_plugins.files import UploadFileJob

FILES = int(os.environ.get("ROCKETJOB_DIRMON_FILES", "250"))
SCANNERS = 3
DEATHS = 8  # of a thousand steps
SCAN = """
import os, random, signal, sys
from datetime import timedelta
from rocketjob import Job, configure
from rocketjob.base import clock
from rocketjob.store.outbox import Outbox

class ScannedJob(Job):
    upload_file_name: str | None = None

url, number = sys.argv[1], int(sys.argv[2])
configure(url=url, log_level="fatal")
# The lease of whoever was killed is over, and those of all that live are too: worse than life.
clock.travel(timedelta(minutes=5 * number))
from rocketjob_plugins.dirmon import DirmonJob, local_folder, intake

dice = random.Random(number)

def deadly(function):
    def call(*args):
        for way in (1, 2):
            if dice.random() < DEATHS / 1000:
                os.kill(os.getpid(), signal.SIGKILL)
            if way == 1:
                found = function(*args)
        return found
    return call

local_folder.os.rename = deadly(os.rename)
intake.Intake._claim = deadly(intake.Intake._claim)
intake.Intake._start = deadly(intake.Intake._start)
for name in ("_insert", "_decide", "_show"):  # where the store has no transactions
    setattr(Outbox, name, deadly(getattr(Outbox, name)))
memory = {}
while True:
    job = DirmonJob(previous_file_names=memory)
    job.perform()
    memory = job.previous_file_names
""".replace("DEATHS", str(DEATHS))


class ScannedJob(Job):
    destroy_on_complete = False
    collect_output = True
    upload_file_name: str | None = None

    def perform(self):
        return Path(self.upload_file_name).read_text()


def start(url, number):
    command = [sys.executable, "-c", SCAN, url, str(number)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


@pytest.mark.both_stores
def test_each_file_is_started_exactly_once_while_scans_run_and_are_killed(
    tmp_path, other_store, monkeypatch
):
    url, incoming, staging = f"sqlite:///{tmp_path}/jobs.db", tmp_path / "in", tmp_path / "staging"
    if other_store:
        url = other_store
        monkeypatch.setattr(sys.modules[__name__], "FILES", FILES // 5)
    incoming.mkdir()
    staging.mkdir()
    with sandbox(url, log_level="fatal") as rocketjob:
        entry = DirmonEntry.create(pattern=f"{incoming}/*.csv", job_class_name="ScannedJob")
        entry.enable()
        kills, scans = run_until_taken(url, incoming, staging)
        assert entry.reload().is_enabled, entry.exception
        for _ in range(3):
            rocketjob.travel(timedelta(days=2))
            job = DirmonJob()
            job.perform()
            DirmonJob(previous_file_names=job.previous_file_names).perform()
            rocketjob.store.recover()
        assert UploadFileJob.count() == FILES
        assert DirmonFile.where({"by": {"$ne": DROPPED}}).count() == 0
        rocketjob.work_off()
        started = Counter(job.result["result"] for job in ScannedJob.completed())
        assert started == {str(number): 1 for number in range(FILES)}
        assert [path.name for path in incoming.iterdir()] == ["archive"]
        names = [path.name for path in (incoming / "archive").iterdir()]
        assert sorted(names) == sorted(
            f"{job.id}_{job.result['result']}.csv" for job in ScannedJob.all()
        )
    print(f"{FILES} files, {scans} scanners, {kills} of them killed")
    assert kills >= 3


def run_until_taken(url, incoming, staging):
    """Drop files while scanners run; start another for each that died; return how many died."""
    running = [start(url, number) for number in range(SCANNERS)]
    number, dropped, dice, kills = SCANNERS, 0, random.Random(7), 0
    deadline = time.monotonic() + 60 + FILES  # a disk that others use may be slow
    try:
        while dropped < FILES or any(incoming.glob("*.csv")):
            assert time.monotonic() < deadline, f"{dropped} dropped, {UploadFileJob.count()} taken"
            for _ in range(min(FILES - dropped, dice.randrange(20))):
                drop(incoming, staging, dropped)
                dropped += 1
            for index, process in enumerate(running):
                if process.poll() is not None:
                    said = process.stderr.read().decode()
                    process.stderr.close()
                    assert process.returncode == -9, said
                    running[index] = start(url, number)
                    number, kills = number + 1, kills + 1
            time.sleep(0.02)  # let the others have the processor
    finally:
        for process in running:
            process.kill()
            process.wait()
            process.stderr.close()
    return kills + len(running), number


def drop(incoming, staging, number):
    """Let a whole file appear: scans follow each other too closely here to see one grow."""
    path = staging / f"{number}.csv"
    path.write_text(str(number))
    path.rename(incoming / path.name)
