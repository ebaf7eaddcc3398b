"""Which failed slice a path means, and its place among those that failed in the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import attrs

from rocketjob import Job, UnknownJob
from rocketjob.base.errors import NotFound
from rocketjob.jobs.shown import class_name
from rocketjob_contrib.mission_control.errors import Missing
from rocketjob_contrib.mission_control.lists import Count
from rocketjob_plugins.batch import Batch, mending

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

COUNTED = 1000  # failed slices that are counted; further ones are found one by one


class Gone(Missing):
    """There is no such failed slice, or no more; the message is a page with ways on.

    Args:
        links: titles and paths of where to go instead.
    """

    def __init__(self, message: str, *links: tuple[str, str]) -> None:
        super().__init__(message)
        self.links = links


@attrs.frozen(kw_only=True)
class Place:
    """A failed slice among those with an exception of the same class.

    Attributes:
        error_type: that class; None: any.
        position: from 1; None where it is too far behind to be counted.
        total: how many there are, counted up to `COUNTED`.
        first, previous, next, last: ids; None where it is that itself, or there is none.
    """

    id: int
    error_type: str | None
    position: int | None = None
    total: Count
    first: int | None = None
    previous: int | None = None
    next: int | None = None
    last: int | None = None

    def __str__(self) -> str:
        if self.position is None:
            return f"beyond the first {self.total}"
        return f"{self.position:,} of {self.total}"


def batch_job(view: View) -> Any:
    """Return the job of the path.

    Raises:
        Missing: it has no slices, or its class is not here to say how they are stored.
    """
    job: Job = view.target
    if isinstance(job, Batch) and any(each.name == "main" for each in job.input_categories):
        return job
    if isinstance(job, Batch):
        why = "its slices cannot be looked at: its document has no input category main"
    elif isinstance(job, UnknownJob):
        why = f"its slices cannot be looked at: {job.problem}"
    else:
        why = "it is not a batch job: it has no slices"
    raise Missing(f"{class_name(job)} {job.id}: {why}", f"/jobs/{job.id}")


def asked_for(view: View) -> tuple[Any, Place, mending.FailedSlice]:
    """Return the job of the path, which of its slices the query means, and that slice.

    Raises:
        Missing: the job has no slices, or none that has failed in that way.
        Gone: others have, and this one has not, or no more.
    """
    job = batch_job(view)
    place = _place_in(view, job)
    try:
        return job, place, mending.find(job, place.id)
    except NotFound as error:
        raise Gone(f"{error}", ("Go to the job", f"/jobs/{job.id}")) from error
    except ValueError as error:
        text = f"Slice {place.id:,} cannot be looked at, as what is stored is none: {error}"
        raise Gone(text, ("Go to the job", f"/jobs/{job.id}")) from error


def _place_in(view: View, job: Any) -> Place:
    error_type = view.query.get("error_type") or None
    ids = mending.ids_of_failed(job, error_type, COUNTED + 1)
    if not ids:
        kind = f" with {error_type[:80]}" if error_type else ""
        raise Missing(f"{class_name(job)} {job.id}: no slice has failed{kind}", f"/jobs/{job.id}")
    more, ids = len(ids) > COUNTED, ids[:COUNTED]
    id = _asked(view, ids)
    if id is None or id not in ids:
        if id is None or not more or not _exists(job, error_type, id):
            raise _gone(view, job, error_type, ids[0])
        return _far_behind(job, error_type, id, ids)
    at = ids.index(id)
    last = _beside(job, error_type, -1) if more else ids[-1]
    following = ids[at + 1] if at + 1 < len(ids) else None
    if following is None and more:
        following = _beside(job, error_type, 1, {"$gt": id})
    return Place(
        id=id,
        error_type=error_type,
        position=at + 1,
        total=Count(len(ids), more),
        first=ids[0] if at else None,
        previous=ids[at - 1] if at else None,
        next=following,
        last=last if last != id else None,
    )


def _asked(view: View, ids: list[int]) -> int | None:
    """Return the id of the slice that is asked for; the first where nothing is said."""
    asked = view.query.get("slice")
    if asked:
        return whole(asked)
    at = whole(view.query.get("offset") or "0")
    return ids[at] if at is not None and at < len(ids) else None


def whole(text: str) -> int | None:
    """Return a number from a URL or a form; None if it is none, or longer than any here."""
    return int(text) if text.isdecimal() and len(text) < 19 else None


def _far_behind(job: Any, error_type: str | None, id: int, ids: list[int]) -> Place:
    last = _beside(job, error_type, -1)
    return Place(
        id=id,
        error_type=error_type,
        total=Count(len(ids), more=True),
        first=ids[0],
        previous=_beside(job, error_type, -1, {"$lt": id}),
        next=_beside(job, error_type, 1, {"$gt": id}),
        last=last if last != id else None,
    )


def _exists(job: Any, error_type: str | None, id: int) -> bool:
    return _beside(job, error_type, 1, {"$eq": id}) is not None


def _beside(
    job: Any, error_type: str | None, order: int, condition: dict[str, int] | None = None
) -> int | None:
    filter: dict[str, Any] = {**mending.failed_with(error_type)}
    if condition is not None:
        filter["_id"] = condition
    found = job.input.collection.find_one(filter, {"_id": 1}, sort=[("_id", order)])
    return None if found is None else found["_id"]


def _gone(view: View, job: Any, error_type: str | None, first: int) -> Gone:
    asked = view.query.get("slice")
    which = f"slice {asked[:30]}" if asked else "slice at this place"
    return Gone(
        f"There is no failed {which} any more: it was retried, processed or dropped.",
        ("Show the first that has failed", path_to(job, "exception", error_type, first)),
        ("Go to the job", f"/jobs/{job.id}"),
    )


def path_to(job: Job, page: str, error_type: str | None, id: int, /, **query: Any) -> str:
    """Return the path of a page about a slice."""
    asked = {"error_type": error_type, "slice": id, **query}
    given = {name: value for name, value in asked.items() if value is not None}
    return f"/jobs/{job.id}/{page}?{urlencode(given)}"
