"""Type checkers understand job classes: the guide's examples pass, the usual mistakes are found."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "tests" / "typing" / "guide.py"
PLUGINS = ROOT / "tests" / "typing" / "plugins.py"
MISTAKES = ROOT / "tests" / "typing" / "mistakes.py"


def mistakes():
    """Return the numbers of the lines that are marked as mistakes."""
    lines = MISTAKES.read_text().splitlines()
    return {number for number, line in enumerate(lines, 1) if "# mistake" in line}


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=240)


@pytest.fixture(scope="module")
def mypy(tmp_path_factory):
    """Return what mypy says, by file, from one run over both."""
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed")
    config = tmp_path_factory.mktemp("mypy") / "mypy.ini"
    config.write_text(
        "[mypy]\nstrict = true\nmypy_path = plugins:contrib\n"
        "[mypy-rocketjob.*]\nfollow_imports = silent\n"
    )
    options = ["--config-file", str(config), "--no-error-summary", "--cache-dir"]
    cache = str(ROOT / ".mypy_cache")
    done = run(
        sys.executable, "-m", "mypy", *options, cache, str(GUIDE), str(PLUGINS), str(MISTAKES)
    )
    return done.stdout + done.stderr


def said_by_mypy(text, file):
    return {int(found) for found in re.findall(rf"{file.name}:(\d+): error", text)}


@pytest.mark.parametrize("file", [GUIDE, PLUGINS], ids=lambda file: file.stem)
def test_mypy_finds_nothing_in_the_guides_examples(mypy, file):
    assert said_by_mypy(mypy, file) == set(), mypy


def test_mypy_finds_every_mistake_and_no_other(mypy):
    assert said_by_mypy(mypy, MISTAKES) == mistakes(), mypy


@pytest.fixture(scope="module")
def pyright():
    """Return what pyright says: (file name, line, message)."""
    command = shutil.which("pyright", path=str(Path(sys.executable).parent))
    if command is None:
        pytest.skip("pyright is not installed")
    options = ["--outputjson", "--pythonpath", sys.executable]
    done = run(command, *options, str(GUIDE), str(PLUGINS), str(MISTAKES))
    if not done.stdout.lstrip().startswith("{"):
        pytest.skip(f"pyright cannot run here: {done.stderr[-200:]}")
    return [
        (Path(each["file"]).name, each["range"]["start"]["line"] + 1, each["message"])
        for each in json.loads(done.stdout)["generalDiagnostics"]
        if each["severity"] == "error"
    ]


@pytest.mark.parametrize("file", [GUIDE, PLUGINS], ids=lambda file: file.stem)
def test_pyright_finds_nothing_in_the_guides_examples(pyright, file):
    assert [each for each in pyright if each[0] == file.name] == []


def test_pyright_finds_every_mistake_and_no_other(pyright):
    found = {line for name, line, _ in pyright if name == MISTAKES.name}
    assert found == mistakes(), pyright
