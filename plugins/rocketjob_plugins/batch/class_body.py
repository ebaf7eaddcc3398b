"""What the body of a batch job's class says: short forms of settings, categories, throttles."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from rocketjob.base.errors import ConfigurationError
from rocketjob.base.functions import summary_of
from rocketjob_plugins.batch.category import InputCategory, OutputCategory, as_categories
from rocketjob_plugins.batch.io import tables
from rocketjob_plugins.batch.streams import StreamError

__tracebackhide__ = True  # the error of a throttle is shown from the job's own code on
F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", InputCategory, OutputCategory)
THROTTLE_MARK = "__rocketjob_batch_throttle__"
SHORT_INPUT = ("slice_size",)
SHORT = (*SHORT_INPUT, "compress", "encrypt", "collect_nil_output", "tabular_output_header")


def batch_throttle(function: F) -> F:
    """Mark a method that takes a slice and says whether the job's slices are to wait now.

    It returns True while they are, or the reason in words, such as `"load 3.2 > 0.8"`. The reason
    of True is the first line of its docstring.
    """
    setattr(function, THROTTLE_MARK, True)
    return function


def held_back_by(job: Any, name: str, slice_: Any) -> str | None:
    """Ask a batch throttle why slices are to wait; one without a parameter gets none."""
    throttle = getattr(job, name)
    answer = throttle(slice_) if inspect.signature(throttle).parameters else throttle()
    if not answer:
        return None
    return answer if isinstance(answer, str) else summary_of(throttle) or name


def serializer_of(shorts: Mapping[str, Any]) -> str:
    """Return the serializer that the short forms ask for."""
    if shorts.get("encrypt"):
        return "encrypt"
    return "compress" if shorts.get("compress") else "none"


def take_shorts(cls: type) -> dict[str, Any]:
    """Move the short forms of a class body out of the way of the properties of that name."""
    shorts = {}
    for name in SHORT:
        value = cls.__dict__.get(name)
        if name in cls.__dict__ and not isinstance(value, property):
            shorts[name] = value
            delattr(cls, name)
    return shorts


def take_categories(cls: type) -> None:
    """Turn what a class body says of categories into the default of the field."""
    kinds: tuple[tuple[str, type[Any]], ...] = (
        ("input", InputCategory),
        ("output", OutputCategory),
    )
    for prefix, kind in kinds:
        one, many = cls.__dict__.get(f"{prefix}_category"), f"{prefix}_categories"
        if one is not None:
            delattr(cls, f"{prefix}_category")
            inherited = getattr(cls, "__fields__", {}).get(many)
            present = inherited.default if inherited and isinstance(inherited.default, list) else []
            setattr(cls, many, checked(as_categories([*present, one], kind)))
        elif isinstance(cls.__dict__.get(many), list | tuple):
            setattr(cls, many, checked(as_categories(cls.__dict__[many], kind)))


def checked(categories: list[C]) -> list[C]:
    """Return categories whose formats, options and columns fit each other."""
    for category in categories:
        try:
            tables.check(category)
        except StreamError as error:
            raise ConfigurationError(f"category {category.name}: {error}") from None
    return categories


def throttles_of(cls: type) -> tuple[str, ...]:
    """Return the names of the methods that are batch throttles of a class."""
    names: dict[str, None] = {}
    for base in reversed(cls.__bases__):
        if hasattr(base, "__batch_throttles__"):
            names.update(dict.fromkeys(base.__batch_throttles__))
        else:  # a mixin that is not a batch job itself, such as ThrottleWindows
            for owner in reversed(base.__mro__):
                names.update(dict.fromkeys(_own_throttles(owner)))
    names.update(dict.fromkeys(_own_throttles(cls)))
    return tuple(names)


def _own_throttles(cls: type) -> list[str]:
    return [name for name, value in cls.__dict__.items() if hasattr(value, THROTTLE_MARK)]
