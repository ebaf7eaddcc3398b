"""The edit form of a job: what people may change of it, saved only as it was shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
from starlette.responses import Response

from rocketjob import Job, UnknownJob
from rocketjob.base.errors import NotFound, RocketJobError, ValidationError
from rocketjob.base.log import Logger
from rocketjob.jobs.exception import message_of
from rocketjob.jobs.shown import class_name
from rocketjob.jobs.steering import Overtaken, edit
from rocketjob.model.record import record_of, values_of
from rocketjob.store import context
from rocketjob_contrib.mission_control import categories
from rocketjob_contrib.mission_control.code_fields import CREATES, code_problem
from rocketjob_contrib.mission_control.errors import Missing
from rocketjob_contrib.mission_control.forms import (
    Control,
    controls_of,
    read,
    with_errors,
)

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

log = Logger("rocketjob.web")
ENDED = ("completed", "aborted")


@attrs.frozen(kw_only=True)
class JobForm:
    """What the form of a job has in it."""

    controls: list[Control]
    cards: list[categories.Card]
    problems: tuple[str, ...] = ()
    is_stale: bool = False

    @property
    def has_errors(self) -> bool:
        inner = [control for card in self.cards for control in card.controls]
        return bool(self.problems) or any(each.errors for each in (*self.controls, *inner))


def may_edit(view: View, job: Job) -> bool:
    """Return whether whoever looks is offered the form."""
    return why_not(job) is None and view.may("jobs.edit", job)


def why_not(job: Job) -> str | None:
    """Say why a job has no form, whoever asks for it."""
    if isinstance(job, UnknownJob):
        if job.error is not None:
            return f"it cannot be loaded: {job.problem}"
        return f"its class {job.class_name} is not loaded in the web process"
    return f"it is {job.state}" if job.state in ENDED else None


def show(view: View) -> Response:
    """Show the form."""
    job = as_stored(view)
    return refused(view, job) if why_not(job) else _render(view, job, _form_of(view, job))


def save(view: View) -> Response:
    """Save what was typed, or show it again with what is wrong."""
    job = as_stored(view)
    if why_not(job):
        return refused(view, job)
    form, values = _read(view, job)
    if form.is_stale or form.has_errors:
        return _render(view, job, form, 409 if form.is_stale else 422)
    if not values:
        view.say("success", f"{class_name(job)} {job.id}: nothing was changed", f"/jobs/{job.id}")
        return view.go(view.back(f"/jobs/{job.id}"))
    return _save(view, job, form, values)


def _save(view: View, job: Job, form: JobForm, values: dict[str, Any]) -> Response:
    name = f"{class_name(job)} {job.id}"
    try:
        edit(job, values)
    except ValidationError as error:
        return _render(view, job, _noted(form, error.errors), 422)
    except Overtaken:
        return _overtaken(view)
    except NotFound as error:
        raise Missing(f"{name} is gone: nothing was saved", "/jobs") from error
    except Exception as error:  # a callback's, or a store's: what was typed must not be lost
        if context.current().store.is_transient(error):
            raise
        problem = (f"Nothing was saved: {_why(job, error)}",)
        return _render(view, job, attrs.evolve(form, problems=problem), 422)
    log_saved(view, job, values)
    view.say("success", f"{name} is saved: {', '.join(_labels(values))}", f"/jobs/{job.id}")
    return view.go(view.back(f"/jobs/{job.id}"))


def log_saved(view: View, job: Job, values: Mapping[str, Any]) -> None:
    """Log who has edited which fields of a job."""
    log.info(
        "a job was edited by hand",
        job_id=str(job.id),
        job=class_name(job),
        fields=", ".join(values),
        login=view.identity.login or "",
    )


def _why(job: Job, error: Exception) -> str:
    """Say why a job was not saved; what is not our own message may have a secret in it."""
    if isinstance(error, RocketJobError):
        return message_of(error)
    log.error("a job could not be saved", job_id=str(job.id), exception=error)
    name, is_secret = type(error).__name__, any(f.encrypted for f in job.fields().values())
    return f"{name}, see the log" if is_secret else f"{name}: {message_of(error)}"


def _labels(values: dict[str, Any]) -> list[str]:
    return [name.replace("_", " ") for name in values]


def _overtaken(view: View) -> Response:
    """Read the job again: what somebody else has stored stands beside what was typed."""
    job = as_stored(view)
    if why_not(job):
        return refused(view, job)
    form, _ = _read(view, job)
    problem = () if form.is_stale else ("It was changed at the same moment: save it again.",)
    return _render(view, job, attrs.evolve(form, problems=(*form.problems, *problem)), 409)


# --- the job, and its form -------------------------------------------------------------------


def as_stored(view: View) -> Job:
    """Return the job as it is stored now, to be changed."""
    stored = Job.collection().find_one({"_id": view.target.id})
    if stored is None:
        raise Missing(f"There is no job with the id {view.target.id} any more", "/jobs")
    return Job.listed(stored)


def refused(view: View, job: Job) -> Response:
    """Send whoever asks for the form back, and say why there is none."""
    view.say("warning", f"{class_name(job)} {job.id} cannot be edited: {why_not(job)}")
    return view.go(f"/jobs/{job.id}")


def _form_of(view: View, job: Job) -> JobForm:
    controls = controls_of(
        type(job), values_of(job), code=may_code(view, job), skip=categories.WHICH
    )
    cards = [
        card
        for which in categories.WHICH
        for card in categories.cards_of(which, categories_of(job, which))
    ]
    return JobForm(controls=controls, cards=cards)


def categories_of(job: Job, which: str) -> list[Any]:
    """Return the categories of a job; none where its document has something else there."""
    present: Any = getattr(job, which, None)
    fits = isinstance(present, list) and all(hasattr(each, "name") for each in present)
    return present if fits else []


def may_code(view: View, job: Job | None) -> bool:
    """Return whether whoever looks may change code that a job runs."""
    return view.site.settings.edit_code and view.may("jobs.code", job)


def _read(view: View, job: Job) -> tuple[JobForm, dict[str, Any]]:
    """Return the form with what was typed, and the fields that are to be set."""
    form = _form_of(view, job)
    reading = read(form.controls, view.form)
    values, cards, is_stale = dict(reading.values), [], reading.is_stale
    for which in categories.WHICH:
        present = categories_of(job, which)
        of_which = [card for card in form.cards if card.which == which]
        done, changed, stale = categories.read_cards(of_which, present, view.form)
        cards += done
        is_stale |= stale
        if changed != present:
            values[which] = changed
    read_form = JobForm(controls=reading.controls, cards=cards, is_stale=is_stale)
    return _without_code(view, job, read_form, values), values


def _without_code(view: View, job: Job, form: JobForm, values: dict[str, Any]) -> JobForm:
    problem = code_refusal(view, job, values)
    return form if problem is None else _noted(form, {"properties": [problem]})


def code_refusal(view: View, job: Job, values: Mapping[str, Any]) -> str | None:
    """Refuse code that is to be run by the job that this job creates, or by one of that one's."""
    if not any(name in values for name in CREATES) or may_code(view, job):
        return None
    given = {**values_of(job), **values}
    return code_problem(type(job).type_name(), {name: given.get(name) for name in CREATES}, {})


def _noted(form: JobForm, errors: Mapping[str, Sequence[str]]) -> JobForm:
    controls, others = with_errors(form.controls, errors)
    return attrs.evolve(form, controls=controls, problems=tuple(others))


def _render(view: View, job: Job, form: JobForm, status: int = 200) -> Response:
    state = str((record_of(job).stored or {}).get("state"))
    return view.render(
        "jobs/edit.html", status, job=job, name=class_name(job), state=state, form=form
    )
