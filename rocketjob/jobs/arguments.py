"""The arguments of `perform`, checked when a job with them is made, not when it runs."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from rocketjob.base.text import at
from rocketjob.model.types import Codec, codec_for


@attrs.frozen
class Arguments:
    """What `perform` of one class takes.

    Attributes:
        codecs: the types that a field may have, by argument.
        unresolved: what is wrong with annotations that name nothing, by argument.
    """

    signature: inspect.Signature
    codecs: Mapping[str, Codec]
    unresolved: Mapping[str, str]


def check_arguments(cls: type[Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Refuse arguments that `perform` does not take.

    Raises:
        TypeError: names the argument and shows what perform takes.
    """
    parameters = arguments_of(cls)
    try:
        bound = parameters.signature.bind(None, *args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{_shown(cls, parameters)}: {error}") from None
    wrong = [
        at(name, message)
        for name, codec, value in _values(parameters, bound)
        for message in codec.faults(value)
    ]
    wrong += [
        parameters.unresolved[name] for name in bound.arguments if name in parameters.unresolved
    ]
    if wrong:
        raise TypeError(f"{_shown(cls, parameters)}: {'; '.join(wrong)}")


def _values(
    parameters: Arguments, bound: inspect.BoundArguments
) -> Iterator[tuple[str, Codec, Any]]:
    """Yield name, codec and value of each argument whose type is known; None fits a default."""
    for name, given in bound.arguments.items():
        parameter, codec = parameters.signature.parameters[name], parameters.codecs.get(name)
        if codec is None:
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:
            yield from ((f"{name}[{i}]", codec, value) for i, value in enumerate(given))
        elif parameter.kind is parameter.VAR_KEYWORD:
            yield from ((key, codec, value) for key, value in given.items())
        elif given is not None or parameter.default is not None:
            yield name, codec, given


def arguments_of(cls: type[Any]) -> Arguments:
    """Return what `perform` of a class takes; it is worked out once."""
    cached: Arguments | None = cls.__dict__.get("__arguments_of_perform__")
    if cached is None:
        signature = inspect.signature(cls.perform)
        hints, unresolved = _hints(cls, signature)
        cached = Arguments(signature, _codecs(hints), unresolved)
        cls.__arguments_of_perform__ = cached
    return cached


def _hints(cls: type[Any], signature: inspect.Signature) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the types of the arguments, and what is wrong with those that name nothing."""
    hints: dict[str, Any] = {}
    unresolved: dict[str, str] = {}
    function = inspect.unwrap(cls.perform)
    for name, parameter in list(signature.parameters.items())[1:]:
        if parameter.annotation is parameter.empty:
            continue
        alone = types.SimpleNamespace(__annotations__={name: parameter.annotation})
        try:
            resolved = typing.get_type_hints(alone, function.__globals__)
        except NameError as error:
            unresolved[name] = (
                f"has the type {parameter.annotation!r}, which cannot be resolved: {error}. Import "
                "it at module level, not under TYPE_CHECKING"
            )
        except TypeError:
            continue  # not a type: nothing is checked
        else:
            hints |= resolved
    return hints, {name: f"{name} {problem}" for name, problem in unresolved.items()}


def _codecs(hints: Mapping[str, Any]) -> dict[str, Codec]:
    codecs = {}
    for name, hint in hints.items():
        try:
            codecs[name] = codec_for(hint)
        except TypeError:
            continue  # what no field may be is refused when it is stored
    return codecs


def _shown(cls: type[Any], parameters: Arguments) -> str:
    return f"{cls.__name__}.perform{re.sub(r'^[(]self(, )?', '(', str(parameters.signature))}"
