"""What holds jobs back says so: in words of the moment, stored by whoever decided."""

import re
from datetime import UTC, datetime, timedelta
from typing import Optional

import pytest

from rocketjob import Hold, Job, StoreUnavailable, hookimpl
from rocketjob.base.errors import ConfigurationError
from rocketjob.cli import make_cli
from rocketjob.jobs import holds
from rocketjob.jobs.unknown import UnknownJob
from rocketjob.queue.dispatch import Queue
from rocketjob_plugins.throttle import Throttle, this_job, throttle
from support.jobs import KeptJob, PassingJob

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
load = {"value": 3.2, "asked": 0}


class BusyHeldJob(Throttle, Job):
    destroy_on_complete = False

    @throttle
    def load_is_too_high(self) -> str | None:
        load["asked"] += 1
        return f"load {load['value']} > 0.8" if load["value"] > 0.8 else None

    def perform(self):
        assert self.throttled_by is None


class HeldGroupJob(Throttle, Job):
    destroy_on_complete = False

    @throttle(filter={"_type": {"$in": ["HeldGroupJob", "KeptJob", "FarAwayJob"]}})
    def lag(self) -> bool:
        """The replica lags."""
        return load["value"] > 0.8

    def perform(self): ...


class OneHeldJob(Throttle, Job):
    throttle_running_jobs = 1

    def perform(self): ...


class Vetoing:
    """Holds back jobs of one class by whatever it is given."""

    def __init__(self, answer, cls=KeptJob):
        self.answer, self.cls, self.asked = answer, cls, 0

    @hookimpl
    def veto_claim(self, job):
        if type(job) is not self.cls:
            return None
        self.asked += 1
        return self.answer() if callable(self.answer) else self.answer


@pytest.fixture(autouse=True)
def _at_a_fixed_time(rocketjob):
    load.update(value=3.2, asked=0)
    rocketjob.freeze(NOW)


def said(job):
    job.reload()
    return job.throttled_by, job.throttled_text, job.throttled_at


def other_queue(rocketjob):
    """The queue as another process sees it."""
    return Queue(
        rocketjob.store, rocketjob.plugins, rocketjob.application.config, "other.2", "other:9:1"
    )


# --- on the job --------------------------------------------------------------------------------


@pytest.mark.both_stores
def test_a_reason_in_words_of_the_moment_is_stored_with_its_time(rocketjob):
    job = BusyHeldJob.create()
    assert rocketjob.work_off() == 0
    assert said(job) == ("load_is_too_high", "load 3.2 > 0.8", NOW)
    assert job.history[-1].reason == "load_is_too_high: load 3.2 > 0.8"


def test_the_reason_is_written_only_when_it_changes(rocketjob):
    job = BusyHeldJob.create()
    for load["value"], at in ((3.2, NOW), (3.2, NOW), (4.5, NOW + 2 * MINUTE)):
        rocketjob.work_off()
        assert said(job) == ("load_is_too_high", f"load {load['value']} > 0.8", at)
        rocketjob.travel(MINUTE)


@pytest.mark.both_stores
def test_the_reason_is_gone_before_the_job_performs(rocketjob):
    job = BusyHeldJob.create()
    rocketjob.work_off()
    load["value"] = 0.1
    rocketjob.travel(MINUTE)
    assert rocketjob.work_off() == 1
    assert job.reload().is_completed
    assert not {*holds.KEYS} & BusyHeldJob.collection().find_one({"_id": job.id}).keys() or (
        said(job) == (None, None, None)
    )


@pytest.mark.parametrize("event", ["abort", "pause", "fail", "start"])
def test_a_job_that_leaves_the_queue_is_held_back_by_nothing(rocketjob, event):
    job = BusyHeldJob.create()
    rocketjob.work_off()
    getattr(job.reload(), event)()
    assert said(job) == (None, None, None)


