"""What forms ask of a field: its choices and its range; and values as JSON that loses nothing."""

import enum
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

import pytest
from bson import ObjectId

from rocketjob import Document, field, validators
from rocketjob.model.described import bounds_of, choices_of
from rocketjob.model.types import typed_json


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


class DescribedDocument(Document):
    collection_name = "described"
    size: Size | None = None
    way: Literal["air", "sea", None] = None
    yes: bool = True
    region: str = field(default="eu", validator=validators.in_(["eu", "us"]))
    free: str = ""
    count: int = field(default=1, validator=validators.in_range(1, 9))
    more: int | None = field(
        default=None,
        validator=validators.optional(validators.and_(validators.gt(0), validators.le(5))),
    )
    ratio: float = field(default=0.5, validator=validators.lt(1))


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("size", (Size.SMALL, Size.LARGE)),
        ("way", ("air", "sea")),
        ("yes", (True, False)),
        ("region", ("eu", "us")),
        ("free", None),
        ("count", None),
    ],
)
def test_the_choices_of_a_field_are_those_of_its_type_or_its_validator(name, choices):
    assert choices_of(DescribedDocument.fields()[name]) == choices


@pytest.mark.parametrize(
    ("name", "bounds"),
    [("count", (1, 9)), ("more", (1, 5)), ("ratio", (None, 1)), ("free", (None, None))],
)
def test_the_range_of_a_field_is_that_of_its_validators(name, bounds):
    assert bounds_of(DescribedDocument.fields()[name]) == bounds


@pytest.mark.parametrize(
    "value",
    [
        None,
        "00501",
        "\x00\n\u2028<é",
        1,
        1.0,
        -(2**63),
        True,
        float("inf"),
        b"\xff\x00",
        datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=UTC),
        UUID("12345678123456781234567812345678"),
        ObjectId("0" * 24),
        {"b": [1, "1", {"c": None}], "a": {}},
    ],
)
def test_a_value_is_the_same_after_it_was_json(value):
    again = typed_json.loads(typed_json.dumps(value))
    assert (again, type(again)) == (value, type(value))


def test_a_decimal_keeps_its_zeros():
    from bson import Decimal128

    text = typed_json.dumps(Decimal128(Decimal("1.10")))
    assert text == '{"$numberDecimal": "1.10"}'
    assert str(typed_json.loads(text)) == "1.10"


NOT_KEPT = (
    *("", "{", "{'a': 1}", '{"a": 1, "a": 2}', "0.12345678901234567890", "NaN", "[" * 100_000),
    *('{"$date": []}', '{"$oid": "x"}', '{"$numberDecimal": "x"}', '{"$binary": {"base64": 1}}'),
)


@pytest.mark.parametrize("text", NOT_KEPT)
def test_what_would_not_be_kept_is_refused(text):
    with pytest.raises(ValueError, match=r".+"):
        typed_json.loads(text)
