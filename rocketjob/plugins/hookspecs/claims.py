"""Who may claim what, and what becomes of the claims of the dead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rocketjob.plugins.answers import (
    answer,
    is_clause,
    is_reason,
    is_text,
    is_veto,
    is_whole,
    list_of,
)
from rocketjob.plugins.hookspecs.marks import hookspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rocketjob.base.config import Config
    from rocketjob.jobs.holds import Clause, Hold
    from rocketjob.jobs.job import Job
    from rocketjob.jobs.reasons import Reason


@hookspec(firstresult=True)
@answer("a rocketjob.Hold, or None", is_veto)
def veto_claim(job: Job) -> Hold | None:
    """Keep a claimed job from starting now; the first veto counts.

    Called on the worker's thread, after the claim and before the job starts; with `@only_for` just
    for jobs of some classes, which spares all others the call. One that raises, or
    returns anything else, is logged and defers the job, with the plugin's name as the reason.
    Rules that can be read from the store are better limits: see `Job.claim_limits`.

    Returns:
        a `rocketjob.Hold`: the reason, and which jobs to leave alone until the next re-check; None
        lets the job start. A name and a filter, as a tuple, are deprecated.
    """


@hookspec
@list_of("clauses: rocketjob.Clause", is_clause, optional=True)
def claim_clauses(config: Config) -> list[Clause]:
    """Narrow what this server takes, such as to the jobs of its region; all clauses hold.

    Called in each process of a server when it begins to claim, and again after `re_check_seconds`,
    never for a single claim. `explain` and `doctor` show what the server said with its heartbeat.
    If a plugin fails, nothing is taken until it is asked again, and the log says so.

    Returns:
        what it takes, as `rocketjob.Clause(name, text, filter)`; an empty list for everything.
    """
    raise NotImplementedError


def _is_owner(value: object) -> bool:
    return value is None or is_text(value)


@hookspec
@list_of("ids, which are strings", _is_owner, optional=True)
def claim_owners() -> list[str | None]:
    """Return the ids of the processes that hold claims of your own making, besides jobs.

    None among them says that some cannot be looked at just now: a server that is drained does not
    end meanwhile.

    Called now and then by every server, which looks for those that are dead. One that fails is
    named by `doctor`, and the others are called; until it works again, a server that is drained
    without a time limit does not end.
    """
    raise NotImplementedError


@hookspec
@answer("how many were reclaimed", is_whole)
def reclaim(
    owner: str, crashed: Mapping[str, str], crash_limit: int, unexplained: str | None
) -> int:
    """Reclaim what a dead process held, as the kernel does with jobs.

    One that fails is named by `doctor`, and the others are called.

    Args:
        owner: the process's id, or a server's, for all its processes.
        crashed: what was being performed when the worker crashed, `job/part`, and how it ended.
        crash_limit: crashes after which a part is given up.
        unexplained: how the whole server ended, where any of what it held may have been the cause;
            else None. See `was_quarantined` and `quarantine` of `rocketjob.jobs.claims`.

    Returns:
        how many claims were reclaimed.
    """
    raise NotImplementedError


@hookspec
@answer("how many wait", is_whole)
def waiting_quarantined() -> int:
    """Count what waits for a process of its own, because its worker crashed before."""
    raise NotImplementedError


@hookspec
@list_of("reasons: rocketjob.jobs.reasons.Reason", is_reason, optional=True)
def explain(job: Job) -> list[Reason]:
    """Say why a queued job is not running now, for `job.explain()`.

    Returns:
        what you know of, as `rocketjob.jobs.reasons.Reason(name, text, until)`; an empty list if
        nothing.
    """
    raise NotImplementedError
