import logging

import pytest

from rocketjob import Job, ValidationError
from rocketjob.base.config import Config, load
from rocketjob.queue.eligible import takes
from rocketjob.testing import sandbox
from rocketjob_plugins.on_demand import OnDemandBatchJob, OnDemandJob

pytestmark = pytest.mark.both_stores


@pytest.fixture
def allowed():
    with sandbox(allow_on_demand=True) as made:
        yield made


def test_code_sees_data_and_keeps_its_result_there(allowed):
    job = OnDemandJob.create(code="data['result'] = data['a'] * data['b']", data={"a": 10, "b": 2})
    assert allowed.work_off() == 1
    job.reload()
    assert job.is_completed
    assert job.data["result"] == 20


def test_code_may_return_and_sees_job_self_and_logger(rocketjob):
    code = """
if job is self:
    logger.info("here")
    return {"said": '''two
lines''', "id": self.id}
"""
    job = OnDemandJob(code=code)
    assert job.perform_now() == {"said": "two\nlines", "id": job.id}


def test_what_it_returns_can_be_collected(allowed):
    job = OnDemandJob.create(code="return 6 * 7", collect_output=True)
    allowed.work_off()
    assert job.reload().result == {"result": 42}


def test_names_defined_in_the_code_are_seen_by_functions_within_it(rocketjob):
    code = "import math\ndef root(n): return math.sqrt(n)\nreturn [root(n) for n in data['n']]"
    assert OnDemandJob(code=code, data={"n": [4, 9]}).perform_now() == [2, 3]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("ok = 1\nbad bad = 1", "Failed to parse code: line 2: invalid syntax"),
        ("\n\nbreak", "Failed to parse code: line 3: 'break' outside loop"),
        ("x = '\0'", "Failed to parse code: "),
        ("(" * 5000 + ")" * 5000, "Failed to parse code: "),
        ("  ", "is required: it is empty"),
    ],
)
def test_code_that_does_not_compile_is_refused_with_its_line(rocketjob, code, said):
    with pytest.raises(ValidationError) as error:
        OnDemandJob.create(code=code)
    assert error.value.errors["code"][0].startswith(said)
    assert OnDemandJob.count() == 0


def test_code_is_required(rocketjob):
    with pytest.raises(ValidationError, match="code"):
        OnDemandJob.create()


def test_code_that_raises_fails_the_job_and_is_not_retried_unless_asked(allowed):
    job = OnDemandJob.create(code="1 / 0")
    again = OnDemandJob.create(code="1 / 0", retry_limit=5)
    assert allowed.work_off() == 2
    assert job.reload().is_failed
    assert job.exception.class_name == "ZeroDivisionError"
    assert again.reload().is_scheduled


def test_it_runs_on_a_schedule_and_two_may_have_the_same(allowed):
    for _ in range(2):
        OnDemandJob.create(code="data['n'] = data.get('n', 0) + 1", cron_schedule="@hourly")
    allowed.travel(OnDemandJob.first().run_at)
    assert allowed.work_off() == 2
    assert OnDemandJob.scheduled().count() == 2
    assert {job.data["n"] for job in OnDemandJob.scheduled()} == {1}


# --- batches ---------------------------------------------------------------------------------


def outputs(job):
    return [record for slice_ in job.output for record in slice_]


def test_a_batch_runs_its_code_for_each_row(allowed):
    job = OnDemandBatchJob(code="return row + 1", collect_output=True)
    job.upload([1, 2, 3])
    job.save()
    allowed.work_off()
    assert job.reload().is_completed
    assert outputs(job) == [2, 3, 4]


@pytest.mark.parametrize("name", ["before_code", "upload_code"])
def test_code_before_the_batch_can_upload_its_input(allowed, name):
    job = OnDemandBatchJob(
        code="return row + 1", collect_output=True, **{name: "self.upload([1, 2, 3])"}
    )
    job.save()
    allowed.work_off()
    assert outputs(job.reload()) == [2, 3, 4]


def test_code_after_the_batch_can_set_statistics(allowed):
    job = OnDemandBatchJob(
        code="self.statistics_inc('rows')\nreturn row + data['add']",
        data={"add": 1},
        before_code="data['add'] += 1",
        after_code="self.statistics['after'] = 413",
        slice_size=2,
    )
    job.add_output_category()
    job.upload([1, 2, 3])
    job.save()
    allowed.work_off()
    assert job.reload().statistics == {"rows": 3, "after": 413}
    assert outputs(job) == [3, 4, 5]
    assert (job.priority, job.description) == (90, "On Demand Batch Job")


@pytest.mark.parametrize("name", ["code", "before_code", "after_code"])
def test_broken_code_in_any_field_is_refused(rocketjob, name):
    with pytest.raises(ValidationError) as error:
        OnDemandBatchJob(**{"code": "return row", name: "return return"}).save()
    assert list(error.value.errors) == [name]


def test_both_names_of_one_field_are_refused(rocketjob):
    with pytest.raises(TypeError, match="before_code or upload_code"):
        OnDemandBatchJob(code="return row", before_code="pass", upload_code="pass")


def test_properties_of_forms_are_taken(rocketjob):
    job = OnDemandBatchJob.from_properties({"code": "return row", "upload_code": "pass"})
    assert job.before_code == job.upload_code == "pass"


def test_a_slice_whose_code_raises_fails_the_batch_with_its_record(allowed):
    job = OnDemandBatchJob(code="return 10 // row", collect_output=True)
    job.upload([1, 0, 2])
    job.save()
    allowed.work_off()
    assert job.reload().is_failed
    assert [record for record, _ in job.input.each_failed_record()] == [0]


# --- where it is off -------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [OnDemandJob, OnDemandBatchJob])
def test_a_server_takes_it_only_if_its_own_settings_say_so(cls):
    assert not takes(Config(), cls)
    assert takes(load({"allow_on_demand": True}, environ={}), cls)
    assert not takes(load({"allow_on_demand": True, "exclude": "OnDemand"}, environ={}), cls)


def test_where_it_is_off_it_waits_and_says_so(rocketjob, caplog):
    with caplog.at_level(logging.WARNING):
        job = OnDemandJob.create(code="return 1")
    assert "allow_on_demand" in caplog.text
    assert rocketjob.work_off() == 0
    assert job.reload().is_queued
    assert "allow_on_demand" in job.explain().names()


def test_classes_made_from_it_are_off_too(rocketjob):
    class NightlyCode(OnDemandJob):
        pass

    NightlyCode.create(code="return 1")
    assert rocketjob.work_off() == 0


def test_other_jobs_are_taken_as_before(rocketjob):
    class PlainJob(Job):
        def perform(self): ...

    OnDemandJob.create(code="return 1")
    PlainJob.create()
    assert rocketjob.work_off() == 1


def test_perform_now_works_where_it_is_off(rocketjob):
    assert OnDemandJob(code="return 1").perform_now() == 1
