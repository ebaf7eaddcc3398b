"""Settings, in rising precedence: file, environment, command line, `rocketjob.configure`.

The file is `rocketjob.toml`, or the table `[tool.rocketjob]` of `pyproject.toml`, in the current
directory; the variable `ROCKETJOB_CONFIG` names another one. An environment variable is
`ROCKETJOB_` and the name in capitals; lists are separated by commas. A plugin may have a table of
its own, such as `[notify]`; its variables have the table's name first: `ROCKETJOB_NOTIFY_URL`.

Those of the kernel are here. Plugins declare theirs (`register_settings`); they are asked only when
a setting is given, or asked for, that is not the kernel's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from rocketjob.base.errors import WrongSetting
from rocketjob.base.passwords import without_secrets
from rocketjob.base.settings import (
    Setting,
    address,
    boolean,
    in_variables,
    level,
    mongo_filter,
    pattern,
    seconds,
    string,
    strings,
    whole,
)
from rocketjob.base.sources import (
    ENVIRONMENT,
    FILE_VARIABLE,
    OPTIONS,
    PREFIX,
    in_variable,
    place,
    sources,
    variable,
)
from rocketjob.base.text import as_bytes, did_you_mean, nearest

Given = tuple[str, Any, str]  # a setting's name or a table's, the value, and where that stands
DEFAULT_URL = "sqlite:///rocketjob.db"
FOR_TESTS = "ROCKETJOB_TEST_"  # variables that are no settings


@attrs.frozen
class Declared:
    """The settings of plugins.

    Attributes:
        settings: by key, which is the name, or `table.name`.
        owners: the plugin that has each.
        broken: plugins that could not be loaded: a setting that nobody knows may be one of theirs.
        of_plugins: the keys of each plugin's settings; two may share one.
    """

    settings: Mapping[str, Setting[Any]] = attrs.field(factory=dict)
    owners: Mapping[str, str] = attrs.field(factory=dict)
    broken: tuple[str, ...] = ()
    of_plugins: Mapping[str, Iterable[str]] = attrs.field(factory=dict)

    def keys_in(self, table: str) -> list[str]:
        """Return the keys of the settings in a table, which may be given with hyphens."""
        wanted = in_variables(table)
        return [key for key, setting in self.settings.items() if setting.table == wanted]

    @property
    def tables(self) -> list[str]:
        return list(dict.fromkeys(each.table for each in self.settings.values() if each.table))

    def key_of(self, name: str) -> str | None:
        """Return the key of a setting by the end of its variable, in small letters."""
        return next((key for key in self.settings if in_variable(key) == name), None)


Find = Callable[[Iterable[str]], Declared]
_find: Find = lambda disabled: Declared()  # noqa: E731 (replaced by the application)


def declared_by(find: Find) -> None:
    """Say how the settings of plugins are found, given the names of those that are disabled."""
    global _find
    _find = find


def _log(value: Any) -> Any:
    from rocketjob.base.log_targets import log_setting  # for start-up time

    return log_setting(value)


def _setting(default: Any, convert: Callable[[Any], Any], help: str) -> Any:
    metadata = {"convert": convert, "help": help}
    if isinstance(default, list):
        return attrs.field(factory=lambda: list(default), metadata=metadata)
    return attrs.field(default=default, metadata=metadata)


@attrs.define(kw_only=True, on_setattr=None)
class Config:
    """Every setting; see the documentation page Configuration for what each is for.

    A plugin's setting is read with `Setting.of`. For people it is also an attribute, which those
    who check types do not see, so that a name that is misspelt stays an error.
    """

    url: str = _setting(DEFAULT_URL, string, "where documents are stored")
    create_store: bool = _setting(True, boolean, "whether a missing store is created")
    app: list[str] = _setting([], strings, "modules to import; their job classes can be run")
    workers: int = _setting(10, whole(1), "worker threads of a server, over all its processes")
    async_workers: int = _setting(
        200, whole(0), "async jobs that a server performs at once, over all its processes"
    )
    processes: int | None = _setting(None, whole(1), "worker processes; one per core if not set")
    name: str | None = _setting(None, string, "the server's name; host:pid if not set")
    heartbeat_seconds: float = _setting(
        15.0, seconds, "a server is declared dead after missing four"
    )
    max_poll_seconds: float = _setting(5.0, seconds, "an idle worker looks for work this often")
    re_check_seconds: float = _setting(
        60.0,
        seconds,
        "throttles, priorities and pauses are checked again after this time",
    )
    grace_seconds: float = _setting(30.0, seconds, "time for running work after SIGTERM")
    health: str | None = _setting(None, address, "where a server answers how it is: HOST:PORT")
    max_jobs_per_process: int | None = _setting(
        None, whole(1), "jobs after which a worker process is replaced; never if not set"
    )
    max_memory_per_process: int | None = _setting(
        None, as_bytes, "memory in use at which a worker process is replaced; never if not set"
    )
    crash_limit: int = _setting(3, whole(1), "crashes of its worker before a job is failed")
    include: str | None = _setting(None, pattern, "run only classes that match this expression")
    exclude: str | None = _setting(None, pattern, "do not run classes that match this expression")
    where: dict[str, Any] | None = _setting(
        None, mongo_filter, "run only jobs that match this filter"
    )
    actor: str | None = _setting(None, string, "who acts here; the login name if not set")
    log_level: str = _setting("info", level, "lowest level that is logged")
    log: Any = _setting("console", _log, "console, json, a file, or a list of targets")
    disabled_plugins: list[str] = _setting([], strings, "plugins that are not loaded")
    plugin_settings: dict[str, Any] = attrs.field(factory=dict, repr=False)  # there may be secrets
    unread: list[str] = attrs.field(factory=list, repr=False)  # what nobody reads, in words

    def __attrs_post_init__(self) -> None:
        if self.include and self.exclude:
            raise WrongSetting("include and exclude cannot both be set: choose one")

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            setting = None if name.startswith("_") else _find(()).settings.get(name)
            if setting is None:
                raise AttributeError(f"there is no setting {name}")
            return setting.of(self)

        def __setattr__(self, name: str, value: Any) -> None:
            if name in attrs.fields_dict(Config):
                object.__setattr__(self, name, value)
            else:
                self.plugin_settings[name] = value

    def as_dict(self) -> dict[str, Any]:
        """Return every setting by name, those of the plugins that are enabled included."""
        settings = {name: getattr(self, name) for name in KERNEL}
        of_plugins = _find(self.disabled_plugins).settings
        return settings | {name: setting.of(self) for name, setting in of_plugins.items()}


def _kernel() -> dict[str, Setting[Any]]:
    settings = {}
    for field in attrs.fields(Config):
        if field.metadata:
            listed = isinstance(field.default, attrs.Factory)  # type: ignore[arg-type]
            default = [] if listed else field.default
            settings[field.name] = Setting(field.name, default, **_described(field.metadata))
    return settings


def _described(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {"parse": metadata["convert"], "help": metadata["help"]}


KERNEL = _kernel()


def known(disabled: Iterable[str] = ()) -> dict[str, Setting[Any]]:
    """Return every setting by name: the kernel's, and those of the plugins that are enabled."""
    return {**KERNEL, **_find(disabled).settings}


