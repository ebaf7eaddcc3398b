"""Bad records: set aside with their number and error, mended by a person, and merged back.

A reject is a document of its own under the record's number. Output is kept under the number of
its first record too, so that what a mended record gives falls into its place.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rocketjob.codec import decode_any, encode_any
from rocketjob.errors import StateConflict
from rocketjob.job_exception import message_of
from rocketjob.store import atomically
from rocketjob_plugins.batch import streams
from rocketjob_plugins.batch.category import OutputCategory
from rocketjob_plugins.batch.slice import Slice
from rocketjob_plugins.batch.slices import InputSlices, OutputSlices

if TYPE_CHECKING:
    from rocketjob_plugins.batch.batch import Batch
    from rocketjob_plugins.batch.outcome import Outcome

NAME = "rejects"
ROW, ERROR = "_row", "_error"


def slices_of(job: Batch) -> OutputSlices:
    """Return the collection of the job's rejects."""
    return OutputSlices(job.id, OutputCategory(name=NAME, serializer="none"))


def count(job: Batch) -> int:
    return slices_of(job).collection.count_documents({})


def may_reject(job: Batch, outcome: Outcome) -> bool:
    """Tell whether one more record may be set aside."""
    if job.max_rejects is None:
        return False
    return count(job) + len(outcome.rejected) < job.max_rejects


def keep_to_limit(job: Batch, outcomes: list[Outcome]) -> None:
    """Fail the slices that would set aside too many; part of the step that stores them.

    Other workers may have set records aside since this one looked.
    """
    if not any(outcome.rejected for outcome in outcomes):
        return
    left = max(0, (job.max_rejects or 0) - count(job))
    for outcome in outcomes:
        if len(outcome.rejected) > left:
            first = outcome.rejected[left]
            outcome.undo_from(first, first.error)
        left -= len(outcome.rejected)


def store(job: Batch, outcome: Outcome) -> None:
    """Store the rejects of a slice; part of the step that stores its output."""
    documents = documents_of(job, outcome)
    if documents:
        collection = slices_of(job).collection
        collection.delete_many({"_id": {"$in": [each["_id"] for each in documents]}})
        collection.insert_many(documents)


def documents_of(job: Batch, outcome: Outcome) -> list[dict[str, Any]]:
    """Return the rejects of a slice as they are stored."""
    if not outcome.rejected:
        return []
    encrypted = _is_encrypted(job)
    return [
        {
            "_id": each.number,
            "record": _pack(each.record, encrypted),
            "error": f"{type(each.error).__name__}: {message_of(each.error)}",
        }
        for each in outcome.rejected
    ]


def _is_encrypted(job: Batch) -> bool:
    return job.input_category_for("main").serializer == "encrypt"


def _pack(record: Any, encrypted: bool) -> Any:
    if not encrypted:
        return encode_any(record)
    from rocketjob_plugins.batch.serializers import serializer

    return serializer("encrypt").dump([record])


def _unpack(stored: Any, encrypted: bool) -> Any:
    if not encrypted:
        return decode_any(stored)
    from rocketjob_plugins.batch.serializers import serializer

    return serializer("encrypt").load(stored)[0]


def each(job: Batch) -> Iterator[tuple[int, Any, str]]:
    """Yield the number, the record and the error of each reject, in order."""
    encrypted = _is_encrypted(job)
    for stored in slices_of(job).collection.find({}, sort=[("_id", 1)]):
        yield stored["_id"], _unpack(stored["record"], encrypted), stored["error"]


def download(job: Batch, target: Any) -> int:
    """Write the rejects as CSV: the input's own columns, or `record`, then `_row` and `_error`."""
    columns = _columns(job)
    written = 0
    with streams.open_writer(target) as writer:
        writer.write_lines([_csv_line([*columns, ROW, ERROR])])
        for number, record, error in each(job):
            writer.write_lines([_csv_line([*_cells(job, record, columns), number, error])])
            written += 1
    return written


def resubmit(job: Batch, source: Any) -> int:
    """Queue mended records, each under its own number, and let the job go on."""
    slices = job.input
    rows: dict[int, Any] = {}
    with streams.open_lines(source, quoted=True) as lines:
        reader = csv.DictReader(lines)
        missing = {ROW} - set(reader.fieldnames or ())
        if missing:
            raise ValueError(
                f"the file has no column {ROW}: write it with download_rejects, mend the records, "
                f"and leave {ROW} as it is"
            )
        for line, row in enumerate(reader, 2):
            number = _row_number(row, line)
            rows[number] = _record(job, row)
    _check_known(job, rows)

    def step(session: Any) -> None:
        if not slices.store.supports_transactions:  # rather twice in work than lost
            _put_in_place(slices, rows)
        gone = slices_of(job).collection.delete_many({"_id": {"$in": list(rows)}})
        if gone.deleted_count != len(rows):
            raise StateConflict("somebody else has resubmitted some of these records meanwhile")
        if slices.store.supports_transactions:
            slices.insert_many(Slice([record], number) for number, record in rows.items())

    atomically(slices.store, step)
    if rows and not job.is_new:
        job.reload()  # only now: whoever ends the job looks for slices after it has said so
        if not (job.is_running and job.sub_state == "processing"):
            job.reopen()
    return len(rows)


def _put_in_place(slices: InputSlices, rows: Mapping[int, Any]) -> None:
    for number, record in rows.items():
        stored = Slice([record], number, slices).to_document()
        del stored["_id"]
        slices.collection.update_one({"_id": number}, {"$set": stored}, upsert=True)


def _row_number(row: Mapping[str, Any], line: int) -> int:
    try:
        return int(row[ROW])
    except (TypeError, ValueError):
        raise ValueError(f"line {line}: {ROW} must be a number, not {row[ROW]!r}") from None


def _check_known(job: Batch, rows: Mapping[int, Any]) -> None:
    known = {stored["_id"] for stored in slices_of(job).collection.find({}, {"_id": 1})}
    unknown = sorted(set(rows) - known)
    if unknown:
        raise ValueError(f"row {unknown[0]} is not among the rejected records of this job")


def _columns(job: Batch) -> list[str]:
    category = job.input_category_for("main")
    if category.is_tabular and category.columns:
        return list(category.columns)
    return ["record"]


def _cells(job: Batch, record: Any, columns: list[str]) -> list[Any]:
    category = job.input_category_for("main")
    if not category.is_tabular:
        return [record]
    if isinstance(record, str):
        from rocketjob_plugins.batch.tables import input_table

        try:
            record = input_table(category).parse(record)
        except ValueError:
            return [record, *[""] * (len(columns) - 1)]
    if isinstance(record, Mapping):
        return [record.get(column) for column in columns]
    return list(record or ())


def _record(job: Batch, row: Mapping[str, Any]) -> Any:
    """Return a mended row as the input has its records."""
    category = job.input_category_for("main")
    values = {name: value for name, value in row.items() if name not in (ROW, ERROR)}
    if not category.is_tabular:
        return values.get("record")
    if category.mode != "line":
        return values if category.mode == "hash" else list(values.values())
    from rocketjob_plugins.batch.tables import output_table

    table = output_table(
        OutputCategory(
            format=category.format,
            columns=category.columns,
            format_options=category.format_options,
            file_name=category.file_name,
        )
    )
    return table.render(values)


def _csv_line(cells: list[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)  # else a line break is not quoted
    return text.getvalue()[:-1]
