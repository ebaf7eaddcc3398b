"""An outbox in a database of SQLAlchemy.

    engine = create_engine("postgresql://...")
    outbox = Outbox(engine, Base.metadata)          # the table is made with the others

    with Session.begin() as session:
        session.add(order)
        outbox.add(session, ReceiptJob(order_id=order.id))

Name the module in which it is made in `app`: servers relay what a process left that died.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from sqlalchemy import (
    Column,
    DateTime,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    delete,
    event,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session, SessionTransaction, scoped_session

from rocketjob import Job
from rocketjob.base import clock
from rocketjob_contrib import outbox as base
from rocketjob_contrib.outbox.outbox import TABLE, Waiting, make_known, packed

J = TypeVar("J", bound=Job)
BLOB = LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")  # else of 64 kB at most


class Outbox(base.Outbox):
    """Jobs in a table, until they are in the store.

    Args:
        engine: of the database that your data are in, with a driver that is not async, even where
            your sessions are: rows are relayed on threads.
        metadata: the table is added to this, so that `create_all` and Alembic make it. None:
            `create_table` does.
        table: its name.
        at_once: whether whoever commits a session relays its jobs too, up to a hundred; else only
            servers do.
    """

    def __init__(
        self,
        engine: Engine,
        metadata: MetaData | None = None,
        *,
        table: str = TABLE,
        at_once: bool = True,
    ) -> None:
        self.engine, self.at_once = engine, at_once
        self.name = table
        self.table = Table(
            table,
            MetaData() if metadata is None else metadata,
            Column("id", String(24), primary_key=True),
            Column("job", BLOB, nullable=False),
            Column("created_at", DateTime(timezone=True), nullable=False),
            Column("error", Text, nullable=False, default=""),
        )
        make_known(self)

    def create_table(self) -> None:
        """Make the table, if it is not there."""
        self.table.create(self.engine, checkfirst=True)

    def add(self, session: Session | scoped_session[Session] | Connection, job: J) -> J:
        """Add a new job to a transaction: it is stored if and when that is committed.

        Its callbacks of `save` and `create` run now. With an async session: `await
        session.run_sync(outbox.add, job)`. What is added to a connection is relayed by servers.

        Returns:
            the job, whose id is the one that it will have.

        Raises:
            ValidationError: it is not valid; nothing was added.
        """
        id, data = packed(job)
        row = {"id": id, "job": data, "created_at": clock.now(), "error": ""}
        session.execute(insert(self.table).values(row))
        if self.at_once and not isinstance(session, Connection):
            self._relay_after(session() if isinstance(session, scoped_session) else session, id)
        return job

    def _relay_after(self, session: Session, id: str) -> None:
        """Relay a job as soon as the transaction of its session has ended."""
        added: list[str] | None = session.info.get(self)
        if added is not None:
            added.append(id)
            return
        added = session.info[self] = [id]

        @event.listens_for(session, "after_transaction_end")
        def ended(session: Session, transaction: SessionTransaction) -> None:
            if transaction.parent is None and added:
                ids = added[:]
                added.clear()
                self._relay_beside(ids)  # of what was rolled back there are no rows

    def _relay_beside(self, ids: Sequence[str]) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.relay_soon(ids)
        else:
            loop.run_in_executor(None, self.relay_soon, ids)

    # --- the table ---------------------------------------------------------------------------

    def read(self, after: str, limit: int, ids: Sequence[str] | None) -> list[base.Row]:
        columns = self.table.c
        rows = select(columns.id, columns.job, columns.error).where(columns.id > after)
        if ids is not None:
            rows = rows.where(columns.id.in_(ids))
        with self.engine.connect() as connection:
            found = connection.execute(rows.order_by(columns.id).limit(limit)).all()
        return [base.Row(*row) for row in found]

    def remove(self, ids: Sequence[str]) -> None:
        with self.engine.begin() as connection:
            connection.execute(delete(self.table).where(self.table.c.id.in_(ids)))

    def note(self, id: str, error: str) -> None:
        with self.engine.begin() as connection:
            connection.execute(update(self.table).where(self.table.c.id == id).values(error=error))

    def waiting(self, since: datetime) -> Waiting:
        columns = self.table.c
        late = select(func.count(), func.max(columns.error)).where(columns.created_at < since)
        with self.engine.connect() as connection:
            rows, error = connection.execute(late).one()
        return Waiting(rows, error or "")
