"""What a job comes from and what it created: a part of its page that an open page asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from rocketjob import Job
from rocketjob.jobs import origin
from rocketjob.jobs.shown import class_name
from rocketjob_contrib.mission_control.related import created, origin_of

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View


def show(view: View) -> Response:
    """Show the links of a job, on a page of its own or for the panel."""
    job: Job = view.target
    return view.render(
        "jobs/related_part.html" if view.is_fragment else "jobs/related.html",
        job=job,
        name=class_name(job),
        origin=origin_of(view, job),
        **created_in(job),
    )


def created_in(job: Job) -> dict[str, Any]:
    """Return the newest jobs that a job has created; see `created`."""
    return created(origin.of_creator(job.id), f"created_in:{job.id}")
