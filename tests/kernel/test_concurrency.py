"""Eight processes change the same jobs at once: every final state is explained by its history.

Bounded by operations, so that it takes seconds. ROCKETJOB_TEST_SECONDS=10 runs it for ten seconds
of wall time instead.
"""

import collections
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rocketjob.testing import sandbox
from support.contention import TARGETS, ContendedJob

PROCESSES = 8
JOBS = 200
OPERATIONS = 250  # by each process
SECONDS = float(os.environ.get("ROCKETJOB_TEST_SECONDS", 0))


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('contention')}/jobs.db"
    with sandbox(url) as made:
        ContendedJob.create_many([{} for _ in range(JOBS)])
        made.application.close()
        said = [json.loads(text) for text in _run(url)]
        documents = list(made.store.collection("rocket_job.jobs").find({}))
        yield said, documents


def _run(url):
    """Run the processes and return what each has done, as it printed it."""
    tests = str(Path(__file__).parents[1])
    command = [sys.executable, "-W", "error", "-m", "support.contention"]
    environment = {**os.environ, "PYTHONPATH": tests}
    started = [
        subprocess.Popen(
            [*command, url, str(number), str(OPERATIONS), str(SECONDS)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for number in range(PROCESSES)
    ]
    results = [process.communicate(timeout=120 + 2 * SECONDS) for process in started]
    for process, (_, errors) in zip(started, results, strict=True):
        assert process.returncode == 0, errors
    return [out for out, _ in results]


def test_there_was_contention(outcome):
    said, _ = outcome
    conflicts = sum(each["conflicts"] for each in said)
    changes = sum(len(each["changes"]) for each in said)
    assert conflicts > 0
    assert changes > PROCESSES * 20


def test_no_job_is_lost_and_none_is_there_twice(outcome):
    _, documents = outcome
    assert len({document["_id"] for document in documents}) == len(documents) == JOBS


def test_every_final_state_is_that_of_the_last_entry_of_its_history(outcome):
    _, documents = outcome
    for document in documents:
        entries = document.get("history", [])
        assert document["state"] == (entries[-1]["state"] if entries else "queued")


def test_every_history_is_a_way_that_the_events_allow(outcome):
    _, documents = outcome
    for document in documents:
        entries = document.get("history", [])
        state = "queued" if len(entries) < 20 else None
        for entry in entries:
            sources, target = TARGETS[entry["event"]]
            assert entry["state"] == target
            assert state is None or state in sources, (document["_id"], entries)
            state = target


def test_every_change_that_a_process_was_told_of_is_in_the_history_and_no_other(outcome):
    said, documents = outcome
    told = collections.defaultdict(list)
    for each in said:
        for job, event in each["changes"]:
            told[job].append(event)
    for document in documents:
        events = [entry["event"] for entry in document.get("history", [])]
        made = told[str(document["_id"])]
        assert len(events) == min(len(made), 20)
        if len(made) < 20:
            assert sorted(events) == sorted(made)


def test_no_update_is_lost(outcome):
    """Each process adds to a field of its own, on objects that it loaded long before."""
    said, documents = outcome
    for number, each in enumerate(said):
        saved = {str(document["_id"]): document.get(f"field_{number}", 0) for document in documents}
        assert saved == {**dict.fromkeys(saved, 0), **each["saves"]}


def test_failures_are_counted_as_often_as_they_were_made(outcome):
    said, documents = outcome
    failed = collections.Counter()
    for each in said:
        failed.update(job for job, event in each["changes"] if event == "fail")
    for document in documents:
        assert document["failure_count"] == failed[str(document["_id"])]
