"""A field of every type: checked, stored, and back as it was."""

import enum
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import attrs
import pendulum
import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from rocketjob import Job, ValidationError, field
from rocketjob.model.record import record_of
from rocketjob.testing import sandbox
from support.jobs import stored


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Pair(enum.Enum):
    ONE = (1, 2)


@attrs.define
class Address:
    street: str
    number: int = 1
    since: date | None = None
    colours: set[Colour] = attrs.field(factory=set)
    at: datetime | None = None
    span: timedelta = timedelta(0)
    price: Decimal = Decimal(0)
    pages: range = range(0)
    pattern: re.Pattern | None = None
    code: UUID | None = None
    moved_from: "Address | None" = None


class EveryTypeJob(Job):
    text: str | None = None
    whole: int | None = None
    real: float | None = None
    flag: bool | None = None
    raw: bytes | None = None
    amount: Decimal | None = None
    day: date | None = None
    at: datetime | None = None
    span: timedelta | None = None
    uuid: UUID | None = None
    oid: ObjectId | None = None
    colour: Colour | None = None
    size: Size | None = None
    pair: Pair | None = None
    choice: Literal["a", "b", 3] | None = None
    choice_with_none: Literal["a", None] = None
    words: list[str] | None = None
    anything_list: list | None = None
    days: list[date] | None = None
    times: list[datetime] | None = None
    lists: list[list[int]] | None = None
    two: tuple[str, int] | None = None
    many: tuple[int, ...] | None = None
    bare: tuple | None = None
    unique: set[int] | None = None
    frozen: frozenset[str] | None = None
    counts: dict[str, int] | None = None
    loose: dict | None = None
    mapping: Mapping[str, Decimal] | None = None
    pages: range | None = None
    pattern: re.Pattern | None = None
    address: Address | None = None
    addresses: list[Address] | None = None
    either: int | str | None = None
    moment: date | datetime | None = None
    anything: Any = None

    def perform(self): ...


NOON = pendulum.datetime(2026, 1, 31, 12, 30, 15, 123000)
SAMPLES = [
    ("text", "Grüße \0 \U0001f600"),
    ("whole", -(2**63)),
    ("whole", 2**63 - 1),
    ("real", 1.5),
    ("real", float("inf")),
    ("flag", True),
    ("flag", False),
    ("raw", b"\0\xff"),
    ("amount", Decimal("1234567890.10")),
    ("amount", Decimal("-Infinity")),
    ("day", date(1, 1, 1)),
    ("day", date.max),
    ("at", NOON),
    ("span", timedelta(days=-1, microseconds=1)),
    ("uuid", UUID(int=5)),
    ("oid", ObjectId()),
    ("colour", Colour.RED),
    ("size", Size.LARGE),
    ("pair", Pair.ONE),
    ("choice", 3),
    ("choice_with_none", "a"),
    ("words", ["a", "b"]),
    ("anything_list", [1, "two", None, {"three": 3.0}]),
    ("days", [date(2026, 1, 1)]),
    ("times", [NOON]),
    ("lists", [[1], []]),
    ("two", ("a", 1)),
    ("many", (1, 2, 3)),
    ("bare", ("a", 1, None)),
    ("unique", {3, 1, 2}),
    ("frozen", frozenset({"x"})),
    ("counts", {"a": 1}),
    ("loose", {"a": {"b": [1, date(2026, 1, 1)]}}),
    ("mapping", {"a": Decimal("0.1")}),
    ("pages", range(1, 10, 2)),
    ("pattern", re.compile("^a.*z$", re.IGNORECASE | re.MULTILINE)),
    ("address", Address("Main")),
    (
        "address",
        Address(
            "Main",
            5,
            date(2026, 1, 1),
            {Colour.RED},
            NOON,
            timedelta(seconds=1.5),
            Decimal("1.10"),
            range(3),
            re.compile("x"),
            UUID(int=1),
            Address("Old"),
        ),
    ),
    ("addresses", [Address("a"), Address("b", 2)]),
    ("either", 5),
    ("either", "five"),
    ("moment", date(2026, 1, 1)),
    ("moment", NOON),
    ("anything", ("a", {1, 2}, date(2026, 1, 1), timedelta(1), range(3), Decimal("1.1"))),
    ("anything", {"at": NOON, "re": re.compile("x"), "id": ObjectId(), "uuid": UUID(int=2)}),
    ("anything", NOON),
]


