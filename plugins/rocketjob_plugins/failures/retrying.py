"""All of a group of failures again: first what would be done, then done, each as it was seen.

A job is retried only if it is still failed, and has not failed anew since it was seen; so it is
done once, however often it is asked for. A batch job goes on with all of its failed slices if they
all are of the group; else only those that are of it are queued again, and the others stay failed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar

import attrs

from rocketjob import Job
from rocketjob.application import current
from rocketjob.base.errors import InvalidTransition, NotFound, StateConflict
from rocketjob.base.text import counted
from rocketjob.jobs.bulk import DONE, FAILED, REFUSED, SKIPPED, BulkAction
from rocketjob.jobs.exception import message_of
from rocketjob.jobs.unknown import UnknownJob
from rocketjob.store import Stored
from rocketjob_plugins.batch import mending
from rocketjob_plugins.failures.groups import Group, group_of
from rocketjob_plugins.failures.looking import MOST_SLICES, UNKNOWN, Failure, failed_slices

T = TypeVar("T")
May = Callable[[Job], bool]
AT_ONCE = 1_000  # jobs and slices; ask again for the others
"""How many are retried in one go."""
UNREAD = "its failed slices have not been looked at"
ENDLESS = "its end is no time"


class Steps(Protocol):
    """Yields items as they are given, as long as somebody may go on."""

    def __call__(self, items: Sequence[T], /) -> Iterator[T]: ...


@attrs.frozen(kw_only=True)
class Plan:
    """What a retry of a group would do.

    Attributes:
        jobs: the failed jobs that would be retried.
        of_batches: how many of these go on with all their failed slices.
        slices: of other jobs, that would be queued again.
        later: how many jobs and slices are left for the next time.
        until: the time of the last failure that was seen.
        left: the ids of jobs that cannot be retried now, with the reason.
    """

    jobs: tuple[Failure, ...] = attrs.field(repr=False)
    of_batches: int
    slices: tuple[Failure, ...] = attrs.field(repr=False)
    later: int = 0
    until: datetime | None = None
    left: Mapping[Any, str] = attrs.field(factory=dict, repr=False)

    @property
    def count(self) -> int:
        return len(self.jobs) + len(self.slices)

    @property
    def sentences(self) -> list[str]:
        """What would be done, in words."""
        said = []
        if self.jobs:
            said.append(f"{counted(len(self.jobs), 'failed job')} would be retried.")
        if self.of_batches:
            verb = "goes" if self.of_batches == 1 else "go"
            which = "its" if self.of_batches == 1 else "their"
            said.append(
                f"{counted(self.of_batches, 'of them is a batch job', 'of them are batch jobs')}, "
                f"and {verb} on with all {which} failed slices."
            )
        if self.slices:
            jobs = counted(len({each.job_id for each in self.slices}), "job")
            slices = counted(len(self.slices), "failed slice")
            said.append(f"{slices} of {jobs} would be queued again, and no others.")
        if goes := {each.job_id for each in self.slices if each.ended}:
            verb = "has failed, and goes" if len(goes) == 1 else "have failed, and go"
            said.append(f"{len(goes):,} of these jobs {verb} on with them.")
        if self.later:
            said.append(f"That is the most at once: {self.later:,} are left for the next time.")
        for why, number in Counter(self.left.values()).items():
            said.append(f"{counted(number, 'job')} cannot be retried now: {why}.")
        return said or ["Nothing of it is failed any more."]


@attrs.define
class Outcome:
    """What became of a retry.

    Attributes:
        jobs: how many were retried.
        slices: how many were queued again.
        skipped: which are not as they were seen: somebody else was first, or they failed anew.
        refused: which whoever asked may not retry.
        failed: why the others were not retried, by the ids of their jobs.
    """

    jobs: int = 0
    slices: int = 0
    skipped: int = 0
    refused: int = 0
    failed: dict[Any, str] = attrs.field(factory=dict)

    @property
    def done(self) -> int:
        return self.jobs + self.slices

    @property
    def sentence(self) -> str:
        """What was done and what not, in words."""
        done = [counted(self.jobs, "job") + " retried"] if self.jobs or not self.slices else []
        done += [counted(self.slices, "slice") + " queued again"] if self.slices else []
        done += [f"{self.skipped:,} skipped, as they have changed"] if self.skipped else []
        done += [f"{self.refused:,} refused"] if self.refused else []
        done += [f"{len(self.failed):,} not possible"] if self.failed else []
        return ", ".join(done)


def plan_for(group: Group, until: datetime | None = None) -> Plan:
    """Return what a retry of a group would do.

    Args:
        until: the time of the last failure that was shown; None: of all that there are.
    """
    shown = [
        each for each in group.failures if until is None or each.at is None or each.at <= until
    ]
    as_jobs = {each.job_id: each for each in shown if _as_job(group, each)}
    others = [each for each in shown if each.job_id not in as_jobs]
    as_slices = [each for each in others if each.slice is not None]
    jobs, slices = [*as_jobs.values()][:AT_ONCE], as_slices[: max(0, AT_ONCE - len(as_jobs))]
    return Plan(
        jobs=tuple(jobs),
        of_batches=sum(each.slice is not None for each in jobs),
        slices=tuple(slices),
        later=len(as_jobs) + len(as_slices) - len(jobs) - len(slices),
        until=until or group.last,
        left={each.job_id: _why_left(each) for each in others if each.slice is None},
    )


def _as_job(group: Group, failure: Failure) -> bool:
    """Return whether a job is retried as a whole."""
    return failure.ended is not None and failure.job_id in group.whole


def _why_left(failure: Failure) -> str:
    """Return why a job without slices that are known is not retried."""
    return ENDLESS if failure.ended is None else UNREAD


def retry(
    plan: Plan,
    *,
    by: str | None = None,
    may: May = lambda job: True,
    steps: Steps = iter,
) -> Outcome:
    """Retry what is planned, and say what became of it.

    Args:
        by: the person's name, for the history of the jobs.
        may: asked for each job whether it may be retried.
        steps: yields what it is given, and may raise between two if nothing more is to be done.
    """
    outcome, action = Outcome(failed=dict(plan.left)), BulkAction(event="retry", filter={})
    for failure in steps(plan.jobs):
        _retry_job(outcome, action, failure, by, may)
    for slices in _by_job(plan.slices).values():
        _retry_slices(outcome, slices, may, steps)
    return outcome


def _by_job(failures: Iterable[Failure]) -> dict[Any, list[Failure]]:
    found: dict[Any, list[Failure]] = {}
    for each in failures:
        found.setdefault(each.job_id, []).append(each)
    return found


def _counted(outcome: Outcome, failure: Failure, attempt: Callable[[], None]) -> None:
    """Make an attempt; that it fails is no reason not to make the others."""
    try:
        attempt()
    except (StateConflict, InvalidTransition, NotFound):
        outcome.skipped += 1
    except Exception as error:
        if current().store.is_transient(error):
            raise
        outcome.failed[failure.job_id] = f"{type(error).__name__}: {message_of(error)}"


def _retry_job(
    outcome: Outcome, action: BulkAction, failure: Failure, by: str | None, may: May
) -> None:
    """Retry a job as a bulk action does, if it has failed as it was seen."""
    seen = {"_id": failure.job_id, "state": "failed", "completed_at": failure.ended}
    stored = Job.collection().find_one(seen)
    if stored is None or not _is_of_one_group(stored, failure):
        outcome.skipped += 1
        return
    done = action.do_to(stored, may, by=by)
    if done.word == DONE:
        outcome.jobs += 1
    elif done.word == FAILED:
        outcome.failed[done.id] = done.text or ""
    else:
        outcome.refused += done.word == REFUSED
        outcome.skipped += done.word == SKIPPED


def _is_of_one_group(stored: Stored, failure: Failure) -> bool:
    """Return whether a job would go on with no slices of other groups."""
    if stored.get("sub_state") != "processing":
        return True
    found = list(failed_slices(stored, failure.ended, MOST_SLICES + 1))
    of_others = any(group_of(each) != group_of(failure) for each in found)
    return len(found) <= MOST_SLICES and not of_others


def _retry_slices(outcome: Outcome, slices: list[Failure], may: May, steps: Steps) -> None:
    id = slices[0].job_id
    stored = Job.collection().find_one({"_id": id})
    job = None if stored is None else Job.listed(stored)
    ended = job.completed_at if job is not None and job.is_failed else None
    if job is None or ended != slices[0].ended or not mending.may_retry(job):
        outcome.skipped += len(slices)
    elif isinstance(job, UnknownJob):
        outcome.failed[id] = f"its class {job.class_name} is not loaded here"
    elif not may(job):
        outcome.refused += len(slices)
    else:
        for each in steps(slices):
            _counted(outcome, each, lambda: _retry_slice(outcome, job, each))  # noqa: B023


def _retry_slice(outcome: Outcome, job: Any, failure: Failure) -> None:
    found = mending.find(job, failure.slice or 0)
    error = found.slice.exception
    name, message = (error.class_name, error.message or "") if error else (UNKNOWN, "")
    now = failure._replace(error=name, message=message)
    if not found.is_failed or group_of(now) != group_of(failure) or _is_anew(found.stored, failure):
        raise NotFound("it is not failed any more, or has failed anew")
    mending.retry(job, found.id, found.digest)
    outcome.slices += 1


def _is_anew(slice: Stored, failure: Failure) -> bool:
    """Return whether a slice has failed again since it was seen; its job may have run on."""
    at = slice.get("failed_at")
    return isinstance(at, datetime) and failure.at is not None and at > failure.at
