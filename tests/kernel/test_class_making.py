"""Making a class changes no other class, and says what would keep it from having instances."""

import dataclasses

import attrs
import pytest

from rocketjob import Job, PluginError, field
from rocketjob.model.app_modules import import_app
from support.jobs import stored


class Counted:
    count: int = 7
    plain: int = 1
    told: int = field(default=3)
    made: list[str] = field(factory=list)
    needed: str = field()


class Preset:
    plain = 2
    count = 8


def mixed(*bases, **namespace):
    return type(
        "MadeMixedJob", (*bases, Job), {"__module__": __name__, "perform": print, **namespace}
    )


@pytest.mark.parametrize("mixins", [(Counted,), (Preset, Counted)], ids=["fields", "defaults"])
def test_a_mixin_stays_as_it_was_written(rocketjob, mixins):
    before = [dict(vars(mixin)) for mixin in mixins]
    mixed(*mixins).create(needed="x")
    assert [dict(vars(mixin)) for mixin in mixins] == before


def test_a_mixin_can_be_mixed_into_several_classes(rocketjob):
    first, second = mixed(Counted), mixed(Preset, Counted)
    assert (first(needed="x").count, second(needed="x").count) == (7, 8)
    assert (first.plain, second.plain, first.told) == (1, 2, 3)
    assert first.count() == second.count() == 0
    assert not hasattr(first, "needed") and not hasattr(first, "made")
    assert first(needed="x").made == []


def test_a_mixin_may_preset_an_encrypted_field(rocketjob):
    class PresetSecretJob(Job):
        plain: int = field(default=1, encrypted=True)

        def perform(self): ...

    child = type("MadeChildJob", (Preset, PresetSecretJob), {"__module__": __name__})
    assert (Preset.plain, child().plain, PresetSecretJob().plain) == (2, 2, 1)
    assert type(child.__dict__["plain"]) is type(PresetSecretJob.__dict__["plain"])


def test_a_default_that_was_set_later_counts_for_classes_made_then(rocketjob):
    class SetLaterJob(Job):
        plain: int = 1
        count: int = 1

        def perform(self): ...

    SetLaterJob.set_default("plain", 2)
    SetLaterJob.set_default("count", 2)
    child = type("MadeChildJob", (SetLaterJob,), {"__module__": __name__})
    for cls in (SetLaterJob, child):
        assert (cls().plain, cls().count, cls.plain, cls.count()) == (2, 2, 2, 0)


DECORATORS = [
    dataclasses.dataclass,
    dataclasses.dataclass(frozen=True),
    dataclasses.dataclass(slots=True),
    attrs.define,
    attrs.define(slots=False),
    attrs.frozen(slots=False),
]


def used(decorator):
    @decorator
    class DecoratedJob(Job):
        a: int = 1

        def perform(self): ...

    DecoratedJob().save()


@pytest.mark.parametrize("decorator", DECORATORS)
def test_a_decorator_that_makes_a_constructor_is_refused_on_a_job_class(rocketjob, decorator):
    with pytest.raises(
        TypeError,
        match=r"DecoratedJob has @(dataclass|attrs\.define), whose constructor.*Remove it",
    ):
        used(decorator)


@pytest.mark.parametrize("decorator", [dataclasses.dataclass, attrs.define])
def test_nor_may_a_mixin_have_one(decorator):
    mixin = decorator(type("Made", (), {"__annotations__": {"a": int}, "a": 1}))
    for bases in ((mixin, Job), (Job, mixin)):
        with pytest.raises(TypeError, match=r"Made has @.*Make Made a plain class"):
            type("MadeMixedJob", bases, {"__module__": __name__})


@pytest.fixture
def app(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)

    def write(name, text):
        code = "from __future__ import annotations\nfrom typing import TYPE_CHECKING\n"
        code += "from rocketjob import Job\nif TYPE_CHECKING:\n    from datetime import date\n"
        (tmp_path / f"{name}.py").write_text(code + text)
        return name

    return write


def test_an_app_with_a_field_whose_type_is_for_checkers_only_is_not_imported(app):
    name = app("typed_app_1", "class TypedOnlyJob(Job):\n    day: date | None = None\n")
    with pytest.raises(
        PluginError,
        match=r"typed_app_1 cannot be used.*TypedOnlyJob\.day: the annotation 'date \| None' "
        "cannot be resolved.*not under TYPE_CHECKING",
    ):
        import_app([name])


def test_an_app_with_a_decorated_job_class_is_not_imported(app):
    code = (
        "import dataclasses\n@dataclasses.dataclass\nclass DecoratedAppJob(Job):\n    n: int = 1\n"
    )
    with pytest.raises(PluginError, match="DecoratedAppJob has @dataclass"):
        import_app([app("typed_app_2", code)])


def test_a_type_may_be_defined_below_the_class_that_names_it(app):
    import_app([app("typed_app_3", "class TypedLateJob(Job):\n    n: Late = 1\nLate = int\n")])


ARGUMENT = (
    "class TypedArgumentJob(Job):\n    destroy_on_complete = False\n"
    "    def perform(self, n: int = 0, day: date | None = None) -> date: ...\n"
)


def test_an_argument_whose_type_is_for_checkers_only_is_refused_where_it_is_given(rocketjob, app):
    name = app("typed_app_4", ARGUMENT)
    import_app([name])
    cls = __import__(name).TypedArgumentJob
    with pytest.raises(
        TypeError, match=r"TypedArgumentJob\.perform.*day has the type 'date \| None'"
    ):
        cls.perform_later(day="2026-01-01")
    with pytest.raises(TypeError, match="n must be int, not str '1'"):
        cls.perform_later("1")
    assert stored(cls.perform_later(1))["arguments"]["args"] == [1]


def test_a_constructor_that_leaves_out_that_of_job_is_named_when_the_job_is_used():
    class OwnConstructorJob(Job):
        def __init__(self):
            pass

        def perform(self): ...

    with pytest.raises(AttributeError, match=r"OwnConstructorJob\.__init__ must call super"):
        OwnConstructorJob().is_valid()


@pytest.mark.parametrize("first", [0, 1])
def test_attrs_knows_the_fields_of_each_class_whichever_is_asked_first(first):
    class MadeAboveJob(Job):
        above: int = 1

        def perform(self): ...

    class MadeBelowJob(MadeAboveJob):
        below: int = 2

    classes = (MadeAboveJob, MadeBelowJob)
    attrs.fields(classes[first])
    shown = [[each.name for each in attrs.fields(cls)] for cls in classes]
    assert shown == [list(cls.fields()) for cls in classes]
    assert attrs.has(type(MadeBelowJob()))
    assert attrs.fields_dict(MadeBelowJob)["below"].name == "below"
