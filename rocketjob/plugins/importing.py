"""Importing a plugin, whatever it does while it is imported."""

from __future__ import annotations

import sys
from importlib import metadata
from typing import Any

from rocketjob.base import clock
from rocketjob.base.errors import PluginError
from rocketjob.plugins.distributions import whose

SLOW_SECONDS = 1.0  # every process that uses RocketJob has to wait for it


def load(entry_point: metadata.EntryPoint) -> tuple[Any, list[str]]:
    """Import a plugin; return it, and what its author should look at.

    Raises:
        PluginError: it cannot be imported.
    """
    path, began = list(sys.path), clock.monotonic()
    try:
        plugin = entry_point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # such as the SystemExit of a script
        raise PluginError(
            f"The plugin {whose(entry_point)} cannot be imported: {type(error).__name__}: {error}. "
            f"Correct or uninstall it, or set disabled_plugins = [{entry_point.name!r}]"
        ) from error
    finally:
        added = _put_back(path)
    seconds = clock.monotonic() - began
    warnings = []
    if added is not None:
        what = f"added {', '.join(added)}" if added else "removed or moved entries"
        warnings.append(
            f"The plugin {whose(entry_point)} changed sys.path when it was imported: it {what}. "
            "The path is as it was, with what was added at its end, so that it hides no module"
        )
    if seconds > SLOW_SECONDS:
        warnings.append(
            f"The plugin {whose(entry_point)} took {seconds:.1f} s to import, which every process "
            "and command waits for: import what is large in the functions that need it"
        )
    return plugin, warnings


def _put_back(path: list[str]) -> list[str] | None:
    """Undo a change of the import path; return what was added, which goes to its end."""
    if sys.path == path:
        return None
    added = [entry for entry in sys.path if entry not in path]
    sys.path[:] = [*path, *added]
    return added
