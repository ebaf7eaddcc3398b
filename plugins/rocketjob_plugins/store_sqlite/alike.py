"""What an update makes of documents that hold the same in all that it looks at.

A group of claims changes many documents in the same way: each was queued, never claimed before, and
becomes running under the same name. From the third on, what was worked out for one is put into
the bytes of the next, which are neither changed value by value nor encoded again.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from bson.objectid import ObjectId

from rocketjob.store import Stored
from rocketjob.store.documents.updater import Updater
from rocketjob.store.documents.values import MISSING, Missing, copy, encode
from rocketjob.store.packing import pack
from rocketjob.store.port import MAX_DOCUMENT_BYTES

from .table import Row, Table

_PLAIN: Final = frozenset({str, int, bool, type(None), ObjectId, datetime, Missing})
_LENGTH: Final = 4  # bytes at the beginning of a document that say how long it is


class Alike:
    """An update, and what it makes of documents that are like the last one."""

    def __init__(self, table: Table, updater: Updater) -> None:
        self._table, self._updater = table, updater
        self._paths = table.looked_at(updater.touched)
        self._held: list[Any] = []
        self._kinds: list[type] = []
        self._outcome: _Outcome | None = None

    def change(self, number: int, blob: bytes, document: Stored) -> Row:
        """Change a document; return its row."""
        held = [document.get(path, MISSING) for path in self._paths]
        kinds = [type(value) for value in held]  # for 1 == True
        if held != self._held or kinds != self._kinds:
            self._held, self._kinds, self._outcome = held, kinds, None
            return self._worked_out(number, document)
        if self._outcome is not None and (row := self._outcome.put_in(number, blob, document)):
            return row
        row = self._worked_out(number, document)
        if self._outcome is None and _PLAIN.issuperset(kinds):
            self._outcome = _Outcome(dict(zip(self._paths, held, strict=True)), document, row)
        return row

    def _worked_out(self, number: int, document: Stored) -> Row:
        self._updater.apply(document)
        return self._table.changed_row(document, encode(document), number, self._updater.touched)


class _Outcome:
    """What has become of one document, to be put into others that held the same before."""

    def __init__(self, before: Stored, after: Stored, row: Row) -> None:
        present = [path for path, value in before.items() if value is not MISSING]
        self._gone = [path for path in present if path not in after]
        self._values = {path: after[path] for path in after if path in before}
        self._containers = [(p, v) for p, v in self._values.items() if isinstance(v, dict | list)]
        changed = [
            (_element(path, before[path]), _element(path, after.get(path, MISSING)))
            for path in present
        ]
        self._pieces = [(old, new) for old, new in changed if old != new]
        added = {path: value for path, value in self._values.items() if path not in present}
        self._tail = pack(added)[_LENGTH:]
        self._columns, self._bound = row[0], row[1][:-2]

    def put_in(self, number: int, blob: bytes, document: Stored) -> Row | None:
        """Change another document; None, and it is as it was, if it is not certain where."""
        for old, new in self._pieces:
            at = blob.find(old)
            if at < 0 or blob.find(old, at + 1) >= 0:
                return None  # a document within this one has such a field too
            blob = b"".join((blob[:at], new, blob[at + len(old) :]))
        length = len(blob) - 1 + len(self._tail)
        if length > MAX_DOCUMENT_BYTES:
            return None
        blob = b"".join((length.to_bytes(_LENGTH, "little"), blob[_LENGTH:-1], self._tail))
        for path in self._gone:
            del document[path]
        document.update(self._values)
        for path, value in self._containers:
            document[path] = copy(value)
        return self._columns, [*self._bound, blob, number]


def _element(path: str, value: Any) -> bytes:
    """Return the bytes of one field within a document."""
    return b"" if value is MISSING else pack({path: value})[_LENGTH:-1]
