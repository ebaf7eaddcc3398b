"""One action on all jobs that match: counted beforehand, and done to each of them once.

    from rocketjob.jobs.bulk import bulk

    result = bulk(Job.failed().where({"exception.class_name": "OSError"}), "retry", reason="disk")
    result.counts  # {"done": 187, "skipped": 0, "refused": 0, "failed": 0}

Which jobs are meant is fixed when the action is made: what is created, or enters a state, later is
left alone. Each job is changed only as it was read. A plugin may have a job do it instead, where
there are very many: see the hook `take_over`; `result.job` is that job then.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import attrs
from bson import ObjectId

from rocketjob.base import acts, clock
from rocketjob.base.errors import (
    InvalidTransition,
    NotFound,
    StateConflict,
    ValidationError,
)
from rocketjob.base.text import hinted
from rocketjob.jobs import walk
from rocketjob.jobs.claims import COLLECTION
from rocketjob.jobs.exception import message_of
from rocketjob.jobs.job import Job
from rocketjob.jobs.query import JobQuery
from rocketjob.jobs.shown import class_name
from rocketjob.jobs.steering import destroy_as_read, edit
from rocketjob.model import deeds
from rocketjob.model.record import record_of
from rocketjob.model.registry import loaded_classes, stored_names
from rocketjob.model.types import typed_json
from rocketjob.states.machine import Event
from rocketjob.store import Filter, Stored, context

DONE, SKIPPED, REFUSED, FAILED = WORDS = ("done", "skipped", "refused", "failed")
"""What can become of a job: its state had changed, somebody may not do it, or it raised."""
SET_PRIORITY = "set_priority"
BESIDE_EVENTS = ("destroy", SET_PRIORITY)
BY_WORKERS = ("start", "complete")  # events that mean nothing if nobody performs the job
NEVER_EDITED: Filter = {"state": {"$nin": ["completed", "aborted"]}}
May = Callable[[Job], bool]


class Outcome(NamedTuple):
    """What became of one job.

    Attributes:
        id: of the job.
        name: its class; None if it is not there any more.
        word: one of `WORDS`.
        text: why, unless it was done.
        source: the state in which it was.
        target: the state in which it is; None if it is not there any more.
    """

    id: ObjectId
    name: str | None
    word: str
    text: str | None = None
    source: str | None = None
    target: str | None = None


@attrs.frozen(kw_only=True)
class Preview:
    """What an action would do.

    Attributes:
        by_state: how many of the jobs that match are in which state, if that allows it.
        by_class: the same jobs.
        matching: how many match in all; None where they were not counted.
        is_all: whether all were counted; else there are more.
    """

    by_state: dict[str, int]
    by_class: dict[str, int]
    matching: int | None = None
    is_all: bool = True

    @property
    def count(self) -> int:
        """How many it would be done to, or at least."""
        return sum(self.by_state.values())

    @property
    def left_alone(self) -> int:
        """How many match, but are in a state that does not allow it, as far as is known."""
        return max(0, (self.matching or 0) - self.count)


@attrs.frozen(kw_only=True)
class BulkAction:
    """One action on many jobs.

    Attributes:
        event: the name of an event, `destroy` or `set_priority`.
        filter: which jobs, as the store is asked for them.
        priority: for `set_priority`.
        reason: for the event, if that takes one; 500 characters are kept.
        at: jobs that were created, or ended, later are left alone, by the clocks of the processes
            that did so.
        also_later: these too.
        only_of: None, or the login of the only person whose jobs it may be done to.
    """

    event: str
    filter: Filter
    priority: int | None = None
    reason: str | None = None
    at: datetime = attrs.field(factory=clock.now)
    also_later: bool = False
    only_of: str | None = None

    @classmethod
    def on(cls, query: JobQuery[Any], event: str, **more: Any) -> BulkAction:
        """Return an action on the jobs of a query, whose order does not matter.

        Raises:
            ValueError: there is no such event, only workers make it, or the priority is wrong.
            TypeError: the query has a limit.
        """
        if query.maximum or query.skipped:
            raise TypeError("a bulk action takes all that match: no limit, and no skip")
        return cls(event=event, filter=query.filter(), **more)

    def __attrs_post_init__(self) -> None:
        check_event(self.event)
        if self.event != SET_PRIORITY:
            if self.priority is not None:
                raise ValueError(f"{self.event} takes no priority")
        elif type(self.priority) is not int or not 1 <= self.priority <= 100:
            raise ValueError(f"the priority must be from 1 to 100, not {self.priority!r}")

    # --- which jobs --------------------------------------------------------------------------

    def matching(self) -> Filter:
        """Return the filter of all that match."""
        if self.also_later:
            return self.filter
        # What lacks these, or has something else there, is not later either.
        not_later: Filter = {"$not": {"$gt": self.at}}
        return {"$and": [self.filter, {"created_at": not_later, "completed_at": not_later}]}

    def possible(self) -> Filter:
        """Return the filter of those that match whose state allows the action."""
        return {"$and": [self.matching(), allowing(self.event, self.at)]}

    def preview(self, seconds: float | None = None) -> Preview:
        """Count what it would be done to, of the jobs that there are now.

        Args:
            seconds: after which it is not gone on with; None: all are counted, which may take
                long where no index has what is asked for.
        """
        store = context.current().store
        # Nothing is later than now: so nothing is asked that the index of claims does not have.
        possible = {"$and": [self.filter, allowing(self.event, self.at)]}
        if seconds is not None:
            return self._counted_in(seconds, possible)
        return _preview(
            store.count_by(COLLECTION, "state", possible),
            store.count_by(COLLECTION, "_type", possible),
            matching=Job.collection().count_documents(self.filter),
        )

    def _counted_in(self, seconds: float, possible: Filter) -> Preview:
        """Count one by one, until the time is up; also while none is found that matches."""
        states: Counter[Any] = Counter()
        classes: Counter[Any] = Counter()
        until, is_all = clock.monotonic() + seconds, True
        for stored in walk.matching(possible, allowing(self.event, self.at)):
            if clock.monotonic() > until:
                is_all = False
                break
            if stored is None:
                continue
            states[str(stored.get("state"))] += 1
            classes[str(stored.get("_type"))] += 1
        return _preview(states, classes, is_all=is_all)

    # --- one job -----------------------------------------------------------------------------

    def do_to(self, stored: Stored, may: May | None = None, by: str | None = None) -> Outcome:
        """Do it to one job, if it is in the store as it was read.

        Args:
            stored: what was read: a job that matches `possible`.
            may: says whether whoever asks may do it to a job; None: to any.
            by: the person's name, for the history of the job; None: that of the act.

        Raises:
            Exception: only of the store, where it is out of reach for a while.
        """
        job = Job.listed(stored)
        name, source = class_name(job), job.state
        if not self._is_allowed(job) or (may is not None and not may(job)):
            text = "whoever asked for it may not do that to this job"
            return Outcome(job.id, name, REFUSED, text, source, source)
        if by is not None:
            record_of(job).by = by
        try:
            self._do(job)
        except (StateConflict, NotFound) as error:
            return Outcome(job.id, name, SKIPPED, message_of(error), source)
        except Exception as error:  # a guard of its state, a validation, a callback of its class
            if context.current().store.is_transient(error):
                raise
            return Outcome(job.id, name, FAILED, _why(error), source)
        target = None if self.event == "destroy" else job.state
        return Outcome(job.id, name, DONE, None, source, target)

    def _is_allowed(self, job: Job) -> bool:
        return self.only_of is None or getattr(job, "login", None) == self.only_of

    def _do(self, job: Job) -> None:
        if self.event == "destroy":
            destroy_as_read(job)
        elif self.event == SET_PRIORITY:
            edit(job, {"priority": self.priority})
        else:
            event = job.event_called(self.event)
            getattr(job, self.event)(**self._arguments(event))

    def _arguments(self, event: Event) -> dict[str, Any]:
        if "reason" not in inspect.signature(event.effect).parameters:
            return {}
        act = acts.present()
        reason = self.reason or (act.reason if act is not None else None)
        if reason is None and self.event == "fail":
            reason = f"failed by {(act and act.by) or 'somebody'}, with others"
        return {"reason": reason}

    # --- all of them -------------------------------------------------------------------------

    def hand_over(self, count: int) -> Job | None:
        """Have a plugin's job do it; return that job, or None if none takes it.

        Args:
            count: of the jobs that it is to be done to, by the preview.
        """
        job: Job | None = context.current().plugins.first("take_over", action=self, count=count)
        return job

    def ids(self, at_most: int = 0) -> list[ObjectId]:
        """Return the ids of the jobs that it is possible for, in their order.

        Args:
            at_most: only the first ones; 0 for all.
        """
        order = [("_id", 1)]
        found = Job.collection().find(self.possible(), {"_id": 1}, sort=order, limit=at_most)
        return [stored["_id"] for stored in found]

    def do_at_once(
        self, count: int, may: May | None = None, ids: Iterable[ObjectId] | None = None
    ) -> Iterator[Outcome]:
        """Do it to all of them, here and now; yield what becomes of each, the oldest first.

        Args:
            count, may: see `hand_over`, `do_to`.
            ids: of the jobs, if they have been looked for.
        """
        after = {"count": count, "filter": typed_json.dumps(self.filter)}
        after |= {} if self.priority is None else {"priority": self.priority}
        deeds.record(f"bulk {self.event}", "jobs", after=after)
        jobs, possible = Job.collection(), self.possible()
        for id in self.ids() if ids is None else ids:
            stored = jobs.find_one({"$and": [{"_id": id}, possible]})
            yield gone(id) if stored is None else self.do_to(stored, may)


def gone(id: ObjectId) -> Outcome:
    """Return the outcome of a job that does not match any more."""
    stored = Job.collection().find_one({"_id": id}, {"_type": 1, "state": 1})
    if stored is None:
        return Outcome(id, None, SKIPPED, "it is gone")
    name, state = stored_names(str(stored.get("_type")))[0], str(stored.get("state"))
    return Outcome(id, name, SKIPPED, f"it has changed meanwhile, and is {state}", None, state)


@attrs.frozen(kw_only=True)
class BulkResult:
    """What became of an action.

    Attributes:
        outcomes: of each job; empty where a job of its own does it.
        counts: how many were done, skipped, refused and failed, by these words.
        job: that does it, if there are very many; it is still to run.
    """

    outcomes: list[Outcome] = attrs.field(factory=list)
    counts: dict[str, int] = attrs.field(factory=dict)
    job: Job | None = None


def bulk(
    query: JobQuery[Any],
    event: str,
    *,
    priority: int | None = None,
    reason: str | None = None,
    also_later: bool = False,
) -> BulkResult:
    """Make an event of all jobs that match, destroy them, or set their priority.

    Up to a number of jobs, by default 1,000, it is done here and now; beyond that by a job of its
    own, which a server runs: see the setting `at_once` of the plugin `bulk`.

    Args:
        query: such as `ImportJob.failed()`.
        event: the name of an event, such as `retry`, or `destroy` or `set_priority`.
        priority: for `set_priority`, 1 to 100.
        reason: for events that take one.
        also_later: also jobs that are created, or end, after this call.

    Raises:
        ValueError, TypeError: see `BulkAction.on`.
    """
    more = {"priority": priority, "reason": reason, "also_later": also_later}
    action = BulkAction.on(query, event, **more)
    count = action.preview().count
    if (job := action.hand_over(count)) is not None:
        return BulkResult(job=job)
    outcomes = list(action.do_at_once(count))
    return BulkResult(outcomes=outcomes, counts=counted_by_word(outcomes, count))


def counted_by_word(outcomes: Iterable[Outcome], expected: int) -> dict[str, int]:
    """Count outcomes by their words; what is missing has changed before it was looked at."""
    counts = dict.fromkeys(WORDS, 0)
    for outcome in outcomes:
        counts[outcome.word] += 1
    counts[SKIPPED] += max(0, expected - sum(counts.values()))
    return counts


def check_event(name: str) -> None:
    """Refuse an event that no class has, or that only workers make.

    Raises:
        ValueError: it says what there is instead.
    """
    if name in BY_WORKERS:
        raise ValueError(f"{name}: only a worker does that")
    known = {each for cls in loaded_classes(Job) for each in cls.__events__}
    if name not in known | {*BESIDE_EVENTS}:
        problem = f"no class that is loaded here has an event {name}"
        raise ValueError(hinted(problem, name, known))


def allowing(name: str, now: datetime) -> Filter:
    """Return the filter of the jobs whose class has an event, and whose state allows it.

    Args:
        now: only a job that waits for a later time can be run at once.
    """
    if name == "destroy":
        return {}
    if name == SET_PRIORITY:
        return NEVER_EDITED
    if name == "run_now":
        return {"state": "queued", "run_at": {"$gt": now}}
    return of_event(name)


def of_event(name: str) -> Filter:
    """Return the filter of the jobs whose class has an event and whose state allows it."""
    if name in Job.__events__:
        return Job.__events__[name].clause()
    classes: dict[Event, list[str]] = {}
    for cls in loaded_classes(Job):
        if name in cls.__events__:
            classes.setdefault(cls.__events__[name], []).append(cls.type_name())
    return {"$or": [{"_type": {"$in": c}, **event.clause()} for event, c in classes.items()]}


def _preview(states: Mapping[Any, int], types: Mapping[Any, int], **more: Any) -> Preview:
    classes: Counter[str] = Counter()
    for name, number in types.items():
        classes[stored_names(str(name))[0]] += number  # the class may have been renamed
    by_state = {str(state): number for state, number in _most_first(states)}
    return Preview(by_state=by_state, by_class=dict(_most_first(classes)), **more)


def _most_first(counts: Mapping[Any, int]) -> list[tuple[Any, int]]:
    return sorted(counts.items(), key=lambda each: (-each[1], str(each[0])))


def _why(error: Exception) -> str:
    if isinstance(error, InvalidTransition | ValidationError):
        return message_of(error)
    return f"{type(error).__name__}: {message_of(error)}"
