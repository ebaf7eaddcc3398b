"""An example plugin on its way through an environment, as scripts/try_examples.py goes it with
all of them."""

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPT = Path(__file__).parents[2] / "scripts" / "try_examples.py"


def test_an_example_is_installed_used_uninstalled_with_jobs_queued_and_installed_again():
    command = [sys.executable, str(SCRIPT), "--lend", "rocketjob-plugin-audit"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "uninstalled: other jobs run, and the 1 that need it stay queued" in done.stdout
    assert "installed again: they have run" in done.stdout


def test_an_example_that_there_is_not_is_refused():
    done = subprocess.run([sys.executable, str(SCRIPT), "nothing"], capture_output=True, text=True)
    assert done.returncode == 2
    said = " ".join(done.stderr.split())
    there_are = ", ".join(
        sorted(folder.parent.name for folder in EXAMPLES.glob("*/pyproject.toml"))
    )
    assert f"no such example: nothing; there are {there_are}" in said
