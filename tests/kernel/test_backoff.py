"""Pauses before something is tried again."""

import pytest

from rocketjob.base import backoff
from rocketjob.base.backoff import Backoff


@pytest.fixture
def unshortened(monkeypatch):
    monkeypatch.setattr(backoff.random, "uniform", lambda low, high: high)


def test_pauses_double_up_to_the_longest(unshortened):
    pauses = Backoff(0.1, 0.5)
    assert [pauses.next() for _ in range(5)] == [0.1, 0.2, 0.4, 0.5, 0.5]


def test_after_a_success_they_begin_with_the_first_again(unshortened):
    pauses = Backoff(0.1, 0.5)
    pauses.next()
    pauses.next()
    pauses.reset()
    assert pauses.next() == 0.1


def test_a_pause_is_at_most_halved_at_random():
    for _ in range(100):
        assert 0.05 <= Backoff(0.1, 0.5).next() <= 0.1
