"""Validation: every message at once, by field, and nothing stored."""

import pickle
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from rocketjob import Job, ValidationError, after, before, field, validate, validators
from rocketjob.base.errors import RocketJobError
from support.jobs import KeptJob, stored


class SignUpJob(Job):
    destroy_on_complete = False
    username: str
    email: str = field(validator=validators.matches_re(r".+@.+"))
    count: int = field(default=1, validator=validators.in_range(1, 100))

    @validate
    def not_root(self):
        if self.email and self.email.startswith("root@"):
            self.errors.add("email", "must not be root")
            self.errors.add("username", "is suspicious")

    def perform(self):
        return self.username


def test_all_messages_are_collected(rocketjob):
    with pytest.raises(ValidationError) as error:
        SignUpJob.create(email="root@", count=200, priority=0, run_at="soon")
    assert error.value.errors == {
        "username": ["is required", "is suspicious"],
        "email": ["must match regex '.+@.+' ('root@' doesn't)", "must not be root"],
        "count": ["must be from 1 to 100, not 200"],
        "priority": ["must be from 1 to 100, not 0"],
        "run_at": ["must be datetime, not str 'soon'"],
    }
    assert str(error.value).startswith("SignUpJob is not valid: priority: must be from 1 to 100")
    assert SignUpJob.count() == 0


def test_a_validation_error_is_a_value_error_of_the_one_tree_and_can_be_pickled():
    error = ValidationError({"a": ["is required"]}, "SignUpJob")
    assert isinstance(error, ValueError)
    assert isinstance(error, RocketJobError)
    again = pickle.loads(pickle.dumps(error))
    assert (again.errors, str(again)) == (error.errors, str(error))


def test_errors_are_on_the_document_and_cleared_when_it_is_valid(rocketjob):
    job = SignUpJob(email="a@b")
    assert not job.is_valid()
    assert dict(job.errors) == {"username": ["is required"]}
    job.username = "x"
    assert job.is_valid()
    assert not job.errors
    assert len(job.errors) == 0


@pytest.mark.parametrize("priority", [1, 50, 100])
def test_a_priority_from_1_to_100_is_valid(priority):
    assert KeptJob(priority=priority).is_valid()


@pytest.mark.parametrize("priority", [0, -1, 101, None, "5", 5.5, True])
def test_any_other_priority_is_refused(rocketjob, priority):
    with pytest.raises(ValidationError) as error:
        KeptJob.create(priority=priority)
    assert list(error.value.errors) == ["priority"]
    assert KeptJob.count() == 0


@pytest.mark.parametrize("level", ["trace", "debug", "info", "warn", "error", "fatal", None])
def test_a_log_level_is_one_of_six_or_none(level):
    assert KeptJob(log_level=level).is_valid()
    assert not KeptJob(log_level="loud").is_valid()


@pytest.mark.parametrize(
    ("run_at", "message"),
    [
        ("tomorrow", "must be datetime, not str 'tomorrow'"),
        (5, "must be datetime, not int 5"),
        (datetime(2026, 1, 1), "must have a time zone, 2026-01-01T00:00:00 has none"),
    ],
)
def test_a_run_at_that_is_no_time_is_refused(run_at, message):
    job = KeptJob(run_at=run_at)
    assert not job.is_valid()
    assert message in job.errors["run_at"][0]


def test_a_time_out_of_range_is_refused_when_it_is_validated():
    job = KeptJob(run_at=datetime.min.replace(tzinfo=timezone(timedelta(hours=14))))
    assert "must be within the years 1 to 9999" in _said(job, "run_at")


def _said(job, name):
    assert not job.is_valid()
    return job.errors[name][0]


def test_a_required_field_may_not_be_set_to_none():
    job = SignUpJob(username=None, email="a@b")
    assert _said(job, "username") == "is required"


def test_a_field_with_a_default_may_not_be_set_to_none_unless_it_says_so():
    assert _said(SignUpJob(username="a", email="a@b", count=None), "count") == (
        "must be int, not None"
    )


def test_a_validator_is_not_asked_where_the_type_is_wrong_or_there_is_none():
    asked = []

    class AskedJob(Job):
        limit: int | None = field(
            default=None, validator=lambda job, made, value: asked.append(value)
        )

        def perform(self): ...

    AskedJob().is_valid()
    AskedJob(limit="x").is_valid()
    AskedJob(limit=5).is_valid()
    assert asked == [5]


