"""`rocketjob doctor --deep URL`: is a server fit for jobs? The contract of stores is run on it.

Imports within functions: a command loads no more than it needs, so that it starts quickly; and
pytest need not be installed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import signal
import sys
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

import attrs
import click

from rocketjob import application
from rocketjob.base.errors import RocketJobError, StoreUnfit
from rocketjob.base.passwords import hide_passwords
from rocketjob.base.text import counted, span
from rocketjob.cli.errors import Failure
from rocketjob.cli.output import Cell, Column, clean, print_json, print_table, styled
from rocketjob.server.checks import OK, PROBLEM, Finding
from rocketjob.server.scratch import Scratch

if TYPE_CHECKING:
    from rocketjob.testing.deep import Outcome, Report

FIT, UNFIT, UNTRIED = 0, 1, 2
WORDS = {FIT: ("fit", "green"), UNFIT: ("unfit", "red"), UNTRIED: ("untried", "yellow")}
NEEDS_PYTEST = "the deep look runs tests with pytest: pip install 'rocketjob[doctor]'"
EVERY_SECONDS = 10.0  # progress is said, where it cannot be overwritten
COLUMNS = (
    Column("tried", fixed=True),
    Column("passed", right=True, fixed=True),
    Column("failed", right=True, fixed=True),
    Column("what that means", wraps=True),
    Column("what serves instead", wraps=True),
)


class _Untried(Failure):
    """The server could not be tried."""

    exit_code = UNTRIED


@attrs.frozen
class Verdict:
    """Whether jobs can be trusted to a server, and why not."""

    code: int
    reasons: list[str]
    engine: str = ""


def look(url: str, as_json: bool) -> int:
    """Try a server, and show what was found; return the exit code."""
    if importlib.util.find_spec("pytest") is None:
        return _end(Verdict(UNTRIED, [NEEDS_PYTEST]), as_json)
    with _ended_by_sigterm():
        try:
            scratch = application.current().open_scratch(url)
        except StoreUnfit as error:
            return _end(Verdict(UNFIT, [str(error)]), as_json)
        except RocketJobError as error:
            return _end(Verdict(UNTRIED, [str(error)]), as_json)
        try:
            return _tried(scratch, as_json)
        finally:
            _remove(scratch)


def _remove(scratch: Scratch) -> None:
    try:
        scratch.remove()
    except Exception as error:  # the verdict stands nevertheless
        _say(f"warning: the {scratch.place} is left: {error}. Remove it by hand")


def _tried(scratch: Scratch, as_json: bool) -> int:
    from rocketjob.testing import deep

    _say(f"Trying {scratch.engine}, in the {scratch.place}, which is then removed")
    report = deep.run(scratch, _progress())
    for finding in scratch.findings:
        _show_finding(finding, as_json)
    _show_parts(report, as_json)
    gone = _why_gone(scratch) if report.broken else ""
    verdict = Verdict(UNTRIED, [gone], scratch.engine) if gone else judge(scratch, report)
    return _end(verdict, as_json, report)


def _why_gone(scratch: Scratch) -> str:
    """Return why the server cannot be used any more, if that is why tests have failed."""
    try:
        scratch.new().close()
    except Exception as error:
        return f"it could be used no more after the tests: {error}"
    return ""


def judge(scratch: Scratch, report: Report) -> Verdict:
    """Say whether jobs can be trusted to what was tried."""
    reasons = [each.message for each in scratch.findings if each.status == PROBLEM]
    reasons += [f"{each.part.name}: {each.part.meaning}" for each in report.broken]
    if reasons:
        return Verdict(UNFIT, reasons, scratch.engine)
    differing = [f"{each.part.name}: {_meaning(each)}" for each in report.differing]
    return Verdict(FIT, differing, scratch.engine)


# --- looks -----------------------------------------------------------------------------------


def _say(text: str) -> None:
    click.echo(hide_passwords(clean(text)), err=True)


def _progress() -> Callable[[int, int, int], None]:
    """Return what shows how many tests are done: in one line, or now and then in a new one."""
    terminal, said = sys.stderr, time.monotonic()
    overwrites = terminal.isatty()

    def show(done: int, total: int, failed: int) -> None:
        nonlocal said
        text = f"{done} of {total} tests" + (f", {failed} failed" if failed else "")
        if overwrites:
            terminal.write(f"\r{text}\x1b[K" + ("\r\x1b[K" if done == total else ""))
        elif time.monotonic() - said > EVERY_SECONDS:
            said = time.monotonic()
            terminal.write(f"{text}\n")
        terminal.flush()

    return show


def _show_finding(finding: Finding, as_json: bool) -> None:
    if as_json:
        print_json({"kind": "finding", **attrs.asdict(finding)})
        return
    advice = f" -> {finding.advice}" if finding.advice else ""
    label = "" if finding.status == OK else f"{finding.status}: "
    click.echo(hide_passwords(clean(f"{label}{finding.message}{advice}")))


def _show_parts(report: Report, as_json: bool) -> None:
    if as_json:
        for outcome in report.outcomes:
            print_json(_as_dict(outcome))
        return
    click.echo()
    print_table(COLUMNS, [_row(outcome) for outcome in report.outcomes])
    failures = [failure for outcome in report.outcomes for failure in outcome.failures]
    if failures:
        click.echo()
    for failure in failures:
        click.echo(f"{styled('failed', fg='red')} {failure.test}: {clean(failure.reason)}")
    click.echo()


def _row(outcome: Outcome) -> list[Cell | str]:
    count = len(outcome.failures)
    passed = str(outcome.passed) if outcome.passed or not outcome.skipped else "-"
    if not count:
        return [outcome.part.name, passed, "0", "not needed" if passed == "-" else "", ""]
    colour = "red" if outcome.is_broken else "yellow"
    instead = outcome.part.instead if outcome.is_broken or not outcome.part.needed else ""
    return [outcome.part.name, passed, Cell(str(count), colour), _meaning(outcome), instead]


def _meaning(outcome: Outcome) -> str:
    """Return what it means that tests failed; of what is serious, only that."""
    worst = [each for each in outcome.failures if each.is_lesser is not outcome.is_broken]
    return "; ".join(dict.fromkeys(each.meaning for each in worst))


def _as_dict(outcome: Outcome) -> dict[str, Any]:
    return {
        "kind": "part",
        "part": outcome.part.name,
        "needed": outcome.part.needed,
        "passed": outcome.passed,
        "skipped": outcome.skipped,
        "failed": [attrs.asdict(failure) for failure in outcome.failures],
        "meaning": _meaning(outcome),
        "instead": outcome.part.instead if outcome.failures else "",
    }


def _end(verdict: Verdict, as_json: bool, report: Report | None = None) -> int:
    """Show the verdict and return the exit code."""
    word, colour = WORDS[verdict.code]
    reasons = [hide_passwords(clean(reason)) for reason in verdict.reasons]
    seconds = round(report.seconds, 1) if report else None
    if as_json:
        line = {"kind": "verdict", "verdict": word, "engine": verdict.engine, "reasons": reasons}
        print_json({**line, "seconds": seconds})
    elif report is None and verdict.code == UNTRIED:
        raise _Untried(f"it could not be tried: {'; '.join(reasons)}")
    else:
        head = styled(word.upper(), fg=colour, bold=True)
        click.echo(f"{head}: {_sentence(verdict, reasons, report)}")
    return verdict.code


def _sentence(verdict: Verdict, reasons: list[str], report: Report | None) -> str:
    if report is None or verdict.code == UNTRIED:
        return "; ".join(reasons)
    failed = sum(len(each.failures) for each in report.outcomes)
    passed = counted(sum(each.passed for each in report.outcomes), "test")
    took = f"{passed} passed and {failed} failed in {span(report.seconds)}"
    if verdict.code == UNFIT:
        return f"no jobs can be trusted to {verdict.engine}: {'; '.join(reasons)} ({took})"
    but = f", but {'; '.join(reasons)}" if reasons else ""
    return f"jobs can be trusted to {verdict.engine}{but} ({took})"


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Remove what was made also when this process is told to end."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
