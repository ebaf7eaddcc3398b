"""Servers as processes of their own, and waiting for what they do."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

TIMEOUT = 20  # seconds; far more than anything takes, since the machines are shared

COMMAND = (sys.executable, "-m", "rocketjob.cli", "server")


def eventually(check, timeout=TIMEOUT, what=None):
    """Return the first true value of `check()`, or fail."""
    end = time.monotonic() + timeout
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(what or f"still {found!r} after {timeout} s")
        time.sleep(0.02)


def ended_process():
    """Return the number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return process.pid


class ServerProcess:
    """A running `rocketjob server`, and what it has printed.

    Args:
        program: what starts it, instead of that command.
    """

    def __init__(self, folder, *args, env=None, program=COMMAND):
        kept = {k: v for k, v in os.environ.items() if not k.startswith("ROCKETJOB_")}
        self.log = Path(folder, "server.log")
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                [*program, *map(str, args)],
                cwd=folder,
                env={**kept, **(env or {})},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )

    @property
    def said(self):
        return self.log.read_text()

    def says(self, text):
        """Wait until it has printed some text."""
        eventually(lambda: text in self.said or self.popen.poll() is not None)
        assert text in self.said, self.said
        return self

    def send(self, number):
        self.popen.send_signal(number)
        return self

    def ends(self):
        """Wait for its end, and return its exit code."""
        return self.popen.wait(TIMEOUT)

    def close(self):
        """End it, whatever it is doing; its worker processes end with it."""
        self.popen.stdin.close()
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait(TIMEOUT)


@contextlib.contextmanager
def server(folder, *args, env=None, program=COMMAND):
    """Run a server in a folder for the length of a block."""
    process = ServerProcess(folder, *args, env=env, program=program)
    try:
        yield process
    finally:
        process.close()
