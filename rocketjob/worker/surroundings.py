"""What all jobs of a process share, and one of them may have changed.

The working directory, the locale and the handler of the log belong to the process: a job cannot
have its own. So after each job they are looked at; what was changed is named in the log, and put
back as soon as no other job is being performed.
"""

from __future__ import annotations

import locale
import os
import threading

from rocketjob.base.log import Logger, is_heard, put_back

log = Logger("rocketjob.worker")


class Surroundings:
    """The state of a process as its app has left it after the import."""

    def __init__(self) -> None:
        self._directory = _directory()
        self._locale = locale.setlocale(locale.LC_ALL)
        self._lock = threading.Lock()
        self._performing = 0
        self._changed: dict[str, str] = {}  # what was changed, and to what

    def enter(self) -> None:
        """Note that a job begins."""
        with self._lock:
            self._performing += 1

    def leave(self, job_class: str) -> None:
        """Note that a job has ended; look at what it has left."""
        if not is_heard():
            put_back()
            log.warning("logging was configured while a job ran: put back", job_class=job_class)
        with self._lock:
            self._performing -= 1
            changed = self._find()
            for what in changed.keys() - self._changed.keys():
                log.warning(
                    f"{what} was changed while a job ran", to=changed[what], job_class=job_class
                )
            self._changed = changed
            if changed and not self._performing:
                self._restore()

    def _find(self) -> dict[str, str]:
        directory, name = _directory(), locale.setlocale(locale.LC_ALL)
        surroundings = {}
        if directory != self._directory:
            surroundings["the working directory"] = directory
        if name != self._locale:
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


def _directory() -> str:
    try:
        return os.getcwd()
    except OSError:
        return "a deleted directory"
