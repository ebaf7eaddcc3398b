"""The examples do what their first lines say."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
QUIETLY = ("-q", "-p", "no:cacheprovider", "-c", os.devnull)
PLUGINS = [*sorted(EXAMPLES.glob("rocketjob-plugin-*")), EXAMPLES / "fsspec-vault"]


def test_word_count_counts_the_words_of_each_file(rocketjob, tmp_path, capsys):
    (tmp_path / "a.txt").write_text("one two\nthree\n")
    (tmp_path / "b.txt").write_text("four " * 5000)
    (tmp_path / "ignored.bin").write_bytes(b"\0")
    example = runpy.run_path(str(EXAMPLES / "word_count.py"), run_name="word_count")
    assert example["store_jobs"](str(tmp_path)) == 2
    small, large = example["WordCountJob"].all().order_by("priority")
    assert (small.priority, large.priority) == (1, 3)
    assert rocketjob.work_off() == 2
    assert small.reload().result == {"lines": 2, "words": 3}
    example["show_results"]()
    assert "5,000" in capsys.readouterr().out


def run_tests_of(folder, *options, **environment):
    own = {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    return subprocess.run(
        [sys.executable, "-m", "pytest", ".", *QUIETLY, *options],
        cwd=folder,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_a_plugin_passes_its_own_tests(folder):
    ran = run_tests_of(folder)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_dependencies_hold_without_transactions_too(mongo_server):
    url = f"{mongo_server}/DATABASE?rocketjobTransactions=false&rocketjobWakeUp=tailable"
    few = "diamond or groups or died or noticed or moves_on or circle"  # what asks the store most
    ran = run_tests_of(
        EXAMPLES / "rocketjob-plugin-dependencies", "-k", few, DEPENDENCIES_TEST_URL=url
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_load_throttle_holds_on_mongodb_too(mongo_server):
    url = f"{mongo_server}/DATABASE?rocketjobTransactions=false&rocketjobWakeUp=tailable"
    folder = EXAMPLES / "rocketjob-plugin-load-throttle"
    ran = run_tests_of(folder, "-k", "says or bears or the_replica", LOAD_THROTTLE_TEST_URL=url)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_plugin_of_the_guide_is_short():
    text = (EXAMPLES / "rocketjob-plugin-audit" / "rocketjob_plugin_audit.py").read_text()
    code = text.split('"""')[2].split("\n")
    assert len([line for line in code if line.strip()]) < 30
