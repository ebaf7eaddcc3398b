"""Old names that still work: each use is a DeprecationWarning that names the new one."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

REMOVED_IN = "0.3"


def warn(
    old: str, new: str, *, stacklevel: int = 3, goes_in: str = f"RocketJob {REMOVED_IN}"
) -> None:
    """Warn of an old name.

    Args:
        old, new: the names as somebody writes them.
        stacklevel: whose line is named, counted from here as in `warnings.warn`.
        goes_in: the distribution and the version in which the old name is removed.
    """
    warnings.warn(
        f"{old} is called {new} now; the old name goes in {goes_in}",
        DeprecationWarning,
        stacklevel=stacklevel,
    )


def moved(
    module: str, names: Mapping[str, str], *, goes_in: str = f"RocketJob {REMOVED_IN}"
) -> Callable[[str], Any]:
    """Return a module's `__getattr__` for names that other modules have now.

    Args:
        names: the module that has it now, by name; `module:name` where the name changed too.
        goes_in: the distribution and the version in which the old names are removed.
    """

    def __getattr__(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        place, _, new = names[name].partition(":")
        warn(f"{module}.{name}", f"{place}.{new or name}", goes_in=goes_in)
        return getattr(importlib.import_module(place), new or name)

    return __getattr__


class MovedModules(MetaPathFinder, Loader):
    """Finds modules by their old names. Python asks it last: it costs nobody else anything."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        self.modules = modules

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in self.modules else None

    def exec_module(self, module: ModuleType) -> None:
        old, new = module.__name__, self.modules[module.__name__]
        warn(old, new)  # Python leaves the import system out when it counts
        sys.modules[old] = importlib.import_module(new)
