"""The signals that a server is stopped with."""

from __future__ import annotations

import contextlib
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

from rocketjob.base.log import Logger
from rocketjob.base.signals import name_of

log = Logger("rocketjob.supervisor")
ANSWERED = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def answered(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` for each signal to end, on a thread of its own, for the length of a block.

    Nothing is done where this is not the main thread, which alone gets signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    threading.Thread(target=_answer, args=(received, stop), name="signals", daemon=True).start()

    def note(number: int, frame: Any) -> None:
        # Nothing else is safe here: the main thread may hold the lock of any event or logger.
        received.put(number)

    before = {number: signal.signal(number, note) for number in ANSWERED}
    # An app that waits for "any child" would take the end of worker processes for itself.
    before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
        received.put(None)


def _answer(received: queue.SimpleQueue[int | None], stop: Callable[[], None]) -> None:
    while (number := received.get()) is not None:
        log.info("received a signal", signal=name_of(number))
        stop()
