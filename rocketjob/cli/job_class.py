"""From what is typed to a job class and an instance of it."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, TypeVar

import click

from rocketjob import Job, UnknownJob
from rocketjob.base.errors import PluginError, UnknownJobClass, ValidationError
from rocketjob.cli.command import did_you_mean
from rocketjob.cli.errors import BadInput
from rocketjob.cli.session import import_app
from rocketjob.cli.types import JOB_SPEC, Property
from rocketjob.model.registry import loaded_classes

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


def resolve(spec: str) -> type[Job]:
    """Return the class of `module:Class`, or of `Class` where its module is named in `app`.

    Raises:
        BadInput: there is no such module or class.
        PluginError: the module fails to import.
    """
    module, colon, name = spec.partition(":")
    if not colon:
        return _of_app(spec)
    import_app()
    if not module or not name:
        raise BadInput(f"{spec!r} must be module:Class, such as myapp.jobs:ReportJob")
    return _of_module(import_module(module), name)


def import_module(name: str) -> ModuleType:
    """Import a module that is named on the command line."""
    try:
        import_app([name])
    except PluginError as error:
        cause = error.__cause__
        if isinstance(cause, ModuleNotFoundError) and _is_part(cause.name, name):
            raise BadInput(
                f"there is no module {name}: Python finds no {cause.name}. Check the spelling, "
                "and that you are in the right directory or that it is installed"
            ) from error
        raise
    return sys.modules[name]


def _is_part(missing: str | None, name: str) -> bool:
    return missing is not None and (name == missing or name.startswith(missing + "."))


def _of_module(module: ModuleType, name: str) -> type[Job]:
    found = getattr(module, name, None)
    if isinstance(found, type) and issubclass(found, Job) and found is not Job:
        return found
    known = classes_of_module(module)
    if found is not None:
        raise BadInput(f"{module.__name__}:{name} is no job class")
    listed = f"; it has {', '.join(known)}" if known else "; it has no job classes"
    hint = did_you_mean(name, known, listed)
    raise BadInput(f"the module {module.__name__} has no job class {name}{hint}")


def _of_app(name: str) -> type[Job]:
    from rocketjob.jobs.job import job_class

    import_app()
    try:
        return job_class(name)
    except UnknownJobClass:
        raise BadInput(_unknown(name)) from None


def _unknown(name: str) -> str:
    if "." in name:
        module, _, last = name.rpartition(".")
        return f"there is no job class {name}; did you mean {module}:{last}?"
    hint = did_you_mean(name, classes_of_app(False))
    how = hint or f"; write module:{name}, or name its module with --app"
    return f"no job class {name} is loaded here{how}"


def classes_of_module(module: ModuleType) -> list[str]:
    """Name the job classes of a module."""
    return sorted(
        name
        for name, found in vars(module).items()
        if isinstance(found, type) and issubclass(found, Job) and found is not Job
    )


def classes_of_app(load: bool = True) -> list[str]:
    """Name the job classes that are loaded here."""
    if load:
        import_app(lenient=True)
    return [cls.__name__ for cls in loaded_classes(Job) if cls not in (Job, UnknownJob)]


# --- instances -------------------------------------------------------------------------------


def build(
    cls: type[Job],
    properties: Mapping[str, Any],
    args: Sequence[str] = (),
    kwargs: Mapping[str, str] | None = None,
) -> Job:
    """Return a job, not stored, from texts.

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
        cls.check_perform()
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
    """Parse texts by the annotations of perform; without one, JSON if it is, else a text."""
    hints = _hints(cls)
    positional = _positional(cls)
    parsed = [
        _parse(text, hints, positional[min(n, len(positional) - 1)] if positional else "")
        for n, text in enumerate(args)
    ]
    return parsed, {name: _parse(text, hints, name) for name, text in kwargs.items()}


def _hints(cls: type[Job]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls.perform)
    except Exception:
        return {}  # a name that is only there for type checkers: then without types


def _positional(cls: type[Job]) -> list[str]:
    parameters = list(inspect.signature(cls.perform).parameters.values())[1:]
    kinds = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
    )
    return [parameter.name for parameter in parameters if parameter.kind in kinds]


def _parse(text: str, hints: Mapping[str, Any], name: str) -> Any:
    from rocketjob.model.types import codec_for

    try:
        codec = codec_for(hints.get(name, Any))
    except TypeError:
        codec = codec_for(Any)
    try:
        return codec.from_text(text)
    except ValueError as error:
        raise BadInput(f"perform({name}): {error}") from None
