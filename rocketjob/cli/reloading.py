"""`rocketjob server --reload`: a server for development, which starts again when its code changes.

This process runs no job. It starts the same command as a process of its own, watches the source
files, and ends that server as Ctrl-C does before it starts the next one. Its standard input is
what the server lives by: if this process is killed, the server ends too.
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import os
import signal
import subprocess
import sys
import time
import tokenize
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import click

from rocketjob.base import clock
from rocketjob.cli.output import clean, styled

STARTED = "_ROCKETJOB_RELOADED"  # a variable that only the server itself is given
EVERY = 0.3  # seconds between two looks at the files, or more where a look takes long
SETTLED = 0.1  # an editor saves several files, and some in several steps
PASSED_OVER = frozenset(("__pycache__", "node_modules", "site-packages"))

Snapshot = Mapping[str, tuple[int, int]]


def is_started() -> bool:
    """Return whether this process is the server itself; what it starts is not told."""
    return os.environ.pop(STARTED, None) is not None


# --- the files -----------------------------------------------------------------------------------


def folders_of(app: Iterable[str]) -> list[str]:
    """Return where the sources of app modules are, without importing them.

    A module in the current directory stands for all that is in there.
    """
    folders: dict[str, None] = {}
    for name in app:
        top = name.partition(".")[0]
        spec = importlib.machinery.PathFinder.find_spec(top, [os.getcwd(), *sys.path])
        places = [] if spec is None else list(spec.submodule_search_locations or ())
        if spec is not None and spec.origin and not places:
            places = [os.path.dirname(spec.origin)]
        for place in places:
            here = os.path.realpath(place).startswith(os.path.realpath(os.getcwd()))
            folders[os.getcwd() if here else place] = None
    return list(folders) or [os.getcwd()]


def snapshot(folders: Iterable[str]) -> Snapshot:
    """Return time and size of each source file."""
    found = {}
    for file in _sources(folders):
        with contextlib.suppress(OSError):  # removed meanwhile
            status = os.stat(file)
            found[file] = (status.st_mtime_ns, status.st_size)
    return found


def _sources(folders: Iterable[str]) -> Iterator[str]:
    for folder in folders:
        for root, inner, files in os.walk(folder):
            inner[:] = [each for each in inner if _is_looked_into(root, each)]
            yield from (os.path.join(root, file) for file in files if file.endswith(".py"))


def _is_looked_into(root: str, name: str) -> bool:
    if name.startswith(".") or name in PASSED_OVER:
        return False
    return not os.path.exists(os.path.join(root, name, "pyvenv.cfg"))


def changed_in(before: Snapshot, now: Snapshot) -> list[str]:
    """Name the files that were written, made or removed."""
    return sorted(file for file in {*before, *now} if before.get(file) != now.get(file))


def syntax_errors(files: Iterable[str]) -> list[str]:
    """Say which files Python cannot read, and where."""
    errors = []
    for file in files:
        try:
            with tokenize.open(file) as source:
                compile(source.read(), file, "exec", dont_inherit=True)
        except FileNotFoundError:
            continue
        except (SyntaxError, ValueError) as error:  # ValueError: a null byte
            line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
            what = error.msg if isinstance(error, SyntaxError) else str(error)
            errors.append(f"{file}{line}: {type(error).__name__}: {what}")
    return errors


# --- the server ----------------------------------------------------------------------------------


class Reloader:
    """The server of a command line, ended and started again as its sources change.

    Args:
        command: what starts the server, such as that of this process.
        folders: where the sources are.
    """

    def __init__(self, command: Sequence[str], folders: Sequence[str]) -> None:
        self.command, self.folders = command, folders
        self._server: subprocess.Popen[bytes] | None = None
        self._is_stopping = False
        self._code = 0

    def run(self) -> int:
        """Run until the user ends it, or the server is stopped otherwise; return its exit code."""
        handlers = {n: signal.signal(n, self._pass_on) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            _say(f"watching {', '.join(self.folders)} for changes")
            seen = snapshot(self.folders)
            self._start()
            while not self._has_ended():
                seen = self._look(seen)
            return self._code
        finally:
            self._end()
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def stop(self) -> None:
        """End the server and this, from another thread."""
        os.kill(os.getpid(), signal.SIGTERM)

    def _pass_on(self, number: int, frame: Any) -> None:
        """Let the server end as it would by itself; the terminal's signals reach only this one."""
        self._is_stopping = True
        if self._server is not None:
            self._server.send_signal(number)

    def _start(self) -> None:
        if self._is_stopping:
            return
        self._server = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            process_group=0,
            env={**os.environ, STARTED: "1"},
        )
        if self._is_stopping:  # in between
            self._server.terminate()

    def _has_ended(self) -> bool:
        """Return whether it is over; one that ended by an error waits for the next change."""
        server = self._server
        if server is not None and (self._is_stopping or server.poll() is not None):
            self._code = server.wait()
            self._forget()
            if self._code and not self._is_stopping:
                _say(
                    f"the server has ended with exit code {self._code}: waiting for a change", "red"
                )
                return False
            return True
        return self._is_stopping

    def _look(self, seen: Snapshot) -> Snapshot:
        """Look at the files; start the server again if they have changed and can be read."""
        began = clock.monotonic()
        now = snapshot(self.folders)
        self._wait(max(EVERY, 5 * (clock.monotonic() - began)) if now == seen else SETTLED)
        if now == seen or self._is_stopping:
            return seen
        while (later := snapshot(self.folders)) != now and not self._is_stopping:
            now = later
            self._wait(SETTLED)
        changed = changed_in(seen, now)
        if errors := syntax_errors(changed):
            for error in errors:
                _say(error, "red")
            _say("not started again: correct it and save")
        else:
            more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            _say(f"{os.path.relpath(changed[0])}{more} changed: starting again")
            self._end()
            self._start()
        return now

    def _wait(self, seconds: float) -> None:
        """Wait, or until the server ends."""
        if self._server is None:
            return time.sleep(seconds)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._server.wait(seconds)

    def _end(self) -> None:
        """End the server as SIGTERM does: what it runs has its grace period."""
        if self._server is not None:
            self._server.terminate()
            self._code = self._server.wait()
            self._forget()

    def _forget(self) -> None:
        if self._server is not None and self._server.stdin is not None:
            self._server.stdin.close()
        self._server = None


def _say(text: str, colour: str = "cyan") -> None:
    click.echo(f"{styled('reload', fg=colour)}: {clean(text)}", err=True)
