"""Moving everything from one store to another: resumable, and verified by count and digest.

Nothing is noted on the way. What is in the target already is compared and left alone, so that a
copy that broke off goes on when it is started again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import attrs
import bson
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions

from rocketjob.errors import StoreError
from rocketjob.store import Collection, Store, Stored

GROUP = 500  # documents; a group of the largest ones is written one by one
GROUP_BYTES = 8 * 1024 * 1024
LIVING = "rocket_job.servers"
_OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True, uuid_representation=UuidRepresentation.STANDARD
)
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
        source: what the source has.
        target: what the target has now.
    """

    collection: str
    written: int
    source: Digest
    target: Digest

    @property
    def is_equal(self) -> bool:
        return self.source == self.target


def copy(source: Store, target: Store) -> Iterator[Copied]:
    """Copy the collections one by one, with their indexes; yield what became of each.

    Raises:
        StoreError: both are the same store.
    """
    if source.url == target.url:
        raise StoreError(f"{source.url} cannot be copied to itself")
    for name in source.collection_names():
        if name == LIVING:
            continue  # servers announce themselves where they run
        one, other = source.collection(name), target.collection(name)
        written = _copy_documents(one, other)
        _copy_indexes(one, other)  # after the documents: that is faster
        yield Copied(name, written, digest(one), digest(other))


def _copy_documents(source: Collection, target: Collection) -> int:
    written = 0
    for group in _groups(source.find({}, sort=[("_id", 1)])):
        ids = {"_id": {"$in": [each["_id"] for each in group]}}
        there = {_key(each): _encoded(each) for each in target.find(ids)}
        missing = [each for each in group if there.get(_key(each)) != _encoded(each)]
        differing = [each["_id"] for each in missing if _key(each) in there]
        if differing:
            target.delete_many({"_id": {"$in": differing}})
        if missing:
            target.insert_many(missing)
        written += len(missing)
    return written


def _groups(documents: Iterable[Stored]) -> Iterator[list[Stored]]:
    """Group documents, of such a size that a group fits into one message."""
    rest = iter(documents)
    while group := list(islice(rest, GROUP)):
        part: list[Stored] = []
        size = 0
        for each in group:
            length = len(_encoded(each))
            if part and size + length > GROUP_BYTES:
                yield part
                part, size = [], 0
            part.append(each)
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
    for each in collection.find({}):
        count += 1
        total += int.from_bytes(hashlib.sha256(_encoded(each)).digest(), "big")
    return Digest(count, total % _MODULUS)


def _encoded(document: Stored) -> bytes:
    return bson.encode(document, codec_options=_OPTIONS)


def _key(document: Stored) -> bytes:
    return _encoded({"_id": document["_id"]})
