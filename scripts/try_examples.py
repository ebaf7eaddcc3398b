#!/usr/bin/env python3
"""Install, use, uninstall and install again each example plugin, each in a fresh environment.

    python scripts/try_examples.py                          all of examples/*/pyproject.toml
    python scripts/try_examples.py rocketjob-plugin-audit   some of them
    python scripts/try_examples.py --lend                   with what is installed here: quick, and
                                                            without a network

For each: `pip install`, `rocketjob plugins NAME`, jobs on a real server, `pip uninstall` with jobs
queued (those that need the plugin wait, the others run), `pip install` again (the rest runs), and
its own tests against what was installed. Exit code 1 if one of them fails.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import tomllib
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 120.0  # seconds, for a server that starts on a busy machine
APP = '''
"""Jobs for the trial: a plain one, and one of each mixin of the plugin, if it is installed."""

from importlib import metadata

from rocketjob import Job


class PlainJob(Job):
    destroy_on_complete = False

    def perform(self): ...


for point in metadata.entry_points(group="rocketjob"):
    if point.dist.name == "DISTRIBUTION":
        for mixin in getattr(point.load(), "register_mixins", list)():
            name = f"With{mixin.__name__}Job"
            body = {"destroy_on_complete": False, "perform": lambda self: None}
            body |= {"__module__": __name__, **vars(mixin).get("__example__", {})}
            globals()[name] = type(name, (mixin, Job), body)
'''
CREATE = """
import json, app

