"""Settings, in rising precedence: file, environment, command line, `rocketjob.configure`.

The file is `rocketjob.toml`, or the table `[tool.rocketjob]` of `pyproject.toml`, in the current
directory; the variable `ROCKETJOB_CONFIG` names another one. An environment variable is
`ROCKETJOB_` and the name in capitals; lists are separated by commas.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import attrs

from rocketjob.base.errors import WrongSetting

DEFAULT_URL = "sqlite:///rocketjob.db"
FILE_VARIABLE = "ROCKETJOB_CONFIG"
ENVIRONMENT = "the environment"
LOG_LEVELS = ("trace", "debug", "info", "warn", "error", "fatal")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a text")
    return value


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list | tuple) or not all(isinstance(part, str) for part in value):
        raise ValueError("must be a list of texts")
    return list(value)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    words = {"1": True, "true": True, "yes": True, "on": True}
    words |= {"0": False, "false": False, "no": False, "off": False}
    try:
        return words[str(value).strip().lower()]
    except KeyError:
        raise ValueError("must be true or false") from None


def _whole(minimum: int) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
            raise ValueError("must be a whole number")
        try:
            number = int(value)
        except (TypeError, ValueError):
            raise ValueError("must be a whole number") from None
        if number < minimum:
            raise ValueError(f"must be at least {minimum}")
        return number

    return convert


def _seconds(value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ValueError("must be a number of seconds above 0")
    return seconds


def _zone(value: Any) -> str:
    try:
        ZoneInfo(str(value))
    except (KeyError, ValueError, OSError):
        raise ValueError("must be a time zone such as UTC or America/New_York") from None
    return str(value)


def _pattern(value: Any) -> str:
    try:
        re.compile(_text(value))
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from None
    return str(value)


def _filter(value: Any) -> dict[str, Any]:
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}") from None
    if not isinstance(found, Mapping):
        raise ValueError('must be a JSON object, a filter such as {"priority": {"$lte": 10}}')
    return dict(found)


def _level(value: Any) -> str:
    if value not in LOG_LEVELS:
        raise ValueError(f"must be one of {', '.join(LOG_LEVELS)}")
    return str(value)


def _setting(
    default: Any, convert: Callable[[Any], Any], help: str, *, secret: bool = False
) -> Any:
    metadata = {"convert": convert, "help": help}
    if isinstance(default, list):
        return attrs.field(factory=lambda: list(default), metadata=metadata, repr=not secret)
    return attrs.field(default=default, metadata=metadata, repr=not secret)


@attrs.define(kw_only=True)
class Config:
    """Every setting; see the documentation page Configuration for what each is for."""

    url: str = _setting(DEFAULT_URL, _text, "where documents live")
    create_store: bool = _setting(True, _boolean, "whether a store that is not there is made")
    slices_url: str | None = _setting(None, _text, "where batch slices live, if elsewhere")
    app: list[str] = _setting([], _texts, "modules to import; their job classes can be run")
    workers: int = _setting(10, _whole(1), "worker threads of a server, over all its processes")
    processes: int | None = _setting(None, _whole(1), "worker processes; one per core if not set")
    name: str | None = _setting(None, _text, "the server's name; host:pid if not set")
    heartbeat_seconds: float = _setting(15.0, _seconds, "a server is dead after four missed ones")
    max_poll_seconds: float = _setting(5.0, _seconds, "an idle worker looks for work this often")
    re_check_seconds: float = _setting(
        60.0, _seconds, "throttles, priorities and pauses are looked at again after this time"
    )
    grace_seconds: float = _setting(30.0, _seconds, "time for running work after SIGTERM")
    crash_limit: int = _setting(3, _whole(1), "crashes of its worker before a job is failed")
    include: str | None = _setting(None, _pattern, "run only classes that match this expression")
    exclude: str | None = _setting(None, _pattern, "do not run classes that match this expression")
    where: dict[str, Any] | None = _setting(None, _filter, "run only jobs that match this filter")
    time_zone: str = _setting("UTC", _zone, "for cron schedules without a zone")
    allow_on_demand: bool = _setting(False, _boolean, "whether this server runs on-demand code")
    dirmon_allowed_paths: list[str] = _setting([], _texts, "roots that directory monitors may read")
    encryption_keys: list[str] = _setting([], _texts, "first encrypts, all decrypt", secret=True)
    log_level: str = _setting("info", _level, "least level that is logged")
    log: str = _setting("console", _text, "console, json, or a file to append to")
    disabled_plugins: list[str] = _setting([], _texts, "plugins that are not loaded")

    def __attrs_post_init__(self) -> None:
        if self.include and self.exclude:
            raise WrongSetting("include and exclude cannot both be set: choose one")


def setting_names() -> list[str]:
    """Return the name of every setting."""
    return [attribute.name for attribute in attrs.fields(Config)]


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return f"ROCKETJOB_{name.upper()}"


def load(
    overrides: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Config:
    """Read the settings of a directory and an environment.

    Args:
        overrides: settings from the command line or `configure`; None values are passed over.
        environ: instead of the process's environment.
        directory: instead of the current directory.

    Raises:
        WrongSetting: an unknown setting or a wrong value; the message says where it stands.
    """
    values: dict[str, Any] = {}
    for origin, found in _sources(overrides or {}, environ, directory or Path.cwd()):
        for name, value in found.items():
            values[name] = _convert(name, value, origin)
    return Config(**values)


def origins(
    overrides: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> dict[str, str]:
    """Say of every setting where `load`, called with the same arguments, has its value from."""
    found = dict.fromkeys(setting_names(), "default")
    for origin, values in _sources(overrides or {}, environ, directory or Path.cwd()):
        found.update(dict.fromkeys(values, origin))
    return found


def _sources(
    overrides: Mapping[str, Any], environ: Mapping[str, str] | None, directory: Path
) -> list[tuple[str, Mapping[str, Any]]]:
    environ = os.environ if environ is None else environ
    files = _files(directory, environ.get(FILE_VARIABLE))
    given = {name: value for name, value in overrides.items() if value is not None}
    return [
        *((str(file), _table(file)) for file in files),
        (ENVIRONMENT, _environment(environ)),
        ("the options given", given),
    ]


def _files(directory: Path, named: str | None) -> list[Path]:
    if not named:
        files = (directory / "pyproject.toml", directory / "rocketjob.toml")
        return [file for file in files if file.is_file()]
    if not Path(named).is_file():
        raise WrongSetting(f"There is no configuration file {named}: correct {FILE_VARIABLE}")
    return [Path(named)]


def _table(file: Path) -> Mapping[str, Any]:
    import tomllib

    try:
        table: Any = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WrongSetting(f"{file} is not valid TOML: {error}") from None
    for key in ("tool", "rocketjob") if file.name == "pyproject.toml" else ():
        table = table.get(key, {}) if isinstance(table, dict) else table
    if not isinstance(table, dict):
        raise WrongSetting(f"{file}: [tool.rocketjob] must be a table")
    return table


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    names = {variable(name): name for name in setting_names()}
    return {names[key]: value for key, value in environ.items() if key in names and value}


def _convert(name: str, value: Any, origin: str) -> Any:
    known = {attribute.name: attribute for attribute in attrs.fields(Config)}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
        raise WrongSetting(f"{origin}: there is no setting {name}; {hint}")
    try:
        return known[name].metadata["convert"](value)
    except (TypeError, ValueError) as error:
        shown = "(hidden)" if "key" in name else repr(value)
        named = variable(name) if origin == ENVIRONMENT else name
        raise WrongSetting(f"{origin}: {named} = {shown}: {error}") from None
