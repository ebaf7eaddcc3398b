"""The mixin Cron: a series of runs, each of which leaves exactly one successor."""

from datetime import UTC, datetime, timedelta

import pendulum
import pytest

from rocketjob import Job, UnknownJob, ValidationError, before, field
from rocketjob.server.recovery import Recovery
from rocketjob_plugins.cron import Cron, CronError
from rocketjob_plugins.retry import Retry

NOW = datetime(2015, 12, 9, 17, 50, 5, tzinfo=UTC)


class OneOClockJob(Cron, Job):
    cron_schedule = "0 1 * * * UTC"
    destroy_on_complete = False
    broken: bool = field(default=False, user_editable=True)

    def perform(self):
        if self.broken:
            raise RuntimeError("broken")


class AdHocReportJob(Cron, Job):
    """Without a schedule of its own, as in the original's guide."""

    destroy_on_complete = False

    def perform(self): ...


class NamedCronJob(Cron, Job):
    cron_schedule = "0 0 * * * UTC"
    name: str | None = None
    kept: str | None = field(default=None, copy_on_restart=True, user_editable=True)

    def perform(self): ...


@pytest.fixture(autouse=True)
def _at_a_fixed_time(rocketjob):
    rocketjob.freeze(NOW)


def series(cls=OneOClockJob):
    """Return the instances that have the schedule."""
    return [job for job in cls.all() if job.cron_schedule is not None]


# --- the original's examples ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "due"),
    [
        ("0 1 * * * UTC", datetime(2015, 12, 10, 1, tzinfo=UTC)),
        ("0 1 * * * America/New_York", datetime(2015, 12, 10, 6, tzinfo=UTC)),
    ],
)
def test_creating_queues_for_the_next_occurrence(rocketjob, schedule, due):
    job = OneOClockJob.create(cron_schedule=schedule)
    assert (job.state, job.run_at, job.reload().run_at) == ("queued", due, due)
    assert job.scheduled_at == due


def test_a_class_without_a_schedule_makes_ad_hoc_and_scheduled_jobs(rocketjob):
    scheduled = AdHocReportJob.create(cron_schedule="0 1 * * * America/New_York")
    at_once = [AdHocReportJob.create(), AdHocReportJob.create()]
    assert scheduled.run_at == datetime(2015, 12, 10, 6, tzinfo=UTC)
    assert rocketjob.work_off() == 2
    assert all(job.reload().is_completed for job in at_once)
    assert AdHocReportJob.count() == 3


def test_a_migration_can_create_it_again_and_again(rocketjob):
    OneOClockJob.create()
    assert OneOClockJob.create_if_valid() is None
    with pytest.raises(ValidationError, match="Another instance of OneOClockJob is already queued"):
        OneOClockJob.create()
    assert OneOClockJob.count() == 1


def test_run_now_runs_it_now_and_goes_on_with_the_series(rocketjob):
    OneOClockJob.create()
    OneOClockJob.queued().first().run_now()
    assert rocketjob.work_off() == 1
    (next_one,) = series()
    assert next_one.run_at == datetime(2015, 12, 10, 1, tzinfo=UTC)


def test_run_now_stays_through_later_saves(rocketjob):
    job = OneOClockJob.create()
    job.run_now()
    job.update(priority=7)
    assert job.reload().run_at is None


def test_changing_the_schedule_moves_run_at_when_it_is_saved(rocketjob):
    job = OneOClockJob.create()
    was = job.run_at
    job.cron_schedule = "* 1 * * * America/New_York"
    assert job.run_at == was
    job.save()
    assert job.reload().run_at == datetime(2015, 12, 10, 6, tzinfo=UTC)


def test_a_field_is_lost_unless_it_is_copied_on_restart(rocketjob):
    NamedCronJob.create(name="Joe Bloggs", kept="Jane").run_now()
    rocketjob.work_off()
    (job,) = NamedCronJob.all()
    assert (job.name, job.kept) == (None, "Jane")


# --- the end of a run -------------------------------------------------------------------------


@pytest.mark.parametrize("event", ["complete", "fail", "abort"])
def test_every_end_leaves_one_successor_and_clears_the_schedule(rocketjob, event):
    job = OneOClockJob.create()
    job.start()
    assert OneOClockJob.count() == 1
    getattr(job, event)()
    assert job.reload().cron_schedule is None
    (successor,) = series()
    assert (successor.state, successor.run_at) == ("queued", datetime(2015, 12, 10, 1, tzinfo=UTC))
    assert OneOClockJob.count() == 2


@pytest.mark.parametrize("event", ["fail", "abort"])
def test_so_does_an_end_before_it_started(rocketjob, event):
    getattr(OneOClockJob.create(), event)()
    assert [job.state for job in series()] == ["queued"]


