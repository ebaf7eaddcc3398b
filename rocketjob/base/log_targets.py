"""Where the log goes: what a target is, what the setting `log` says, and the kernel's own targets.

    log = ["console", "/var/log/jobs.json", {target = "syslog", host = "logs", level = "warn"}]

Plugins bring more with the hook `register_log_targets`.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from rocketjob.base.errors import ConfigurationError, RocketJobError, WrongSetting
from rocketjob.base.passwords import hide_passwords
from rocketjob.base.settings import Setting, level, pattern, string, whole
from rocketjob.base.text import as_bytes, did_you_mean

Options = Mapping[str, Any]
BUFFER = 50_000
FORMATS = ("text", "json")


@attrs.frozen
class LogTarget:
    """Somewhere that the log can go.

    Attributes:
        name: as in the setting `log`.
        make: makes the handler from the options; called once in each process, when its log starts.
            It connects to nothing that may be away: the first line does. Raises ValueError where
            options do not go together, OSError where there is no such file.
        help: a line on what it is.
        options: what may be set besides `target`, `level`, `filter`, `format` and `buffer`.
        in_forks: whether its handler can be used in a process that a job has forked. One with a
            connection must make its own there.
        is_local: whether a line is written without waiting for others, so that a fork can wait for
            its end.
        note: called with each record that the target is to get, on the thread that logs, to note
            what only that thread knows, such as the span under way; it must be quick.
    """

    name: str
    make: Callable[[Options], logging.Handler]
    help: str
    options: Sequence[Setting[Any]] = ()
    in_forks: bool = attrs.field(default=False, kw_only=True)
    is_local: bool = attrs.field(default=False, kw_only=True)
    note: Callable[[logging.LogRecord], None] | None = attrs.field(default=None, kw_only=True)


def _format(value: Any) -> str:
    if value not in FORMATS:
        raise ValueError(f"must be {' or '.join(FORMATS)}")
    return str(value)


COMMON: tuple[Setting[Any], ...] = (
    Setting("target", "", string, "where the log goes"),
    Setting("level", None, level, "the lowest level that it gets, instead of log_level"),
    Setting("filter", None, pattern, "only loggers whose name matches this expression"),
    Setting("format", None, _format, "text or json, instead of the target's own"),
    Setting("buffer", BUFFER, whole(1), "lines that wait for it at most"),
)


@attrs.frozen
class Wanted:
    """One target as the settings have it.

    Attributes:
        common: the options that every target has.
        options: those of this target, as they were given.
    """

    target: str
    common: Options
    options: Options = attrs.field(factory=dict)


# --- the setting -----------------------------------------------------------------------------


def log_setting(value: Any) -> Any:
    """Return the setting `log`: a string for one target without options, else a list."""
    if isinstance(value, str):
        value = _from_text(value.strip())
    entries = value if isinstance(value, list | tuple) else [value]
    if not entries:
        raise ValueError("must name a target, such as console")
    for entry in entries:
        _wanted(entry)
    simple = len(entries) == 1 and isinstance(entries[0], str)
    return entries[0] if simple else [_plain(entry) for entry in entries]


def _from_text(text: str) -> Any:
    if text.startswith(("[", "{")):
        try:
            return json.loads(text)
        except ValueError as error:
            raise ValueError(f"is not JSON: {error}") from None
    parts = [part.strip() for part in text.split(",")]
    return [part for part in parts if part]


def _plain(entry: Any) -> Any:
    return entry if isinstance(entry, str) else dict(entry)


def wanted(log: Any) -> list[Wanted]:
    """Return the targets that the setting `log` names; it may be such a list already."""
    return [_wanted(entry) for entry in ([log] if isinstance(log, str | Mapping) else log)]


def _wanted(entry: Any) -> Wanted:
    if isinstance(entry, Wanted):
        return entry
    if isinstance(entry, str):
        entry = {"target": entry}
    if not isinstance(entry, Mapping):
        raise ValueError('must be targets such as "console", or tables such as {target = "syslog"}')
    target = entry.get("target")
    if not isinstance(target, str) or not target:
        raise ValueError("has a table without a target, such as console or a file's path")
    common = {setting.name: _option(setting, entry, target) for setting in COMMON}
    options = {name: value for name, value in entry.items() if name not in common}
    if _is_path(target):
        options, target = {"path": target, **options}, "file"
    return Wanted(target, common, options)


def _is_path(target: str) -> bool:
    """Return whether a file is named: `./log` is one, where `log` would be a target."""
    return "/" in target or "." in target


def _option(setting: Setting[Any], given: Options, target: str) -> Any:
    if setting.name not in given:
        return setting.default
    value = given[setting.name]
    try:
        return setting.parse(value)
    except (TypeError, ValueError) as error:
        shown = "(hidden)" if setting.secret else repr(value)
        raise ValueError(f"target {target}: {setting.name} = {shown}: {error}") from None


# --- what it means ---------------------------------------------------------------------------


def found(one: Wanted, targets: Mapping[str, LogTarget]) -> LogTarget:
    """Return the target that is meant.

    Raises:
        WrongSetting: there is none of this name.
    """
    if one.target not in targets:
        hint = did_you_mean(one.target, targets, f"there are {', '.join(sorted(targets))}.")
        raise WrongSetting(
            f"log: there is no target {one.target}; {hint} A file is named with a path, such as "
            f"./{one.target}"
        )
    return targets[one.target]


def options_of(one: Wanted, target: LogTarget) -> dict[str, Any]:
    """Return the options of a target, with their defaults.

    Raises:
        WrongSetting: one is unknown or wrong.
    """
    names = [setting.name for setting in target.options]
    for name in one.options:
        if name not in names:
            known = [setting.name for setting in (*COMMON, *target.options)]
            hint = did_you_mean(name, known, f"known are {', '.join(known)}")
            raise WrongSetting(f"log, target {target.name}: there is no option {name}; {hint}")
    try:
        return {each.name: _option(each, one.options, target.name) for each in target.options}
    except ValueError as error:
        raise WrongSetting(f"log, {error}") from None


def handler_of(one: Wanted, target: LogTarget) -> logging.Handler:
    """Make the handler of a target.

    Raises:
        WrongSetting: its options are wrong.
        RocketJobError: it cannot be opened; the message names it.
    """
    from rocketjob.base.log_format import ConsoleFormatter, JsonFormatter  # for start-up time

    options = options_of(one, target)
    shown = options.get("path") or target.name
    try:
        handler = target.make(options)
        if not isinstance(handler, logging.Handler):
            raise TypeError(f"{handler!r} is not a logging.Handler")
    except RocketJobError:
        raise
    except ValueError as error:
        raise WrongSetting(f"log, target {target.name}: {error}") from error
    except OSError as error:
        raise RocketJobError(f"The log {shown} cannot be written: {error}") from error
    except Exception as error:
        text = hide_passwords(f"{type(error).__name__}: {error}")
        raise ConfigurationError(f"The log target {shown} cannot be made: {text}") from error
    if one.common["format"] is not None or handler.formatter is None:
        as_json = one.common["format"] == "json"
        handler.setFormatter(JsonFormatter() if as_json else ConsoleFormatter())
    return handler


# --- the kernel's own ------------------------------------------------------------------------


def _console(options: Options) -> logging.Handler:
    return logging.StreamHandler(sys.stderr)


def _json(options: Options) -> logging.Handler:
    from rocketjob.base.log_format import JsonFormatter  # for start-up time

    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    return handler


def _file(options: Options) -> logging.Handler:
    from rocketjob.base.log_file import LogFile  # both for start-up time
    from rocketjob.base.log_format import JsonFormatter

    path = options["path"]
    if path is None:
        raise ValueError('it needs a path, as in {target = "file", path = "/var/log/jobs.log"}')
    handler = LogFile(path, options["max_bytes"], options["backups"])
    if path.endswith((".json", ".jsonl")):
        handler.setFormatter(JsonFormatter())
    return handler


FILE_OPTIONS: tuple[Setting[Any], ...] = (
    Setting("path", None, string, "the file that lines are appended to"),
    Setting(
        "max_bytes", None, as_bytes, "its size at which another one is begun; never if not set"
    ),
    Setting("backups", 5, whole(1), "how many of the files before are kept"),
)
KERNEL_TARGETS = (
    LogTarget(
        "console",
        _console,
        "a line for each event, to standard error",
        in_forks=True,
        is_local=True,
    ),
    LogTarget(
        "json",
        _json,
        "a JSON object for each event, to standard output",
        in_forks=True,
        is_local=True,
    ),
    LogTarget("file", _file, "a file", FILE_OPTIONS, in_forks=True, is_local=True),
)
