"""What becomes of jobs is counted, written once, summed up and removed."""

import itertools
import json
import os
import threading
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from rocketjob import Job, Snooze
from rocketjob.base import clock
from rocketjob.base.errors import StoreUnavailable
from rocketjob.cli import make_cli
from rocketjob.jobs.changed import Changed
from rocketjob.model.record import record_of
from rocketjob.queue.reclaim import requeue_claims
from rocketjob.testing import sandbox
from rocketjob_plugins import metrics
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.metrics import collections, figures, recorder
from rocketjob_plugins.metrics.collections import Counts
from rocketjob_plugins.metrics.present import duration, sparkline
from rocketjob_plugins.retry import Retry
from support.runtime import eventually, running_pool

NOON = datetime(2026, 3, 29, 12, 0, 20, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class MeteredJob(Job):
    """Takes as long as it is told, on the test's clock."""

    takes: float = 0
    error: str | None = None

    def perform(self):
        clock.travel(timedelta(seconds=self.takes))
        if self.error is not None:
            raise OSError(self.error)


class MeteredRetryJob(Retry, MeteredJob):
    retry_limit = 2


class MeteredSnoozeJob(Job):
    times: int = 0

    def perform(self):
        if self.failure_count == 0 and len(self.history) < 3:
            raise Snooze(timedelta(minutes=10))


class MeteredLinesJob(Batch, Job):
    slice_size = 4
    max_rejects = 5

    def perform(self, line):
        if line == "bad":
            raise ValueError("a bad line")


@pytest.fixture
def rocketjob(rocketjob):
    rocketjob.freeze(NOON)
    return rocketjob


def counts(cls, **options):
    found = metrics.read(**options).classes.get(cls.type_name())
    return {name: each.count for name, each in found.outcomes.items()} if found else {}


# --- what is counted -------------------------------------------------------------------------


@pytest.mark.both_stores
def test_jobs_are_counted_by_what_became_of_them(rocketjob):
    MeteredJob.create_many([{}, {}])
    MeteredJob.create(error="closed")
    rocketjob.work_off()
    MeteredJob.create().abort()
    assert counts(MeteredJob) == {"completed": 2, "failed": 1, "aborted": 1}
    assert metrics.read().total.failure_rate == pytest.approx(1 / 3)


def test_a_job_that_is_gone_is_counted(rocketjob):
    MeteredJob.create()
    rocketjob.work_off()
    assert MeteredJob.all().count() == 0
    assert counts(MeteredJob) == {"completed": 1}


def test_attempts_that_are_followed_by_another_are_counted_apart(rocketjob):
    job = MeteredRetryJob.create(error="closed")
    for _ in range(3):
        rocketjob.travel(HOUR)
        rocketjob.work_off()
    assert job.reload().is_failed
    assert counts(MeteredRetryJob, since=6 * HOUR) == {"retried": 2, "failed": 1}


def test_a_snooze_is_no_failure(rocketjob):
    MeteredSnoozeJob.create()
    rocketjob.work_off()
    assert counts(MeteredSnoozeJob) == {"snoozed": 1}
    assert metrics.read().total.failure_rate is None


def test_waiting_counts_from_when_the_job_was_due_and_running_to_its_end(rocketjob):
    MeteredJob.create(takes=8, run_at=clock.now() + timedelta(minutes=5))
    rocketjob.travel(timedelta(minutes=7))
    rocketjob.work_off()
    total = metrics.read().total
    assert (total.wait.max, total.run.max) == (120, 8)


def test_an_attempt_waits_from_when_it_was_queued_again(rocketjob):
    job = MeteredRetryJob.create(error="closed", takes=1)
    rocketjob.work_off()
    again = job.reload().run_at
    rocketjob.freeze(again + timedelta(seconds=3))
    rocketjob.work_off(limit=1)
    assert metrics.read().total.wait.max == 3
    assert metrics.read().total.run.sum == 2


@pytest.mark.parametrize("history", [[{"event": "start"}], [3], [{"at": NOON}], "none"])
def test_a_history_that_was_edited_by_hand_takes_no_count_from_others(rocketjob, history):
    job = MeteredJob.create()
    (claimed,) = rocketjob.queue.claim(1)
    assert claimed.id == job.id
    change = Changed(claimed, ("complete",), "running")
    record_of(claimed).stored = {**record_of(claimed).stored, "history": history}
    rocketjob.plugins.notify("jobs_changed", changes=[change, change])
    assert counts(MeteredJob) == {"completed": 2}


def test_a_job_that_was_never_started_has_no_times(rocketjob):
    MeteredJob.create().abort()
    total = metrics.read().total
    assert (total.aborted, total.wait.count, total.run.count) == (1, 0, 0)


def test_a_clock_that_is_set_back_makes_no_negative_times(rocketjob):
    MeteredJob.create(takes=-30)
    rocketjob.travel(timedelta(seconds=40))
    rocketjob.work_off()
    assert metrics.read(since=HOUR, until=NOON + HOUR).total.run.max == 0


def test_records_and_rejects_are_counted_by_slice(rocketjob):
    job = MeteredLinesJob()
    job.upload(["a", "b", "c", "d", "bad", "e"])
    job.save()
    rocketjob.work_off()
    total = metrics.read().total
    assert (total.records, total.rejects, total.count("slices"), total.completed) == (6, 1, 2, 1)
    assert total.run.count == 1  # the job's; those of its slices are apart


def test_what_a_dead_worker_held_is_counted(rocketjob):
    job = MeteredJob.create()
    lines = MeteredLinesJob.create()
    (claimed,) = rocketjob.queue.claim(1)
    assert claimed.id == job.id
    requeue_claims(rocketjob.store, rocketjob.plugins, "test.1", crash_limit=3)
    held = [str(job.id), f"{lines.id}/5", "0" * 24]
    rocketjob.plugins.notify("worker_died", server=None, worker="", how="", performing=held)
    assert counts(MeteredJob) == {"requeued": 1, "crashed": 1}
    assert counts(MeteredLinesJob) == {"crashed": 1}
    assert metrics.read().classes["(gone)"].crashed == 1


def test_what_a_pool_writes_in_groups_is_counted_job_by_job(file_store):
    MeteredJob.create_many([{}] * 40)
    MeteredRetryJob.create_many([{"error": "closed"}] * 10)
    with running_pool(file_store, threads=2) as pool:
        eventually(lambda: pool.worked >= 50)
    assert counts(MeteredJob) == {"completed": 40}
    assert counts(MeteredRetryJob) == {"retried": 10}


def test_a_job_whose_class_is_not_loaded_here_is_counted_under_its_own_name(rocketjob):
    stored = MeteredJob.create()
    stored.collection().update_one({"_id": stored.id}, {"$set": {"_type": "ElsewhereJob"}})
    Job.find(stored.id).abort()
    assert metrics.read().classes["ElsewhereJob"].aborted == 1


def test_a_plugin_that_is_disabled_counts_nothing():
    with sandbox(disabled_plugins=["metrics"]) as rocketjob:
        MeteredJob.create()
        rocketjob.work_off()
        assert recorder.present() is None


# --- bounds ----------------------------------------------------------------------------------


def test_further_classes_are_counted_together(rocketjob, monkeypatch):
    monkeypatch.setattr(recorder, "MAX_CLASSES", 1)
    MeteredJob.create()
    MeteredSnoozeJob.create()
    MeteredRetryJob.create()
    rocketjob.work_off()
    series = metrics.read()
    assert len(series.classes) == 2
    assert sum(each.count for each in series.classes["(others)"].outcomes.values()) == 2


def test_names_that_no_key_can_have_come_back_as_they_were():
    classes = {name: figures.Figures() for name in ("a.b", "$x", "50%", "%2E", "", "nul\0")}
    assert figures.load(figures.stored(classes)).keys() == classes.keys()


# --- writing ---------------------------------------------------------------------------------


@pytest.mark.both_stores
def test_processes_add_to_the_same_minute_and_none_twice(rocketjob):
    one = figures.Figures()
    one.of("completed").count = 1
    one.of("completed").run.add(2)
    update = Counts({"A": one}).addition()
    for writer, number in (("x", 1), ("y", 1), ("x", 1), ("x", 2), ("y", 1)):
        collections.add(rocketjob.store, NOON.replace(second=0), update, writer, number)
    found = metrics.read().classes["A"]
    assert (found.completed, found.run.count, found.run.sum, found.run.max) == (3, 3, 6, 2)


@pytest.mark.both_stores
def test_many_threads_add_to_a_new_minute_at_once(rocketjob):
    one = figures.Figures()
    one.of("completed").count = 1
    update, at = Counts({"A": one}).addition(), NOON.replace(second=0)
    start = threading.Barrier(4)

    def add(writer):
        start.wait()
        collections.add(rocketjob.store, at, update, writer, 1)

    threads = [threading.Thread(target=add, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert metrics.read().classes["A"].completed == 4


class Away:
    """Stands in for writing to the store, and fails as often as it is told."""

    def __init__(self, monkeypatch, error, times):
        self.error, self.left, self.add = error, times, collections.add
        monkeypatch.setattr(collections, "add", self)

    def __call__(self, *arguments):
        if self.left:
            self.left -= 1
            if self.left % 2:  # the answer is lost, but it was written
                self.add(*arguments)
            raise self.error
        self.add(*arguments)


def test_while_the_store_is_away_jobs_are_performed_and_counts_are_kept(rocketjob, monkeypatch):
    away = Away(monkeypatch, StoreUnavailable("away"), times=4)
    MeteredJob.create_many([{}] * 3)
    assert rocketjob.work_off() == 3
    for _ in range(4):
        with pytest.raises(StoreUnavailable):
            metrics.read()
    MeteredJob.create()
    rocketjob.work_off()
    assert counts(MeteredJob) == {"completed": 4}
    assert away.left == 0


def test_a_store_that_is_away_for_long_loses_the_oldest_and_says_so(rocketjob, monkeypatch, caplog):
    monkeypatch.setattr(recorder, "MAX_MINUTES", 3)
    for _ in range(5):
        MeteredJob.create()
        rocketjob.work_off()
        rocketjob.travel(timedelta(minutes=1))
    assert counts(MeteredJob) == {"completed": 3}
    assert "the store was away for too long" in caplog.text


def test_what_the_store_refuses_is_dropped_and_logged(rocketjob, monkeypatch, caplog):
    Away(monkeypatch, ValueError("no space left"), times=1)
    MeteredJob.create()
    assert rocketjob.work_off() == 1
    assert counts(MeteredJob) == {}
    assert "metrics are dropped" in caplog.text


def test_what_is_written_late_counts_as_now_for_its_hour_may_be_summed_up(rocketjob):
    MeteredJob.create()
    rocketjob.work_off()
    rocketjob.travel(2 * HOUR)
    series = metrics.read(since=3 * HOUR)
    assert [point.at for point in series.points if point.classes] == [
        NOON.replace(hour=14, second=0)
    ]


def test_a_forked_process_begins_with_nothing(rocketjob):
    MeteredJob.create()
    rocketjob.work_off()
    mine = recorder.present()
    child = os.fork()
    if child == 0:
        os._exit(0 if recorder.present() is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert recorder.present() is mine


# --- hours -----------------------------------------------------------------------------------


def perform_at(rocketjob, at, number=1):
    rocketjob.freeze(at)
    MeteredJob.create_many([{}] * number)
    rocketjob.work_off()
    recorder.present().write()


@pytest.mark.both_stores
def test_hours_are_summed_up_and_minutes_are_removed_in_time(rocketjob):
    for minutes, number in ((0, 1), (1, 2), (61, 3), (125, 1)):
        perform_at(rocketjob, NOON + timedelta(minutes=minutes), number)
    rocketjob.freeze(NOON + 2.2 * HOUR)
    rocketjob.plugins.notify("sweep")
    stored = rocketjob.store.collection(collections.HOURS)
    assert stored.count_documents({}) == 1  # the second has its half hour of grace
    by_hour = [point.total.completed for point in metrics.read(since=3 * HOUR, by="hour").points]
    assert by_hour == [0, 3, 3, 1]

    rocketjob.freeze(NOON + 8.2 * DAY)
    rocketjob.plugins.notify("sweep")
    rocketjob.plugins.notify("sweep")
    assert rocketjob.store.collection(collections.MINUTES).count_documents({}) == 0
    series = metrics.read(since=NOON, by="hour")
    assert [point.total.completed for point in series.points][:3] == [3, 3, 1]
    assert series.total.wait.count == 7

    rocketjob.freeze(NOON + 91 * DAY)
    rocketjob.plugins.notify("sweep")
    assert stored.count_documents({}) == 0


@pytest.mark.parametrize("removed", [0, 1, 2])
def test_who_dies_between_summing_up_and_removing_neither_doubles_nor_loses(rocketjob, removed):
    for minutes, number in ((0, 1), (1, 2), (2, 3)):
        perform_at(rocketjob, NOON + timedelta(minutes=minutes), number)
    rocketjob.freeze(NOON + 9 * DAY)
    minutes = rocketjob.store.collection(collections.MINUTES)
    hour = collections.hour_of(NOON)
    collections._write_hour(rocketjob.store, hour, final=True)
    for each in list(minutes.find({}, {"_id": 1}, sort=[("_id", 1)]))[:removed]:
        minutes.delete_one(each)  # and here it died
    for _ in range(2):
        collections._write_hour(rocketjob.store, hour)  # one that was late with its own sum
        rocketjob.plugins.notify("sweep")
        assert metrics.read(since=NOON, by="hour").total.completed == 6
    assert minutes.count_documents({}) == 0


def test_an_idle_sweep_writes_nothing(rocketjob):
    perform_at(rocketjob, NOON)
    rocketjob.plugins.notify("sweep")
    mark = rocketjob.store.change_mark()
    rocketjob.plugins.notify("sweep")
    assert not rocketjob.store.wait_for_change(mark, 0)


# --- reading ---------------------------------------------------------------------------------


def test_points_without_jobs_are_there(rocketjob):
    series = metrics.read(since=timedelta(minutes=10))
    assert len(series.points) == 11
    assert series.points[0].at == NOON.replace(second=0) - timedelta(minutes=10)
    assert series.step == timedelta(minutes=1)
    assert series.classes == {}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"since": 2 * DAY, "by": "minute"}, "ask by the hour"),
        ({"since": 500 * DAY}, "ask for less"),
        ({"since": NOON, "until": NOON - HOUR}, "before the begin"),
        ({"since": datetime(2026, 3, 29)}, "needs a zone"),
        ({"since": NOON - 10 * DAY, "until": NOON - 9.9 * DAY, "by": "minute"}, "kept for 8 days"),
        ({"since": NOON - 100 * DAY, "until": NOON - 99 * DAY}, "kept for 90 days"),
        ({"by": "day"}, "minute or hour"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_can(rocketjob, options, why):
    with pytest.raises(metrics.MetricsError, match=why):
        metrics.read(**options)


def test_reading_takes_one_call_of_the_store_and_two_by_the_hour(rocketjob, monkeypatch):
    calls, collection = [], rocketjob.store.collection
    monkeypatch.setattr(
        rocketjob.store, "collection", lambda name: calls.append(name) or collection(name)
    )
    metrics.read()
    assert len(calls) == 1
    metrics.read(by="hour")
    assert len(calls) == 3


# --- the command -----------------------------------------------------------------------------


def run(rocketjob, *arguments):
    return CliRunner().invoke(make_cli(plugins=rocketjob.plugins), ["metrics", *arguments])


def test_the_command_prints_a_row_for_each_class(rocketjob):
    MeteredJob.create(takes=2)
    MeteredJob.create(error="closed")
    MeteredSnoozeJob.create()
    rocketjob.work_off()
    done = run(rocketjob)
    assert done.exit_code == 0, done.output
    head, titles, *rows = [line.split() for line in done.stdout.splitlines()]
    assert head[-3:] == ["by", "the", "minute"]
    assert titles[:4] == ["CLASS", "DONE", "FAILED", "FAIL%"]
    assert [row[0] for row in rows] == ["MeteredJob", "MeteredSnoozeJob", "all"]
    assert rows[0][1:4] == ["1", "1", "50.0"]
    assert not done.stdout.isascii() or "\x1b" not in done.stdout


def test_the_command_prints_json_a_line_for_each_class(rocketjob):
    MeteredJob.create(takes=2)
    rocketjob.work_off()
    (line,) = run(rocketjob, "--json", "--class", "MeteredJob").stdout.splitlines()
    told = json.loads(line)
    assert (told["class"], told["completed"], told["run"]["max"]) == ("MeteredJob", 1, 2.0)
    assert [point["completed"] for point in told["points"]] == [1]


def test_eight_hours_are_shown_by_the_minute_however_long_the_command_takes(rocketjob, monkeypatch):
    MeteredJob.create()
    rocketjob.work_off()
    now, looks = clock.now, itertools.count()
    monkeypatch.setattr(clock, "now", lambda: now() + timedelta(milliseconds=next(looks)))
    (line,) = run(rocketjob, "--since", "8h", "--json").stdout.splitlines()
    assert json.loads(line)["step"] == 60


def test_a_name_that_matches_nothing_is_exit_code_1(rocketjob):
    MeteredJob.create()
    rocketjob.work_off()
    done = run(rocketjob, "--class", "MeterdJob")
    assert done.exit_code == 1
    assert "no job of the class MeterdJob has ended" in done.output
    assert "did you mean MeteredJob?" in done.output


def test_nothing_at_all_is_said(rocketjob):
    done = run(rocketjob)
    assert (done.exit_code, done.stdout) == (0, "")
    assert "no job has ended" in done.output


@pytest.mark.parametrize("text", ["2x", "", "tomorrow-ish", "9" * 40 + "d", "1e400s"])
def test_a_malformed_duration_is_wrong_use(rocketjob, text):
    done = run(rocketjob, "--since", text)
    assert done.exit_code == 2
    assert "how long ago" in done.output


def test_more_than_is_kept_is_wrong_use(rocketjob):
    done = run(rocketjob, "--since", "3d", "--by", "minute")
    assert done.exit_code == 2
    assert "ask by the hour" in done.output


def test_sparklines_and_durations_are_short():
    assert sparkline([0, 1, 8, 4]) == " ▁█▄"
    assert len(sparkline(range(1000))) <= 30
    assert sparkline([]) == ""
    assert [duration(s) for s in (None, 0, 0.0124, 0.9999, 59.96, 125)] == [
        "",
        "0ms",
        "12ms",
        "1.0s",
        "1m",
        "2m 5s",
    ]
