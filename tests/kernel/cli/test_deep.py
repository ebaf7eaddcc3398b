"""`rocketjob doctor --deep`: the contract of stores as a verdict on a store."""

import functools
import os
import signal
import subprocess
import sys

import pytest

from rocketjob import hookimpl
from rocketjob.base.errors import StoreUnavailable, StoreUnfit
from rocketjob.cli import deep as command
from rocketjob.server.checks import PROBLEM, Finding
from rocketjob.server.scratch import Scratch
from rocketjob.store import context
from rocketjob.testing import deep
from rocketjob.testing.store_contract import parts
from support.memory_stores import MemoryStore

FEW = "test_indexes_are_described or test_a_claim_takes_the_most_urgent_first"


class Memory:
    """A plugin whose place for tests is in memory."""

    def __init__(self, **attributes):
        self.removed, self.attributes = 0, attributes

    @hookimpl
    def open_scratch(self, url):
        if not url.startswith("memory:"):
            return None
        made = {"place": "memory", "engine": "Memory 1.0", "new": MemoryStore}
        return Scratch(**{**made, "remove": self.remove, **self.attributes})

    def remove(self):
        self.removed += 1


@pytest.fixture
def few(monkeypatch):
    """Run two tests of the contract, or those that are named."""

    def choose(tests):
        monkeypatch.setattr(deep, "run", functools.partial(RUN, only=tests))

    choose(FEW)
    return choose


RUN = deep.run


@pytest.fixture
def look(cli, few, rocketjob):
    """Run the command on a plugin; return its exit code, what it printed, and the verdict."""

    def run(plugin, *options):
        rocketjob.plugins.register(plugin, "memory")
        return cli("doctor", "--deep", "memory:", *options)

    return run


