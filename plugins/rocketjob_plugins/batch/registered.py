"""What plugins register for batch jobs: nothing takes the place of another unless it says so."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Any

from rocketjob.application import current


def names_of(thing: Any) -> Iterator[tuple[str, str]]:
    """Yield the names that something takes, and how a message says each: also its extensions."""
    yield thing.name, repr(thing.name)
    for extension in getattr(thing, "extensions", ()):
        yield extension, f"{thing.name!r} for .{extension}"


def refusal_of(thing: Any, kind: str, built_in: Container[str]) -> str | None:
    """Say why what a plugin registers cannot have its names, if it cannot."""
    taken = next((said for name, said in names_of(thing) if name in built_in), None)
    if taken is None or getattr(thing, "replaces", False):
        return None
    return (
        f"registers the {kind} {taken}, which is built in: give it another name, or set "
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
            theirs = [
                (owners[name], said)
                for name, said in names_of(thing)
                if owners.get(name, answer.plugin) != answer.plugin
            ]
            if not theirs or getattr(thing, "replaces", False):
                things[thing.name] = thing
                owners.update((name, answer.plugin) for name, _ in names_of(thing))
            else:
                owner, said = theirs[0]
                text = f"registers the {kind} {said}, which the plugin {owner} has too"
                plugins.refuse(answer, hook, f"{text}: give one of them another name")
    return things
