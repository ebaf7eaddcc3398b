"""Where a job hangs: the stack of its thread, noted on the job once `stuck_after` has passed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rocketjob.base import clock
from rocketjob.jobs.reasons import Remark
from rocketjob.model.record import record_of

STUCK = "stuck"  # the key in the stored document


def note(job: Any, part: int | None, stack: Sequence[str]) -> None:
    """Store on a running job where it hangs."""
    value = {
        "at": clock.now(),
        "claim": job.claim_number,
        "part": part,
        "worker": job.worker_name,
        "stack": [*stack],
    }
    found = job.collection().update_one(
        {**job.write_guard(), "state": "running"}, {"$set": {STUCK: value}}
    )
    if found.matched_count:
        job.logger.warning("stuck", part=part, after=str(job.stuck_after), at=place_of(stack))


def place_of(stack: Sequence[str]) -> str:
    """Return the last line of a stack that names a file; nothing where its source is not known."""
    lines = (line.strip() for line in reversed(stack))
    return next((line for line in lines if line.startswith("File")), "")


def of(stored: dict[str, Any]) -> dict[str, Any] | None:
    """Return what is noted on a stored job that is still under the claim that it was noted of."""
    found = stored.get(STUCK)
    if not isinstance(found, dict) or stored.get("state") != "running":
        return None
    is_present = found.get("part") is not None or found.get("claim") == stored.get("claim_number")
    return found if is_present else None


def remarks(job: Any) -> Iterator[Remark]:
    """Say where a job hangs."""
    found = of(record_of(job).stored or {})
    if found is None:
        return
    lines = found.get("stack") or ["its stack is not known"]
    part = "" if found.get("part") is None else f", in slice {found['part']}"
    text = "\n".join([f"It is stuck{part}; at {found['at']} its thread was at:", *lines])
    yield Remark("stuck", {**found, "at": str(found["at"])}, "stuck", text)
