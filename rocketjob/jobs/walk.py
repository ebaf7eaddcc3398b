"""Going through jobs by what no index has, so that whoever does it can stop at any time.

A store that is asked for jobs that match says nothing until it has found one: among a million of
which none does, that takes seconds. Here they are read some at a time, and matched here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rocketjob.jobs import origin
from rocketjob.jobs.job import Job
from rocketjob.store import Filter, Stored
from rocketjob.store.documents.matcher import compile_match
from rocketjob.store.documents.values import normalise

AT_A_TIME = 1_000
FEW = 5_000  # jobs in all, among which a store finds anything at once
SELECTIVE = ("_id", *origin.FIELDS)  # keys whose index leaves few jobs
SHOWN = ("_type", "state")


def matching(filter: Filter, among: Filter) -> Iterator[Stored | None]:
    """Yield the class and state of the jobs that match; None after each that does not.

    Args:
        among: a part of the filter that an index has, such as a state; it need not leave few.
    """
    jobs = Job.collection()
    if is_selective(filter) or jobs.count_documents({}, limit=FEW + 1) <= FEW:
        yield from jobs.find(filter, dict.fromkeys(SHOWN, 1))
        return
    matches = compile_match(normalise(filter))
    for stored in _each(among, dict.fromkeys((*SHOWN, *keys_of(filter)), 1)):
        yield stored if matches(stored) else None


def _each(among: Filter, fields: dict[str, int]) -> Iterator[Stored]:
    """Yield jobs by their ids, the newest first, as a list of them has it."""
    following = among
    while True:
        order = [("_id", -1)]
        found = list(Job.collection().find(following, fields, sort=order, limit=AT_A_TIME))
        yield from found
        if len(found) < AT_A_TIME:
            return
        following = {"$and": [among, {"_id": {"$lt": found[-1]["_id"]}}]}


def is_selective(filter: Filter) -> bool:
    """Return whether a filter demands something of which an index leaves few jobs."""
    return any(
        any(map(is_selective, value)) if key == "$and" else key in SELECTIVE and _is_few(value)
        for key, value in filter.items()
    )


def _is_few(condition: Any) -> bool:
    """Return whether a condition names values, instead of excluding some, or a range."""
    return not isinstance(condition, Mapping) or "$in" in condition or "$eq" in condition


def keys_of(filter: Filter) -> set[str]:
    """Return the keys of a document that a filter looks at."""
    found: set[str] = set()
    for key, value in filter.items():
        if key in ("$and", "$or", "$nor"):
            for clause in value:
                found |= keys_of(clause)
        elif not key.startswith("$"):
            found.add(key.partition(".")[0])
    return found
