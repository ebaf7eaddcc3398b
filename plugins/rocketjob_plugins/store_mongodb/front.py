"""The front of a queue, where a server sorts all that matches before it hands out the first.

MongoDB walks an index in the order of a claim, however long the queue is. Others, such as
DocumentDB, read and sort the whole queue for each claim. There one look notes the first thousands
of documents, and for a while claims ask for what is more urgent than the last of these, and then
for the next hundred: short ranges of an index. Whoever finds too few looks at all again.

So whatever has a higher priority is claimed at once. Of the same priority, one that was not seen in
the front, such as a job that is due only now, waits for the next look: a second, or longer where a
look takes so long that it would be all that the server does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from rocketjob.base import clock
from rocketjob.store import Filter, Sort, Stored, Update
from rocketjob_plugins.store_mongodb import groups

SIZE = 1000  # of a front; fewer documents are sorted for each claim
MORE = 4  # times as many are looked for where a front was used up before its time
MOST = 10_000
AT_ONCE = 100  # documents in a range that a claim asks for: others have claimed some of them
SECONDS = 1.0  # for which a front lasts at least
TIMES = 9  # what it lasts at least, in times of the look: looks take a tenth of the time

EXACT = 2**53  # whole numbers below have their own double
KEPT = 20  # fronts of a process: those of slices come and go with their jobs


@attrs.define
class Line:
    """The documents of a front that are as urgent as its last, in their order.

    Threads share it. What one of them has passed over is left for the next look.
    """

    seen: Sequence[Stored] = ()
    begin: int = 0

    def parts(self, at_least: int) -> Iterator[tuple[int, Sequence[Stored]]]:
        """Yield those that are left, some at a time, each time with the place of the first."""
        while part := self.seen[(begin := self.begin) : begin + max(AT_ONCE, at_least)]:
            yield begin, part
            self.pass_over(begin + len(part))

    def pass_over(self, until: int) -> None:
        """Go on at this place."""
        self.begin = max(self.begin, until)


@attrs.frozen
class Found:
    """What a look has found.

    Attributes:
        ahead: the filters of what goes before the last of the front, the most urgent first.
        line: the others.
        is_short: whether that was all.
        until: when all this is too old.
        size: how many were looked for.
    """

    ahead: Sequence[Filter] = ()
    line: Line = attrs.field(factory=Line)
    is_short: bool = False
    until: float = 0.0
    size: int = SIZE


@attrs.define
class Claim:
    """A claim of some documents, which is made in parts."""

    documents: Any
    filter: Filter
    update: Update
    sort: Sort
    limit: int
    session: Any = None
    claimed: list[Stored] = attrs.field(factory=list)

    @property
    def missing(self) -> int:
        return self.limit - len(self.claimed)

    @property
    def key(self) -> Any:
        """What is the same in claims that follow each other: all but the time."""
        return self.documents.name, tuple(self.sort), shape(self.filter)

    def look(
        self, documents: Any, filter: Filter, sort: Sort, limit: int, session: Any
    ) -> list[Stored]:
        """Look for documents, with what they are sorted by."""
        return groups.look(documents, filter, sort, limit, session, shown(sort))

    def guard(self, found: Sequence[Stored], filter: Filter) -> Filter:
        """Return the filter for what still matches of these: in their range, and then by id.

        By ids alone DocumentDB would read all documents for a write.
        """
        these = groups.hidden({"_id": {"$in": [each["_id"] for each in found]}})
        return narrowed(filter, {"$and": [*bounds(found, self.sort), these]})

    def take(
        self, filter: Filter, look: groups.Look | None = None, looks_for_one: bool = False
    ) -> list[Stored]:
        """Claim what is missing, of those that match, and return it."""
        how: Any = {"sort": self.sort, "session": self.session, "limit": self.missing}
        how |= {"look": look or self.look, "guard": self.guard, "looks_for_one": looks_for_one}
        got = groups.claim_many(self.documents, filter, self.update, **how)
        self.claimed.extend(got)
        return got

    def take_from(self, front: Found) -> None:
        """Claim what is missing from a front, as far as it goes."""
        for within in front.ahead:
            self.take(narrowed(self.filter, within))
        for begin, seen in front.line.parts(self.limit) if self.missing else ():
            part = narrowed(self.filter, {"$and": bounds(seen, self.sort)})
            while got := self.take(part, looks_for_one=True):
                if not self.missing:
                    last = got[-1]["_id"]
                    places = (n for n, each in enumerate(seen, 1) if each["_id"] == last)
                    front.line.pass_over(begin + next(places, 0))
                    return


class Front:
    """The fronts of the queues that one process claims from."""

    def __init__(self) -> None:
        self._found: dict[Any, Found] = {}  # shared by threads; a stale one costs a look

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
        claim = Claim(documents, filter, update, sort, limit, session)
        look, front = self._look_for(claim.key), self._fresh(claim.key)
        if front is not None:
            claim.take_from(front)
        if claim.missing == limit == 1:
            if front is None:
                self._take_alone(claim)
                return claim.claimed
            if not front.is_short:
                look(documents, filter, sort, limit, session)
                claim.take_from(self._found.get(claim.key, Found()))
        claim.take(filter, look)  # nothing, if there are enough
        return claim.claimed

    def _take_alone(self, claim: Claim) -> None:
        """Claim one without a look, and note for how long the next claim is to look.

        A claim of one costs as much as a look, and says nothing of the queue: only where another
        follows soon, as things stand, a look is worth its message.
        """
        began = clock.monotonic()
        if claim.take(claim.filter):
            self._note(claim.key, Found(until=_until(began)))

    def _fresh(self, key: Any) -> Found | None:
        found = self._found.get(key)
        return found if found is not None and clock.monotonic() < found.until else None

    def _look_for(self, key: Any) -> groups.Look:
        """Return what looks on to the end of the front, and notes it."""

        def look(
            documents: Any, filter: Filter, sort: Sort, limit: int, session: Any
        ) -> list[Stored]:
            began, size = clock.monotonic(), max(self._size(key), limit)
            found = groups.look(documents, filter, sort, size, session, shown(sort))
            until, is_short = _until(began), len(found) < SIZE
            short = Found(until=until, is_short=True)
            self._note(key, short if is_short else front_of(found, sort, until, size))
            return found[:limit]

        return look

    def _size(self, key: Any) -> int:
        """Return how many to look for: as many as are claimed while a front lasts."""
        if (used_up := self._fresh(key)) is None or not used_up.line.seen:
            return SIZE
        return min(MOST, MORE * used_up.size)

    def _note(self, key: Any, found: Found) -> None:
        for other in list(self._found)[: 1 - KEPT]:
            self._found.pop(other, None)
        self._found[key] = found


def shown(sort: Sort) -> dict[str, int]:
    """Return the projection to what documents are sorted by."""
    return {field: 1 for field, _ in sort} | {"_id": 1}


def bounds(found: Sequence[Stored], sort: Sort) -> list[Filter]:
    """Return filters for the range of an index in which documents are that are sorted."""
    asked = list[Filter]()
    for field, way in sort:
        ends = [found[0].get(field), found[-1].get(field)]
        if any(end is None or isinstance(end, Mapping | list) for end in ends):
            break
        if ends[0] != ends[1]:
            low, high = ends[::way]
            return [*asked, {field: {"$gte": low, "$lte": high}}]
        asked.append({field: ends[0]})
    return asked


def before_value(value: Any, way: int) -> Filter:
    """Return what asks of a field that it comes before a value.

    Of a number it is given with the bound itself: up to a bound that it leaves out DocumentDB reads
    all of an index, and so all that is as urgent.
    """
    if isinstance(value, int | float) and abs(value) < EXACT:
        bound = math.nextafter(value, -way * math.inf)
        return {"$lte" if way > 0 else "$gte": bound}
    return {"$lt" if way > 0 else "$gt": value}


def _until(began: float) -> float:
    """Return until when what was learned by a call that began then is taken for true."""
    ended = clock.monotonic()
    return ended + max(SECONDS, TIMES * (ended - began))


def narrowed(filter: Filter, within: Filter) -> Filter:
    """Return the filter for what of a range matches.

    What it asks of a field plainly, such as the state, is left to an index, and the rest hidden, as
    by `groups.among`: alternatives leave PostgreSQL's planner at a loss.
    """
    plain, others = list[Filter](), list[Filter]()
    for clause in clauses(filter):
        (field, test), *_ = clause.items()
        is_plain = not (field.startswith("$") or isinstance(test, Mapping | list))
        (plain if is_plain else others).append(clause)
    return {"$and": [*plain, within, *([groups.hidden({"$and": others})] if others else [])]}


def clauses(filter: Filter) -> Iterator[Filter]:
    """Yield what a filter asks, one thing at a time."""
    for field, test in filter.items():
        if field == "$and":
            for each in test:
                yield from clauses(each)
        else:
            yield {field: test}


def shape(filter: Any) -> Any:
    """Return what tells a filter from others, whenever it was made."""
    if isinstance(filter, Mapping):
        return tuple((key, shape(part)) for key, part in filter.items())
    if isinstance(filter, list | tuple):
        return tuple(map(shape, filter))
    return "time" if isinstance(filter, datetime) else repr(filter)


def front_of(found: Sequence[Stored], sort: Sort, until: float, size: int) -> Found:
    """Return the front of some documents; without a line if no filter says what is ahead.

    One filter for all that is ahead would have alternatives, which leave PostgreSQL's planner at a
    loss.
    """
    last, ahead, same = found[-1], list[Filter](), list[Filter]()
    *before, _ = sort
    for field, way in before:
        value = last.get(field)
        if value is None or isinstance(value, Mapping | list):
            return Found(is_short=True, until=until)  # each claim sorts all, as if it were
        ahead.append({"$and": [*same, {field: before_value(value, way)}]})
        same.append({field: value})
    line = [each for each in found if all(each.get(f) == last[f] for f, _ in before)]
    return Found(ahead, Line(line), until=until, size=size)
