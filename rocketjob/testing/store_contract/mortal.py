"""A store whose process dies before its nth write, for tests of what is left then."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from rocketjob.store import Collection, Store

WRITES = (
    *("insert_one", "insert_many", "find_one_and_update"),
    *("update_one", "update_many", "delete_one", "delete_many"),
)


class Killed(BaseException):
    """Stands for the death of the process."""


class Mortal:
    """Lets the process die before the nth write of a block, as far as the store can tell."""

    def __init__(self, store: Store) -> None:
        self.left = self.before_stop = 0
        self.meanwhile: Callable[[], object] = lambda: None
        self.dead = self.died = False
        collection, write_many = store.collection, store.write_many

        def write_group(*args: Any, **kwargs: Any) -> list[bool]:
            self.write()
            return write_many(*args, **kwargs)

        store.collection = lambda name: _MortalCollection(collection(name), self)  # type: ignore[method-assign]
        store.write_many = write_group  # type: ignore[method-assign]

    def write(self) -> None:
        if self.before_stop:
            self.before_stop -= 1
            if self.before_stop == 0:
                self.meanwhile()
        self.left -= 1
        if self.left == 0:
            self.dead = self.died = True
        if self.dead:
            raise Killed

    @contextlib.contextmanager
    def dies_at(self, number: int) -> Iterator[None]:
        self.left, self.died = number, False
        with contextlib.suppress(Killed):
            yield
        self.left, self.dead = 0, False

    @contextlib.contextmanager
    def stands_still_at(
        self, number: int, meanwhile: Callable[[], object], then_dies_after: int
    ) -> Iterator[None]:
        """Let others do something before the nth write of a block, and the process die later."""

        def others() -> None:
            self.left, left = 0, self.left  # they do not die
            meanwhile()
            self.left = left

        self.before_stop, self.meanwhile = number, others
        try:
            with self.dies_at(number + then_dies_after):
                yield
        finally:
            self.before_stop = 0


class _MortalCollection:
    def __init__(self, collection: Collection, mortal: Mortal) -> None:
        self._collection, self._mortal = collection, mortal

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._collection, name)
        if name not in WRITES:
            return attribute

        def call(*args: Any, **kwargs: Any) -> Any:
            self._mortal.write()
            return attribute(*args, **kwargs)

        return call
