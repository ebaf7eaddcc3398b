"""The page of what was measured: its tables and its chart are what the script makes of the JSON."""

import json
import runpy
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from rocketjob_plugins.perf.batch import BatchLines
from rocketjob_plugins.perf.growth import Growth
from rocketjob_plugins.perf.latency import Latency
from rocketjob_plugins.perf.simple import Simple
from rocketjob_plugins.perf.store import StoreCalls
from support.pages import DOCS, ROOT

SCRIPT = ROOT / "scripts" / "performance.py"
RESULTS = json.loads((DOCS / "_static" / "performance.json").read_text(encoding="utf-8"))
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPT))


def test_the_tables_and_the_chart_are_what_the_script_makes_of_the_figures():
    command = [sys.executable, str(SCRIPT), "write", "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    said = "run scripts/performance.py write"
    assert (done.returncode, done.stdout) == (0, "nothing to write\n"), said


def test_every_workload_was_measured_and_says_how_durably(script):
    assert list(RESULTS) == [entry.title for entry in script["ENTRIES"]]
    for title, report in RESULTS.items():
        assert report["figures"], title
        for figure in report["figures"]:
            assert figure["lowest"] <= figure["median"] <= figure["highest"]
            assert figure["durability"] in (report["durability"], "nothing is stored")


def test_the_chart_shows_each_bar_that_it_names(script):
    tree = ElementTree.fromstring((DOCS / "_static" / "performance.svg").read_text())
    bars = [element for element in tree if element.tag == f"{SVG}rect"]
    named = [bar for panel in script["PANELS"] for bar in panel.bars if bar[0]]
    rows = [f for f in RESULTS["Growth of the queue"]["figures"] if f["unit"] == "us/job"]
    assert len(rows) >= 8
    assert len(bars) == len(named) + len(rows)
    assert all(float(bar.get("width")) > 0 for bar in bars)


def test_figures_that_were_taken_on_a_busy_machine_are_said_to_be(script):
    report = next(iter(RESULTS.values()))
    for idle in (True, False):
        lines = list(script["machine"]({"Simple jobs": {**report, "is_idle": idle}}))
        assert any("Not idle" in line for line in lines) is not idle


def test_what_was_measured_is_what_the_commands_measure_today(script):
    workloads = {
        "simple": Simple(1, 1, 1),
        "batch": BatchLines(1, 1, 1),
        "latency": Latency(1, 1, 1),
        "store": StoreCalls(1),
        "growth": Growth(RESULTS["Growth of the queue"]["settings"]["longest queue"]),
    }
    for title, report in RESULTS.items():
        known = {kind.name for kind in workloads[report["workload"]].kinds()}
        assert {figure["name"] for figure in report["figures"]} <= known, title


@pytest.mark.parametrize("words", [[], ["draw"], ["write", "--now"]], ids=str)
def test_who_mistypes_it_is_told_how_it_is_called(script, words, capsys):
    assert script["main"](words) == 2
    assert "python scripts/performance.py measure" in capsys.readouterr().out


def test_a_workload_that_there_is_none_of_is_not_measured(script):
    with pytest.raises(SystemExit, match="none of: Simple jobs, "):
        script["measure"](["nonsense"])
