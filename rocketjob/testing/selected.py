"""Only some plugins, for the sandbox of a test."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import metadata
from typing import Any

from rocketjob.base.config import Config
from rocketjob.base.errors import HookFailed, PluginError
from rocketjob.base.text import did_you_mean
from rocketjob.plugins.hookspecs import GROUP
from rocketjob.plugins.manager import PluginManager


def only(wanted: Iterable[Any], config: Config, disabled: Iterable[str]) -> PluginManager:
    """Load these plugins, and the one that opens the store of the settings.

    Args:
        wanted: names of plugins that are installed, and modules or objects that are plugins.
        disabled: names of those that are not loaded nevertheless.

    Raises:
        PluginError: one is not installed, or cannot be loaded.
    """
    installed = metadata.entry_points(group=GROUP)
    by_module = {entry_point.value: entry_point.name for entry_point in installed}
    # A module of an installed plugin is that plugin, by whichever of the two it is named.
    wanted = [by_module.get(getattr(each, "__name__", ""), each) for each in wanted]
    names = {each for each in wanted if isinstance(each, str)}
    for name in sorted(names - {entry_point.name for entry_point in installed}):
        raise PluginError(_not_installed(name, [entry_point.name for entry_point in installed]))
    names |= {_opener(config)}
    chosen = [entry_point for entry_point in installed if entry_point.name in names]
    absent = {each.name for each in installed} - names
    plugins = PluginManager(set(disabled) & names, entry_points=chosen, absent=absent)
    for plugin in wanted:
        if not isinstance(plugin, str):
            plugins.register(plugin)
    return plugins


def _opener(config: Config) -> str:
    """Return which of the plugins that are installed opens the store; an empty name if none."""

    def passed_over(error: HookFailed) -> None: ...

    everything = PluginManager(config.disabled_plugins, strict=False)
    answer = everything.decide("open_store", passed_over, url=config.url, config=config)
    if answer is None:
        return ""
    answer.value.close()
    return answer.plugin


def _not_installed(name: str, installed: list[str]) -> str:
    hint = did_you_mean(name, installed, f"installed are {', '.join(sorted(installed))}")
    return f"There is no plugin {name} to load for this sandbox; {hint}"
