"""What would have no effect is refused when the class, or its first job, is made."""

from datetime import timedelta
from typing import ClassVar

import pytest

from rocketjob import Job, after, around, before, event, field, validate
from rocketjob.states.machine import Transition
from rocketjob_plugins.cron import Cron
from rocketjob_plugins.retry import Retry


async def coroutine(self):
    """Nothing."""


def generator(self):
    yield


async def async_generator(self):
    yield


SKIPPED = [coroutine, generator, async_generator]


@pytest.mark.parametrize("function", SKIPPED)
@pytest.mark.parametrize(
    ("mark", "decorate"),
    [
        ("@before", before("start")),
        ("@after", after("complete")),
        ("@validate", validate),
        ("@event", event(Transition(("queued",), "paused"))),
    ],
)
def test_a_function_that_would_be_skipped_is_refused(mark, decorate, function):
    with pytest.raises(TypeError, match=f"{mark}: {function.__name__} is .*plain function"):
        decorate(function)


@pytest.mark.parametrize("function", [coroutine, async_generator])
def test_an_around_must_be_a_plain_generator(function):
    with pytest.raises(TypeError, match="must be a generator with one yield"):
        around("perform")(function)


@pytest.mark.parametrize("function", SKIPPED)
def test_conditions_factories_and_validators_are_plain_functions_too(function):
    with pytest.raises(TypeError, match=r"@before, when=: .* plain function"):
        before("start", when=function)(lambda self: None)
    with pytest.raises(TypeError, match=r"field\(factory=\): .* plain function"):
        field(factory=function)
    with pytest.raises(TypeError, match=r"field\(validator=\): .* plain function"):
        field(validator=function)


@pytest.mark.parametrize("function", SKIPPED)
@pytest.mark.parametrize("method", ["announce", "check_it"])
def test_an_overridden_callback_is_looked_at_like_a_marked_one(method, function):
    class MarkedBase(Job, abstract=True):
        @before("start")
        def announce(self): ...

        @validate
        def check_it(self): ...

    with pytest.raises(TypeError, match=rf"of a base: {function.__name__} is"):
        type("Overridden", (MarkedBase,), {method: function, "perform": lambda self: None})


@pytest.mark.parametrize("function", [generator, async_generator])
def test_a_perform_with_a_yield_is_refused(function):
    with pytest.raises(TypeError, match=r"Yielding.perform has a yield"):
        type("Yielding", (Job,), {"perform": function})


def test_a_misspelt_default_is_refused_with_the_field_that_was_meant():
    with pytest.raises(TypeError, match=r"MisspeltJob.priorty .* did you mean priority?"):

        class MisspeltJob(Job):
            priorty = 5

    with pytest.raises(TypeError, match=r"did you mean destroy_on_complete?"):

        class MisspeltToo(Job):
            destroy_on_completion = False


def test_a_constant_of_the_class_is_not_taken_for_a_misspelt_default(rocketjob):
    class ConstantsJob(Job):
        priorities = {"high": 1}  # no priority has this type
        priorty: ClassVar[int] = 5
        TABLE = "orders"
        table = "orders"

        def perform(self):
            assert self.table == self.TABLE

    job = ConstantsJob.create(destroy_on_complete=False)
    rocketjob.work_off()
    assert job.reload().is_completed


@pytest.mark.parametrize(
    ("name", "value", "mixin"),
    [
        ("cron_schedule", "30 1 * * *", "Cron"),
        ("retry_limit", 3, "Retry"),
        ("throttle_running_jobs", 2, "Throttle"),
    ],
)
def test_a_setting_of_a_mixin_that_is_not_there_is_refused(rocketjob, name, value, mixin):
    cls = type("ForgotJob", (Job,), {name: value, "perform": lambda self: None})
    for make in (cls.create, cls.perform_later, cls.set().perform_now):
        with pytest.raises(TypeError, match=rf"ForgotJob.{name} is a setting of {mixin}, which"):
            make()
    assert Job.count() == 0


def test_a_setting_may_come_from_a_base_that_leaves_the_mixin_to_its_classes(rocketjob):
    class NightlyBase(Job, abstract=True):
        cron_schedule = "30 1 * * *"
        retry_limit = 3

    class NightlyJob(NightlyBase, Cron, Retry, Job):
        def perform(self): ...

    assert NightlyJob.create().cron_schedule == "30 1 * * *"


class TypedArgumentsJob(Job):
    def perform(
        self,
        count: int,
        name: str = "",
        *more: int,
        wait: timedelta | None = None,
        late: int = None,  # noqa: RUF013
        anything=None,
        **others: float,
    ):
        """Nothing."""


@pytest.mark.parametrize(
    ("args", "kwargs", "wrong"),
    [
        (("5",), {}, "count must be"),
        ((True,), {}, "count must be"),
        ((None,), {}, "count must be"),
        ((5, 7), {}, "name must be"),
        ((5, "a", 1, "b"), {}, r"more\[1\] must be"),
        ((5,), {"wait": 3}, "wait must be"),
        ((5,), {"other": "x"}, "other must be"),
    ],
)
def test_an_argument_of_the_wrong_type_is_refused_when_the_job_is_made(
    rocketjob, args, kwargs, wrong
):
    with pytest.raises(TypeError, match=rf"TypedArgumentsJob.perform\(count: int.*: {wrong}"):
        TypedArgumentsJob.perform_later(*args, **kwargs)
    with pytest.raises(TypeError, match=wrong):
        TypedArgumentsJob.set().perform_now(*args, **kwargs)
    assert Job.count() == 0


def test_arguments_that_fit_are_taken(rocketjob):
    TypedArgumentsJob.perform_later(5, "a", 1, 2, wait=timedelta(1), anything={"a": []}, x=1.5)
    TypedArgumentsJob.perform_later(5, late=None, wait=None)
    assert rocketjob.work_off() == 2


def test_every_wrong_argument_is_told(rocketjob):
    with pytest.raises(TypeError, match=r"count must be .*; name must be "):
        TypedArgumentsJob.perform_later("5", 7)


def test_a_save_of_ones_own_that_stores_nothing_is_refused(rocketjob):
    class SavesResultsJob(Job):
        def save(self):
            """Write the results, as its author thinks."""

        def perform(self): ...

    for make in (SavesResultsJob.create, SavesResultsJob.perform_later):
        with pytest.raises(TypeError, match="save has stored nothing, since it replaces"):
            make()
