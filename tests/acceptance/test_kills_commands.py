"""Commands and servers that die at any step, or meet another one there: all is right afterwards."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[1] / "support" / "dying_commands.py"


def run(tmp_path, scenario, mode):
    """Try every point; return how many there are, and at how many the other one came between."""
    ran = subprocess.run(
        [sys.executable, str(PROGRAM), str(tmp_path), scenario, mode],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    return found["points"], found["met"]


@pytest.mark.parametrize(
    "scenario",
    [
        "copy_again",
        "rotate",
        "sync",
        "sync_changed",
        "resubmit",
        "batch_upload",
        "canary",
        "approve",
        "migrate",
        "register",
        "bury",
        "unregister",
        "register_again",
        "register_again_free",
    ],
)
def test_killed_at_every_step_and_run_again_it_ends_as_if_it_had_not_been(tmp_path, scenario):
    points, _ = run(tmp_path, scenario, "dies")
    assert points >= 8


@pytest.mark.parametrize(
    "scenario",
    [
        "rotate",
        "sync",
        "sync_while_running",
        "resubmit",
        "resubmit_while_running",
        "canary",
        "register_twice",
        "bury",
    ],
)
def test_whatever_step_another_one_comes_between_nothing_is_lost_or_doubled(tmp_path, scenario):
    _, met = run(tmp_path, scenario, "meets")
    assert met >= 4