def setting_names() -> list[str]:
    """Return the name of every setting of the kernel and of the plugins that are installed."""
    return list(known())


def load(
    overrides: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
    find: Find | None = None,
) -> Config:
    """Read the settings of a directory and an environment.

    In the environment a name that nobody knows is passed over; `rocketjob doctor` names it.

    Args:
        overrides: settings from the command line or `configure`; None values are passed over.
        environ: instead of the process's environment.
        directory: instead of the current directory.
        find: finds the settings of plugins, instead of those that are installed.

    Raises:
        WrongSetting: an unknown setting or a wrong value; the message says where it stands.
    """
    values: dict[str, Any] = {}
    others: list[Given] = []
    for origin, given in sources(overrides or {}, environ, directory or Path.cwd()):
        for name, value in given.items():
            if name in KERNEL:
                values[name] = _parse(KERNEL[name], value, origin)
            else:
                others.append((name, value, origin))
    if others:
        declared = (find or _find)(values.get("disabled_plugins", ()))
        values["plugin_settings"] = {
            key: _parse(declared.settings[key], value, origin)
            for key, value, origin in _known(others, declared)
        }
        values["unread"] = [
            _unread(name, origin)
            for name, value, origin in others
            if _is_orphan(name, value, origin, declared)
        ]
    return Config(**values)


def load_given(settings: Mapping[str, Any], find: Find | None = None) -> Config:
    """Return these settings and the defaults of all others: no file and no variable is read.

    Args:
        find: finds the settings of plugins, instead of those that are installed.

    Raises:
        WrongSetting: an unknown setting or a wrong value.
    """
    return load(settings, environ={}, directory=Path("/nonexistent"), find=find)


