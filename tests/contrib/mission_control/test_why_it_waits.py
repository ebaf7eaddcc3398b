"""Why a job waits: in short in each row of the list, and all of it on its page; row P14."""

import types
from datetime import UTC, datetime, timedelta

import pytest

from rocketjob import Clause, Hold, Job, Server, hookimpl
from rocketjob.base import clock
from rocketjob.server.brief import first_reasons
from rocketjob_plugins.processing_window import ProcessingWindow
from rocketjob_plugins.throttle import Throttle, ThrottleDependentJobs, throttle
from support.web import browser, cells, counted_calls, links, text_of

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class WhyWaitingJob(Job):
    destroy_on_complete = False

    def perform(self): ...


class WhyWaitingLimitedJob(Throttle, Job):
    throttle_running_jobs = 1

    def perform(self): ...


class WhyWaitingRatedJob(Throttle, Job):
    rate_limit = "1/minute"

    def perform(self): ...


class WhyWaitingKeyedJob(Throttle, Job):
    throttle_running_jobs = 1
    throttle_key = lambda job: job.account  # noqa: E731 (as the documentation has it)
    account: int = 1

    def perform(self): ...


class WhyWaitingLaterJob(ThrottleDependentJobs, Job):
    dependent_jobs = ["WhyWaitingJob"]

    def perform(self): ...


class WhyWaitingLagJob(Throttle, Job):
    @throttle
    def lagging(self) -> bool:
        """The replica lags behind."""
        return True

    def perform(self): ...


class WhyWaitingWindowJob(ProcessingWindow, Job):
    processing_schedule = "0 1 * * * UTC"
    processing_duration = timedelta(hours=1)

    def perform(self): ...


class WhyWaitingBrokenJob(Job):
    def claim_limits(self):
        raise KeyError("account")

    def perform(self): ...


CLASSES = [cls.__name__ for cls in Job.__subclasses__() if cls.__name__.startswith("WhyWaiting")]
CLASSES += [
    "WhyWaitingLimitedJob",
    "WhyWaitingRatedJob",
    "WhyWaitingKeyedJob",
    "WhyWaitingLaterJob",
]
CLASSES += ["WhyWaitingLagJob", "WhyWaitingWindowJob"]


@pytest.fixture(autouse=True)
def _at_a_fixed_time(rocketjob):
    rocketjob.freeze(NOW)


def server(name="host:1", state="running", classes=CLASSES, alive=True, busy=0, **heartbeat):
    beat = clock.now() - timedelta(0 if alive else 9)
    heartbeat |= {"updated_at": beat, "workers": 2, "performing": ["x"] * busy}
    return Server.create(name=name, state=state, classes=classes, heartbeat=heartbeat)


def running(job):
    """Let a job be as if a worker had it."""
    values = {"state": "running", "started_at": clock.now(), "worker_name": "host:1:2"}
    Job.collection().update_one({"_id": job.id}, {"$set": values})
    return job


def row(job):
    """Return what the list says of a job."""
    page = browser().get("/jobs/queued?size=100")
    said = dict(zip(_ids(page), cells(page, "waits"), strict=True))
    return said[str(job.id)]


def _ids(page):
    found = [link for link in links(page) if link.endswith("/explain")]
    return [link.split("/")[2] for link in found]


def asked(job):
    """Return what the page says that has all the reasons."""
    return text_of(browser().get(f"/jobs/{job.id}/explain"))


# --- each cause ----------------------------------------------------------------------------------


def test_P14_no_server_is_running(rocketjob):
    job = WhyWaitingJob.create()
    assert row(job) == "no server is running"
    assert "no server is running: start one with rocketjob server" in asked(job)


def test_P14_the_only_server_is_dead(rocketjob):
    server(alive=False)
    assert row(WhyWaitingJob.create()) == "no server is running"


@pytest.mark.parametrize("state", ["paused", "stopping"])
def test_P14_every_server_is_paused_or_stopping(rocketjob, state):
    server(state=state)
    job = WhyWaitingJob.create()
    assert row(job) == f"host:1 is {state}"
    assert f"host:1 is {state}" in asked(job)


def test_P14_no_server_has_its_class(rocketjob):
    server(classes=["OtherJob"])
    job = WhyWaitingJob.create()
    assert row(job) == "no server has the class WhyWaitingJob"
    assert "no server takes WhyWaitingJob: its module must be named" in asked(job)


