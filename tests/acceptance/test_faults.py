"""Whatever fails, no job is lost, doubled, stuck, over its limit or in a wrong state.

How to run it for longer, and to repeat a failure, is said in `support.faults`.
"""

import contextlib
import copy
import os
import random

import pytest
from bson import ObjectId

from rocketjob import Job
from rocketjob.testing import sandbox
from rocketjob_plugins import metrics
from rocketjob_plugins.dirmon.intake import DROPPED
from support import faults, invariants
from support.fault_jobs import (
    BAD,
    FaultsBatchJob,
    FaultsCronJob,
    FaultsPlainJob,
    FaultsResumableJob,
    FaultsRetriedJob,
    FaultsSingletonJob,
    FaultsThrottledJob,
    FaultsTimeoutJob,
)
from support.mongo import VARIABLE
from support.runtime import FlakyStore, eventually, running_pool, servers

WAYS = {  # of a MongoDB server to store what belongs together
    "mongodb": "rocketjobTransactions=false&rocketjobWakeUp=tailable",
    "transactions": "rocketjobTransactions=true&rocketjobWakeUp=changeStreams",
}


@pytest.fixture(params=["embedded", *WAYS])
def place(request, tmp_path):
    dice = random.Random(faults.SEED)
    if request.param == "embedded":
        made = faults.Embedded(tmp_path, dice)
    elif request.param == "transactions" and not os.environ.get(VARIABLE):
        pytest.skip(
            "now and then SecantusDB tries an update for ever that conflicts with a killed "
            f"client's transaction: {VARIABLE} names a server for this"
        )
    else:
        url = request.getfixturevalue("mongo_url")
        made = faults.Mongo(f"{url}?{WAYS[request.param]}", dice)
    yield made
    made.close()


def test_no_fault_breaks_a_promise(tmp_path, place):
    print(f"\nROCKETJOB_FAULTS_SEED={faults.SEED} ROCKETJOB_FAULTS_SECONDS={faults.SECONDS:g}")
    with sandbox(place.url) as made, servers(tmp_path, faults.app()) as start:
        picture, trace = faults.run(tmp_path, place, start, made.store, faults.SEED, faults.SECONDS)
    found = invariants.problems(picture)
    print(*trace, f"{len(picture.jobs)} jobs, {len(found)} problems", sep="\n")
    assert not found, "\n".join(found)


# --- the checker can fail -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    """A picture of each kind of job, performed by a pool here."""
    folder = tmp_path_factory.mktemp("healthy")
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        patch.chdir(folder)
        made = stack.enter_context(sandbox(f"sqlite:///{folder}/jobs.db"))
        return performed_here(made, folder)


def performed_here(made, folder, store=None):
    stored, inputs = {}, {}
    for cls in (FaultsPlainJob, FaultsRetriedJob, FaultsTimeoutJob, FaultsResumableJob):
        stored |= {cls.create().id: cls.__name__ for _ in range(2)}
    for cls in (FaultsThrottledJob, FaultsSingletonJob):
        stored[cls.create().id] = cls.__name__
    FaultsCronJob.create().run_now()
    batch = FaultsBatchJob()
    records = [f"record {number}" for number in range(12)] + [BAD]
    batch.upload(records)
    stored[batch.save().id], inputs[str(batch.id)] = "FaultsBatchJob", records
    waiting = Job.where(state={"$in": ["queued", "running"]}, _type={"$ne": "FaultsCronJob"})
    with running_pool(made, threads=2, store=store):
        eventually(lambda: not waiting.exists())
        eventually(lambda: FaultsCronJob.where(state="completed").exists())
    metrics.read()  # which writes what was counted here
    documents = Job.collection().find({})
    orderly = {each.get("worker") for job in documents for each in invariants.events(job)}
    return invariants.take(made.store, folder, stored, inputs, orderly, [])


def test_nothing_is_wrong_with_what_was_performed_well(healthy):
    assert invariants.problems(healthy) == []


def test_what_servers_and_scans_have_left_is_found_but_not_the_mark_of_a_scan_that_was_slow():
    with sandbox() as made:
        files = made.store.collection("rocket_job.dirmon_files")
        files.insert_one({"_id": ObjectId(), "key": "1", "by": DROPPED, "until": None})
        assert list(invariants.left_over(made.store, [])) == []
        files.insert_one({"_id": ObjectId(), "key": "2", "by": "a scan", "until": None})
        made.store.collection("rocket_job.servers").insert_one({"_id": ObjectId(), "name": "gone"})
        server, claim = invariants.left_over(made.store, [])
    assert "a server that has ended: " in server and "'gone'" in server
    assert "a file that was claimed and is no job: " in claim and "'a scan'" in claim


def one(picture, name):
    return next(job for job in picture.jobs if job["_type"] == name)


def loses_a_job(picture):
    picture.jobs.remove(one(picture, "FaultsPlainJob"))


def completes_a_job_twice(picture):
    one(picture, "FaultsPlainJob")["history"] *= 2


