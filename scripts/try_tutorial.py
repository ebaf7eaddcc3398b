#!/usr/bin/env python3
"""Follow the tutorial to the letter, in a fresh environment: docs/tutorial/index.md.

    python scripts/try_tutorial.py          as a reader does: pip fetches what is needed
    python scripts/try_tutorial.py --pictures docs/_static      and makes its picture again
    python scripts/try_tutorial.py --lend   with what is installed here, without a network: only
                                            what the wheel says it needs, and pytest and hatchling

Every block after "save this as `NAME`" is written, every `$` command of a console is typed, and
what the page shows below it, or in a block of text, has to come: `...` stands for anything, and
times, ids and this machine's folder may be others. Exit code 1 if the page is not so.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "tutorial" / "index.md"
PATIENCE = 40.0  # seconds, for what is quick on a machine that is not busy
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"save\s+this\s+as\s+`([^`]+)`", re.IGNORECASE)
HOME = "/home/you/shop"  # in the page
ADDRESS = "http://127.0.0.1:8787/"
DONE = "--- done"
INSTALLS = "../rocketjob["
LONG_RUNNING = ("rocketjob server", "rocketjob web")
ACTIVATE = ". .venv/bin/activate"
TOOLS = ("pytest", "hatchling")  # that the page uses besides
VARYING = re.compile(  # in what is shown: anything, an id, a duration, a version
    r"(?P<any>\.\.\.)|(?P<id>\b[0-9a-f]{24}\b)|(?P<time>\b\d+(?:\.\d+)?(?:ms|s|m|h)\b)"
    r"|(?P<version>\(Python [\d.]+\))|(?P<clock>\b\d\d:\d\d\b)|(?P<space> +)"
)
BECOMES = {
    "any": r".*?",
    "time": r"[\d.]+(?:ms|s|m|h)(?: \d+\w)?",
    "version": r"\(Python .*\)",
    "clock": r"\d\d:\d\d",
    "space": r" +",
}


class Failed(Exception):
    """The page and what happens are not the same."""


class Block(NamedTuple):
    """A block of the page, and what stands before it."""

    line: int
    language: str
    text: str
    before: str


def blocks(page: str) -> Iterator[Block]:
    end = 0
    for found in FENCE.finditer(page):
        line = page.count("\n", 0, found.start()) + 1
        yield Block(line, found[1], found[2], page[end : found.start()])
        end = found.end()


def typed(text: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a console, with what is shown below it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown


class Shown:
    """What the page shows, against what comes; it learns which id stands for which."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ids = folder, dict[str, str]()

    def with_ids(self, command: str) -> str:
        for shown, real in self.ids.items():
            command = command.replace(shown, real)
        return command

    def find(self, shown: str, said: str, *, whole: bool) -> int | None:
        """Return where in what was said the part ends that the page shows, or None."""
        names: dict[str, str] = {}  # of groups, by the ids that are new
        lines = [self._pattern(line, names) for line in shown.splitlines()]
        pattern = "".join(rf"{line}[ ]*\n" if line != ".*?" else r"(?:.*\n)*?" for line in lines)
        found = re.fullmatch(pattern, said) if whole else re.search(pattern, said)
        if found is None:
            return None
        self.ids |= {id: found[name] for id, name in names.items()}
        return found.end()

    def _pattern(self, line: str, names: dict[str, str]) -> str:
        parts, end = [], 0
        line = line.replace(HOME, str(self.folder)).rstrip()
        for found in VARYING.finditer(line):
            parts += [re.escape(line[end : found.start()]), self._varying(found, names)]
            end = found.end()
        return "".join(parts) + re.escape(line[end:])

    def _varying(self, found: re.Match[str], names: dict[str, str]) -> str:
        if found["id"] is None:
            return BECOMES[str(found.lastgroup)]
        if found["id"] in self.ids:
            return self.ids[found["id"]]
        if found["id"] in names:
            return f"(?P={names[found['id']]})"
        names[found["id"]] = name = f"id{len(names)}"
        return f"(?P<{name}>[0-9a-f]{{24}})"


