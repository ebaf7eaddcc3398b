"""What a worker process leaves for its supervisor to read when it is killed."""

import os
import signal
import tempfile

import pytest
from bson import ObjectId

from rocketjob.worker.slots import PLACES, Slots


@pytest.fixture
def slots():
    made = Slots(3)
    yield made
    made.close()


def test_what_is_performed_is_read_by_thread(slots):
    first, second = ObjectId(), ObjectId()
    slots.performing(1, first)
    slots.performing(3, second)
    assert slots.performed() == [str(first), str(second)]
    slots.performing(1, None)
    assert slots.performed() == [str(second)]


def test_the_header_holds_beats_and_counts(slots):
    assert (slots.beat, slots.worked, slots.ready) == (0.0, 0, False)
    slots.set_beat(12.5)
    slots.set_worked(7)
    slots.set_ready()
    assert (slots.beat, slots.worked, slots.ready) == (12.5, 7, True)
    assert slots.performed() == []


def test_another_process_writes_and_its_death_leaves_it_readable(slots):
    id = ObjectId()
    pid = os.fork()
    if pid == 0:
        Slots(3, slots.descriptor).performing(2, id)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    assert slots.performed() == [str(id)]


def test_no_descriptor_is_left_open():
    def count():
        return len(os.listdir("/proc/self/fd"))

    before = count()
    for _ in range(10):
        Slots(2).close()
    assert count() == before


def test_what_is_performed_is_started_until_its_outcome_is_written(slots):
    id = ObjectId()
    slots.performing(2, id, 7)
    assert slots.started() == {id}
    slots.finished(id, 1)
    slots.performing(2, None)
    assert slots.started() == {id}
    slots.written(id, 2)  # another claim of the same job
    assert slots.started() == {id}
    slots.written(id, 1)
    assert slots.started() == set()


def test_places_are_used_again_and_if_there_are_too_few_it_says_so(slots):
    ids = [ObjectId() for _ in range(PLACES + 3)]
    for _ in range(3):
        for id in ids:
            slots.finished(id, 1)
            slots.finished(id, 1)
        assert slots.started() == set(ids)
        for id in ids:
            slots.written(id, 1)
    for id in [*ids, ObjectId()]:
        slots.finished(id, 1)
    assert slots.started() is None


def test_no_temporary_folder_is_needed(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    Slots(2).close()
