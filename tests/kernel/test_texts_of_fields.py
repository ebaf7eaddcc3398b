"""Texts that have no value of a type are refused with a `ValueError`, whatever they are."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from rocketjob.model.types import codec_for

FAR = ["9" * 5000, "9" * 30 + "d", "-999999999999d", "P99999999999Y"]
EDGES = ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"]


@pytest.mark.parametrize("text", [*FAR, *EDGES], ids=range(6))
@pytest.mark.parametrize("kind", [datetime, timedelta, date])
def test_a_time_beyond_all_times_is_refused(kind, text):
    with pytest.raises(ValueError, match=r"must be a|longer than"):
        codec_for(kind).from_text(text)


@pytest.mark.parametrize("kind", [list[int], dict[str, int], Any])
def test_what_is_nested_too_deeply_is_refused(kind):
    with pytest.raises(ValueError, match="too deep"):
        codec_for(kind).from_text("[" * 100_000)


@pytest.mark.parametrize("text", ["\0", "²", "nan", "1_0 ", "--1", "1e999999999999"])
@pytest.mark.parametrize("kind", [int, Decimal, bool, bytes, datetime, timedelta, list[int]])
def test_no_other_error_is_raised(kind, text):
    try:
        codec_for(kind).from_text(text)
    except ValueError as error:
        assert str(error)
