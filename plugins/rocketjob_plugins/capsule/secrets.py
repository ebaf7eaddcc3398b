"""What is left out of a capsule: encrypted values, and what looks like a password or a key.

The message of an exception often quotes what it is about. So it goes too, where something encrypted
was left out; of values that only look secret it is known what to look for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
from bson import Decimal128

from rocketjob import Job, UnknownJob
from rocketjob.base.passwords import HIDDEN, without_secrets
from rocketjob.jobs.exception import JobException
from rocketjob.model.fields import Field
from rocketjob.model.record import record_of
from rocketjob.model.types.anything import TAG
from rocketjob_plugins.capsule.errors import CapsuleError

ENCRYPTED = "it is encrypted"
LOOKS_SECRET = "it looks like a password or a key"
UNKNOWN_BYTES = "they are bytes of no field that the class has here: they may be encrypted"
MESSAGE = "the message of the exception: it may quote what is encrypted"
ELSEWHERE = ("exception", "history")
"""Keys that no capsule has there: the exception stands beside the document."""
SHORTEST = 4  # characters of a value that is looked for in messages


@attrs.define
class Cleaned:
    """A document for a capsule.

    Attributes:
        left_out: what was left out of it, in words.
        is_without_encrypted: whether anything encrypted was.
        hidden: texts that were.
    """

    document: dict[str, Any] = attrs.field(factory=dict)
    left_out: list[str] = attrs.field(factory=list)
    is_without_encrypted: bool = False
    hidden: list[str] = attrs.field(factory=list)

    def leave_out(self, name: str, why: str, value: Any = None) -> None:
        """Note that something is left out."""
        self.left_out.append(f"{name}: {why}")
        self.is_without_encrypted |= why == ENCRYPTED
        self.hidden += [text for text in _texts_in(value) if len(text) >= SHORTEST]

    def message_of(self, exception: JobException) -> JobException:
        """Return an exception, and its causes, without what was left out of the document."""
        cause = self.message_of(exception.cause) if exception.cause is not None else None
        message = None if self.is_without_encrypted else exception.message
        for text in sorted(self.hidden, key=len, reverse=True) if message else ():
            message = str(message).replace(text, HIDDEN)
        return attrs.evolve(exception, message=message, cause=cause)


def document_of(job: Job, with_secrets: bool) -> Cleaned:
    """Return the document of a job for a capsule.

    Raises:
        CapsuleError: its class is not here, to say what of it is encrypted.
    """
    if isinstance(job, UnknownJob):
        raise CapsuleError(
            f"{job.class_name} {job.id}: {job.problem}, so nobody can say which of its values are "
            "encrypted"
        )
    fields = {field.key: field for field in job.fields().values()}
    cleaned = Cleaned()
    for key, value in (record_of(job).stored or {}).items():
        field = fields.get(key)
        why = _why_left_out(field, key, value, with_secrets)
        if why is not None:
            cleaned.leave_out(field.name if field else key, why, value)
        elif field is not None and field.encrypted and value is not None:
            cleaned.document[key] = _in_clear(field, job)
        elif with_secrets or key in ELSEWHERE:
            cleaned.document[key] = value
        else:
            cleaned.document[key] = clean = without_secrets(_unsealed(value))
            for path, hidden in _differing(value, clean, key):
                cleaned.leave_out(path, LOOKS_SECRET, hidden)
    for key in ELSEWHERE:
        cleaned.document.pop(key, None)
    return cleaned


def _why_left_out(field: Field | None, key: str, value: Any, with_secrets: bool) -> str | None:
    if field is None and isinstance(value, bytes):
        return UNKNOWN_BYTES
    if with_secrets or not value:
        return None
    if field is not None and field.encrypted:
        return ENCRYPTED
    return LOOKS_SECRET if without_secrets({key: value})[key] == HIDDEN else None


def _in_clear(field: Field, job: Job) -> Any:
    value, encode = getattr(job, field.name), field.codec.encode
    return value if encode is None or value is None else encode(value)


def _unsealed(value: Any) -> Any:
    """Return a value without what `seal_properties` has encrypted in it."""
    if isinstance(value, Mapping):
        if value.get(TAG) == "sealed":
            return HIDDEN
        return {key: _unsealed(item) for key, item in value.items()}
    return [_unsealed(item) for item in value] if isinstance(value, list) else value


def _texts_in(value: Any) -> Iterator[str]:
    """Yield the texts and numbers in a value, as a message would quote them."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key != TAG:
                yield from _texts_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts_in(item)
    elif isinstance(value, str | int | float | Decimal128) and not isinstance(value, bool):
        yield str(value)


def _differing(before: Any, after: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the places at which something was hidden, and what was there."""
    if before is after or before == after or not before:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in after:
            yield from _differing(before.get(key), after[key], f"{path}.{key}")
    elif isinstance(before, list) and isinstance(after, list):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _differing(one, other, f"{path}[{index}]")
    else:
        yield path, before
