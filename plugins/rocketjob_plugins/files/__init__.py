"""Jobs that move files."""

from __future__ import annotations

from rocketjob import Job, hookimpl
from rocketjob_plugins.files.upload import UploadFileJob, explain, veto_claim

__all__ = ["UploadFileJob", "explain", "veto_claim"]


@hookimpl
def register_jobs() -> list[type[Job]]:
    return [UploadFileJob]
