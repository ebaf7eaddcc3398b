"""Why a job waits: from what is stored, as `job.explain()` says it.

It asks more of the store than a page of a job may, so an open page asks for it on its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from rocketjob import Job
from rocketjob.jobs.shown import class_name
from rocketjob.states.transitions import KERNEL_STATES
from rocketjob_contrib.mission_control.panels import Panel

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View


def waits(job: Job) -> bool:
    """Return whether a job waits for something: queued, or in the state of a plugin."""
    return job.is_queued or job.state not in KERNEL_STATES


def panel(job: Job) -> Panel | None:
    """Return the panel that the reasons come into."""
    if not waits(job):
        return None
    return Panel(title="Why it waits", template="jobs/waiting.html", order=15, wide=True)


def show(view: View) -> Response:
    """Say why a job waits, on a page of its own or for the panel."""
    job: Job = view.target
    if not waits(job):
        return view.go(f"/jobs/{job.id}")
    template = "jobs/reasons.html" if view.is_fragment else "jobs/explain.html"
    return view.render(template, job=job, name=class_name(job), explanation=job.explain())
