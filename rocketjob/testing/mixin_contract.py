"""What every mixin for job classes keeps to: a suite for a plugin's own tests.

    from rocketjob.testing.mixin_contract import MixinContract

    class TestAudited(MixinContract):
        mixin = Audited
        attributes = {"requested_by": "ann"}

It needs pytest. The mixin is combined with each mixin that the installed plugins register, in both
orders, and with all of them at once, wherever it stands among them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, NamedTuple

from rocketjob import Job
from rocketjob.base.errors import ConfigurationError, ValidationError
from rocketjob.plugins.manager import PluginManager
from rocketjob.testing.sandbox import Sandbox, sandbox

EXAMPLE = "__example__"  # what a mixin says that a class which uses it has to define
Mixin = type[Job]


PARTS = 9  # more than a job of these tests has
FAIL = "a job of the contract that is to fail"


class Fact(NamedTuple):
    """What is seen of a class's jobs at one moment of their course."""

    moment: str
    state: str
    history: tuple[str, ...]
    states: tuple[tuple[str, int], ...]


class MixinContract:
    """Every test of the contract of mixins; a subclass names the mixin.

    Attributes:
        mixin: the class.
        attributes: what a class that uses it defines: the values of its required fields, methods.
        bases: mixins that it cannot do without.
        others: those with which it is combined; None: all that the installed plugins register, as
            far as a class of them can be made with what they say in `__example__`.
        overrides: the methods and attributes of Job that it replaces on purpose.
        settings: for the sandboxes of the tests.
        completes: whether a job of it that is due, and whose perform returns, is completed.
    """

    mixin: ClassVar[Mixin]
    attributes: ClassVar[Mapping[str, Any]] = {}
    bases: ClassVar[Sequence[Mixin]] = ()
    others: ClassVar[Sequence[Mixin] | None] = None
    overrides: ClassVar[Sequence[str]] = ()
    settings: ClassVar[Mapping[str, Any]] = {}
    completes: ClassVar[bool] = True

    # --- what it is --------------------------------------------------------------------------

    def test_it_is_abstract_and_says_what_it_is_for(self) -> None:
        assert issubclass(self.mixin, Job), "derive it from Job: class X(Job, abstract=True)"
        assert self.mixin.__abstract__, f"class {self.mixin.__name__}(Job, abstract=True)"
        assert vars(self.mixin).get("__doc__"), "it has no docstring"
        assert self.mixin.perform is Job.perform, "perform belongs to the classes that use it"

    def test_it_replaces_nothing_of_job_unless_it_says_so(self) -> None:
        fields = set(Job.fields())
        replaced = {
            name
            for name in _own_names(self.mixin)
            if hasattr(Job, name) and name not in fields and name not in self.overrides
        }
        assert not replaced, "call them differently, or name them in `overrides`"

    def test_it_shares_no_name_with_another_mixin(self) -> None:
        for other in self.partners():
            shared = {
                name
                for name in _own_names(self.mixin) & _own_names(other)
                if not hasattr(Job, name) and _own(self.mixin, name) is not _own(other, name)
            }
            assert not shared, f"only the leftmost of {other.__name__} and it would count"

    # --- with others, in every order ---------------------------------------------------------

    def test_a_class_can_be_made_of_it_and_any_other_in_every_order(self) -> None:
        for pair in self.pairs():
            made = [self.made(order) for order in pair]
            assert _same(_fields, made), f"fields depend on the order of {_names(pair)}"
            assert _same(_callbacks, made), f"callbacks depend on the order of {_names(pair)}"
            limits = [sorted(each.name for each in cls().claim_limits()) for cls in made]
            assert limits[0] == limits[1], f"limits depend on the order of {_names(pair)}"

    def test_a_job_of_it_alone_completes(self) -> None:
        facts = self.course((self.mixin,))
        if self.completes:
            assert facts[1].state == "completed", facts

    def test_jobs_take_the_same_course_in_every_order(self) -> None:
        for pair in self.pairs():
            courses = [self.course(order) for order in pair]
            for one, other in zip(*courses, strict=True):
                assert one == other, f"the course depends on the order of {_names(pair)}"

    def test_it_may_stand_anywhere_among_all_others(self) -> None:
        others = [each for each in self.partners() if not self._is_within_another(each)]
        courses = [
            self.course((*others[:at], self.mixin, *others[at:])) for at in range(len(others) + 1)
        ]
        for at, course in enumerate(courses):
            assert course == courses[0], f"the course is another one at place {at} of the bases"

    def test_the_limits_of_others_still_hold(self) -> None:
        for other in self.partners():
            theirs = {each.name for each in self.made((other,), with_own=False)().claim_limits()}
            for order in ((self.mixin, other), (other, self.mixin)):
                names = {each.name for each in self.made(order)().claim_limits()}
                assert theirs <= names, f"claim_limits has to return those of super() ({order})"

    # --- what is stored ----------------------------------------------------------------------

    def test_its_fields_come_back_as_they_were_stored(self) -> None:
        with self.sandbox():
            job = self.made((self.mixin,)).create()
            again = type(job).find(job.id)
            for name in self.mixin.fields():
                assert getattr(again, name) == getattr(job, name), name

    def test_a_job_that_is_restarted_has_what_it_needs(self) -> None:
        missing = [
            name
            for name, field in self.mixin.fields().items()
            if field.required and not field.copy_on_restart
        ]
        assert not missing, "required: field(copy_on_restart=True), or give them a default"

    # --- parts of the tests ------------------------------------------------------------------

    def sandbox(self) -> AbstractContextManager[Sandbox]:
        return sandbox(**self.settings)

    def partners(self) -> list[Mixin]:
        """Return the mixins with which it is combined."""
        if self.others is not None:
            return list(self.others)
        found = PluginManager(strict=False).collect("register_mixins")
        return [other for other in found if self._is_partner(other)]

    def _is_partner(self, other: Mixin) -> bool:
        own = (self.mixin, *self.bases)
        if not issubclass(other, Job) or any(issubclass(each, other) for each in own):
            return False
        if issubclass(other, self.mixin):
            return False
        try:
            self.made((other,), with_own=False)
        except (ConfigurationError, TypeError):
            return False  # it needs more than it says
        return True

    def _is_within_another(self, mixin: Mixin) -> bool:
        """Return whether a partner is made of this one, so that it brings it along."""
        return any(issubclass(each, mixin) for each in self.partners() if each is not mixin)

    def pairs(self) -> Iterator[tuple[tuple[Mixin, ...], tuple[Mixin, ...]]]:
        """Yield it and each other, in both orders."""
        for other in self.partners():
            yield (self.mixin, other), (other, self.mixin)

    def made(self, mixins: Sequence[Mixin], *, with_own: bool = True) -> Mixin:
        """Return a job class of these mixins, that fails when it is told to."""
        body: dict[str, Any] = {
            "destroy_on_complete": False,
            "perform": _perform,
            "__module__": __name__,
            "__qualname__": "MixinContract.made.<locals>.CombinedContractJob",
        }
        for mixin in mixins:
            body |= vars(mixin).get(EXAMPLE, {})
        if with_own:
            body |= self.attributes
        bases = [base for base in self.bases if not any(issubclass(m, base) for m in mixins)]
        return type("CombinedContractJob", (*mixins, *bases, Job), body)

    def prepare(self, job: Job) -> None:
        """Do what a new job of it needs before it is stored, such as an upload."""

    def course(self, mixins: Sequence[Mixin]) -> list[Fact]:
        """Let jobs of a class live; return what is seen of them."""
        with self.sandbox() as made:
            return list(self._course(made, self.made(mixins)))

    def _course(self, made: Sandbox, cls: Mixin) -> Iterator[Fact]:
        made.freeze()
        job = self._created(cls)
        yield _fact("created", job, cls)
        _work(made, job)
        yield _fact("performed", job, cls)
        for each in cls.where({"state": {"$in": ["queued", "running", "paused", "failed"]}}):
            each.abort()  # what is to follow it: one job at a time is looked at
        try:
            job = self._created(cls, FAIL)
        except ValidationError as error:
            yield Fact("refused", "", tuple(sorted(error.errors)), _states(cls))
            return
        _work(made, job)
        yield _fact("failing", job, cls)
        if job.may("retry"):
            job.retry()
        yield _fact("retried", job, cls)
        if job.may("abort"):
            job.abort()
        yield _fact("ended", job, cls)

    def _created(self, cls: Mixin, description: str | None = None) -> Job:
        job = cls()
        job.description = description
        self.prepare(job)
        return job.submit()


