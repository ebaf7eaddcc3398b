"""The front of a queue, where a server sorts all that matches before it hands out the first.

MongoDB walks an index in the order of a claim, however long the queue is. Others, such as
DocumentDB, read and sort the whole queue for each claim. There one look reads on to the thousandth
document, and for a while claims ask for what is more urgent than the last of these, and then for
what is between the first and the last: two short ranges of an index. Whoever finds too few looks at
all again.

So whatever has a higher priority is claimed at once. Of the same priority, one that is older than
the front, such as a job that is due only now, waits for the next look: a second, or longer where a
look takes so long that it would be all that the server does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from rocketjob.base import clock
from rocketjob.store import Filter, Sort, Stored, Update
from rocketjob_plugins.store_mongodb import groups

SIZE = 1000
SINGLE = 50  # claims of one document, without a front, until it is asked how long the queue is
SECONDS = 1.0  # for which a front lasts at least
TIMES = 9  # what it lasts at least, in times of the look: looks take a tenth of the time

Key = tuple[str, tuple[tuple[str, int], ...]]


@attrs.frozen
class Part:
    """A part of a front.

    Attributes:
        within: what is in it.
        range: the range of the last field that is in it; None: `within` says all.
    """

    within: Filter
    range: Filter | None = None

    def narrowed(self, filter: Filter) -> Filter:
        """Return the filter for what of this part matches.

        Denied twice, a filter is the same, and hidden from a planner: PostgreSQL's would go through
        all that is queued in an index, to find what has these few ids besides.
        """
        both = {"$and": [filter, self.within]}
        return both if self.range is None else {"$and": [self.range, {"$nor": [{"$nor": [both]}]}]}


@attrs.frozen
class Found:
    """What a look has found: the parts of the front, the most urgent first, and how long."""

    parts: Sequence[Part] = ()
    until: float = 0.0


class Front:
    """The fronts of the queues that one process claims from."""

    def __init__(self) -> None:
        self._found: dict[Key, Found] = {}  # shared by threads; a stale one costs a look
        self._single: dict[Key, int] = {}

    def claim_many(
        self,
        documents: Any,
        filter: Filter,
        update: Update,
        *,
        sort: Sort,
        limit: int,
        session: Any = None,
    ) -> list[Stored]:
        """Claim the first documents that match; see `Store.claim_many`."""
        key: Key = documents.name, tuple(sort)
        claimed: list[Stored] = []

        def claim(narrowed: Filter, look: groups.Look = groups.look) -> None:
            options: Any = {"sort": sort, "session": session, "look": look}
            missing = limit - len(claimed)
            claimed.extend(groups.claim_many(documents, narrowed, update, limit=missing, **options))

        for part in (parts := self._parts(key)):
            claim(part.narrowed(filter))
        look = self._look_for(key)
        if limit == 1 and not claimed and (parts or self._is_due(key)):
            look(documents, filter, sort, limit, session)
            for part in self._parts(key):
                claim(part.narrowed(filter))
        claim(filter, look)  # nothing, if there are enough
        return claimed

    def _parts(self, key: Key) -> Sequence[Part]:
        found = self._found.get(key, Found())
        return found.parts if clock.monotonic() < found.until else ()

    def _is_due(self, key: Key) -> bool:
        """Return whether to look before a claim of one, which alone does not show the queue."""
        self._single[key] = self._single.get(key, 0) + 1
        return bool(self._found.get(key, Found()).parts) or self._single[key] % SINGLE == 0

    def _look_for(self, key: Key) -> groups.Look:
        """Return what looks on to the end of the front, and notes it."""

        def look(
            documents: Any, filter: Filter, sort: Sort, limit: int, session: Any
        ) -> list[Stored]:
            began = clock.monotonic()
            shown = {field: 1 for field, _ in sort} | {"_id": 1}
            found = groups.look(documents, filter, sort, max(SIZE, limit), session, shown)
            # All that there is costs no more than a front, if it is no more than that.
            parts = parts_of(found, sort) if len(found) >= SIZE else ()
            ended = clock.monotonic()
            self._found[key] = Found(parts, ended + max(SECONDS, TIMES * (ended - began)))
            return found[:limit]

        return look


def parts_of(found: Sequence[Stored], sort: Sort) -> Sequence[Part]:
    """Return what is not behind the last of some documents, in parts; none if no filter says that.

    One filter for all of it would have alternatives, which leave PostgreSQL's planner at a loss; so
    does a range without a beginning, in which it passes all that runs.
    """
    last, parts, same = found[-1], list[Part](), list[Filter]()
    for field, way in sort:
        value = last.get(field)
        if value is None or isinstance(value, Mapping | list):
            return ()
        parts.append(Part({"$and": [*same, {field: {"$lt" if way > 0 else "$gt": value}}]}))
        same.append({field: value})
    *before, (field, way) = sort
    first = next(each for each in found if all(each.get(f) == last[f] for f, _ in before))
    low, high = (first, last) if way > 0 else (last, first)
    between: Filter = {field: {"$gte": low[field], "$lte": high[field]}}
    same.pop()
    return [*parts[:-1], Part({"$and": same} if same else {}, between)]