def test_P14_every_server_leaves_it_to_others(rocketjob):
    clause = Clause("region", "it takes only jobs of eu", {"priority": {"$lt": 10}})
    server(clauses=[clause.stored()])
    job, urgent = WhyWaitingJob.create(), WhyWaitingJob.create(priority=5)
    assert row(job) == "host:1: it takes only jobs of eu"
    assert row(urgent).startswith("it is next")
    assert "host:1 leaves it to others: it takes only jobs of eu" in asked(job)


def test_P14_the_setting_where_of_every_server_leaves_it_out(rocketjob):
    only = server()
    only.narrowed_by = '{"priority": {"$lt": 10}}'
    only.save()
    assert row(WhyWaitingJob.create()) == "host:1: its setting where leaves it out".replace(
        "where", "`where`"
    )
    assert row(WhyWaitingJob.create(priority=5)).startswith("it is next")


def test_P14_its_time_has_not_come(rocketjob):
    server()
    at = NOW + timedelta(hours=2)
    job = WhyWaitingJob.create(run_at=at)
    stored = Job.collection().find_one({"_id": job.id})
    (reason,) = first_reasons([stored], list(Server.all())).values()
    assert (reason.name, reason.until) == ("run_at", at)
    assert "It could run at 2026-03-01 14:00:00 UTC, in 2h" in asked(job)


def test_P14_it_has_expired(rocketjob):
    server()
    job = WhyWaitingJob.create(expires_at=NOW + timedelta(minutes=1))
    rocketjob.travel(timedelta(minutes=2))
    Server.delete_all()
    server()
    assert row(job) == "it has expired, and will be removed"
    assert "it expired at 2026-03-01 12:01:00 UTC" in asked(job)


def test_P14_as_many_run_as_may_and_the_holders_are_named_and_linked(rocketjob):
    server()
    holder = running(WhyWaitingLimitedJob.create())
    job = WhyWaitingLimitedJob.create()
    assert row(job) == "at most 1 may run at once"
    page = browser().get(f"/jobs/{job.id}/explain")
    assert f"running now: WhyWaitingLimitedJob {holder.id} on host:1:2" in text_of(page)
    assert f"/jobs/{holder.id}" in links(page)


def test_P14_a_rate_says_when_the_next_may_start(rocketjob):
    server()
    WhyWaitingRatedJob.create()
    rocketjob.queue.claim(1)
    job = WhyWaitingRatedJob.create()
    assert row(job) == "at most 1 a minute may start"
    assert "It could run at 2026-03-01 12:01:00 UTC" in asked(job)


def test_P14_a_job_that_it_depends_on_is_running(rocketjob):
    server()
    other = running(WhyWaitingJob.create())
    job = WhyWaitingLaterJob.create()
    assert row(job) == "jobs that it depends on are running"
    assert f"are running: WhyWaitingJob {other.id}" in asked(job)


def test_P14_a_throttle_of_its_class_holds_it_back_with_all_like_it(rocketjob):
    server()
    job, other = WhyWaitingLagJob.create(), WhyWaitingLagJob.create()
    rocketjob.work_off()
    said = "The replica lags behind, until 2026-03-01 12:01:00 UTC"
    assert (row(job), row(other)) == (said, said)
    assert "held back by lagging" in asked(other) and str(job.id) in asked(other)


def test_P14_a_plugin_keeps_it_from_starting(rocketjob):
    @hookimpl
    def veto_claim(job):
        return Hold("quota", "the month is used up")

    server()
    plugin = types.SimpleNamespace(veto_claim=veto_claim)
    rocketjob.plugins.register(plugin, "acme")
    try:
        job = WhyWaitingJob.create()
        rocketjob.work_off()
        assert row(job) == "the month is used up"
        assert "held back by quota: the month is used up" in asked(job)
    finally:
        rocketjob.plugins.unregister(plugin)


def test_P14_its_window_is_closed(rocketjob):
    server()
    job = WhyWaitingWindowJob.create()
    Job.collection().update_one({"_id": job.id}, {"$set": {"run_at": NOW}})
    said = row(job)
    assert said.startswith("its processing window (At 01:00 every day, UTC) is closed")
    assert said.endswith("until 2026-03-02 01:00:00 UTC")
    assert "It could run at 2026-03-02 01:00:00 UTC" in asked(job)


