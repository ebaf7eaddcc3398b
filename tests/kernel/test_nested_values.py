"""Values that hold others: strict in every place, and each place that is wrong is named at once."""

import dataclasses
import enum
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal

import attrs
import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocketjob import Job, ValidationError, field
from support.encryption import reversing
from support.jobs import stored


class Shade(enum.Enum):
    DARK = "dark"
    LIGHT = "light"


@attrs.define
class NestedHome:
    street: str
    number: int = 1
    since: date | None = None
    shades: set[Shade] = attrs.field(factory=set)
    untyped: Any = None


@dataclasses.dataclass
class NestedLimit:
    number: int
    rate: float = 1.0
    kind: Literal["soft", "hard"] = "soft"


@attrs.define
class NestedTree:
    name: str
    left: "NestedTree | None" = None
    children: "list[NestedTree]" = attrs.field(factory=list)
    by_name: "dict[str, NestedTree]" = attrs.field(factory=dict)
    marks: set[int] = attrs.field(factory=set)


@attrs.define
class Positive:
    number: int = attrs.field(validator=attrs.validators.gt(0))
    doubled: int = attrs.field(init=False, default=0)
    _hidden: str = "h"


class NestedJob(Job):
    destroy_on_complete = False
    homes: list[NestedHome] = []
    limits: dict[str, NestedLimit] = {}
    days: list[date] = []
    numbers: set[int] = set()
    pair: tuple[str, int] | None = None
    counts: dict[str, list[int]] = {}
    tree: NestedTree | None = None
    positive: Positive | None = None
    either: list[int | str] = []
    names: list[str | None] = []
    loose: list[Any] = []

    def perform(self): ...


@pytest.fixture
def encryption(rocketjob):
    return reversing(rocketjob)


# --- what is wrong is named, all of it, wherever it is met ------------------------------------

WRONG = [
    ({"homes": [NestedHome(5), NestedHome("b", "2")]}, "homes", [
        "[0].street must be a str, not 5", "[1].number must be an int, not '2'"]),
    ({"limits": {"eu": NestedLimit("no", kind="x"), "us": 5}}, "limits", [
        "['eu'].number must be an int, not 'no'",
        "['eu'].kind must be one of soft, hard, not 'x'",
        "['us'] must be a NestedLimit, not 5"]),
    ({"days": [date(2026, 1, 1), "x", 5]}, "days", [
        "[1] must be a date, not 'x'", "[2] must be a date, not 5"]),
    ({"pair": (5, "x")}, "pair", ["[0] must be a str, not 5", "[1] must be an int, not 'x'"]),
    ({"pair": ("x",)}, "pair", ["must be a tuple of 2, not tuple ('x',)"]),
    ({"counts": {"a": [1, "2"], "b": [True]}}, "counts", [
        "['a'][1] must be an int, not '2'", "['b'][0] must be an int, not True"]),
    ({"counts": {"a": [1], "$b": []}}, "counts", [
        "has the key '$b': keys may not contain '.' nor begin with '$'"]),
    ({"tree": NestedTree("a", NestedTree("b", children=[NestedTree(1)]), marks={"x"})}, "tree", [
        ".left.children[0].name must be a str, not 1", ".marks[0] must be an int, not 'x'"]),
    ({"either": [1, "a", 1.5]}, "either", ["[2] must be an int or str, not 1.5"]),
    ({"loose": [1, {"a": [object]}]}, "loose", [
        "[1]['a'][0] cannot be stored: type <class 'object'> is not a type that a document holds"]),
]  # fmt: skip


@pytest.mark.parametrize(("values", "name", "messages"), WRONG)
def test_every_wrong_place_is_named_when_a_job_is_created_and_when_it_is_saved(
    rocketjob, values, name, messages
):
    with pytest.raises(ValidationError) as error:
        NestedJob.create(**values)
    assert error.value.errors == {name: messages}
    job = NestedJob.create()
    with pytest.raises(ValidationError) as error:
        job.update(**values)
    assert error.value.errors == {name: messages}
    assert NestedJob.count() == 1


