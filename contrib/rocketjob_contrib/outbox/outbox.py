"""What the outboxes of all databases have in common: packing a job, and relaying rows.

Relaying a row has four steps, and a process may die between any two of them:

1. the receipt of the job is made, if there is none;
2. the job is stored, in one step with a change of its receipt that is made only once;
3. the row is removed;
4. that is noted on the receipt, so that it can be removed in the end.

Whatever was done, the next one begins at the first step, and does only what is missing. Several may
be at the same rows.
"""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar

from bson import ObjectId

from rocketjob import Job
from rocketjob.base import clock
from rocketjob.base.errors import DocumentTooLarge
from rocketjob.base.log import Logger
from rocketjob.jobs.unknown import UnknownJob
from rocketjob.store import context
from rocketjob.store.packing import pack, unpack
from rocketjob.store.port import MAX_DOCUMENT_BYTES
from rocketjob_contrib.outbox import receipts

J = TypeVar("J", bound=Job)
log = Logger("rocketjob.relay")
TABLE = "rocketjob_outbox"
PAGE = 100  # rows that are read at once
REST_SECONDS = 15.0  # without relaying at once, after that has failed: the servers do it
REASON = 500  # characters of an error that are kept


class Row(NamedTuple):
    """A job that waits in an outbox.

    Attributes:
        id: of the job, as text.
        job: its document, as BSON.
        error: why the store has refused it, if it has.
    """

    id: str
    job: bytes
    error: str


class Waiting(NamedTuple):
    """What has waited in an outbox for longer than it should.

    Attributes:
        rows: how many.
        error: why the store refused one of them, if it has.
    """

    rows: int
    error: str


class Outbox(ABC):
    """Jobs in the application's own database, until they are in the store."""

    name: str = TABLE
    _rests_until = 0.0

    # --- what a database does ----------------------------------------------------------------

    @abstractmethod
    def read(self, after: str, limit: int, ids: Sequence[str] | None) -> list[Row]:
        """Return committed rows in the order of their ids: those after one, or among `ids`."""

    @abstractmethod
    def remove(self, ids: Sequence[str]) -> None:
        """Remove rows, and commit that; those that are gone do not matter."""

    @abstractmethod
    def note(self, id: str, error: str) -> None:
        """Note on a row why the store has refused its job, and commit that."""

    @abstractmethod
    def waiting(self, since: datetime) -> Waiting:
        """Return what was added before an instant, and is still there."""

    # --- relaying ----------------------------------------------------------------------------

    def relay(self, ids: Sequence[str] | None = None) -> int:
        """Store the jobs that were committed, and remove their rows.

        Servers do it by themselves; call it where something else is to wait for it. Several may do
        it at once.

        Args:
            ids: only these jobs, a hundred at most.

        Returns:
            how many jobs were stored now. What the store refuses stays, with the reason.

        Raises:
            Exception: the store or the database cannot be used now.
        """
        return sum(self._relay_rows(rows) for rows in self._pages(ids))

    def relay_soon(self, ids: Sequence[str]) -> None:
        """Relay what was committed just now; leave to the servers what cannot be done at once."""
        if clock.monotonic() < self._rests_until:
            return
        try:
            self.relay(ids[:PAGE])  # who has committed very many is not to wait for all of them
        except Exception as error:  # the data and the job are committed: nothing is lost
            self._rests_until = clock.monotonic() + REST_SECONDS
            log.warning("jobs in the outbox are relayed later", error=str(error)[:REASON])

    def _pages(self, ids: Sequence[str] | None) -> Iterator[list[Row]]:
        after = ""
        while rows := self.read(after, PAGE, ids):
            yield rows
            after = rows[-1].id

    def _relay_rows(self, rows: Sequence[Row]) -> int:
        stored: list[Job] = []
        done: list[str] = []
        try:
            for row in rows:
                if self._relay_row(row, stored):
                    done.append(row.id)
        finally:
            if done:
                self.remove(done)
                receipts.rows_are_gone([ObjectId(id) for id in done])
            for job in stored:
                job.after_created()
        return len(stored)

    def _relay_row(self, row: Row, stored: list[Job]) -> bool:
        """Store the job of a row, unless it was before; return whether the row is done with."""
        document = unpack(row.job)
        try:
            if receipts.store_once(document):
                stored.append(Job.listed(document))
        except Exception as error:
            if context.current().store.is_transient(error):
                raise
            reason = f"{type(error).__name__}: {error}"[:REASON]
            if reason != row.error:
                log.error("the store refuses a job of the outbox", job_id=row.id, error=reason)
                self.note(row.id, reason)
            return False
        return True


_known: weakref.WeakSet[Outbox] = weakref.WeakSet()


def make_known(outbox: Outbox) -> None:
    """Have the servers of this process relay what is in an outbox."""
    _known.add(outbox)


def known() -> Iterable[Outbox]:
    """Return the outboxes of this process."""
    return list(_known)


def relay_all() -> int:
    """Relay what waits in every outbox that this process knows; return how many jobs.

    Raises:
        Exception: one cannot be relayed now; the others were.
    """
    relayed, errors = 0, []
    for outbox in known():
        try:
            relayed += outbox.relay()
        except Exception as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return relayed


def packed(job: Job) -> tuple[str, bytes]:
    """Return the id and the document of a new job, after all that comes before it is stored.

    Raises:
        TypeError: it is no job, or its class has no `perform`.
        ValueError: it is stored already.
        ValidationError: it is not valid.
        DocumentTooLarge: no store would take it.
    """
    if not isinstance(job, Job) or isinstance(job, UnknownJob):
        raise TypeError(f"An outbox takes a job, such as ReportJob(...), not {job!r}")
    if not job.is_new:
        raise ValueError(f"{job!r} is stored already: an outbox takes new jobs")
    job.check_class()
    job.before_created()
    job.validate()
    packs: list[bytes] = []

    def store() -> None:
        packs.append(_pack(job))

    job.chain("save").run(job, lambda: job.chain("create").run(job, store))
    if not packs:
        raise ValueError(f"{job!r} is not added: a callback around save or create kept it back")
    return str(job.id), packs[0]


def _pack(job: Job) -> bytes:
    data = pack(job.to_document())
    if len(data) > MAX_DOCUMENT_BYTES:
        raise DocumentTooLarge(
            f"{type(job).__name__} {job.id} would have more than 16 MB as BSON, which no document "
            "may have: store its larger part elsewhere, or split it"
        )
    return data
