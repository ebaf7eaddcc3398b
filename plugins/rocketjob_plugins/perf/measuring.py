"""Runs a workload several times, and collects what it measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from rocketjob import application
from rocketjob.base import clock
from rocketjob.base.passwords import hide_passwords
from rocketjob.store import Store

from . import machine
from .progress import Progress
from .report import Kind, Report
from .scratch import Scratch, scratch


class Workload(Protocol):
    """Something to measure."""

    @property
    def name(self) -> str: ...

    @property
    def settings(self) -> Mapping[str, Any]: ...

    def kinds(self) -> Sequence[Kind]:
        """Return the figures that it takes, in the order in which they are shown."""
        ...

    def run(self, made: Scratch, progress: Progress) -> Mapping[str, float | None]:
        """Measure once; a figure that cannot be told on this machine is None."""
        ...


def measure(workload: Workload, url: str | None, runs: int) -> Report:
    """Run a workload on a new store each time, or on that of the URL."""
    progress, report = Progress(), None
    load = machine.load()
    try:
        for number in range(1, runs + 1):
            progress.label = f"{workload.name}, run {number} of {runs}: "
            progress.say("looking whether the machine is idle")
            busy = machine.others_share()
            with scratch(url) as made:
                if report is None:
                    report = _report(workload, made.store, url, runs)
                    report.load = load
                report.busy.append(busy)
                report.add(workload.run(made, progress))
    finally:
        progress.clear()
    assert report is not None
    return report


def _report(workload: Workload, store: Store, url: str | None, runs: int) -> Report:
    checked = store.check()
    settings = {
        **workload.settings,
        "runs": runs,
        "store": hide_passwords(url) if url else "a private SQLite file",
        "disabled plugins": ", ".join(application.current().config.disabled_plugins) or "none",
    }
    described = {**machine.described(), "store_software": store_version(checked)}
    at = clock.now()
    return Report(workload.name, settings, described, durability(checked), workload.kinds(), at)


def store_version(checked: Mapping[str, Any]) -> str:
    """Name the store's software."""
    version = checked.get("sqlite_version") or checked.get("server_version") or ""
    return f"{checked.get('store', 'store')} {version}".strip()


def durability(checked: Mapping[str, Any]) -> str:
    """Say what a commit of the store promises, as its `check` tells."""
    if "synchronous" in checked:
        return f"journal {checked['journal_mode']}, synchronous {checked['synchronous']}"
    if "write concern" in checked:
        return f"write concern {checked['write concern']}"
    return "as the store is set up"
