"""Whose a callback is that was added from outside: a plugin's goes when the plugin does.

A plugin is a module, or a package with what is below it. The callbacks that it adds to a class with
`on=` stay on the class, which knows of no plugins; they run where the plugin is loaded.
"""

from __future__ import annotations

from rocketjob.store import context

_plugins: dict[str, str] = {}  # names of plugins by module, of whichever sandbox of this process


def note_plugin(module: str, name: str) -> None:
    """Note that a module is a plugin, so that its callbacks run only where it is loaded."""
    _plugins[module] = name


def is_switched_off(module: str | None) -> bool:
    """Return whether a module belongs to a plugin that is not loaded here."""
    owner = _owner(module or "")
    if owner is None:
        return False
    present = context.present()
    if present is None:
        return False
    plugins = present.loaded_plugins
    if plugins is None:  # to load them here could lead back here
        return _plugins[owner] in present.config.disabled_plugins
    return owner not in plugins.modules


def _owner(module: str) -> str | None:
    while module:
        if module in _plugins:
            return module
        module = module.rpartition(".")[0]
    return None
