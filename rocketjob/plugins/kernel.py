"""What the kernel itself brings, by the hooks that every plugin has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rocketjob.plugins.hookspecs import hookimpl

if TYPE_CHECKING:
    from rocketjob.base.log_targets import LogTarget
    from rocketjob.server.checks import Check
    from rocketjob.server.metrics import Metric
    from rocketjob.server.subscribers import Subscriber


@hookimpl
def register_indexes() -> Mapping[str, Sequence[Mapping[str, Any]]]:
    from rocketjob.jobs import completions, job  # all three for start-up time
    from rocketjob.server import answers, events, server

    of_servers = {**server.INDEXES, **events.INDEXES, **answers.INDEXES}
    return {**job.INDEXES, **completions.INDEXES, **of_servers}


@hookimpl
def register_checks() -> list[Check]:
    from rocketjob.server.kernel_checks import kernel_checks  # for start-up time

    return kernel_checks()


@hookimpl
def register_signs() -> list[Check]:
    from rocketjob.server.signs import kernel_signs  # for start-up time

    return kernel_signs()


@hookimpl
def register_log_targets() -> Sequence[LogTarget]:
    from rocketjob.base.log_targets import KERNEL_TARGETS  # for start-up time

    return KERNEL_TARGETS


@hookimpl
def register_metrics() -> list[Metric]:
    from rocketjob.server.metrics import KERNEL_METRICS  # for start-up time

    return KERNEL_METRICS


@hookimpl
def register_subscribers() -> list[type[Subscriber] | Subscriber]:
    from rocketjob.server.subscribers import LoggerSubscriber  # for start-up time

    return [LoggerSubscriber]


@hookimpl
def sweep() -> None:
    from rocketjob.jobs import completions  # both for start-up time
    from rocketjob.server import answers, events

    completions.forget()
    if events.sweep():
        answers.remove_old()


@hookimpl
def server_sweep() -> None:
    from rocketjob.store import context, upkeep  # for start-up time

    upkeep.tidy_all(context.current().stores())
