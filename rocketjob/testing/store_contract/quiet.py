"""Whether something wakes those who wait, on stores that tell of each write a little later."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from rocketjob.store import Store

QUIET_SECONDS = 0.2  # what is on its way arrives sooner, or the attempt is repeated
SETTLE_SECONDS = 20.0
ATTEMPTS = 5


def wakes(store: Store, act: Callable[[], object]) -> bool:
    """Return whether an act wakes whoever waits for a change of a store.

    One wait proves nothing: it may end early, since it opens a change stream, or since the word
    of an earlier write arrives late. So it is asked from a mark that has settled, and again: what
    wakes does so each time.

    Args:
        store: whose changes are waited for; another one may do the act.
        act: what may be done several times.

    Skips the test where the store polls: there every wait says that there may have been a change.
    """
    if not store.capabilities.wake_up:
        pytest.skip("the store does not say whether there was a change")
    for _ in range(ATTEMPTS):
        mark = settled(store)
        act()
        if not store.wait_for_change(mark, QUIET_SECONDS):
            return False
    return True


def settled(store: Store) -> Any:
    """Return a mark of a store that tells of no earlier write any more."""
    end = time.monotonic() + SETTLE_SECONDS
    while True:
        mark = store.change_mark()
        if not store.wait_for_change(mark, QUIET_SECONDS):
            return mark
        assert time.monotonic() < end, "the store does not come to rest"
