"""Import the modules that `app` names, and say of one that fails where and why."""

from __future__ import annotations

import importlib
import os
import sys
import sysconfig
import traceback
from collections.abc import Iterable

from rocketjob.base.errors import PluginError
from rocketjob.model.document import refuse_broken_classes

# Python makes the order of the bases before any code of ours sees the class.
WRONG_ORDER = "consistent method resolution order"
BASES_IN_ORDER = "Name mixins before Job, as in class ReportJob(Mixin, Job)"
_HERE = os.path.dirname(os.path.dirname(__file__)) + os.sep  # all of the kernel


def import_app(names: Iterable[str]) -> None:
    """Import the modules in which the user's job classes are.

    Raises:
        PluginError: a module does not exist or fails, or a class in it can have no instance; the
            message says where.
    """
    if "" not in sys.path and "." not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does: an app next to the shell is found
    for name in names:
        if module := _module_meant(name):  # Python would import pkg/jobs, under that name
            raise PluginError(_not_a_module(name, module))
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
                if module := _module_with(name):
                    raise PluginError(_not_a_module(name, module)) from error
                raise PluginError(_no_module(name, error.name)) from error
            raise PluginError(_broken_module(name, error)) from error
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # such as the SystemExit of a script
            raise PluginError(_broken_module(name, error)) from error
        _check_classes(name)


def _check_classes(name: str) -> None:
    try:
        refuse_broken_classes(name.partition(".")[0])
    except TypeError as error:
        raise PluginError(f"The app module {name} cannot be used: {error}") from error


def _module_meant(name: str) -> str:
    """Return the module that a path, or `module:Class`, was meant to be; empty for a module."""
    path, colon, _ = name.partition(":")
    if os.sep in path or (path.endswith(".py") and os.path.isfile(path)):
        path = os.path.relpath(path).removesuffix(".py").removesuffix(os.sep + "__init__")
        parts = [part for part in path.split(os.sep) if part != os.pardir]
        return ".".join(parts)
    return path if colon else ""


def _module_with(name: str) -> str:
    """Return the module of `module.Class`; empty if it is not one."""
    module, _, attribute = name.rpartition(".")
    return module if hasattr(sys.modules.get(module), attribute) else ""


def _not_a_module(name: str, module: str) -> str:
    return (
        f"{name} is not the name of a module, as import takes it: write {module} "
        f"(--app {module}), in the directory from which it is imported"
    )


def _no_module(name: str, missing: str) -> str:
    return (
        f"The app module {name} does not exist: Python finds no {missing}. "
        "Check the spelling, and that you are in the right directory or have installed it"
    )


def _broken_module(name: str, error: BaseException) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "importlib" not in f.filename]
    # An error of ours, such as a misspelt event, is to be corrected in the line that led to it.
    library = sysconfig.get_path("stdlib")
    own = [f for f in frames if not f.filename.startswith((_HERE, library))] or frames
    where = f" at {own[-1].filename}:{own[-1].lineno}" if own else ""
    if isinstance(error, SyntaxError):
        where = f" at {error.filename}:{error.lineno}"
    text = str(error)
    if isinstance(error, TypeError) and WRONG_ORDER in " ".join(text.split()):
        text = f"{' '.join(text.split())}. {BASES_IN_ORDER}"
    return f"The app module {name} fails to import{where}: {type(error).__name__}: {text}"
