"""Bad records: set aside with their number and error, corrected by a person, and merged back.

A reject is its own document under the record's number. Output is kept under the number of
its first record too, so that the output of a corrected record falls into its place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence, Sized
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from rocketjob.application import current
from rocketjob.base.errors import StateConflict
from rocketjob.jobs.exception import message_of
from rocketjob.model import deeds
from rocketjob.model.types import decode_any, encode_any
from rocketjob.store import Filter, Insert, Unit, Write, atomically
from rocketjob_plugins.batch import streams
from rocketjob_plugins.batch.going_on import let_go_on
from rocketjob_plugins.batch.io.meanwhile import Kept
from rocketjob_plugins.batch.outcome.reject_file import RejectFile
from rocketjob_plugins.batch.outcome.reject_lines import LINES, RejectLines
from rocketjob_plugins.batch.serializers import Serializer, refused, serializer
from rocketjob_plugins.batch.slice import Slice
from rocketjob_plugins.batch.slices import OutputSlices, reject_slices
from rocketjob_plugins.batch.streams import ReadKeywords, StreamError
from rocketjob_plugins.batch.streams.names import base_name, shown
from rocketjob_plugins.batch.streams.options import check_keywords
from rocketjob_plugins.batch.streams.texts import writable
from rocketjob_plugins.batch.tabular import check_name

if TYPE_CHECKING:
    from rocketjob_plugins.batch.model import BatchModel


FORMATS = ("csv", "jsonl")


class Outcome(Protocol):
    """What is asked of an outcome: what it has set aside, and to take back a part of that."""

    rejected: list[Any]

    def undo_from(self, reject: Any, error: BaseException) -> None: ...


class Row(NamedTuple):
    """A row of a corrected file, and where it is."""

    line: int
    cells: list[str]


def slices_of(job: BatchModel) -> OutputSlices:
    """Return the collection of the job's rejects."""
    return reject_slices(job.id)


def may_reject(job: BatchModel, outcome: Outcome) -> bool:
    """Return whether one more record may be set aside, as far as can be seen.

    That the store is away is no fault of the record; `keep_to_limit` looks again.
    """
    if job.max_rejects is None:
        return False
    rejects, stored = slices_of(job), 0
    try:
        stored = rejects.count()
    except Exception as error:
        if not rejects.store.is_transient(error):
            raise
    return stored + len(outcome.rejected) < job.max_rejects


def keep_to_limit(job: BatchModel, outcomes: Sequence[Outcome]) -> None:
    """Fail the slices that would set aside too many; part of the step that stores them.

    Other workers may have set records aside since this one looked.
    """
    if not any(outcome.rejected for outcome in outcomes):
        return
    numbers = [
        reject.number for outcome in outcomes for reject in outcome.rejected
    ]  # of an earlier try
    others = slices_of(job).collection.count_documents({"_id": {"$nin": numbers}})
    left = max(0, (job.max_rejects or 0) - others)
    for outcome in outcomes:
        if len(outcome.rejected) > left:
            first = outcome.rejected[left]
            outcome.undo_from(first, first.error)
        left -= len(outcome.rejected)


def documents_of(job: BatchModel, outcome: Outcome) -> list[dict[str, Any]]:
    """Return the rejects of a slice as they are stored."""
    if not outcome.rejected:
        return []
    secret = _secret(job)
    return [
        {
            "_id": reject.number,
            "record": _pack(reject.record, secret),
            "error": writable(f"{type(reject.error).__name__}: {message_of(reject.error)}"),
        }
        for reject in outcome.rejected
    ]


def _secret(job: BatchModel) -> Serializer | None:
    """Return how the job's input is kept secret, if it is; so are its rejected records."""
    chosen = serializer(job.input_category_for("main").serializer)
    context = reject_slices(job.id, job.type_name()).context
    return chosen.within(context) if chosen.is_secret else None


def _pack(record: Any, secret: Serializer | None) -> Any:
    if secret is None:
        return writable(record) if isinstance(record, str) else encode_any(record)
    return secret.dump([record])


def _unpack(stored: Any, secret: Serializer | None) -> Any:
    return decode_any(stored) if secret is None else secret.load(stored)[0]


def each(
    job: BatchModel, *, skip: int = 0, limit: int = 0, after: int | None = None
) -> Iterator[tuple[int, Any, str]]:
    """Yield the number, the record and the error of each reject, in order.

    Args:
        skip: leave so many out.
        limit: at most so many; 0 for all.
        after: only those with a larger number.
    """
    secret = _secret(job)
    wanted: Filter = {} if after is None else {"_id": {"$gt": after}}
    found = slices_of(job).collection.find(wanted, sort=[("_id", 1)], skip=skip, limit=limit)
    for stored in found:
        yield stored["_id"], _unpack(stored["record"], secret), stored["error"]


