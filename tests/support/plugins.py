"""Plugins for tests: modules from their source, found by entry points as installed ones are."""

import sys
import types
from importlib import metadata

HEAD = "from rocketjob import Job, field, hookimpl, hookspec\n"


class Distribution:
    """Stands in for an installed distribution."""

    def __init__(self, name, version="0.1", requires=()):
        self.name, self.version, self.requires = name, version, list(requires)


def entry_point(monkeypatch, name, source="", *, folder=None, requires=(), distribution=None):
    """Return the entry point of a plugin whose module has this source.

    Args:
        folder: where its file is, so that it runs only when it is imported; None: it runs now.
    """
    module = f"rocketjob_plugin_{name}" + (f"_{distribution}" if distribution else "")
    if folder is None:
        made = types.ModuleType(module)
        exec(compile(HEAD + source, module, "exec"), made.__dict__)
        monkeypatch.setitem(sys.modules, module, made)
    else:
        (folder / f"{module}.py").write_text(HEAD + source)
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(sys.modules, module, raising=False)
    found = metadata.EntryPoint(name, module, "rocketjob")
    return found._for(Distribution(distribution or f"rocketjob-plugin-{name}", requires=requires))


def install(monkeypatch, *entry_points):
    """Let these be found besides the plugins that are installed."""
    installed = metadata.entry_points(group="rocketjob")
    found = [*installed, *entry_points]
    monkeypatch.setattr(metadata, "entry_points", lambda **select: found)
