"""Claims and guarded writes in groups: a few messages, however many documents it are.

A claim of several documents looks for them, updates those that still match, together with a token
of this claim, and reads what has the token: three messages. Claimers that look at the same time
see the same documents. Whoever gets none of them looks again, and at last takes one alone, which
the server lets nobody spoil.

The driver does not repeat the update of many documents by itself, as it does that of one. If its
answer is lost, or the process dies before it has read what it got, they are claimed and nobody
knows of it. They come free like all claims of which their claimer knows nothing: what the update
says of the claimer is all that is asked then, never the token.

The token stays in the document for as long as the claim, and is nobody's business but this
module's: a claim hands out documents without it, and the guarded write that ends a claim removes
it.

Imports within functions: pymongo is loaded only where a MongoDB store is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from bson import ObjectId

from rocketjob.store import Filter, Sort, Stored, Update, Write
from rocketjob.store.notes import FIELD
from rocketjob_plugins.store_mongodb import failures

TOKEN = "_claimed_in"
ROUNDS = 3  # of those that others were quicker at all documents; then one is taken alone
FEW = 2  # guarded writes of a transaction that are made one by one: a look would cost as much


Look = Callable[[Any, Filter, Sort, int, Any], list[Stored]]


def look(
    documents: Any,
    filter: Filter,
    sort: Sort,
    limit: int,
    session: Any,
    shown: Mapping[str, int] = MappingProxyType({"_id": 1}),
) -> list[Stored]:
    """Return the first documents that match, as far as they are to be shown."""
    found = _in_a_batch(documents, filter, limit, session, projection=dict(shown), sort=list(sort))
    return list(found)


def by_ids(found: Sequence[Stored], filter: Filter) -> Filter:
    """Return the filter with which documents that were looked at are claimed: by their ids."""
    return {"$and": [filter, {"_id": {"$in": [each["_id"] for each in found]}}]}


Guard = Callable[[Sequence[Stored], Filter], Filter]


def claim_many(
    documents: Any,
    filter: Filter,
    update: Update,
    *,
    sort: Sort,
    limit: int,
    session: Any = None,
    look: Look = look,
    guard: Guard = by_ids,
    looks_for_one: bool = False,
) -> list[Stored]:
    """Claim the first documents that match; see `Store.claim_many`.

    Args:
        guard: returns the filter for those of some documents that still match.
        looks_for_one: also for a claim of one: where a server sorts, that costs less.
    """
    for _ in range(ROUNDS if limit > 1 or (looks_for_one and limit > 0) else 0):
        found = look(documents, filter, sort, limit, session)
        if not found:
            return []
        ids = [each["_id"] for each in found]
        if len(ids) == 1:
            this = {"_id": ids[0], **hidden(filter)}
            claimed = _claim_one(documents, this, update, (), session)
        else:
            claimed = _claim_these(documents, ids, guard(found, filter), update, session)
        if claimed:
            return claimed
    return _claim_one(documents, filter, update, sort, session) if limit > 0 else []


def _claim_one(
    documents: Any, filter: Filter, update: Update, sort: Sort, session: Any
) -> list[Stored]:
    """Claim one: the server does it in one step, and the driver repeats it if it has to."""
    claimed = documents.find_one_and_update(
        filter,
        without_token(update),
        sort=list(sort) or None,
        return_document=True,
        session=session,
    )
    return [] if claimed is None else [claimed]


def _claim_these(
    documents: Any, ids: Sequence[Any], guarded: Filter, update: Update, session: Any
) -> list[Stored]:
    """Claim those of some documents that still match, and return them in the order of the ids."""
    token = ObjectId()
    fields = {**update.get("$set", {}), TOKEN: token}
    # One that was taken away again meanwhile is not ours any more, though the token may be in it.
    held = {key: value for key, value in fields.items() if not isinstance(value, Mapping | list)}
    ours = among(ids, held)
    try:
        made = documents.update_many(guarded, {**update, "$set": fields}, session=session)
    except Exception as error:
        # It stops at the first document that the server refuses. Those before are claimed.
        met = failures.is_given_up(error)  # another claimer: whoever has nothing looks again
        if session is not None or (failures.is_transient(error) and not met):
            raise
        claimed = _read(documents, ids, ours, session)
        if not claimed and not met:
            raise
        return claimed
    return _read(documents, ids, ours, session) if made.matched_count else []


def _read(documents: Any, ids: Sequence[Any], ours: Filter, session: Any) -> list[Stored]:
    """Return what was claimed, in the order of the ids and without the token."""
    claimed = {each["_id"]: each for each in _in_a_batch(documents, ours, len(ids), session)}
    for each in claimed.values():
        del each[TOKEN]
    return [claimed[id] for id in ids if id in claimed]


def among(ids: Sequence[Any], filter: Filter) -> Filter:
    """Return the filter of those with some ids that match, to be found by these ids alone."""
    return {"_id": {"$in": list(ids)}, **hidden(filter)}


def hidden(filter: Filter) -> Filter:
    """Return the same filter, hidden from a planner: it is denied twice.

    PostgreSQL's would look in other indexes for all that matches, to keep the few that have some
    ids besides.
    """
    return {"$nor": [{"$nor": [filter]}]}


def _in_a_batch(documents: Any, filter: Filter, limit: int, session: Any, **how: Any) -> Any:
    """Find up to `limit` documents; else there are 101 in the first answer."""
    return documents.find(filter, limit=limit, batch_size=limit, session=session, **how)


def without_token(update: Update) -> Update:
    """Return the update so that it removes the token of an earlier claim."""
    return {**update, "$unset": {**update.get("$unset", {}), TOKEN: ""}}


# --- guarded writes ------------------------------------------------------------------------------


def operation(write: Write) -> Any:
    """Return a guarded write as pymongo takes it in a group."""
    import pymongo

    if write.update is None:
        return pymongo.DeleteOne(write.filter)
    return pymongo.UpdateOne(write.filter, without_token(write.update))


def write_all(documents: Any, writes: Sequence[Write], session: Any = None) -> bool:
    """Make writes in one message for each kind; return whether all have matched.

    If not, it is not known which: the transaction is to be given up.
    """
    removals = removed_together(writes)
    done, others = 0, [write for write in writes if write.update is not None or not removals]
    if removals:
        these = {**removals[0], "_id": {"$in": [filter["_id"] for filter in removals]}}
        done += documents.delete_many(these, session=session).deleted_count
    if others:
        operations = [operation(write) for write in others]
        made = documents.bulk_write(operations, ordered=not _are_apart(writes), session=session)
        done += made.matched_count + made.deleted_count
    return bool(done == len(writes))


def removed_together(writes: Sequence[Write]) -> list[Filter]:
    """Return the filters of all removals among writes, if they can be one; else none.

    A server plans each guarded removal anew, and one of many documents once.
    """
    filters: list[Filter] = [write.filter for write in writes if write.update is None]
    alike = len(filters) > 1 and all(_guard(each) == _guard(filters[0]) for each in filters)
    return filters if alike and _are_apart(writes) else []


def remove_apart(
    documents: Any, filters: Sequence[Filter], remove: Callable[[Filter], bool]
) -> list[bool]:
    """Remove what `removed_together` returned, without a transaction; say of each whether.

    How many are removed is told, not which. So they are looked at before, and those that do not
    match, or have a note of the outbox, are left to `remove`. If somebody else has removed some in
    between, all that are gone count as removed, as they do after an answer that was lost.
    """
    free, guard = {FIELD: {"$exists": False}}, _guard(filters[0])
    ids = [each["_id"] for each in filters]
    shown = {"projection": {"_id": 1}}
    found = _in_a_batch(documents, among(ids, guard | free), len(ids), None, **shown)
    matching = {each["_id"] for each in found}
    if matching:
        these = {**guard, "_id": {"$in": list(matching)}, **hidden(free)}
        count = documents.delete_many(these).deleted_count
        if count < len(matching):
            left = documents.find({"_id": {"$in": list(matching)}}, **shown)
            matching -= {each["_id"] for each in left}
    return [filter["_id"] in matching or remove(filter) for filter in filters]


def _guard(filter: Filter) -> dict[str, Any]:
    """Return what a filter of one document asks besides its id."""
    return {key: test for key, test in filter.items() if key != "_id"}


def write_in_transaction(documents: Any, writes: Sequence[Write], session: Any) -> list[bool]:
    """Make writes within a transaction that goes on, and say of each whether it has matched.

    Nobody else can change between the look and the writes what was seen: that would end the
    transaction.
    """
    if len(writes) <= FEW or not _are_apart(writes):
        return [write_one(documents, write, session) for write in writes]
    guards = {"$or": [dict(write.filter) for write in writes]}
    found = _in_a_batch(documents, guards, len(writes), session, projection={"_id": 1})
    matching = {each["_id"] for each in found}
    held = [write.filter["_id"] in matching for write in writes]
    made = [write for write, holds in zip(writes, held, strict=True) if holds]
    if made:
        write_all(documents, made, session)
    return held


def write_one(documents: Any, write: Write, session: Any = None) -> bool:
    """Make a guarded write; return whether it has matched."""
    if write.update is None:
        return bool(documents.delete_one(write.filter, session=session).deleted_count)
    update = without_token(write.update)
    return bool(documents.update_one(write.filter, update, session=session).matched_count)


def _are_apart(writes: Sequence[Write]) -> bool:
    """Return whether each write is of another document, so that their order says nothing."""
    ids = [write.filter.get("_id") for write in writes]
    plain = [id for id in ids if id is not None and not isinstance(id, Mapping | list)]
    return len(set(plain)) == len(writes)