def form_of(
    job: BatchModel, name: str | None, format: str | None, reasons: bool = True
) -> RejectFile | RejectLines:
    """Return how the rejects are written and read: as CSV, or as JSON lines.

    Args:
        name: of the file, whose extension decides if there is no `format`.
        format: `csv` or `jsonl`.

    Raises:
        ValueError: there is no such format.
    """
    if format not in (None, *FORMATS):
        raise ValueError(f"rejects are written as {' or '.join(FORMATS)}, not as {format!r:.50}")
    parts = base_name(name).lower().split(".")[1:] if name else []
    if format == "jsonl" or (format is None and LINES.intersection(parts)):
        return RejectLines(job, reasons)
    return RejectFile(job, reasons)


def download(job: BatchModel, target: Any, reasons: bool = True, format: str | None = None) -> int:
    """Write the rejects: see `form_of`."""
    form, kept = form_of(job, _named(target), format, reasons), Kept(job)
    if isinstance(form, RejectFile):
        check_name(target, "csv", is_chosen=False)
    written = 0
    with streams.open_writer(target) as writer:
        writer.write_lines(filter(None, [form.header()]))
        for number, record, error in each(job):
            writer.write_lines([form.line(number, record, error)])
            written += 1
        kept.check()
    return written


def resubmit(
    job: BatchModel,
    source: Any,
    separator: str,
    reading: ReadKeywords,
    format: str | None = None,
) -> int:
    """Queue corrected records, each under its own number, and let the job go on."""
    slices = job.input
    form = form_of(job, reading.get("file_name") or _named(source), format)
    rows: dict[int, Row] = {}
    check_keywords(reading)
    for line, number, cells in form.rows(source, separator, reading):
        if number in rows:
            problem = f"row {number} is there twice, also in line {rows[number].line}: leave one"
            raise StreamError(problem, file=_named(source), line=line, column=form.row_name)
        rows[number] = Row(line, cells)
    known = _known(job, form, rows, source)
    _check_storable(job, rows, known, source)
    here = slices.store is current().store
    if known and not here:
        _record(job, known)

    def step(session: Any) -> None:
        if known and here:
            _record(job, known)
        done = slices.store.commit([_coming_back(job, n, known[n], rows[n].cells) for n in known])
        if here and (any(result.held for result in done) or not done):
            let_go_on(job)
        if not all(result.held for result in done):
            raise StateConflict("somebody else has just resubmitted some of these records")

    try:
        if rows:
            atomically(slices.store, step)
    except StateConflict:
        if not here:
            let_go_on(job)  # some may be queued
        elif not job.is_new:
            job.reload()
        raise
    if rows and not here:
        let_go_on(job)
    return len(rows)


def _record(job: BatchModel, known: Sized) -> None:
    """Record what is resubmitted, if a person does it: how many records, not what is in them."""
    after = {"records": len(known)}
    deeds.record("resubmit", "job", id=job.id, name=job.type_name(), after=after)


def _check_storable(
    job: BatchModel, rows: Mapping[int, Row], known: Mapping[int, Any], source: Any
) -> None:
    """Refuse a corrected record that cannot be stored, with its line."""
    named = job.input_category_for("main").serializer
    for number, record in known.items():
        if bad := refused(named, [record]):
            raise StreamError(
                f"row {number} cannot be stored: {bad[1]}",
                file=_named(source),
                line=rows[number].line,
            )


def _coming_back(job: BatchModel, number: int, record: Any, cells: list[str]) -> Unit:
    """Return the unit that queues a corrected record instead of the reject."""
    stored = Slice([record], number, job.input).to_document()
    return Unit(
        collection=slices_of(job).name,
        write=Write({"_id": number}, None),
        # In nobody's hands until the reject is gone.
        inserts=[Insert(job.input.name, stored, hidden={"state": "running"})],
        id=f"{job.id} {number} {hashlib.sha256(repr(cells).encode()).hexdigest()}",
        interim={},
        undo={},
    )


def _known(
    job: BatchModel, form: RejectFile | RejectLines, rows: Mapping[int, Row], source: Any
) -> dict[int, Any]:
    """Return the corrected records of those that are rejects still.

    Others must be queued already, as they are here. So they are if whoever resubmitted them died
    before the job went on.
    """
    known, secret = {}, _secret(job)
    for stored in slices_of(job).collection.find({"_id": {"$in": list(rows)}}):
        number = stored["_id"]
        try:
            known[number] = form.record(rows[number].cells, _unpack(stored["record"], secret))
        except StreamError as error:
            raise error.at(file=_named(source), line=rows[number].line) from None
    others = sorted(set(rows) - set(known))
    queued = (
        {slice_.id: slice_ for slice_ in job.input.where({"_id": {"$in": others}})}
        if others
        else {}
    )
    for number in others:
        if number not in queued or [form.cells(slice_) for slice_ in queued[number]] != [
            rows[number].cells
        ]:
            raise StreamError(
                f"row {number} is not among the rejected records of this job: it was resubmitted "
                "already, or is of another job; take the line out",
                file=_named(source),
                line=rows[number].line,
                column=form.row_name,
            )
    return known


def _named(source: Any) -> str | None:
    name = source if isinstance(source, str | PathLike) else getattr(source, "name", None)
    return shown(str(name)) if isinstance(name, str | PathLike) else None