class Running:
    """A program that was started in the folder of the shop, and what it says."""

    def __init__(self, command: list[str], folder: Path, log: Path, more: dict[str, str]) -> None:
        self.log, self.read = log, 0  # so many characters have been looked at
        with log.open("w") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                cwd=folder,
                env=os.environ | {"PYTHONUNBUFFERED": "1", "NO_COLOR": "1"} | more,
                text=True,
            )

    def said(self) -> str:
        """Return what it has said since what was last looked for."""
        return self.log.read_text(encoding="utf-8")[self.read :]

    def wait_for(self, look: Callable[[], Any]) -> Any:
        """Look each time that it has said more, until something is found or it has ended."""
        end, size = time.monotonic() + PATIENCE, -1
        while time.monotonic() < end and self.process.poll() is None:
            if (now := self.log.stat().st_size) != size and (found := look()) is not None:
                return found
            size = now
            time.sleep(0.05)
        return look()

    def type(self, command: str) -> str:
        """Have a shell run a command; return what that says."""
        assert self.process.stdin is not None
        self.read += len(self.said())
        self.process.stdin.write(f"{command}\necho '{DONE}' $?\n")
        self.process.stdin.flush()
        done = re.compile(rf"^{DONE} (\d+)\n", re.MULTILINE)
        found = self.wait_for(lambda: done.search(self.said()))
        if found is None or found[1] != "0":
            raise Failed(f"`{command}` has not succeeded:\n{self.said()}")
        return self.said()[: found.start()]

    def says(self, shown: str, page: Shown) -> None:
        """Wait until it has said what the page shows.

        Raises:
            Failed: it does not.
        """
        end = self.wait_for(lambda: page.find(shown, self.said(), whole=False))
        if end is None:
            raise Failed(f"the page shows\n{shown}\nbut it said only\n{self.said()}")
        self.read += end

    def press_ctrl_c(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=PATIENCE)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self.process.terminate()
        self.process.communicate(timeout=PATIENCE)