@pytest.fixture(scope="module")
def stores():
    with sandbox() as made:
        yield made


@pytest.mark.parametrize(
    ("name", "value"), SAMPLES, ids=[f"{n}-{i}" for i, (n, _) in enumerate(SAMPLES)]
)
def test_a_value_comes_back_as_it_was_saved(stores, name, value):
    job = EveryTypeJob.create(**{name: value})
    found = getattr(EveryTypeJob.find(job.id), name)
    assert found == value
    assert isinstance(found, type(value))


@pytest.mark.parametrize(
    ("name", "value"), SAMPLES, ids=[f"{n}-{i}" for i, (n, _) in enumerate(SAMPLES)]
)
def test_a_loaded_document_has_nothing_to_save(stores, name, value):
    job = EveryTypeJob.create(**{name: value})
    assert job.changed() == {}
    assert job.reload().changed() == {}
    assert record_of(job).changes(job) == ({}, {})


def test_every_type_of_the_guide_is_tried():
    tried = {name for name, _ in SAMPLES}
    own = set(EveryTypeJob.fields()) - set(Job.fields())
    assert tried == own


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
times = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
spans = st.timedeltas(timedelta(days=-90_000), timedelta(days=90_000))
decimals = st.decimals(allow_nan=False).filter(lambda d: len(d.as_tuple().digits) <= 34)
keys = text.filter(lambda key: not key.startswith("$") and not set(key) & {".", "\0"})
ints = st.integers(-(2**63), 2**63 - 1)
reals = st.floats(allow_nan=False)
hashable = st.one_of(text, ints, st.dates(), st.booleans(), st.none())
anything = st.recursive(
    st.one_of(hashable, reals, st.binary(max_size=9), spans, st.uuids(), st.sets(ints, max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(keys, inner, max_size=3),
    ),
    max_leaves=6,
)
VALUES = {
    "text": text,
    "whole": ints,
    "real": reals,
    "raw": st.binary(max_size=20),
    "amount": decimals,
    "day": st.dates(),
    "span": spans,
    "uuid": st.uuids(),
    "colour": st.sampled_from(Colour),
    "words": st.lists(text, max_size=3),
    "days": st.lists(st.dates(), max_size=3),
    "two": st.tuples(text, ints),
    "many": st.lists(ints, max_size=3).map(tuple),
    "unique": st.sets(ints, max_size=4),
    "frozen": st.frozensets(text, max_size=4),
    "counts": st.dictionaries(keys, ints, max_size=3),
    "loose": st.dictionaries(keys, anything, max_size=3),
    "pages": st.builds(range, ints, ints, st.integers(1, 9)),
    "either": st.one_of(ints, text),
    "anything": anything,
}


@given(st.fixed_dictionaries({}, optional=VALUES))
def test_whatever_is_saved_comes_back(stores, values):
    job = EveryTypeJob(**values)
    assert job.is_valid(), job.errors
    found = EveryTypeJob.find(job.save().id)
    assert {name: getattr(found, name) for name in values} == values
    assert record_of(found).changes(found) == ({}, {})


@given(times)
def test_a_time_comes_back_equal_to_what_the_object_holds(stores, at):
    job = EveryTypeJob.create(at=at, times=[at], anything=at, address=Address("x", at=at))
    found = EveryTypeJob.find(job.id)
    assert found.at == job.at
    assert 0 <= (at - found.at).total_seconds() < 0.001
    assert found.times == [job.at]
    assert found.anything == job.at
    assert found.address.at == job.at


def test_times_are_kept_in_utc_to_the_millisecond(rocketjob):
    zone = timezone(timedelta(hours=-5))
    job = EveryTypeJob(at=datetime(2026, 1, 1, 12, 0, 0, 123456, zone))
    assert job.at == datetime(2026, 1, 1, 17, 0, 0, 123000, UTC)
    assert isinstance(job.at, pendulum.DateTime)
    assert job.at.utcoffset() == timedelta(0)


def test_a_timedelta_for_a_time_means_from_now(rocketjob):
    rocketjob.freeze(NOON)
    assert EveryTypeJob(run_at=timedelta(hours=2)).run_at == NOON.add(hours=2)


def test_a_union_that_holds_timedeltas_keeps_them(rocketjob):
    class WhenJob(Job):
        when: datetime | timedelta = timedelta(1)

        def perform(self): ...

    assert WhenJob.find(WhenJob.create(when=timedelta(2)).id).when == timedelta(2)
    assert WhenJob.find(WhenJob.create(when=NOON).id).when == NOON


def test_a_whole_number_for_a_float_comes_back_as_a_float(rocketjob):
    found = EveryTypeJob.find(EveryTypeJob.create(real=5).id).real
    assert (found, type(found)) == (5.0, float)


WRONG = [
    ("text", 5, "must be str, not int 5"),
    ("text", "\ud800", "cannot be stored as UTF-8"),
    ("whole", "5", "must be int, not str '5'"),
    ("whole", True, "must be int, not bool True"),
    ("whole", 2**63, "must fit into 64 bits"),
    ("real", "x", "must be float, not str 'x'"),
    ("real", 10**400, "must be float"),
    ("flag", 1, "must be bool, not int 1"),
    ("raw", "x", "must be bytes, not str 'x'"),
    ("amount", 1.5, "must be Decimal, not float 1.5"),
    ("amount", Decimal("1." + "1" * 40), "must have at most 34 digits"),
    ("day", NOON, "must be date, not DateTime"),
    ("at", "tomorrow", "must be datetime, not str 'tomorrow'"),
    ("at", datetime(2026, 1, 1), "must have a time zone, 2026-01-01T00:00:00 has none"),
    ("span", 5, "must be timedelta, not int 5"),
    ("span", timedelta.max, "too long to be stored"),
    ("uuid", "x", "must be UUID, not str 'x'"),
    ("oid", "x", "must be an id (ObjectId), not str 'x'"),
    ("colour", "red", "must be one of Colour (red, blue), not str 'red'"),
    ("choice", "c", "must be one of a, b, 3, not str 'c'"),
    ("words", "ab", "must be a list of str, not str 'ab'"),
    ("words", ["a", 1], "[1] must be a str, not 1"),
    ("lists", [[1], ["x"]], "[1][0] must be an int, not 'x'"),
    ("two", ("a",), "must be a tuple of 2, not tuple ('a',)"),
    ("two", (1, 1), "[0] must be a str, not 1"),
    ("unique", [1], "must be a set of int, not list [1]"),
    ("counts", {"a": "b"}, "['a'] must be an int, not 'b'"),
    ("counts", {1: 1}, "must have text as keys, not int 1"),
    ("counts", {"a.b": 1}, "has the key 'a.b': keys may not contain '.' nor begin with '$'"),
    ("counts", {"$a": 1}, "has the key '$a'"),
    ("loose", {"a": {"b.c": 1}}, "['a'] has the key 'b.c'"),
    ("pages", [1], "must be range, not list [1]"),
    ("pages", range(2**70), "must fit into 64 bits"),
    ("pattern", "x", "must be a regular expression, not str 'x'"),
    ("pattern", re.compile(b"x"), "must be a regular expression of text"),
    ("address", {"street": "x"}, "must be a Address, not dict"),
    ("address", Address(street=5), ".street must be a str, not 5"),
    ("either", 1.5, "must be int or str, not float 1.5"),
    ("anything", object(), "cannot be stored: object <object object"),
    ("anything", [{"a": object()}], "[0]['a'] cannot be stored"),
    ("anything", datetime(2026, 1, 1), "must have a time zone"),
    ("anything", {"__rocketjob__": "date"}, "has the key '__rocketjob__'"),
]


@pytest.mark.parametrize(
    ("name", "value", "message"), WRONG, ids=[f"{n}-{i}" for i, (n, *_) in enumerate(WRONG)]
)
def test_a_wrong_value_is_named_with_its_type_and_the_type_wanted(stores, name, value, message):
    count = EveryTypeJob.count()
    with pytest.raises(ValidationError) as error:
        EveryTypeJob.create(**{name: value})
    assert message in error.value.errors[name][0]
    assert EveryTypeJob.count() == count


def test_a_long_value_is_cut_in_the_message(rocketjob):
    job = EveryTypeJob(whole="x" * 1000)
    assert not job.is_valid()
    assert len(job.errors["whole"][0]) < 120


@pytest.mark.parametrize("annotation", [object, Any])
def test_a_field_of_any_type_takes_any_value_that_a_document_holds(rocketjob, annotation):
    class AnyJob(Job):
        value: annotation = None

        def perform(self): ...

    assert AnyJob.find(AnyJob.create(value=[1, {"a": b"x"}]).id).value == [1, {"a": b"x"}]


class NoField:
    pass


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        (NoField, "is not a type that a field can have"),
        (dict[int, str], "the keys of a dict field must be str"),
        (Colour | str, "a union"),
        (Address | str, "a union"),
    ],
)
def test_a_type_that_no_field_can_have_is_refused_with_what_can_be_had(annotation, said):
    with pytest.raises(TypeError, match=f"OddJob.value: .*{said}"):

        class OddJob(Job):
            value: annotation = None

            def perform(self): ...


