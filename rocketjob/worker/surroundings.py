"""What all jobs of a process share, and one of them may have changed.

The working directory, the locale and the handler of the log belong to the process: a job cannot
have its own. So after each job they are looked at; what was changed is named in the log, and put
back as soon as no other job is being performed.

Asking the operating system for the directory lets go of the interpreter, which costs a short job
more than all else that is done for it. So the interpreter tells of each `os.chdir` (an audit event,
PEP 578), and only a job that ran beside one has the directory looked at.
"""

from __future__ import annotations

import locale
import os
import sys
import threading
from functools import cache
from typing import Any

from rocketjob.base.ending import end_as_spoilt
from rocketjob.base.log import Logger, is_heard, put_back

log = Logger("rocketjob.worker")


class Surroundings:
    """The state of a process as its app has left it after the import."""

    def __init__(self) -> None:
        _listen()
        self._directory = _directory()
        self._locale = locale.setlocale(locale.LC_ALL)
        self._lock = threading.Lock()
        self._performing: set[int] = set()  # numbers of workers
        self._changed: dict[str, str] = {}  # what was changed, and to what

    def enter(self, worker: int) -> int:
        """Note that a worker begins a job; return what `leave` is to be told."""
        self._performing.add(worker)
        return _moves

    def leave(self, worker: int, job_class: str, moves: int) -> None:
        """Note that a worker's job has ended; look at what it has left.

        Args:
            moves: what `enter` has returned.
        """
        if __name__ not in sys.modules:  # nothing can be imported any more, nor a failure stored
            end_as_spoilt("sys.modules was emptied while a job ran", job_class=job_class)
        if not is_heard():
            put_back()
            log.warning("logging was configured while a job ran: put back", job_class=job_class)
        self._performing.discard(worker)
        stayed = moves == _moves and not self._changed
        if stayed and locale.setlocale(locale.LC_ALL) == self._locale:
            return  # as after nearly every job, and without the lock
        with self._lock:
            changed = self._find(moves != _moves or bool(self._changed))
            for what in changed.keys() - self._changed.keys():
                log.warning(
                    f"{what} was changed while a job ran", to=changed[what], job_class=job_class
                )
            self._changed = changed
            if changed and not self._performing:
                self._restore()

    def _find(self, may_have_moved: bool) -> dict[str, str]:
        surroundings = {}
        if may_have_moved and (directory := _directory()) != self._directory:
            surroundings["the working directory"] = directory
        if (name := locale.setlocale(locale.LC_ALL)) != self._locale:
            surroundings["the locale"] = name
        return surroundings

    def _restore(self) -> None:
        try:
            if "the working directory" in self._changed:
                os.chdir(self._directory)
            if "the locale" in self._changed:
                locale.setlocale(locale.LC_ALL, self._locale)
        except (OSError, locale.Error) as error:
            log.warning("what a job has changed cannot be put back", error=str(error))
        self._changed = {}


_moves = 0  # how often the process has been about to change its directory


@cache  # an audit hook cannot be taken away again: one for the process
def _listen() -> None:
    sys.addaudithook(_count_moves)


def _count_moves(event: str, _arguments: tuple[Any, ...]) -> None:
    if event == "os.chdir":
        global _moves
        _moves += 1


def _directory() -> str:
    try:
        return os.getcwd()
    except OSError:
        return "a deleted directory"
