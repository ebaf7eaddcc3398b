"""What holds queued jobs back: said by a throttle or a veto, and stored for whoever asks.

The job that was asked about has the reason in `throttled_by`, `throttled_text` and `throttled_at`.
Where others are left alone with it, that is in a document of its own for as long as it lasts, so
that each of them can say so: by the server that decided, not by whoever looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from rocketjob.base import clock
from rocketjob.base.passwords import brief
from rocketjob.jobs.claims import forget_hold
from rocketjob.model.record import record_of, values_of
from rocketjob.store import Filter, Store, Stored
from rocketjob.store.written import read, written

COLLECTION = "rocket_job.holds"
KEYS = ("throttled_by", "throttled_text", "throttled_at")
UNSET = dict.fromkeys(KEYS, "")


def _named(owner: Any, attribute: Any, value: Any) -> None:
    if not isinstance(value, str) or (attribute.name == "name" and not value):
        raise TypeError(f"{type(owner).__name__}: {attribute.name} must be a string, not {value!r}")


def _is_filter(owner: Any, attribute: Any, value: Any) -> None:
    if value is attribute.default is None or isinstance(value, Mapping):
        return
    raise TypeError(
        f"{type(owner).__name__}: filter must be a filter of jobs, a dict, not {value!r}"
    )


def _is_aware(_: Any, attribute: Any, value: Any) -> None:
    if value is not None and (not isinstance(value, datetime) or value.tzinfo is None):
        raise TypeError(f"Hold: until must be a datetime with a time zone, not {value!r}")


@attrs.frozen
class Hold:
    """Why a job is not to start now, as `veto_claim` returns it.

    Attributes:
        name: of the rule, such as `load_is_too_high`; stored as the job's `throttled_by`.
        text: for people, made at this moment, such as `load 3.2 > 0.8`; the name if not given.
        filter: the jobs to leave alone; just the one that was asked about if not given.
        until: when to ask again, if that is sooner than the next re-check.

    Raises:
        TypeError: one of them is of another type.
    """

    name: str = attrs.field(validator=_named)
    text: str = attrs.field(default="", validator=_named)
    filter: Filter | None = attrs.field(default=None, validator=_is_filter)
    until: datetime | None = attrs.field(default=None, validator=_is_aware)

    @property
    def reason(self) -> str:
        """Name and text, as the job's history has them."""
        return f"{self.name}: {self.text}" if self.text and self.text != self.name else self.name


@attrs.frozen
class Clause:
    """What a server takes, as `claim_clauses` returns it: only jobs that match.

    Attributes:
        name: of the rule, such as `region`.
        text: for people, made at this moment, such as `it takes only jobs of eu`.
        filter: the jobs that are taken.

    Raises:
        TypeError: one of them is of another type.
    """

    name: str = attrs.field(validator=_named)
    text: str = attrs.field(validator=_named)
    filter: Filter = attrs.field(validator=_is_filter)

    def stored(self) -> dict[str, Any]:
        """Return it as the server's document has it."""
        return {"name": self.name, "text": brief(self.text), "filter": written(self.filter)}

    @staticmethod
    def is_stored_as(stored: Any) -> bool:
        """Return whether a value is a stored clause, and not what something else has written."""
        keys = ("name", "text", "filter")
        return isinstance(stored, Mapping) and all(isinstance(stored.get(k), str) for k in keys)

    @classmethod
    def load(cls, stored: Mapping[str, Any]) -> Clause:
        return cls(stored["name"], stored["text"], read(stored["filter"]))


# --- on the job ----------------------------------------------------------------------------------


def note(stored: Mapping[str, Any], name: str, text: str, now: datetime) -> dict[str, Any]:
    """Return what to set on a job that is held back; nothing if it says so already."""
    said = {"throttled_by": name, "throttled_text": brief(text or name)}
    if all(stored.get(key) == value for key, value in said.items()):
        return {}
    return {**said, "throttled_at": now}


def said(job: Any) -> str:
    """Say what is stored on a job of why it is held back."""
    from rocketjob.jobs.reasons import shown  # for start-up time

    at = f" ({shown(job.throttled_at)})" if job.throttled_at is not None else ""
    return f"held back by {job.throttled_by}: {job.throttled_text or job.throttled_by}{at}"


def clear(job: Any) -> None:
    """Remove at once what held a job back: it starts, or a part of it does."""
    job.collection().update_one(job.write_guard(), {"$unset": UNSET})
    forget_hold(job)
    record_of(job).written_apart(dict.fromkeys(KEYS))


def refresh(job: Any, stored: Mapping[str, Any]) -> None:
    """Give a job that is being worked on what others have stored of why it is held back."""
    present = {key: stored[key] for key in KEYS if key in stored}
    if present.get("throttled_by") == job.throttled_by is None:
        return
    record_of(job).written_apart({key: present.get(key) for key in KEYS})
    fields = job.fields()
    values_of(job).update({key: None for key in KEYS if key not in present})
    values_of(job).update({key: fields[key].load(value) for key, value in present.items()})


# --- for all that are left alone -----------------------------------------------------------------


@attrs.frozen
class Held:
    """What a server leaves alone now.

    Attributes:
        by: the worker that decided.
        job: in words, the job that was asked about.
        at: when it was.
        until: when it is asked again, at the latest.
    """

    name: str
    text: str
    filter: Filter
    by: str
    job: str
    at: datetime
    until: datetime


def publish(store: Store, hold: Hold, job: Any, owner: str, by: str, until: datetime) -> str:
    """Store that a process leaves jobs alone; return the id of the document.

    Args:
        owner: who claims for the process.
        by: the worker's name.
    """
    import hashlib  # for start-up time

    now, filter = clock.now(), written(hold.filter or {})
    id = f"{owner}/{hold.name}/{hashlib.sha256(filter.encode()).hexdigest()[:16]}"
    holds = store.collection(COLLECTION)
    holds.delete_many({"until": {"$lte": now}})  # those of the dead as well
    document = {
        "name": hold.name,
        "text": brief(hold.text or hold.name),
        "filter": filter,
        "by": by,
        "job": f"{type(job).type_name()} {job.id}",
        "at": now,
        "until": until,
    }
    holds.update_one({"_id": id}, {"$set": document}, upsert=True)
    return id


def withdraw(store: Store, ids: list[str]) -> None:
    """Remove what was published and does not hold any more."""
    store.collection(COLLECTION).delete_many({"_id": {"$in": ids}})


def present(store: Store, now: datetime) -> list[Held]:
    """Return what servers leave alone at this time."""
    found = store.collection(COLLECTION).find({"until": {"$gt": now}}, sort=[("_id", 1)])
    return [_held(document) for document in found]


def _held(document: Stored) -> Held:
    values = {name: document[name] for name in attrs.fields_dict(Held)}
    return Held(**{**values, "filter": read(document["filter"])})
