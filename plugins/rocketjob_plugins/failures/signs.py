"""What the verdict depends on of failures: those that nobody has acknowledged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from rocketjob import Job
from rocketjob.base import clock
from rocketjob.server.checks import PROBLEM, WARNING, Finding
from rocketjob.server.signs import COUNTED, up_to
from rocketjob.store import Filter
from rocketjob_plugins.failures.groups import Group, groups_of, in_words
from rocketjob_plugins.failures.looking import Failure, Failures, look

RECENT = timedelta(hours=1)  # a failure is a problem, and later something to look at
ADVICE = "see why: rocketjob failures"
AGAIN = 40  # times as long as a look took, nothing is looked at again
LONGEST = 10.0  # seconds for which it is not
SEEN = "failures.seen"  # in the memory of whoever looks again and again


def failures(patient: Any) -> Iterator[Finding]:
    """Look for failed jobs and slices that nobody has acknowledged: of late, or for longer."""
    seen, groups = seen_by(patient)
    if seen.away:
        advice = "is the store of slices there? rocketjob doctor"
        yield Finding("jobs", PROBLEM, "the store of slices cannot be reached", advice)
    begin = clock.now() - RECENT
    recent = {group.key: _from(group, begin) for group in groups}
    of_late = [each for members in recent.values() for each in members]
    if of_late:
        since = min(each.at for each in of_late if each.at is not None)
        number = sum(bool(members) for members in recent.values())
        within = f" in {number:,} groups" if number > 1 else ""
        said = _failed(of_late, seen, _all(groups, begin, recent=True), {"$gte": begin})
        message = f"{said}{within} since {since:%H:%M} UTC"
        data = {"failures": len(of_late), "groups": number, "since": since}
        yield Finding("jobs", PROBLEM, message, ADVICE, data)
    older = [each for group in groups for each in group.unseen if not _is_recent(each, begin)]
    if older:
        said = _failed(older, seen, _all(groups, begin, recent=False), {"$lt": begin})
        message = f"{said} more than an hour ago"
        yield Finding("jobs", WARNING, message, ADVICE, {"failures": len(older)})


def seen_by(patient: Any) -> tuple[Failures, Sequence[Group]]:
    """Return what somebody who looks again and again sees now, and the groups of it.

    The failures are read again only after many times as long as that took, so that it is never
    much work; the groups have what is acknowledged at this moment.
    """
    until, seen = patient.memory.get(SEEN, (0.0, None))
    now = clock.elapsed()
    if seen is None or now >= until:
        seen = look(patient.memory)
        took = clock.elapsed() - now
        patient.memory[SEEN] = (now + min(LONGEST, AGAIN * took), seen)
    return seen, groups_of(seen)


def forget(patient: Any) -> None:
    """Look anew the next time, as something has just been changed."""
    patient.memory.pop(SEEN, None)


def _is_recent(failure: Failure, begin: datetime) -> bool:
    return failure.at is not None and failure.at >= begin


def _from(group: Group, begin: datetime) -> list[Failure]:
    return [each for each in group.unseen if _is_recent(each, begin)]


def _all(groups: Sequence[Group], begin: datetime, *, recent: bool) -> int:
    """Return how many have failed of late, or before, whether acknowledged or not."""
    return sum(_is_recent(each, begin) is recent for group in groups for each in group.failures)


def _failed(failures: Sequence[Failure], seen: Failures, number: int, when: Filter) -> str:
    """Say how many have failed; where not all were looked at, the store counts the jobs.

    How far a look comes differs from one to the next, and the number is not to. What somebody has
    acknowledged the store cannot tell apart: where there is any, it is not asked.

    Args:
        number: how many were seen, also of those that are acknowledged.
    """
    count = 0
    if seen.more and number == len(failures):
        filter = {"state": "failed", "completed_at": {"$exists": True, **when}}
        count = Job.collection().count_documents(filter, limit=COUNTED + 1)
    if count > len(failures):
        return f"{up_to(count, 'job')} have failed"
    over = "over " if seen.is_partial else ""
    return f"{over}{in_words(failures)} {'has' if len(failures) == 1 else 'have'} failed"
