"""The outbox: what version 0.1 noted is finished, and where notes may be is known."""

from datetime import UTC, datetime, timedelta

import pytest
from bson import ObjectId

from rocketjob import Job
from rocketjob.base import clock
from rocketjob.queue.reclaim import requeue_claims
from rocketjob.server.recovery import Recovery
from rocketjob.store import Insert, Unit, Write, notes, outbox
from rocketjob_plugins.batch import Batch, Statistics
from rocketjob_plugins.batch.outcome import rejects
from rocketjob_plugins.batch.work.begin import begin

JOBS = "rocket_job.jobs"


class OldNoteJob(Job):
    def perform(self): ...


class OldLinesJob(Statistics, Batch, Job):
    slice_size = 3
    collect_output = True
    max_rejects = 5
    destroy_on_complete = False

    def perform(self, record):
        self.statistics_inc("seen")
        return record.upper()


def note_of_first_version(successor, **more):
    """Return what version 0.1 stored in a job that ended."""
    stored = OldNoteJob(id=successor, run_at=clock.now() + timedelta(hours=1)).to_document()
    documents = [{"collection": JOBS, "document": stored}]
    return {"at": clock.now(), "remove": True, "undo": None, "documents": documents, **more}


@pytest.fixture
def ended(without):
    """The id of a job that has ended, and of its successor."""
    job = OldNoteJob.create()
    Job.collection().update_one({"_id": job.id}, {"$set": {"state": "completed"}})
    return job.id, ObjectId()


def test_what_version_0_1_noted_in_a_job_is_finished(without, ended):
    job, successor = ended
    note = note_of_first_version(successor)
    Job.collection().update_one({"_id": job}, {"$set": {notes.FIELD: note}})
    without.travel(timedelta(seconds=61))
    Recovery(without.application, "other").sweep(set())
    (found,) = OldNoteJob.all()
    assert found.id == successor
    assert found.run_at == note["documents"][0]["document"]["run_at"]
    assert notes.HELD not in Job.collection().find_one({"_id": successor})


def test_what_version_0_1_had_decided_holds(without, ended):
    job, successor = ended
    token = ObjectId()
    note = note_of_first_version(successor, counts=[token], remove=False)
    held = {"in": JOBS, "of": job, "token": token, "at": note["at"]}
    hidden = {**note["documents"][0]["document"], "_held": held, "run_at": datetime(9999, 1, 1)}
    Job.collection().insert_one({**hidden, "run_at": datetime(9999, 1, 1, tzinfo=UTC)})
    Job.collection().update_one({"_id": job}, {"$set": {"_successors": note}})
    without.travel(timedelta(seconds=61))
    assert without.store.recover() == 1
    stored = Job.collection().find_one({"_id": successor})
    assert stored["run_at"] == note["documents"][0]["document"]["run_at"]
    assert "_held" not in stored
    assert "_successors" not in Job.collection().find_one({"_id": job})


@pytest.mark.parametrize("was_counted", [False, True])
def test_an_outcome_that_version_0_1_noted_in_a_slice_is_stored(without, was_counted):
    job = OldLinesJob()
    job.upload(["a", "b", "c", "d"])
    job.save()
    (taken,) = without.queue.claim(1)
    begin(taken)
    (slice_,) = taken.input.claim("dead.1", "dead:1", 1)
    reject = {"_id": 2, "record": "b", "error": "ValueError: bad"}
    note = {
        "documents": [{"collection": rejects.slices_of(job).name, "document": reject}],
        "statistics": [["seen", 7]],
        "update": None,
    }
    taken.input.collection.update_one(
        {"_id": slice_.id}, {"$set": {"outcome": note}, "$unset": {"records": ""}}
    )
    if was_counted:
        counted = {"$inc": {"statistics.seen": 7}, "$push": {"_counted": f"{slice_.id}.1"}}
        Job.collection().update_one({"_id": job.id}, counted)
    requeue_claims(without.store, without.plugins, "dead.1", crash_limit=3)
    assert taken.input.find(slice_.id) is None
    requeue_claims(without.store, without.plugins, "test.1", crash_limit=3)
    without.work_off()
    assert job.reload().is_completed
    assert [number for number, _, _ in rejects.each(job)] == [2]
    assert job.statistics == {"seen": 8}


def leave_a_note(store, collection):
    """Die once the guarded write of a unit is made."""
    store.collection(collection).insert_one({"_id": 1})
    box = outbox.Outbox(store)
    box._follow = lambda *args: None
    insert = Insert("others", {"_id": 2})
    box.commit([Unit(collection=collection, write=Write({"_id": 1}, None), inserts=[insert])])


def test_a_note_is_found_in_whatever_collection(without):
    leave_a_note(without.store, "any.collection")
    assert without.store.recover() == 0  # whoever wrote it may be at it
    without.travel(timedelta(seconds=61))
    assert without.store.recover() == 1
    assert without.store.collection("any.collection").count_documents({}) == 0
    assert without.store.collection("others").count_documents({}) == 1


def test_a_collection_that_is_gone_is_forgotten(without):
    leave_a_note(without.store, "any.collection")
    without.store.collection("any.collection").drop()
    registry = without.store.collection(outbox.COLLECTION)
    without.store.recover()
    assert registry.count_documents({}) == 1  # somebody may be about to write there
    without.travel(timedelta(hours=3))
    without.store.recover()
    assert registry.count_documents({}) == 0
