"""Go on where a job was, after a deploy, a crash, a failure or a pause.

    class ImportOrders(Resumable, Job):
        def perform(self):
            for order in self.resumable(read_orders(), every=1000):
                ...

Or with a position of your own, such as the last key of a table:

            for page in pages_after(self.checkpointed.get("page", 0)):
                ...
                self.checkpoint(page=page.number)

Fields: `checkpointed` (what `checkpoint` was given), `resumes` (how far each loop is), `start_over`
(editable: the next attempt begins at the first row). Class attribute: `pausable` is true.

A checkpoint is one write, under the claim of the worker: the position, and every field that the job
has changed meanwhile. A worker that has lost its claim, since the job was paused, aborted or given
to another one, cannot make it: `ClaimLost` ends its perform. Whether the job is to end is looked at
after each row, with `check`; when the server stops, or the `timeout` has passed, a checkpoint is
made there, so that nothing is done again.

What is done since the last checkpoint is done again: at most `every` rows. The rows have to be the
same each time, in the same order. `RowsChanged` fails a job whose rows are fewer than before, or of
which the last row before the checkpoint is another one; what cannot be seen is a change elsewhere.
"""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Iterable, Iterator, Sized
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Generic, NoReturn, TypeVar
from uuid import UUID

from bson import ObjectId

from rocketjob import Job, JobTimeout, ServerStopping, before, field, hookimpl, off_loop
from rocketjob.application import current
from rocketjob.base.errors import RocketJobError
from rocketjob.jobs.claims import claim_of
from rocketjob.model.fields import read_only_field
from rocketjob.model.record import record_of
from rocketjob_plugins.progress import Progress

T = TypeVar("T")
PLAIN = (str, bytes, int, float, bool, type(None), Decimal, date, datetime, time, timedelta)
ALIKE = frozenset((*PLAIN, UUID, ObjectId))
"""Types of rows that look the same in each process, so that a row can be known again."""


class RowsChanged(RocketJobError, ValueError):
    """The rows are not those that the job has gone through already."""