def test_a_validator_gets_the_job_the_attribute_and_the_value():
    def below_priority(job, attribute, value):
        if value >= job.priority:
            raise ValueError(f"{attribute.name} must be below {job.priority}")

    class LimitedJob(Job):
        limit: int = field(default=0, validator=below_priority)

        def perform(self): ...

    assert LimitedJob(limit=5).is_valid()
    assert _said(LimitedJob(limit=60), "limit") == "limit must be below 50"


def test_an_error_that_is_no_objection_is_not_swallowed():
    def broken(job, attribute, value):
        raise KeyError("broken")

    class BrokenValidatorJob(Job):
        limit: int = field(default=0, validator=broken)

        def perform(self): ...

    with pytest.raises(KeyError):
        BrokenValidatorJob().is_valid()


@pytest.mark.parametrize(
    ("validator", "good", "bad"),
    [
        (validators.present, ["x"], []),
        (validators.present, " x", "  "),
        (validators.in_([1, 2]), 1, 3),
        (validators.min_len(2), "ab", "a"),
        (validators.max_len(2), "ab", "abc"),
        (validators.ge(2), 2, 1),
        (validators.and_(validators.gt(2), validators.lt(5)), 3, 5),
        (validators.not_(validators.in_([1])), 2, 1),
        (validators.deep_iterable(validators.gt(0)), [1], [0]),
    ],
)
def test_the_validators_that_come_with_it(validator, good, bad):
    from typing import Any

    class CheckedJob(Job):
        value: Any = field(default=None, validator=validator)

        def perform(self): ...

    assert CheckedJob(value=good).is_valid()
    assert not CheckedJob(value=bad).is_valid()


def test_validations_are_inherited_and_an_override_without_the_mark_takes_their_place():
    class Checking:
        @validate
        def check(self):
            self.errors.add("priority", "from the mixin")

    class CheckingJob(Checking, Job):
        @validate
        def check_too(self):
            self.errors.add("priority", "from the class")

        def perform(self): ...

    class LenientJob(CheckingJob):
        def check(self):
            pass

    job = CheckingJob()
    assert not job.is_valid()
    assert job.errors["priority"] == ["from the mixin", "from the class"]
    job = LenientJob()
    assert not job.is_valid()
    assert job.errors["priority"] == ["from the class"]


def test_a_before_validation_callback_can_still_set_fields(rocketjob):
    class NormalJob(Job):
        name: str

        @before("validation")
        def normalise(self):
            self.name = (self.name or "none").lower()

        def perform(self): ...

    assert NormalJob.create(name="JACK").name == "jack"
    assert NormalJob.create().name == "none"


def test_an_after_validation_callback_sees_the_messages():
    seen = []

    class SeenJob(Job):
        name: str

        @after("validation")
        def look(self):
            seen.append(dict(self.errors))

        def perform(self): ...

    SeenJob().is_valid()
    assert seen == [{"name": ["is required"]}]


def test_an_invalid_update_stores_nothing_and_keeps_the_value_on_the_object(rocketjob):
    job = KeptJob.create(priority=5)
    with pytest.raises(ValidationError):
        job.update(priority=1000)
    assert job.priority == 1000
    assert stored(job)["priority"] == 5


def test_update_and_save_may_skip_validation(rocketjob):
    job = KeptJob.create()
    job.update(priority=500, validate=False)
    assert stored(job)["priority"] == 500
    job.priority = 600
    job.save(validate=False)
    assert stored(job)["priority"] == 600


def test_create_if_valid_returns_none_instead_of_raising(rocketjob):
    assert KeptJob.create_if_valid(priority=500) is None
    assert KeptJob.create_if_valid(priority=5).priority == 5
    with pytest.raises(TypeError):
        KeptJob.create_if_valid(prority=5)


# --- row 11 -----------------------------------------------------------------------------------


def test_perform_now_on_an_invalid_job_raises_before_anything_else(rocketjob):
    job = SignUpJob(email="a@b")
    with pytest.raises(ValidationError):
        job.perform_now()
    assert job.is_queued
    assert job.history == []


# --- row 80 -----------------------------------------------------------------------------------


def test_a_change_of_state_of_an_invalid_job_raises_and_the_state_stays(rocketjob):
    job = SignUpJob.create(username="x", email="a@b")
    job.count = 500
    with pytest.raises(ValidationError) as error:
        job.start()
    assert list(error.value.errors) == ["count"]
    assert job.is_queued
    assert job.count == 500
    assert job.started_at is None
    assert stored(job)["state"] == "queued"


def test_in_memory_an_invalid_job_changes_its_state(rocketjob):
    job = SignUpJob.create(username="x", email="a@b")
    job.count = 500
    job.start(save=False)
    assert job.is_running
    assert stored(job)["state"] == "queued"


