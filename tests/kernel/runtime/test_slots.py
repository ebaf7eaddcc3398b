"""What a worker process leaves for its supervisor to read when it is killed."""

import os
import signal

import pytest
from bson import ObjectId

from rocketjob.worker.slots import Slots


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
