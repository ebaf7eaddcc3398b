"""SQLAlchemy: `pip install 'rocketjob[sqlalchemy]'`.

`SessionTransaction` and `ConnectionTransaction` run a job in a transaction of your database;
`Outbox` stores a job in the transaction in which you store your data.
"""

from __future__ import annotations

from rocketjob_contrib.sqlalchemy.outbox import Outbox
from rocketjob_contrib.sqlalchemy.transactions import ConnectionTransaction, SessionTransaction

__all__ = ["ConnectionTransaction", "Outbox", "SessionTransaction"]
