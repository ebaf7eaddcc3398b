"""Options that are settings, and those that every command takes.

Imports within functions: a command loads no more than it needs, so that it starts quickly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import click

from rocketjob.base.config import Config
from rocketjob.base.errors import ConfigurationError
from rocketjob.cli.session import session_of

F = TypeVar("F", bound=Callable[..., Any])
SETTINGS = attrs.fields_dict(Config)

if TYPE_CHECKING:
    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType  # generic only in newer releases of click


class SettingType(ParamType):
    """A value of a setting, converted as in the configuration."""

    def __init__(self, setting: str) -> None:
        self.setting, self.name = setting, setting

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return SETTINGS[self.setting].metadata["convert"](value)
        except (TypeError, ValueError) as error:
            self.fail(str(error), param, ctx)


class GlobalOption(click.Option):
    """An option that every command takes."""


def setting_option(name: str, *flags: str, **attributes: Any) -> Callable[[F], F]:
    """Decorate a command with an option for a setting; its value goes into the configuration.

    For example `@setting_option("workers", "-w")` adds `--workers`, with the setting's help and
    environment variable; the command itself then reads `application.current().config.workers`.
    """
    return click.option(*_declaration(name, flags), **_attributes(name, attributes))


def _declaration(name: str, flags: tuple[str, ...]) -> tuple[str, ...]:
    return (*flags, "--" + name.replace("_", "-"), name)


def _attributes(name: str, given: dict[str, Any]) -> dict[str, Any]:
    default = SETTINGS[name].default
    listed = isinstance(default, attrs.Factory)  # type: ignore[arg-type]
    attributes: dict[str, Any] = {
        "help": f"{SETTINGS[name].metadata['help']}  [env: ROCKETJOB_{name.upper()}]",
        "expose_value": False,
        "callback": _record,
        "multiple": listed,
    }
    if default is False:
        return {**attributes, "is_flag": True, "flag_value": True, "default": None, **given}
    return {**attributes, "type": SettingType(name), "metavar": _metavar(name), **given}


def _metavar(name: str) -> str:
    metavars = {"app": "MODULE", "url": "URL", "log_level": "LEVEL", "where": "JSON"}
    metavars |= {"include": "REGEX", "exclude": "REGEX", "name": "NAME"}
    return metavars.get(name, "N")


def _record(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    if value is not None and value != ():
        if isinstance(value, tuple):
            value = [item for part in value for item in part]
        session_of(ctx).given[str(param.name)] = value
    return value


def _record_file(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        session_of(ctx).file = value
    return value


def _record_debug(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    session_of(ctx).debug |= value
    return value


def _record_settings(
    ctx: click.Context, param: click.Parameter, value: tuple[str, ...]
) -> tuple[str, ...]:
    for text in value:
        name, equals, setting = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise click.BadParameter(f"{text!r} must be NAME=VALUE", ctx, param)
        try:
            session_of(ctx).given[name] = _setting(name, setting)
        except ConfigurationError as error:
            text = str(error).removeprefix("the options given: ")
            raise click.BadParameter(text, ctx, param) from None
    return value


def _free(declaration: list[str], taken: Iterable[str]) -> list[str]:
    """Return a declaration without the short flag, if that is taken."""
    taken = set(taken)
    return [name for name in declaration if name not in taken]


def _setting(name: str, text: str) -> Any:
    from rocketjob.base import config

    if name not in SETTINGS:  # a plugin's; it raises, with the nearest name, if it is nobody's
        return config.load({name: text}, environ={}).plugin_settings[name]
    try:
        return SETTINGS[name].metadata["convert"](text)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{name}: {error}") from None


def global_options(taken: Iterable[str] = ()) -> list[GlobalOption]:
    """Return the options that every command takes.

    Args:
        taken: what a command calls its own: `-c CODE` takes the place of `-c` for `--config`.
    """
    return [
        GlobalOption(_free(["-a", "--app", "app"], taken), **_attributes("app", {})),
        GlobalOption(_declaration("url", ()), **_attributes("url", {})),
        GlobalOption(
            _free(["-c", "--config", "config_file"], taken),
            metavar="FILE",
            expose_value=False,
            callback=_record_file,
            help="settings from this file, not ./rocketjob.toml  [env: ROCKETJOB_CONFIG]",
        ),
        GlobalOption(
            ["--set", "settings"],
            metavar="NAME=VALUE",
            multiple=True,
            expose_value=False,
            callback=_record_settings,
            help="any setting; `rocketjob config` lists them",
        ),
        GlobalOption(_declaration("log_level", ()), **_attributes("log_level", {})),
        GlobalOption(
            ["--debug"],
            is_flag=True,
            expose_value=False,
            callback=_record_debug,
            help="show the full traceback of an error",
        ),
    ]
