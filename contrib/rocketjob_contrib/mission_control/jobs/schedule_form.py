"""The form of a job's schedule alone, with a preview of when it will run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from rocketjob.jobs.shown import class_name
from rocketjob.model.record import values_of
from rocketjob_contrib.mission_control.forms import controls_of
from rocketjob_contrib.mission_control.jobs import edit
from rocketjob_contrib.mission_control.run_times import preview_of

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

FIELDS = ("cron_schedule", "cron_dst")


def show(view: View) -> Response:
    """Show the form; it is saved as the form of the whole job is."""
    job = edit.as_stored(view)
    if edit.why_not(job):
        return edit.refused(view, job)
    controls = [each for each in controls_of(type(job), values_of(job)) if each.name in FIELDS]
    if not controls:
        view.say("warning", f"{class_name(job)} has no schedule: its class has no Cron")
        return view.go(f"/jobs/{job.id}")
    typed = view.query.get("expression")
    expression = getattr(job, "cron_schedule", None) or "" if typed is None else typed
    literal = getattr(job, "cron_dst", "safe") == "literal"
    return view.render(
        "jobs/schedule.html",
        job=job,
        name=class_name(job),
        controls=controls,
        preview=preview_of(view, expression, "literal" if literal else "safe"),
        back=view.back("/schedule" if view.site.has("/schedule") else f"/jobs/{job.id}"),
    )
