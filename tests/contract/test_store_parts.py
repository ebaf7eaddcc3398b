"""Each test of the contract of stores belongs to a part that says what it means to fail it."""

import pytest

from rocketjob.testing.store_contract import StoreContract, parts


def names_of(cls):
    return [name for name in dir(cls) if name.startswith("test_")]


def test_each_test_of_the_contract_is_in_one_part():
    in_parts = [name for part in parts.PARTS for name in names_of(part.tests)]
    assert sorted(in_parts) == sorted(names_of(StoreContract))
    assert {part.tests for part in parts.PARTS} == set(StoreContract.__bases__)


def test_what_is_lesser_is_in_a_part_that_is_needed():
    assert all(parts.part_of(name).needed for name in parts.LESSER)


def test_a_test_that_is_not_of_the_contract_is_in_no_part():
    with pytest.raises(LookupError, match="test_of_mine is no test of the contract of stores"):
        parts.part_of("test_of_mine")
