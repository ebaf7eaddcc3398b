"""Make a capsule of a stored job, or of one of its slices."""

from __future__ import annotations

import functools
import hashlib
import inspect
import platform
import sys
from importlib import metadata
from typing import Any

import attrs
from bson import ObjectId

import rocketjob
from rocketjob import Job
from rocketjob.base import acts, clock
from rocketjob.base.errors import NotFound
from rocketjob.jobs.completions import what_is_known
from rocketjob.jobs.exception import message_of
from rocketjob.model import deeds
from rocketjob_plugins.batch import Batch, mending
from rocketjob_plugins.capsule.errors import CapsuleError
from rocketjob_plugins.capsule.form import Capsule, CapsuleSlice
from rocketjob_plugins.capsule.secrets import ENCRYPTED, MESSAGE, document_of

FIRST = 0
"""Stands for the first slice that has failed."""
NAMED = 5  # slices that a message names


def capsule_of(
    id: ObjectId,
    slice: int | None = None,
    *,
    secrets: bool = False,
    record_only: bool = False,
) -> Capsule:
    """Return a capsule of a stored job; if a person makes it, that is recorded.

    Args:
        slice: the number of the slice's first record; `FIRST`: of the first that has failed. None:
            likewise, if one has.
        secrets: with encrypted values, in clear, and what looks like a password or a key.
        record_only: of the slice only the record that failed.

    Raises:
        NotFound: there is no such job, or slice.
        CapsuleError: its class is not loaded here, or it cannot be read.
    """
    stored = Job.collection().find_one({"_id": id})
    if stored is None:
        raise NotFound(f"there is no job with the id {id}: {what_is_known(id)}")
    job = Job.listed(stored)
    cleaned = document_of(job, secrets)
    found = _slice_of(job, slice)
    part = None
    if found is not None:
        part = _part(job, found, secrets, record_only)
        if part.records is None:
            cleaned.leave_out("the records of the slice", ENCRYPTED)
    elif record_only:
        raise CapsuleError(f"{job.type_name()} {id} has no record that failed")
    error = found.slice.exception if found is not None else job.exception
    if error is not None and cleaned.is_without_encrypted:
        cleaned.left_out.append(MESSAGE)
    capsule = Capsule(
        made=_made(),
        job_class=_class_of(type(job), stored),
        document=cleaned.document,
        slice=part,
        exception=attrs.asdict(cleaned.message_of(error)) if error is not None else None,
        left_out=tuple(cleaned.left_out),
        has_secrets=secrets,
    )
    _record(job, capsule)
    return capsule


def _record(job: Job, capsule: Capsule) -> None:
    """Record that somebody has taken a copy of this, before it is out of the house."""
    after: dict[str, Any] = {"in_clear": True} if capsule.has_secrets else {}
    if capsule.slice is not None:
        after["slice"] = capsule.slice.document["_id"]
        after["records"] = len(capsule.slice.records or ())
    deeds.record("capsule", "job", id=job.id, name=job.type_name(), after=after)


def _made() -> dict[str, Any]:
    act = acts.present()
    return {
        "at": clock.now().isoformat(),
        "by": act.by if act is not None else None,
        "rocketjob": rocketjob.__version__,
        "python": platform.python_version(),
    }


# --- the slice -----------------------------------------------------------------------------------


def _slice_of(job: Job, asked: int | None) -> mending.FailedSlice | None:
    if not isinstance(job, Batch):
        if asked is not None:
            raise CapsuleError(f"{job.type_name()} {job.id} is not a batch job: it has no slices")
        return None
    try:
        failed = mending.ids_of_failed(job, None, NAMED)
        if asked in (None, FIRST):
            if not failed and asked is None:
                return None
            if not failed:
                raise CapsuleError(f"{job.type_name()} {job.id}: no slice of it has failed")
            asked = failed[0]
        return mending.find(job, asked or FIRST)
    except NotFound as error:
        listed = f"; failed: {', '.join(map(str, failed))}" if failed else ""
        raise NotFound(f"{error}{listed}") from None
    except ValueError as error:
        if isinstance(error, CapsuleError):
            raise
        raise CapsuleError(f"slice {asked} cannot be read: {message_of(error)}") from error


def _part(job: Any, found: mending.FailedSlice, secrets: bool, record_only: bool) -> CapsuleSlice:
    apart = ("records", "exception")
    document = {key: value for key, value in found.stored.items() if key not in apart}
    if job.input.serializer.is_secret and not secrets:
        return CapsuleSlice(document=document, first=found.id, records=None)
    try:
        records = list(found.slice)
        index = found.next_index
        chosen = [found.record(index)] if record_only else records
    except NotFound as error:
        raise CapsuleError(f"{error}: it has no record that failed") from None
    except Exception as error:  # whatever a serializer raises
        why = message_of(error) or type(error).__name__
        raise CapsuleError(f"the records of slice {found.id} cannot be read: {why}") from error
    first = found.number_of(index) if record_only else found.id
    return CapsuleSlice(document=document, first=first, records=chosen)


# --- the class -----------------------------------------------------------------------------------


def _class_of(cls: type[Job], stored: dict[str, Any]) -> dict[str, Any]:
    version = stored.get("_version", cls.schema_version)
    return {
        "name": cls.type_name(),
        "module": cls.__module__,
        "schema_version": version if isinstance(version, int) else None,
        "package": _package_of(cls.__module__),
        "source": source_of(cls),
    }


def source_of(cls: type[Job]) -> str | None:
    """Return the SHA-256 of the file of a class; None if it has none, as in a shell."""
    try:
        with open(inspect.getsourcefile(cls) or "", "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, TypeError):
        return None


@functools.cache
def _package_of(module: str) -> str | None:
    """Return name and version of what has brought a module, if that was installed."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top == "__main__":
        return None
    names = metadata.packages_distributions().get(top)
    return f"{names[0]} {metadata.version(names[0])}" if names else None