STORED = [
    ({"homes": [{"number": 1}, {"street": "b", "number": "2"}, 5]}, "homes", [
        "[0].street is missing",
        "[1].number must be an int, not '2'",
        "[2] must be a NestedHome, not 5"]),
    ({"limits": {"eu": {"number": "no", "rate": None}}}, "limits", [
        "['eu'].number must be an int, not 'no'", "['eu'].rate must be a float, not None"]),
    ({"homes": [{"street": "a", "since": "soon", "shades": ["dark", "pink"]}]}, "homes", [
        "[0].since must be a date, not 'soon'",
        "[0].shades[1] must be one of Shade (dark, light), not 'pink'"]),
    ({"numbers": [1, "2", True]}, "numbers", [
        "[1] must be an int, not '2'", "[2] must be an int, not True"]),
    ({"numbers": {"a": 1}}, "numbers", ["must be a set of int, not dict {'a': 1}"]),
    ({"pair": ["a"]}, "pair", ["must be a tuple of 2, not list ['a']"]),
    ({"pair": [1, 2]}, "pair", ["[0] must be a str, not 1"]),
    ({"counts": {"a": [1, None]}}, "counts", ["['a'][1] must be an int, not None"]),
    ({"tree": {"name": "a", "left": {"children": [{}]}}}, "tree", [
        ".left.name is missing", ".left.children[0].name is missing"]),
    ({"positive": {"number": -1}}, "positive", ["cannot be made: 'number' must be > 0: -1"]),
    ({"names": ["a", 1]}, "names", ["[1] must be a str, not 1"]),
]  # fmt: skip


@pytest.mark.parametrize(("document", "name", "messages"), STORED)
def test_every_wrong_place_of_what_is_stored_is_named_to_who_runs_the_job(
    rocketjob, document, name, messages
):
    job = NestedJob.create()
    Job.collection().update_one({"_id": job.id}, {"$set": document})
    with pytest.raises(ValidationError) as error:
        Job.from_document(stored(job))
    assert sorted(error.value.errors[name]) == sorted(messages)
    rocketjob.work_off()
    assert job.reload().is_failed
    assert messages[0].lstrip(".") in job.exception.message
    assert getattr(job, name) == document[name]


def test_what_stayed_as_it_is_stored_is_explained_place_by_place_when_it_is_saved(rocketjob):
    job = NestedJob.create()
    wrong = {"homes": [{"number": "x"}], "limits": {"eu": {}}}
    Job.collection().update_one({"_id": job.id}, {"$set": wrong})
    with pytest.raises(ValidationError) as error:
        job.reload().save()
    assert set(str(error.value).removeprefix("NestedJob is not valid: ").split("; ")) == {
        "homes[0].street is missing",
        "homes[0].number must be an int, not 'x'",
        "limits['eu'].number is missing",
    }


def test_a_long_value_inside_another_is_cut_in_the_message():
    job = NestedJob(homes=[NestedHome("a", "x" * 1000)])
    assert not job.is_valid()
    assert job.errors["homes"][0].startswith("[0].number must be an int, not 'xxx")
    assert len(job.errors["homes"][0]) < 100


def test_of_an_encrypted_field_no_value_and_no_place_is_shown(encryption):
    class NestedSecretJob(Job):
        homes: list[NestedHome] = field(factory=list, encrypted=True)

        def perform(self): ...

    with pytest.raises(ValidationError) as error:
        NestedSecretJob.create(homes=[NestedHome(4711), NestedHome("b", "0815")])
    assert "4711" not in str(error.value) and "0815" not in str(error.value)
    assert error.value.errors["homes"] == ["must be a list of a NestedHome; the value is not shown"]


def test_json_that_does_not_fit_is_explained_place_by_place(rocketjob):
    text = '{"eu": {"rate": 1.5}, "us": {"number": "x"}}'
    with pytest.raises(ValidationError) as error:
        NestedJob.from_properties({"limits": text, "tree": '{"left": {"name": 1}}'})
    assert error.value.errors == {
        "limits": ["['eu'].number is missing; ['us'].number must be a whole number, not 'x'"],
        "tree": ["must be the JSON of a NestedTree: .name is missing"],
    }


def test_arguments_of_perform_are_checked_in_every_place(rocketjob):
    class NestedArgumentsJob(Job):
        def perform(self, homes: list[NestedHome]): ...

    with pytest.raises(TypeError, match=r"homes\[0\]\.street must be a str, not 5; homes\[1\]"):
        NestedArgumentsJob.perform_later([NestedHome(5), 6])


def test_a_field_of_a_nested_class_must_have_a_type_that_can_be_stored(rocketjob):
    @attrs.define
    class Odd:
        lock: type[int]

    class NestedOddJob(Job):
        odd: Odd | None = None

        def perform(self): ...

    with pytest.raises(TypeError, match=r"Odd\.lock: type\[int\] is not a type that a field"):
        NestedOddJob.create(odd=Odd(int))


# --- what is stored is what it always was -----------------------------------------------------


