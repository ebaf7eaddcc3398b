"""How many steps SQLite's machine makes: a cost that does not depend on the computer."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rocketjob.store import Store

from .store import SqliteStore


@contextlib.contextmanager
def counted_steps(store: Store, every: int = 100) -> Iterator[Callable[[], int]]:
    """Count the steps of this thread during a block; yield what returns how many it were.

    Args:
        store: where it is no embedded store, the answer is always 0.
        every: how finely; to count each of them would take longer than the steps.
    """
    counted = 0

    def step() -> None:
        nonlocal counted
        counted += every

    raw = store._database.connections.current().raw if isinstance(store, SqliteStore) else None
    if raw is not None:
        raw.set_progress_handler(step, every)
    try:
        yield lambda: counted
    finally:
        if raw is not None:
            raw.set_progress_handler(None, 0)
