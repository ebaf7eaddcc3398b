"""Find the job class for a typed name."""

from __future__ import annotations

import sys
from types import ModuleType

from rocketjob import Job, UnknownJob
from rocketjob.base.errors import PluginError, UnknownJobClass
from rocketjob.base.text import hinted
from rocketjob.cli.errors import BadInput
from rocketjob.cli.session import import_app
from rocketjob.jobs.job import job_class
from rocketjob.model.registry import loaded_classes


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
                f"there is no module {name}: Python cannot find {cause.name}. Check the spelling, "
                "and that you are in the right directory or have installed it"
            ) from error
        raise
    return sys.modules[name]


def _is_part(missing: str | None, name: str) -> bool:
    return missing is not None and (name == missing or name.startswith(missing + "."))


def _of_module(module: ModuleType, name: str) -> type[Job]:
    cls = getattr(module, name, None)
    if isinstance(cls, type) and issubclass(cls, Job) and cls is not Job:
        return cls
    known = classes_of_module(module)
    if cls is not None:
        raise BadInput(f"{module.__name__}:{name} is not a job class")
    listed = f"it has {', '.join(known)}" if known else "it has no job classes"
    problem = f"the module {module.__name__} has no job class {name}"
    raise BadInput(hinted(problem, name, known, listed))


def _of_app(name: str) -> type[Job]:
    import_app()
    try:
        return job_class(name)
    except UnknownJobClass:
        raise BadInput(_unknown(name)) from None


def _unknown(name: str) -> str:
    if "." in name:
        module, _, last = name.rpartition(".")
        return f"there is no job class {name}; did you mean {module}:{last}?"
    how = f"write module:{name}, or name its module with --app"
    return hinted(f"no job class {name} is loaded here", name, classes_of_app(False), how)


def classes_of_module(module: ModuleType) -> list[str]:
    """Name the job classes of a module."""
    return sorted(
        name
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Job) and value is not Job
    )


def classes_of_app(load: bool = True) -> list[str]:
    """Name the job classes that are loaded here."""
    if load:
        import_app(lenient=True)
    return [cls.__name__ for cls in loaded_classes(Job) if cls not in (Job, UnknownJob)]