def merged(before: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with others, which win; of a plugin's table each setting by itself."""
    together = {**before, **settings}
    for name, value in settings.items():
        one = before.get(name)
        if name not in KERNEL and isinstance(one, Mapping) and isinstance(value, Mapping):
            together[name] = {**one, **value}
    return together


def _known(others: Iterable[Given], declared: Declared) -> Iterator[Given]:
    """Yield the settings of plugins by their keys, those in tables too.

    Raises:
        WrongSetting: nobody knows one that stands in a file or was given in code.
    """
    for name, value, origin in others:
        if _is_orphan(name, value, origin, declared):
            continue
        if origin == ENVIRONMENT:
            if (key := declared.key_of(name)) is not None:
                yield key, value, origin
            continue
        for key, one in _keys(name, value, declared, origin):
            if key in declared.settings:
                yield key, one, origin
            elif not declared.broken:
                raise WrongSetting(f"{place(origin, key)}: {_unknown(key, declared)}")


def _is_orphan(name: str, value: Any, origin: str, declared: Declared) -> bool:
    """Return whether this is a table in a file that no plugin has, as after it was uninstalled.

    What looks like a misspelt one is not, and neither is that of a plugin that is disabled.
    """
    if origin in (ENVIRONMENT, OPTIONS) or not isinstance(value, Mapping) or declared.broken:
        return False
    table = in_variables(name)
    if name in declared.settings or nearest(table, declared.tables) is not None:
        return False
    return table not in _find(()).tables


def _unread(name: str, origin: str) -> str:
    return (
        f"{place(origin, f'{name}.')}: no plugin that is installed has this table, so it has no "
        "effect: remove it, or install its plugin"
    )


def _keys(name: str, value: Any, declared: Declared, origin: str) -> Iterator[tuple[str, Any]]:
    """Yield the keys for what stands under one name, which may be a table."""
    if name in declared.settings:
        yield name, value
        return
    table, dot, rest = in_variables(name).partition(".")
    if dot:
        yield f"{table}.{rest}", value
    elif isinstance(value, Mapping):
        yield from ((f"{table}.{each}", one) for each, one in value.items())
    elif table in declared.tables:
        raise WrongSetting(f"{place(origin)}: {name} must be a table, not {value!r}")
    else:
        yield name, value


def _unknown(key: str, declared: Declared) -> str:
    table, dot, name = key.rpartition(".")
    if table in declared.tables:
        names = [declared.settings[each].name for each in declared.keys_in(table)]
        hint = did_you_mean(name, names, f"known are {', '.join(names)}")
        return f"there is no setting {name} in this table; {hint}"
    everything = _find(())
    owner = everything.owners.get(key) or _owner_of_table(table, everything)
    if owner is not None:
        return (
            f"{key} is a setting of the plugin {owner}, which is disabled: remove the setting, or "
            f"{owner} from disabled_plugins"
        )
    flat = [each.name for each in declared.settings.values() if not each.table]
    names = declared.tables if dot else [*KERNEL, *flat]
    known = f"known are {', '.join(names)}" if names else "no plugin has one"
    known += f". If its plugin was uninstalled, remove the {'table' if dot else 'setting'}"
    hint = did_you_mean(table if dot else name, names, known)
    return f"there is no table [{table}]; {hint}" if dot else f"there is no setting {name}; {hint}"


def _owner_of_table(table: str, declared: Declared) -> str | None:
    in_it = (key for key, setting in declared.settings.items() if setting.table == table != "")
    return next((declared.owners[key] for key in in_it), None)


def unknown_variables(
    disabled: Iterable[str] = (), environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the variables that begin like those of settings and are none, with what to do."""
    environ = os.environ if environ is None else environ
    declared, everything = _find(disabled), _find(())
    variables = {variable(key): key for key in (*KERNEL, *declared.settings)}
    unknown = {}
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name.startswith(FOR_TESTS):
            continue
        if name == FILE_VARIABLE or name in variables:
            continue
        key = everything.key_of(name.removeprefix(PREFIX).lower())
        if key is not None:
            unknown[name] = f"it is a setting of the plugin {everything.owners[key]}, not loaded"
        else:
            near = nearest(
                name.removeprefix(PREFIX), [each.removeprefix(PREFIX) for each in variables]
            )
            hint = f"did you mean {PREFIX}{near}?" if near else "see rocketjob config"
            unknown[name] = hint
    return unknown


def origins(
    overrides: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> dict[str, str]:
    """Say of every setting where `load`, called with the same arguments, has its value from."""
    config = load(overrides, environ=environ, directory=directory)
    declared = _find(config.disabled_plugins)
    settings = dict.fromkeys([*KERNEL, *declared.settings], "default")
    for origin, values in sources(overrides or {}, environ, directory or Path.cwd()):
        others = [(name, value, origin) for name, value in values.items() if name not in KERNEL]
        settings |= {name: origin for name in values if name in KERNEL}
        settings |= {key: origin for key, *_ in _known(others, declared)}
    return settings


def _parse(setting: Setting[Any], value: Any, origin: str) -> Any:
    try:
        return setting.parse(value)
    except (TypeError, ValueError) as error:
        shown = "(hidden)" if setting.secret else repr(without_secrets(value))
        in_table = f"{place(origin, setting.key)}: {setting.name}"
        named = f"{origin}: {variable(setting.key)}" if origin == ENVIRONMENT else in_table
        raise WrongSetting(f"{named} = {shown}: {error}") from None