def process(folder, *arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "rocketjob.cli", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # In the background it is ignored, and what is started there inherits that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


# --- whole runs ---------------------------------------------------------------------------------


def test_the_whole_contract_is_run_beside_a_file_whatever_is_set_for_pytest(tmp_path):
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    (tmp_path / "conftest.py").write_text("raise SystemExit('not to be imported')")
    before = sorted(tmp_path.iterdir())
    run = process(
        tmp_path, "doctor", "--deep", "sqlite:///jobs.db", PYTEST_ADDOPTS="--no-such-option"
    )
    out, err = run.communicate(timeout=600)
    assert run.returncode == 0, out + err
    lines = out.splitlines()
    assert lines[-1].startswith("FIT: jobs can be trusted to SQLite 3.")
    rows = {line[:29].strip(): line[29:].split()[:2] for line in lines}
    for part in parts.PARTS:
        passed, failed = rows[part.name]
        assert int(passed) > 0 and failed == "0"
    assert f"in the directory {tmp_path}/rocketjob-scratch-" in err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_whoever_stops_it_finds_nothing_of_it(tmp_path, number):
    run = process(tmp_path, "doctor", "--deep", "sqlite:///jobs.db")
    assert run.stderr.readline().startswith("Trying SQLite 3.")
    assert [each.name[:18] for each in tmp_path.iterdir()] == ["rocketjob-scratch-"]
    run.send_signal(number)
    out, err = run.communicate(timeout=600)
    assert run.returncode == 130 and "aborted" in err and "FIT" not in out
    assert list(tmp_path.iterdir()) == []


# --- verdicts -----------------------------------------------------------------------------------


def test_what_it_finds_is_told_to_programs(look):
    plugin = Memory()
    *found, verdict = look(plugin, "--json").objects
    assert [each["part"] for each in found] == [part.name for part in parts.PARTS]
    assert sum(each["passed"] for each in found) == 2
    assert verdict.pop("seconds") >= 0
    assert verdict == {"kind": "verdict", "verdict": "fit", "engine": "Memory 1.0", "reasons": []}
    assert plugin.removed == 1


def test_a_store_that_breaks_a_part_that_is_needed_is_unfit(look, few, monkeypatch):
    test = "test_what_comes_back_is_what_was_stored"
    few(test)

    class Forgetful(MemoryStore):
        def collection(self, name):
            return super().collection(f"{name}{id(object())}{os.urandom(4).hex()}")

    result = look(Memory(new=Forgetful))
    assert result.code == 1
    assert "jobs do not come back as they were stored  nothing: use another server" in result.out
    assert f"failed {test}: " in result.out
    reason = "documents: jobs do not come back as they were stored"
    assert result.lines[-1].startswith(f"UNFIT: no jobs can be trusted to Memory 1.0: {reason} (")


def test_a_store_that_lacks_a_convenience_is_fit_and_it_is_said(look, monkeypatch):
    monkeypatch.setattr("support.memory_stores.MemoryCollection.index_information", lambda self: {})
    result = look(Memory())
    assert result.code == 0
    lesser = parts.LESSER["test_indexes_are_described"]
    text = f"FIT: jobs can be trusted to Memory 1.0, but indexes and collections: {lesser} ("
    assert result.lines[-1].startswith(text)


def test_a_problem_that_was_found_at_once_makes_it_unfit(look):
    result = look(Memory(findings=[Finding("store", PROBLEM, "it gives away", "use another")]))
    assert result.code == 1
    assert result.lines[0] == "problem: it gives away -> use another"
    assert "UNFIT: no jobs can be trusted to Memory 1.0: it gives away (" in result.out


def test_a_server_that_is_refused_is_unfit_without_a_test(look, monkeypatch):
    def refuse(url):
        raise StoreUnfit("it is Old 0.1")

    plugin = Memory()
    monkeypatch.setattr(Memory, "open_scratch", hookimpl(lambda self, url: refuse(url)))
    result = look(plugin)
    assert (result.code, result.out) == (1, "UNFIT: it is Old 0.1\n")


def test_a_server_that_goes_away_in_the_middle_is_not_judged(look, few):
    few("test_what_comes_back_is_what_was_stored")

    def gone():
        raise StoreUnavailable("Memory cannot be reached")

    result = look(Memory(new=gone))
    assert result.code == 2
    assert result.lines[-1] == (
        "UNTRIED: it could be used no more after the tests: Memory cannot be reached"
    )


def test_what_cannot_be_removed_is_named_and_the_verdict_stands(look):
    def fail():
        raise OSError("the disk is away")

    result = look(Memory(remove=fail))
    assert result.code == 0 and result.lines[-1].startswith("FIT: ")
    assert "warning: the memory is left: the disk is away. Remove it by hand" in result.err


# --- what cannot be tried -----------------------------------------------------------------------


def test_pytest_is_asked_for_where_it_is_not_installed(cli, monkeypatch):
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None)
    result = cli("doctor", "--deep", "sqlite://:memory:")
    assert result.code == 2
    assert "runs tests with pytest: pip install 'rocketjob[doctor]'" in result.err


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nothing://host", "No plugin opens a store with the URL scheme 'nothing'"),
        ("sqlite:jobs.db", "is not a URL of an embedded store"),
        ("sqlite:////no/such/folder/jobs.db", "No directory for tests can be made in /no/such/fol"),
    ],
)
def test_what_cannot_be_tried_says_why(cli, url, said):
    result = cli("doctor", "--deep", url)
    assert (result.code, result.out) == (2, "")
    assert "error: it could not be tried: " in result.err and said in result.err
    result = cli("doctor", "--deep", url, "--json")
    (verdict,) = result.objects
    assert (result.code, verdict["verdict"], verdict["seconds"]) == (2, "untried", None)
    assert said in verdict["reasons"][0]


def test_a_store_whose_plugin_has_no_place_for_tests_is_not_tried(cli, rocketjob):
    class Plugin:
        @hookimpl
        def open_store(self, url):
            return MemoryStore() if url.startswith("memory:") else None

    rocketjob.plugins.register(Plugin(), "plain")
    result = cli("doctor", "--deep", "memory://me:secret@host")
    assert result.code == 2
    assert "The plugin that opens memory://me:***@host has no open_scratch" in result.err


def test_a_url_alone_is_wrong_usage(cli):
    result = cli("doctor", "sqlite:///jobs.db")
    assert result.code == 2
    assert "a URL goes with --deep: rocketjob doctor --deep sqlite:///jobs.db" in result.err


def test_without_a_url_the_store_that_is_set_is_tried(cli, few):
    result = cli("doctor", "--deep", "--json")
    assert result.code == 0
    assert result.objects[-1]["engine"].startswith("SQLite 3.")


def test_an_interruption_in_a_test_is_one_of_the_command(look, monkeypatch):
    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr("support.memory_stores.MemoryCollection.index_information", interrupted)
    plugin = Memory()
    assert look(plugin).code == 130
    assert plugin.removed == 1
    assert context.current() is not None