def test_a_full_limit_says_its_rule_and_the_claim_takes_it_off(rocketjob):
    first, second = OneHeldJob.create_many([{}, {}])
    rocketjob.queue.claim(5)
    assert said(second) == ("throttle_running_jobs", "at most 1 may run at once", NOW)
    first.reload().complete()
    (claimed,) = rocketjob.queue.claim(5)
    assert claimed.throttled_by is claimed.throttled_text is claimed.throttled_at is None


def test_passwords_and_length_of_a_reason_are_kept_in_bounds(rocketjob):
    text = "cannot reach mysql://me:secret@replica/shop: " + "x" * 5_000
    rocketjob.plugins.register(Vetoing(Hold("lag", text)))
    job = KeptJob.create()
    rocketjob.work_off()
    assert "secret" not in said(job)[1]
    assert len(said(job)[1]) == 500


def test_the_first_line_of_the_docstring_is_the_reason_of_true(rocketjob):
    job = HeldGroupJob.create()
    rocketjob.work_off()
    assert said(job) == ("lag", "The replica lags", NOW)


def test_what_a_throttle_may_say_is_checked_when_its_class_is_made():
    def with_annotation(annotation):
        def busy(self):
            return None

        busy.__annotations__["return"] = annotation
        return type("AnnotatedJob", (Throttle, Job), {"busy": throttle(busy)})

    for good in (bool, str | None, "str | None", "bool|str", "bool | str | None", Optional[str]):  # noqa: UP045
        assert with_annotation(good).throttles() == ["busy"]
    for bad in (str, "str", int, "bool | int", "None", type(None)):
        with pytest.raises(ConfigurationError, match="returns True or False, or a reason in words"):
            with_annotation(bad)


# --- for all that are left alone -----------------------------------------------------------------


@pytest.mark.both_stores
def test_a_class_that_is_held_back_by_the_filter_of_another_says_so(rocketjob):
    held = HeldGroupJob.create(priority=1)
    rocketjob.work_off()
    other = KeptJob.create()  # later: nobody has asked about it
    assert rocketjob.work_off() == 0
    (reason,) = [r for r in other.explain().reasons if r.name == "lag"]
    assert reason.text == (
        f"held back by lag, with HeldGroupJob {held.id}: The replica lags "
        "(test:0:1 at 2026-03-01 12:00:00 UTC)"
    )
    assert reason.until == NOW + MINUTE
    load["value"] = 0
    rocketjob.travel(MINUTE)
    assert rocketjob.work_off() == 2


def test_a_class_that_is_not_loaded_here_says_what_was_stored(rocketjob):
    far = KeptJob.create()
    KeptJob.collection().update_one({"_id": far.id}, {"$set": {"_type": "FarAwayJob"}})
    HeldGroupJob.create(priority=1)
    rocketjob.work_off()
    job = Job.find(far.id)
    assert isinstance(job, UnknownJob)
    assert "held back by lag, with HeldGroupJob" in str(job.explain())


def test_the_limits_of_a_class_that_is_not_loaded_here_are_not_denied(rocketjob):
    _, second, third = OneHeldJob.create_many([{}, {}, {}])
    rocketjob.queue.claim(5)
    for job in (second, third):
        OneHeldJob.collection().update_one({"_id": job.id}, {"$set": {"_type": "FarAwayJob"}})
    assert "held back by throttle_running_jobs: at most 1 may" in str(Job.find(second.id).explain())
    text = str(Job.find(third.id).explain())
    assert f"FarAwayJob {second.id} is held back by throttle_running_jobs" in text
    assert "which is not loaded here (--app MODULE)" in text


def test_what_was_held_back_and_is_due_to_be_asked_again_is_not_denied(rocketjob):
    job = BusyHeldJob.create()
    rocketjob.work_off()
    rocketjob.travel(2 * MINUTE)
    assert "load_is_too_high" in job.explain().names()
    assert load["asked"] == 1


def test_documents_of_what_was_held_back_do_not_pile_up(rocketjob):
    stored = rocketjob.store.collection(holds.COLLECTION)
    HeldGroupJob.create()
    for _ in range(3):
        rocketjob.work_off()
        rocketjob.travel(MINUTE)
        assert stored.count_documents({}) == 1
    rocketjob.plugins.register(Vetoing(lambda: Hold("alone")))
    KeptJob.create_many([{}] * 5)
    rocketjob.work_off()
    assert stored.count_documents({"name": "alone"}) == 0


