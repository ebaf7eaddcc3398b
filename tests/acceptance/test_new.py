"""What `rocketjob new` writes: installed, tested and type-checked as its reader would."""

import subprocess
import sys

from support.environment import Environment


def new(kind, name, into):
    command = [sys.executable, "-m", "rocketjob.cli", "new", kind, name, "--into", str(into)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def test_a_new_plugin_and_a_new_project_pass_their_tests_and_the_type_checkers(tmp_path):
    environment = Environment(tmp_path / "environment")
    new("plugin", "slack-notify", tmp_path)
    new("project", "toy-shop", tmp_path)
    for folder in (tmp_path / "rocketjob-plugin-slack-notify", tmp_path / "toy-shop"):
        environment.install(folder)
        assert " passed" in environment.python_says("-m", "pytest", "-q", cwd=folder)
        assert "Success" in environment.python_says("-m", "mypy", cwd=folder)
        assert "0 errors, 0 warnings" in environment.python_says("-m", "pyright", cwd=folder)
        environment.python_says("-m", "ruff", "check", ".", cwd=folder)
        environment.python_says("-m", "ruff", "format", "--check", ".", cwd=folder)
    said = environment.python_says("-m", "rocketjob.cli", "plugins", cwd=tmp_path)
    assert "rocketjob-plugin-slack-notify 0.1.0" in said
