"""The reference page says what is so."""

import re
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path

import pytest

from rocketjob_plugins.cron import CronError, CronSchedule
from rocketjob_plugins.cron.expression import WORDS

PAGE = Path(__file__).parents[3] / "docs" / "plugins" / "cron-expressions.md"
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def table(*head):
    """List the rows of the table with this head."""
    lines = PAGE.read_text().splitlines()
    start = lines.index("| " + " | ".join(head) + " |")
    rows = takewhile(lambda line: line.startswith("|"), lines[start + 2 :])
    return [tuple(cell.strip(" `") for cell in row.strip("|").split("|")) for row in rows]


@pytest.mark.parametrize(
    ("expression", "words", "first", "second"), table("expression", "in words", "next", "then")
)
def test_the_examples_run_as_written(expression, words, first, second):
    schedule = CronSchedule(expression)
    assert schedule.describe() == words
    assert [f"{run:%Y-%m-%d %H:%M}" for run in schedule.next_times(NEW_YEAR, 2)] == [first, second]


@pytest.mark.parametrize(
    ("expression", "dst", "spring", "autumn"),
    table("expression", "`dst`", "8 March", "1 November"),
)
def test_the_changes_of_clocks_are_as_written(expression, dst, spring, autumn):
    schedule = CronSchedule(expression, dst=dst)
    for start, hours, expected in (
        (datetime(2026, 3, 8, 5, tzinfo=UTC), 23, spring),
        (datetime(2026, 11, 1, 4, tzinfo=UTC), 25, autumn),
    ):
        runs = schedule.times_after(start - timedelta(minutes=1))
        day = []
        while (run := next(runs)) < start + timedelta(hours=hours):
            day.append(f"{run:%H:%M}")
        assert (", ".join(day) or "none") == expected


def test_every_word_is_on_the_page():
    assert [word for word in WORDS if f"`{word}" not in PAGE.read_text()] == []


def test_what_is_called_unsupported_is_refused():
    page = PAGE.read_text()
    listed = re.search(r"Not supported, and refused:(.*?)\n\n", page, re.DOTALL)[1]
    forms = re.findall(r"`([^`]+)`", listed)
    assert len(forms) == 6
    for form in forms:
        for text in (f"0 0 {form} * *", f"0 0 * * {form}", f"0 0 * * * {form}"):
            with pytest.raises(CronError):
                CronSchedule(text)
