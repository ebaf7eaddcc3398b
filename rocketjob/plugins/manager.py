"""Find plugins through entry points, load them, and call them.

The loader is our own: pluggy's passes over a name that is taken without a word, and lets an import
error fly without saying whose it is. So are the calls: see `rocketjob.plugins.calls`.

A plugin that cannot be loaded is left out, and the rest works. What a plugin brings by a hook in
which it fails is left out too; its other hooks are called as before.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from importlib import metadata
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import pluggy

from rocketjob.base import deprecation
from rocketjob.base.config import Declared
from rocketjob.base.errors import HookFailed, PluginError
from rocketjob.base.text import did_you_mean
from rocketjob.model.ownership import note_plugin
from rocketjob.plugins import hookspecs, importing, kernel
from rocketjob.plugins.calling import Calling
from rocketjob.plugins.calls import (
    OURS,
    Answer,
    Hook,
    Watch,
    failed_in,
)
from rocketjob.plugins.distributions import refused_version, unique, whose
from rocketjob.plugins.hook_checks import MARK, check_hooks, known_hooks, may_be_hook
from rocketjob.plugins.infos import PluginInfo
from rocketjob.plugins.plugin_settings import PluginSettings
from rocketjob.plugins.problems import Problems
from rocketjob.plugins.states import States

if TYPE_CHECKING:
    from rocketjob.server.metrics import Metric
    from rocketjob.states.state import State

log = logging.getLogger(__name__)
KERNEL_PLUGIN = "kernel"
RENAMED = {"take_back_claims": "reclaim", "waiting_suspects": "waiting_quarantined"}


class _Pluggy(pluggy.PluginManager):
    """Takes an implementation under a hook's old name for one of the new name."""

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> pluggy.HookimplOpts | None:
        value = vars(plugin).get(name) if type(plugin) is ModuleType else None
        if type(value) is FunctionType:  # what pluggy would find, which looks long at each name
            options = value.__dict__.get(MARK)
        elif type(plugin) is ModuleType and not may_be_hook(value):
            return None
        else:
            options = super().parse_hookimpl_opts(plugin, name)
        if options is not None and options["specname"] is None and name in RENAMED:
            whose = getattr(plugin, "__name__", None) or type(plugin).__name__
            deprecation.warn(f"{whose}.{name}", RENAMED[name])
            options["specname"] = RENAMED[name]
        return options


