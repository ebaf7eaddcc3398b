"""A server of a command's own: it runs only that command's jobs, and ends with it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from rocketjob import application
from rocketjob.cli import Failure

GRACE_SECONDS = 10


@attrs.define
class OwnServer:
    """`rocketjob server` in a process of its own, with these settings instead of the user's.

    Attributes:
        include: the pattern of the job classes that it runs.
        folder: for its log, and its directory where `is_private`: modules of the user's are not
            imported then. Else it starts where the user is, since a relative URL starts there.
    """

    url: str
    folder: Path
    name: str
    include: str
    workers: int
    processes: int
    is_private: bool = True
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    def start(self) -> None:
        """Start it; it ends when this process does, even by `kill -9`."""
        settings = self.folder / "rocketjob.toml"
        settings.touch()
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ROCKETJOB_")}
        disabled = ",".join(application.current().config.disabled_plugins)
        more = {"CONFIG": str(settings), "URL": self.url, "DISABLED_PLUGINS": disabled}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "rocketjob.cli", *self._words()],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**environment, **{f"ROCKETJOB_{name}": value for name, value in more.items()}},
                cwd=self.folder if self.is_private else None,
                start_new_session=True,  # this process handles Ctrl-C
            )

    def _words(self) -> list[str]:
        return [
            *("server", "--until-eof", "--name", self.name, "--include", self.include),
            *("--workers", str(self.workers), "--processes", str(self.processes)),
            *("--grace", str(GRACE_SECONDS), "--log", str(self.log)),
        ]

    def check(self) -> None:
        """Raise a Failure with the end of the log if it has ended."""
        if self.process is not None and self.process.poll() is not None:
            lines = self.log.read_text(errors="replace").splitlines()[-8:]
            last_lines = "\n".join(f"  {line}" for line in lines)
            raise Failure(f"the server ended (exit code {self.process.returncode}):\n{last_lines}")

    def stop(self) -> None:
        """Let it finish what it runs; it stops when its standard input ends."""
        process, self.process = self.process, None
        if process is None or process.stdin is None:
            return
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(GRACE_SECONDS + 5)
        except BaseException as error:
            process.kill()
            process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Clean up on SIGTERM and a closed terminal as on Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, _interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore further Ctrl-C while files are removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
