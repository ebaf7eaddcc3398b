"""Run the contract of stores against a scratch place of a store, and say what it means.

pytest does it, in this process, and nothing that a user has set up for pytest counts: neither
settings nor plugins. It says nothing itself.

Imports within functions: pytest has to see the modules of the contract first, so that it can
explain what their asserts compare.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from rocketjob.base import clock
from rocketjob.base.passwords import hide_passwords
from rocketjob.server.scratch import Scratch
from rocketjob.store import Store

if TYPE_CHECKING:  # not before pytest explains what its asserts compare
    from rocketjob.testing.store_contract.parts import Part

SUITE = "rocketjob.testing.store_contract"
MOST_REASON = 300  # characters
LEFT_OUT = ("cacheprovider", "terminal", "faulthandler", "warnings", "logging")
Progress = Callable[[int, int, int], None]  # tests done, of how many, how many of those failed


@attrs.frozen
class Failure:
    """A test that failed.

    Attributes:
        test: its name.
        reason: what it says.
        meaning: what that means for users.
        is_lesser: whether jobs can be trusted to the store nevertheless.
    """

    test: str
    reason: str
    meaning: str
    is_lesser: bool


@attrs.define
class Outcome:
    """What became of the tests of one part.

    Attributes:
        skipped: how many are about what the store does not have, and need not.
    """

    part: Part
    passed: int = 0
    skipped: int = 0
    failures: list[Failure] = attrs.field(factory=list)

    @property
    def is_broken(self) -> bool:
        """Whether no job can be trusted to the store."""
        return any(not failure.is_lesser for failure in self.failures)


@attrs.frozen
class Report:
    """What became of all tests."""

    outcomes: tuple[Outcome, ...]
    seconds: float

    @property
    def broken(self) -> list[Outcome]:
        """The parts for which no job can be trusted to the store."""
        return [outcome for outcome in self.outcomes if outcome.is_broken]

    @property
    def differing(self) -> list[Outcome]:
        """The other parts of which a test failed."""
        return [each for each in self.outcomes if each.failures and not each.is_broken]


def run(scratch: Scratch, progress: Progress = lambda *_: None, only: str = "") -> Report:
    """Run the contract.

    Args:
        only: an expression as `pytest -k` takes it.

    Raises:
        KeyboardInterrupt: somebody has interrupted it.
        RuntimeError: pytest could not run it.
    """
    runner, began = _Runner(scratch, progress), clock.monotonic()
    with tempfile.TemporaryDirectory(prefix="rocketjob-deep-") as folder, _nothing_of_the_user():
        settings = Path(folder, "pytest.ini")
        settings.write_text("[pytest]\n")
        arguments = ["--pyargs", f"{SUITE}.beside", f"-c{settings}", f"--rootdir={folder}"]
        arguments += ["--noconftest", "--capture=sys", "-k", only]
        arguments += [f"-pno:{name}" for name in LEFT_OUT]
        status = pytest.main(arguments, plugins=[runner])
    if status == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise RuntimeError(f"pytest could not run {SUITE}: {status!r}")
    return Report(runner.outcomes(), clock.monotonic() - began)


class _Runner:
    """A plugin of pytest: brings the fixture, and notes what becomes of each test."""

    def __init__(self, scratch: Scratch, progress: Progress) -> None:
        self._scratch, self._progress = scratch, progress
        self._total = self._done = 0
        self._reports: dict[str, pytest.TestReport] = {}  # the one that counts, by test

    def pytest_configure(self) -> None:
        pytest.register_assert_rewrite(SUITE)

    @pytest.fixture
    def store(self) -> Iterator[Store]:
        store = self._scratch.new()
        yield store
        store.close()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self._total = len(items)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the report of each test: that of its call, unless something else went wrong."""
        if report.when == "call" or report.outcome != "passed":
            self._reports.setdefault(report.nodeid, report)
            if report.failed:
                self._reports[report.nodeid] = report
        if report.when == "teardown":
            self._done += 1
            failed = sum(each.failed for each in self._reports.values())
            self._progress(self._done, max(self._total, self._done), failed)

    def outcomes(self) -> tuple[Outcome, ...]:
        from rocketjob.testing.store_contract import parts

        found = {part.name: Outcome(part) for part in parts.PARTS}
        for node, report in self._reports.items():
            name = node.rpartition("::TestStore::")[2]
            outcome = found[parts.part_of(name.partition("[")[0]).name]
            outcome.passed += report.passed
            outcome.skipped += report.skipped
            if report.failed:
                outcome.failures.append(_failure(name, report, outcome.part))
        return tuple(found.values())


def _failure(name: str, report: pytest.TestReport, part: Part) -> Failure:
    from rocketjob.testing.store_contract.parts import LESSER

    lesser = LESSER.get(name.partition("[")[0])
    meaning = lesser or part.meaning
    return Failure(name, _reason(report), meaning, bool(lesser) or not part.needed)


def _reason(report: pytest.TestReport) -> str:
    crash: Any = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash is not None else report.longreprtext
    return hide_passwords(" ".join(text.split()))[:MOST_REASON]


@contextlib.contextmanager
def _nothing_of_the_user() -> Iterator[None]:
    """Let pytest find no settings and plugins in the environment."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("PYTEST_")}
    for name in kept:
        del os.environ[name]
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    try:
        yield
    finally:
        del os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"]
        os.environ.update(kept)