def test_an_annotation_that_names_nothing_is_refused_with_its_place():
    class UnresolvedJob(Job):
        value: "NoSuchType" = None  # noqa: F821

        def perform(self): ...

    with pytest.raises(TypeError, match=r"UnresolvedJob.value: the annotation 'NoSuchType'"):
        UnresolvedJob(value=1)


def test_annotations_may_be_text_that_names_what_is_local():
    class Local(enum.Enum):
        A = "a"

    class TextAnnotationJob(Job):
        value: "Local" = Local.A

        def perform(self): ...

    assert TextAnnotationJob().value is Local.A


def test_a_value_that_no_longer_fits_its_enum_is_loaded_and_found_by_validation(rocketjob):
    job = EveryTypeJob.create(colour=Colour.RED)
    job.collection().update_one({"_id": job.id}, {"$set": {"colour": "green"}})
    found = EveryTypeJob.find(job.id)
    assert found.colour == "green"
    assert not found.is_valid()


def test_only_fields_with_a_value_are_stored(rocketjob):
    document = stored(EveryTypeJob.create())
    assert "text" not in document
    assert {"_id", "_type", "state", "failure_count", "percent_complete", "priority"} <= set(
        document
    )
    assert {"created_at", "destroy_on_complete"} <= set(document)


def test_none_over_a_default_that_is_not_none_comes_back_as_none(rocketjob):
    class NotedJob(Job):
        note: str | None = "x"

        def perform(self): ...

    assert NotedJob.find(NotedJob.create(note=None).id).note is None