def test_P14_its_limits_fail(rocketjob):
    server()
    job = WhyWaitingBrokenJob.create()
    assert row(job).startswith("its limits fail, which holds it back: KeyError")
    assert "its limits fail" in asked(job)


def test_P14_its_document_does_not_fit(rocketjob):
    server()
    job = WhyWaitingJob.create()
    Job.collection().update_one({"_id": job.id}, {"$set": {"expires_at": "soon"}})
    assert row(job).startswith("it does not fit its class: expires_at")


def test_P14_others_go_before_it(rocketjob):
    server()
    urgent = WhyWaitingJob.create(priority=10)
    job, last = WhyWaitingJob.create(), WhyWaitingJob.create()
    assert row(urgent) == "it is next: a worker takes it in a moment"
    assert (row(job), row(last)) == ("1 job goes before it", "2 jobs go before it")
    assert "2 due jobs go before it" in asked(last)


def test_P14_all_workers_are_busy(rocketjob):
    server(busy=2)
    assert row(WhyWaitingJob.create()) == "it is next: all 2 workers are busy"


@pytest.mark.parametrize(
    ("performing", "on_loops", "said"),
    [
        (
            2,
            {"places": 3, "taken": 0, "classes": ["WhyWaitingJob"]},
            "a worker takes it in a moment",
        ),
        (3, {"places": 3, "taken": 3, "classes": ["WhyWaitingJob"]}, "all 3 workers are busy"),
        (2, {"places": 3, "taken": 0, "classes": ["Other"]}, "all 2 workers are busy"),
        (4, {"places": 3, "taken": 3, "classes": ["Other"]}, "a worker takes it in a moment"),
        (4, {"places": "x"}, "a worker takes it in a moment"),
    ],
)
def test_P14_all_places_for_its_kind_are_taken(rocketjob, performing, on_loops, said):
    server()
    busy = {"workers": 5, "performing": ["x"] * performing, "on_loops": on_loops}
    update = {"$set": {f"heartbeat.{key}": value for key, value in busy.items()}}
    Server.collection().update_one({}, update)
    assert row(WhyWaitingJob.create()) == f"it is next: {said}"


def test_P14_in_another_order_it_waits_for_its_turn(rocketjob):
    server()
    WhyWaitingJob.create()
    page = browser().get("/jobs/queued?sort=-priority")
    assert cells(page, "waits") == ["it waits for its turn"]


# --- and what is none ----------------------------------------------------------------------------


def test_P14_a_note_of_a_limit_that_has_room_by_now_says_nothing(rocketjob):
    server()
    holder = running(WhyWaitingLimitedJob.create())
    job = WhyWaitingLimitedJob.create()
    rocketjob.work_off()
    assert job.reload().throttled_by == "throttle_running_jobs"
    holder.reload().complete()
    assert row(job).startswith("it is next")


def test_P14_a_class_that_is_not_loaded_here_is_judged_by_servers(rocketjob):
    server(classes=["StrangerJob"])
    job = WhyWaitingJob.create()
    Job.collection().update_one({"_id": job.id}, {"$set": {"_type": "StrangerJob"}})
    assert row(job).startswith("it is next")


def test_P14_a_filter_that_only_a_store_can_judge_keeps_nothing_from_being_shown(rocketjob):
    clause = Clause("odd", "odd", {"$where": "this.a > 1"})
    server(clauses=[clause.stored()])
    assert row(WhyWaitingJob.create()).startswith("it is next")


def test_P14_a_reason_cannot_bring_markup(rocketjob):
    server(name="<b>x</b>:1", state="paused")
    job = WhyWaitingJob.create()
    for path in ("/jobs/queued", f"/jobs/{job.id}/explain"):
        page = browser().get(path)
        assert "<b>x" not in page.text and "<b>x</b>:1 is paused" in text_of(page)


# --- at what cost --------------------------------------------------------------------------------


def test_P14_a_list_asks_the_store_as_often_however_long_it_is(rocketjob):
    server()
    for number in range(100):
        WhyWaitingKeyedJob.create(account=number)  # each has a limit of its own
        WhyWaitingJob.create()
    client = browser()
    with counted_calls() as calls:
        page = client.get("/jobs/queued?size=100")
    assert len(cells(page, "waits")) == 100
    assert len(calls) <= 8, calls


def test_P14_the_same_for_programs(rocketjob):
    WhyWaitingJob.create()
    answer = browser().get("/jobs/queued.json").json()
    assert answer["data"][0]["waits"] == "no server is running"
