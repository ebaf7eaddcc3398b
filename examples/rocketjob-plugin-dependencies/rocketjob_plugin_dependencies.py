"""Jobs that wait for other jobs: chains, groups, and graphs of both.

    class ExtractJob(Dependent, Job): ...
    class ReportJob(Dependent, Job): ...

    parts = [ExtractJob.create(region=region) for region in "NSEW"]
    ReportJob.create(depends_on=[part.id for part in parts])

    chain(LoadJob(), [CheckJob(), CountJob()], ReportJob())

Both ends use the mixin: what ends without it leaves no trace once it is removed.

Fields: `depends_on`, ids of jobs; `if_dependency_fails` (editable, copied): `wait` until it is
retried and completes, `abort` this job too, or `run` it all the same. What depends on an aborted
job is aborted, unless it is to `run`.

How it works: a job that waits is in the state `waiting`, and `waits_for` names one job that has not
completed. When that one ends, the next is looked for, until there is none. That a job completed is
stored with its completion (`transition_writes`), so it is known although the job is removed. What a
process that died has left is found by the sweeps of all servers.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any, Literal

from bson import ObjectId

from rocketjob import (
    EventCommand,
    InvalidTransition,
    Job,
    NotFound,
    State,
    StateConflict,
    Transition,
    ValidationError,
    after,
    before,
    event,
    field,
    hookimpl,
    now,
    only_for,
    validate,
)
from rocketjob.application import current
from rocketjob.base.settings import Setting, whole
from rocketjob.jobs.reasons import Reason
from rocketjob.server.checks import WARNING, Check, Finding
from rocketjob.store import Insert

COMPLETED = "dependencies.completed"  # documents {_id: id of a job, at: when}
AT_ONCE = 500  # jobs that are released by the worker that ended what they waited for
IN_A_SWEEP = 1_000  # jobs that a server releases in one sweep
IDS = 1_000  # in one query
REMEMBER_DAYS = Setting(
    "remember_days", 30, whole(1), "days for which it is known that a job completed",
    table="dependencies",
)  # fmt: skip
_settling = threading.local()


class Dependent(Job, abstract=True):
    """Mixin: see the module."""

    depends_on: list[ObjectId] = field(factory=list, description="ids of jobs to wait for")
    if_dependency_fails: Literal["wait", "abort", "run"] = field(
        default="wait", user_editable=True, copy_on_restart=True
    )
    waits_for: ObjectId | None = field(default=None, description="set by the plugin")

    @event(Transition("queued", "waiting"))
    def wait_for_dependencies(self, *, save: bool = True) -> None:
        """Hold the job back until what it depends on has ended."""

    @event(Transition("waiting", "queued"))
    def release(self, *, save: bool = True) -> None:
        """Queue a job that waits, whatever became of what it waits for."""
        self.waits_for = None

    # --- when it is stored -------------------------------------------------------------------

    @validate
    def _dependencies_can_end(self) -> None:
        if not self._dependencies_changed():
            return
        if self.state not in ("queued", "waiting"):
            self.errors.add("depends_on", f"cannot be changed of a job that is {self.state}")
        for problem in _unusable(self):
            self.errors.add("depends_on", problem)

    @before("save")
    def _dependencies_hold(self) -> None:
        if self.state not in ("queued", "waiting") or not self._dependencies_changed():
            return
        if self.waits_for is not None and not self.is_new:
            self.waits_for = None  # it is found again among what was given now
        verdict, self.waits_for = self._dependencies_verdict()
        if verdict != "release" and self.state == "queued":
            self.wait_for_dependencies(save=False)

    @after("save")
    def _dependencies_look(self) -> None:
        """Look again once it is stored: only from here on does whoever ends find it."""
        while self.state == "waiting":
            verdict, id = self._dependencies_verdict()
            if verdict == "release":
                self.release()
            elif verdict == "abort":
                self.abort(reason=f"the job {id}, on which it depends, has not completed")
            elif id == self.waits_for:
                return
            else:
                self.update(waits_for=id, validate=False)

    def _dependencies_changed(self) -> bool:
        if self.is_new:
            return bool(self.depends_on or self.waits_for)
        return list(self.depends_on) != list(self.stored_value("depends_on") or ())

    def _dependencies_verdict(self) -> tuple[Literal["release", "abort", "wait"], ObjectId | None]:
        """Return what is to become of the job, and because of which other one.

        Of many to wait for it is any, unless it waits for one of them already: whatever the order
        in which n jobs end, it is looked at about log(n) times.
        """
        open_ones: list[ObjectId] = []
        for id, state in _states_of(self._dependencies_ids()).items():
            if state == "completed" or (
                self.if_dependency_fails == "run" and state in ("failed", "aborted")
            ):
                continue
            if state == "aborted" or (state == "failed" and self.if_dependency_fails == "abort"):
                return "abort", id
            open_ones.append(id)
        if not open_ones:
            return "release", None
        return "wait", self.waits_for if self.waits_for in open_ones else random.choice(open_ones)

    def _dependencies_ids(self) -> list[ObjectId]:
        """Return what it depends on; one that begins a chain waits for that to be stored."""
        return list(dict.fromkeys([*self.depends_on, *filter(None, [self.waits_for])]))

    # --- when people ask ---------------------------------------------------------------------

    def held_up_by(self) -> Iterable[Reason]:
        yield from super().held_up_by()
        if self.state == "waiting":
            states = _states_of(self._dependencies_ids())
            open_ones = {id: state for id, state in states.items() if state != "completed"}
            yield Reason("dependencies", f"it waits for {_listed(open_ones)}")


# --- storing several -------------------------------------------------------------------------


def chain(*steps: Dependent | Sequence[Dependent]) -> list[Dependent]:
    """Store jobs that run one after the other; those of a list, side by side. Return all.

    None of them runs before all are stored. If the process dies in between, or one is not valid,
    none ever does; those that are stored already wait, and can be aborted.

    Raises:
        ValidationError: of the first job that is not valid; those before it are aborted.
    """
    id, stored, last = ObjectId(), list[Dependent](), list[Dependent]()
    try:
        for step in steps:
            jobs = [step] if isinstance(step, Dependent) else list(step)
            for job in jobs:
                job.depends_on = [*job.depends_on, *(each.id for each in last)]
                if not job.depends_on:
                    job.waits_for = id
                stored.append(job.submit())
            last = jobs or last
    except BaseException:
        for job in reversed(stored):
            _quietly(job.abort)
        raise
    current().store.collection(COMPLETED).insert_one({"_id": id, "at": now()})
    _settle(id)
    return stored


def after_all(jobs: Iterable[Job], job: Dependent) -> Dependent:
    """Store a job that runs when all of these have completed; return it."""
    job.depends_on = [*job.depends_on, *(each.id for each in jobs)]
    return job.submit()


# --- when what is waited for ends ------------------------------------------------------------


@hookimpl
@only_for(Dependent)
def transition_writes(job: Job, target: str) -> list[Insert]:
    return [Insert(COMPLETED, {"_id": job.id, "at": now()})] if target == "completed" else []


@hookimpl
@only_for(Dependent)
def state_changed(job: Job, target: str) -> None:
    if target in ("completed", "failed", "aborted"):
        _settle(job.id)


@hookimpl
def server_sweep() -> None:
    """Release or abort what a process that died has left: every server, for its own classes."""
    store, left = current().store, IN_A_SWEEP
    waited_for = list(store.count_by(Job.collection_name, "waits_for", {"state": "waiting"}))
    for start in range(0, len(waited_for), IDS):
        for id, state in _states_of(waited_for[start : start + IDS]).items():
            if left > 0 and state in ("completed", "failed", "aborted"):
                left -= _settle_one(id, state, left)


@hookimpl
def sweep() -> None:
    """Forget that jobs completed long ago, but for those on which a job that waits depends."""
    completed = current().store.collection(COMPLETED)
    old = {"at": {"$lt": now() - timedelta(days=REMEMBER_DAYS.of(current().config))}}
    if completed.find_one(old, {"_id": 1}) is None:
        return
    waiting = Job.collection().find({"state": "waiting"}, {"depends_on": 1})
    needed = {id for stored in waiting for id in stored.get("depends_on") or ()}
    for ids in _parts(needed):
        completed.update_many({"_id": {"$in": ids}}, {"$set": {"at": now()}})
    completed.delete_many(old)


def _settle(id: ObjectId) -> None:
    """Settle what waits for a job that has ended, and what waits for jobs that are aborted by that.

    Those come after it rather than within it: a chain of jobs may be longer than the stack.
    """
    todo: list[ObjectId] | None = getattr(_settling, "todo", None)
    if todo is not None:
        todo.append(id)
        return
    todo = _settling.todo = [id]
    try:
        left, key = AT_ONCE, "depends_on"
        while todo and left > 0:  # the sweep does the rest
            next_id = todo.pop(0)
            state = _states_of([next_id])[next_id]
            left -= _settle_one(next_id, state, left, "waits_for" if state == "completed" else key)
            key = "waits_for"
    finally:
        del _settling.todo


def _settle_one(id: ObjectId, state: str, limit: int, key: str = "waits_for") -> int:
    """Look at jobs, of classes that are loaded here, that wait for one that has ended.

    Args:
        key: `depends_on`, which no index serves, finds those too that wait for another one as well.
    """
    waiting = Dependent.where({"state": "waiting", key: id})
    if state == "failed":
        waiting = waiting.where({"if_dependency_fails": {"$in": ["abort", "run"]}})
    count = 0
    for count, job in enumerate(waiting.limit(limit), 1):  # noqa: B007
        _quietly(job._dependencies_look)
    return count


def _quietly(step: Any) -> None:
    """Do it unless somebody else was first; what a job's own rules refuse is left for the sweep."""
    try:
        step()
    except (InvalidTransition, StateConflict, NotFound):
        pass
    except ValidationError as error:
        step.__self__.logger.warning("it stays as it is", error=str(error))


