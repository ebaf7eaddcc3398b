"""Indexes of DocumentDB that keep whole keys in their order, as MongoDB's do.

Its own kind has an entry for each field of an index, and one more in each of them for every
document: an insert costs four times as much, and nothing can be read in the order of the fields.
The other kind has one entry for a document. Releases up to 0.108 make it only where it is asked
for, by an option for the storage engine. A unique index stays as it is: it is small here.
"""

from __future__ import annotations

from typing import Any

from pymongo.errors import OperationFailure
from pymongo.synchronous.collection import Collection

from rocketjob_plugins.store_mongodb import failures

OPTION: dict[str, Any] = {"storageEngine": {"enableOrderedIndex": True}}


class OrderedCollection(Collection[Any]):
    """pymongo's collection, which asks for ordered indexes, and where they are refused for any."""

    def create_index(self, keys: Any, **options: Any) -> str:  # type: ignore[override]
        """Create an index; see pymongo."""
        if not options.get("unique"):
            try:
                return super().create_index(keys, **options, **OPTION)
            except OperationFailure as error:
                if failures.is_transient(error):
                    raise
        return super().create_index(keys, **options)