class Reader:
    """Does what the page says, block by block."""

    def __init__(self, home: Path, *, lends: bool, pictures: Path | None = None) -> None:
        self.home, self.folder, self.lends = home, home / "shop", lends
        self.pictures = pictures
        self.page = Shown(self.folder)
        more = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0"}
        self.settings = {"PIP_DISABLE_PIP_VERSION_CHECK": "1"} | (more if lends else {})
        self.settings |= {"PYTHONWARNINGS": "error"} if lends else {}
        self.shell = Running(["bash"], home, home / "shell.log", self.settings)
        self.server: Running | None = None

    def do(self, block: Block) -> None:
        if block.language == "console":
            for command, shown in typed(block.text):
                self.enter(command, shown)
        elif names := FILE.findall(block.before):
            path = self.folder / names[-1]
            path.parent.mkdir(exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.language == "text" and self.server is not None:
            self.server.says(block.text, self.page)
        else:
            raise Failed("it is not said where this is saved")

    def enter(self, command: str, shown: str) -> None:
        if command.startswith(LONG_RUNNING):
            return self.start(command, shown)
        if self.lends and command.startswith("python3 -m venv"):
            return make_environment(self.folder / ".venv")
        if self.lends and INSTALLS in command:
            return install_wheel(self.folder / ".venv")
        said = self.shell.type(self.page.with_ids(command))
        if self.page.find(shown, said, whole=True) is None:
            raise Failed(f"$ {command}\nThe page shows\n{shown}\nand it said\n{said}")

    def start(self, command: str, shown: str) -> None:
        """Start the server, in place of the one that ran; or look at the web pages and end them."""
        is_server = "server" in command
        if is_server and self.server is not None:
            self.server.press_ctrl_c()
        words = command if is_server else f"{command} --port 0"  # 8787 may be in use here
        log = self.home / ("server.log" if is_server else "web.log")
        program = ["bash", "-c", f"{ACTIVATE} && exec {words}"]
        running = Running(program, self.folder, log, self.settings)
        try:
            running.says(shown.replace(ADDRESS, "http://127.0.0.1:..."), self.page)
            if is_server:
                self.server, running = running, self.server
            else:
                address = re.search(r"http://\S+", running.log.read_text())[0]
                look_at(address, self.page)
                if self.pictures is not None:
                    take_picture(address, self.page, self.pictures)
        finally:
            if running is not None:
                running.kill()

    def close(self) -> None:
        for running in filter(None, (self.server, self.shell)):
            running.kill()


def look_at(address: str, page: Shown) -> None:
    """Look at the pages of Mission Control that the tutorial speaks of."""
    for path in ("", "schedule", *(f"jobs/{id}" for id in page.ids.values())):
        with urllib.request.urlopen(address + path, timeout=PATIENCE) as answer:
            if b"NightlyImport" not in answer.read() and not path.startswith("jobs/"):
                raise Failed(f"{address}{path} does not show the import")


def take_picture(address: str, page: Shown, folder: Path) -> None:
    """Make the picture of the page, with the chromium of the system."""
    nightly = list(page.ids.values())[1]  # the second that the tutorial speaks of
    options = ("--headless", "--no-sandbox", "--hide-scrollbars", "--window-size=1280,900")
    picture = f"--screenshot={folder / 'tutorial-job.png'}"
    run("chromium", *options, picture, f"{address}jobs/{nightly}")


# --- without a network -----------------------------------------------------------------------


def make_environment(folder: Path) -> None:
    """Make an environment that has what RocketJob says it needs, lent from here, and no more."""
    venv.create(folder, symlinks=True)
    site = next((folder / "lib").glob("python*")) / "site-packages"
    for name in needed(Requirement("rocketjob[web]"), *map(Requirement, TOOLS)):
        distribution = metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or () if file.parts[0] != ".."}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(distribution.locate_file(top))))
    pip = f'env -u PYTHONWARNINGS "{sys.executable}" -m pip --python "{folder}/bin/python"'
    for name, command in {"pip": pip, "pytest": f'"{folder}/bin/python" -m pytest'}.items():
        (folder / "bin" / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (folder / "bin" / name).chmod(0o755)


def needed(*requirements: Requirement) -> list[str]:
    """Return the names of all distributions that these need, without RocketJob itself."""
    found: dict[str, set[str]] = {}  # each with its extras
    waiting = list(requirements)
    while waiting:
        each = waiting.pop()
        if each.name in found and each.extras <= found[each.name]:
            continue
        found.setdefault(each.name, set()).update(each.extras)
        for line in metadata.requires(each.name) or ():
            more = Requirement(line)
            extras = ("", *each.extras)
            if more.marker is None or any(more.marker.evaluate({"extra": e}) for e in extras):
                waiting.append(more)
    return sorted(found.keys() - {"rocketjob"})


def install_wheel(environment: Path) -> None:
    """Build RocketJob's wheel and install it, as pip does with a checkout."""
    with tempfile.TemporaryDirectory() as folder:
        run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder)
        (wheel,) = Path(folder).glob("*.whl")
        offline = ("-q", "--no-deps", "--no-index", "--no-compile", "--disable-pip-version-check")
        run(str(environment / "bin" / "pip"), "install", *offline, str(wheel))


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--lend", action="store_true", help="lend what is installed here")
    parser.add_argument("--pictures", type=Path, help="make those of the page again, in a folder")
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rocketjob-tutorial-") as folder:
        home = Path(folder).resolve()
        (home / "rocketjob").symlink_to(ROOT)
        reader = Reader(home, lends=options.lend, pictures=options.pictures)
        try:
            for block in blocks(PAGE.read_text(encoding="utf-8")):
                try:
                    reader.do(block)
                except Failed as error:
                    print(f"{PAGE.name}, line {block.line}: {error}", file=sys.stderr)
                    return 1
        finally:
            reader.close()
    print(f"The tutorial is so: {time.monotonic() - began:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
