"""The reference that is written from the code has everything, and something to say of each."""

import re
import subprocess
import sys

import pytest

from rocketjob import RocketJobError
from rocketjob.base import config, errors
from rocketjob.cli import make_cli
from rocketjob.plugins.hook_checks import known_hooks
from rocketjob.plugins.manager import PluginManager
from support.pages import DOCS, ROOT

SCRIPT = ROOT / "scripts" / "reference.py"


def written(part):
    """Return what the script writes; in a process of its own, as it imports every module."""
    command = [sys.executable, str(SCRIPT), part]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def named(text):
    """Return what has a row of a table, with whether anything is said of it."""
    rows = re.findall(r"^\| `([^`]+)`.* \| (.*) \|$", text, re.MULTILINE)
    return {name: bool(said.strip()) for name, said in rows}


def test_every_command_and_option_is_there_with_what_it_does():
    text = written("commands")
    headings = set(re.findall(r"^## `([^`]+)`$", text, re.MULTILINE))
    assert {"rocketjob", *(f"rocketjob {name}" for name in make_cli().commands)} <= headings
    assert "rocketjob jobs list" in headings
    parts = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert [
        part.splitlines()[0] for part in parts if len(part.split("```", 2)[2].strip()) < 5
    ] == []
    assert [name for name, said in named(text).items() if not said] == []


def test_every_hook_is_there_with_its_specification():
    text = written("hooks")
    headings = re.findall(r"^## `(\w+)`$", text, re.MULTILINE)
    assert headings == sorted(known_hooks(PluginManager()))
    parts = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert [part.splitlines()[0] for part in parts if "```\n\nBrought by" in part] == []


def test_every_setting_is_there_with_its_help():
    assert named(written("settings")) == dict.fromkeys(config.setting_names(), True)


def test_every_error_of_the_kernel_and_of_plugins_is_there_with_its_message():
    found = named(written("errors"))
    kernel = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, RocketJobError)
    }
    assert kernel - {"RocketJobError"} | {"RetryLater", "StreamError"} <= set(found)
    assert [name for name, said in found.items() if not said] == []


@pytest.mark.parametrize("part, some", [("events", "snooze"), ("metrics", "dirmon_files")])
def test_events_and_metrics_are_there(part, some):
    found = named(written(part))
    assert found[some]
    assert [name for name, said in found.items() if not said] == []


def test_each_part_has_a_page():
    asked_for = {
        found
        for page in (DOCS / "reference").glob("*.md")
        for found in re.findall(r"^```{reference} (\w+)$", page.read_text(), re.MULTILINE)
    }
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True)
    assert set(done.stderr.strip().removeprefix("name one of ").split(", ")) == asked_for