@pytest.mark.parametrize("event", ["complete", "fail", "abort"])
def test_so_does_an_end_in_memory_that_is_saved_later(rocketjob, event):
    job = OneOClockJob.create()
    job.start()
    getattr(job, event)(save=False)
    job.save()
    job.save()
    assert job.reload().cron_schedule is None
    assert [each.state for each in series()] == ["queued"]


def test_a_job_that_aborts_itself_goes_on_too(rocketjob):
    class AbortingCronJob(OneOClockJob):
        def perform(self):
            self.abort(save=False)

    AbortingCronJob.create().run_now()
    rocketjob.work_off()
    assert sorted(job.state for job in AbortingCronJob.all()) == ["aborted", "queued"]
    assert len(series(AbortingCronJob)) == 1


def test_an_end_that_somebody_else_was_first_with_leaves_no_second_successor(rocketjob):
    job = OneOClockJob.create()
    other = OneOClockJob.find(job.id)
    other.abort()
    with pytest.raises(Exception, match="somebody else has changed it"):
        job.abort()
    assert len(series()) == 1


def test_a_failed_instance_is_retried_alone(rocketjob):
    OneOClockJob.create(broken=True).run_now()
    rocketjob.work_off()
    failed = OneOClockJob.failed().first()
    due = series()[0].run_at
    failed.update(broken=False)
    failed.retry()
    rocketjob.work_off()
    assert failed.reload().is_completed
    assert [job.run_at for job in series()] == [due]


def test_a_long_outage_is_made_up_for_by_one_run(rocketjob):
    OneOClockJob.create(cron_schedule="*/5 * * * *")
    rocketjob.travel(timedelta(days=9, seconds=7))
    assert rocketjob.work_off() == 1
    (job,) = series()
    assert job.run_at == datetime(2015, 12, 18, 17, 55, tzinfo=UTC)


def test_a_run_longer_than_its_period_leaves_out_what_it_missed(rocketjob):
    class SlowCronJob(OneOClockJob):
        cron_schedule = "*/5 * * * *"

        def perform(self):
            rocketjob.travel(timedelta(minutes=12))

    SlowCronJob.create().run_now()
    rocketjob.work_off()
    assert series(SlowCronJob)[0].run_at == datetime(2015, 12, 9, 18, 5, tzinfo=UTC)


def test_expiry_ends_the_series(rocketjob):
    job = OneOClockJob.create(expires_at=NOW + timedelta(minutes=1))
    job.start()
    rocketjob.travel(timedelta(minutes=2))
    job.complete()
    assert (job.cron_schedule, OneOClockJob.count()) == (None, 1)


def test_an_expired_instance_is_removed_and_ends_the_series(rocketjob):
    OneOClockJob.create(expires_at=NOW + timedelta(minutes=1))
    rocketjob.travel(timedelta(days=1))
    assert (rocketjob.work_off(), OneOClockJob.count()) == (0, 0)


def test_destroying_ends_the_series(rocketjob):
    OneOClockJob.create().destroy()
    assert OneOClockJob.count() == 0


def test_clearing_the_schedule_ends_the_series_and_keeps_run_at(rocketjob):
    job = OneOClockJob.create()
    was = job.run_at
    job.update(cron_schedule=None)
    assert job.run_at == was
    rocketjob.travel(timedelta(days=1))
    rocketjob.work_off()
    assert [each.state for each in OneOClockJob.all()] == ["completed"]


def test_what_is_edited_while_it_runs_holds_for_the_next(rocketjob):
    class EditedCronJob(NamedCronJob):
        def perform(self):
            stored = EditedCronJob.find(self.id)
            stored.update(cron_schedule="0 5 * * * UTC", kept="edited", priority=3)

    EditedCronJob.create(kept="as made").run_now()
    rocketjob.work_off()
    (job,) = EditedCronJob.all()
    assert (job.cron_schedule, job.kept, job.priority) == ("0 5 * * * UTC", "edited", 3)
    assert job.run_at == datetime(2015, 12, 10, 5, tzinfo=UTC)


def test_a_schedule_that_is_taken_away_while_it_runs_ends_the_series(rocketjob):
    job = OneOClockJob.create()
    job.start()
    OneOClockJob.find(job.id).update(cron_schedule=None)
    job.complete()
    assert OneOClockJob.count() == 1


# --- cron_after_start -------------------------------------------------------------------------


def test_after_start_queues_the_next_when_this_one_starts(rocketjob):
    job = OneOClockJob.create(cron_after_start=True)
    job.start()
    assert (job.is_running, job.reload().cron_schedule) == (True, None)
    (successor,) = series()
    assert (successor.state, OneOClockJob.count()) == ("queued", 2)
    job.complete()
    assert OneOClockJob.count() == 2


