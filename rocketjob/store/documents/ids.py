"""The `_id` that every document has, and the names that its fields may have."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from bson.objectid import ObjectId
from bson.regex import Regex

from rocketjob.base.errors import StoreError
from rocketjob.store.unit import Stored


def with_id(document: Stored) -> Stored:
    """Give the caller's own document an `_id` if it has none, as pymongo does, and return it.

    Raises:
        StoreError: the `_id` or the name of a field is one that MongoDB refuses.
    """
    if "_id" not in document:
        document["_id"] = ObjectId()
    elif isinstance(document["_id"], list | tuple | re.Pattern | Regex):
        raise StoreError(f"An _id cannot be an array or a regular expression: {document['_id']!r}")
    _check_names(tuple(document))
    return document


@lru_cache(maxsize=1000)
def _check_names(names: tuple[Any, ...]) -> None:
    """Refuse a name that begins with $; most documents have the names of others."""
    for name in names:
        if isinstance(name, str) and name[:1] == "$":
            raise StoreError(f"A field cannot be called {name!r}: names do not begin with $")
