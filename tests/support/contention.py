"""One of several processes that change the same jobs at once; see kernel/test_concurrency.py."""

import json
import random
import sys
import time

from rocketjob import InvalidTransition, Job, StateConflict
from rocketjob.testing import sandbox

TARGETS = {
    "start": (("queued",), "running"),
    "complete": (("running",), "completed"),
    "fail": (("queued", "running", "paused"), "failed"),
    "retry": (("failed",), "queued"),
    "pause": (("queued",), "paused"),
    "resume": (("paused",), "queued"),
    "requeue": (("running",), "queued"),
}
EVENTS = tuple(event for event in TARGETS if event != "complete")


class ContendedJob(Job):
    """Has a field for each process."""

    destroy_on_complete = False
    field_0: int = 0
    field_1: int = 0
    field_2: int = 0
    field_3: int = 0
    field_4: int = 0
    field_5: int = 0
    field_6: int = 0
    field_7: int = 0

    def perform(self): ...


def main(url, number, operations, seconds):
    """Change jobs at random and print what was done."""
    rng = random.Random(number)
    done = {"changes": [], "saves": {}, "conflicts": 0}
    until = time.monotonic() + seconds
    with sandbox(url):
        jobs = list(ContendedJob.all())
        count = 0
        while count < operations or time.monotonic() < until:
            count += 1
            _change(rng, rng.choice(jobs), number, done)
    print(json.dumps(done))


def _change(rng, job, number, done):
    if rng.random() < 0.2:
        name = f"field_{number}"
        setattr(job, name, getattr(job, name) + 1)
        job.save()
        done["saves"][str(job.id)] = getattr(job, name)
        return
    event = rng.choice(EVENTS)
    before_it = (job.state, job.history, job.failure_count)
    try:
        getattr(job, event)()
        done["changes"].append((str(job.id), event))
    except InvalidTransition:
        assert (job.state, job.history, job.failure_count) == before_it
        job.reload()
    except StateConflict:
        assert (job.state, job.history, job.failure_count) == before_it
        done["conflicts"] += 1
        job.reload()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
