"""Durations in buckets: what is told of them is off by no more than is stated."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocketjob_plugins.metrics.histogram import ERROR, LAST, Histogram, bucket_of, upper_bound


def histogram_of(*values):
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    return histogram


@pytest.mark.parametrize("bucket", range(LAST + 1))
def test_a_bound_stands_in_the_bucket_that_it_bounds(bucket):
    assert bucket_of(upper_bound(bucket)) == bucket
    if bucket < LAST:
        assert bucket_of(upper_bound(bucket) * 1.0001) == bucket + 1


@given(st.lists(st.floats(0.001, 2_000_000), min_size=1), st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_a_quantile_is_off_by_no_more_than_the_stated_error(values, q):
    exact = sorted(values)[max(0, -(-len(values) * q // 1).__int__() - 1)]
    assert abs(histogram_of(*values).quantile(q) / exact - 1) <= ERROR + 1e-6


def test_there_is_no_quantile_of_nothing():
    histogram = Histogram()
    assert (histogram.quantile(0.5), histogram.mean, histogram.max, histogram.count) == (
        None,
        None,
        0.0,
        0,
    )


def test_what_is_too_long_or_less_than_nothing_is_counted_all_the_same():
    histogram = histogram_of(-5, 0, 1e12)
    assert histogram.buckets == {0: 2, LAST: 1}
    assert histogram.max == 1e12


def test_the_parts_add_up_to_the_whole_and_are_stored_as_they_are():
    values = [random.expovariate(1) for _ in range(200)]
    whole, sum_of_parts = histogram_of(*values), histogram_of(*values[:50])
    sum_of_parts.merge(Histogram.load(histogram_of(*values[50:]).stored()))
    assert sum_of_parts.buckets == whole.buckets
    assert sum_of_parts.max == whole.max
    assert sum_of_parts.sum == pytest.approx(whole.sum)


def test_cumulative_counts_grow_up_to_all():
    counts = dict(histogram_of(0.0005, 0.001, 0.002, 0.0021, 3).cumulative())
    assert counts[0.001] == 2
    assert counts[0.002] == 3
    assert counts[0.004] == 4
    assert max(counts.values()) == 5
