import csv
import gzip
import itertools
import json
from datetime import date

import pytest
from click.testing import CliRunner

from rocketjob.cli import make_cli
from rocketjob_plugins.sample import COLUMNS, lines, parse_share, records


def is_good(record):
    try:
        date.fromisoformat(record["ordered_on"])
        float(record["amount"])
    except ValueError:
        return False
    return bool(record["name"]) and "@" in record["email"]


@pytest.mark.parametrize(
    ("rows", "bad", "expected"), [(1000, 0, 0), (1000, 0.001, 1), (999, 0.1, 100), (10, 1, 10)]
)
def test_the_share_that_is_bad_is_exact(rows, bad, expected):
    found = list(records(rows, bad=bad))
    assert len(found) == rows
    assert sum(not is_good(record) for record in found) == expected


def test_the_same_arguments_give_the_same_records_and_another_seed_others():
    assert list(records(50, bad=0.1, seed=1)) == list(records(50, bad=0.1, seed=1))
    assert list(records(50, seed=1)) != list(records(50, seed=2))
    assert list(records(3)) == list(itertools.islice(records(5), 3))


def test_records_of_this_version_are_those_of_every_version():
    record = next(records(1))
    assert list(record) == list(COLUMNS)
    assert record["email"] == "customer1@example.com"
    assert (record["name"], record["city"], record["amount"]) == (
        "Inês Ito",
        "New York, NY",
        "258.92",
    )


@pytest.mark.parametrize("mark", [",", "|"])
def test_lines_are_what_a_parser_reads_back(mark):
    found = lines("csv" if mark == "," else "psv", 2500, bad=0.02)
    rows = list(csv.DictReader(found, delimiter=mark))
    plain = list(records(2500, bad=0.02))
    assert [{n: row[n] for n in COLUMNS} for row in rows] == plain
    assert 0 < sum(None in row for row in rows) < 50  # a field too many


def test_json_has_a_record_on_each_line():
    assert [json.loads(line) for line in lines("json", 20)] == list(records(20))


def test_nothing_is_kept_in_memory():
    assert len(list(itertools.islice(lines("csv", 10**12), 2000))) == 2000


@pytest.mark.parametrize(
    ("text", "share"), [("0.1%", 0.001), ("0.5", 0.5), ("0", 0), (" 100% ", 1)]
)
def test_a_share_may_be_given_in_percent(text, share):
    assert parse_share(text) == share


@pytest.mark.parametrize("text", ["", "x", "101%", "-1", "2", "nan"])
def test_what_is_no_share_is_refused(text):
    with pytest.raises(ValueError, match="must be a share"):
        parse_share(text)


@pytest.mark.parametrize(
    "call", [lambda: records(-1), lambda: records(1, bad=2), lambda: lines("xml", 1)]
)
def test_wrong_arguments_are_refused_at_once(call):
    with pytest.raises(ValueError, match="must be"):
        call()


def run(*arguments):
    return CliRunner().invoke(make_cli(), ["sample", *arguments])


def test_the_command_writes_to_standard_output_or_a_file(tmp_path):
    shown = run("csv", "--rows", "3000", "--bad", "1%", "--seed", "4")
    assert shown.exit_code == 0
    assert shown.output.splitlines() == list(lines("csv", 3000, bad=0.01, seed=4))
    file = tmp_path / "a.json.gz"
    assert run("json", "--rows", "5", "-o", str(file)).exit_code == 0
    assert gzip.decompress(file.read_bytes()).decode().splitlines() == list(lines("json", 5))
    assert run("csv", "--bad", "lots").exit_code == 2
