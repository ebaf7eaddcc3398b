"""The timeline of a job, and the last runs of its class or schedule; row P10."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from rocketjob import Job, field, now
from rocketjob.model.record import HISTORY_LIMIT
from rocketjob_contrib.mission_control.jobs import previous
from rocketjob_contrib.mission_control.jobs.timeline import timeline_of
from rocketjob_plugins.cron import Cron
from rocketjob_plugins.retry import Retry
from support.web import browser, counted_calls, tags, text_of

NOW = datetime(2026, 3, 6, 14, 20, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class WebTimedJob(Job):
    destroy_on_complete = False
    pausable = True
    fails: bool = False

    def perform(self):
        if self.fails:
            raise ValueError("no")


class WebTimedOtherJob(Job):
    destroy_on_complete = False

    def perform(self): ...


class WebTimedCronJob(Cron, Job):
    cron_schedule = "0 1 * * * UTC"
    fails: bool = field(default=False, user_editable=True, copy_on_restart=True)

    def perform(self):
        if self.fails:
            raise ValueError("no")


@pytest.fixture(autouse=True)
def still(rocketjob):
    rocketjob.freeze(NOW)


def shown(job):
    """Return what the timeline says happened, in its order."""
    return [each.what for each in timeline_of(job.reload(), now()).moments]


def spent(job):
    return [(each.state, each.text) for each in timeline_of(job.reload(), now()).stretches]


# --- the timeline ----------------------------------------------------------------------------


def test_P10_everything_that_happened_is_there_once_and_in_order(rocketjob):
    job = WebTimedJob.create()
    for do in (job.pause, job.resume, job.start, job.fail, job.retry, job.start, job.complete):
        rocketjob.travel(MINUTE)
        do()
    assert shown(job) == [
        *("created", "paused", "resumed", "started", "failed", "retried", "started", "completed"),
    ]
    found = timeline_of(job.reload(), now())
    times = [each.at for each in found.moments]
    assert times == sorted(set(times))
    assert [text for _, text in spent(job)] == [
        *("waited 1m", "paused 1m", "waited 1m", "ran 1m", "failed 1m", "waited 1m", "ran 1m"),
    ]


def test_P10_stretches_are_to_scale_and_fill_the_whole(rocketjob):
    job = WebTimedJob.create()
    rocketjob.travel(3 * MINUTE)
    job.start()
    rocketjob.travel(MINUTE)
    job.complete()
    first, second = timeline_of(job.reload(), now()).stretches
    assert (first.x, first.width, second.x, second.width) == (0, 750, 750, 250)


def test_P10_who_did_it_is_named(rocketjob):
    job = WebTimedJob.create()
    browser().post(f"/jobs/{job.id}/pause", data={"state": "queued"})
    job = job.reload()
    job.resume()
    job.start("host:1:2")
    said = text_of(browser().get(f"/jobs/{job.id}")).partition("Timeline")[2]
    assert "started on host:1:2" in said


def test_P10_one_that_waits_goes_on_until_now_and_when_it_is_due_is_ahead(rocketjob):
    job = WebTimedJob.create(run_at=NOW + 5 * MINUTE, expires_at=NOW + 60 * MINUTE)
    rocketjob.travel(2 * MINUTE)
    found = timeline_of(job.reload(), now())
    assert [(each.what, each.is_ahead) for each in found.moments] == [
        ("created", False),
        ("due", True),
        ("expires", True),
    ]
    assert spent(job) == [("scheduled", "until due 2m")]
    rocketjob.travel(4 * MINUTE)
    assert spent(job) == [("scheduled", "until due 5m"), ("queued", "waited 1m")]


def test_P10_a_retry_and_what_a_throttle_held_back_are_there(rocketjob):
    class WebTimedRetriedJob(Retry, Job):
        retry_limit = 1

        def perform(self):
            raise ValueError("no")

    job = WebTimedRetriedJob.create()
    rocketjob.work_off()
    found = shown(job)
    assert found[:3] == ["created", "started", "failed"] and "retried" in found
    history = [
        {"event": "start", "state": "running", "at": NOW},
        {"event": "give_back", "state": "queued", "at": NOW, "count": 12, "since": NOW},
    ]
    Job.collection().update_one({"_id": job.id}, {"$set": {"history": history}})
    assert "held back 12 times since 14:20:30 UTC" in shown(job)


def test_P10_clocks_that_differ_make_no_span_less_than_nothing(rocketjob):
    job = WebTimedJob.create()
    history = [
        {"event": "start", "state": "running", "at": NOW - 3 * MINUTE, "worker": "slow:1"},
        {"event": "fail", "state": "failed", "at": NOW + MINUTE},
        {"event": "retry", "state": "queued", "at": NOW - 9 * MINUTE},
    ]
    Job.collection().update_one({"_id": job.id}, {"$set": {"history": history}})
    rocketjob.travel(2 * MINUTE)
    found = timeline_of(job.reload(), now())
    assert [each.what for each in found.moments] == ["created", "started", "failed", "retried"]
    assert [each.back for each in found.moments] == ["", "3m", "", "10m"]
    assert all(each.width > 0 for each in found.stretches)
    assert not any("-" in each.text for each in found.stretches)
    assert "its clock was 3m behind" in text_of(browser().get(f"/jobs/{job.id}"))


def test_P10_times_that_no_history_has_are_there_as_those_of_ruby(rocketjob):
    job = WebTimedJob.create()
    times = {"started_at": NOW + MINUTE, "completed_at": NOW + 2 * MINUTE, "state": "completed"}
    Job.collection().update_one({"_id": job.id}, {"$set": times, "$unset": {"history": 1}})
    rocketjob.travel(5 * MINUTE)
    assert shown(job) == ["created", "started", "completed"]
    assert [text for _, text in spent(job)] == ["waited 1m", "ran 1m"]


def test_P10_a_history_that_is_full_says_that_something_is_missing(rocketjob):
    job = WebTimedJob.create()
    entry = {"event": "pause", "state": "paused", "at": NOW}
    change = {"$set": {"history": [entry] * HISTORY_LIMIT}}
    Job.collection().update_one({"_id": job.id}, change)
    assert "Only the last events are kept" in text_of(browser().get(f"/jobs/{job.id}"))


@pytest.mark.parametrize(
    "values",
    [
        {"history": "x"},
        {"history": [7, {}, {"at": "x"}]},
        {"started_at": "now", "completed_at": 7, "run_at": []},
        {"created_at": None},
        {"throttled_by": "x", "throttled_at": "then"},
        {"_type": "GoneTimedJob"},
    ],
)
def test_P10_what_something_else_has_written_is_passed_over(rocketjob, values):
    job = WebTimedJob.create()
    Job.collection().update_one({"_id": job.id}, {"$set": values})
    page = browser().get(f"/jobs/{job.id}")
    assert page.status_code == 200 and "created" in text_of(page)
    assert "A part of this page is missing" not in text_of(page)


def test_no_text_of_a_history_is_markup(rocketjob):
    job = WebTimedJob.create()
    entry = {"event": "<b>", "state": "<i>", "at": NOW, "by": "<script>"}
    Job.collection().update_one({"_id": job.id}, {"$set": {"history": [entry]}})
    page = browser().get(f"/jobs/{job.id}").text
    assert "<b>" not in page and "<script>" not in page and "<i>" not in page


# --- the last runs ---------------------------------------------------------------------------


def test_the_last_runs_of_the_class_are_shown_and_this_one_is_marked(rocketjob):
    jobs = [WebTimedJob.create(fails=number == 1) for number in range(3)]
    rocketjob.work_off()
    page = browser().get(f"/jobs/{jobs[1].id}")
    (panel,) = tags(page, "div", id="runs")
    page = browser().get(panel["hx-get"])
    (body,) = re.findall(r'<ol class="bare runs">(.*?)</ol>', page.text, re.S)
    assert re.findall(r'class="state-(\w+)( this)?"', body) == [
        *(("completed", ""), ("failed", " this"), ("completed", "")),
    ]
    assert f"/jobs/{jobs[0].id}" in body and f"/jobs/{jobs[1].id}" not in body
    assert "The last 3 runs of this class" in text_of(page)
    assert tags(page, "a", href="/charts?class=WebTimedJob&for=7d")


def test_the_first_of_a_class_has_none(rocketjob):
    job = WebTimedJob.create()
    rocketjob.work_off()
    said = text_of(browser().get(f"/jobs/{job.id}/runs"))
    assert "No other job of this class has ended lately" in said


def test_of_a_schedule_they_are_known_also_if_their_jobs_are_removed(rocketjob):
    WebTimedCronJob.create()
    for fails in (False, True):
        job = WebTimedCronJob.queued().first()
        job.update(fails=fails)
        job.run_now()
        rocketjob.work_off()
    for job in (WebTimedCronJob.queued().first(), WebTimedCronJob.failed().first()):
        assert "The last 2 runs of this schedule" in text_of(browser().get(f"/jobs/{job.id}"))


def test_among_very_many_jobs_only_those_that_ended_last_are_looked_at(rocketjob, monkeypatch):
    monkeypatch.setattr(previous, "LOOKED_AT", 3)
    for each in (WebTimedJob, WebTimedJob, WebTimedOtherJob, WebTimedOtherJob, WebTimedOtherJob):
        job = each.create()
        rocketjob.work_off()
        rocketjob.travel(MINUTE)
    page = browser().get(f"/jobs/{WebTimedJob.completed().first().id}/runs")
    assert "No other job of this class has ended lately" in text_of(page)
    assert "The last 3 runs" in text_of(browser().get(f"/jobs/{job.id}/runs"))


def test_neither_costs_a_page_many_calls_of_the_store(rocketjob):
    job = WebTimedJob.create()
    rocketjob.work_off()
    for path in ("", "/runs"):
        with counted_calls() as calls:
            browser().get(f"/jobs/{job.id}{path}")
        assert len(calls) <= 8, calls
