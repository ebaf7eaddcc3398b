"""Re-encrypt, under the key that encrypts now, what is stored under other keys.

Encrypted values are recognised by the hook `key_of`, from what they begin with, so no job class has
to be loaded: every value of every document is checked, whichever plugin encrypted it. A value is
replaced only if it is still the one that was read, so nothing that a running job writes in the
meantime is lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from rocketjob.application import current
from rocketjob.base.encryption import EncryptionContext
from rocketjob.base.errors import RocketJobError
from rocketjob.model.encrypted_fields import decrypt_bytes, encrypt_bytes, no_key
from rocketjob.store import Collection, Store, Stored
from rocketjob_plugins.encryption.errors import EncryptionError

PAGE = 20  # documents at a time: a slice may hold megabytes
TRIES = 5  # for a value that others change at the same time


@attrs.define
class Report:
    """What was found.

    Attributes:
        current: how many values are already under the key that encrypts now.
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
        """Whether all values are under the key that encrypts now."""
        return not self.failed and not self.busy


def key_now(context: EncryptionContext, data: bytes | None = None) -> str | None:
    """Return the key that something is encrypted with; without data, that which encrypts now."""
    key: str | None = current().plugins.first("key_of", data=data, context=context)
    return key


def rotate(store: Store, *, dry_run: bool = False) -> Iterator[tuple[str, Report]]:
    """Process a store, yielding each collection's name and report once it is done."""
    for name in store.collection_names():
        report = Report()
        collection = store.collection(name)
        for stored in _pages(collection):
            _rotate_document(collection, stored, report, dry_run)
        yield name, report


def _pages(collection: Collection) -> Iterator[Stored]:
    """Yield all documents, a page at a time, holding nothing open between pages."""
    after: Mapping[str, Any] = {}
    while page := list(collection.find(after, sort=[("_id", 1)], limit=PAGE)):
        yield from page
        after = {"_id": {"$gt": page[-1]["_id"]}}


def _rotate_document(collection: Collection, stored: Stored, report: Report, dry_run: bool) -> None:
    for path, value in list(sealed_values(stored)):
        context = _context(collection.name, stored, path)
        _rotate_value(collection, stored["_id"], path, value, context, report, dry_run)


def _context(collection: str, stored: Stored, path: str) -> EncryptionContext:
    ask = current().plugins.first
    known: EncryptionContext | None = ask(
        "encryption_context", collection=collection, document=stored
    )
    return known or EncryptionContext(stored.get("_type"), path, stored["_id"])


def _rotate_value(
    collection: Collection,
    id: Any,
    path: str,
    value: Any,
    context: EncryptionContext,
    report: Report,
    dry_run: bool,
) -> None:
    for _ in range(TRIES):
        try:
            key_id = key_now(context, value)
            if key_id == key_now(context):
                report.current += 1
                return
            new = _again(value, context)
        except RocketJobError as error:
            report.failed[str(error)] += 1
            return
        guard = {"_id": id, path: value}
        if dry_run or collection.update_one(guard, {"$set": {path: new}}).matched_count:
            report.rotated[str(key_id)] += 1
            return
        sealed = dict(sealed_values(collection.find_one({"_id": id}) or {}))
        if path not in sealed:
            return  # deleted or emptied since
        value = sealed[path]
    report.busy += 1


def _again(value: bytes, context: EncryptionContext) -> bytes:
    plain = decrypt_bytes(value, context)
    if plain is None:
        raise no_key("A value")
    return encrypt_bytes(plain, context, "It must be stored encrypted")


def sealed_values(stored: Any, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    """Yield the path and value of everything that is encrypted in a document.

    Lists are searched too: one may hold what a process was about to store when it died.
    """
    members = enumerate(stored) if isinstance(stored, list) else stored.items()
    for name, value in members:
        if isinstance(value, bytes) and _is_sealed(value):
            yield f"{prefix}{name}", value
        elif isinstance(value, Mapping | list):
            yield from sealed_values(value, f"{prefix}{name}.")


def _is_sealed(value: bytes) -> bool:
    try:
        return key_now(EncryptionContext(), value) is not None
    except EncryptionError:
        return True  # and damaged
