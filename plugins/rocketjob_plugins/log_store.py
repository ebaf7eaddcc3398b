"""Keep the log in the store, where programs and pages can read what all servers said.

    log = ["console", {target = "store", level = "warn"}]

    [log_store]
    keep = 100000

The collection `rocket_job.logs` has `at`, `level`, `logger`, `message`, `host`, `pid`, `thread`,
`fields` and, of an error, `exception`. The servers' sweep removes all but the latest `keep` lines.
Every line is a write beside those of the jobs: leave `debug` to a file.
"""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId

import rocketjob
from rocketjob import hookimpl
from rocketjob.application import current
from rocketjob.base.log import FIELDS
from rocketjob.base.log_format import as_dict, as_text
from rocketjob.base.log_outlet import LotHandler
from rocketjob.base.log_targets import LogTarget
from rocketjob.base.settings import Setting, whole

COLLECTION = "rocket_job.logs"
KEEP = Setting("keep", 100_000, whole(1), "lines that are kept in the store", table="log_store")
INTEGERS = range(-(2**63), 2**63)  # that a document can hold


class StoreHandler(LotHandler):
    """Inserts records as documents."""

    def __init__(self) -> None:
        super().__init__()
        self._host = socket.gethostname()

    def emit_lot(self, records: list[logging.LogRecord]) -> None:
        store = current().store
        try:
            store.collection(COLLECTION).insert_many([self._document(each) for each in records])
        except Exception as error:
            if store.is_transient(error):
                raise ConnectionError(str(error)) from error
            raise

    def _document(self, record: logging.LogRecord) -> dict[str, Any]:
        line, names = as_dict(record), getattr(record, FIELDS, {})
        document = {name: value for name, value in line.items() if name not in names}
        fields = json.loads(json.dumps({name: line[name] for name in names}, default=as_text))
        return {
            "_id": ObjectId(),
            **document,
            "at": datetime.fromtimestamp(record.created, UTC),
            "host": self._host,
            "fields": _storable(fields),
        }


def _storable(value: Any) -> Any:
    """Return what a document can hold: no dots or dollars in names, no huge numbers."""
    if isinstance(value, dict):
        return {_name(name): _storable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    return str(value) if isinstance(value, int) and value not in INTEGERS else value


def _name(name: str) -> str:
    return name.replace(".", "_").replace("\0", "_").lstrip("$") or "_"


def remove_old(keep: int) -> int:
    """Remove all lines but the latest; return how many."""
    lines = current().store.collection(COLLECTION)
    latest = lines.find({}, {"_id": 1}, sort=[("_id", -1)], skip=keep, limit=1)
    for first_to_go in latest:
        return lines.delete_many({"_id": {"$lte": first_to_go["_id"]}}).deleted_count
    return 0


def _make(options: Mapping[str, Any]) -> logging.Handler:
    return StoreHandler()


@hookimpl
def sweep() -> None:
    remove_old(rocketjob.settings("log-store").keep)


@hookimpl
def register_indexes() -> dict[str, list[dict[str, Any]]]:
    return {COLLECTION: [{"keys": [("at", 1)], "name": "at"}]}


@hookimpl
def register_settings() -> list[Setting[Any]]:
    return [KEEP]


@hookimpl
def register_log_targets() -> list[LogTarget]:
    return [
        LogTarget("store", _make, "the store, of which the latest lines are kept", in_forks=True)
    ]