# --- what is known of jobs -------------------------------------------------------------------


def _states_of(ids: Sequence[ObjectId]) -> dict[ObjectId, str]:
    """Return the states of jobs; `gone` for one of which nobody knows whether it completed.

    The jobs are read first: one that is removed then has left its note before.
    """
    states: dict[ObjectId, str] = {}
    for part in _parts(ids):
        states |= {
            stored["_id"]: stored["state"]
            for stored in Job.collection().find({"_id": {"$in": part}}, {"state": 1})
        }
        missing = [id for id in part if id not in states]
        found = current().store.collection(COMPLETED).find({"_id": {"$in": missing}}, {"_id": 1})
        states |= dict.fromkeys((note["_id"] for note in found), "completed") if missing else {}
    return {id: states.get(id, "gone") for id in ids}


def _unusable(job: Dependent) -> Iterator[str]:
    """Say which jobs this one cannot wait for, and why."""
    if _is_in_a_circle(job):
        yield "the jobs would wait for one another"
        return
    for id, state in _states_of(job.depends_on).items():
        if state == "gone":
            yield f"there is no job {id}, and nobody knows whether it completed: store it first"
    others = {"_id": {"$in": list(job.depends_on)}, "if_dependency_fails": {"$exists": False}}
    for stored in Job.collection().find(others, {"_type": 1}):
        name = f"{stored['_type']} {stored['_id']}"
        yield f"{name} does not have the mixin Dependent: nobody would notice that it ended"


