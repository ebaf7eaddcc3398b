"""Transactions of SQLAlchemy: `pip install 'rocketjob[sqlalchemy]'`.

    Session = sessionmaker(create_engine("postgresql://..."))

    class Billing(SessionTransaction, Job):
        sessionmaker = Session

        def perform(self):
            self.session.add(Invoice(...))          # committed when perform succeeds

`ConnectionTransaction` does the same without the ORM: give it an `engine`, use `self.connection`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session

from rocketjob.base.errors import ConfigurationError
from rocketjob.model.fields import read_only_field
from rocketjob_plugins.transaction import Transaction


class SessionTransaction(Transaction, abstract=True):
    """Mixin: run perform, or each slice, in its own session, `self.session`."""

    sessionmaker: ClassVar[Callable[[], Session] | None] = None
    if TYPE_CHECKING:
        _session: Session | None = read_only_field()
    else:
        _session = None

    def __init_subclass__(cls, abstract: bool = False, **options: Any) -> None:
        super().__init_subclass__(abstract=abstract, **options)
        _require(cls, "sessionmaker", abstract, "= sessionmaker(engine)")

    @property
    def session(self) -> Session:
        """The session of the open transaction."""
        if self._session is None:
            raise RuntimeError("self.session exists only while perform runs")
        return self._session

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        make = type(self).sessionmaker
        assert make is not None  # checked when the class was made
        with make() as session, session.begin():
            self._session = session
            try:
                yield session
            finally:
                self._session = None


class ConnectionTransaction(Transaction, abstract=True):
    """Mixin: run perform, or each slice, on its own connection, `self.connection`."""

    engine: ClassVar[Engine | None] = None
    if TYPE_CHECKING:
        _connection: Connection | None = read_only_field()
    else:
        _connection = None

    def __init_subclass__(cls, abstract: bool = False, **options: Any) -> None:
        super().__init_subclass__(abstract=abstract, **options)
        _require(cls, "engine", abstract, "= create_engine(...)")

    @property
    def connection(self) -> Connection:
        """The connection of the open transaction."""
        if self._connection is None:
            raise RuntimeError("self.connection exists only while perform runs")
        return self._connection

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        engine = type(self).engine
        assert engine is not None  # checked when the class was made
        with engine.begin() as connection:
            self._connection = connection
            try:
                yield connection
            finally:
                self._connection = None


def _require(cls: type, name: str, abstract: bool, example: str) -> None:
    if not abstract and getattr(cls, name) is None:
        raise ConfigurationError(f"{cls.__name__} must set `{name} {example}`")
