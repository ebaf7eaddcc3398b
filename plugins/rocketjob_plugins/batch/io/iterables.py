"""Records of what is not a file: iterables, tables of other libraries, and queries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from rocketjob.store import Filter
from rocketjob_plugins.batch.streams.encodings import MARK


def rows_of(source: Any) -> Iterable[Any]:
    """Return the records of an iterable; of a table its rows, a record batch at a time."""
    if hasattr(source, "to_batches"):  # pyarrow: Table, Dataset
        return (row for batch in source.to_batches() for row in batch.to_pylist())
    if hasattr(source, "read_next_batch"):  # pyarrow: RecordBatchReader
        return (row for batch in source for row in batch.to_pylist())
    if hasattr(source, "itertuples") and hasattr(source, "columns"):  # pandas
        return _frame_rows(source)
    if not isinstance(source, Iterable) or isinstance(source, bytes | Mapping):
        raise TypeError(
            f"cannot upload {type(source).__name__}: give a path, a URL, a file object, an "
            "iterable of records, or a table"
        )
    return source


def without_mark(rows: Iterable[Any]) -> Iterable[Any]:
    """Take the byte order mark off the first line, as it is where a file was read as UTF-8."""
    if isinstance(rows, list):
        marked = rows and isinstance(rows[0], str) and rows[0].startswith(MARK)
        return [rows[0].removeprefix(MARK), *rows[1:]] if marked else rows
    rest = iter(rows)
    first = list(islice(rest, 1))
    return chain(without_mark(first), rest)


def _frame_rows(frame: Any) -> Iterator[dict[str, Any]]:
    names = [str(name) for name in frame.columns]
    for start in range(0, len(frame), 1000):
        part = frame.iloc[start : start + 1000].astype(object)
        for values in part.where(part.notna(), None).itertuples(index=False, name=None):
            yield dict(zip(names, values, strict=True))


def row_of(row: Any) -> Any:
    if isinstance(row, tuple):
        return row[0] if len(row) == 1 else list(row)
    return row


def mongo_rows(collection: Any, filter: Filter, columns: Sequence[str]) -> Iterator[Any]:
    """Return the values of columns of the documents that match."""
    if isinstance(columns, str):
        columns = [columns]
    projection = {**dict.fromkeys(columns, 1), **({} if "_id" in columns else {"_id": 0})}
    for document in collection.find(filter, projection):
        values = [document.get(column) for column in columns]
        yield values[0] if len(values) == 1 else values
