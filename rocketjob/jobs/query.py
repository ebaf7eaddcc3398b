"""`JobQuery`: what `Job.where` and the scopes return; `Scopes`: what `Job` has of them."""

from __future__ import annotations

from typing import Any, Self, TypeVar

from rocketjob.base import clock
from rocketjob.jobs.state_names import check_states
from rocketjob.model.document import Document
from rocketjob.model.query import Query
from rocketjob.states.stateful import Stateful, change_each
from rocketjob.states.transitions import KERNEL_STATES
from rocketjob.store import Filter, context

J = TypeVar("J", bound=Document)
STATES = KERNEL_STATES


class JobQuery(Query[J]):
    """A query of jobs, with a scope for each state."""

    def search(self, text: str) -> Self:
        """Narrow by a search, such as `class:ImportJob error:"ZZ" created:>2h`: see Queries.

        Raises:
            SearchError: it cannot be understood; the error says where, and what would be right.
        """
        from rocketjob.jobs.search import parse  # for start-up time

        return parse(text, self.model).narrow(self)

    def queued(self) -> Self:
        """Narrow to jobs that wait, scheduled ones included."""
        return self.where({"state": "queued"})

    def running(self) -> Self:
        return self.where({"state": "running"})

    def completed(self) -> Self:
        return self.where({"state": "completed"})

    def failed(self) -> Self:
        return self.where({"state": "failed"})

    def paused(self) -> Self:
        return self.where({"state": "paused"})

    def aborted(self) -> Self:
        return self.where({"state": "aborted"})

    def in_state(self, *states: str) -> Self:
        """Narrow to jobs in one of these states, which may be those of plugins.

        Raises:
            ValueError: there is no such state.
        """
        check_states(Scopes, states)
        return self.where({"state": {"$in": list(states)}})

    def scheduled(self) -> Self:
        """Narrow to queued jobs whose time has not come."""
        return self.queued().where({"run_at": {"$gt": clock.now()}})

    def queued_now(self) -> Self:
        """Narrow to queued jobs that could start now."""
        return self.queued().where({"$or": [{"run_at": None}, {"run_at": {"$lte": clock.now()}}]})


class Scopes(Stateful, abstract=True):
    """Which jobs of a class: by state, by filter, and what can be done with all of them."""

    @classmethod
    def _query(cls) -> JobQuery[Self]:
        return JobQuery(cls)

    @classmethod
    def where(cls, filter: Filter | None = None, /, **values: Any) -> JobQuery[Self]:
        return cls._query().where(filter, **values)

    @classmethod
    def search(cls, text: str) -> JobQuery[Self]:
        """Return the jobs that a search finds: see `JobQuery.search`."""
        return cls._query().search(text)

    @classmethod
    def all(cls) -> JobQuery[Self]:
        return cls._query()

    @classmethod
    def queued(cls) -> JobQuery[Self]:
        return cls._query().queued()

    @classmethod
    def running(cls) -> JobQuery[Self]:
        return cls._query().running()

    @classmethod
    def completed(cls) -> JobQuery[Self]:
        return cls._query().completed()

    @classmethod
    def failed(cls) -> JobQuery[Self]:
        return cls._query().failed()

    @classmethod
    def paused(cls) -> JobQuery[Self]:
        return cls._query().paused()

    @classmethod
    def aborted(cls) -> JobQuery[Self]:
        return cls._query().aborted()

    @classmethod
    def in_state(cls, *states: str) -> JobQuery[Self]:
        """Return the jobs in one of these states: see `JobQuery.in_state`."""
        return cls._query().in_state(*states)

    @classmethod
    def scheduled(cls) -> JobQuery[Self]:
        return cls._query().scheduled()

    @classmethod
    def queued_now(cls) -> JobQuery[Self]:
        return cls._query().queued_now()

    @classmethod
    def counts_by_state(cls) -> dict[str, int]:
        """Count the jobs of this class by state; only states that occur.

        With queued ones it also has `queued_now` and `scheduled`, where they are not 0.
        """
        store = context.current().store
        counts = store.count_by(cls.collection_name, "state", cls._query().filter())
        by_state = {state: counts[state] for state in STATES if counts.get(state)}
        by_state |= {str(state): number for state, number in counts.items() if number}
        if by_state.get("queued"):
            scheduled = cls.scheduled().count()
            now = by_state["queued"] - scheduled
            by_state |= {k: v for k, v in (("queued_now", now), ("scheduled", scheduled)) if v > 0}
        return by_state

    @classmethod
    def pause_all(cls) -> int:
        """Pause every running job that can be; return how many."""
        return change_each(cls.running(), lambda job: job.pause())

    @classmethod
    def resume_all(cls) -> int:
        """Resume every paused job; return how many."""
        return change_each(cls.paused(), lambda job: job.resume())
