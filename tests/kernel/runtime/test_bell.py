"""A worker process is told by its supervisor that something was written."""

import os
import threading

import pytest

from rocketjob.worker.bell import Bell, Rung


@pytest.fixture
def bell():
    made = Bell()
    yield made
    made.close()


def test_who_waits_is_woken_when_it_is_rung(bell):
    rung = Rung(os.dup(bell.descriptor))
    mark = rung.change_mark()
    threading.Timer(0.01, bell.ring).start()
    assert rung.wait_for_change(mark, 30)
    assert rung.change_mark() != mark


def test_what_was_rung_before_anybody_waited_is_not_missed(bell):
    bell.ring()
    rung = Rung(os.dup(bell.descriptor))
    assert rung.wait_for_change(0, 30)


def test_one_who_never_listens_holds_up_nobody(bell):
    for _ in range(200_000):  # more than a pipe takes
        bell.ring()
    assert Rung(os.dup(bell.descriptor)).wait_for_change(0, 30)


def test_a_closed_one_is_rung_without_harm():
    bell = Bell()
    bell.close()
    other, end = os.pipe()  # which may have its numbers now
    bell.ring()
    bell.close()
    os.set_blocking(other, False)
    with pytest.raises(BlockingIOError):
        os.read(other, 1)
    os.close(other)
    os.close(end)


def test_what_a_job_starts_does_not_listen(bell):
    descriptor = os.dup(bell.descriptor)
    os.set_inheritable(descriptor, True)
    Rung(descriptor)
    assert not os.get_inheritable(descriptor)
