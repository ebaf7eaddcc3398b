"""What became of each job of a bulk action that a job carries out."""

from __future__ import annotations

import contextvars
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import attrs
from bson import ObjectId

from rocketjob.application import current
from rocketjob.base import clock
from rocketjob.base.acts import Deed
from rocketjob.base.errors import is_duplicate_key
from rocketjob.jobs.bulk import DONE, SET_PRIORITY, WORDS, Outcome
from rocketjob.store import Insert

COLLECTION = "rocket_job.bulk"
REMOVED = 1000  # in one step
_under_way: contextvars.ContextVar[tuple[ObjectId, ObjectId, str] | None] = contextvars.ContextVar(
    "bulk", default=None
)


@attrs.frozen(kw_only=True)
class Result:
    """What became of one job.

    Attributes:
        job: its id.
        name: its class.
        word: `done`, `skipped`, `refused` or `failed`.
        text: why, unless it was done.
        at: when, UTC; of one that something else has written it may be None.
    """

    job: ObjectId | None
    name: str | None = None
    word: str
    text: str | None = None
    at: datetime | None = None

    @property
    def line(self) -> str:
        """The same in words."""
        return f"{self.job}  {self.name or '?'}  {self.word}{f': {self.text}' if self.text else ''}"


@contextmanager
def of(bulk: ObjectId, job: ObjectId, event: str) -> Iterator[None]:
    """Within a block, have it stored together with an action on a job that it was done."""
    token = _under_way.set((bulk, job, "save" if event == SET_PRIORITY else event))
    try:
        yield
    finally:
        _under_way.reset(token)


def beside(deed: Deed) -> list[Insert] | None:
    """Return what is stored together with a change, if that is the action under way."""
    under_way = _under_way.get()
    if under_way is None or (deed.id, deed.event) != under_way[1:]:
        return None
    bulk, job, _ = under_way
    # Not refused where it is there already: a callback may make the same event again.
    return [Insert(COLLECTION, _stored(bulk, job, deed.name, DONE, None), replaces=True)]


def note(bulk: ObjectId, outcomes: Iterable[Outcome]) -> None:
    """Store outcomes of jobs to which it was not done; one that is stored already stays."""
    collection = current().store.collection(COLLECTION)
    for each in outcomes:
        try:
            collection.insert_one(_stored(bulk, each.id, each.name, each.word, each.text))
        except Exception as error:
            if not is_duplicate_key(error):
                raise


def known(bulk: ObjectId, jobs: Iterable[ObjectId]) -> dict[ObjectId, str]:
    """Return what became of jobs, by their ids, as far as anything has."""
    ids = [_id(bulk, job) for job in jobs]
    found = (
        current().store.collection(COLLECTION).find({"_id": {"$in": ids}}, {"job": 1, "word": 1})
    )
    return {each["job"]: each["word"] for each in found}


def counts(bulk: ObjectId) -> dict[str, int]:
    """Count what became of the jobs of a bulk action, by `WORDS`."""
    found = current().store.count_by(COLLECTION, "word", {"bulk": bulk})
    return {word: found.get(word, 0) for word in WORDS}


def results(
    bulk: ObjectId, word: str | None = None, limit: int = 0, *, after: ObjectId | None = None
) -> Iterator[Result]:
    """Yield what became of each job of a bulk action.

    Args:
        word: only these: `done`, `skipped`, `refused` or `failed`.
        limit: at most so many; 0 for all.
        after: only those behind this job, in the order of their ids.
    """
    filter: dict[str, Any] = {"bulk": bulk}
    filter |= {"word": word} if word else {}
    filter |= {"_id": {"$gt": _id(bulk, after)}} if after else {}
    return _find(filter, limit)


def not_done(bulk: ObjectId, limit: int = 0) -> Iterator[Result]:
    """Yield those to which it was not done."""
    return _find({"bulk": bulk, "word": {"$in": [word for word in WORDS if word != DONE]}}, limit)


def remove(bulk: ObjectId) -> None:
    """Remove all that is stored of a bulk action, in small steps."""
    collection = current().store.collection(COLLECTION)
    while ids := [
        each["_id"] for each in collection.find({"bulk": bulk}, {"_id": 1}, limit=REMOVED)
    ]:
        collection.delete_many({"_id": {"$in": ids}})


def _find(filter: Mapping[str, Any], limit: int) -> Iterator[Result]:
    found = current().store.collection(COLLECTION).find(filter, sort=[("_id", 1)], limit=limit)
    for stored in found:
        yield Result(
            job=stored.get("job"),
            name=stored.get("name"),
            word=str(stored.get("word")),
            text=stored.get("text"),
            at=stored.get("at"),
        )


def _id(bulk: ObjectId, job: ObjectId) -> str:
    return f"{bulk}.{job}"


def _stored(
    bulk: ObjectId, job: ObjectId, name: str | None, word: str, text: str | None
) -> dict[str, Any]:
    values: dict[str, Any] = {"bulk": bulk, "job": job, "name": name, "word": word, "text": text}
    values |= {"_id": _id(bulk, job), "at": clock.now()}
    return {key: value for key, value in values.items() if value is not None}
