"""Holding a batch job for a person: after its first slices, or when too many records have failed.

    class Import(Batch, Job):
        canary_slices = 3
        failure_budget = 0.02

The canary is the first slices in the order of the input: no other is claimed before it is done and
somebody has approved it. A job is held by being paused, with `held_by` and `held_text`; `approve`
lets it go on.

What has failed is never counted up, but seen in the store: slices that are failed now, and rejects.
So neither a retry nor the death of a process makes it wrong.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import attrs

from rocketjob import Transition, before, event, field, validators
from rocketjob.base import clock
from rocketjob.base.errors import ValidationError
from rocketjob.base.text import counted
from rocketjob.jobs import claims
from rocketjob.model.fields import read_only_field
from rocketjob.model.record import record_of, values_of
from rocketjob.store import Filter, Stored
from rocketjob_plugins.batch.lifecycle import BatchLifecycle
from rocketjob_plugins.batch.slices import ORDER, reject_slices

CANARY, BUDGET = "canary", "failure_budget"
UNDONE = {"state": {"$in": ["queued", "running"]}}
DECIDED_BY = ("canary_over", "failure_budget", "failures_accepted")
REFRESHED = ("canary_slices", "canary_end", "record_count", *DECIDED_BY)


class BatchHolding(BatchLifecycle, abstract=True):
    """What a batch job has for being held."""

    canary_slices: int | None = field(
        default=None,
        validator=validators.ge(0),
        user_editable=True,
        copy_on_restart=True,
        description="slices to process first, before all others; none if 0 or not set",
    )
    canary_approval: bool = field(
        default=True,
        user_editable=True,
        copy_on_restart=True,
        description="hold the job for approval after its canary also if that has passed",
    )
    failure_budget: float | None = field(
        default=None,
        validator=validators.in_range(0, 1),
        user_editable=True,
        copy_on_restart=True,
        description="share of the records that may fail before the job is held; any if not set",
    )
    canary_end: int | None = read_only_field()
    canary_over: bool | None = read_only_field()
    failures_accepted: int | None = read_only_field()
    held_by: str | None = read_only_field()
    held_text: str | None = read_only_field()

    # --- events ------------------------------------------------------------------------------

    @event(
        Transition(("running",), "paused", "_can_pause", "only while it processes slices"),
        validates=False,
    )
    def hold_for_approval(
        self, rule: str = "person", reason: str | None = None, *, save: bool = True
    ) -> None:
        """Pause the job until a person approves that it goes on.

        Args:
            rule: what holds it, kept as `held_by`.
            reason: why, kept as `held_text`.
        """
        claims.clear(self)
        self.completed_at = clock.now()
        self.held_by, self.held_text = rule, reason or "no reason was given"

    @event(
        Transition(("paused",), "running", "_waits_for_approval", "it does not wait for approval")
    )
    def approve(
        self,
        *,
        failure_budget: float | None = None,
        reason: str | None = None,
        save: bool = True,
    ) -> None:
        """Let a job go on that is held, with all of its slices.

        Failures that are above the budget by then are accepted: it holds for those after them.

        Args:
            failure_budget: from now on, instead of the one that the job has.
            reason: why, for the history.
        """
        self.completed_at = None
        if failure_budget is not None:
            if not 0 <= failure_budget <= 1:  # here, since it is reckoned with before it is saved
                wrong = f"must be from 0 to 1, not {failure_budget!r}"
                raise ValidationError({"failure_budget": [wrong]})
            self.failure_budget = failure_budget
        if in_canary(self):
            self.canary_over = True
        failures = failures_of(self)
        if failures is not None and failures.are_too_many:
            self.failures_accepted = failures.failed

    @property
    def is_held(self) -> bool:
        """Whether the job waits for somebody to approve that it goes on."""
        return self.is_paused and self.held_by is not None

    def _waits_for_approval(self, **_: Any) -> bool:
        return self.held_by is not None

    @before("approve", "resume", "retry", "reopen")
    def _is_held_no_more(self) -> None:
        self.held_by = self.held_text = None

    @before("retry", "reopen")
    def _accepts_what_is_left(self) -> None:
        # After the slices are queued, by the order in which callbacks are declared.
        if self.failures_accepted:
            self.failures_accepted = min(self.failures_accepted, _failed(self, {})) or None

    def change_guard(self, changed: Iterable[str]) -> dict[str, Any]:
        guard = super().change_guard(changed)
        if "held_by" in changed:  # nobody has decided otherwise since it was looked at
            stored = record_of(self).stored or {}
            guard |= {key: stored.get(key) for key in DECIDED_BY}
        return guard


# --- the canary ------------------------------------------------------------------------------


def in_canary(job: Any) -> bool:
    """Return whether only the first slices of a job are to be processed."""
    return bool(job.canary_slices) and not job.canary_over and not job.is_new


def claimable(job: Any) -> Filter | None:
    """Return the filter of the slices that a worker may claim; None for none at all."""
    if not in_canary(job):
        return {}
    return None if job.canary_end is None else {"_id": {"$lt": job.canary_end}}


def within_reach_of(job: Any) -> Filter | None:
    """Return the same for whoever is to join the job, who may be the first at its canary."""
    if not in_canary(job) or job.canary_end is not None:
        return claimable(job)
    end = _end_of_canary(job)
    if end is not None:
        return {"_id": {"$lt": end}}
    return None if job.record_count is None else {}


def _end_of_canary(job: Any) -> int | None:
    """Return the number behind the last record of the canary, once all of it is uploaded."""
    fields, number = {"size": 1}, job.canary_slices
    first = list(job.input.collection.find({}, fields, sort=ORDER, limit=number))
    if not first or (len(first) < number and job.record_count is None):
        return None
    return int(first[-1]["_id"]) + max(1, _number(first[-1].get("size")))


def begin_canary(job: Any) -> None:
    """Store where the canary ends, before any slice of it is gone; the first worker does it."""
    if not in_canary(job) or job.canary_end is not None:
        return
    end = _end_of_canary(job)
    if end is None:
        return
    unset = {"_id": job.id, "state": "running", "sub_state": "processing", "canary_end": None}
    job.collection().update_one(unset, {"$set": {"canary_end": end}})
    refresh(job)


def verdict_on_canary(job: Any) -> tuple[bool, str]:
    """Return whether the canary of a job has passed, and how it was in words."""
    inside = {"_id": {"$lt": job.canary_end}}
    failed = job.input.collection.count_documents({**inside, "state": "failed"})
    rejected = reject_slices(job.id).collection.count_documents(inside)
    failures, note = failures_of(job), "nothing failed"
    problems = [f"{counted(failed, 'slice')} failed"] if failed else []
    if failures is not None and failures.are_too_many:
        problems.append(str(failures))
    elif rejected:
        note = f"{counted(rejected, 'record')} rejected"
    said = "; ".join(problems) or note
    end = counted((job.canary_end or 1) - 1, "record")
    return not problems, f"the canary, its first {end}, is done: {said}"


# --- the budget ------------------------------------------------------------------------------


@attrs.frozen
class Failures:
    """How many records of a job have failed, and how many may.

    Attributes:
        failed: those set aside; and of slices that have failed those from the one at which it did.
        accepted: how many of them somebody has approved.
        total: of how many.
        budget: the share that may fail.
    """

    failed: int
    accepted: int
    total: int
    budget: float

    @property
    def are_too_many(self) -> bool:
        may = math.floor(self.budget * self.total + 1e-6)  # 0.29 * 100 is a little less than 29
        return self.failed - self.accepted > may

    def __str__(self) -> str:
        share = _percent(self.failed / max(1, self.total))
        if self.accepted:
            share += f", {self.accepted:,} of them approved before"
        said = f"{self.failed:,} of {counted(self.total, 'record')} failed ({share})"
        return f"{said}, more than the failure_budget of {_percent(self.budget)}"


def failures_of(job: Any) -> Failures | None:
    """Return what has failed of a job that has a budget; None where nothing can be said yet.

    As long as its canary is in work, it is that of which a share may fail.
    """
    budget = job.failure_budget
    if budget is None:
        return None
    if in_canary(job) and job.canary_end is not None:
        inside = {"_id": {"$lt": job.canary_end}}
        return Failures(_failed(job, inside), 0, job.canary_end - 1, budget)
    if not job.record_count:
        return None
    return Failures(_failed(job, {}), job.failures_accepted or 0, job.record_count, budget)


def accept_what_is_left(job: Any) -> None:
    """Accept no more failures than there are, as some were mended: those that come are new."""
    accepted = job.failures_accepted
    left = _failed(job, {}) if accepted else 0
    if accepted and left < accepted:
        unchanged = {"_id": job.id, "failures_accepted": accepted}
        job.collection().update_one(unchanged, {"$set": {"failures_accepted": left}})
        refresh(job)


def _failed(job: Any, which: Filter) -> int:
    fields = {"size": 1, "processing_record_number": 1}
    found = job.input.collection.find({**which, "state": "failed"}, fields)
    rejects = reject_slices(job.id).collection.count_documents(which)
    return sum(map(_left_in, found)) + rejects


def _left_in(stored: Stored) -> int:
    """Return how many records of a failed slice have no result: from the failed one on."""
    done = max(0, _number(stored.get("processing_record_number")) - 1)
    return max(1, _number(stored.get("size")) - done)


def refresh(job: Any) -> None:
    """Read again what people may have changed, of a job that is being worked on."""
    fields = job.fields()
    stored = job.collection().find_one({"_id": job.id}, dict.fromkeys(REFRESHED, 1)) or {}
    record_of(job).written_apart({key: stored.get(key) for key in REFRESHED})
    for key in REFRESHED:
        value = fields[key].load(stored[key]) if key in stored else fields[key].default
        values_of(job)[key] = value


def _number(value: Any) -> int:
    """Return a stored number; 0 for what something else has written."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _percent(share: float) -> str:
    return f"{share * 100:.3g}%"