# --- when it is asked again ----------------------------------------------------------------------


def test_travel_moves_the_re_check(rocketjob):
    BusyHeldJob.create()
    rocketjob.work_off()
    load["value"] = 0
    rocketjob.travel(MINUTE - timedelta(seconds=1))
    assert rocketjob.work_off() == 0
    rocketjob.travel(timedelta(days=1))
    assert rocketjob.work_off() == 1


@pytest.mark.both_stores
@pytest.mark.parametrize("way", ["complete", "fail", "abort", "destroy"])
def test_the_end_of_a_running_job_of_the_group_is_noticed_at_once(rocketjob, way):
    running = BusyHeldJob.create()
    running.start()
    job = BusyHeldJob.create()
    rocketjob.work_off()
    for _ in range(3):
        assert rocketjob.work_off() == 0
    assert load["asked"] == 1
    load["value"] = 0
    getattr(running, way)()  # by whichever process
    assert rocketjob.work_off() == 1
    assert job.reload().is_completed
    assert rocketjob.store.collection(holds.COLLECTION).count_documents({}) == 0


def test_a_job_that_is_released_has_not_ended(rocketjob):
    BusyHeldJob.create_many([{}] * 5)
    here, there = rocketjob.queue, other_queue(rocketjob)
    claimed = [*here.claim(2), *there.claim(2)]
    for job, queue in zip(claimed, (here, here, there, there), strict=True):
        queue.hold_back(job, Hold("busy"), {"_type": "BusyHeldJob"})
    assert BusyHeldJob.queued().count() == 5
    assert here.claim(5) == there.claim(5) == []


@pytest.mark.parametrize(
    ("until", "asked_after"),
    [
        (timedelta(seconds=5), timedelta(seconds=5)),
        (timedelta(hours=5), MINUTE),
        (-MINUTE, MINUTE),
        (timedelta(0), MINUTE),
    ],
)
def test_it_is_asked_again_when_it_said_or_at_the_re_check(rocketjob, until, asked_after):
    vetoing = Vetoing(lambda: Hold("window", "closed", {"_type": "KeptJob"}, NOW + until))
    rocketjob.plugins.register(vetoing)
    KeptJob.create()
    rocketjob.work_off()
    rocketjob.travel(asked_after - timedelta(milliseconds=100))
    rocketjob.work_off()
    assert vetoing.asked == 1
    assert rocketjob.queue.eligible.deferred.ends_in() <= 0.1
    rocketjob.travel(timedelta(milliseconds=200))
    rocketjob.work_off()
    assert vetoing.asked == 2


# --- the hook ------------------------------------------------------------------------------------


def test_a_hold_without_a_filter_is_of_its_job_alone(rocketjob):
    class OddVetoing:
        @hookimpl
        def veto_claim(self, job):
            return Hold("odd") if job.priority % 2 else None

    rocketjob.plugins.register(OddVetoing())
    odd, even = KeptJob.create(priority=1), KeptJob.create(priority=2)
    assert rocketjob.work_off() == 1
    assert said(odd) == ("odd", "odd", NOW)
    assert even.reload().is_completed


