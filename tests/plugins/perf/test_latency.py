"""How the times of a job become percentiles and parts."""

import pytest

from rocketjob_plugins.perf.latency import Stages, of_stages, percentile, stages_of


@pytest.mark.parametrize(("share", "value"), [(50, 50), (95, 95), (99, 99), (100, 100), (1, 1)])
def test_a_percentile_is_a_value_that_was_measured(share, value):
    assert percentile(range(100, 0, -1), share) == value


def test_the_percentile_of_one_value_is_that_value():
    assert percentile([7.0], 99) == 7.0


@pytest.mark.parametrize(
    ("stages", "parts"),
    [
        # stored at 2, noticed 3 later, claimed in 1, handed over in 4, and completed in 5
        (Stages(0, 2, 5, 6, 10, 15), [2, 3, 1, 4, 5]),
        # the worker has noticed before the call that stored it came back
        (Stages(0, 2, 1, 6, 10, 15), [1, 0, 5, 4, 5]),
        # a claim that was under way anyway has got it
        (Stages(0, 2, -1, 6, 10, 15), [0, 0, 6, 4, 5]),
    ],
)
def test_the_parts_follow_each_other_and_make_up_the_whole(stages, parts):
    found = stages.parts()
    assert list(found.values()) == parts
    assert sum(parts) == stages.to_end
    assert sum(parts[:-1]) == stages.to_start


def test_figures_are_in_milliseconds():
    figures = of_stages([Stages(0, 0.001, 0.002, 0.004, 0.008, 0.016)])
    assert figures["to start, p50"] == pytest.approx(8)
    assert figures["to end, p99"] == pytest.approx(16)
    assert figures["of it: claim"] == pytest.approx(2)


def test_what_a_job_writes_is_found_with_when_it_was_stored():
    assert stages_of("b 3.0 4.0 5.0 6.5", {"a": (9, 9), "b": (1, 2)}) == (1, 2, 3, 4, 5, 6.5)
