"""A unit of work: what becomes visible together or not at all. See `Store.commit`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import attrs
from bson import ObjectId

Filter = Mapping[str, Any]
Update = Mapping[str, Any]
Stored = dict[str, Any]
NEVER = datetime(9999, 1, 1, tzinfo=UTC)  # for `Insert.hidden`: a time that does not come


class Write(NamedTuple):
    """One member of a group of writes: a guarded update, or a delete where `update` is None."""

    filter: Filter
    update: Update | None


class Insert(NamedTuple):
    """A new document of a unit.

    Attributes:
        document: with its `_id`.
        optional: left out, and reported, where a unique index refuses it; else the unit fails.
        replaces: whether it takes the place of a document with the same `_id`.
        hidden: fields that keep others from using the document, with the values that do so. A
            store without transactions stores it with these until it is certain to stay.
    """

    collection: str
    document: Stored
    optional: bool = False
    replaces: bool = False
    hidden: Mapping[str, Any] = {}


class Also(NamedTuple):
    """A write that is made along with a unit, if its own filter matches.

    Attributes:
        many: whether of every document that matches, not of one.
        whose: names in the log who brought it: where the store refuses it, it is left out. Without
            a name that fails the unit.
    """

    collection: str
    write: Write
    many: bool = False
    whose: str = ""


@attrs.frozen(kw_only=True)
class Unit:
    """A guarded write, and what is stored with it.

    A store with transactions needs of this `write`, `inserts`, `also` and `check` only. The rest
    says how a store without them gets from one state to the other.

    Attributes:
        collection: of `write`.
        write: decides. If its filter, which names the `_id`, does not match, nothing is stored.
            None: there are only inserts, which a store without transactions makes in turn.
        also: made along with it; one whose filter does not match is left out. A pair of collection
            and write is taken for an `Also`.
        check: called once `write` is made and before the inserts; if it raises, nothing is stored.
        id: names the unit: a document notes it, so that `also` is made once however often tried.
        interim: the change that is visible until the inserts are, and only then `write`. Without
            it `write` is visible first.
        undo: takes back what is visible first, if `check` or an insert that is not optional
            refuses. Without it the inserts that are not refused are stored all the same.
    """

    collection: str
    write: Write | None
    inserts: Sequence[Insert] = ()
    also: Sequence[tuple[str, Write] | Also] = ()
    check: Callable[[], None] | None = None
    id: Any = attrs.field(factory=ObjectId)
    interim: Update | None = None
    undo: Update | None = None

    @classmethod
    def of(
        cls, collection: str, write: Write | None, beside: Sequence[Insert | Also], **more: Any
    ) -> Unit:
        """Return the unit of a write and of what is stored with it, inserts and writes mixed."""
        inserts = [each for each in beside if isinstance(each, Insert)]
        also = [each for each in beside if isinstance(each, Also)]
        return cls(collection=collection, write=write, inserts=inserts, also=also, **more)

    @property
    def is_plain(self) -> bool:
        """Whether this is one guarded write."""
        return self.write is not None and not (self.inserts or self.also or self.check)


class Committed(NamedTuple):
    """What became of a unit.

    Attributes:
        held: whether the guard did; if not, nothing was stored.
        refused: the errors of the optional inserts that were left out, by `_id`.
        complete: False where the rest is certain to follow, but by `Store.recover`.
    """

    held: bool
    refused: Mapping[Any, Exception] = {}
    complete: bool = True


Units = Sequence[Unit] | Callable[[], Sequence[Unit]]


def decided(units: Units) -> Sequence[Unit]:
    """Return the units themselves, asking for them if need be."""
    return units() if callable(units) else units


def update_back(stored: Mapping[str, Any], keys: Iterable[str]) -> Update:
    """Return the update that gives fields back the values stored now: for `Unit.undo`."""
    keys = list(keys)
    present = {key: stored[key] for key in keys if key in stored}
    unset = dict.fromkeys((key for key in keys if key not in stored), "")
    return {name: part for name, part in (("$set", present), ("$unset", unset)) if part}
