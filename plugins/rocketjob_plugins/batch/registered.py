"""What plugins register for batch jobs: nothing takes the place of another unless it says so."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from rocketjob.application import current


def refusal_of(thing: Any, kind: str, built_in: Container[str]) -> str | None:
    """Say why what a plugin registers cannot have its name, if it cannot."""
    if thing.name not in built_in or getattr(thing, "replaces", False):
        return None
    return (
        f"registers the {kind} {thing.name!r}, which is built in: give it another name, or set "
        "replaces = True if it is to take its place"
    )


def registered(hook: str, kind: str) -> dict[str, Any]:
    """Return what plugins register by a hook, by name; of two with one name the first holds."""
    plugins = current().plugins
    if not plugins.listens(hook):
        return {}
    things: dict[str, Any] = {}
    owners: dict[str, str] = {}
    for answer in reversed(plugins.answers(hook)):
        for thing in answer.value:
            owner = owners.setdefault(thing.name, answer.plugin)
            if owner == answer.plugin or getattr(thing, "replaces", False):
                things[thing.name] = thing
            else:
                text = f"registers the {kind} {thing.name!r}, which the plugin {owner} has too"
                plugins.refuse(answer, hook, f"{text}: give one of them another name")
    return things
