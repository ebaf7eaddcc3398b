"""Run a capsule: in this process, against a store of its own in memory."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from rocketjob import Job
from rocketjob.base.errors import RocketJobError, ValidationError
from rocketjob.base.text import hinted
from rocketjob.jobs import claims
from rocketjob.jobs.exception import JobException
from rocketjob.jobs.fit import check_fits, refuse_newer
from rocketjob.jobs.performing import now_performing
from rocketjob.model import registry
from rocketjob.store import Stored
from rocketjob.testing import sandbox
from rocketjob.worker import runner
from rocketjob.worker.contexts import in_fresh_context
from rocketjob.worker.runner import Worker
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.batch.serializers import serializer
from rocketjob_plugins.batch.work.records import perform_alone
from rocketjob_plugins.capsule.errors import CapsuleError
from rocketjob_plugins.capsule.form import Capsule
from rocketjob_plugins.capsule.making import source_of

__tracebackhide__ = True  # an error is shown from the job's own code on
SAME, OTHER, PASSED = "same", "other", "passed"
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{4,}")  # of an object: another one in each process
FRESH = ("started_at", "completed_at", "run_at", "expires_at", "progress_text")
"""What a replayed job has as one that has just been queued."""


@attrs.frozen(kw_only=True)
class Replayed:
    """What came of a replay.

    Attributes:
        outcome: `same` or `other`, of the exception and that of the capsule; `passed`: it raised
            none.
        error: what it raised.
        exception: what would be stored of that.
        record_number: of the record at which it was raised, or the last one.
        value: what perform returned, unless it was a slice.
    """

    outcome: str
    error: BaseException | None = None
    exception: JobException | None = None
    record_number: int | None = None
    value: Any = None


@contextlib.contextmanager
def private_store(settings: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Give what is replayed in a block a store in memory, and nothing of this machine's settings.

    Args:
        settings: that it is given all the same, such as `log_level`.
    """
    with sandbox(**(settings or {}), **_throwaway_key()):
        yield


def replay(
    capsule: Capsule, values: Mapping[str, str] | None = None, *, run_code: bool = False
) -> Replayed:
    """Run a capsule, within `private_store`; the class of its job has to be imported.

    Args:
        values: of fields, as text, instead of those in the capsule, or of what was left out of it.
        run_code: also code that the capsule itself holds, as that of an on-demand job does.

    Raises:
        CapsuleError: it cannot be run here; nothing was.
    """
    job = _job_of(capsule, values or {}, run_code)
    if capsule.slice is not None:
        return _slice_replayed(job, capsule)
    worker = Worker(inline=True)
    try:
        runner.perform_now(job, worker)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return _raised(capsule, error)
    return Replayed(outcome=PASSED, value=worker.value)


def _slice_replayed(job: Any, capsule: Capsule) -> Replayed:
    part = capsule.slice
    assert part is not None
    if part.records is None:
        raise CapsuleError(
            "the records of its slice were left out, as they are stored encrypted: make it with "
            "--secrets, if you may"
        )
    at = part.document.get("processing_record_number") or 1
    number = max(part.first, part.document["_id"] + (at if isinstance(at, int) else 1) - 1)

    def perform() -> tuple[BaseException | None, int]:
        now_performing(job)
        return perform_alone(job, Worker(inline=True), part.records or [], part.first, number)

    error, number = in_fresh_context(perform)
    if isinstance(error, KeyboardInterrupt):
        raise error
    if error is None:
        return Replayed(outcome=PASSED, record_number=number)
    return _raised(capsule, error, number)


def _raised(capsule: Capsule, error: BaseException, number: int | None = None) -> Replayed:
    exception = JobException.of(error)
    outcome = SAME if _is_same(exception, capsule.exception or {}) else OTHER
    return Replayed(outcome=outcome, error=error, exception=exception, record_number=number)


def _is_same(exception: JobException, known: Mapping[str, Any]) -> bool:
    """Return whether it is that of the capsule, whose message may have been left out."""
    if exception.class_name != known.get("class_name"):
        return False
    message = known.get("message")
    return message is None or _without_addresses(exception.message) == _without_addresses(message)


