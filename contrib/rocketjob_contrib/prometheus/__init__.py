"""Metrics for Prometheus: `pip install 'rocketjob[prometheus]'`.

    rocketjob prometheus --listen 127.0.0.1:9464

It exports what the plugin `metrics` keeps in the store, of all servers: one such process is enough.
In a program of your own, register the collector: `REGISTRY.register(RocketJobCollector())`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rocketjob import hookimpl
from rocketjob_contrib.prometheus.collector import RocketJobCollector

if TYPE_CHECKING:
    import click

__all__ = ["RocketJobCollector"]


@hookimpl
def register_commands(cli: click.Group) -> None:
    from rocketjob_contrib.prometheus.command import prometheus  # for start-up time

    cli.add_command(prometheus)
