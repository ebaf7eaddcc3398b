"""Whatever is uploaded, by whichever way: downloaded it is the same, or a reject names it."""

import csv
import io
import json
import math
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rocketjob import Job
from rocketjob.testing import sandbox
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory
from rocketjob_plugins.batch.streams import StreamError
from support.batch import completed, rejected_numbers
from support.zones import time_zone

COLUMNS = ["id", "a", "b"]
LAYOUT = {
    "layout": [
        {"key": "id", "size": 4},
        {"key": "a", "size": 3},
        {"key": "b", "size": "remainder"},
    ]
}
SPECIAL = st.sampled_from(list("\",;|\t\r\n '\0\ufeff\u2028\x85=\\"))
TEXTS = st.text(st.one_of(SPECIAL, st.characters(codec="utf-8")), max_size=5)
BROKEN = st.sampled_from(["caf\udce9", b"x", {1}, math.nan, 2**70, {1: 2}, [{"k": b"y"}]])
VALUES = st.one_of(
    TEXTS,
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
    st.dates(),
    st.decimals(
        allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9
    ),
    st.lists(st.integers(0, 9), max_size=2),
    st.dictionaries(st.sampled_from("xy"), st.booleans(), max_size=2),
)
OUTPUTS = {
    "csv": {"format": "csv", "columns": COLUMNS},
    "psv": {"format": "psv", "columns": COLUMNS},
    "json": {"format": "json"},
    "fixed": {"format": "fixed", "format_options": LAYOUT},
}
INPUTS = {
    "csv": {"format": "csv"},
    "psv": {"format": "psv"},
    "json": {"format": "json"},
    "fixed": {"format": "fixed", "format_options": LAYOUT},
}


class IdentityBatchJob(Batch, Job):
    destroy_on_complete = False
    max_rejects = 1000

    def perform(self, row):
        assert row is not None
        return row


@pytest.fixture(autouse=True, scope="module")
def elsewhere():
    """Run in a time zone that is not UTC."""
    with time_zone("Asia/Kolkata"):
        yield


def job_of(given_settings, output):
    return IdentityBatchJob(
        input_categories=[InputCategory(slice_size=3, **given_settings)],
        output_categories=[OutputCategory(**output)],
    )


