"""What the shell offers when Tab is pressed: classes, fields, ids; nothing if that fails.

Imports within functions: a command loads no more than it needs, so that it starts quickly.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import click
from click.shell_completion import CompletionItem

from rocketjob.cli.session import session_of

MAX_IDS = 50

Items = list[CompletionItem]


def _quiet(function: Callable[..., Items]) -> Callable[..., Items]:
    """Offer nothing rather than write an error into the line that is being typed."""

    @functools.wraps(function)
    def offer(ctx: click.Context, *args: Any) -> Items:
        try:
            session_of(ctx).apply(makes_store=False)
            return function(*args)
        except Exception:
            return []

    return offer


def _items(names: Iterable[str], incomplete: str) -> Items:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


@_quiet
def job_ids(incomplete: str) -> Items:
    """Offer the ids of the newest jobs, each with its class and state."""
    from rocketjob import Job
    from rocketjob.model.registry import stored_names

    rows = Job.all().order_by("-id").limit(MAX_IDS).pluck("id", "_type", "state")
    return [
        CompletionItem(str(id), help=f"{stored_names(str(name))[0]} {state}")
        for id, name, state in rows
        if str(id).startswith(incomplete)
    ]


@_quiet
def stored_classes(incomplete: str) -> Items:
    """Offer the classes that stored jobs have."""
    from rocketjob import application
    from rocketjob.jobs.claims import COLLECTION
    from rocketjob.model.registry import stored_names

    counted = application.current().store.count_by(COLLECTION, "_type")
    return _items(sorted({stored_names(str(name))[0] for name in counted}), incomplete)


@_quiet
def states(incomplete: str) -> Items:
    """Offer the states that jobs can be in."""
    from rocketjob import Job
    from rocketjob.jobs.state_names import known_states

    return _items([*known_states(Job), "scheduled"], incomplete)


@_quiet
def job_specs(incomplete: str) -> Items:
    """Offer `module:Class` once the module is typed, and the classes of the app modules."""
    # Lazy for start-up time: it is needed only when Tab is pressed.
    from rocketjob.cli.classes import classes_of_app, classes_of_module, import_module

    module, colon, _ = incomplete.partition(":")
    if colon:
        names = classes_of_module(import_module(module))
        return _items((f"{module}:{name}" for name in names), incomplete)
    return _items(sorted(classes_of_app()), incomplete)


@_quiet
def properties(spec: str | None, incomplete: str) -> Items:
    """Offer the fields of the class given before."""
    from rocketjob.cli.classes import resolve

    if not spec or "=" in incomplete:
        return []
    fields = resolve(spec).fields()
    return _items((f"{name}=" for name, field in fields.items() if not field.read_only), incomplete)
