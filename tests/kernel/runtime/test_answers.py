"""Processes answer what they are asked through the store; whoever is silent is named."""

import logging
import threading
from datetime import timedelta
from types import SimpleNamespace

import pytest

from rocketjob import Job, Subscriber, hookimpl
from rocketjob.base.log import set_level
from rocketjob.plugins.manager import PluginManager
from rocketjob.server import answers, events, questions
from rocketjob.server.levels import Levels
from rocketjob.server.questions import Question, ask_servers
from rocketjob.server.server import Server
from rocketjob.server.subscribers import QuestionSubscriber
from rocketjob.worker.stacks import stacks, work
from rocketjob_plugins.progress import Progress
from support.questions import answer_at_once, at_work, hear_while_waiting
from support.servers import eventually


@pytest.fixture
def asked(rocketjob, monkeypatch):
    """A listener that hears while whoever asks waits; each look takes a second of the deadline."""
    return hear_while_waiting(monkeypatch)


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
    jobs = [SimpleNamespace(id=f"job{n}") for n in range(2)]
    workers = [
        at_work(job, 10 * number, thread)
        for number, (thread, job) in enumerate(zip(threads, jobs, strict=True), 1)
    ]
    found = stacks(workers)
    over.set()
    for thread in threads:
        thread.join()
    assert [each.get("job_id") for each in found[:3]] == ["job1", "job0", None]
    assert found[0]["seconds"] >= 20.0 and found[0]["job_class"] == "SimpleNamespace"
    assert any("here it hangs" in line for line in found[0]["stack"])


# --- work ------------------------------------------------------------------------------------


class AskedForWorkJob(Progress, Job):
    def perform(self): ...


def worker(job, seconds, name="web-1:1 thread 1", part=None):
    return at_work(job, seconds, threading.Thread(name=name), part)


def test_each_worker_says_what_it_is_at_the_longest_first(asked):
    workers = [
        worker(None, 0),
        worker(first := AskedForWorkJob(), 3, "web-1:1 thread 2"),
        worker(second := AskedForWorkJob(), 70, "web-1:1 thread 3", part=41),
    ]
    with (
        QuestionSubscriber.subscribed("abc", "web-1", others=lambda: {"abc.1": {}}),
        QuestionSubscriber.subscribed("abc.1", "web-1:1", lambda: workers),
    ):
        (reply,) = ask_servers([server_of("abc")], "work")
    supervisor, given = reply.given
    assert (supervisor.is_worker, supervisor.content["work"], reply.missing) == (False, [], ())
    assert (given.name, given.is_worker, given.content["workers"]) == ("web-1:1", True, 3)
    longest, other = given.content["work"]
    assert longest == {
        **{"thread": "web-1:1 thread 3", "job_id": str(second.id), "job_class": "AskedForWorkJob"},
        **{"slice": 41, "seconds": longest["seconds"]},
    }
    assert longest["seconds"] >= 70 and "slice" not in other and other["job_id"] == str(first.id)


def server_of(incarnation):
    return Server(name="web-1", incarnation=incarnation)


def test_a_slice_of_an_earlier_job_is_not_one_of_the_present():
    each = worker(AskedForWorkJob(), 5, part=41)
    each.job = AskedForWorkJob()
    assert "slice" not in work([each])[0]


def test_what_a_job_last_said_of_its_progress_is_there_before_it_is_written():
    job = AskedForWorkJob()
    job.progress(3, 10, "reading")
    assert job.progress_text is None
    assert work([worker(job, 1)])[0]["progress"] == "3 of 10, reading"


def test_no_password_of_a_url_is_in_what_a_job_said():
    job = AskedForWorkJob()
    job.progress(3, 10, "https://ada:hunter2@example.com/in.csv")
    (row,) = work([worker(job, 1)])
    assert "example.com" in row["progress"] and "hunter2" not in row["progress"]


def test_one_whose_progress_cannot_be_told_is_shown_without():
    class BrokenSayingJob(Job):
        def progress_now(self):
            raise RuntimeError("boom")

    (row,) = work([worker(BrokenSayingJob(), 1)])
    assert row["job_class"] == "BrokenSayingJob" and "progress" not in row


# --- what plugins answer ---------------------------------------------------------------------


@pytest.fixture
def answering(asked, monkeypatch):
    """A server that answers what plugins bring at once, instead of on a thread of its own."""
    answer_at_once(monkeypatch)

    def answering(*brought):
        return QuestionSubscriber.subscribed("abc", "web-1", brought=brought)

    return answering


def test_a_plugin_answers_a_question_of_its_own(answering):
    with (
        answering(Question("weather", lambda place: {"said": f"rain in {place}"})),
        QuestionSubscriber.subscribed("abc.1", "web-1:1"),  # a worker process is not asked
    ):
        (reply,) = ask_servers([server_of("abc")], "weather", 5, {"place": "Oslo"})
    (given,) = reply.given
    assert given.content["answer"] == {"said": "rain in Oslo"} and reply.missing == ()


def fails(**parameters):
    raise OSError("sftp://ada:hunter2@host is away")


@pytest.mark.parametrize(
    ("brought", "why"),
    [
        ([], "no plugin that it has loaded answers weather"),
        ([Question("weather", fails)], "OSError: sftp://ada:***@host is away"),
        ([Question("weather", lambda: {"x": object()})], "cannot"),
        ([Question("weather", lambda: None)], "TypeError"),
        ([Question("weather", lambda place: {})], "TypeError"),
    ],
    ids=["unknown", "fails", "cannot be stored", "nothing", "other parameters"],
)
def test_who_cannot_answer_says_why(answering, brought, why):
    with answering(*brought):
        (reply,) = ask_servers([server_of("abc")], "weather")
    assert reply.given == () and reply.silent == ()
    assert reply.missing[0].startswith("web-1 cannot answer: ") and why in reply.missing[0]


def test_what_takes_long_is_answered_on_a_thread_of_its_own_and_too_many_are_not(rocketjob):
    given, begun, over = [], threading.Event(), threading.Event()

    def slow():
        begun.set()
        over.wait(60)
        return {}

    answerer = questions.Answerer([Question("slow", slow)])
    give = lambda question, **content: given.append(question)  # noqa: E731
    answerer.take("slow", "0", {}, give)
    begun.wait(60)
    for number in range(1, questions.WAITING + 3):
        answerer.take("slow", str(number), {}, give)
    assert given == []
    over.set()
    eventually(lambda: len(given) == questions.WAITING + 1)
    assert given == [str(number) for number in range(questions.WAITING + 1)]


def test_a_question_whose_name_is_taken_is_left_out_and_the_plugin_is_named():
    class Asking:
        def __init__(self, *names):
            self.names = names

        @hookimpl
        def register_questions(self):
            return [Question(name, dict) for name in self.names]

    manager = PluginManager(entry_points=[], strict=False)
    manager.register(Asking("weather", "stacks"), "first")
    manager.register(Asking("weather"), "second")
    assert [each.name for each in questions.brought_by(manager)] == ["weather"]
    problems = " ".join(manager.problems)
    assert "answers stacks, as the kernel or another plugin does already" in problems
    assert "answers weather" in problems


@pytest.mark.parametrize("name", ["", "Weather", "a b", "a-b", 7])
def test_a_question_has_a_plain_name(name):
    with pytest.raises((ValueError, TypeError)):
        Question(name, dict)


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
