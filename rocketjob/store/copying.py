"""Moving everything from one store to another: resumable, and verified by count and digest.

Nothing is noted on the way. What is in the target already is compared and left alone, so that a
copy that broke off goes on when it is started again. So does one of a store that has gone on
since: then what is gone from the source is in the target still, which is told, or removed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import attrs

from rocketjob.base.errors import StoreError, is_duplicate_key
from rocketjob.store import Collection, Store, Stored, indexes
from rocketjob.store.packing import pack

GROUP = 500  # documents; a group of the largest ones is written one by one
GROUP_BYTES = 8 * 1024 * 1024
LIVING = "rocket_job.servers"
OF_EACH = {LIVING, indexes.COLLECTION}  # servers announce themselves where they run
OWN = "rocket_job."  # how the names of our collections begin; a target may have others beside them
_MODULUS = 1 << 256


@attrs.frozen
class Digest:
    """How many documents there are, and a sum that depends on every byte but not on their order."""

    count: int = 0
    sum: int = 0

    def __str__(self) -> str:
        return f"{self.sum:064x}"[:16]


@attrs.frozen
class Copied:
    """What became of one collection.

    Attributes:
        written: documents that were not in the target, or differed there.
        removed: documents that only the target had.
        source: what the source has.
        target: what the target has now.
    """

    collection: str
    written: int
    removed: int
    source: Digest
    target: Digest

    @property
    def is_equal(self) -> bool:
        return self.source == self.target


def copy(source: Store, target: Store, *, delete: bool = False) -> Iterator[Copied]:
    """Copy the collections one by one, with their indexes; yield what became of each.

    Args:
        delete: remove from the target what the source does not have.

    Raises:
        StoreError: both are the same store, or the target has another document with a unique key.
    """
    if source.url == target.url:
        raise StoreError(f"{source.url} cannot be copied to itself")
    names = source.collection_names()
    more = [n for n in target.collection_names() if n.startswith(OWN) and n not in names]
    for name in sorted([*names, *more]):
        if name in OF_EACH:
            continue
        one, other = source.collection(name), target.collection(name)
        removed = _remove_surplus(one, other) if delete else 0
        if name in names:
            written = _copy_documents(one, other)
            _copy_indexes(one, other)  # after the documents: that is faster
            yield Copied(name, written, removed, digest(one), digest(other))
            continue
        if delete:
            other.drop()
        left = digest(other)
        if left.count or removed:
            yield Copied(name, 0, removed, digest(one), left)


def _remove_surplus(source: Collection, target: Collection) -> int:
    removed = 0
    ids = iter(document["_id"] for document in target.find({}, {"_id": 1}, sort=[("_id", 1)]))
    while group := list(islice(ids, GROUP)):
        in_source = {
            _key(document) for document in source.find({"_id": {"$in": group}}, {"_id": 1})
        }
        surplus = [id for id in group if _key({"_id": id}) not in in_source]
        if surplus:
            removed += target.delete_many({"_id": {"$in": surplus}}).deleted_count
    return removed


def _copy_documents(source: Collection, target: Collection) -> int:
    """Write what is missing or differs; return how many documents."""
    written = 0
    while True:
        try:
            for changed, present in _changed(source, target):
                if present:
                    target.delete_many({"_id": {"$in": present}})
                target.insert_many(changed)
                written += len(changed)
            return written
        except Exception as error:
            if not is_duplicate_key(error):
                raise
            # Since an earlier copy a unique key may have gone from one document to another.
            if not _remove_changed(source, target):
                raise StoreError(
                    f"{target.name}: the target has documents that the source does not have, and "
                    f"with the same unique keys; --delete removes them ({error})"
                ) from error


def _remove_changed(source: Collection, target: Collection) -> int:
    """Remove from the target what differs there."""
    removed = 0
    for _, present in _changed(source, target):
        removed += target.delete_many({"_id": {"$in": present}}).deleted_count if present else 0
    return removed


def _changed(source: Collection, target: Collection) -> Iterator[tuple[list[Stored], list[Any]]]:
    """Yield the documents that the target has not as they are, and the ids that it has of them."""
    for group in _groups(source.find({}, sort=[("_id", 1)])):
        ids = {"_id": {"$in": [document["_id"] for document in group]}}
        present = {_key(document): pack(document) for document in target.find(ids)}
        changed = [document for document in group if present.get(_key(document)) != pack(document)]
        if changed:
            yield changed, [document["_id"] for document in changed if _key(document) in present]


def _groups(documents: Iterable[Stored]) -> Iterator[list[Stored]]:
    """Group documents, of such a size that a group fits into one message."""
    rest = iter(documents)
    while group := list(islice(rest, GROUP)):
        part: list[Stored] = []
        size = 0
        for document in group:
            length = len(pack(document))
            if part and size + length > GROUP_BYTES:
                yield part
                part, size = [], 0
            part.append(document)
            size += length
        yield part


def _copy_indexes(source: Collection, target: Collection) -> None:
    present = target.index_information()
    for name, spec in source.index_information().items():
        if name == "_id_" or name in present:
            continue
        more = {key: spec[key] for key in ("unique", "partialFilterExpression") if key in spec}
        keys = [(field, int(way)) for field, way in spec["key"]]
        target.create_index(keys, name=name, **more)


def digest(collection: Collection) -> Digest:
    """Return count and digest of a collection."""
    count = total = 0
    for document in collection.find({}):
        count += 1
        total += int.from_bytes(hashlib.sha256(pack(document)).digest(), "big")
    return Digest(count, total % _MODULUS)


def _key(document: Stored) -> bytes:
    return pack({"_id": document["_id"]})
