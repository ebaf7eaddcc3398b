"""Schedules that are declared in code and synced to the store on deploy.

    @scheduled                                      # as the class says
    class Nightly(Cron, Job):
        cron_schedule = "0 1 * * * UTC"

    @scheduled("0 6 * * Mon", name="acme", account_id=7)
    @scheduled("0 7 * * Mon", name="beta", account_id=9)
    class Report(Cron, Job): ...

`rocketjob schedules sync` creates missing instances and updates those whose declaration has changed
since the last sync. Edits made in the store since then are kept, unless you ask to overwrite them.
To tell the two apart, each instance keeps what the code last declared, in `schedule_declared`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Literal, TypeVar, overload

import attrs
from bson import ObjectId

from rocketjob import Job
from rocketjob.application import current
from rocketjob.base.errors import ConfigurationError, NotFound, StateConflict, ValidationError
from rocketjob.jobs.origin import link
from rocketjob.model.fields import MISSING
from rocketjob.model.registry import loaded_classes, lookup
from rocketjob.store import atomically
from rocketjob_plugins.cron.job import ACTIVE, Cron
from rocketjob_plugins.cron.schedule import CronError, CronSchedule

C = TypeVar("C", bound=type[Cron])
MARK = "__rocketjob_schedules__"
KIND = "schedule"  # in the links of jobs: see `rocketjob.jobs.origin`
TRIES = 5  # for a schedule whose instance others change at the same time
Action = Literal["create", "update", "overwrite", "keep", "nothing"]


@attrs.frozen
class Schedule:
    """One declaration: a class, its schedule, and fields of its instances.

    Raises:
        ConfigurationError: the schedule or a field is not valid.
    """

    job_class: type[Cron]
    cron_schedule: str
    name: str
    fields: Mapping[str, Any] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        where = f"@scheduled on {self.job_class.__name__}"
        try:
            CronSchedule(self.cron_schedule or "")
        except CronError as error:
            raise ConfigurationError(f"{where}: {error}") from None
        for name in self.fields:
            field = self.job_class.fields().get(name)
            if field is None or field.read_only:
                raise ConfigurationError(f"{where}: there is no field {name} that can be set")
            if not field.copy_on_restart:
                raise ConfigurationError(
                    f"{where}: {name} would be lost after the first run: declare it with "
                    "field(copy_on_restart=True)"
                )

    def values(self) -> dict[str, Any]:
        """Return what is declared, by field."""
        return {"cron_schedule": self.cron_schedule, **self.fields}

    def names(self) -> list[str]:
        """Return the names that it may be stored under: one without a name has the class's."""
        names = self.job_class.stored_names()
        return names if self.name in names else [self.name]

    def stored(self) -> Cron | None:
        """Return the active instance of this schedule, or else a matching one made by hand."""
        active = self.job_class.where({"state": {"$in": list(ACTIVE)}})
        active = active.where(
            {"cron_schedule": {"$exists": True}, "_type": self.job_class.stored_type()}
        )
        by_name = active.where({"schedule_name": {"$in": self.names()}}).first()
        by_hand = {"schedule_name": None, "cron_schedule": self.cron_schedule}
        return by_name or active.where(by_hand).first()


@attrs.frozen
class Step:
    """What sync does, or would do, with one schedule.

    Attributes:
        changes: the fields to set, with their values.
        kept: the fields that were edited in the store and stay so: (stored, declared).
    """

    schedule: Schedule
    action: Action
    job: Cron | None = None
    changes: Mapping[str, Any] = attrs.field(factory=dict)
    kept: Mapping[str, tuple[Any, Any]] = attrs.field(factory=dict)

    def make(self) -> Cron:
        """Apply this step, in one transaction with the reads it is based on. See `bring`."""
        declared = self.schedule.values()
        remembered: dict[str, Any] = {
            "schedule_name": self.schedule.name,
            "schedule_declared": _encoded(self.schedule.job_class, declared),
        }
        if self.job is None:
            job = self.schedule.job_class(**declared, **remembered)
            job.created_for = link(KIND, self.schedule.name)
            return job.submit()
        return self.job.update(**self.changes, **remembered)


@overload
def scheduled(cron_schedule: C) -> C: ...
@overload
def scheduled(
    cron_schedule: str | None = ..., *, name: str | None = ..., **fields: Any
) -> Callable[[C], C]: ...
def scheduled(cron_schedule: Any = None, *, name: str | None = None, **fields: Any) -> Any:
    """Declare that a class runs on a schedule, for `rocketjob schedules sync`.

    Args:
        cron_schedule: overrides that of the class.
        name: distinguishes several schedules of one class.
        fields: values for the instances.
    """

    def decorate(cls: C) -> C:
        declared = cls.__dict__.get(MARK, ())
        default = cls.fields()["cron_schedule"].default if issubclass(cls, Cron) else None
        expression = cron_schedule if isinstance(cron_schedule, str) else default
        if not issubclass(cls, Cron) or not expression:
            raise ConfigurationError(
                f"@scheduled: {cls.__name__} must be a Cron job with a schedule"
            )
        schedule = Schedule(cls, expression, name or cls.__name__, fields)
        if any(schedule.name == other.name for other in declared):
            raise ConfigurationError(
                f"@scheduled: {cls.__name__} has two schedules called {schedule.name}: "
                "give each a name"
            )
        setattr(cls, MARK, (schedule, *declared))
        return cls

    return decorate(cron_schedule) if isinstance(cron_schedule, type) else decorate


