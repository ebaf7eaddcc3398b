"""The settings that plugins have declared, and whose they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from rocketjob.base.config import KERNEL, Declared
from rocketjob.base.errors import PluginError
from rocketjob.base.settings import Setting
from rocketjob.base.sources import variable


class PluginSettings:
    """The settings of the plugins that are loaded.

    Args:
        whose: names a plugin in messages.
    """

    def __init__(self, whose: Callable[[str], str]) -> None:
        self._whose = whose
        self._settings: dict[str, Setting[Any]] = {}
        self._owners: dict[str, str] = {}  # who was the first to declare a key
        self._declared_by: dict[str, list[str]] = {}  # keys, by plugin

    def add(self, plugin: str, settings: Iterable[Setting[Any]]) -> None:
        """Note settings of a plugin.

        Raises:
            PluginError: the name of one is taken.
        """
        for setting in settings:
            self._add(plugin, setting)

    def _add(self, plugin: str, setting: Setting[Any]) -> None:
        same = self._same_name(setting)
        if same is not None and self._settings.get(setting.key) != setting:
            owner = self._owners.get(same)
            theirs = f"of the plugin {self._whose(owner)}" if owner else "of the kernel"
            raise PluginError(
                f"The plugin {self._whose(plugin)} failed in register_settings: there is a setting "
                f"{same} already, {theirs}. Give one of them another name"
            )
        self._settings[setting.key] = setting
        self._owners.setdefault(setting.key, plugin)
        self._declared_by.setdefault(plugin, []).append(setting.key)

    def _same_name(self, setting: Setting[Any]) -> str | None:
        """Return the key of a setting that stands where another one would, or in its variable."""
        clashes = {*map(variable, filter(None, (setting.key, setting.table)))}
        for key, other in (*KERNEL.items(), *self._settings.items()):
            if variable(key) in clashes or (other.table and other.table == setting.key):
                return key
        return None

    def forget(self, plugin: str) -> None:
        """Forget the settings that no plugin has any more."""
        others = {key for name, keys in self._declared_by.items() if name != plugin for key in keys}
        for key in self._declared_by.pop(plugin, ()):
            if key not in others:
                del self._settings[key], self._owners[key]

    def declared(self, broken: tuple[str, ...]) -> Declared:
        """Return them, for the configuration.

        Args:
            broken: plugins that are left out.
        """
        return Declared(self._settings, self._owners, broken, self._declared_by)
