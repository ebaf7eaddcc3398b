"""Failures in groups: what has failed, how often and since when; a group is retried at once.

    rocketjob failures --since 1h
    rocketjob failures 3f0c52aa91b7d4e8 --retry

Failed jobs, and failed slices of batch jobs, are one group if their class and exception are the
same, and their messages but for numbers and what is quoted in them. In a program::

    from rocketjob_plugins.failures import groups_of, look

    for group in groups_of(look()):
        print(group.count, group.title, group.last)

A group that has been acknowledged is no reason for the verdict to be FAILING or WATCH, until
something of it fails anew. Who did so is in the audit.

- `pattern`: what is the same in the messages of a group
- `looking`: which failures there are, as far as can be looked at in a moment
- `groups`: the groups of them
- `acknowledged`: which of these somebody has seen
- `retrying`: all of a group again, each only if it is still as it was seen
- `signs`: what the verdict makes of it
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rocketjob import hookimpl
from rocketjob_plugins.failures.acknowledged import Acknowledged, acknowledge, remove_old
from rocketjob_plugins.failures.groups import Group, groups_of
from rocketjob_plugins.failures.looking import Failure, Failures, look
from rocketjob_plugins.failures.retrying import Outcome, Plan, plan_for, retry

if TYPE_CHECKING:
    import click

    from rocketjob.server.checks import Check

__all__ = [
    "Acknowledged",
    "Failure",
    "Failures",
    "Group",
    "Outcome",
    "Plan",
    "acknowledge",
    "groups_of",
    "look",
    "plan_for",
    "retry",
]


@hookimpl
def sweep() -> None:
    remove_old()


@hookimpl
def register_signs() -> list[Check]:
    from rocketjob.server.checks import Check  # for start-up time
    from rocketjob_plugins.failures.signs import failures

    return [Check("jobs", failures)]


@hookimpl
def register_commands(cli: click.Group) -> None:
    from rocketjob_plugins.failures.command import failures  # for start-up time

    cli.add_command(failures)
