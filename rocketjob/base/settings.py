"""What a setting is, and how its value is read from a file, a variable or a call.

The kernel's own are in `rocketjob.base.config`; a plugin declares its own with the hook
`register_settings`, and reads them from the process's settings:

    FOLDER = Setting("report_folder", "/var/reports", string, "where reports are written")

    @hookimpl
    def register_settings():
        return [FOLDER]

    FOLDER.of(current().config)

With the name `folder` and `table="report"` it stands in the table `[report]`; the variable is the
same, `ROCKETJOB_REPORT_FOLDER`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar
from zoneinfo import ZoneInfo

import attrs

from rocketjob.base.text import truth

T = TypeVar("T")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
LOG_LEVELS = ("trace", "debug", "info", "warn", "error", "fatal")


class Values(Protocol):
    """What holds the values that were given: see `rocketjob.base.config.Config`."""

    plugin_settings: dict[str, Any]


def _parser(given: Any) -> Any:
    """Return the parser of a type, such as `int`; any other function is one itself."""
    return PARSERS.get(given, given) if isinstance(given, type) else given


def _table(name: str | None) -> str | None:
    return name and in_variables(name)


def _checked_name(setting: Any, attribute: Any, name: Any) -> None:
    if name is not None and not _NAME.fullmatch(name):
        raise ValueError(
            f"a setting's {attribute.name} is lower-case letters, digits and _, not {name!r}"
        )


@attrs.frozen
class Setting(Generic[T]):
    """One setting.

    Attributes:
        name: as in files; its variable is `ROCKETJOB_` and the name in capitals.
        default: its value where nobody sets it.
        parse: makes the value of what was given, which is a string if it comes from a variable or
            the command line; raises ValueError, whose message follows the name: `must be ...`. JSON
            must be able to hold the value, since worker processes get it that way. One of the types
            `str`, `int`, `float`, `bool` and `list` (of strings) stands for a parser of its values.
        help: a line for `rocketjob config` and the help.
        secret: whether the value is hidden wherever settings are shown.
        table: of the file in which it stands, which should be the plugin's name; None: among those
            of the kernel.

    Raises:
        ValueError: the name or the table cannot be part of a variable's name.
    """

    name: str = attrs.field(validator=_checked_name)
    default: T
    parse: Callable[[Any], T] = attrs.field(converter=_parser)
    help: str
    secret: bool = attrs.field(default=False, kw_only=True)
    table: str | None = attrs.field(
        default=None, kw_only=True, converter=_table, validator=_checked_name
    )

    @property
    def key(self) -> str:
        """The name with the table's before it, as in `notify.url`."""
        return f"{self.table}.{self.name}" if self.table else self.name

    def of(self, values: Values) -> T:
        """Return a plugin's setting from a process's settings."""
        setting: T = values.plugin_settings.get(self.key, self.default)
        return setting


def in_variables(table: str) -> str:
    """Return a table's name, which may be a plugin's with a hyphen, as it is in variables."""
    return table.replace("-", "_")


# --- parsers ---------------------------------------------------------------------------------


def string(value: Any) -> str:
    """Return a string as it is."""
    if not isinstance(value, str):
        raise ValueError("must be a string")
    return value


def strings(value: Any) -> list[str]:
    """Return a list of strings; a single string is split at its commas."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list | tuple) or not all(isinstance(part, str) for part in value):
        raise ValueError("must be a list of strings")
    return list(value)


def boolean(value: Any) -> bool:
    """Return a truth value; a string may be `true`, `yes`, `on`, `1`, or the opposite."""
    if isinstance(value, bool):
        return value
    meant = truth(str(value))
    if meant is None:
        raise ValueError("must be true or false")
    return meant


def whole(minimum: int) -> Callable[[Any], int]:
    """Return what parses whole numbers that are not less."""

    def convert(value: Any) -> int:
        number = integer(value)
        if number < minimum:
            raise ValueError(f"must be at least {minimum}")
        return number

    return convert


def integer(value: Any) -> int:
    """Return a whole number."""
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError("must be a whole number")
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("must be a whole number") from None


def number(value: Any) -> float:
    """Return a number; not infinity, nor what is not a number."""
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise ValueError("must be a number")
    return found


def seconds(value: Any) -> float:
    """Return a number of seconds above 0."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = 0.0
    if not 0 < number < float("inf"):
        raise ValueError("must be a number of seconds above 0")
    return number


def address(value: Any) -> str:
    """Return a host and a port, such as `127.0.0.1:8080` or `[::1]:8080`."""
    host, colon, port = string(value).rpartition(":")
    is_bare = ":" in host and not (host.startswith("[") and host.endswith("]"))
    if not (colon and host and port.isascii() and port.isdigit()) or is_bare or int(port) > 65535:
        raise ValueError("must be a host and a port, such as 127.0.0.1:8080 or [::1]:8080")
    return f"{host}:{port}"


def time_zone(value: Any) -> str:
    """Return the name of a time zone."""
    try:
        ZoneInfo(str(value))
    except (KeyError, ValueError, OSError):
        raise ValueError("must be a time zone such as UTC or America/New_York") from None
    return str(value)


def pattern(value: Any) -> str:
    """Return a regular expression."""
    try:
        re.compile(string(value))
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from None
    return str(value)


def mongo_filter(value: Any) -> dict[str, Any]:
    """Return a Mongo filter; a string is JSON."""
    try:
        filter = json.loads(value) if isinstance(value, str) else value
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}") from None
    if not isinstance(filter, Mapping):
        raise ValueError('must be a JSON object, a filter such as {"priority": {"$lte": 10}}')
    return dict(filter)


def level(value: Any) -> str:
    """Return a log level."""
    if value not in LOG_LEVELS:
        raise ValueError(f"must be one of {', '.join(LOG_LEVELS)}")
    return str(value)


PARSERS: dict[type, Callable[[Any], Any]] = {
    str: string,
    int: integer,
    float: number,
    bool: boolean,
    list: strings,
}
