"""Two mixins with something of one name: refused, unless the class itself says what happens."""

import pytest

from rocketjob import Job, Transition, after, around, before, event, validate
from rocketjob.base.errors import NameClash
from rocketjob.model.document import Document
from rocketjob_plugins.batch import batch_throttle
from rocketjob_plugins.throttle import Throttle, throttle


def made(*bases, **body):
    return type("ClashingJob", (*bases, Job), {"perform": lambda self: None, **body})


class ClashOne(Job, abstract=True):
    @validate
    def _check(self):
        self.errors.add("base", "one")

    @before("perform")
    def _prepare(self): ...

    @after("fail")
    def _tell(self): ...

    @around("perform")
    def _time(self):
        yield

    @event(Transition("queued", "held"))
    def hold(self):
        """Hold it."""

    @throttle
    def _full(self):
        return False

    @batch_throttle
    def _slow(self):
        return False


class ClashOther:
    """A mixin that is no job, with methods of the same names, none of them marked."""

    def _check(self): ...

    def _prepare(self): ...

    def _tell(self): ...

    def _time(self):
        yield

    def hold(self): ...

    def _full(self): ...

    def _slow(self): ...


def errors_of(cls):
    job = cls()
    job.is_valid()
    return dict(job.errors)


NAMES = [name for name in vars(ClashOther) if not name.startswith("__")]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("other_first", [False, True])
def test_methods_of_one_name_of_which_one_is_marked_are_refused(name, other_first):
    one = type("OneMixin", (Job,), {name: vars(ClashOne)[name]}, abstract=True)
    other = type("OtherMixin", (), {name: vars(ClashOther)[name]})
    bases = (other, one) if other_first else (one, other)
    with pytest.raises(NameClash) as error:
        made(*bases)
    assert f"inherits {bases[0].__name__}.{name} (of " in str(error.value)
    assert f"and {bases[1].__name__}.{name} (of " in str(error.value)
    assert f"define {name} in ClashingJob" in str(error.value)


def test_two_mixins_that_mark_one_name_are_refused_also_to_make_a_third():
    one = type("OneMixin", (Job,), {"_check": vars(ClashOne)["_check"]}, abstract=True)
    other = type("OtherMixin", (Job,), {"_check": validate(lambda self: None)}, abstract=True)
    with pytest.raises(NameClash):
        type("ThirdMixin", (one, other), {}, abstract=True)


def test_a_class_that_has_the_method_itself_says_what_runs():
    class ClashSecond(Job, abstract=True):
        @validate
        def _check(self):
            self.errors.add("base", "second")

    def _check(self):
        ClashOne._check(self)
        ClashSecond._check(self)

    cls = made(ClashOne, ClashSecond, _check=_check)
    assert errors_of(cls) == {"base": ["one", "second"]}
    assert errors_of(type("LaterClashJob", (cls,), {})) == {"base": ["one", "second"]}


def test_a_mixin_may_override_what_it_derives_from_and_a_diamond_is_none():
    class ClashChild(ClashOne, abstract=True):
        def _check(self): ...

    class ClashSibling(ClashOne, abstract=True):
        pass

    assert made(ClashChild, ClashSibling)().is_valid()


def test_a_plain_mixin_may_override_what_every_job_has():
    class Quiet:
        def abort(self, save=True):
            return super().abort(save=save)

    job = made(Quiet)()
    job.abort(save=False)
    assert job.is_aborted


def test_one_function_in_two_mixins_is_no_clash():
    check = validate(lambda self: self.errors.add("base", "shared"))
    one = type("OneMixin", (Job,), {"_check": check}, abstract=True)
    other = type("OtherMixin", (Throttle,), {"_check": check}, abstract=True)
    assert errors_of(made(one, other)) == {"base": ["shared"]}


def private_names(base):
    return [name for name in vars(base) if name[0] == "_" and name[:2] != "__"]


@pytest.mark.parametrize(
    "name", sorted({name for base in (Document, Job, Throttle) for name in private_names(base)})
)
def test_a_private_name_that_a_base_uses_itself_is_refused(name):
    nearest = next(each for each in Throttle.__mro__ if name in vars(each))
    said = f"{nearest.__qualname__}.{name}, which {nearest.__module__} itself uses"
    with pytest.raises(NameClash) as error:
        made(Throttle, **{name: lambda self: None})
    assert str(error.value) == f"ClashingJob.{name} hides {said}: give it another name"
    plain = type("PlainMixin", (), {name: lambda self: None})
    with pytest.raises(NameClash, match=f"^PlainMixin.{name} hides "):
        made(plain, Throttle)


def test_a_private_name_of_a_base_of_ones_own_may_be_overridden():
    class ClashBaseJob(Job):
        def _rows(self):
            return []

    assert type("ClashingJob", (ClashBaseJob,), {"_rows": lambda self: [1]})()._rows() == [1]
