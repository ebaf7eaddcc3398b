"""The contract of stores finds every store that breaks it in one of these ways."""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from support.mutated_stores import MUTANTS, UNHARMED

TESTS = Path(__file__).parents[1]
FILE = TESTS / "support" / "mutated_stores.py"


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """How many tests failed of each class, in one run of the tests that are to find something."""
    nodes = [f"{FILE}::{name}::{finds}" for name, (_, _, finds) in MUTANTS.items()]
    finding = dict.fromkeys(finds for _, _, finds in MUTANTS.values())
    nodes += [f"{FILE}::{name}::{finds}" for name in UNHARMED for finds in finding]
    report = tmp_path_factory.mktemp("mutants") / "report.xml"
    command = ["-I", "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *nodes]
    environment = {n: v for n, v in os.environ.items() if not n.startswith("PYTEST_")}
    ran = subprocess.run(
        [sys.executable, *command],
        cwd=TESTS.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 1, ran.stdout + ran.stderr  # some tests failed, and nothing else
    counts = {}
    for case in ElementTree.parse(report).iter("testcase"):
        name = case.get("classname").rpartition(".")[2]
        counts[name] = counts.get(name, 0) + (case.find("failure") is not None)
    return counts


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_found(failed, name):
    assert failed[name] > 0


@pytest.mark.parametrize("name", UNHARMED)
def test_a_store_that_keeps_the_contract_passes(failed, name):
    assert failed[name] == 0
