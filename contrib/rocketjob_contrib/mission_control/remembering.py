"""What was read a moment ago is shown again: many look, and an open page asks again and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from rocketjob.store import context

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

T = TypeVar("T")
AGAIN = 10  # times as long as it took to read
KEPT = 200  # of one kind


def remembered(view: View, kind: str, key: Any, read: Callable[[], T]) -> T:
    """Return what `read` returns, or has returned a moment ago.

    It is kept for ten times as long as it took to read.

    Args:
        key: of what is read, among others of its kind.
    """
    memory = view.site.memory.setdefault(f"remembered {kind}", WeakKeyDictionary())
    known: dict[Any, tuple[float, T]] = memory.setdefault(context.current(), {})
    begin = time.monotonic()
    kept = known.get(key)  # once: another thread may clear them
    if kept is not None and kept[0] > begin:
        return kept[1]
    found = read()
    if len(known) >= KEPT:
        known.clear()
    end = time.monotonic()
    known[key] = (end + AGAIN * (end - begin), found)
    return found
