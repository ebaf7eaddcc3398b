"""`BulkActionJob`: does one action to all jobs that match, however many these are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Self

from bson import ObjectId

from rocketjob import Job, after, before, field, validate
from rocketjob.application import current
from rocketjob.base import acts, clock
from rocketjob.base.acts import Act, acting
from rocketjob.jobs import grants
from rocketjob.jobs.bulk import DONE, SKIPPED, BulkAction, gone
from rocketjob.jobs.store_away import waits_for_store
from rocketjob.model.types import typed_json
from rocketjob.store import Filter, Stored
from rocketjob_plugins.bulk import results
from rocketjob_plugins.resumable import Resumable

IDS = 20_000  # looked up in one go: the store may have to sort all that match for it
STEP = 200  # jobs between two checkpoints
FIRST = ObjectId("0" * 24)


class BulkActionJob(Resumable, Job):
    """Does one action to all jobs that match. See `rocketjob.jobs.bulk`."""

    priority = 20
    destroy_on_complete = False
    collect_output = True

    event: str = field(description="retry, pause, destroy, set_priority ...")
    filter: str = field(description="which jobs, as the store is asked for them, as JSON")
    new_priority: int | None = field(default=None, description="for set_priority")
    as_of: datetime = field(factory=clock.now, description="later jobs are left alone")
    also_later: bool = field(default=False, description="unless this is set")
    expected: int = field(default=0, description="how many there were")
    only_of: str | None = field(default=None, description="only jobs with this login")
    login: str | None = field(default=None, description="who asked for it")
    reason: str | None = field(default=None, description="why")
    asked_by: str = field(default="", description="the command or page that it was asked by")
    via: str = field(default="code", description="command, web, api or code")
    granted_by: str | None = field(default=None, description="what let whoever asked in")

    @classmethod
    def of(cls, action: BulkAction, count: int) -> Self:
        """Return the job, not yet stored, that carries an action out, for whoever acts here."""
        act = acts.present() or Act()
        return cls(
            description=f"{action.event.replace('_', ' ')} {count:,} jobs".capitalize(),
            event=action.event,
            filter=typed_json.dumps(action.filter),
            new_priority=action.priority,
            as_of=action.at,
            also_later=action.also_later,
            expected=count,
            only_of=action.only_of,
            reason=action.reason or act.reason,
            login=act.by,
            asked_by=act.how,
            via=act.via,
            granted_by=act.grant,
        )

    @validate
    def _makes_sense(self) -> None:
        if self.is_new:  # later it may be changed where an event's class is not loaded
            try:
                self.action()
            except (TypeError, ValueError) as error:
                self.errors.add("event", str(error))

    def action(self) -> BulkAction:
        """Return the action that it carries out.

        Raises:
            ValueError: there is no such action, or the filter cannot be read.
        """
        filter = typed_json.loads(self.filter)
        if not isinstance(filter, dict):
            raise ValueError(f"the filter must be an object, not {self.filter[:100]}")
        return BulkAction(
            event=self.event,
            filter=filter,
            priority=self.new_priority,
            reason=self.reason,
            at=self.as_of,
            also_later=self.also_later,
            only_of=self.only_of,
        )

    def counted(self) -> dict[str, int]:
        """Count what became of the jobs until now: done, skipped, refused, failed."""
        counts = results.counts(self.id)
        return self._with_the_missing(counts) if self.is_completed else counts

    @before("create")
    def _note_grant(self) -> None:
        """Keep what lets in whoever creates it by other ways than `of`, such as the API."""
        act = acts.present()
        if self.granted_by is None and act is not None:
            self.granted_by = act.grant

    @waits_for_store
    def perform(self) -> dict[str, int]:
        """Do it to each, from where an earlier attempt was; return how many were done and so on.

        Raises:
            GrantLost: whoever asked for it may not any more; what was done until then stays.
        """
        action, last = self.action(), self.checkpointed.get("last", FIRST)
        if self.claim_number > 1:  # what a kill has left does not match any more, as it is done
            current().store.recover(self.collection_name, {"_id": {"$gt": last}})
        counts = results.counts(self.id)
        for ids in self._steps(action):
            grants.check(self.granted_by)
            for word in self._do_to(action, ids):
                counts[word] += 1
            self._say(counts)
            self.checkpoint(last=ids[-1])
        counts = self._with_the_missing(results.counts(self.id))
        self.logger.info("a bulk action is done", event=self.event, **counts)
        return counts

    def _with_the_missing(self, counts: dict[str, int]) -> dict[str, int]:
        """Count as skipped what did not match any more when it was looked for."""
        expected = self.expected if isinstance(self.expected, int) else 0  # written by hand
        missing = max(0, expected - sum(counts.values()))
        return {**counts, SKIPPED: counts[SKIPPED] + missing}

    def _steps(self, action: BulkAction) -> Iterator[list[ObjectId]]:
        """Yield the ids of jobs that match, in their order, a few at a time."""
        last = self.checkpointed.get("last", FIRST)
        while True:
            next_ones: Filter = {"_id": {"$gt": last, "$ne": self.id}}
            wanted: Filter = {"$and": [next_ones, action.possible()]}
            found = self.collection().find(wanted, {"_id": 1}, sort=[("_id", 1)], limit=IDS)
            ids = [stored["_id"] for stored in found]
            for begin in range(0, len(ids), STEP):
                yield ids[begin : begin + STEP]
            if len(ids) < IDS:
                return
            last = ids[-1]

    def _do_to(self, action: BulkAction, ids: list[ObjectId]) -> Iterator[str]:
        """Do it to some jobs; yield what became of each that nothing was known of.

        What an earlier attempt did is looked up after the jobs have been read: whatever is changed
        later than that is noticed by the guard of the write.
        """
        wanted: Filter = {"$and": [{"_id": {"$in": ids}}, action.possible()]}
        jobs: dict[Any, Stored] = {
            stored["_id"]: stored for stored in self.collection().find(wanted)
        }
        current().store.recover(self.collection_name, {"_id": {"$in": ids}})  # what a kill has left
        known = results.known(self.id, ids)
        for id in ids:
            self.check()
            if id not in known:
                yield self._do_one(action, id, jobs.get(id))

    def _do_one(self, action: BulkAction, id: ObjectId, stored: Stored | None) -> str:
        if stored is None:
            outcome = gone(id)
        else:
            how = f"{type(self).__name__} {self.id}, by {self.asked_by or 'a program'}"
            person = acting(self.login, how=how, via=self.via, reason=self.reason)
            with person, results.of(self.id, id, self.event):
                outcome = action.do_to(stored)
        if outcome.word != DONE:
            results.note(self.id, [outcome])
        return outcome.word

    def _say(self, counts: dict[str, int]) -> None:
        total = sum(counts.values())
        others = ", ".join(
            f"{number:,} {word}" for word, number in counts.items() if number and word != DONE
        )
        self.progress(total, max(total, self.expected), others or None)

    @after("destroy")
    def _remove_results(self) -> None:
        results.remove(self.id)
