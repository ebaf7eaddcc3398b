"""The arguments of `perform`, checked when a job with them is made, not when it runs."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from rocketjob.model.types import Codec, codec_for

if TYPE_CHECKING:
    from rocketjob.jobs.job import Job


@attrs.frozen
class Arguments:
    """What `perform` of one class takes: its signature, and the types that a field may have."""

    signature: inspect.Signature
    codecs: Mapping[str, Codec]


def check_arguments(cls: type[Job], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Refuse arguments that `perform` does not take.

    Raises:
        TypeError: names the argument and shows what perform takes.
    """
    taken = _arguments_of(cls)
    try:
        bound = taken.signature.bind(None, *args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{_shown(cls, taken)}: {error}") from None
    wrong = [
        f"{name} {message}"
        for name, codec, value in _values(taken, bound)
        if (message := codec.check(value))
    ]
    if wrong:
        raise TypeError(f"{_shown(cls, taken)}: {'; '.join(wrong)}")


def _values(taken: Arguments, bound: inspect.BoundArguments) -> Iterator[tuple[str, Codec, Any]]:
    """Yield name, codec and value of each argument whose type is known; None fits a default."""
    for name, given in bound.arguments.items():
        parameter, codec = taken.signature.parameters[name], taken.codecs.get(name)
        if codec is None:
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:
            yield from ((f"{name}[{i}]", codec, value) for i, value in enumerate(given))
        elif parameter.kind is parameter.VAR_KEYWORD:
            yield from ((key, codec, value) for key, value in given.items())
        elif given is not None or parameter.default is not None:
            yield name, codec, given


def _arguments_of(cls: type[Job]) -> Arguments:
    known: Arguments | None = cls.__dict__.get("__arguments_of_perform__")
    if known is None:
        signature = inspect.signature(cls.perform)
        known = cls.__arguments_of_perform__ = Arguments(signature, _codecs(cls, signature))
    return known


def _codecs(cls: type[Job], signature: inspect.Signature) -> dict[str, Codec]:
    try:
        hints = typing.get_type_hints(cls.perform)
    except (NameError, TypeError):
        return {}  # a type for the checker only: see the command line, which needs it
    codecs = {}
    for name in signature.parameters.keys() & hints.keys():
        try:
            codecs[name] = codec_for(hints[name])
        except TypeError:
            continue  # what no field may be is refused when it is stored
    return codecs


def _shown(cls: type[Job], taken: Arguments) -> str:
    return f"{cls.__name__}.perform{re.sub(r'^[(]self(, )?', '(', str(taken.signature))}"
