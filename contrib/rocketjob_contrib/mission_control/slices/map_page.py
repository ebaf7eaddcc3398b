"""Which part of a batch job's input is done, by place; the slices behind a cell; and stragglers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
from starlette.responses import Response

from rocketjob.jobs.shown import class_name
from rocketjob_contrib.mission_control.slices.finding import batch_job, path_to, whole
from rocketjob_plugins.batch import slice_map, stragglers
from rocketjob_plugins.batch.present import unseen

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

CELLS = 160  # of the map of a page: each can be pointed at, and takes some bytes
RUNS = 20  # rows of the table beside it
ROWS = 100  # slices of a list


@attrs.frozen
class Shown:
    """A cell as the page has it: what it says, and where it leads."""

    state: str
    text: str
    path: str

    @property
    def is_stop(self) -> bool:
        """Whether it is reached by keyboard; to the others the table leads."""
        return self.state not in ("completed", "queued")


def show(view: View) -> Response:
    """Show the map of a job, or the slices that begin with some of its records."""
    job = batch_job(view)
    first, last = (whole(view.query.get(name) or "") for name in ("from", "to"))
    if first is not None and last is not None:
        return _list(view, job, first, last)
    problem, found, holding = None, None, None
    try:
        found = slice_map.of(job, CELLS)
        holding = stragglers.of(job)
    except slice_map.NoMap as error:
        problem = f"There is no map of its slices: {error}."
    except Exception as error:
        problem = f"Not all can be shown: {unseen(error)}."
    runs = found.runs() if found is not None else []
    return view.render(
        "slices/map_part.html" if view.is_fragment else "slices/map.html",
        job=job,
        name=class_name(job),
        problem=problem,
        found=found,
        cells=[_shown(job, cell) for cell in found.cells] if found is not None else [],
        runs=[_shown(job, run) for run in runs[:RUNS]],
        more=max(0, len(runs) - RUNS),
        holding=holding,
    )


def _list(view: View, job: Any, first: int, last: int) -> Response:
    problem, slices = None, []
    try:
        slices = stragglers.beginning_in(job, first, last, ROWS + 1)
    except Exception as error:
        problem = f"They cannot be shown: {unseen(error)}."
    return view.render(
        "slices/list.html",
        job=job,
        name=class_name(job),
        first=first,
        last=last,
        problem=problem,
        slices=slices[:ROWS],
        more=len(slices) > ROWS,
    )


def _shown(job: Any, cell: slice_map.Cell) -> Shown:
    path = f"/jobs/{job.id}/slices?from={cell.first}&to={cell.last}"
    if cell.only is not None and cell.state == "failed":
        path = path_to(job, "exception", None, cell.only)
    return Shown(cell.state, f"records {cell.first:,} to {cell.last:,}: {_counts(cell)}", path)


def _counts(cell: slice_map.Cell) -> str:
    if cell.reached and not cell.counts:
        return f"in a {cell.reached} slice that begins before"
    counts = [*cell.counts.items(), ("completed", cell.completed)]
    said = ", ".join(f"{number:,} {state}" for state, number in counts if number)
    return said or "completed"