def test_the_stored_form_is_plain():
    job = NestedJob(
        homes=[NestedHome("a", 2, date(2026, 1, 1), {Shade.LIGHT, Shade.DARK}, (1, date.min))],
        limits={"eu": NestedLimit(5)},
        days=[date(2026, 1, 1)],
        numbers={3, 1},
        pair=("x", 1),
        tree=NestedTree("a", NestedTree("b"), [NestedTree("c", marks={2, 1})]),
        positive=Positive(3),
        loose=[Decimal("1.5"), date(2026, 1, 1)],
    )
    leaf = {"left": None, "children": [], "by_name": {}, "marks": []}
    document = job.to_document()
    assert {name: document[name] for name in document if name in NestedJob.__own_fields__} == {
        "homes": [
            {
                "street": "a",
                "number": 2,
                "since": "2026-01-01",
                "shades": ["dark", "light"],
                "untyped": {
                    "__rocketjob__": "tuple",
                    "value": [1, {"__rocketjob__": "date", "value": "0001-01-01"}],
                },
            }
        ],
        "limits": {"eu": {"number": 5, "rate": 1.0, "kind": "soft"}},
        "days": ["2026-01-01"],
        "numbers": [1, 3],
        "pair": ["x", 1],
        "counts": {},
        "tree": {
            **leaf,
            "name": "a",
            "left": {**leaf, "name": "b"},
            "children": [{**leaf, "name": "c", "marks": [1, 2]}],
        },
        "positive": {"number": 3, "doubled": 0, "_hidden": "h"},
        "either": [],
        "names": [],
        "loose": [bson.Decimal128("1.5"), {"__rocketjob__": "date", "value": "2026-01-01"}],
    }


def test_what_is_not_stored_has_its_default_and_what_the_class_has_no_more_is_left_out(rocketjob):
    job = NestedJob.create()
    homes = [{"street": "a", "removed": 5}]
    Job.collection().update_one({"_id": job.id}, {"$set": {"homes": homes}})
    assert Job.find(job.id).homes == [NestedHome("a")]


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)
NUMBERS = st.integers(-(2**63), 2**63 - 1)
HOMES = st.builds(
    NestedHome,
    street=TEXTS,
    number=NUMBERS,
    since=st.none() | st.dates(),
    shades=st.sets(st.sampled_from(Shade)),
    untyped=st.none() | st.dates() | st.tuples(NUMBERS, TEXTS),
)
LIMITS = st.builds(
    NestedLimit,
    number=NUMBERS,
    rate=st.floats(allow_nan=False),
    kind=st.sampled_from(["soft", "hard"]),
)
TREES = st.recursive(
    st.builds(NestedTree, name=TEXTS, marks=st.sets(NUMBERS, max_size=2)),
    lambda inner: st.builds(
        NestedTree,
        name=TEXTS,
        left=st.none() | inner,
        children=st.lists(inner, max_size=2),
        by_name=st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
    ),
    max_leaves=5,
)
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "homes": st.lists(HOMES, max_size=3),
        "limits": st.dictionaries(st.sampled_from(["eu", "us"]), LIMITS),
        "tree": TREES,
        "pair": st.tuples(TEXTS, NUMBERS),
        "counts": st.dictionaries(st.sampled_from(["a", "b"]), st.lists(NUMBERS, max_size=3)),
        "either": st.lists(NUMBERS | TEXTS, max_size=3),
        "names": st.lists(st.none() | TEXTS, max_size=3),
        "days": st.lists(st.dates(), max_size=3),
    },
)


@given(values=VALUES)
def test_whatever_is_valid_comes_back_from_what_is_stored(values):
    job = NestedJob(**values)
    job.validate()
    aware = bson.codec_options.CodecOptions(tz_aware=True)
    document = bson.decode(bson.encode(job.to_document()), codec_options=aware)
    loaded = NestedJob.from_document(document)
    for name, value in values.items():
        assert getattr(loaded, name) == value
    assert loaded.to_document() == document


@given(values=VALUES, at=st.datetimes().map(lambda value: value.replace(tzinfo=UTC)))
def test_a_wrong_value_is_refused_by_check_and_by_load_alike(values, at):
    job = NestedJob(**values)
    for name in values:
        codec = NestedJob.fields()[name].codec
        assert codec.faults(getattr(job, name)) == []
        assert codec.faults(at) and codec.check(at)
        with pytest.raises(ValueError):
            codec.decode(at)


def test_a_naive_datetime_in_a_list_is_named():
    class NestedTimesJob(Job):
        times: list[datetime] = []

        def perform(self): ...

    job = NestedTimesJob(times=[datetime(2026, 1, 1)])
    assert not job.is_valid()
    assert job.errors["times"][0].startswith("[0] must have a time zone")