classes = [each for each in vars(app).values() if getattr(each, "__module__", "") == "app"]
print(json.dumps([str(each.create().id) for each in classes]))
"""


class Failed(Exception):
    """A step has not done what it should."""


class Environment:
    """A virtual environment, and a folder with an app in which commands are run."""

    def __init__(self, folder: Path, home: Path, *, lends: bool) -> None:
        self.python, self.home, self.lends = folder / "bin" / "python", home, lends
        self.variables = dict(os.environ)

    def run(self, *arguments: str, cwd: Path | None = None) -> str:
        """Run Python; return what it prints.

        Raises:
            Failed: it has not ended with 0.
        """
        command = [str(self.python), *arguments]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd=cwd or self.home,
            env=self.variables,
            check=False,
        )
        if done.returncode:
            raise Failed(f"{' '.join(arguments[:4])}\n{done.stdout}{done.stderr}")
        return done.stdout

    def rocketjob(self, *words: str) -> str:
        return self.run("-m", "rocketjob.cli", *words)

    def pip(self, *words: str) -> None:
        options = ("--no-input", "--disable-pip-version-check", "-q")
        command = [sys.executable, "-m", "pip", "--python", str(self.python), *words, *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed(f"pip {' '.join(words)}\n{done.stdout}{done.stderr}")

    def install(self, path: Path, extra: str = "") -> None:
        """Build a wheel of a folder, in a copy, and install it, with an extra such as `[test]`."""
        offline = ("--no-deps", "--no-index") if self.lends else ()
        with tempfile.TemporaryDirectory() as folder:
            copy = shutil.copytree(path, Path(folder) / path.name)
            self.pip("install", "--no-build-isolation", *offline, f"{copy}{extra}")

    def states(self) -> dict[str, str]:
        """Return the state of each job by its id."""
        lines = self.rocketjob("jobs", "list", "--limit", "0", "--json").splitlines()
        jobs = [json.loads(line) for line in lines]
        return {str(job["id"]): job["state"] for job in jobs}

    @contextmanager
    def server(self) -> Iterator[None]:
        """Run a server, which ends when this ends, however that comes about."""
        words = ("server", "--app", "app", "--processes", "1", "--workers", "2", "--until-eof")
        log = self.home / "server.log"
        with log.open("a") as output:
            running = subprocess.Popen(
                [str(self.python), "-m", "rocketjob.cli", *words],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                cwd=self.home,
                env=self.variables,
            )
            try:
                yield
            except Failed as error:
                raise Failed(f"{error}\nThe server's log:\n{log.read_text()}") from error
            finally:
                running.communicate()  # which closes its input
        if running.returncode:
            raise Failed(f"the server has ended with {running.returncode}\n{log.read_text()}")

    def wait_for(self, what: str, is_so: Callable[[dict[str, str]], bool]) -> None:
        """Wait until the states of the jobs are as they should be."""
        end = time.monotonic() + PATIENCE
        while not is_so(states := self.states()):
            if time.monotonic() > end:
                raise Failed(f"waited {PATIENCE:.0f} s in vain: {what}, but they are {states}")
            time.sleep(0.2)


def main() -> int:
    options = parse()
    failed = []
    with tempfile.TemporaryDirectory(prefix="rocketjob-examples-") as folder:
        base = make_base(Path(folder) / "base", lends=options.lend)
        for name in options.names or found():
            began = time.monotonic()
            try:
                steps = try_one(name, base, Path(folder) / name, lends=options.lend)
                for step in steps:
                    print(f"{name}: {step}", flush=True)
            except Failed as error:
                failed.append(name)
                print(f"{name}: FAILED: {error}", file=sys.stderr, flush=True)
            else:
                print(f"{name}: all good in {time.monotonic() - began:.1f} s", flush=True)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="a folder of examples/")
    parser.add_argument("--lend", action="store_true", help="lend what is installed here")
    options = parser.parse_args()
    unknown = set(options.names) - set(found())
    if unknown:
        parser.error(
            f"no such example: {', '.join(sorted(unknown))}; there are {', '.join(found())}"
        )
    return options


def found() -> list[str]:
    """Return the examples that are distributions."""
    return sorted(path.parent.name for path in ROOT.glob("examples/*/pyproject.toml"))


def make_base(folder: Path, *, lends: bool) -> Path:
    """Make the environment of which each example gets a copy."""
    venv.create(folder, symlinks=True)
    environment = Environment(folder, folder, lends=lends)
    if lends:
        site = next((folder / "lib").glob("python*")) / "site-packages"
        lent = (sysconfig.get_path("purelib"), ROOT, ROOT / "plugins", ROOT / "contrib")
        (site / "lent.pth").write_text("".join(f"{each}\n" for each in lent))
    else:
        environment.pip(
            "install", f"{ROOT}[crypto]", "hatchling", "pytest", "httpx2", "cryptography"
        )
    return folder


def try_one(name: str, base: Path, folder: Path, *, lends: bool) -> Iterator[str]:
    """Try one example; yield what has been done.

    Raises:
        Failed: something has not gone as it should.
    """
    source, home = ROOT / "examples" / name, folder / "home"
    project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
    shutil.copytree(base, folder / "environment", symlinks=True)
    home.mkdir()
    (home / "app.py").write_text(APP.replace("DISTRIBUTION", project["name"]))
    at = Environment(folder / "environment", home, lends=lends)
    if (source / "trial.toml").exists():  # with which its jobs run anywhere
        at.variables |= tomllib.loads((source / "trial.toml").read_text())

    at.install(source)
    yield "installed"
    for plugin in project["entry-points"].get("rocketjob", ()):  # one of fsspec has none
        yield from use(plugin, at, source, project["name"])
    if "test" in project.get("optional-dependencies", ()):
        at.install(source, "[test]")
    tests = folder / "tests"
    shutil.copytree(source, tests, ignore=lambda path, names: not_tests(source, path, names))
    at.run("-m", "pytest", "-q", "-p", "no:cacheprovider", ".", cwd=tests)
    yield "its own tests pass with what was installed"


def use(plugin: str, at: Environment, source: Path, distribution: str) -> Iterator[str]:
    """Use a plugin, uninstall it with jobs queued, and install it again."""
    shown: dict[str, Any] = json.loads(at.rocketjob("plugins", plugin, "--json"))
    if shown["status"] != "enabled" or shown["warnings"]:
        raise Failed(f"rocketjob plugins {plugin}: {shown}")
    yield f"`rocketjob plugins {plugin}` shows its {len(shown['hooks'])} hooks, and no complaint"
    tables = [setting["name"] for setting in shown["settings"] if "." in setting["name"]]
    with (at.home / "rocketjob.toml").open("a") as file:  # it stays when the plugin is gone
        for table in {name.partition(".")[0] for name in tables}:
            file.write(f"[{table}]\n")
    first = json.loads(at.run("-c", CREATE))
    with at.server():
        at.wait_for("all are completed", lambda states: all_are("completed", first, states))
    yield f"{len(first)} classes of jobs have run on a server"

    plain, *needing = json.loads(at.run("-c", CREATE))
    at.pip("uninstall", "-y", distribution)
    with at.server():
        at.wait_for("the plain one is completed", lambda s: all_are("completed", [plain], s))
    left = {id: at.states().get(id) for id in needing}
    if set(left.values()) - {"queued"}:
        raise Failed(f"without the plugin its jobs are no longer queued: {left}")
    yield f"uninstalled: other jobs run, and the {len(needing)} that need it stay queued"
    at.install(source)
    with at.server():
        at.wait_for("all are completed", lambda states: all_are("completed", needing, states))
    yield "installed again: they have run"


def not_tests(source: Path, path: str, names: list[str]) -> list[str]:
    """Return what is not to be beside the tests, which are of what is installed."""
    if Path(path) != source:
        return []
    kept = ("test_", "tests", "conftest", "pyproject.toml", "README")
    return [name for name in names if not name.startswith(kept)]


def all_are(state: str, ids: list[str], states: dict[str, str]) -> bool:
    return all(states.get(id) == state for id in ids)


if __name__ == "__main__":
    sys.exit(main())
