"""The records at which slices have failed as a file that a person corrects, and back.

    _slice,_row,_error,kind,record,_seen
    201,312,ValueError: ...,text,"carol,39,ZZ",8a1c...

As CSV, or as JSON lines with the same names. `record` is the text of `record_text`, in which what
cannot be printed is an escape; `_seen` tells the slice as it was. What comes back is looked at as a
whole before anything of it is stored, and only what was edited is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from rocketjob.base.errors import NotFound, RocketJobError, StateConflict
from rocketjob.jobs.exception import message_of
from rocketjob_plugins.batch import mending, record_text, streams
from rocketjob_plugins.batch.outcome.reject_file import checked_number
from rocketjob_plugins.batch.outcome.reject_lines import BREAKS, LINES, NO_TEXT, object_of
from rocketjob_plugins.batch.slices import ORDER
from rocketjob_plugins.batch.streams import StreamError
from rocketjob_plugins.batch.streams.names import base_name
from rocketjob_plugins.batch.streams.texts import writable
from rocketjob_plugins.batch.tabular import Csv

if TYPE_CHECKING:
    from rocketjob_plugins.batch.model import BatchModel

SLICE, ROW, ERROR, KIND, RECORD, SEEN = "_slice", "_row", "_error", "kind", "record", "_seen"
NAMES = (SLICE, ROW, ERROR, KIND, RECORD, SEEN)
NEEDED = (SLICE, ROW, KIND, RECORD, SEEN)
_HOW = "download it, correct what is in record, and leave the rest as it is"


class PartlyStored(StateConflict):
    """A record could not be stored, and those before it in the file have been.

    Attributes:
        done: how many have been.
    """

    def __init__(self, error: Exception, line: int, done: int, count: int) -> None:
        stored = f"{done:,} of {count:,} corrected records are stored"
        super().__init__(f"line {line}: {message_of(error)}. {stored}")
        self.done = done


class Corrected(NamedTuple):
    """What came of a file.

    Attributes:
        changed: how many records were stored.
        same: how many are as they were.
    """

    changed: int
    same: int


class Change(NamedTuple):
    """A record that was edited, and where in the file it is."""

    line: int
    found: mending.FailedSlice
    at: int
    record: Any


# --- writing -----------------------------------------------------------------------------------


def write(
    job: BatchModel, target: Any, format: Literal["csv", "jsonl"], class_name: str | None = None
) -> int:
    """Write the record at which each slice has failed; return how many there are.

    Args:
        class_name: only of those that failed with an exception of this class.
    """
    written, csv = 0, Csv({})
    with streams.open_writer(target) as writer:
        if format == "csv":
            writer.write_lines([csv.render(list(NAMES))])
        for row in _rows(job, class_name):
            text = json.dumps(row, ensure_ascii=False).translate(BREAKS)
            writer.write_lines([csv.render(list(row.values())) if format == "csv" else text])
            written += 1
    return written


def _rows(job: BatchModel, class_name: str | None) -> Iterator[dict[str, Any]]:
    wanted = mending.failed_with(class_name)
    for stored in job.input.collection.find(wanted, {"_id": 1}, sort=ORDER):
        try:
            found = mending.find(job, stored["_id"])
            index = found.next_index
            record = found.record(index)
        except NotFound:
            continue  # it was retried meanwhile, or has no records any more
        except Exception as error:  # something else has written it, or a key is not here
            if job.input.store.is_transient(error):
                raise
            why = message_of(error) or type(error).__name__
            raise StreamError(f"slice {stored['_id']} cannot be read: {why}") from error
        yield _row(found, index, record)


def _row(found: mending.FailedSlice, index: int, record: Any) -> dict[str, Any]:
    error = found.slice.exception
    try:
        kind, text = record_text.kind_of(record), record_text.text_of(record)
    except ValueError:
        kind, text = NO_TEXT, ""
    why = f"{error.class_name}: {error.message or ''}" if error is not None else ""
    return {
        SLICE: found.id,
        ROW: found.number_of(index),
        ERROR: writable(why),
        KIND: kind,
        RECORD: text,
        SEEN: found.digest,
    }


# --- reading -----------------------------------------------------------------------------------


def read(job: BatchModel, source: Any, name: str, separator: str = ",") -> Corrected:
    """Put corrected records in the place of those that failed; the slices stay failed.

    Args:
        source: a file object.
        name: of the file, which says whether it is CSV.

    Raises:
        StreamError: a row is wrong, or its slice is not as it was seen; nothing was changed.
        PartlyStored: a record could not be stored, such as one of a slice that was changed at this
            very moment; those before it are, and are the same if the file is read again.
        RocketJobError, ValueError: so it was with the first; or the store is out of reach.
    """
    changes, same = list[Change](), 0
    seen: set[int] = set()
    for line, row in _read(source, name, separator):
        try:
            if row[SLICE] in seen:
                raise StreamError(f"slice {row[SLICE]} is there twice: leave one", column=SLICE)
            seen.add(row[SLICE])
            change = _change(job, line, row)
        except StreamError as error:
            raise error.at(file=name, line=line) from None
        if change is None:
            same += 1
        else:
            changes.append(change)
    for done, each in enumerate(changes):
        try:
            mending.replace_record(job, each.found.id, each.at, each.record, each.found.digest)
        except (RocketJobError, ValueError, TypeError, LookupError) as error:
            if not done or job.input.store.is_transient(error):
                raise
            raise PartlyStored(error, each.line, done, len(changes)) from error
    return Corrected(len(changes), same)


def _change(job: BatchModel, line: int, row: Mapping[str, Any]) -> Change | None:
    """Return what a row changes; None if its record is as it stands there."""
    try:
        found = mending.find(job, row[SLICE])
        index = row[ROW] - found.id
        before = found.record(index)
    except (NotFound, ValueError) as error:  # or something else has written what no slice has
        raise StreamError(str(error), column=SLICE) from None
    if row[KIND] == NO_TEXT and not row[RECORD]:
        return None  # it has no exact form as text, and stays as it is
    kind = record_text.kind_of(before)
    if row[KIND] != kind:
        raise StreamError(f"must stay {kind!r}, and is {row[KIND]!r:.50}: {_HOW}", column=KIND)
    try:
        record = record_text.record_of(kind, row[RECORD])
    except ValueError as error:
        raise StreamError(str(error), column=RECORD) from None
    if record_text.same(record, before):
        return None
    if not found.is_failed or found.digest != row[SEEN]:
        why = "was changed by somebody else" if found.is_failed else f"is {found.slice.state}"
        raise StreamError(f"slice {found.id} {why} since this file was written", column=SLICE)
    if problem := _unstorable(job, record):
        raise StreamError(f"cannot be stored: {problem}", column=RECORD)
    return Change(line, found, index, record)


def _unstorable(job: BatchModel, record: Any) -> str | None:
    try:
        job.input.serializer.dump([record])
    except Exception as error:  # whatever a serializer raises
        return message_of(error)
    return None


def _read(source: Any, name: str, separator: str) -> Iterator[tuple[int, dict[str, Any]]]:
    is_lines = LINES.intersection(base_name(name).lower().split(".")[1:])
    csv, names = Csv({"separator": separator}), list[str]()
    quoted: dict[str, Any] = {} if is_lines else {"quoted": csv.dialect}
    with streams.open_lines(source, file_name=name, **quoted) as lines:
        line = 1
        for text in lines:
            try:
                if is_lines:
                    if text.strip():
                        yield line, _checked(object_of(text, _HOW))
                elif not names:
                    names = _header(csv.parse(text))
                elif values := csv.parse(text):
                    yield line, _checked(dict(zip(names, values, strict=False)))
            except StreamError as error:
                raise error.at(file=name, line=line) from None
            line += 1 + text.count(lines.blocks.delimiter or "\n")


def _header(names: list[str]) -> list[str]:
    for name in NEEDED:
        if names.count(name) != 1:
            which = "no column" if name not in names else "twice the column"
            raise StreamError(f"the file has {which} {name}: {_HOW}", column=name)
    return names


def _checked(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with its numbers as such."""
    for name in (KIND, RECORD, SEEN):
        if not isinstance(row.get(name), str):
            raise StreamError(f"must be a string: {_HOW}", column=name)
    for name in (SLICE, ROW):
        value = row.get(name)
        if isinstance(value, str) and value.isdecimal() and len(value) < 19:
            row[name] = int(value)
        elif type(value) is not int:
            raise StreamError(f"must be a number, not {value!r:.50}: {_HOW}", column=name)
        checked_number(row[name], name)
    return row
