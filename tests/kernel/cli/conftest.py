"""The command line in this process (`cli`), as a process of its own (`shell`), on a terminal."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from rocketjob import application
from rocketjob.base.sources import FILE_VARIABLE
from rocketjob.cli import make_cli
from rocketjob.store import context

APPS = Path(__file__).parent / "apps"


def runner():
    with contextlib.suppress(TypeError):
        return CliRunner(mix_stderr=False)  # what older releases of click need
    return CliRunner()


class Result:
    """What a command printed, and its exit code."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def lines(self):
        return self.out.splitlines()

    @property
    def objects(self):
        return [json.loads(line) for line in self.lines]

    @property
    def object(self):
        (found,) = self.objects
        return found


@pytest.fixture(autouse=True)
def _apps_and_place(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(APPS))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def cli(rocketjob):
    """Run a command line on the test's own store."""

    def run(*args, input=None, plugins=None):
        made = runner().invoke(make_cli(plugins=plugins), [str(a) for a in args], input=input)
        return Result(made.exit_code, made.stdout, made.stderr)

    return run


@pytest.fixture
def jobs():
    """The module with the job classes."""
    sys.path.insert(0, str(APPS))
    import cli_app.jobs

    return cli_app.jobs


@pytest.fixture
def local(monkeypatch):
    """Run a command line in this process, on whatever store and settings it finds."""
    for name in [name for name in os.environ if name.startswith("ROCKETJOB_")]:
        monkeypatch.delenv(name)

    def run(*args, env=None):
        with monkeypatch.context() as patch:
            patch.setattr(context, "_current", None)
            patch.setattr(application, "_overrides", {})
            for name, value in {FILE_VARIABLE: "", **(env or {})}.items():
                patch.setenv(name, value)
            made = runner().invoke(make_cli(), [str(a) for a in args])
            application.close()
        return Result(made.exit_code, made.stdout, made.stderr)

    return run


def environment(**more):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ROCKETJOB_", "COLUMNS"))}
    path = os.pathsep.join([str(APPS), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**kept, "PYTHONPATH": path, **more}


@pytest.fixture
def shell(tmp_path):
    """Run a command line as a process, in a directory of its own."""

    def run(*args, env=None, input=None):
        made = subprocess.run(
            [sys.executable, "-m", "rocketjob.cli", *map(str, args)],
            cwd=tmp_path,
            env=environment(**(env or {})),
            input=input,
            capture_output=True,
            text=True,
            timeout=30,
        )
        return Result(made.returncode, made.stdout, made.stderr)

    return run


@pytest.fixture
def terminal(tmp_path):
    """Run a command line on a terminal, type an answer, and return what the terminal showed."""
    fcntl, pty, termios = (pytest.importorskip(name) for name in ("fcntl", "pty", "termios"))
    import struct

    def run(*args, columns=80, answer="", env=None):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        process = subprocess.Popen(
            [sys.executable, "-m", "rocketjob.cli", *map(str, args)],
            cwd=tmp_path,
            env=environment(TERM="xterm-256color", **(env or {})),
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        os.write(master, answer.encode())
        shown = b"".join(iter(lambda: _read(master), b""))
        os.close(master)
        return Result(process.wait(), shown.decode().replace("\r\n", "\n"), "")

    return run


def _read(fd):
    try:
        return os.read(fd, 65536)
    except OSError:  # the other end is closed
        return b""