@pytest.mark.parametrize("event", ["fail", "abort"])
def test_an_invalid_job_can_be_failed_and_aborted_all_the_same(rocketjob, event):
    job = SignUpJob.create(username="x", email="a@b")
    job.count = 500
    getattr(job, event)()
    assert stored(job)["state"] == job.state != "queued"


def test_a_conflict_is_told_from_a_wrong_value(rocketjob):
    class TakenNameJob(Job):
        name: str = "x"

        @validate
        def _is_free(self):
            self.errors.add("name", "is taken", conflict=True)

        def perform(self): ...

    with pytest.raises(ValidationError) as refused:
        TakenNameJob.create()
    assert refused.value.conflict
    assert pickle.loads(pickle.dumps(refused.value)).conflict
    with pytest.raises(ValidationError) as refused:
        TakenNameJob.create(name=5)
    assert not refused.value.conflict


async def check_later(*arguments):
    raise ValueError


def test_a_check_that_leaves_its_work_undone_refuses(rocketjob):
    class CheckedLaterJob(Job):
        name: str = field(default="x", validator=lambda *arguments: check_later(*arguments))

        def perform(self): ...

    class ValidatedLaterJob(Job):
        look = validate(lambda self: check_later(self))

        def perform(self): ...

    with pytest.raises(ValidationError, match="name: its validator returned a coroutine"):
        CheckedLaterJob.create()
    with pytest.raises(TypeError, match="validation look returned a coroutine"):
        ValidatedLaterJob.create()


class DeepJob(Job):
    anything: Any = None
    several: list[Any] = []

    def perform(self, value=None): ...


def endless_list():
    value = []
    value.append(value)
    return value


def endless_dict():
    value = {}
    value["a"] = value
    return value


def deep_list():
    value = []
    for _ in range(20_000):
        value = [value]
    return value


@pytest.mark.parametrize("make", [endless_list, endless_dict, deep_list])
def test_a_value_without_end_is_refused_with_the_field_named(rocketjob, make):
    deep = "is nested too deeply to be stored, or contains itself"
    for field_name, value in [("anything", make()), ("several", [make()])]:
        with pytest.raises(ValidationError, match=f"{field_name}.*{deep}"):
            DeepJob.create(**{field_name: value})
    with pytest.raises(ValidationError, match=deep):
        DeepJob.perform_later(make())
    assert DeepJob.count() == 0


class FollowingJob(Job):
    right: int = 1
    wrong: int = "one"
    judged: int = field(default=2, validator=lambda job, attribute, value: job.judge(value))

    def judge(self, value):
        if value != self.right + 1:
            raise ValueError("must follow")

    def perform(self):
        return None


def test_a_default_that_is_wrong_or_has_a_validator_is_judged_for_every_job(rocketjob):
    for _ in range(2):
        with pytest.raises(ValidationError) as error:
            FollowingJob.create()
        assert error.value.errors == {"wrong": ["must be int, not str 'one'"]}
    with pytest.raises(ValidationError) as error:
        FollowingJob.create(wrong=1, right=7)
    assert error.value.errors == {"judged": ["must follow"]}


def test_what_is_assigned_is_judged_though_it_equals_the_default(rocketjob):
    job = FollowingJob.create(wrong=1)
    job.right = 1.0
    with pytest.raises(ValidationError, match="right: must be int"):
        job.save()


class FilledJob(Job):
    by_constructor: int = 1
    by_callback: int = 1
    untouched: int = 1

    def __init__(self, **values):
        super().__init__(**values)
        self.by_constructor = "one"

    @after("initialize")
    def fill(self):
        self.by_callback = "one"

    def perform(self):
        return None


def test_what_a_constructor_or_a_callback_sets_is_judged(rocketjob):
    messages = {name: ["must be int, not str 'one'"] for name in ("by_constructor", "by_callback")}
    with pytest.raises(ValidationError) as error:
        FilledJob.create()
    assert error.value.errors == messages
    with pytest.raises(ValidationError) as error:
        FilledJob.create_many([{}, {"untouched": "one"}])
    expected = {f"[{number}].{name}": m for number in (0, 1) for name, m in messages.items()}
    assert error.value.errors == expected | {"[1].untouched": ["must be int, not str 'one'"]}


def test_a_value_that_was_given_wrong_is_judged_until_it_is_right(rocketjob):
    job = KeptJob(priority=1)
    job.priority = 0
    assert not job.is_valid()
    job.priority = 2
    job.save()
    job.priority = 0
    assert not job.is_valid()
