"""A replay capsule of a job, or of a failed slice, to be downloaded: see the plugin `capsule`."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.responses import Response

from rocketjob import Job, UnknownJob
from rocketjob.base.errors import RocketJobError
from rocketjob.base.log import Logger
from rocketjob.jobs.exception import message_of
from rocketjob.jobs.shown import class_name
from rocketjob_contrib.mission_control.slices.finding import whole
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.capsule.form import MEDIA_TYPE
from rocketjob_plugins.capsule.making import capsule_of

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

log = Logger("rocketjob.web")
SECRETS = "jobs.capsule_secrets"
RECORDS = "slices.view"


def ask(view: View) -> Response:
    """Ask what is to be in it."""
    job: Job = view.target
    return view.render(
        "jobs/capsule.html",
        job=job,
        name=class_name(job),
        slice=_slice(view),
        is_batch=isinstance(job, Batch),
        is_known=not isinstance(job, UnknownJob),
        may_have_secrets=view.may(SECRETS, job),
        back=_back(view),
    )


def download(view: View) -> Response:
    """Make it, and send it as a file."""
    job: Job = view.target
    with_secrets = "secrets" in view.form
    if with_secrets and not view.may(SECRETS, job):
        raise view.refusal(SECRETS)
    if not view.may(RECORDS, job):  # an exception may quote one, too
        raise view.refusal(RECORDS)
    try:
        capsule = capsule_of(
            job.id, _slice(view), secrets=with_secrets, record_only="record_only" in view.form
        )
        data = capsule.to_bytes()
    except RocketJobError as error:
        view.say("danger", f"No capsule was made: {message_of(error)}")
        return view.go(_back(view))
    log.info(
        "a capsule was made",
        job_id=str(job.id),
        job=class_name(job),
        secrets=with_secrets,
        login=view.identity.login or "",
    )
    disposition = f"attachment; filename*=UTF-8''{quote(capsule.name)}"
    return Response(data, media_type=MEDIA_TYPE, headers={"content-disposition": disposition})


def _slice(view: View) -> int | None:
    return whole(view.form.get("slice") or view.query.get("slice") or "")


def _back(view: View) -> str:
    return view.back(f"/jobs/{view.target.id}")
