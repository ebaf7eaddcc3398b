"""All failed slices of one class of exceptions again, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from rocketjob.base.errors import RocketJobError
from rocketjob.base.log import Logger
from rocketjob.base.text import counted
from rocketjob.jobs.exception import message_of
from rocketjob.jobs.shown import class_name
from rocketjob_contrib.mission_control.asking import Action, Question
from rocketjob_contrib.mission_control.asking import ask as asked
from rocketjob_contrib.mission_control.slices.finding import batch_job
from rocketjob_plugins.batch import mending

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

log = Logger("rocketjob.web")
ACTION = Action(name="retry_slices", title="Retry", icon="retry")
NAMED = 10  # slices that are named


def ask(view: View) -> Response:
    """Ask whether they are meant, and say how many there are."""
    job, error_type = batch_job(view), _error_type(view)
    failed = job.input.collection.count_documents(mending.failed_with(error_type))
    page = f"/jobs/{job.id}"
    if not failed or not mending.may_retry(job):
        why = "no slice has failed with it" if not failed else f"the job is {job.state}"
        view.say("warning", f"Nothing to retry for {error_type[:80]}: {why}", page)
        return view.go(page)
    texts = [f"They failed with {error_type}. Each goes on at the record that failed."]
    if job.is_failed:
        texts.append("The job runs again. Slices that failed with something else stay failed.")
    elif job.is_paused:
        texts.append("They are processed once the job is resumed.")
    question = Question(
        action=ACTION,
        title=f"Retry {counted(failed, 'slice')}?",
        path=f"{page}/retry_slices",
        back=page,
        subject=class_name(job),
        state=job.state,
        texts=tuple(texts),
        names=tuple(f"slice {id:,}" for id in mending.ids_of_failed(job, error_type, NAMED)),
        hidden={"error_type": error_type},
    )
    return asked(view, question)


def retry(view: View) -> Response:
    """Queue them again."""
    job, error_type = batch_job(view), _error_type(view)
    try:
        done = mending.retry_failed_with(job, error_type)
    except RocketJobError as error:
        view.say("warning", f"Nothing was retried: {message_of(error)}")
        return view.go(f"/jobs/{job.id}")
    _log(view, job, error_type, done)
    if done:
        view.say("success", f"{counted(done, 'slice')} with {error_type} tried again")
    else:
        view.say("warning", f"No slice has failed with {error_type[:80]} any more")
    return view.go(f"/jobs/{job.id}")


def _error_type(view: View) -> str:
    return view.form.get("error_type") or view.query.get("error_type") or mending.UNKNOWN


def _log(view: View, job: Any, error_type: str, done: int) -> None:
    log.info(
        "failed slices were retried by hand",
        job_id=str(job.id),
        job=class_name(job),
        exception=error_type,
        slices=done,
        login=view.identity.login or "",
    )
