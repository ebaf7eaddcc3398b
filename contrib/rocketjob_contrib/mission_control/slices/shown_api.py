"""What pages of batch jobs show besides, by the API: the map of slices, and records as files."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from rocketjob_contrib.mission_control.api.operations import Operation, operation
from rocketjob_contrib.mission_control.api.problems import Problem
from rocketjob_contrib.mission_control.api.resources import NUMBER
from rocketjob_contrib.mission_control.api.schemas import (
    FLAG,
    TEXT,
    TIME,
    WHOLE,
    Schema,
    choice,
    maybe,
    ref,
    resource,
    several,
    text,
    whole,
)
from rocketjob_contrib.mission_control.routes import Target
from rocketjob_contrib.mission_control.slices import failed_records, files, map_page, rejects
from rocketjob_contrib.mission_control.slices.finding import batch_job
from rocketjob_plugins.batch import slice_map, stragglers
from rocketjob_plugins.batch.present import unseen

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.api.view import ApiView

COUNTS: Schema = {"type": "object", "additionalProperties": WHOLE}
CELL = resource(
    first=WHOLE, last=WHOLE, state=TEXT, counts=COUNTS, completed=WHOLE, slice=maybe(WHOLE)
)
HOLDING = resource(
    slice=WHOLE,
    last=WHOLE,
    state=TEXT,
    worker_name=maybe(TEXT),
    since=maybe(TIME),
    seconds=NUMBER,
    failure_count=WHOLE,
    exception=maybe(ref("ExceptionInfo")),
)
MAP = resource(
    records=WHOLE,
    slice_size=WHOLE,
    slices_of_cell=WHOLE,
    counts=COUNTS,
    is_uploading=FLAG,
    is_sure=FLAG,
    cells=several(CELL),
    slowest=several(HOLDING),
    failing=several(HOLDING),
)


def operations(job_in_path: Target) -> list[Operation]:
    """Return the operations.

    Args:
        job_in_path: returns the job that a path names.
    """
    reasons = {"plain": choice("1")}
    return [
        operation(
            "GET /jobs/{id}/slice_map",
            show,
            "get_slice_map",
            "Return which part of a batch job's input is done, by place, and what holds it up.",
            target=job_in_path,
            query={"cells": whole(1, slice_map.MOST)},
            returns=MAP,
            pages=("/jobs/{id}/slices",),
        ),
        _download("rejects", rejects.download, job_in_path, reasons),
        _download(
            "failed_records",
            failed_records.download,
            job_in_path,
            {"error_type": text(200, least=1)},
        ),
    ]


def show(view: ApiView) -> Response:
    """Return the map of a job."""
    job = batch_job(view)
    try:
        found = slice_map.of(job, view.params.get("cells", map_page.CELLS))
        holding = stragglers.of(job)
    except slice_map.NoMap as error:
        raise Problem(409, f"There is no map of its slices: {error}") from error
    except Exception as error:
        raise Problem(409, f"Not all can be looked at: {unseen(error)}") from error
    return view.json(
        {
            "records": found.records,
            "slice_size": found.slice_size,
            "slices_of_cell": found.in_cell,
            "counts": dict(found.counts),
            "is_uploading": found.is_uploading,
            "is_sure": found.is_sure,
            "cells": [_cell(each) for each in found.cells],
            "slowest": [_holding(view, job, each) for each in holding.slowest],
            "failing": [_holding(view, job, each) for each in holding.failing],
        }
    )


def _cell(cell: slice_map.Cell) -> dict[str, Any]:
    return {
        "first": cell.first,
        "last": cell.last,
        "state": cell.state,
        "counts": dict(cell.counts),
        "completed": cell.completed,
        "slice": cell.only,
    }


def _holding(view: ApiView, job: Any, found: stragglers.Found) -> dict[str, Any]:
    error = None
    if found.error is not None:
        name, message = found.error
        error = {"class_name": name, "message": view.quoted(message, job)}
    return {
        "slice": found.first,
        "last": found.last,
        "state": found.state,
        "worker_name": found.worker_name,
        "since": found.since,
        "seconds": found.seconds,
        "failure_count": found.failures,
        "exception": error,
    }


def _download(
    name: str, do: Callable[[Any], Response], job_in_path: Target, query: dict[str, Schema]
) -> Operation:
    def answer(view: ApiView) -> Response:
        done = view.by_page(do)
        assert done.response is not None  # else it has said why there is none
        return done.response

    return operation(
        f"GET /jobs/{{id}}/{name}/download",
        answer,
        f"download_{name}",
        f"Return the {name.replace('_', ' ')} of a batch job as a file, to be corrected and sent.",
        permission="slices.view",
        target=job_in_path,
        query={"format": choice(*files.TYPES), **query},
        returns=TEXT,
        media_types=tuple(each.partition(";")[0] for each in files.TYPES.values()),
    )
