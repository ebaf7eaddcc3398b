"""What the import of a plugin does to a process: looked at in a process of its own.

python -P importing.py NAME MODULE [MODULE IT BUILDS ON ...]    prints it as JSON
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any, NamedTuple


class Import(NamedTuple):
    """What an import did.

    Attributes:
        kernel: seconds that RocketJob itself took before.
        plugin: seconds that the plugin then took, without the plugins that it builds on.
        printed: what it wrote to standard output and error.
        changed: what is not as it was: `sys.path`, `a handler of the root logger`, `Job.save`.
        error: why it could not be imported; an empty string if it could.
        modules: what it imported.
    """

    kernel: float
    plugin: float
    printed: str
    changed: list[str]
    error: str
    modules: list[str]


def imported(name: str, module: str, builds_on: Sequence[str] = ()) -> Import:
    """Import a plugin in a new process, in an empty directory; say what came of it.

    Args:
        module: where it is, as an entry point names it.
        builds_on: the modules of other plugins, which are imported before it.
    """
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(
            [sys.executable, "-P", __file__, name, module, *builds_on],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"The plugin {name} ended the process that imported it: {done.stderr}")
    return Import(**json.loads(done.stdout.splitlines()[-1]))


def _look(name: str, module: str, *builds_on: str) -> Import:
    began = time.perf_counter()
    from rocketjob import Document, Job  # both for start-up time, which is what is looked at
    from rocketjob.plugins.manager import PluginManager

    PluginManager(entry_points=[])
    loaded = time.perf_counter()
    for other in builds_on:
        importlib.import_module(other)
    before, modules = _state(Job, Document), set(sys.modules)
    output, error, load = io.StringIO(), "", _loader(name, module)
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        began_plugin = time.perf_counter()
        try:
            load()
        except BaseException as raised:  # such as the SystemExit of a script
            error = f"{type(raised).__name__}: {raised}"
        seconds = time.perf_counter() - began_plugin
    after = _state(Job, Document)
    changed = sorted(what for what in before | after if before.get(what) != after.get(what))
    new = sorted(set(sys.modules) - modules)
    return Import(loaded - began, seconds, output.getvalue(), changed, error, new)


def _loader(name: str, module: str) -> Callable[[], Any]:
    return metadata.EntryPoint(name, module, "rocketjob").load


def _state(*classes: type) -> dict[str, Any]:
    """Return what a plugin has to leave alone, by what it is called in a message."""
    state: dict[str, Any] = {
        "sys.path": list(sys.path),
        "the environment": dict(os.environ),
        "the current directory": (os.getcwd(), sorted(os.listdir())),
        "sys.excepthook": sys.excepthook,
        "the root logger": (logging.root.level, list(logging.root.handlers)),
        "threads": sorted(thread.name for thread in threading.enumerate()),
    }
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        state[f"the handler of {number.name}"] = signal.getsignal(number)
    for cls in classes:
        for name, value in vars(cls).items():
            if not name.startswith("__"):
                state[f"{cls.__name__}.{name}"] = id(value)
    return state


if __name__ == "__main__":
    print(json.dumps(_look(*sys.argv[1:])._asdict()))
