"""What is checked of the hooks that a plugin implements."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator
from types import FunctionType, MethodType, ModuleType
from typing import Any

import pluggy

from rocketjob.base.errors import PluginError
from rocketjob.base.text import did_you_mean, nearest
from rocketjob.plugins import hookspecs

MARK = f"{hookspecs.GROUP}_impl"  # the attribute in which pluggy notes what @hookimpl was given
SURELY = 0.92  # how like another name one is that is surely misspelt


def known_hooks(manager: pluggy.PluginManager) -> list[str]:
    """Return the names of the hooks that there are."""
    callers = vars(manager.hook)
    return [name for name in callers if callers[name].has_spec()]


def check_hooks(
    manager: pluggy.PluginManager, plugin: Any, whose: str, absent: Collection[str]
) -> Iterator[str]:
    """Yield warnings about the hooks of a plugin that was just registered.

    Args:
        whose: the plugin's name, and its distribution.
        absent: plugins that are not loaded: an unknown hook may be one of theirs.

    Raises:
        PluginError: a hook of it cannot be called.
    """
    for caller in _callers(manager, plugin):
        own = _of(plugin, caller)
        if own.hookwrapper:
            raise PluginError(
                f"The plugin {whose} has a wrapper of {caller.name} of pluggy's old "
                "kind: write @hookimpl(wrapper=True), which returns what the hook is to return"
            )
        if _is_wrapped(caller) and not own.wrapper:
            raise PluginError(
                f"The plugin {whose} implements {caller.name}, which has wrappers only: write "
                "@hookimpl(wrapper=True), and a generator that yields once"
            )
        if not caller.has_spec() and not own.optionalhook:
            yield _of_absent_plugin(manager, caller.name, whose, absent)
        if hasattr(own.function, hookspecs.ONLY_FOR) and not _takes_job(caller):
            raise PluginError(
                f"The plugin {whose} has @only_for on {caller.name}, a hook that is "
                "not about one job: take it away"
            )
    for hook in _perhaps_unmarked(manager, plugin):
        if _is_unmarked(manager, plugin, hook):
            yield (
                f"The plugin {whose} has a function {hook}, which is the name of a "
                "hook, without @hookimpl: it is never called"
            )


def _of_absent_plugin(
    manager: pluggy.PluginManager, hook: str, whose: str, absent: Collection[str]
) -> str:
    """Return a warning that an unknown hook may be one of a plugin that is not loaded."""
    known = known_hooks(manager)
    if absent and nearest(hook, known, SURELY) is None:
        return (
            f"The plugin {whose} implements {hook}, which is a hook of no plugin "
            f"that is loaded, so it is never called. Not loaded: {', '.join(sorted(absent))}"
        )
    hint = did_you_mean(hook, known, f"known are {', '.join(sorted(known))}")
    raise PluginError(f"The plugin {whose} implements {hook}, which is not a hook; {hint}")


def _callers(manager: pluggy.PluginManager, plugin: Any) -> Iterator[Any]:
    """Yield the hooks that a plugin implements.

    pluggy's own answer looks through all implementations of all hooks.
    """
    for name in names_of(plugin):
        options = manager.parse_hookimpl_opts(plugin, name)
        if options is not None:
            yield getattr(manager.hook, options["specname"] or name)


def _perhaps_unmarked(manager: pluggy.PluginManager, plugin: Any) -> list[str]:
    known = known_hooks(manager)
    if type(plugin) is ModuleType:
        return sorted(vars(plugin).keys() & known)
    return sorted(known)


def names_of(plugin: Any) -> list[str]:
    """Return the names under which a plugin may have hooks, which are few of a module's."""
    if type(plugin) is not ModuleType:
        return dir(plugin)
    return sorted(name for name, value in vars(plugin).items() if may_be_hook(value))


def _of(plugin: Any, caller: Any) -> Any:
    """Return how a plugin implements a hook."""
    return next(each for each in caller.get_hookimpls() if each.plugin is plugin)


def may_be_hook(value: Any) -> bool:
    """Return whether what a module has under a name may be a marked hook: most surely is not."""
    if type(value) is FunctionType:
        return MARK in value.__dict__
    return isinstance(value, (staticmethod, classmethod, MethodType))


def _is_unmarked(manager: pluggy.PluginManager, plugin: Any, hook: str) -> bool:
    """Return whether a plugin itself defines a function that is called like a hook, unmarked."""
    function = inspect.getattr_static(plugin, hook, None)
    if not inspect.isfunction(function) or manager.parse_hookimpl_opts(plugin, hook):
        return False
    return not inspect.ismodule(plugin) or function.__module__ == plugin.__name__


def _is_wrapped(caller: Any) -> bool:
    return caller.has_spec() and hasattr(caller.spec.function, hookspecs.WRAPPED)


def _takes_job(caller: Any) -> bool:
    return not caller.has_spec() or "job" in caller.spec.argnames
