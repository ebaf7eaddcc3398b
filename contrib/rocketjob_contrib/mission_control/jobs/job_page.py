"""The page of a job: what it is and does, in panels that plugins can add to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from rocketjob import Job, UnknownJob
from rocketjob.base.errors import HookFailed
from rocketjob.jobs.shown import class_name, problem_of, remarks_of
from rocketjob.store import context
from rocketjob_contrib.mission_control.jobs import edit
from rocketjob_contrib.mission_control.jobs.actions import actions_for
from rocketjob_contrib.mission_control.jobs.progress import Progress, progress_of
from rocketjob_contrib.mission_control.jobs.rows import shown_state

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.panels import Panel
    from rocketjob_contrib.mission_control.view import View


def show(view: View) -> Response:
    """Show a job."""
    job: Job = view.target
    progress = progress_of(view, job)
    panels, failed = _panels(view, job)
    return view.render(
        "jobs/job.html",
        job=job,
        name=class_name(job),
        state=shown_state(job, progress),
        progress=progress,
        problem=_problem(job),
        remarks=remarks_of(job),
        actions=actions_for(view, job),
        may_edit=edit.may_edit(view, job),
        has_capsule=_has_capsule(view, job, progress),
        panels=panels,
        failed=failed,
    )


def _has_capsule(view: View, job: Job, progress: Progress) -> bool:
    """Return whether whoever looks is offered a replay capsule of what has failed."""
    has_failed = job.is_failed or bool((progress.slices or {}).get("failed"))
    return has_failed and view.site.has("/jobs/{id}/capsule") and view.may("jobs.capsule", job)


def _problem(job: Job) -> str | None:
    if isinstance(job, UnknownJob) and job.error is None:
        return (
            f"The class {job.class_name} is not loaded in the web process, so what is stored is "
            "shown. Name its module in `app` for all that can be done with it."
        )
    problem = problem_of(job)
    return f"This job {problem}." if problem else None


def _panels(view: View, job: Job) -> tuple[list[Panel], list[HookFailed]]:
    failed: list[HookFailed] = []
    panels = context.current().plugins.collect("job_panels", failed.append, view=view, job=job)
    return sorted(panels, key=lambda panel: (panel.order, panel.title)), failed
