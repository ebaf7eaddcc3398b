"""What a check of `rocketjob doctor` is, and what it finds; the kernel's are in `kernel_checks`.

A plugin brings its own with the hook `register_checks`:

    def look(patient):
        yield Finding("disk", PROBLEM, "it is full", "remove what is old")

    @hookimpl
    def register_checks():
        return [Check("disk", look, needs_store=False)]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import attrs

from rocketjob.server.server import Server
from rocketjob.store import Store

OK, WARNING, PROBLEM = "ok", "warning", "problem"


@attrs.frozen
class Finding:
    """One thing that was looked at.

    Attributes:
        area: such as `store` or `servers`.
        status: `ok`, `warning` or `problem`.
        message: what was found.
        advice: what to do about it.
        data: the same for programs.
    """

    area: str
    status: str
    message: str
    advice: str = ""
    data: dict[str, Any] = attrs.field(factory=dict)


@attrs.define
class Patient:
    """What the checks look at, read once.

    Attributes:
        application: the `rocketjob.application.Application`.
        given: settings from the command line.
        servers: those that the check of the servers has found.
        memory: what signs of the verdict keep, where the same patient is looked at again and again.
    """

    application: Any
    given: dict[str, Any] = attrs.field(factory=dict)
    servers: list[Server] = attrs.field(factory=list)
    memory: dict[str, Any] = attrs.field(factory=dict)

    @property
    def store(self) -> Store:
        store: Store = self.application.store
        return store

    @property
    def living(self) -> list[Server]:
        return [server for server in self.servers if not server.seems_dead()]


@attrs.frozen
class Check:
    """A look at one area. One that fails is itself a finding, and the others are still made.

    Attributes:
        area: such as `clock`.
        look: yields what it finds.
        needs_store: whether it is left out where the store cannot be reached.
    """

    area: str
    look: Callable[[Patient], Iterable[Finding]]
    needs_store: bool = True


def complaints(area: str, report: Mapping[str, Any]) -> Iterator[Finding]:
    """Report what a store finds wrong with itself."""
    for problem in report.get("problems", ()):
        yield Finding(area, PROBLEM, str(problem), "restore a backup, or repair the store")
    for message, advice in report.get("warnings", ()):
        yield Finding(area, WARNING, message, advice)
