"""Processes answer what they are asked through the store; whoever is silent is named."""

import logging
import threading
from datetime import timedelta
from types import SimpleNamespace

import pytest

from rocketjob import Subscriber
from rocketjob.base import clock
from rocketjob.base.log import set_level
from rocketjob.server import answers, events
from rocketjob.server.levels import Levels
from rocketjob.server.subscribers import QuestionSubscriber
from rocketjob.worker.stacks import stacks


@pytest.fixture
def asked(rocketjob, monkeypatch):
    """A listener that hears while whoever asks waits; each look takes a second of the deadline."""
    listener, time = events.Listener(), [0.0]
    listener.read()

    def pause(seconds):
        time[0] += 1.0
        listener.read()

    monkeypatch.setattr(answers, "_pause", pause)
    ours = SimpleNamespace(monotonic=lambda: time[0], now=clock.now)
    monkeypatch.setattr(answers, "clock", ours)
    return time


def ask(action, *servers, **parameters):
    given = {"servers": list(servers), **parameters}
    return answers.ask("question", action, servers, 5.0, given)


def test_a_server_and_its_processes_answer(asked):
    others = {"abc.1": {"pid": 7, "performing": []}}
    with (
        QuestionSubscriber.subscribed("abc", "web-1", others=lambda: others),
        QuestionSubscriber.subscribed("abc.1", "web-1:1"),
        QuestionSubscriber.subscribed("def", "web-2"),
    ):
        found = ask("stacks", "abc")
    assert set(found.given) == {"abc", "abc.1"} and found.silent == ()
    assert found.given["abc.1"]["name"] == "web-1:1"
    threads = found.given["abc"]["threads"]
    assert any("test_answers.py" in line for each in threads for line in each["stack"])


def test_who_does_not_answer_in_time_is_named(asked):
    others = {"abc.1": {"pid": 7, "performing": ["5f"]}}
    with QuestionSubscriber.subscribed("abc", "web-1", others=lambda: others):
        found = ask("stacks", "abc", "gone")
    assert set(found.given) == {"abc"}
    assert found.silent == ("gone", "abc.1")
    assert found.given["abc"]["others"] == others
    assert 5.0 <= asked[0] <= 7.0


def test_nobody_is_asked_and_nothing_is_announced(asked):
    assert ask("stacks").given == {}
    assert events.Listener().read() == 0 and asked == [0.0]


def test_one_that_fails_to_answer_does_not_keep_the_others_from_it(asked):
    class Broken(Subscriber):
        event_name = "question"

        def stacks(self, question, servers):
            raise RuntimeError("boom")

    with Broken.subscribed(), QuestionSubscriber.subscribed("abc", "web-1"):
        assert set(ask("stacks", "abc").given) == {"abc"}


def test_answers_are_removed_once_they_are_read_and_late_ones_in_time(asked, rocketjob):
    with QuestionSubscriber.subscribed("abc", "web-1"):
        ask("stacks", "abc")
    stored = rocketjob.store.collection(answers.COLLECTION)
    assert stored.count_documents({}) == 0
    answers.give("late", "abc", text="too late")
    assert answers.remove_old() == 0
    rocketjob.travel(timedelta(hours=2))
    assert answers.remove_old() == 1


def test_a_question_that_cannot_be_stored_is_refused_and_asks_nobody(asked):
    with pytest.raises(ValueError, match="question"):
        ask("stacks", "abc", level=object())


def test_threads_at_a_job_come_first_the_longest_of_all_with_the_line_they_are_on():
    begun, over = [threading.Event(), threading.Event()], threading.Event()

    def hang(started):
        started.set()
        over.wait()  # here it hangs

    threads = [threading.Thread(target=hang, args=[each]) for each in begun]
    for thread, started in zip(threads, begun, strict=True):
        thread.start()
        started.wait()
    now = clock.monotonic()
    jobs = [SimpleNamespace(id=f"job{n}") for n in range(2)]
    workers = [
        SimpleNamespace(thread=thread, job=job, began=now - 10 * number)
        for number, (thread, job) in enumerate(zip(threads, jobs, strict=True), 1)
    ]
    found = stacks(workers)
    over.set()
    for thread in threads:
        thread.join()
    assert [each.get("job_id") for each in found[:3]] == ["job1", "job0", None]
    assert found[0]["seconds"] >= 20.0 and found[0]["job_class"] == "SimpleNamespace"
    assert any("here it hangs" in line for line in found[0]["stack"])


# --- levels ----------------------------------------------------------------------------------


class Timers:
    """Timers that go off when they are told to."""

    def __init__(self, monkeypatch):
        self.made = []
        monkeypatch.setattr("rocketjob.server.levels.threading.Timer", self)

    def __call__(self, seconds, function, arguments):
        timer = SimpleNamespace(seconds=seconds, cancelled=False, start=lambda: None)
        timer.cancel = lambda: setattr(timer, "cancelled", True)
        timer.go_off = lambda: self._go_off(timer, function, arguments)
        self.made.append(timer)
        return timer

    def _go_off(self, timer, function, arguments):
        present = threading.current_thread
        try:
            threading.current_thread = lambda: timer
            function(*arguments)
        finally:
            threading.current_thread = present


@pytest.fixture
def timers(monkeypatch):
    return Timers(monkeypatch)


def level_of(name):
    return logging.getLogger(name).level


def test_a_level_goes_back_by_itself_to_what_it_was_before(timers):
    levels, name = Levels(), "TemporarilyLoudJob"
    levels.set("debug", name, 900.0)
    assert (level_of(name), timers.made[0].seconds) == (logging.DEBUG, 900.0)
    timers.made[0].go_off()
    assert level_of(name) == logging.NOTSET


def test_a_second_change_takes_the_place_of_the_first_and_goes_back_as_far(timers):
    levels, name = Levels(), "TwiceLoudJob"
    levels.set("debug", name, 900.0)
    levels.set("error", name, 60.0)
    assert timers.made[0].cancelled
    timers.made[0].go_off()  # it was about to when it was cancelled
    assert level_of(name) == logging.ERROR
    timers.made[1].go_off()
    assert level_of(name) == logging.NOTSET


def test_a_change_without_an_end_stays(timers):
    levels, name = Levels(), "LoudForGoodJob"
    levels.set("debug", name, 900.0)
    levels.set("warn", name)
    timers.made[0].go_off()
    assert level_of(name) == logging.WARNING
    set_level("info", name)
    logging.getLogger(name).setLevel(logging.NOTSET)


def test_the_level_of_all_goes_back_too(timers):
    root = logging.getLogger().level
    levels = Levels()
    levels.set("fatal", None, 5.0)
    assert logging.getLogger().level == logging.CRITICAL
    timers.made[0].go_off()
    assert logging.getLogger().level == root


def test_a_level_is_changed_in_each_process_that_is_asked(asked, timers, monkeypatch):
    levels = Levels()
    monkeypatch.setattr("rocketjob.server.subscribers.levels", levels)
    with QuestionSubscriber.subscribed("abc", "web-1"), QuestionSubscriber.subscribed("d", "web-2"):
        found = ask("log_level", "abc", level="debug", logger="AskedJob", seconds=60.0)
    assert found.given["abc"]["level"] == "debug" and found.silent == ()
    assert (level_of("AskedJob"), len(timers.made)) == (logging.DEBUG, 1)
    timers.made[0].go_off()
