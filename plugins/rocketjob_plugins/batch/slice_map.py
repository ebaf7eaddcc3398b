"""Where in the input of a batch job its slices are in which state, without reading a record.

    found = slice_map.of(job)
    [cell.state for cell in found.cells]   # 'completed', 'running', 'queued', 'failed' ...

A cell stands for the slices that begin with one of some records. A slice is gone once its output is
stored: so what is no longer there counts as completed, as far as the number of records and the
length of the slices say how many there were.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from rocketjob.base.errors import RocketJobError
from rocketjob.store import Counted, Stored
from rocketjob_plugins.batch.present import unseen
from rocketjob_plugins.batch.slice import STATES

MOST = 600  # cells
NUMBERS = {"$gte": 1, "$lt": 2**62}
"""The ids of slices: what something else has stored among them may have another."""
SAMPLED = 20  # slices whose length is looked at, as nothing begins behind them
IN_ORDER_OF_WEIGHT = ("failed", "running", "queued")
"""The state that a cell is shown in is the first of these in which one of its slices is."""


class NoMap(RocketJobError):
    """The slices of the job cannot be shown by their place; the message says why."""


@attrs.frozen(kw_only=True)
class Cell:
    """The slices that begin with one of some records.

    Attributes:
        first, last: the numbers of these records.
        counts: the slices that are there, by state.
        completed: how many are gone.
        only: the first record of its one slice; None where it may have had several.
        reached: the state of a slice that begins before, and has records of these.
    """

    first: int
    last: int
    counts: Mapping[str, int]
    completed: int
    only: int | None = None
    reached: str | None = None

    @property
    def state(self) -> str:
        """What matters most of its slices."""
        for state in IN_ORDER_OF_WEIGHT:
            if self.counts.get(state):
                return state
        others = sorted(self.counts)
        return self.reached or (others[0] if others else "completed")


@attrs.frozen(kw_only=True)
class SliceMap:
    """The slices of a batch job by their place in the input.

    Attributes:
        records: how many there are, as far as is known.
        slice_size: records of a slice.
        in_cell: slices that a cell can stand for.
        counts: all slices by state, with `completed`.
        is_uploading: more may come.
        is_sure: whether what is shown as completed is; it is not known where slices are longer than
            `slice_size`, and there are too many to look at each.
    """

    cells: tuple[Cell, ...]
    records: int
    slice_size: int
    in_cell: int
    counts: Mapping[str, int]
    is_uploading: bool
    is_sure: bool = True

    def runs(self) -> list[Cell]:
        """Return the cells, with neighbours in the same state as one."""
        runs: list[Cell] = []
        for cell in self.cells:
            if runs and runs[-1].state == cell.state:
                runs[-1] = _joined(runs[-1], cell)
            else:
                runs.append(cell)
        return runs


def of(job: Any, most: int = MOST) -> SliceMap:
    """Return the map of a stored batch job.

    Args:
        most: cells, at most `MOST`.

    Raises:
        NoMap: there is nothing to show, or it cannot be looked at.
    """
    if job.is_aborted:
        raise NoMap("it was aborted, and its slices were removed")
    try:
        return _map_of(job, max(1, min(most, MOST)))
    except NoMap:
        raise
    except Exception as error:
        raise NoMap(unseen(error)) from error


def _map_of(job: Any, most: int) -> SliceMap:
    category = job.input_category_for("main")
    size = _whole(category.slice_records) or _whole(category.slice_size) or 1
    records = max(_whole(job.record_count), _last_record(job))
    if not records:
        raise NoMap("nothing has been uploaded yet")
    in_cell = _divided(_divided(records, size), most)
    width = size * in_cell
    slices, ranges = job.input, _divided(records, width)
    found = slices.store.count_by_range(slices.name, "state", start=1, width=width, ranges=ranges)
    if not found and not job.is_completed and (elsewhere := job.slices_are_elsewhere()):
        raise NoMap(elsewhere)
    by_place: list[dict[str, Counted]] = [{} for _ in range(ranges)]
    for (place, state), counted in found.items():
        by_place[place][str(state)] = counted
    reached, is_sure = _reached(job, by_place, width)
    cells = tuple(
        _cell(place, counted, min(records, (place + 1) * width), (width, size), reached.get(place))
        for place, counted in enumerate(by_place)
    )
    counts = dict.fromkeys(STATES, 0)
    for cell in cells:
        for state, number in (*cell.counts.items(), ("completed", cell.completed)):
            counts[state] = counts.get(state, 0) + number
    return SliceMap(
        cells=cells,
        records=records,
        slice_size=size,
        in_cell=in_cell,
        counts=counts,
        is_uploading=job.record_count is None,
        is_sure=is_sure,
    )


def _cell(
    place: int, counted: Mapping[str, Counted], last: int, sizes: tuple[int, int], reached: Any
) -> Cell:
    width, size = sizes
    first = place * width + 1
    there = sum(each.number for each in counted.values())
    (one,) = counted.values() if len(counted) == 1 else (None,)
    is_one = width == size and one is not None and one.number == 1
    return Cell(
        first=first,
        last=last,
        counts={state: each.number for state, each in counted.items()},
        completed=0 if reached else max(0, _divided(last - first + 1, size) - there),
        only=int(one.lowest) if is_one and one is not None else None,
        reached=reached,
    )


def _last_record(job: Any) -> int:
    """Return the number of the last record that is there."""
    stored = job.input.collection.find_one({"_id": NUMBERS}, {"size": 1}, sort=[("_id", -1)])
    return 0 if stored is None else int(stored["_id"]) + (_whole(stored.get("size")) or 1) - 1


def _reached(
    job: Any, by_place: list[dict[str, Counted]], width: int
) -> tuple[dict[int, str], bool]:
    """Return the cells that slices before them reach into, and whether all these are known.

    Slices are as long as `slice_size` says unless they were uploaded one by one, or the last of an
    upload is shorter. So a few are looked at: those with nothing behind them.
    """
    ends = {
        max(int(each.highest) for each in counted.values()): place
        for place, counted in enumerate(by_place[:-1])
        if counted and not by_place[place + 1]
    }
    wanted = {"_id": {"$in": sorted(ends)[:SAMPLED]}} if ends else None
    found = job.input.collection.find(wanted, {"size": 1, "state": 1}) if wanted else ()
    reached = {}
    for stored in found:
        for place in _behind(stored, ends[int(stored["_id"])], by_place, width):
            reached[place] = str(stored.get("state"))
    return reached, not reached or len(ends) <= SAMPLED


def _behind(
    stored: Stored, place: int, by_place: list[dict[str, Counted]], width: int
) -> Iterator[int]:
    last = int(stored["_id"]) + (_whole(stored.get("size")) or 1) - 1
    for behind in range(place + 1, len(by_place)):
        if by_place[behind] or behind * width + 1 > last:
            return
        yield behind


def _joined(cell: Cell, next: Cell) -> Cell:
    states = dict.fromkeys((*cell.counts, *next.counts))
    return Cell(
        first=cell.first,
        last=next.last,
        counts={state: cell.counts.get(state, 0) + next.counts.get(state, 0) for state in states},
        completed=cell.completed + next.completed,
        reached=cell.reached or next.reached,
    )


def _divided(number: int, by: int) -> int:
    return -(-number // by)


def _whole(value: Any) -> int:
    """Return a number that is stored; 0 for what is none, which something else has written."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
