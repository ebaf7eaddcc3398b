"""With warnings as errors, and Python's development mode, nothing of RocketJob warns."""

import subprocess
import sys

import pytest

STRICTLY = (sys.executable, "-X", "dev", "-W", "error")
IMPORTS = """
import importlib, pkgutil
import rocketjob, rocketjob_contrib, rocketjob_plugins

count = 0
for package in (rocketjob, rocketjob_contrib, rocketjob_plugins):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if module.name.endswith("__main__") or module.name == "rocketjob_contrib.flask.worker":
            continue  # they begin to do something
        if module.name.startswith("rocketjob_contrib.django"):
            continue  # needs a project that is set up: test_django.py has one
        importlib.import_module(module.name)
        count += 1
print(count)
"""


def run(folder, *words):
    done = subprocess.run([*STRICTLY, *words], cwd=folder, capture_output=True, text=True)
    # "Exception ignored in": a warning where nothing can be raised, such as in __del__.
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr and "Exception ignored" not in done.stderr
    return done.stdout


def test_every_module_is_imported_without_a_warning(tmp_path):
    assert int(run(tmp_path, "-c", IMPORTS)) > 400


@pytest.mark.parametrize("words", ["--help", "--version", "config", "plugins", "store --help"])
def test_commands_do_not_warn(tmp_path, words):
    assert run(tmp_path, "-m", "rocketjob", *words.split())


def test_a_job_is_enqueued_and_listed_without_a_warning(tmp_path):
    (tmp_path / "shop.py").write_text(
        "from rocketjob import Job\nclass StrictlyShopJob(Job):\n    def perform(self): ...\n"
    )
    run(tmp_path, "-m", "rocketjob", "enqueue", "shop:StrictlyShopJob")
    assert "StrictlyShopJob" in run(tmp_path, "-m", "rocketjob", "jobs", "list", "--app", "shop")
    run(tmp_path, "-m", "rocketjob", "perform", "shop:StrictlyShopJob")
