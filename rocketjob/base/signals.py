"""Signals of the processes of a server."""

from __future__ import annotations

import os
import signal
import threading

OURS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_local = threading.local()
_is_deaf = False


def name_of(number: int) -> str:
    """Return a signal's name; those for free use have none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def be_deaf() -> None:
    """Leave the signals that end a process to the supervisor; call it in the main thread.

    By a handler: a signal that is ignored stays ignored in the programs that a job starts, and
    `terminate()` would do nothing to them. Who forks gets the usual handlers too.
    """
    global _is_deaf
    for number in OURS:
        if signal.getsignal(number) is not signal.SIG_IGN or number != signal.SIGHUP:  # nohup
            signal.signal(number, _hear_nothing)
            signal.siginterrupt(number, False)
    if not _is_deaf:
        _is_deaf = True
        os.register_at_fork(
            before=_hold, after_in_parent=_release, after_in_child=_release_as_usual
        )


def _hear_nothing(number: int, frame: object) -> None:
    """Do nothing."""


def _hold() -> None:
    """Have signals wait while a process forks: none may meet the parent's handler in the child."""
    _local.mask = signal.pthread_sigmask(signal.SIG_BLOCK, OURS)


def _release() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _local.mask)


def _release_as_usual() -> None:
    for number in OURS:
        if signal.getsignal(number) is _hear_nothing:
            usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, usual)
    _release()
