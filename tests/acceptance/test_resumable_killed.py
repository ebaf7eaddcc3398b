"""Resumable jobs on real servers: a worker that is killed, and a server that is stopped."""

import signal
from collections import Counter
from pathlib import Path

from rocketjob import Job
from rocketjob.testing import sandbox
from support.servers import eventually, server

APP = """
import os, signal
from pathlib import Path

from rocketjob import Job
from rocketjob_plugins.resumable import Resumable


class NightlyRowsJob(Resumable, Job):
    destroy_on_complete = False

    def perform(self):
        done = Path("done").open("a", buffering=1)
        for row in self.resumable(range(3000), every=100):
            self.progress(row, 3000, "copying")
            done.write(f"{row}\\n")
            if row == 1234 and self.claim_number == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            if row == 2050 and not Path("stopped").exists():
                Path("stopped").write_text(str(os.getpid()))
                os.kill(os.getppid(), signal.SIGTERM)
                while not self._worker.stopping.wait(1):
                    pass
"""


def test_killed_and_stopped_no_row_is_left_out_and_few_are_done_again(tmp_path):
    Path(tmp_path, "nightly.py").write_text(APP)
    url = f"sqlite:///{tmp_path}/jobs.db"
    settings = {"ROCKETJOB_URL": url, "ROCKETJOB_APP": "nightly", "PYTHONPATH": str(tmp_path)}
    with sandbox(url) as made:
        made.store.collection(Job.collection_name).insert_one(
            {"_type": "NightlyRowsJob", "state": "queued", "priority": 50}
        )
    with server(tmp_path, env=settings) as first:
        assert first.ends() == 0, first.said
    with server(tmp_path, env=settings) as second, sandbox(url) as made:
        jobs = made.store.collection(Job.collection_name)
        found = eventually(lambda: jobs.find_one({"state": "completed"}))
        second.send(signal.SIGTERM).ends()
    times = Counter(map(int, Path(tmp_path, "done").read_text().split()))
    assert sorted(times) == list(range(3000))
    again = [row for row, number in times.items() if number > 1]
    assert again == list(range(1200, 1235))  # of the kill; at the stop a checkpoint was made
    assert [entry["event"] for entry in found["history"]] == [
        *("start", "requeue", "start", "requeue", "start", "complete")
    ]