def _perform(self: Job, *args: Any) -> None:
    if self.description == FAIL:
        raise RuntimeError("as it was told to")


def _work(made: Sandbox, job: Job) -> None:
    """Work a job once, when it is due, with all its parts if it has some."""
    if job.run_at is not None and job.is_scheduled:
        made.travel(job.run_at)
    for _ in range(PARTS):
        made.work_off(limit=1)
        if not job.reload().is_running:
            break


def _fact(moment: str, job: Job, cls: Mixin) -> Fact:
    events = tuple(f"{entry.event}: {entry.state}" for entry in job.history)
    return Fact(moment, job.state, events, _states(cls))


def _states(cls: Mixin) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(cls.counts_by_state().items()))


def _own_names(mixin: Mixin) -> set[str]:
    """Return the names that a mixin and its bases define, those of Job aside."""
    own = (base for base in mixin.__mro__ if base not in Job.__mro__)
    return {name for base in own for name in vars(base) if not name.startswith("__")} - {
        "callback_events"
    }


def _own(mixin: Mixin, name: str) -> Any:
    return next(vars(base)[name] for base in mixin.__mro__ if name in vars(base))


def _same(look: Callable[[Mixin], Any], classes: Sequence[Mixin]) -> bool:
    one, other = map(look, classes)
    return bool(one == other)


def _fields(cls: Mixin) -> dict[str, Any]:
    return {
        name: (str(field.annotation), field.required, repr(field.default))
        for name, field in cls.fields().items()
    }


def _callbacks(cls: Mixin) -> dict[str, list[str]]:
    return {
        event: sorted(f"{each.kind} {each.name}" for each in cls.chain(event).callbacks)
        for event in cls.known_events()
    }


def _names(pair: Sequence[Sequence[Mixin]]) -> str:
    return " and ".join(mixin.__name__ for mixin in pair[0])
