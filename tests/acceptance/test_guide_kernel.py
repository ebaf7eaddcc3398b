"""The guide's sections 1 to 4, 9 and 10, block by block, run for real.

The code is the guide's own; what a block leaves open (`...`) is filled in, and what it shows is
checked below it.
"""

from datetime import date, timedelta
from time import monotonic

import pytest

from rocketjob import (
    InvalidTransition,
    Job,
    NotFound,
    StateConflict,
    UnknownJob,
    ValidationError,
    after,
    around,
    before,
    field,
    hookimpl,
    validate,
    validators,
)


class GuideReportJob(Job):  # the guide's ReportJob
    """One class = one kind of work. Annotated attributes are its fields."""

    destroy_on_complete = False
    priority = 70

    username: str
    user_count: int = 0
    tags: list[str] = []
    report_date: date = field(factory=date.today, user_editable=True, copy_on_restart=True)
    title: str | None = field(factory=lambda job: f"for {job.username}")
    ssn: str | None = field(default=None, encrypted=True)

    def perform(self) -> dict:
        self.logger.info("building", username=self.username)
        self.user_count = 123
        return {"calculation": 24 * 1000}


class GuideImportJob(Job):
    destroy_on_complete = False
    collect_output = True

    def perform(self, file_name: str, *, dry_run: bool = False):
        return {"file_name": file_name, "dry_run": dry_run}


# --- 1. A job -----------------------------------------------------------------------------------


def test_section_1_a_job(rocketjob):
    rocketjob.freeze()
    job = GuideReportJob.create(username="Jack Jones", priority=5, run_at=timedelta(hours=2))
    assert job.is_scheduled
    job = GuideReportJob(username="Jack Jones")
    assert (job.priority, job.title, job.tags) == (70, "for Jack Jones", [])
    job.priority = 5
    job.save()
    assert GuideReportJob(username="x").perform_now() == {"calculation": 24000}
    assert GuideReportJob.count() == 2

    assert rocketjob.work_off() == 1
    assert job.reload().user_count == 123  # visible on the job after it completes
    assert (job.is_completed, job.result) == (True, None)


def test_section_1_rules_about_fields(rocketjob):
    with pytest.raises(ValidationError) as error:
        GuideReportJob.create(user_count="many")
    assert error.value.errors == {
        "username": ["is required"],
        "user_count": ["must be int, not str 'many'"],
    }
    with pytest.raises(TypeError, match="did you mean username"):
        GuideReportJob(user_name="x")
    assert GuideReportJob.from_properties({"username": "x", "user_count": "5"}).user_count == 5

    class GuideCountJob(Job):
        count: int = 1
        first: str = "f"
        options: dict = {}

        def perform(self): ...

    job = GuideCountJob.create()
    assert (job.count, job.first, GuideCountJob.count()) == (1, "f", 1)
    with pytest.raises(ValidationError, match=r"keys may not contain '.' nor begin with '\$'"):
        GuideCountJob.create(options={"a.b": 1})


def test_section_1_arguments_for_perform(rocketjob):
    job = GuideImportJob.perform_later("file.csv", dry_run=True)
    GuideImportJob.set(
        priority=5, run_at=timedelta(hours=2), expires_at=timedelta(minutes=15)
    ).perform_later("file.csv")
    found = GuideImportJob.set(log_level="debug").perform_now("file.csv")
    assert found == {"file_name": "file.csv", "dry_run": False}
    with pytest.raises(TypeError):
        GuideImportJob.perform_later()
    rocketjob.work_off()
    assert job.reload().result == {"file_name": "file.csv", "dry_run": True}


def test_section_1_async_perform(rocketjob):
    class GuideAsyncJob(Job):
        destroy_on_complete = False
        collect_output = True

        async def perform(self):
            return 5

    job = GuideAsyncJob.create()
    rocketjob.work_off()
    assert job.reload().result == {"result": 5}


def test_section_1_standard_fields():
    expected = {
        "description": None,
        "priority": 50,
        "run_at": None,
        "expires_at": None,
        "destroy_on_complete": True,
        "collect_output": False,
        "log_level": None,
    }
    job = Job()
    assert {name: getattr(job, name) for name in expected} == expected
    read_only = (
        "id state created_at started_at completed_at failure_count worker_name "
        "percent_complete exception result arguments"
    )
    assert set(read_only.split()) <= set(Job.fields())


# --- 2. Life of a job ---------------------------------------------------------------------------


def test_section_2_life_of_a_job(rocketjob):
    job = GuideReportJob.create(username="x")
    job.abort(save=False)
    assert job.is_aborted
    assert job.reload().is_queued
    job.abort()
    assert job.reload().is_aborted
    assert job.may("retry") is False
    states = (
        job.is_queued,
        job.is_running,
        job.is_completed,
        job.is_failed,
        job.is_paused,
        job.is_aborted,
        job.is_scheduled,
        job.is_expired,
    )
    assert states == (False, False, False, False, False, True, False, False)
    with pytest.raises(InvalidTransition):
        job.retry()

    job = GuideReportJob.create(username="x")
    GuideReportJob.find(job.id).start()
    with pytest.raises(StateConflict):
        job.pause()
    job.reload()
    job.fail("reason")
    assert job.exception.message == "reason"
    assert isinstance(job.status(), dict)
    assert isinstance(job.duration, str)
    assert isinstance(job.seconds, float)