def test_private_and_class_variables_are_no_fields():
    from typing import ClassVar

    class QuietJob(Job):
        limit: ClassVar[int] = 5
        _hidden: int = 6

        def perform(self): ...

    assert not {"limit", "_hidden"} & set(QuietJob.fields())
    assert QuietJob.limit == 5


def test_fields_tell_what_is_known_of_them():
    class ToldJob(Job):
        ssn: str | None = field(
            default=None, user_editable=True, copy_on_restart=True, description="secret"
        )

        def perform(self): ...

    made = ToldJob.fields()["ssn"]
    assert (made.user_editable, made.copy_on_restart, made.description) == (True, True, "secret")
    editable = {name for name, made in Job.fields().items() if made.user_editable}
    assert editable == {"description", "priority", "run_at", "log_level", "timeout"}
    copied = {name for name, made in Job.fields().items() if made.copy_on_restart}
    assert copied == {
        "description",
        "priority",
        "destroy_on_complete",
        "expires_at",
        "log_level",
        "collect_output",
        "meta",
        "timeout",
    }


def test_field_takes_a_default_or_a_factory_not_both():
    with pytest.raises(TypeError, match="a default or a factory, not both"):
        field(default=1, factory=int)
    with pytest.raises(TypeError, match="factory must be callable"):
        field(factory=5)