def _without_addresses(message: Any) -> str:
    return _ADDRESS.sub("0x", str(message or ""))


def has_same_source(capsule: Capsule) -> bool | None:
    """Return whether the file of the class is here as it was; None if that is not known."""
    known = _class_called(capsule)
    here, there = source_of(known) if known is not None else None, capsule.job_class.get("source")
    return None if here is None or there is None else here == there


# --- the job -----------------------------------------------------------------------------------


def _class_called(capsule: Capsule) -> type[Job] | None:
    return registry.lookup(capsule.class_name, Job)


def _job_of(capsule: Capsule, values: Mapping[str, str], run_code: bool) -> Any:
    """Return the job, stored in the private store, as it was before it was tried."""
    cls = _class_called(capsule)
    if cls is None:
        raise CapsuleError(
            f"the class {capsule.class_name} is not loaded here: --app MODULE loads it; it was in "
            f"{capsule.job_class.get('module')}"
        )
    if capsule.slice is not None and not issubclass(cls, Batch):
        raise CapsuleError(f"it has a slice, and {cls.__name__} is not a batch job here")
    _refuse_code(cls, capsule, values, run_code)
    try:
        job = cls.from_document(_fresh(cls, capsule), strict=False)
        refuse_newer(job)
        _assign(job, capsule, values)
        _make_ready(job, capsule)
        check_fits(job)
        Job.collection().insert_one(job.to_document())
        return cls.find(job.id)
    except ValidationError as error:
        raise CapsuleError(_with_left_out(str(error), capsule)) from error
    except RocketJobError:
        raise
    except Exception as error:  # whatever a class raises when it is given what is stored
        raise CapsuleError(f"its job cannot be loaded: {type(error).__name__}: {error}") from error


def _refuse_code(
    cls: type[Job], capsule: Capsule, values: Mapping[str, str], run_code: bool
) -> None:
    fields = cls.fields().values()
    code = [f.name for f in fields if f.code and capsule.document.get(f.key) is not None]
    if code and not run_code:
        raise CapsuleError(
            f"it holds code that would be run, in {' and '.join(code)}: read that first, and then "
            "--run-code runs it"
        )


def _fresh(cls: type[Job], capsule: Capsule) -> Stored:
    """Return the document as that of a job that nobody has tried, without encrypted values."""
    dropped = {*claims.UNSTARTED, *FRESH, "claim_number", claims.QUARANTINED}
    dropped |= {f.key for f in cls.fields().values() if f.encrypted}
    kept = {key: value for key, value in capsule.document.items() if key not in dropped}
    return {**kept, "state": "queued"}


def _assign(job: Any, capsule: Capsule, values: Mapping[str, str]) -> None:
    """Give a job what is not loaded: encrypted values, and what is said on the command line."""
    for name, field in job.fields().items():
        if field.encrypted and field.key in capsule.document:
            setattr(job, name, field.load(capsule.document[field.key]))
    for name, text in values.items():
        if name not in job.fields():
            raise CapsuleError(
                hinted(f"{type(job).__name__} has no field {name}", name, job.fields())
            )
        try:
            setattr(job, name, job.fields()[name].codec.from_text(text))
        except ValueError as error:
            raise CapsuleError(f"{name}: {error}") from None


def _make_ready(job: Any, capsule: Capsule) -> None:
    if capsule.slice is None:
        return
    job.state, job.sub_state, job.upload_mark = "running", "processing", None
    job.max_rejects = None  # else the record would be set aside, and raise nothing
    for category in job.input_categories:
        if serializer(category.serializer).is_secret:
            category.serializer = "compress"  # the keys are elsewhere, and it is not kept


def _with_left_out(problem: str, capsule: Capsule) -> str:
    if not capsule.left_out:
        return problem
    left_out = "; ".join(capsule.left_out)
    return f"{problem}. Left out of the capsule: {left_out}. NAME=VALUE gives a field its value"


def _throwaway_key() -> dict[str, Any]:
    """Return the setting with which what is encrypted can be stored for the length of a replay."""
    from rocketjob_plugins.encryption import keys  # only where a capsule is replayed

    with contextlib.suppress(RocketJobError, ImportError):
        return {"encryption_keys": [keys.new_key("replay")]}
    return {}