def _is_in_a_circle(job: Dependent) -> bool:
    seen, todo = set(job.depends_on), list(job.depends_on)
    while todo and job.id not in seen and not job.is_new:  # nothing can wait for a new one yet
        rows = Job.collection().find({"_id": {"$in": todo[:IDS]}}, {"depends_on": 1})
        found = {id for row in rows for id in row.get("depends_on") or ()} - seen
        seen, todo = seen | found, [*todo[IDS:], *found]
    return job.id in seen


def _listed(states: dict[ObjectId, str]) -> str:
    """Return what is waited for in words, such as `LoadJob 55ae... (running)`."""
    names = {
        stored["_id"]: stored["_type"]
        for stored in Job.collection().find({"_id": {"$in": list(states)[:5]}}, {"_type": 1})
    }
    says = {
        "failed": "failed: retry or abort it",
        "gone": "gone: release this job, or abort it",
    }
    shown = [
        f"{names.get(id, 'job')} {id} ({says.get(state, state)})"
        for id, state in list(states.items())[:5]
    ]
    more = [f"{len(states) - 5} more"] if len(states) > 5 else []
    return ", ".join([*shown, *more])


def _parts(ids: Iterable[ObjectId]) -> Iterator[list[ObjectId]]:
    listed = list(ids)
    yield from (listed[start : start + IDS] for start in range(0, len(listed), IDS))


# --- for rocketjob ---------------------------------------------------------------------------


def _look_for_gone(patient: Any) -> Iterator[Finding]:
    waited_for = patient.store.count_by(Job.collection_name, "waits_for", {"state": "waiting"})
    states = _states_of(list(waited_for))
    count = sum(waited_for[id] for id, state in states.items() if state == "gone")
    if count:
        yield Finding(
            "dependencies",
            WARNING,
            f"{count} jobs wait for jobs that are gone, and nobody knows whether those completed",
            "let them go with `rocketjob jobs release`, or abort them; see rocketjob jobs explain",
            {"jobs": count},
        )


@hookimpl
def register_mixins() -> list[type[Job]]:
    return [Dependent]


@hookimpl
def register_states() -> list[State]:
    release = EventCommand("release", "Let jobs go that wait for other jobs.", "released")
    return [State("waiting", "it waits for other jobs", "blue", [release])]


@hookimpl
def register_settings() -> list[Setting[Any]]:
    return [REMEMBER_DAYS]


@hookimpl
def register_checks() -> list[Check]:
    return [Check("dependencies", _look_for_gone)]


@hookimpl
def register_indexes() -> dict[str, list[dict[str, Any]]]:
    there = {"waits_for": {"$exists": True}}
    by_job = {"keys": [("waits_for", 1)], "name": "waits_for", "partialFilterExpression": there}
    return {
        Job.collection_name: [by_job],
        COMPLETED: [{"keys": [("at", 1)], "name": "at"}],
    }