def declared_schedules() -> list[Schedule]:
    """Return the schedules that the loaded classes declare."""
    declared = [cls.__dict__.get(MARK, ()) for cls in loaded_classes(Job)]
    return [schedule for schedules in declared for schedule in schedules]


def plan(schedules: Iterable[Schedule] | None = None, overwrite: bool = False) -> list[Step]:
    """Return what a sync would do, without doing it.

    Args:
        schedules: default to those that the loaded classes declare.
        overwrite: also reset what was edited in the store.
    """
    chosen = declared_schedules() if schedules is None else schedules
    return [_step(schedule, overwrite) for schedule in chosen]


def sync(schedules: Iterable[Schedule] | None = None, overwrite: bool = False) -> list[Step]:
    """Create and update instances as declared; return what was done. See `plan`."""
    chosen = declared_schedules() if schedules is None else schedules
    return [bring(schedule, overwrite) for schedule in chosen]


def bring(schedule: Schedule, overwrite: bool = False) -> Step:
    """Create or update the instance of one schedule; return what was done.

    If another sync does the same at that time, or the instance ends and hands over to the next one,
    the step is worked out again.

    Raises:
        ValidationError: the instance as declared is not valid.
    """
    store = current().store

    def step(session: Any) -> Step:
        decided = _step(schedule, overwrite)
        return attrs.evolve(decided, job=decided.make())

    for attempt in range(1, TRIES + 1):
        try:
            completed = atomically(store, step)
        except (NotFound, StateConflict, ValidationError):
            if attempt == TRIES:
                raise
            continue
        if not _step(schedule, overwrite).changes:
            break
    return completed


@attrs.frozen
class Undeclared:
    """An active instance whose schedule no loaded class declares.

    Attributes:
        class_name: as stored; the class may have been renamed or removed since.
        loaded: whether a class of that name is loaded here. If not, another app may still have it.
    """

    id: ObjectId
    name: str
    class_name: str
    cron_schedule: str
    run_at: datetime | None
    loaded: bool

    @property
    def advice(self) -> str:
        """What to do about it, in a sentence."""
        destroy = f"`rocketjob jobs destroy {self.id}` ends it"
        if self.loaded:
            return f"{self.name} is no longer declared: {destroy}"
        return (
            f"{self.name} waits for the class {self.class_name}, which is not loaded here: if it "
            f"was renamed or removed, {destroy}; if another app has it, leave it"
        )


def undeclared(schedules: Iterable[Schedule] | None = None) -> Iterator[Undeclared]:
    """Yield the active instances whose schedule the code no longer declares."""
    chosen = declared_schedules() if schedules is None else schedules
    names = {
        (class_name, name)
        for schedule in chosen
        for class_name in schedule.job_class.stored_names()
        for name in schedule.names()
    }
    active = {
        "schedule_name": {"$exists": True},
        "cron_schedule": {"$exists": True},
        "state": {"$in": list(ACTIVE)},
    }
    for stored in Job.collection().find(active):
        class_name, name = str(stored["_type"]), stored["schedule_name"]
        if (class_name, name) in names or not name or not stored["cron_schedule"]:
            continue
        yield Undeclared(
            id=stored["_id"],
            name=name,
            class_name=class_name,
            cron_schedule=stored["cron_schedule"],
            run_at=stored.get("run_at"),
            loaded=lookup(class_name, Job) is not None,
        )


def _step(schedule: Schedule, overwrite: bool) -> Step:
    job = schedule.stored()
    if job is None:
        return Step(schedule, "create", changes=schedule.values())
    cls, values = schedule.job_class, schedule.values()
    declared, stored = _plain(cls(**values), values), _plain(job, values)
    before = _declared_before(job)
    if before is None:
        before = stored  # made by hand: nothing was edited since
    before = {**_plain(cls(), values), **before}  # defaults, for what was not declared before
    changes: dict[str, Any] = {}
    kept: dict[str, tuple[Any, Any]] = {}
    edited = False
    for name, value in values.items():
        if stored[name] == declared[name]:
            continue
        by_hand = stored[name] != before[name]
        if by_hand and not overwrite:
            kept[name] = (getattr(job, name), value)
        else:
            changes[name] = value
            edited = edited or by_hand
    action: Action = "keep" if kept else "nothing"
    if changes:
        action = "overwrite" if edited else "update"
    return Step(schedule, action, job, changes, kept)


def _encoded(cls: type[Cron], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as they are stored."""
    plain = cls(**values)
    stored = {name: cls.fields()[name].store(getattr(plain, name), cls) for name in values}
    return {name: None if value is MISSING else value for name, value in stored.items()}


def _plain(job: Cron, names: Iterable[str]) -> dict[str, Any]:
    """Return fields in a form that compares equal after a round trip.

    They are not encrypted: encrypted values differ each time.
    """
    plain = {}
    for name in names:
        value, encode = getattr(job, name), type(job).fields()[name].codec.encode
        plain[name] = value if value is None or encode is None else encode(value)
    return plain


def _declared_before(job: Cron) -> dict[str, Any] | None:
    """Return what the code declared when the instance was last synced, in the form of `_plain`."""
    if job.schedule_declared is None:
        return None
    fields = type(job).fields()
    declared = type(job).under_present_names(job.schedule_declared)
    known = {name: value for name, value in declared.items() if name in fields}
    document = {fields[name].key: value for name, value in known.items() if value is not None}
    loaded = type(job).from_document({"_id": job.id, "_type": type(job).type_name(), **document})
    plain = _plain(loaded, known)
    return {name: None if value is None else plain[name] for name, value in known.items()}