def text_of(value):
    """Say how a value stands in a text, in this test's own words."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | dict):
        return json.dumps(value, separators=(",", ":"))
    return value.isoformat() if isinstance(value, date) else str(value)


def expected(rows, format):
    """Return rows as they are after they went through a format."""
    if format == "json":
        return [
            {n: text_of(v) if isinstance(v, date | Decimal) else v for n, v in row.items()}
            for row in rows
        ]
    texts = [{name: text_of(value) for name, value in row.items()} for row in rows]
    if format == "fixed":
        return [{name: text.strip(" ") for name, text in row.items()} for row in texts]
    return texts


def downloaded(job):
    target = io.BytesIO()
    job.download(target)
    return target.getvalue()


def read_again(app, data, format):
    """Return the rows of a file, by another job; None if it is refused with its line."""
    job = job_of(INPUTS[format], {})
    try:
        job.upload(io.BytesIO(data))
    except StreamError as error:
        assert error.line is not None
        assert b"\0" in data
        return None
    completed(app, job)
    assert job.reject_count == 0
    return list(job.records())


def check(app, job, rows, format):
    """Check that every row is in the file, in order, or among the rejects."""
    gone = rejected_numbers(job)
    right = expected([row for n, row in enumerate(rows, 1) if n not in gone], format)
    found = read_again(app, downloaded(job), format)
    assert found is None or found == right
    return gone


def held(row, format):
    """Tell whether a format has a form for all values of a row."""
    texts = [text_of(row[name]) for name in COLUMNS]
    if format in ("csv", "json"):
        return True
    if any("\n" in text or "\r" in text for text in texts):
        return False
    if format == "psv":
        return not any("|" in text for text in texts)
    return len(texts[0].rstrip(" ")) <= 4 and len(texts[1].rstrip(" ")) <= 3


def rows_of(values):
    return st.lists(st.fixed_dictionaries({name: values for name in COLUMNS}), max_size=8)


def way_of_list(job, rows):
    job.upload(rows)


def way_of_iterator(job, rows):
    job.upload(row for row in rows)


def way_of_writer(job, rows):
    with job.upload() as writer:
        for row in rows:
            writer.append(row)


def way_of_slices(job, rows):
    for start in range(0, len(rows), 2):
        job.upload_slice(rows[start : start + 2])
    job.upload([])


WAYS = [way_of_list, way_of_iterator, way_of_writer, way_of_slices]


@pytest.mark.parametrize("format", OUTPUTS)
@settings(max_examples=8, deadline=None)
@given(rows=rows_of(VALUES), way=st.sampled_from(WAYS))
def test_dicts_of_any_values_come_back(format, rows, way):
    with sandbox() as app:
        job = job_of({"format": "hash"}, OUTPUTS[format])
        way(job, rows)
        completed(app, job)
        gone = check(app, job, rows, format)
        right = {n for n, row in enumerate(rows, 1) if not held(row, format)}
        assert gone == right  # and no more


@pytest.mark.parametrize("format", OUTPUTS)
@settings(max_examples=6, deadline=None)
@given(rows=rows_of(TEXTS), bad=BROKEN, at=st.integers(0, 7), data=st.data())
def test_a_value_that_has_no_form_is_a_reject_and_the_others_come_back(format, rows, bad, at, data):
    with sandbox() as app:
        kind = type("BrokenBatchJob", (IdentityBatchJob,), {"__module__": __name__})
        kind.perform = lambda self, row: {**row, "b": bad} if self.record_number == at + 1 else row
        job = kind(
            input_categories=[InputCategory(format="hash", slice_size=3)],
            output_categories=[OutputCategory(**OUTPUTS[format])],
        )
        job.upload(rows)
        completed(app, job)
        is_nan = isinstance(bad, float)
        fine = bad == 2**70 or (is_nan and format != "json")  # each has a text
        if at < len(rows) and not fine:
            assert at + 1 in rejected_numbers(job)
            check(app, job, rows, format)


def csv_text(rows, separator=","):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([row[name] for name in COLUMNS] for row in rows)
    return text.getvalue()


def json_text(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


FILES = {
    "csv": ({"format": "csv"}, csv_text),
    "tabs": (
        {"format": "csv", "format_options": {"separator": "\t"}},
        lambda rows: csv_text(rows, "\t"),
    ),
    "json": ({"format": "json"}, json_text),
}


@pytest.mark.parametrize("format", OUTPUTS)
@pytest.mark.parametrize("file", FILES)
@settings(max_examples=8, deadline=None)
@given(rows=rows_of(TEXTS), mode=st.sampled_from(["line", "hash"]))
def test_files_of_any_texts_come_back(file, format, rows, mode):
    given_settings, write = FILES[file]
    with sandbox() as app:
        job = job_of({**given_settings, "mode": mode}, OUTPUTS[format])
        try:
            job.upload(io.BytesIO(write(rows).encode()))
        except StreamError as error:
            assert error.line is not None
            assert "\0" in write(rows)
            return
        completed(app, job)
        check(app, job, rows, format)


@pytest.mark.parametrize("name", ["out.csv", "out.json", "out.psv"])
@settings(max_examples=6, deadline=None)
@given(rows=rows_of(VALUES), drop=st.sets(st.integers(0, 7)))
def test_rows_of_auto_come_back_in_every_format(tmp_path_factory, name, rows, drop):
    rows = [{**row} if n not in drop else {"id": row["id"]} for n, row in enumerate(rows)]
    format, path = name.rpartition(".")[2], tmp_path_factory.mktemp("auto") / name
    with sandbox() as app:
        job = completed(app, uploaded(job_of({"format": "hash"}, {"format": "auto"}), rows))
        assert job.reject_count == 0
        try:
            job.download(path)
        except StreamError as error:
            assert format == "psv"
            assert "row " in str(error)
            return
        found = read_again(app, path.read_bytes(), format)
        names = list(dict.fromkeys(name for row in rows for name in row))
        if format != "json":
            rows = [{name: row.get(name) for name in names} for row in rows]
        assert found is None or found == expected(rows, format)


def uploaded(job, rows):
    job.upload(rows)
    return job


@pytest.mark.parametrize("format", ["csv", "psv", "json", "fixed", "hash"])
@settings(max_examples=6, deadline=None)
@given(rows=rows_of(TEXTS))
def test_rejects_of_any_texts_come_back(tmp_path_factory, format, rows):
    path = tmp_path_factory.mktemp("rejects") / "r.csv"
    columns = {"columns": COLUMNS} if format in ("csv", "psv") else {}
    options = {"format_options": LAYOUT} if format == "fixed" else {}
    with sandbox() as app:
        kind = type("RefusingBatchJob", (IdentityBatchJob,), {"__module__": __name__})
        kind.refuses = True

        def perform(self, row):
            if type(self).refuses:
                raise ValueError("not today")
            return row

        kind.perform = perform
        job = kind(
            input_categories=[InputCategory(format=format, slice_size=3, **columns, **options)],
            output_categories=[OutputCategory()],
        )
        completed(app, uploaded(job, rows))
        assert job.download_rejects(path) == len(rows)
        kind.refuses = False
        assert job.resubmit(path) == len(rows)
        app.work_off()
        assert list(job.reload().records()) == rows
