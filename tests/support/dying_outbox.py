"""Let a process die at every step of a job's end, with a plugin that stores a message with it.

    python dying_outbox.py DIRECTORY

For n = 1, 2, ... a forked process works the job and kills itself (SIGKILL) at its nth point: see
`dying`. The job has ended and has left its message, or neither; run again, it leaves one.
"""

import json
import shutil
import signal
import sys
from itertools import count

from dying import PLUGINS, check, in_a_process, opened, run, run_and_die, warming_up

from rocketjob import Job, hookimpl
from rocketjob.queue.reclaim import requeue_claims
from rocketjob.store import Insert


class DyingMessageJob(Job):
    def perform(self): ...


class Messages:
    @hookimpl
    def transition_writes(self, job, event):
        return [Insert("messages", {"job": job.id})] if event == "complete" else []


def main(directory):
    PLUGINS.register(Messages())
    check(in_a_process(create, f"sqlite:///{directory}/new.db") == 0, "cannot create", 0)
    shutil.copy(f"{directory}/new.db", f"{directory}/0.db")
    with warming_up():
        run(DyingMessageJob, f"sqlite:///{directory}/0.db")
        look(f"sqlite:///{directory}/0.db")
    for n in count(1):
        url = f"sqlite:///{directory}/{n}.db"
        shutil.copy(f"{directory}/new.db", f"{directory}/{n}.db")
        died = in_a_process(run_and_die, DyingMessageJob, url, n)
        check(in_a_process(look, url) == 0, "wrong after the death", n)
        if died == 0:
            print(json.dumps({"points": n - 1}))
            return
        check(died == -signal.SIGKILL, f"ended otherwise: {died}", n)


def create(url):
    with opened(url):
        DyingMessageJob.create()


def look(url):
    with opened(url) as rocketjob:
        messages = rocketjob.store.collection("messages")
        assert messages.count_documents({}) + DyingMessageJob.count() == 1
        requeue_claims(rocketjob.store, rocketjob.plugins, "test.1", crash_limit=3)
        rocketjob.work_off()
        assert messages.count_documents({}) == 1
        assert DyingMessageJob.count() == 0


if __name__ == "__main__":
    main(*sys.argv[1:])
