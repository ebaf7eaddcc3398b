"""Turn what is typed into an instance of a job class."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from rocketjob import Job
from rocketjob.base.errors import ValidationError
from rocketjob.cli.errors import BadInput
from rocketjob.cli.types import JOB_SPEC, Property
from rocketjob.jobs.arguments import arguments_of
from rocketjob.model.types import codec_for

F = TypeVar("F", bound=Callable[..., Any])
_OPTIONS = (
    click.argument("spec", type=JOB_SPEC, metavar="CLASS"),
    click.argument("properties", nargs=-1, type=Property(), metavar="[NAME=VALUE]..."),
    click.option(
        "--arg", "args", multiple=True, metavar="VALUE", help="a positional argument of perform"
    ),
    click.option(
        "--kwarg",
        "kwargs",
        multiple=True,
        type=Property(),
        metavar="NAME=VALUE",
        help="a keyword argument of perform",
    ),
)


def job_options(function: F) -> F:
    """Decorate a command with what describes a job; it takes `spec properties args kwargs`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def build(
    cls: type[Job],
    properties: Mapping[str, Any],
    args: Sequence[str] = (),
    kwargs: Mapping[str, str] | None = None,
) -> Job:
    """Return a job, not stored, from strings.

    Args:
        cls: the class.
        properties: fields by name.
        args: positional arguments of perform.
        kwargs: keyword arguments of perform.

    Raises:
        BadInput: a field, a value or an argument is wrong, or the class has no perform.
        ValidationError: another job is in the way.
    """
    try:
        cls.check_class()
        job = cls.from_properties(properties)
        if args or kwargs:
            values = {name: getattr(job, name) for name in properties}
            arguments = _parse_arguments(cls, args, kwargs or {})
            job = _with_arguments(cls, values, *arguments)
        else:
            _check_no_arguments(cls)
        job.validate()
    except NotImplementedError as error:
        raise BadInput(str(error)) from error
    except ValidationError as error:
        if error.conflict:
            raise
        raise BadInput(str(error)) from error
    return job


def _with_arguments(
    cls: type[Job], values: Mapping[str, Any], args: list[Any], kwargs: dict[str, Any]
) -> Job:
    try:
        return cls.set(**values).build(*args, **kwargs)
    except TypeError as error:
        raise BadInput(str(error)) from error


def _check_no_arguments(cls: type[Job]) -> None:
    """Refuse a simple job whose perform needs arguments, which would only fail in a worker."""
    if cls.work is not Job.work:
        return  # perform gets what the class's own work hands to it, such as a record
    try:
        inspect.signature(cls.perform).bind(None)
    except TypeError as error:
        raise BadInput(
            f"{cls.__name__}.perform: {error}: give --arg VALUE or --kwarg NAME=VALUE"
        ) from None


def _parse_arguments(
    cls: type[Job], args: Sequence[str], kwargs: Mapping[str, str]
) -> tuple[list[Any], dict[str, Any]]:
    """Parse strings by the annotations of perform; without one, as JSON if valid, else a string."""
    positional = _positional(cls)
    parsed = [
        _parse(cls, text, positional[min(n, len(positional) - 1)] if positional else "")
        for n, text in enumerate(args)
    ]
    return parsed, {name: _parse(cls, text, name) for name, text in kwargs.items()}


def _positional(cls: type[Job]) -> list[str]:
    parameters = list(inspect.signature(cls.perform).parameters.values())[1:]
    kinds = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
    )
    return [parameter.name for parameter in parameters if parameter.kind in kinds]


def _parse(cls: type[Job], text: str, name: str) -> Any:
    parameters = arguments_of(cls)
    if problem := parameters.unresolved.get(name):
        raise BadInput(f"{cls.__name__}.perform: {problem}")
    try:
        return parameters.codecs.get(name, codec_for(Any)).from_text(text)
    except ValueError as error:
        raise BadInput(f"perform({name}): {error}") from None
