"""The mixin ProcessingWindow."""

from datetime import UTC, datetime, timedelta

import pytest

from rocketjob import Job, ValidationError
from rocketjob_plugins.processing_window import ProcessingWindow, shortest_period

NOW = datetime(2015, 12, 9, 17, 50, 5, tzinfo=UTC)  # 12:50:05 in New York


class OpenHoursJob(ProcessingWindow, Job):
    """The example of the original's guide."""

    processing_schedule = "30 8 * * * America/New_York"
    processing_duration = timedelta(hours=12)
    destroy_on_complete = False

    def perform(self): ...


class NightJob(ProcessingWindow, Job):
    processing_schedule = "0 1 * * * America/New_York"
    processing_duration = timedelta(hours=1)
    destroy_on_complete = False
    ran: bool = False

    def perform(self):
        self.ran = True


OPENS = datetime(2015, 12, 10, 6, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _at_a_fixed_time(rocketjob):
    rocketjob.freeze(NOW)


def test_within_its_window_it_runs_at_once(rocketjob):
    job = OpenHoursJob.create()
    assert job.run_at is None
    rocketjob.work_off()
    assert job.reload().is_completed


def test_after_hours_it_waits_for_the_next_morning(rocketjob):
    rocketjob.travel(datetime(2015, 12, 10, 2, tzinfo=UTC))  # 21:00 in New York
    assert OpenHoursJob.create().run_at == datetime(2015, 12, 10, 13, 30, tzinfo=UTC)


def test_outside_it_is_created_for_the_next_opening(rocketjob):
    job = NightJob.create()
    assert job.run_at == OPENS
    rocketjob.travel(OPENS)
    assert rocketjob.work_off() == 1
    assert job.reload().ran


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        ("2015-12-09 17:50:05", True),
        ("2015-12-09 16:50:05", False),
        ("2015-12-09 16:59:59.999", False),
        ("2015-12-09 17:00:00", True),
        ("2015-12-09 17:59:59.999", True),
        ("2015-12-09 18:00:00", False),
    ],
)
def test_a_window_is_open_from_its_first_instant_to_before_its_end(rocketjob, at, is_open):
    job = NightJob(processing_schedule="0 17 * * * UTC", processing_duration=timedelta(hours=1))
    assert job.is_window_open(datetime.fromisoformat(at).replace(tzinfo=UTC)) is is_open


def test_a_run_at_within_a_window_is_kept(rocketjob):
    at = OPENS + timedelta(minutes=30)
    assert NightJob.create(run_at=at).run_at == at


def test_a_run_at_outside_moves_to_the_opening_after_it(rocketjob):
    job = NightJob.create(run_at=OPENS + timedelta(hours=5))
    assert job.run_at == OPENS + timedelta(days=1)


def test_a_retry_outside_waits_for_the_window(rocketjob):
    job = NightJob.create()
    job.fail("broken")
    job.retry()
    assert job.reload().run_at == OPENS


def test_a_job_that_no_worker_was_free_for_waits_for_the_next_window(rocketjob):
    job = NightJob.create()
    rocketjob.travel(OPENS + timedelta(hours=1))
    assert rocketjob.work_off() == 1
    assert (job.reload().state, job.ran, job.run_at) == ("queued", False, OPENS + timedelta(days=1))
    assert job.history[-1].reason == "outside its processing window"
    assert rocketjob.work_off() == 0  # no loop


def test_run_now_outside_its_window_waits_all_the_same(rocketjob):
    job = NightJob.create()
    job.run_now()
    rocketjob.work_off()
    assert (job.reload().state, job.run_at, job.ran) == ("queued", OPENS, False)


def test_work_that_has_started_is_not_interrupted(rocketjob):
    class LongNightJob(NightJob):
        def perform(self):
            rocketjob.travel(timedelta(hours=7))

    job = LongNightJob.create(run_at=OPENS)
    rocketjob.travel(OPENS)
    rocketjob.work_off()
    assert job.reload().is_completed


def test_inline_outside_its_window_it_is_stored_and_queued(rocketjob):
    job = NightJob()
    job.perform_now()
    assert (job.state, job.is_new, job.ran, job.run_at) == ("queued", False, False, OPENS)


# --- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "field_name", "said"),
    [
        ({"processing_schedule": None}, "processing_schedule", "is required"),
        ({"processing_duration": None}, "processing_duration", "is required"),
        (
            {"processing_schedule": "blah"},
            "processing_schedule",
            'Invalid processing_schedule: "bl',
        ),
        ({"processing_schedule": ""}, "processing_schedule", "Invalid processing_schedule"),
        ({"processing_schedule": "0 1 * * * Mars"}, "processing_schedule", "Mars"),
        ({"processing_duration": timedelta(0)}, "processing_duration", "must be longer than 0"),
        ({"processing_duration": timedelta(-1)}, "processing_duration", "must be longer than 0"),
        ({"processing_duration": 3600}, "processing_duration", "must be timedelta"),
        (
            {"processing_duration": timedelta(days=2)},
            "processing_duration",
            "longer than the 1 day",
        ),
    ],
)
def test_bad_fields_are_validation_errors(rocketjob, fields, field_name, said):
    wanted = {"processing_schedule": "0 1 * * *", "processing_duration": timedelta(hours=1)}

    class AnyWindowJob(ProcessingWindow, Job):
        def perform(self): ...

    with pytest.raises(ValidationError) as refused:
        AnyWindowJob.create(**{**wanted, **fields})
    assert list(refused.value.errors) == [field_name]
    assert said in refused.value.errors[field_name][0]


def test_a_window_of_the_whole_day_is_valid_also_where_a_day_has_23_hours():
    assert shortest_period("0 0 * * * America/New_York") == timedelta(days=1)
    assert shortest_period("@daily Europe/Berlin") == timedelta(days=1)


def test_the_shortest_of_unequal_periods_counts(rocketjob):
    with pytest.raises(ValidationError, match="longer than the 1 day "):
        OpenHoursJob.create(
            processing_schedule="0 8 * * Mon,Tue UTC", processing_duration=timedelta(hours=25)
        )
