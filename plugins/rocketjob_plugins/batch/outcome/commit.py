"""Store what became of slices: all of a slice's output, rejects and counts, or nothing.

Each is a unit of work, which the store commits if the slice is still this worker's. Where slices
are in another store than jobs, the counts are added to the job afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rocketjob.application import current
from rocketjob.store import Insert, Unit, Write
from rocketjob_plugins.batch.outcome import rejects
from rocketjob_plugins.batch.outcome.render import Outcome, add_counts
from rocketjob_plugins.batch.statistics import Statistics, add_nested

if TYPE_CHECKING:
    from rocketjob_plugins.batch.model import BatchModel


def store_outcomes(job: BatchModel, outcomes: list[Outcome]) -> dict[str, int]:
    """Store what became of slices, each if it is still this worker's; in one step.

    Returns:
        what they counted and is still to be added to the job, where that is in another store.
    """
    store, apart = job.input.store, job.is_new or job.input.store is not current().store

    def decide() -> list[Unit]:
        if job.max_rejects is not None:
            rejects.keep_to_limit(job, outcomes)
        return [_unit(job, outcome, apart) for outcome in outcomes]

    statistics: dict[str, int] = {}
    for outcome, done in zip(outcomes, store.commit(decide), strict=True):
        outcome.is_stored = done.held
        if not done.held:
            _lost(job, outcome)
            continue
        if not done.complete:
            store.recover(job.input.name, {"_id": outcome.slice.id})
        if apart:
            add_counts(statistics, outcome.statistics)
    if not job.is_new:
        return statistics
    add_statistics(job, statistics)
    return {}


def _unit(job: BatchModel, outcome: Outcome, apart: bool) -> Unit:
    """Return all that becomes of a slice, which goes last: a job without slices left is ended."""
    slice_, write, rejected = outcome.slice, outcome.write(), rejects.documents_of(job, outcome)
    inserts = [Insert(name, document) for name, document in outcome.documents]
    if rejected:
        name = rejects.slices_of(job).name
        inserts += [Insert(name, reject, replaces=True) for reject in rejected]
    return Unit(
        collection=job.input.name,
        write=write,
        inserts=inserts,
        also=[] if apart or not outcome.statistics else [counting(job, outcome.statistics)],
        id=f"{slice_.id}.{slice_.claim_number}",
        # The records of a slice that is done make room for the note of its output.
        interim={"$unset": {"records": ""}} if write.update is None else {},
    )


def counting(job: BatchModel, statistics: Mapping[str, int]) -> tuple[str, Write]:
    """Return the write that adds counts to the stored job."""
    increments = {f"statistics.{key}": count for key, count in statistics.items()}
    return job.collection_name, Write({"_id": job.id}, {"$inc": increments})


def _lost(job: BatchModel, outcome: Outcome) -> None:
    reason = f"{outcome.slice!r} of {job!r} was taken away; nothing was written"
    job.logger.warning("ClaimLost", slice=outcome.slice.id, reason=reason)


def add_statistics(job: BatchModel, statistics: dict[str, int]) -> None:
    """Add counts to the stored job."""
    if job.is_new:
        for key, count in statistics.items():  # of one without the mixin there are none
            assert isinstance(job, Statistics)
            add_nested(job.statistics, key, count)
        return
    try:
        _add(job, statistics)
    except Exception as error:
        if current().store.is_transient(error):
            raise
        for key, count in statistics.items():
            _add_clashing(job, key, count)


def _add(job: BatchModel, statistics: Mapping[str, int]) -> None:
    _, write = counting(job, statistics)
    job.collection().update_one(write.filter, write.update or {})


def _add_clashing(job: BatchModel, key: str, count: int) -> None:
    """Add a count by itself; under another key, if it clashes with one that others have counted.

    Its slice is stored already, in another store.
    """
    try:
        _add(job, {key: count})
    except Exception as error:
        other = key.replace(".", "/") if "." in key else f"{key}/"
        job.logger.error("a count clashes", key=key, count=count, key_used=other, error=str(error))
        _add(job, {other: count})
