"""A series of scheduled jobs has one active instance, wherever a process dies."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[1] / "support" / "dying.py"


@pytest.mark.parametrize(
    "scenario", ["complete", "complete_kept", "fail", "abort", "after_start", "all_mixins"]
)
def test_killed_at_every_step_of_an_end_the_series_has_one_active_instance(tmp_path, scenario):
    ran = subprocess.run(
        [sys.executable, str(PROGRAM), str(tmp_path), scenario],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    points = json.loads(ran.stdout.splitlines()[-1])["points"]
    assert points >= 8
