"""What the kernel itself brings, by the hooks that every plugin has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rocketjob.plugins.hookspecs import hookimpl

if TYPE_CHECKING:
    from rocketjob.server.checks import Check


@hookimpl
def register_indexes() -> Mapping[str, Sequence[Mapping[str, Any]]]:
    from rocketjob.jobs import completions, job  # all three for start-up time
    from rocketjob.server import events, server

    return {**job.INDEXES, **completions.INDEXES, **server.INDEXES, **events.INDEXES}


@hookimpl
def register_checks() -> list[Check]:
    from rocketjob.server.kernel_checks import kernel_checks  # for start-up time

    return kernel_checks()
