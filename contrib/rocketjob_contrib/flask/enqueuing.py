"""Enqueue a job once a request of Flask has gone well."""

from __future__ import annotations

from typing import TypeVar

from flask import after_this_request
from werkzeug.wrappers import Response

from rocketjob import Job

J = TypeVar("J", bound=Job)
FIRST_ERROR = 400


def enqueue_after_request(job: J) -> J:
    """Store a new job when the view has returned; not if an error, or an error page, comes of it.

    It is stored before the response is sent: where the store is away the request fails. What the
    view has committed stays committed then; with an outbox both are, or neither.

    Returns:
        the job, not stored yet.

    Raises:
        ValidationError: it is not valid; nothing will be stored.
        RuntimeError: there is no request.
    """
    job.check_class()
    job.validate()

    @after_this_request
    def store(response: Response) -> Response:
        if response.status_code < FIRST_ERROR:
            job.submit()
        return response

    return job