def leaves_a_job_running(picture):
    job = one(picture, "FaultsPlainJob")
    job["state"], job["claimed_by"] = "running", "somebody"


def goes_on_after_the_end(picture):
    job = one(picture, "FaultsPlainJob")
    job["history"].append({"event": "start", "state": "running"})


def fails_a_job(picture):
    job = one(picture, "FaultsResumableJob")
    job["state"] = job["history"][-1]["state"] = "failed"


def ends_under_an_old_claim(picture):
    one(picture, "FaultsPlainJob")["claim_number"] += 1


def completes_what_had_no_time(picture):
    job = one(picture, "FaultsTimeoutJob")
    job["state"] = job["history"][-1]["state"] = "completed"


def performs_a_claim_twice(picture):
    picture.performed.append(picture.performed[0])


def leaves_out_a_row(picture):
    picture.performed = [words for words in picture.performed if words[::2] != ["row", "7"]]


def retries_too_often(picture):
    one(picture, "FaultsRetriedJob")["fails"] = 0


def leaves_out_the_successor(picture):
    picture.jobs = [job for job in picture.jobs if job.get("number") != 1]


def makes_two_successors(picture):
    last = next(job for job in picture.jobs if job.get("number") == 1)
    picture.jobs.append({**last, "_id": "another"})


def swaps_two_records(picture):
    (output,) = (output for _, output, _ in picture.outputs.values())
    output[0], output[1] = output[1], output[0]


def doubles_a_record(picture):
    (output,) = (output for _, output, _ in picture.outputs.values())
    output.append(output[-1])


def loses_a_reject(picture):
    ((id, (source, output, _)),) = picture.outputs.items()
    picture.outputs[id] = source, output, 0


def loses_a_file(picture):
    picture.inputs["file-1.txt"] = ["a"]


def counts_too_much(picture):
    picture.counted["FaultsPlainJob", "completed"] += 1


def counts_too_little(picture):
    picture.counted["FaultsPlainJob", "completed"] -= 1


def leaves_half_a_unit(picture):
    picture.left_over.append("a half-done unit")


@pytest.mark.parametrize(
    ("mutate", "found"),
    [
        (loses_a_job, "lost: FaultsPlainJob"),
        (completes_a_job_twice, "doubled: FaultsPlainJob"),
        (leaves_a_job_running, "stuck: FaultsPlainJob"),
        (goes_on_after_the_end, "went from completed to running"),
        (fails_a_job, "wrong: FaultsResumableJob"),
        (ends_under_an_old_claim, "not ended by its last claim"),
        (completes_what_had_no_time, "wrong: FaultsTimeoutJob"),
        (performs_a_claim_twice, "doubled: performed 2 times"),
        (leaves_out_a_row, "lost: rows [7]"),
        (retries_too_often, "retries: FaultsRetriedJob"),
        (leaves_out_the_successor, "does not go on"),
        (makes_two_successors, "series: FaultsCronJob has the instances [0, 1, 1]"),
        (swaps_two_records, "has other order"),
        (doubles_a_record, "has other records"),
        (loses_a_reject, "has 0 rejects, not 1"),
        (loses_a_file, "lost: of the file file-1.txt"),
        (counts_too_much, "metrics: FaultsPlainJob completed: 3 counted"),
        (counts_too_little, "metrics: FaultsPlainJob completed: 1 counted"),
        (leaves_half_a_unit, "a half-done unit"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_checker_finds_what_is_wrong(healthy, mutate, found):
    picture = copy.deepcopy(healthy)
    mutate(picture)
    assert any(found in problem for problem in invariants.problems(picture))


class HandsOutTwice(FlakyStore):
    """A store that gives each claim to the next one who asks as well."""

    last = ()

    def claim_many(self, *args, **kwargs):
        claimed = self._store.claim_many(*args, **kwargs)
        again, self.last = self.last, copy.deepcopy(claimed)
        return [*claimed, *again]


def test_the_checker_finds_a_store_that_hands_out_a_claim_twice(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with sandbox(f"sqlite:///{tmp_path}/jobs.db") as made:
        picture = performed_here(made, tmp_path, HandsOutTwice(made.store))
    assert any("doubled: performed 2 times" in each for each in invariants.problems(picture))


@pytest.mark.parametrize(("claims", "noticed"), [(2, False), (3, True)])
def test_the_watcher_notices_more_than_may_run_at_once(rocketjob, claims, noticed):
    ids = [FaultsThrottledJob.create().id for _ in range(claims)]
    rocketjob.queue.claim(2)
    with invariants.Watcher(rocketjob.store, 0.001) as watcher:
        eventually(lambda: watcher.looks > 2)
        set_running = {"$set": {"state": "running", "claim_number": 1}}
        Job.collection().update_many({"_id": {"$in": ids}}, set_running)
        looks = watcher.looks
        eventually(lambda: watcher.looks > looks + 3)
    assert bool(watcher.noticed) == noticed
