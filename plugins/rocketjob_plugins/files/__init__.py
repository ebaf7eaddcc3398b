"""Jobs that move files.

    UploadFileJob.create(job_class_name="ImportJob", upload_file_name="orders.csv.gz")
    CopyFileJob.create(source_url="sftp://acme/in/a.csv.gz", target_url="/data/a.csv.zst")
    ConversionJob.create(source="orders.xlsx", target="orders.json.gz")

Files are read and written in pieces; a target appears only when it is complete.
"""

from __future__ import annotations

from rocketjob import Job, hookimpl
from rocketjob_plugins.files.conversion import ConversionJob
from rocketjob_plugins.files.copy import CopyFileJob
from rocketjob_plugins.files.upload import UploadFileJob, veto_claim

__all__ = ["ConversionJob", "CopyFileJob", "UploadFileJob", "veto_claim"]


@hookimpl
def register_jobs() -> list[type[Job]]:
    return [ConversionJob, CopyFileJob, UploadFileJob]
