"""What `rocketjob perf` makes of the figures of several runs."""

from datetime import UTC, datetime

import pytest

from rocketjob_plugins.perf import machine, measuring
from rocketjob_plugins.perf.report import Kind, Report, as_words, shortened

AT = datetime(2026, 1, 31, 8, 30, tzinfo=UTC)
KINDS = (
    Kind("performed", "jobs/s", more=True),
    Kind("peak memory", "MiB"),
    Kind("imap", "records/s", more=True, stored=False),
)


@pytest.fixture
def report():
    return Report(
        "simple", {"jobs": 2000}, {"cores": 2, "memory_mib": None}, "journal wal", KINDS, AT
    )


def test_the_median_and_the_range_are_of_all_runs(report):
    for value in (30.0, 10.0, 20.0, 1000.0):
        report.add({"performed": value})
    (figure,) = report.figures()
    assert (figure["median"], figure["lowest"], figure["highest"]) == (25, 10, 1000)
    assert figure["values"] == [30, 10, 20, 1000]
    assert (figure["better"], figure["durability"]) == ("more", "journal wal")


def test_what_is_unknown_on_a_machine_is_left_out_and_not_said_to_be_zero(report):
    report.add({"performed": 5.0, "peak memory": None})
    assert [figure["name"] for figure in report.figures()] == ["performed"]


def test_what_keeps_nothing_is_not_said_to_be_durable(report):
    report.add({"imap": 5.0})
    assert report.figures()[0]["durability"] == "nothing is stored"


def test_a_figure_that_no_kind_describes_is_refused(report):
    with pytest.raises(ValueError, match="simple declares no figure preformed"):
        report.add({"preformed": 5.0})


@pytest.mark.parametrize(
    ("busy", "idle"), [([0.01, None], True), ([None], True), ([0.0, 0.4], False)]
)
def test_a_machine_that_is_not_idle_is_warned_of(report, busy, idle):
    report.busy = busy
    assert report.is_idle is idle
    said = report.warning()
    assert (said is None) is idle
    assert idle or "others used 40% of its processors" in said


def test_for_people_each_figure_is_a_row_with_its_durability(report, capsys):
    report.load, report.busy = 0.25, [0.02, 0.031]
    report.add({"performed": 12345.6, "peak memory": 80.25})
    report.print(as_json=False)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines() if line]
    assert "jobs 2,000" in lines
    assert "memory mib unknown" in lines
    assert "load 0.25 before; others used 2%, 3% of the processors" in lines
    assert "performed 12,346 12,346 12,346 jobs/s journal wal" in lines
    assert "peak memory 80.25 80.25 80.25 MiB journal wal" in lines


@pytest.mark.parametrize(
    ("value", "short"), [(12345.678, 12346), (123.456, 123.5), (1.23456, 1.235), (0.01239, 0.012)]
)
def test_digits_that_say_nothing_are_left_out(value, short):
    assert shortened(value) == short


@pytest.mark.parametrize(
    ("value", "words"), [(None, "unknown"), (1234567, "1,234,567"), (0.25, "0.25"), ("x", "x")]
)
def test_numbers_are_written_for_people(value, words):
    assert as_words(value) == words


@pytest.mark.parametrize(
    ("checked", "said"),
    [
        ({"journal_mode": "wal", "synchronous": "FULL"}, "journal wal, synchronous FULL"),
        ({"write concern": "majority"}, "write concern majority"),
        ({}, "as the store is set up"),
    ],
)
def test_durability_is_what_the_store_says_of_itself(checked, said):
    assert measuring.durability(checked) == said


def test_a_machine_is_described():
    described = machine.described()
    assert described["cores"] >= 1
    assert described["python"].count(".") == 2


def test_how_busy_others_are_is_a_share():
    share = machine.others_share(0.02)
    assert share is None or 0 <= share <= 1
