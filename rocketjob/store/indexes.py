"""Indexes that more than one feature needs, and whether one that a store has is the one wanted.

That a store has been given its indexes is remembered in the store, so that not every program and
command asks for each of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rocketjob.store.port import Store
    from rocketjob.store.unit import Filter

COLLECTION = "rocket_job.indexes"
GIVEN = {"_id": "given"}


def unique_while(key: str, states: Iterable[str], known: Iterable[str]) -> dict[str, Any]:
    """Return the index that lets no two documents in these states have the same value of a key.

    The state is judged by the index itself, whoever changed it: also a process that has not loaded
    the class, and so runs none of its callbacks. A document without the key is not looked at.

    MongoDB before 6.0, and others that speak its language, know no `$in` in an index. So the states
    are given as a range, from the first to the last by the alphabet, unless another is in between.
    DocumentDB, on which FerretDB 2 rests, takes one operator for a field, so each is a clause.

    Args:
        known: all states that there are.
    """
    states = set(states)
    first, last = min(states), max(states)
    clauses: list[dict[str, Any]] = [{"state": {"$gte": first}}, {"state": {"$lte": last}}]
    if any(first <= other <= last for other in set(known) - states):
        clauses = [{"state": {"$in": sorted(states)}}]
    return {
        "keys": [(key, 1)],
        "name": key,
        "unique": True,
        "partialFilterExpression": {"$and": [{key: {"$exists": True}}, *clauses]},
    }


def conditions(partial: Filter) -> Filter:
    """Return a partial filter without `$and`: all that it asks of each field."""
    asked: dict[str, Any] = {}
    for clause in (*partial.get("$and", ()), {k: v for k, v in partial.items() if k != "$and"}):
        for field, test in clause.items():
            both = isinstance(test, Mapping) and isinstance(asked.get(field), Mapping)
            asked[field] = {**asked[field], **test} if both else test
    return asked


def is_made(present: Mapping[str, Mapping[str, Any]], wanted: Mapping[str, Any]) -> bool:
    """Return whether there is the index wanted, under whatever name: a second one is refused.

    Args:
        present: as `Collection.index_information` returns them.
        wanted: as `Collection.create_index` takes it.
    """
    return any(serves(existing, wanted) for existing in present.values())


def serves(existing: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Return whether an index is the one wanted.

    Args:
        existing: as `Collection.index_information` describes it.
        wanted: as `Collection.create_index` takes it.
    """
    keys = [(path, int(way)) for path, way in existing["key"] if not isinstance(way, str)]
    return (
        keys == [(path, int(way)) for path, way in wanted["keys"]]
        and not existing.get("sparse")
        and not existing.get("collation")
        and bool(existing.get("unique")) == bool(wanted.get("unique"))
        and _covers(
            conditions(existing.get("partialFilterExpression") or {}),
            conditions(wanted.get("partialFilterExpression") or {}),
        )
    )


def _covers(existing: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Compare partial filters; states of a range may be listed, as earlier versions did."""
    return set(existing) == set(wanted) and all(
        test == wanted[field] or (field == "state" and _lists(test, wanted[field]))
        for field, test in existing.items()
    )


def _lists(existing: Any, wanted: Any) -> bool:
    """Return whether a list of states has those wanted, which may be given as a range."""
    if not isinstance(existing, Mapping) or not isinstance(wanted, Mapping):
        return False
    states = sorted(existing.get("$in") or ())
    if not states:
        return False
    return wanted in ({"$gte": states[0], "$lte": states[-1]}, {"$in": states})


def described(collection: str, wanted: Mapping[str, Any]) -> str:
    """Return an index in words, which change whenever anything of it does."""
    return json.dumps([collection, dict(wanted)], sort_keys=True, default=str)


def are_given(store: Store, wanted: Mapping[str, Sequence[Mapping[str, Any]]]) -> bool:
    """Return whether a store is known to have been given all these indexes, by collection."""
    known = set(_given(store))
    return all(described(name, spec) in known for name, specs in wanted.items() for spec in specs)


def note_given(store: Store, indexes: Iterable[str]) -> None:
    """Remember that a store has been given indexes, as `described`.

    Those of other versions and plugins are kept: they may run beside this one. Of two that write at
    once the first may be forgotten, and is noted by the next.
    """
    known = _given(store)
    if more := sorted(set(indexes) - set(known)):
        given = {"$set": {"indexes": [*known, *more]}}
        store.collection(COLLECTION).update_one(GIVEN, given, upsert=True)


def forget_given(store: Store) -> None:
    """Have whoever opens the store next look at its indexes again."""
    store.collection(COLLECTION).delete_one(GIVEN)


def _given(store: Store) -> list[str]:
    noted = (store.collection(COLLECTION).find_one(GIVEN) or {}).get("indexes")
    return [each for each in noted if isinstance(each, str)] if isinstance(noted, list) else []
