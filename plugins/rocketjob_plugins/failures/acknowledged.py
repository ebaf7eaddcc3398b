"""Which groups of failures somebody has seen: they say nothing until something fails anew."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import attrs

from rocketjob.application import current
from rocketjob.base import acts, clock
from rocketjob.base.errors import StateConflict, is_duplicate_key
from rocketjob.base.passwords import brief
from rocketjob.model import deeds
from rocketjob.store import Insert, Stored, Unit, Write

COLLECTION = "rocket_job.failures"
KIND = "failures"  # in the audit
MOST = 2_000  # that are read, the newest
KEPT = timedelta(days=90)
ATTEMPTS = 5  # to note it, while others do so too


@attrs.frozen(kw_only=True)
class Acknowledged:
    """That somebody has seen a group of failures.

    Attributes:
        until: what has failed later than this is new.
        by: the person's name; None where it is not known.
        at: when.
        reason: why, if that was said.
    """

    until: datetime
    by: str | None = None
    at: datetime | None = None
    reason: str | None = None

    def covers(self, at: datetime | None) -> bool:
        """Return whether a failure of this time was seen."""
        return at is None or at <= self.until


def acknowledged() -> dict[str, Acknowledged]:
    """Return what was acknowledged, by the keys of groups."""
    found = current().store.collection(COLLECTION).find({}, sort=[("at", -1)], limit=MOST)
    return {
        str(stored["_id"]): _load(stored)
        for stored in found
        if isinstance(stored.get("until"), datetime)
    }


def _load(stored: dict[str, Any]) -> Acknowledged:
    by, at, reason = (stored.get(name) for name in ("by", "at", "reason"))
    return Acknowledged(
        until=stored["until"],
        by=by if isinstance(by, str) else None,
        at=at if isinstance(at, datetime) else None,
        reason=reason if isinstance(reason, str) else None,
    )


def acknowledge(group: Any, until: datetime | None = None, by: str | None = None) -> Acknowledged:
    """Note that a group of failures was seen, as far as it was shown.

    Args:
        group: the `Group`.
        until: the time of the last failure that was shown; None: of all that there are.
        by: the person's name; None: of whoever acts here, see `rocketjob.base.acts`.

    Returns:
        what is noted now: what was acknowledged up to a later time stays so.

    Raises:
        StateConflict: others were first again and again.
    """
    act = acts.present()
    last = group.last or clock.now()
    seen = Acknowledged(
        until=min(until, last) if until is not None else last,
        by=by or (act.by if act else None),
        at=clock.now(),
        reason=act.reason if act else None,
    )
    for _ in range(ATTEMPTS):
        stored = current().store.collection(COLLECTION).find_one({"_id": group.key})
        if (noted := _noted(group, seen, stored)) is not None:
            return noted
    raise StateConflict(f"others are acknowledging {group.title} at this moment: try again")


def _noted(group: Any, seen: Acknowledged, stored: Stored | None) -> Acknowledged | None:
    """Note what was seen, never less than before; return None if somebody else was first."""
    before = stored.get("until") if stored else None
    if isinstance(before, datetime):
        seen = attrs.evolve(seen, until=max(before, seen.until))
    fields = attrs.asdict(seen)
    beside = deeds.told(
        "acknowledge",
        KIND,
        id=group.key,
        name=group.name,
        before={"until": before if isinstance(before, datetime) else None},
        after={"until": seen.until, "what": brief(group.title), "count": group.count},
    )
    if stored is None:
        unit = Unit.of(
            COLLECTION, None, [Insert(COLLECTION, {"_id": group.key, **fields}), *beside]
        )
    else:
        as_read = {"_id": group.key, "until": before}
        unit = Unit.of(COLLECTION, Write(as_read, {"$set": fields}), beside)
    try:
        (committed,) = current().store.commit([unit])
    except Exception as error:
        if not is_duplicate_key(error):
            raise
        return None
    return seen if committed.held else None


def remove_old() -> int:
    """Remove what was acknowledged long ago; return how many."""
    seen, old = current().store.collection(COLLECTION), {"at": {"$lt": clock.now() - KEPT}}
    if seen.find_one(old, {"_id": 1}) is None:
        return 0  # so that a sweep that finds nothing writes nothing
    return seen.delete_many(old).deleted_count