def test_after_start_on_a_server_takes_the_fields_as_they_are_then(rocketjob):
    class EarlyCronJob(NamedCronJob):
        cron_after_start = True
        destroy_on_complete = False

        def perform(self):
            self.kept = "changed in perform"

    EarlyCronJob.create(kept="before").run_now()
    rocketjob.work_off()
    assert [job.kept for job in series(EarlyCronJob)] == ["before"]
    assert [job.kept for job in EarlyCronJob.completed()] == ["changed in perform"]


def test_a_start_that_fails_before_the_hand_over_hands_over_at_the_end(rocketjob):
    class UnstartableCronJob(OneOClockJob):
        cron_after_start = True

        @before("start")
        def refuse(self):
            raise RuntimeError("not today")

    UnstartableCronJob.create().run_now()
    rocketjob.work_off()
    assert sorted(job.state for job in UnstartableCronJob.all()) == ["failed", "queued"]
    assert len(series(UnstartableCronJob)) == 1


# --- one of a kind ----------------------------------------------------------------------------


def test_a_differently_written_schedule_is_another_series(rocketjob):
    OneOClockJob.create()
    OneOClockJob.create(cron_schedule="00 1 * * * UTC")
    assert OneOClockJob.count() == 2


def test_singleton_can_be_switched_off(rocketjob):
    for _ in range(3):
        OneOClockJob.create(cron_singleton=False)
    OneOClockJob.all().update_all(run_at=NOW)
    assert rocketjob.work_off() == 3
    assert len(series()) == 3


def test_the_index_refuses_what_validation_did_not_see(rocketjob):
    OneOClockJob.create()
    with pytest.raises(ValidationError) as refused:
        OneOClockJob().save(validate=False)
    assert list(refused.value.errors) == ["cron_schedule"]


def test_aborting_where_the_class_is_not_loaded_does_not_block_a_new_series(rocketjob):
    job = OneOClockJob.create()
    OneOClockJob.collection().update_one({"_id": job.id}, {"$set": {"_type": "GoneCronJob"}})
    unknown = Job.find(job.id)
    assert isinstance(unknown, UnknownJob)
    unknown.abort()
    OneOClockJob.collection().update_one({"_id": job.id}, {"$set": {"_type": "OneOClockJob"}})
    OneOClockJob.create()


def test_inline_stores_nothing(rocketjob):
    OneOClockJob().perform_now()
    OneOClockJob(cron_after_start=True).perform_now()
    assert OneOClockJob.count() == 0


# --- what is given by hand --------------------------------------------------------------------


def test_a_run_at_that_is_given_wins(rocketjob):
    later = NOW + timedelta(minutes=3)
    job = OneOClockJob.create(run_at=later)
    assert job.run_at == later
    job.update(cron_schedule="0 3 * * * UTC", run_at=NOW)
    assert job.run_at == NOW


@pytest.mark.parametrize(
    "bad", ["blah", "", "* * * *", "61 * * * *", "0 0 30 2 *", "0 1 * * * utc"]
)
def test_a_bad_schedule_is_a_validation_error_that_names_it(rocketjob, bad):
    with pytest.raises(ValidationError) as refused:
        OneOClockJob.create(cron_schedule=bad)
    (message,) = refused.value.errors["cron_schedule"]
    assert message.startswith(f'Invalid cron_schedule: "{bad}": ')
    assert "Invalid cron schedule" not in message and message.count(f'"{bad}"') == 1


@pytest.mark.parametrize(
    ("field_name", "bad"),
    [("cron_dst", "sometimes"), ("cron_singleton", None), ("cron_after_start", "yes")],
)
def test_a_bad_value_is_a_validation_error_of_that_field_alone(rocketjob, field_name, bad):
    with pytest.raises(ValidationError) as refused:
        OneOClockJob.create(**{field_name: bad})
    assert list(refused.value.errors) == [field_name]


def test_a_required_field_that_the_next_run_would_miss_is_refused(rocketjob):
    class ForgetfulCronJob(Cron, Job):
        account: str

        def perform(self): ...

    with pytest.raises(ValidationError, match="account: would be missing in the next instance"):
        ForgetfulCronJob.create(account="acme", cron_schedule="@daily")
    ForgetfulCronJob.create(account="acme")


def test_a_job_without_a_schedule_has_no_next_occurrence(rocketjob):
    with pytest.raises(CronError):
        AdHocReportJob().next_occurrence()


# --- the occurrence -----------------------------------------------------------------------------


class OccurrenceJob(Cron, Retry, Job):
    cron_schedule = "58 23 * * *"
    destroy_on_complete = False

    def retry_delay(self, attempt):
        return timedelta(minutes=5)

    def perform(self):
        if self.failure_count == 0 and self.description == "fails":
            raise ConnectionError


