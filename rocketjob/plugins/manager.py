"""Find plugins through entry points, load them, and call them.

The loader is our own: pluggy's passes over a name that is taken without a word, and lets an import
error fly without saying whose it is.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable, Sequence
from importlib import metadata
from typing import Any

import attrs
import pluggy

from rocketjob.base import deprecation
from rocketjob.base.config import KERNEL, Declared
from rocketjob.base.errors import PluginError
from rocketjob.base.settings import Setting
from rocketjob.base.text import did_you_mean
from rocketjob.plugins import hookspecs, kernel

log = logging.getLogger(__name__)
RENAMED = {"take_back_claims": "reclaim", "waiting_suspects": "waiting_quarantined"}


@attrs.frozen
class PluginInfo:
    """A plugin that was found, loaded or not."""

    name: str
    module: str
    distribution: str
    version: str
    enabled: bool
    hooks: tuple[str, ...] = ()
    mixins: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()
    error: str | None = None


class _Pluggy(pluggy.PluginManager):
    """Takes an implementation under a hook's old name for one of the new name."""

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> pluggy.HookimplOpts | None:
        options = super().parse_hookimpl_opts(plugin, name)
        if options is not None and options["specname"] is None and name in RENAMED:
            whose = getattr(plugin, "__name__", None) or type(plugin).__name__
            deprecation.warn(f"{whose}.{name}", RENAMED[name])
            options["specname"] = RENAMED[name]
        return options


