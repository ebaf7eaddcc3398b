"""What the search box suggests: keys, classes, states, exceptions, servers and fields."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from rocketjob import Job, UnknownJob
from rocketjob.base.passwords import is_secret_field
from rocketjob.jobs.search import known_keys
from rocketjob.jobs.shown import STANDARD
from rocketjob.jobs.state_names import known_states
from rocketjob.model.registry import loaded_classes, stored_names
from rocketjob.server.server import Server
from rocketjob_contrib.mission_control.indexes import HAS_ENDED

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

KEPT_SECONDS = 300.0
OF_A_KIND = 30
LOOKED_AT = 200  # jobs, for the names of classes and exceptions


def suggestions(view: View) -> list[str]:
    """Return what can be chosen; it may be some minutes old."""
    until, found = view.site.memory.get("suggestions", (0.0, []))
    if until < time.monotonic():
        found = [word for kind in _kinds() for word in _few(kind)]
        view.site.memory["suggestions"] = (time.monotonic() + KEPT_SECONDS, found)
    return list(found)


def _few(words: Iterable[str]) -> list[str]:
    fit = (word for word in words if word.isprintable() and " " not in word and len(word) <= 80)
    return sorted(list(dict.fromkeys(fit))[:OF_A_KIND])  # those that jobs had last come first


def _kinds() -> Iterator[Iterable[str]]:
    yield (f"{key.name}:" for key in known_keys())
    yield (f"state:{name}" for name in [*known_states(Job), "scheduled"])
    newest = _look({}, "_type", "_id")
    loaded = [cls.__name__ for cls in loaded_classes(Job) if cls not in (Job, UnknownJob)]
    yield (f"class:{name}" for name in [*(stored_names(each)[0] for each in newest), *loaded])
    failed = _look({"state": "failed", **HAS_ENDED}, "exception", "completed_at")
    yield (f"error:{error.get('class_name')}" for error in failed if isinstance(error, dict))
    yield (f"server:{server.name}" for server in Server.all().limit(OF_A_KIND))
    yield (f"field.{name}:" for name in _field_names())


def _look(filter: dict[str, Any], name: str, order: str) -> list[Any]:
    """Return a field of the newest jobs of a list that an index has in its order."""
    read = {name: 1} if name != "exception" else {"exception.class_name": 1}
    found = Job.collection().find(filter, read, sort=[(order, -1), ("_id", -1)], limit=LOOKED_AT)
    values = [stored.get(name) for stored in found]
    return [value for value in values if isinstance(value, str | dict)]


def _field_names() -> Iterator[str]:
    for cls in loaded_classes(Job):
        for name, field in cls.fields().items():
            if name not in STANDARD and not field.encrypted and not is_secret_field(name):
                yield name
