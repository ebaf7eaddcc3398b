"""A worker process, as its supervisor sees it: started, told what to do, waited for."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from typing import Any

import attrs

from rocketjob.base import clock
from rocketjob.base.ending import SPOILT
from rocketjob.base.signals import name_of
from rocketjob.server.ended import CHILD
from rocketjob.worker.bell import Bell
from rocketjob.worker.slots import Slots

STILL_SECONDS = 1.0  # without a turn of its claimer: it comes round twenty times a second
LONGEST_STILL = 60.0
HELD_SECONDS = 5.0  # past the timeout of a job, without a turn of whoever minds it


@attrs.define(eq=False)
class Process:
    """One worker process.

    Args:
        threads: how many jobs it performs at once, each on a thread.
        quarantined: whether it is for jobs whose worker has crashed.
        slots: the memory in which it says what it performs.
        started: when, in seconds of the monotonic clock.
        async_workers: how many async jobs it performs besides, on its event loop.
        bell: by which it is told that something was written; None: it finds that out by itself.
    """

    number: int
    claimed_by: str
    threads: int
    quarantined: bool
    slots: Slots
    popen: subprocess.Popen[str]
    started: float
    async_workers: int = 0
    bell: Bell | None = None
    stopping: bool = False  # it was killed because its time was up
    is_late: bool = False  # the log has said that it is not ready yet
    patience: float = STILL_SECONDS
    overdue: list[str] = attrs.field(factory=list)  # what held the interpreter past its timeout
    successor: int = 0  # the number of the process that is to take its place
    is_retired: bool = False  # it was told to claim no more, since its successor is ready
    replace_after: float = 0.0
    worked_before: int = -1  # jobs that it had worked when it was last relieved

    @classmethod
    def start(
        cls, orders: dict[str, Any], slots: Slots, directory: str, bell: Bell | None = None
    ) -> Process:
        """Start one, with what it is to do as the first line of its input.

        It leads a process group of its own. So the signals of a terminal reach the supervisor
        alone, and whatever its jobs have started can be ended with it.

        Args:
            directory: where it works, by name: a deployment may have replaced the folder.

        Raises:
            OSError: no memory, or too many processes or files; or there is no such folder.
        """
        path = [os.path.join(directory, folder) for folder in sys.path]
        name = orders["worker_name"]
        app_path = [full for full, folder in zip(path, sys.path, strict=True) if folder]
        shared = {"descriptor": slots.descriptor, "bell": bell.descriptor if bell else None}
        line = json.dumps({**orders, **shared, "path": path})
        popen = subprocess.Popen(
            # What it is called is for `ps`; by the last word others see that it lives.
            [
                *(sys.executable, "-m", "rocketjob.worker_main"),
                *(f"{CHILD} {name}", orders["claimed_by"]),
            ],
            stdin=subprocess.PIPE,
            pass_fds=[each for each in shared.values() if each is not None],
            text=True,
            cwd=directory,
            process_group=0,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(app_path)},
        )
        attributes = {
            name: orders[name]
            for name in ("number", "claimed_by", "threads", "async_workers", "quarantined")
        }
        process = cls(slots=slots, popen=popen, started=clock.monotonic(), bell=bell, **attributes)
        process.tell(line)
        return process

    def tell(self, command: str) -> None:
        """Send a command; it is not an error if the process has died."""
        with contextlib.suppress(OSError, ValueError):
            if self.popen.stdin is not None:
                self.popen.stdin.write(command + "\n")
                self.popen.stdin.flush()

    def ring(self) -> None:
        """Tell it that something was written, if it does not find that out by itself."""
        if self.bell is not None:
            self.bell.ring()

    def is_resting(self) -> bool:
        """Return whether it waits for work; one that has ended does not."""
        try:
            return self.slots.ready and self.slots.turn == 0.0
        except ValueError:
            return False

    def is_ready(self) -> bool:
        """Return whether it has imported its app, and lives."""
        try:
            return self.slots.ready
        except ValueError:
            return False  # it ended this moment, and its memory was given back

    @property
    def workers(self) -> int:
        """How many jobs it performs at once."""
        return self.threads + self.async_workers

    def stands_still(self, now: float) -> bool:
        """Return whether it could have claimed something, and has not come to anything since.

        Asked by the thread that also notes the ends of processes, so its memory is still there.
        """
        turn = self.slots.turn
        return turn > 0.0 and now - turn > self.patience

    def end_overdue(self, now: float) -> list[str]:
        """End it if a job is far past its timeout, and was not even asked to end.

        Then the job holds the interpreter, as a loop in C can, and nothing runs in the process.
        """
        if not self.stopping and (names := self.slots.overdue(now - HELD_SECONDS)):
            self.overdue, self.stopping = names, True
            self.popen.kill()
            return names
        return []

    def was_relieved(self) -> None:
        """Note that its claims were released: less and less often if it gets nowhere at all.

        So it does where the store takes long to answer: then it must be let claim something.
        """
        worked = self.slots.worked
        grown = min(2 * self.patience, LONGEST_STILL)
        self.patience = grown if worked == self.worked_before else STILL_SECONDS
        self.worked_before = worked

    def wait(self) -> Exit:
        """Wait until it has ended, and end what its jobs have left running."""
        self._end_group()
        try:
            _, status, usage = os.wait4(self.popen.pid, 0)
            code, memory = os.waitstatus_to_exitcode(status), usage.ru_maxrss // 1024
        except ChildProcessError:
            # `Popen.kill` looks whether the process lives, and was quicker to see its end.
            code, memory = self.popen.wait(), 0
        self.popen.returncode = code
        return Exit(self, code, memory)

    def _end_group(self) -> None:
        """Wait for its end without taking note: until then its number belongs to its group."""
        with contextlib.suppress(OSError, AttributeError):  # macOS has no waitid before 3.13
            os.waitid(os.P_PID, self.popen.pid, os.WEXITED | os.WNOWAIT)
            os.killpg(self.popen.pid, signal.SIGKILL)

    def close(self) -> None:
        """Give back what belonged to a process that has ended."""
        self.slots.close()
        if self.bell is not None:
            self.bell.close()
        if self.popen.stdin is not None:
            with contextlib.suppress(OSError):
                self.popen.stdin.close()

    def performed(self, first: int = 0) -> list[str]:
        """Return the ids of the jobs that it performs; none once it has ended.

        Args:
            first: how many workers are left out: `threads` leaves those on its event loop.
        """
        try:
            return self.slots.performed(first)
        except ValueError:
            return []  # it ended this moment, and its memory was given back


@attrs.frozen
class Exit:
    """How a worker process ended."""

    process: Process
    status: int
    memory: int  # the most it used, in MB

    def describe(self) -> str:
        if self.status < 0:
            name, number = name_of(-self.status), f"signal {-self.status}"
            by = number if name == number else f"{name} ({number})"
            how = f"its worker process was ended by {by}"
        elif self.status == SPOILT:
            how = (
                "its worker process gave itself up, for a job had closed descriptors that are not "
                "its own, or emptied sys.modules, or jobs that are past their timeout hung in it"
            )
        else:
            how = f"its worker process ended with exit code {self.status}"
        return f"{how}, having used up to {self.memory} MB"
