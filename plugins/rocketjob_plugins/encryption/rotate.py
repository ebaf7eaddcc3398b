"""Re-encrypt, under the first key, what is stored under other keys.

Encrypted values are recognised by their header, so no job class has to be loaded: every encrypted
value of every document is checked. A value is replaced only if it is still the one that was read,
so nothing that a running job writes in the meantime is lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from rocketjob.store import Collection, Store, Stored
from rocketjob_plugins.encryption import envelope
from rocketjob_plugins.encryption.errors import EncryptionError
from rocketjob_plugins.encryption.keys import KeyRing

PAGE = 20  # documents at a time: a slice may hold megabytes
TRIES = 5  # for a value that others change at the same time


@attrs.define
class Report:
    """What was found.

    Attributes:
        current: how many values are already under the first key.
        rotated: how many were re-encrypted, or would have been, by their previous key.
        busy: how many kept being changed by others.
        failed: how many cannot be decrypted, by reason.
    """

    current: int = 0
    rotated: Counter[str] = attrs.field(factory=Counter)
    busy: int = 0
    failed: Counter[str] = attrs.field(factory=Counter)

    @property
    def complete(self) -> bool:
        """Whether all values are now under the first key."""
        return not self.failed and not self.busy


def rotate(store: Store, ring: KeyRing, *, dry_run: bool = False) -> Iterator[tuple[str, Report]]:
    """Process a store, yielding each collection's name and report once it is done."""
    for name in store.collection_names():
        report = Report()
        collection = store.collection(name)
        for stored in _pages(collection):
            _rotate_document(collection, stored, ring, report, dry_run)
        yield name, report


def _pages(collection: Collection) -> Iterator[Stored]:
    """Yield all documents, a page at a time, holding nothing open between pages."""
    after: Mapping[str, Any] = {}
    while page := list(collection.find(after, sort=[("_id", 1)], limit=PAGE)):
        yield from page
        after = {"_id": {"$gt": page[-1]["_id"]}}


def _rotate_document(
    collection: Collection, stored: Stored, ring: KeyRing, report: Report, dry_run: bool
) -> None:
    for path, value in list(sealed_values(stored)):
        _rotate_value(collection, stored["_id"], path, value, ring, report, dry_run)


def _rotate_value(
    collection: Collection,
    id: Any,
    path: str,
    value: Any,
    ring: KeyRing,
    report: Report,
    dry_run: bool,
) -> None:
    for _ in range(TRIES):
        try:
            key_id = envelope.key_id(value)
            if key_id == ring.first.id:
                report.current += 1
                return
            new = envelope.seal(envelope.unseal(value, ring), ring)
        except EncryptionError as error:
            report.failed[str(error)] += 1
            return
        guard = {"_id": id, path: value}
        if dry_run or collection.update_one(guard, {"$set": {path: new}}).matched_count:
            report.rotated[key_id] += 1
            return
        current = dict(sealed_values(collection.find_one({"_id": id}) or {}))
        if path not in current:
            return  # deleted or emptied since
        value = current[path]
    report.busy += 1


def sealed_values(stored: Any, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    """Yield the path and value of everything that is encrypted in a document.

    Lists are searched too: one may hold what a process was about to store when it died.
    """
    members = enumerate(stored) if isinstance(stored, list) else stored.items()
    for name, value in members:
        if isinstance(value, bytes) and envelope.is_sealed(value):
            yield f"{prefix}{name}", value
        elif isinstance(value, Mapping | list):
            yield from sealed_values(value, f"{prefix}{name}.")
