"""Coroutines that wait for the end of jobs: one thread a process looks for all of them.

A thread for each would be held for as long as the job takes, and hundreds wait at once.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rocketjob.base.interrupt import Interrupt
from rocketjob.jobs.claims import COLLECTION
from rocketjob.store import Store, context

if TYPE_CHECKING:
    import asyncio

ENDED = ("completed", "failed", "aborted")
LOOK_SECONDS = 5.0  # without a change; `Job.wait` looks as often
PAUSE_SECONDS = 0.01  # between two looks, however much others write


class Awaited:
    """The jobs of one store that coroutines wait for.

    Args:
        store: where they are.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._waiting: dict[Any, set[asyncio.Future[None]]] = {}
        self._more = Interrupt()
        self._lock = threading.Lock()
        self._is_looking = False

    async def ended(self, id: Any) -> None:
        """Wait until a job has ended, or is not stored any more.

        Raises:
            Exception: the store cannot be reached.
        """
        import asyncio  # for start-up time

        future = asyncio.get_running_loop().create_future()
        self._add(id, future)
        try:
            await future
        finally:
            self._remove(id, future)

    def _add(self, id: Any, future: asyncio.Future[None]) -> None:
        with self._lock:
            self._waiting.setdefault(id, set()).add(future)
            if not self._is_looking:
                self._is_looking = True
                threading.Thread(target=self._look, name="rocketjob-awaited", daemon=True).start()
        self._more.set()

    def _remove(self, id: Any, future: asyncio.Future[None]) -> None:
        with self._lock:
            futures = self._waiting.get(id, set())
            futures.discard(future)
            if not futures:
                self._waiting.pop(id, None)
        self._more.set()

    def _look(self) -> None:
        """Look until nobody waits any more."""
        while True:
            self._more.clear()
            with self._lock:
                ids = [*self._waiting]
                if not ids:
                    self._is_looking = False
                    return
            try:
                mark = self.store.change_mark()
                self._tell(self._ended_of(ids))
                self.store.wait_for_change(mark, LOOK_SECONDS, self._more)
            except Exception as error:
                self._tell(ids, error)
            threading.Event().wait(PAUSE_SECONDS)

    def _ended_of(self, ids: list[Any]) -> list[Any]:
        going_on = {"_id": {"$in": ids}, "state": {"$nin": [*ENDED]}}
        found = self.store.collection(COLLECTION).find(going_on, {"_id": 1})
        present = {stored["_id"] for stored in found}
        return [id for id in ids if id not in present]

    def _tell(self, ids: Iterable[Any], error: Exception | None = None) -> None:
        with self._lock:
            futures = [future for id in ids for future in self._waiting.pop(id, ())]
        for future in futures:
            try:
                future.get_loop().call_soon_threadsafe(_settle, future, error)
            except RuntimeError:
                continue  # its loop is closed: nobody waits any more


def _settle(future: asyncio.Future[None], error: Exception | None) -> None:
    if future.done():  # it was cancelled
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


_awaited: Awaited | None = None


def awaited() -> Awaited:
    """Return the jobs that are waited for in this process's store."""
    global _awaited
    store = context.current().store
    if _awaited is None or _awaited.store is not store:
        _awaited = Awaited(store)
    return _awaited


def _after_fork() -> None:
    global _awaited
    _awaited = None  # its thread was not forked


os.register_at_fork(after_in_child=_after_fork)