class PluginManager:
    """The plugins of one application.

    Args:
        disabled: names of plugins not to load.
        entry_points: instead of those that are installed.
        strict: raise PluginError where a plugin cannot be loaded; otherwise leave it out and keep
            its error for `infos`, so that the command line can still say what is wrong.
    """

    def __init__(
        self,
        disabled: Iterable[str] = (),
        entry_points: Iterable[metadata.EntryPoint] | None = None,
        strict: bool = True,
    ) -> None:
        self._pluggy = _Pluggy(hookspecs.GROUP)
        self._pluggy.add_hookspecs(hookspecs)
        self._pluggy.register(kernel, name="kernel")  # first: what others bring comes after it
        self._found: dict[str, metadata.EntryPoint] = {}
        self._disabled = set(disabled)
        self._errors: dict[str, str] = {}
        self._settings: dict[str, Setting[Any]] = {}
        self._owners: dict[str, str] = {}
        self._load(self._discover(entry_points), strict)

    @property
    def hook(self) -> Any:
        """Call hooks plainly: the first error is the caller's."""
        return self._pluggy.hook

    def _discover(
        self, entry_points: Iterable[metadata.EntryPoint] | None
    ) -> list[metadata.EntryPoint]:
        if entry_points is None:
            entry_points = metadata.entry_points(group=hookspecs.GROUP)
        # A distribution on the path twice (an editable install and its checkout) is one.
        unique = {(e.name, e.value, _distribution(e)[0]): e for e in entry_points}
        return sorted(unique.values(), key=lambda e: (e.name, e.value))

    def _load(self, entry_points: Sequence[metadata.EntryPoint], strict: bool) -> None:
        self._check_disabled(entry_points)
        for entry_point in entry_points:
            try:
                self._load_one(entry_point)
            except PluginError as error:
                if strict:
                    raise
                self._errors[entry_point.name] = str(error)
        self._collect_hookspecs(strict)
        self._check_hooks(strict)
        self._collect_settings(strict)

    def _check_disabled(self, entry_points: Sequence[metadata.EntryPoint]) -> None:
        names = {entry_point.name for entry_point in entry_points}
        for name in sorted(self._disabled - names):
            hint = did_you_mean(name, names)
            hint = hint and f"; {hint}"
            log.warning("disabled_plugins names %s, which is not installed%s", name, hint)

    def _load_one(self, entry_point: metadata.EntryPoint) -> None:
        name = entry_point.name
        if name in self._disabled:
            self._found.setdefault(name, entry_point)
            return
        if name in self._found:
            raise PluginError(
                f"Two plugins are called {name}: {_whose(self._found[name])} and "
                f"{_whose(entry_point)}. Uninstall one, or set disabled_plugins = [{name!r}] and "
                "give the replacement another name"
            )
        self._found[name] = entry_point
        try:
            plugin = entry_point.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # such as the SystemExit of a script
            raise PluginError(
                f"The plugin {_whose(entry_point)} cannot be imported: "
                f"{type(error).__name__}: {error}. Correct or uninstall it, or set "
                f"disabled_plugins = [{name!r}]"
            ) from error
        self.register(plugin, name)

    def register(self, plugin: Any, name: str | None = None) -> None:
        """Add a plugin that is not an entry point, for example in a test."""
        try:
            self._pluggy.register(plugin, name=name)
        except (ValueError, pluggy.PluginValidationError) as error:
            whose = _whose(self._found[name]) if name in self._found else repr(plugin)
            raise PluginError(f"The plugin {whose} is not valid: {error}") from error

    def unregister(self, plugin: Any) -> None:
        """Take a plugin out again."""
        self._pluggy.unregister(plugin)

    def add_hookspecs(self, module: Any) -> None:
        """Add the hooks that a plugin brings; call it from `register_hookspecs`."""
        self._pluggy.add_hookspecs(module)

    def _collect_hookspecs(self, strict: bool) -> None:
        for implementation in reversed(self.hook.register_hookspecs.get_hookimpls()):
            try:
                implementation.function(*[self for _ in implementation.argnames])
            except (Exception, SystemExit) as error:
                name = implementation.plugin_name
                message = self._fails(name, "register_hookspecs", error)
                if strict:
                    raise PluginError(message) from error
                self._errors[name] = message

    def _collect_settings(self, strict: bool) -> None:
        for implementation in self.hook.register_settings.get_hookimpls():
            name = implementation.plugin_name
            try:
                for setting in implementation.function():
                    self._add_setting(name, setting)
            except Exception as error:
                message = self._fails(name, "register_settings", error)
                if strict:
                    raise PluginError(message) from error
                self._errors[name] = message

    def _add_setting(self, plugin: str, setting: Setting[Any]) -> None:
        if not isinstance(setting, Setting):
            raise TypeError(f"{setting!r} is not a rocketjob.base.settings.Setting")
        if setting.name in KERNEL or self._settings.get(setting.name, setting) != setting:
            owner = self._owners.get(setting.name, "the kernel")
            raise ValueError(f"there is a setting {setting.name} already, of {owner}")
        self._settings[setting.name] = setting
        self._owners.setdefault(setting.name, plugin)

    @property
    def declared(self) -> Declared:
        """The settings of the plugins that are loaded."""
        return Declared(self._settings, self._owners, tuple(self._errors))

    def _fails(self, name: str, hook: str, error: BaseException) -> str:
        whose = _whose(self._found[name]) if name in self._found else name
        return f"The plugin {whose} fails in {hook}: {type(error).__name__}: {error}"

    def _check_hooks(self, strict: bool) -> None:
        for name, plugin in self._pluggy.list_name_plugin():
            for caller in self._pluggy.get_hookcallers(plugin) or []:
                if caller.has_spec():
                    continue
                message = self._unknown_hook(name, caller.name)
                if strict:
                    raise PluginError(message)
                self._errors[name] = message

    def _unknown_hook(self, plugin: str, hook: str) -> str:
        known = [n for n in vars(self._pluggy.hook) if getattr(self.hook, n).has_spec()]
        hint = did_you_mean(hook, known, f"known are {', '.join(sorted(known))}")
        whose = _whose(self._found[plugin]) if plugin in self._found else plugin
        return f"The plugin {whose} implements {hook}, which is not a hook; {hint}"

    def listens(self, hook: str) -> bool:
        """Return whether any plugin implements a hook, so that a hot path can skip the call."""
        caller = getattr(self.hook, hook, None)
        return caller is not None and bool(caller.get_hookimpls())

    def notify(self, hook: str, **arguments: Any) -> None:
        """Call an observing hook: one plugin that fails is logged, the others are still called."""
        for implementation in reversed(getattr(self.hook, hook).get_hookimpls()):
            try:
                implementation.function(*[arguments[n] for n in implementation.argnames])
            except (Exception, SystemExit):
                log.exception("The plugin %s failed in %s", implementation.plugin_name, hook)

    def collect(self, hook: str) -> list[Any]:
        """Call a `register_*` hook and return all that the plugins brought, in one list."""
        return [item for items in reversed(getattr(self.hook, hook)()) for item in items]

    def infos(self) -> list[PluginInfo]:
        """Describe every plugin that was found, by name."""
        return [self._info(name, entry_point) for name, entry_point in self._found.items()]

    def _info(self, name: str, entry_point: metadata.EntryPoint) -> PluginInfo:
        plugin = self._pluggy.get_plugin(name)
        distribution, version = _distribution(entry_point)
        callers = (self._pluggy.get_hookcallers(plugin) or []) if plugin else []
        return PluginInfo(
            name=name,
            module=entry_point.value,
            distribution=distribution,
            version=version,
            hooks=tuple(sorted(caller.name for caller in callers)),
            mixins=self._names(name, plugin, "register_mixins"),
            jobs=self._names(name, plugin, "register_jobs"),
            # After those, which may find an error.
            enabled=plugin is not None and name not in self._errors,
            error=self._errors.get(name),
        )

    def _names(self, name: str, plugin: Any, hook: str) -> tuple[str, ...]:
        function = getattr(plugin, hook, None)
        try:
            return tuple(cls.__name__ for cls in function()) if callable(function) else ()
        except Exception as error:
            self._errors.setdefault(name, self._fails(name, hook, error))
            return ()


def _distribution(entry_point: metadata.EntryPoint) -> tuple[str, str]:
    distribution = getattr(entry_point, "dist", None)
    return _name_and_version(distribution) if distribution is not None else ("?", "?")


@functools.lru_cache(maxsize=256)
def _name_and_version(distribution: metadata.Distribution) -> tuple[str, str]:
    """Return what a distribution is called; asked each time it would read its files again."""
    return distribution.name, distribution.version


def _whose(entry_point: metadata.EntryPoint) -> str:
    distribution, version = _distribution(entry_point)
    return f"{entry_point.name} ({entry_point.value}, from {distribution} {version})"
