"""Nobody looks again where nothing has happened, and everybody does after a while."""

from datetime import timedelta

import pytest

from rocketjob import hookimpl
from rocketjob.server.looks import Looks
from rocketjob.server.server import Server
from rocketjob.server.sweeper import Sweeper
from rocketjob.store.changes import Told


@pytest.fixture
def news():
    return Told()


def after(rocketjob, seconds):
    rocketjob.travel(timedelta(seconds=seconds))


def test_what_was_not_looked_for_yet_is_due_and_again_only_once_something_was_written(
    rocketjob, news
):
    looks = Looks(news)
    assert looks.is_due("a")
    assert not looks.is_due("a")
    news.add()
    assert looks.is_due("a")
    assert not looks.is_due("a")


def test_each_thing_is_looked_for_by_itself(rocketjob, news):
    looks = Looks(news)
    assert looks.is_due("a")
    assert looks.is_due("b")
    news.add()
    assert looks.is_due("b")
    assert looks.is_due("a")


def test_once_a_minute_it_is_due_though_nothing_was_written(rocketjob, news):
    looks = Looks(news)
    assert looks.is_due("a")
    after(rocketjob, 58)
    assert not looks.is_due("a")
    after(rocketjob, 2)
    assert looks.is_due("a")
    assert not looks.is_due("a")


def test_what_follows_of_a_change_is_looked_for_twice_more(rocketjob, news):
    looks = Looks(news)
    assert looks.is_due("a", follows=15)
    due = []
    for seconds in range(5, 90, 5):
        after(rocketjob, 5)
        if looks.is_due("a", follows=15):
            due.append(seconds)
    assert due == [15, 30] or due == [15, 30, 85]


def test_a_clock_that_is_set_back_leaves_nothing_for_long(rocketjob, news):
    looks = Looks(news)
    after(rocketjob, 3600)
    assert looks.is_due("a")
    after(rocketjob, -3600)
    assert looks.is_due("a")


def test_where_nobody_tells_of_changes_it_is_always_due(rocketjob):
    looks = Looks(None)
    assert looks.is_due("a")
    assert looks.is_due("a")


class Counting:
    swept = of_server = 0

    @hookimpl
    def sweep(self):
        self.swept += 1

    @hookimpl
    def server_sweep(self, server):
        self.of_server += 1


def test_an_idle_server_sweeps_for_all_once_a_minute_and_for_itself_as_often_as_ever(
    rocketjob, news
):
    counting = Counting()
    rocketjob.plugins.register(counting, "counting")
    made = Sweeper(rocketjob.application, Server(name="one"), 60.0, Looks(news))

    def sweeps(times):
        before = counting.swept
        for _ in range(times):
            after(rocketjob, 15)  # heartbeat_seconds
            made._next_turn = 0.0  # by its own clock
            made.sweep()
        return counting.swept - before

    assert sweeps(3) == 3  # it has only just begun, and what follows of a change
    assert sweeps(4) == 1
    assert sweeps(8) == 2
    news.add()  # a message to deliver, a job that has failed
    assert sweeps(1) == 1
    assert sweeps(6) == 3  # what follows: it is tried again half a minute later
    assert counting.of_server == 22