def test_a_name_and_a_filter_are_deprecated_and_still_hold_back(rocketjob):
    rocketjob.plugins.register(Vetoing(("old", {"_type": "KeptJob"})), "elder")
    jobs = KeptJob.create_many([{}, {}])
    with pytest.warns(DeprecationWarning, match=r"plugin elder returned .* rocketjob.Hold\("):
        assert rocketjob.work_off() == 0
    assert said(jobs[0]) == ("old", "old", NOW)
    assert "old" in jobs[1].explain().names()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": ""}, "name must be a string"),
        ({"name": 5}, "name must be a string, not 5"),
        ({"name": "a", "text": None}, "text must be a string, not None"),
        ({"name": "a", "filter": "x"}, "filter must be a filter of jobs, a dict, not 'x'"),
        ({"name": "a", "until": 5}, "until must be a datetime with a time zone, not 5"),
        ({"name": "a", "until": datetime(2026, 1, 1)}, "until must be a datetime with a time zone"),
    ],
)
def test_a_hold_that_is_none_is_refused_and_holds_back_in_the_plugins_name(
    rocketjob, values, message
):
    with pytest.raises(TypeError, match=re.escape(message)):
        Hold(**values)
    rocketjob.plugins.register(Vetoing(lambda: Hold(**values)), "wrong")
    job = KeptJob.create()
    assert rocketjob.work_off() == 0
    assert said(job)[0] == "wrong"
    assert message in said(job)[1]


def test_a_filter_that_cannot_be_written_holds_back_its_own_job(rocketjob):
    rocketjob.plugins.register(Vetoing(lambda: Hold("busy", filter={"at": {1, 2}})))
    job, other = KeptJob.create(priority=1), PassingJob.create()
    assert rocketjob.work_off() == 1
    assert "cannot be used" in said(job)[1]
    assert PassingJob.where({"_id": other.id}).count() == 0


def test_a_job_is_held_back_although_the_store_does_not_take_the_announcement(
    rocketjob, monkeypatch
):
    def unavailable(*_):
        raise StoreUnavailable("just now")

    monkeypatch.setattr(holds, "publish", unavailable)
    monkeypatch.setattr(
        type(rocketjob.store), "is_transient", lambda _, error: isinstance(error, StoreUnavailable)
    )
    job = HeldGroupJob.create()
    assert rocketjob.work_off() == 0
    assert said(job) == ("lag", "The replica lags", NOW)


# --- what people see -----------------------------------------------------------------------------


def test_lists_and_pages_show_what_was_stored(rocketjob, capsys):
    job = BusyHeldJob.create()
    rocketjob.work_off()
    load["value"] = 9.9
    run("jobs", "list")
    assert "held back: load 3.2 > 0.8" in capsys.readouterr().out
    run("jobs", "show", str(job.id))
    assert re.search(r"Held back +by load_is_too_high: load 3.2 > 0.8", capsys.readouterr().out)
    run("jobs", "explain", str(job.id))
    assert "held back by load_is_too_high: load 3.2 > 0.8" in capsys.readouterr().out
    assert load["asked"] == 1


def run(*words):
    with pytest.raises(SystemExit):
        make_cli().main(list(words))


# --- what it costs -------------------------------------------------------------------------------


def test_a_claim_without_limits_and_holds_asks_the_store_once(rocketjob, monkeypatch):
    calls = []
    store = rocketjob.store

    def counted(name):
        method = getattr(type(store), name)

        def call(self, *args, **kwargs):
            calls.append(name)
            return method(self, *args, **kwargs)

        monkeypatch.setattr(type(store), name, call)

    PassingJob.create_many([{}] * 3)
    rocketjob.queue.claim(1)  # which looks at the classes
    for name in ("collection", "claim_many", "write_many"):
        counted(name)
    monkeypatch.setattr(rocketjob.queue.eligible, "limited", False)
    monkeypatch.setattr(rocketjob.queue.eligible, "joinable", [])
    assert len(rocketjob.queue.claim(1)) == 1
    assert calls == ["claim_many"]


def test_only_this_job_is_left_alone_where_that_is_the_filter(rocketjob):
    class OddHeldJob(Throttle, Job):
        number: int = 0

        @throttle(filter=this_job)
        def is_odd(self) -> str | None:
            return f"{self.number} is odd" if self.number % 2 else None

        def perform(self): ...

    OddHeldJob.create_many([{"number": n} for n in range(6)])
    assert rocketjob.work_off() == 3
    assert sorted(OddHeldJob.queued().pluck("throttled_text")) == [
        "1 is odd",
        "3 is odd",
        "5 is odd",
    ]
    assert rocketjob.store.collection(holds.COLLECTION).count_documents({}) == 0