def test_section_2_exception(rocketjob):
    class GuideFailingJob(Job):
        def perform(self):
            try:
                {}["key"]
            except KeyError as error:
                raise ValueError("no such key") from error

    job = GuideFailingJob.create()
    rocketjob.work_off()
    found = job.reload().exception
    assert (found.class_name, found.message, found.cause.class_name) == (
        "ValueError",
        "no such key",
        "KeyError",
    )
    assert all(isinstance(line, str) for line in found.backtrace)
    assert found.worker_name


# --- 3. Persistence and queries -----------------------------------------------------------------


def test_section_3_persistence(rocketjob):
    job = GuideReportJob(username="x")
    job.save()
    job.update(priority=32)
    job.update(priority=320, validate=False)
    job.reload()
    job.delete()
    job = GuideReportJob.create(username="x")
    job.destroy()
    GuideReportJob.delete_all()
    Job.destroy_all()
    GuideReportJob.create_many([{"username": "a"}, {"username": "b"}])
    assert GuideReportJob.count() == 2


def test_section_3_queries(rocketjob):
    with pytest.raises(NotFound):
        Job.find("55aeaf03a26ec0c1bd00008d")
    job = GuideReportJob.create(username="x", report_date=date(2026, 1, 1), priority=20)
    assert Job.first().id == Job.last().id == job.id
    assert GuideReportJob.count() == 1
    assert GuideReportJob.where(report_date=date(2026, 1, 1)).first().id == job.id
    found = GuideReportJob.where({"priority": {"$lte": 25}}).order_by("-created_at").limit(10)
    assert [each.id for each in found] == [job.id]
    scopes = (
        GuideReportJob.failed(),
        GuideReportJob.queued(),
        GuideReportJob.running(),
        GuideReportJob.completed(),
        GuideReportJob.paused(),
        GuideReportJob.aborted(),
        GuideReportJob.scheduled(),
        GuideReportJob.queued_now(),
    )
    assert [scope.count() for scope in scopes] == [0, 1, 0, 0, 0, 0, 0, 1]
    job.fail("x")
    for job in Job.failed():
        job.retry()
    assert Job.queued().count() == 1
    assert Job.where(priority=20).exists()
    assert Job.where(priority=20).pluck("id", "priority") == [(job.id, 20)]
    assert Job.where(priority=20).update_all(priority=10) == 1
    assert Job.where(priority=10).delete_all() == 1
    assert Job.where(priority=10).destroy_all() == 0


def test_section_3_unknown_class(rocketjob):
    job = GuideReportJob.create(username="x")
    job.collection().update_one({"_id": job.id}, {"$set": {"_type": "GoneJob"}})
    found = Job.first()
    assert isinstance(found, UnknownJob)
    assert rocketjob.work_off() == 0
    found.abort()
    found.destroy()
    assert Job.count() == 0


# --- 4. Callbacks and validations ---------------------------------------------------------------


def test_section_4_callbacks_and_validations(rocketjob):
    ran = []

    class GuideMyJob(Job):
        email: str = field(validator=validators.matches_re(r".+@.+"))
        count: int = field(default=1, validator=validators.in_range(1, 100))

        @before("start")
        def announce(self):
            ran.append("announce")

        @around("perform")
        def timed(self):
            t = monotonic()
            yield
            self.logger.info("took", seconds=monotonic() - t)
            ran.append("timed")

        @after("fail", when=lambda job: job.failure_count > 3)
        def page_someone(self):
            ran.append("page")

        @validate
        def not_root(self):
            if self.email.startswith("root@"):
                self.errors.add("email", "must not be root")

        def perform(self):
            ran.append("perform")

    @around("perform", on=Job)  # middleware for all jobs, from outside
    def traced(job):
        ran.append("traced in")
        yield
        ran.append("traced out")

    job = GuideMyJob.create(email="jack@example.com")
    rocketjob.work_off()
    assert ran == ["announce", "traced in", "perform", "timed", "traced out"]

    job = GuideMyJob.create(email="jack@example.com")
    for _ in range(4):
        assert "page" not in ran
        job.fail("x")
        job.retry()
    assert ran[-1] == "page"

    with pytest.raises(ValidationError) as error:
        GuideMyJob.create(email="root@example.com", count=0)
    assert error.value.errors == {
        "email": ["must not be root"],
        "count": ["must be from 1 to 100, not 0"],
    }
    with pytest.raises(ValidationError):
        GuideMyJob(email="nobody").perform_now()


# --- 9. Tests of the user's own jobs --------------------------------------------------------------


def test_section_9_report(rocketjob):  # a private in-memory store for this test
    job = GuideReportJob.create(username="Jack", destroy_on_complete=False)
    rocketjob.work_off()
    assert job.reload().is_completed
    rocketjob.travel(timedelta(hours=2))
    rocketjob.work_off(limit=1)


# --- 10. Extending --------------------------------------------------------------------------------


def test_section_10_extending(rocketjob):
    heard, told = [], []

    class GuidePlugin:
        @hookimpl
        def state_changed(self, job, event, source, target):
            heard.append((event, source, target))

    class NotifySlack:  # a mixin for job classes
        slack_channel: str | None = field(default=None, user_editable=True, copy_on_restart=True)

        @after("fail")
        def tell_slack(self):
            told.append(self.slack_channel)

    class GuideSlackJob(NotifySlack, Job):
        slack_channel = "#ops"

        def perform(self):
            raise RuntimeError

    rocketjob.plugins.register(GuidePlugin(), "slack")
    job = GuideSlackJob.create()
    rocketjob.work_off()
    assert heard == [("start", "queued", "running"), ("fail", "running", "failed")]
    assert told == ["#ops"]
    assert job.reload().restarted().slack_channel == "#ops"