class Resumable(Progress, abstract=True):
    """Mixin: see the module."""

    pausable: ClassVar[bool] = True
    keeps_progress: ClassVar[bool] = True

    checkpointed: dict[str, Any] = read_only_field(factory=dict)
    resumes: dict[str, Any] = read_only_field(factory=dict)
    start_over: bool = field(
        default=False, user_editable=True, description="begin at the first row with the next start"
    )

    _worker: Any = None
    _loops = 0  # that this perform has begun
    _loop: weakref.ref[Any] | None = None  # through which rows it goes
    _said: Any = None

    def work(self, worker: Any) -> None:
        self._worker, self._loops, self._loop, self._said = worker, 0, None, None
        super().work(worker)

    @before("start")
    def _start_over(self) -> None:
        if self.start_over:
            self.checkpointed, self.resumes, self.start_over = {}, {}, False
            self._forget_progress()

    def checkpoint(self, **values: Any) -> None:
        """Store how far the job is; the next attempt finds it in `checkpointed`.

        Every field that the job has changed is stored in the same write. Nothing is stored for a
        job that is performed by `perform_now`.

        Args:
            values: what to go on from; those of earlier checkpoints are kept beside them.

        Raises:
            ClaimLost: the job is not this worker's any more; let it through.
            ServerStopping: its server stops, and the job has been stored; let it through.
            ValidationError: a field of the job is not valid.
        """
        if values:
            self.checkpointed = {**self.checkpointed, **values}
        if claim_of(self) is None:
            return
        stored = record_of(self).stored
        self.save()
        is_written = record_of(self).stored is not stored
        if not is_written and self.collection().find_one(self.write_guard(), {"_id": 1}) is None:
            raise self.write_lost()
        if self._worker is not None and self._worker.stopping.is_set():
            raise ServerStopping

    def resumable(self, rows: Iterable[T], every: int = 1000) -> Rows[T]:
        """Go through rows, from the first one that is not known to be done.

        A row is done when the loop asks for the next one: what the body keeps for later is lost if
        the job ends before. A checkpoint is made after each `every` rows, after the last one, and
        where the job is to end and to go on later. A perform may have several such loops, one after
        the other; they are known by their number. A loop that is left with `break` goes on from its
        last checkpoint.

        In a coroutine `async for` lets the event loop go on while a checkpoint is stored.

        Args:
            rows: the same ones in each attempt, in the same order. Of an iterator those that are
                done are read again, and passed over.
            every: how many rows may have to be done again.

        Raises:
            RowsChanged: there are fewer rows than were done, or the last of these is another one.
            TypeError: a set, whose order is another one in each process; or `every` is no integer.
            ValueError: `every` is less than 1.
            RuntimeError: within another such loop, or in a job that is performed in parts.
            ClaimLost: see `checkpoint`.
            JobTimeout, JobAborted, ServerStopping: see `check`, which is called after each row.
        """
        if isinstance(rows, set | frozenset):
            raise TypeError(
                "resumable: a set has another order in each process; give sorted(rows), or a list"
            )
        if isinstance(every, bool) or not isinstance(every, int):
            raise TypeError(f"resumable: every must be an integer, not {every!r}")
        if every < 1:
            raise ValueError(f"resumable: every must be 1 or more, not {every}")
        if not self.is_performed_at_once():
            raise RuntimeError(
                f"{type(self).__name__} is performed in parts, each of which is done or not"
            )
        return Rows(self, rows, every)

    async def checkpoint_async(self, **values: Any) -> None:
        """Do as `checkpoint`, from a coroutine, whose event loop goes on meanwhile."""
        await off_loop(self.checkpoint, **values)

    def _begin_loop(self, rows: weakref.ref[Any]) -> tuple[str, dict[str, Any]]:
        if self._loop is not None and self._loop() is not None:
            raise RuntimeError(
                "resumable: a loop within another one cannot go on by itself; "
                "use checkpoint(...) with the positions of both"
            )
        self._loop = rows  # one that is left with `break` is gone then
        self._loops += 1
        return str(self._loops), self.resumes.get(str(self._loops), {})

    def _end_loop(self, rows: weakref.ref[Any]) -> None:
        if self._loop is rows:
            self._loop = None

    def _go_through(self, rows: Rows[T], own: weakref.ref[Any]) -> Iterator[T]:
        given, iterator, every = rows.given, rows.iterator, rows.every
        del rows  # this is held by them
        loop, found = self._begin_loop(own)
        total, done = len(given) if isinstance(given, Sized) else None, found.get("rows", 0)
        try:
            if found.get("ended") and total in (None, done):
                return
            self._pass_over(iterator, found, total)
            for row in iterator:
                # Before the body, which may change the row.
                mark = mark_of(row) if (done + 1) % every == 0 else None
                yield row
                done += 1
                if done % every == 0:
                    self._keep(loop, {"rows": done, "total": total, "mark": mark})
                self._look(loop, done, total)
            self._keep(loop, {"rows": done, "total": total, "ended": True})
        finally:
            self._end_loop(own)

    async def _go_through_async(self, rows: Rows[T], own: weakref.ref[Any]) -> AsyncIterator[T]:
        """Do as `_go_through`; what waits for the store does so on a thread."""
        given, iterator, every = rows.given, rows.iterator, rows.every
        del rows
        loop, found = self._begin_loop(own)
        total, done = len(given) if isinstance(given, Sized) else None, found.get("rows", 0)
        try:
            if found.get("ended") and total in (None, done):
                return
            await off_loop(self._pass_over, iterator, found, total)
            for row in iterator:
                mark = mark_of(row) if (done + 1) % every == 0 else None
                yield row
                done += 1
                if done % every == 0:
                    await off_loop(self._keep, loop, {"rows": done, "total": total, "mark": mark})
                if self._is_to_end():
                    await off_loop(self._look, loop, done, total)
            await off_loop(self._keep, loop, {"rows": done, "total": total, "ended": True})
        finally:
            self._end_loop(own)

    def _is_to_end(self) -> bool:
        try:
            Job.check(self)
        except Exception:
            return True  # `_look` raises it again, once the position is stored
        return False

    def _look(self, loop: str, done: int, total: int | None) -> None:
        """Look whether the job is to end here; if it is to go on later, then from this row."""
        try:
            Job.check(self)  # a class may have a method of that name
        except (ServerStopping, JobTimeout):
            self._keep(loop, {"rows": done, "total": total})
            raise

    def _keep(self, loop: str, at: dict[str, Any]) -> None:
        self.resumes = {**self.resumes, loop: {k: v for k, v in at.items() if v is not None}}
        self._say_rows(at["rows"], at["total"])
        try:
            self.checkpoint()
        except Exception as error:
            if not current().store.is_transient(error):
                raise
            # Whatever is stored next stores the position too: another checkpoint, or the job's end.
            rows, why = at["rows"], str(error)
            self.logger.warning("a checkpoint waits for the store", rows=rows, error=why)

    def _say_rows(self, done: int, total: int | None) -> None:
        """Say how many rows are done, unless the job says something itself."""
        report = self.__dict__.get("_report")
        if report is not None and report.latest is self._said:
            total = None if total is None or done > total else total
            report.latest = self._said = (done, total, None)  # the checkpoint stores it

    def _pass_over(self, iterator: Iterator[Any], found: dict[str, Any], total: int | None) -> None:
        """Take the rows that are done from an iterator, if they are those that were done."""
        done, row = found.get("rows", 0), None
        known = max(done, found.get("total", 0))
        if total is not None and total < known:
            self._refuse(f"there were {known:,} rows, and now there are {total:,}")
        for number in range(done):
            try:
                row = next(iterator)
            except StopIteration:
                self._refuse(f"{done:,} rows were done, and now there are {number:,}")
        mark = found.get("mark")
        if mark is not None and mark_of(row) != mark:
            self._refuse(f"row {done:,}, the last one that was done, is not what it was")

    def _refuse(self, what: str) -> NoReturn:
        raise RowsChanged(
            f"{type(self).__name__} {self.id} cannot go on: {what}. It needs the same rows in the "
            f"same order. To begin at the first one: rocketjob jobs set {self.id} start_over=true, "
            f"then rocketjob jobs retry {self.id}"
        )


class Rows(Generic[T]):
    """Rows to go through once: with `for`, or in a coroutine with `async for`."""

    def __init__(self, job: Resumable, rows: Iterable[T], every: int) -> None:
        self.given, self.iterator, self.every = rows, iter(rows), every
        self._job, self._own = job, weakref.ref(self)
        self._plain: Iterator[T] | None = None
        self._async: AsyncIterator[T] | None = None

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        if self._plain is None:
            self._plain = self._job._go_through(self, self._own)
        return next(self._plain)

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        if self._async is None:
            self._async = self._job._go_through_async(self, self._own)
        return await anext(self._async)


def mark_of(row: Any) -> str | None:
    """Return by what a row is known again; None for one that may look different each time."""
    if not _is_alike(row):
        return None
    import hashlib  # for start-up time

    return hashlib.blake2b(repr(row).encode("utf-8", "replace"), digest_size=8).hexdigest()


def _is_alike(value: Any) -> bool:
    kind = type(value)
    if kind in (list, tuple):
        return all(map(_is_alike, value))
    if kind is dict:
        return all(_is_alike(key) and _is_alike(item) for key, item in value.items())
    return kind in ALIKE


@hookimpl
def register_mixins() -> list[type[Job]]:
    return [Resumable]