FIRST = pendulum.datetime(2026, 3, 1, 23, 58)


def ended(rocketjob):
    return OccurrenceJob.where(state="completed").first()


def test_a_retry_after_midnight_is_still_for_its_occurrence(rocketjob):
    rocketjob.freeze(pendulum.datetime(2026, 3, 1, 12))
    OccurrenceJob.create(description="fails")
    rocketjob.travel(FIRST)
    rocketjob.work_off()
    rocketjob.travel(timedelta(minutes=6))
    rocketjob.work_off()
    job = ended(rocketjob)
    assert (job.occurrence, job.scheduled_at, job.failure_count) == (FIRST, FIRST, 1)
    assert OccurrenceJob.queued().first().occurrence == FIRST.add(days=1)


def test_run_now_is_for_the_occurrence_that_it_comes_before(rocketjob):
    rocketjob.freeze(pendulum.datetime(2026, 3, 1, 12))
    OccurrenceJob.create().run_now()
    rocketjob.work_off()
    assert ended(rocketjob).occurrence == FIRST


def test_a_late_run_is_for_the_occurrence_that_was_missed(rocketjob):
    rocketjob.freeze(pendulum.datetime(2026, 3, 1, 12))
    OccurrenceJob.create()
    rocketjob.travel(FIRST.add(hours=5))
    rocketjob.work_off()
    assert ended(rocketjob).scheduled_at == FIRST


def test_a_first_run_whose_time_is_given_is_for_that_time(rocketjob):
    at = pendulum.datetime(2026, 3, 1, 15)
    rocketjob.freeze(pendulum.datetime(2026, 3, 1, 12))
    job = OccurrenceJob.create(run_at=at, description="fails")
    rocketjob.travel(at)
    rocketjob.work_off()
    assert job.reload().run_at > at
    assert job.occurrence == at


def test_another_schedule_is_another_occurrence(rocketjob):
    rocketjob.freeze(pendulum.datetime(2026, 3, 1, 12))
    job = OccurrenceJob.create()
    job.update(cron_schedule="0 1 * * *")
    assert job.reload().occurrence == job.run_at == pendulum.datetime(2026, 3, 2, 1)


def test_a_job_that_an_earlier_version_stored_gets_its_occurrence_when_it_is_retried(rocketjob):
    rocketjob.freeze(pendulum.datetime(2026, 3, 1, 12))
    job = OccurrenceJob.create(description="fails")
    OccurrenceJob.collection().update_one({"_id": job.id}, {"$unset": {"occurrence": ""}})
    rocketjob.travel(FIRST)
    rocketjob.work_off()
    assert job.reload().occurrence == FIRST


# --- a clock that was ahead ----------------------------------------------------------------------


def test_a_run_that_was_planned_by_a_clock_that_was_ahead_is_planned_again(rocketjob):
    OneOClockJob.create()
    rocketjob.freeze(NOW + timedelta(days=3))
    rocketjob.work_off()
    (successor,) = series()
    assert successor.run_at == datetime(2015, 12, 13, 1, tzinfo=UTC)
    recovery = Recovery(rocketjob.application, "mine")
    recovery.plan_again()
    assert series()[0].run_at == successor.run_at  # the clock is ahead still
    rocketjob.freeze(NOW)
    recovery.plan_again()
    (planned,) = series()
    tonight = datetime(2015, 12, 10, 1, tzinfo=UTC)
    assert (planned.id, planned.run_at, planned.occurrence) == (successor.id, tonight, tonight)
    recovery.plan_again()
    assert series()[0].run_at == tonight


@pytest.mark.parametrize("how", ["edited", "run now", "aborted"])
def test_what_happens_while_a_run_is_planned_again_holds(rocketjob, how):
    rocketjob.freeze(NOW + timedelta(days=3))
    job = OneOClockJob.create()
    stale = OneOClockJob.find(job.id)
    rocketjob.freeze(NOW)
    if how == "edited":
        job.update(run_at=NOW + timedelta(days=9))
    else:
        job.run_now() if how == "run now" else job.abort()
    before = job.reload().to_document()
    assert not stale.plan_again()
    assert job.reload().to_document() == before


def test_a_time_that_a_user_has_set_is_not_planned_again(rocketjob):
    rocketjob.freeze(NOW + timedelta(days=3))
    job = OneOClockJob.create()
    job.run_at = NOW + timedelta(days=9)
    job.save()
    other = OneOClockJob.create(cron_schedule="0 2 * * * UTC", run_at=NOW + timedelta(days=8))
    rocketjob.freeze(NOW)
    Recovery(rocketjob.application, "mine").plan_again()
    assert job.reload().run_at == NOW + timedelta(days=9)
    assert other.reload().run_at == NOW + timedelta(days=8)