class PluginManager(Calling):
    """The plugins of one application.

    Args:
        disabled: names of plugins not to load.
        entry_points: instead of those that are installed.
        strict: raise PluginError where a plugin cannot be loaded; otherwise leave it out and keep
            its error for `problems` and `infos`.
        absent: plugins that are installed, but left out here: an unknown hook may be theirs.
    """

    def __init__(
        self,
        disabled: Iterable[str] = (),
        entry_points: Iterable[metadata.EntryPoint] | None = None,
        strict: bool = True,
        absent: Iterable[str] = (),
    ) -> None:
        self._pluggy = _Pluggy(hookspecs.GROUP)
        self._pluggy.add_hookspecs(hookspecs)
        self._pluggy.register(kernel, name=KERNEL_PLUGIN)  # first: what others bring comes after it
        self._hooks: dict[str, Hook] = {}
        self._listens = {}
        self._watch = Watch(self.whose)
        self._found: dict[str, metadata.EntryPoint] = {}
        self._disabled, self._strict, self._absent = set(disabled), strict, set(absent)
        self._problems = Problems()
        self._settings = PluginSettings(self.whose)
        self._states = States(self.whose)
        if entry_points is None:
            entry_points = metadata.entry_points(group=hookspecs.GROUP)
        self._load(unique(entry_points))

    # --- loading -----------------------------------------------------------------------------

    def _load(self, entry_points: list[metadata.EntryPoint]) -> None:
        self._check_disabled(entry_points)
        counts = Counter(entry_point.name for entry_point in entry_points)
        plugins: dict[str, Any] = {}
        for each in entry_points:
            with self._leaving_out(each.name):
                if each.name in self._found and each.name not in self._disabled:
                    raise PluginError(_two(self._found[each.name], each))
                self._found.setdefault(each.name, each)
                if each.name not in self._disabled and counts[each.name] == 1:
                    plugins[each.name] = self._imported(each)
        for bring in (self._bring_hookspecs, self._register):
            for name, plugin in plugins.items():
                if name not in self._problems.left_out:
                    with self._leaving_out(name):
                        bring(name, plugin)
        self._collect_settings()
        self._collect_states()

    @contextmanager
    def _leaving_out(self, name: str) -> Iterator[None]:
        """Leave a plugin out that raises PluginError, or raise it."""
        try:
            yield
        except PluginError as error:
            if self._strict:
                raise
            self._problems.leave_out(name, str(error))
            if name != KERNEL_PLUGIN:  # an entry point of this name was refused
                self._take_out(name)

    def _check_disabled(self, entry_points: list[metadata.EntryPoint]) -> None:
        names = {entry_point.name for entry_point in entry_points}
        for name in sorted(self._disabled - names):
            hint = did_you_mean(name, names)
            hint = hint and f"; {hint}"
            log.warning("disabled_plugins names %s, which is not installed%s", name, hint)

    def _imported(self, entry_point: metadata.EntryPoint) -> Any:
        refused = refused_version(entry_point)
        if refused is not None:
            raise PluginError(
                f"The plugin {whose(entry_point)} {refused}: install a version of it for this one, "
                f"or set disabled_plugins = [{entry_point.name!r}]"
            )
        note_plugin(entry_point.module, entry_point.name)
        plugin, warnings = importing.load(entry_point)
        for warning in warnings:
            self._problems.warn(entry_point.name, warning)
        return plugin

    def _bring_hookspecs(self, name: str, plugin: Any) -> None:
        """Add the hooks that a plugin brings, before those are registered that implement them."""
        hook = "register_hookspecs"
        mark: Any = self._pluggy.parse_hookimpl_opts(plugin, hook)
        if not mark:
            return
        function = getattr(plugin, hook)
        try:
            if mark["wrapper"] or mark["hookwrapper"]:
                raise TypeError(
                    "it cannot be wrapped: it is called before any plugin is registered"
                )
            function(*[self for _ in inspect.signature(function).parameters])
        except OURS:
            raise
        except BaseException as error:
            raise PluginError(failed_in(self.whose(name), hook, error)) from error

    def _register(self, name: str, plugin: Any) -> None:
        if self._pluggy.has_plugin(name):
            raise PluginError(
                f"The plugin {self.whose(name)} is not registered: there is one called {name} "
                "already. Give it another name"
            )
        if inspect.ismodule(plugin):
            note_plugin(plugin.__name__, name)
        try:
            self._pluggy.register(plugin, name=name)
        except (ValueError, pluggy.PluginValidationError) as error:
            self._take_out(name)
            text = " ".join(str(error).split())  # pluggy's has several lines
            raise PluginError(f"The plugin {self.whose(name)} is not valid: {text}") from error
        finally:
            self._changed()
        try:
            absent = (self._disabled & self._found.keys()) | self._problems.left_out | self._absent
            for warning in check_hooks(self._pluggy, plugin, self.whose(name), absent):
                self._problems.warn(name, warning)
        except PluginError:
            self._take_out(name)
            raise

    def _take_out(self, name: str) -> None:
        """Take out a plugin that is left out, as far as it was registered."""
        if self._pluggy.has_plugin(name):
            self._settings.forget(name)
            self._pluggy.unregister(name=name)
            self._states.forget(name)
            self._changed()

    def _collect_settings(self, only: str | None = None) -> None:
        """Note the settings that all plugins bring, or one that was registered later.

        Raises:
            PluginError: that one brings what cannot be.
        """
        guarded = self._leaving_out if only is None else nullcontext

        def failed(error: HookFailed) -> None:
            if only in (None, error.plugin):
                with guarded(error.plugin):
                    raise error

        for name, settings in reversed(self._hook("register_settings").all({}, failed)):
            if only in (None, name):
                with guarded(name):
                    self._settings.add(name, settings)

    def _collect_states(self, only: str | None = None) -> None:
        """Note the states that all plugins bring, or one that was registered later.

        Raises:
            PluginError: that one brings a state that cannot be.
        """
        guarded = self._leaving_out if only is None else nullcontext
        for plugin, states in reversed(self.answers("register_states")):
            if only in (None, plugin):
                with guarded(plugin):
                    self._states.add(plugin, states)

    # --- plugins that are no entry points ----------------------------------------------------

    def register(self, plugin: Any, name: str | None = None) -> None:
        """Add a plugin that is not an entry point, for example in a test.

        Raises:
            PluginError: it is there already, has a hook that there is not, or a setting or a state
                whose name is taken.
        """
        name = name or self._free_name(plugin)
        self._bring_hookspecs(name, plugin)
        self._register(name, plugin)
        try:
            self._collect_settings(only=name)
            self._collect_states(only=name)
        except PluginError:
            self._take_out(name)
            raise
        for warning in self._problems.warnings_of(name):
            log.warning(warning)

    def _free_name(self, plugin: Any) -> str:
        name = str(getattr(plugin, "__name__", None) or type(plugin).__name__)
        names = (name, *(f"{name}-{number}" for number in range(2, 10_000)))
        return next(each for each in names if not self._pluggy.has_plugin(each))

    def unregister(self, plugin: Any) -> None:
        """Take a plugin out again."""
        self._settings.forget(str(self._pluggy.get_name(plugin)))
        self._states.forget(str(self._pluggy.get_name(plugin)))
        self._pluggy.unregister(plugin)
        self._changed()

    def add_hookspecs(self, module: Any) -> None:
        """Add the hooks that a plugin brings; call it from `register_hookspecs`."""
        self._pluggy.add_hookspecs(module)
        self._changed()

    @functools.cached_property
    def modules(self) -> frozenset[str]:
        """The modules of the plugins that are loaded here."""
        loaded = self._pluggy.list_name_plugin()
        of_themselves = [plugin.__name__ for _, plugin in loaded if inspect.ismodule(plugin)]
        named = [self._found[name].module for name, _ in loaded if name in self._found]
        return frozenset((*of_themselves, *named))

    def _changed(self) -> None:
        """Forget what was worked out of the plugins that are loaded."""
        self._hooks, self._listens = {}, {}
        self.__dict__.pop("modules", None)
        self.__dict__.pop("metrics", None)

    # --- what is wrong -----------------------------------------------------------------------

    def whose(self, name: str) -> str:
        """Return a plugin's name with its module and distribution, if it has those."""
        return whose(self._found[name]) if name in self._found else name

    def refuse(self, answer: Answer, hook: str, why: str) -> None:
        """Note that what a plugin brought by a hook is left out: `brings the format csv, ...`."""
        text = f"The plugin {self.whose(answer.plugin)} {why} (hook {hook})"
        self._problems.keep(answer.plugin, why, text)

    @property
    def names(self) -> list[str]:
        """The plugins that are loaded, the kernel not among them."""
        names = (name for name, _ in self._pluggy.list_name_plugin())
        return sorted(name for name in names if name != KERNEL_PLUGIN)

    def plugin(self, name: str) -> Any:
        """Return the module or object that is the plugin of this name; None if it is not loaded."""
        return self._pluggy.get_plugin(name)

    def hookspecs_of(self, name: str) -> list[str]:
        """Return the names of the hooks that a plugin adds, for others to implement."""
        plugin = self.plugin(name)
        if plugin is None:
            return []
        module = getattr(plugin, "__name__", None) or type(plugin).__module__
        return sorted(
            hook
            for hook in known_hooks(self._pluggy)
            if _is_within(getattr(self._pluggy.hook, hook).spec.function.__module__, module)
        )

    @property
    def problems(self) -> list[str]:
        """Why plugins, or what they bring by a hook, are left out."""
        return self._problems.errors

    @property
    def warnings(self) -> list[str]:
        """What the authors of plugins should look at."""
        return self._problems.warnings

    @property
    def declared(self) -> Declared:
        """The settings of the plugins that are loaded."""
        return self._settings.declared(tuple(self._problems.left_out))

    @property
    def states(self) -> Mapping[str, State]:
        """The states that plugins have registered, by name."""
        return self._states.by_name

    @functools.cached_property
    def metrics(self) -> Mapping[str, Metric]:
        """The metrics that plugins have registered, by name, the kernel's first."""
        from rocketjob.server.metrics import named  # for start-up time

        def refuse(answer: Answer, why: str) -> None:
            self.refuse(answer, "register_metrics", why)

        return named(reversed(self.answers("register_metrics")), refuse)

    def infos(self) -> list[PluginInfo]:
        """Describe every plugin that was found, by name."""
        names = [name for name in known_hooks(self._pluggy) if name.startswith("register_")]
        # Those that take nothing: what is wrong with the answers can be seen.
        askable = [name for name in names if not getattr(self._pluggy.hook, name).spec.argnames]
        brought = {name: self.answers(name) for name in askable}
        return [
            PluginInfo.of(
                entry_point,
                self._hooks_of(name),
                brought,
                self._problems.error_of(name),
                self._problems.warnings_of(name),
                self._states.of(name),
            )
            for name, entry_point in self._found.items()
        ]

    def _hooks_of(self, name: str) -> list[str] | None:
        """Return the hooks that a plugin implements; None if it is not loaded."""
        plugin = self._pluggy.get_plugin(name)
        if plugin is None or name in self._problems.left_out:
            return None
        return [caller.name for caller in self._pluggy.get_hookcallers(plugin) or []]


def _is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _two(one: metadata.EntryPoint, other: metadata.EntryPoint) -> str:
    return (
        f"Two plugins are called {one.name}: {whose(one)} and {whose(other)}. Neither is loaded. "
        f"Uninstall one, or set disabled_plugins = [{one.name!r}] and give the replacement another "
        "name"
    )
