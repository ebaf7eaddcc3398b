"""`rocketjob plugins NAME`: all that one plugin brings, and what is wrong with it."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import click

from rocketjob import Job
from rocketjob.base.config import Config
from rocketjob.base.sources import variable
from rocketjob.cli.config import shown
from rocketjob.cli.output import as_text, clean
from rocketjob.plugins.infos import PluginInfo
from rocketjob.plugins.manager import PluginManager
from rocketjob.server.metrics import Metric

REGISTER = "register_"
APART = (
    "settings",
    "commands",
    "mixins",
    "metrics",
    "hookspecs",
)  # shown with more than their names


def collected(plugins: PluginManager, info: PluginInfo, config: Config) -> dict[str, Any]:
    """Return all that a plugin brings, for programs; of one that is not loaded there is nothing."""
    group = click.Group("rocketjob")
    brought: dict[str, Any] = {}
    for hook in info.hooks:
        if hook.startswith(REGISTER):
            with contextlib.suppress(LookupError):  # what it brings depends on something else
                answer = plugins.ask_one(info.name, hook, cli=group, config=config)
                brought[hook.removeprefix(REGISTER)] = answer or ()
    return {
        **attrs.asdict(info),
        "text": _first_line(plugins.plugin(info.name)),
        "settings": [_setting(each, config) for each in brought.get("settings", ())],
        "commands": [_command(*each) for each in sorted(group.commands.items())],
        "mixins": [_mixin(each) for each in brought.get("mixins", ())],
        "metrics": [_metric(each) for each in brought.get("metrics", ())],
        "brings": {
            what: [_name(item) for item in items]
            for what, items in brought.items()
            if what not in APART
        },
        "hookspecs": plugins.hookspecs_of(info.name),
    }


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the page of a plugin, of what `collected` returned."""
    yield f"{found['name']} ({found['status']}), {found['distribution']} {found['version']}"
    yield f"module {found['module']}"
    if found["text"]:
        yield found["text"]
    for title, rows in _sections(found):
        if rows:
            yield ""
            yield title
            yield from (f"  {row}" for row in rows)


def _sections(found: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    yield "errors", [found["error"]] if found["error"] else []
    yield "warnings", list(found["warnings"])
    yield "settings", [_setting_line(each) for each in found["settings"]]
    yield "commands", [f"rocketjob {each['name']}  {each['help']}" for each in found["commands"]]
    yield "mixins", [line for each in found["mixins"] for line in _mixin_lines(each)]
    yield "metrics", [_metric_line(each) for each in found["metrics"]]
    yield from found["brings"].items()
    yield "hooks that it implements", list(found["hooks"])
    yield "hooks that it adds", found["hookspecs"]


def _setting(setting: Any, config: Config) -> dict[str, Any]:
    return {
        "name": setting.key,
        "variable": variable(setting.key),
        "default": shown(setting, setting.default),
        "value": shown(setting, setting.of(config)),
        "help": setting.help,
    }


def _setting_line(setting: Mapping[str, Any]) -> str:
    value = "not set" if setting["value"] is None else as_text(setting["value"])
    return f"{setting['name']} = {value}  {setting['help']} ({setting['variable']})"


def _command(name: str, command: click.Command) -> dict[str, str]:
    return {"name": name, "help": command.get_short_help_str(200)}


def _mixin(mixin: type[Any]) -> dict[str, Any]:
    """Return a mixin with its own fields: those that it has from Job are every job's."""
    fields = mixin.fields() if hasattr(mixin, "fields") else {}
    return {
        "name": mixin.__name__,
        "help": _first_line(mixin),
        "fields": [
            {"name": name, "type": field.codec.name, "help": field.description or ""}
            for name, field in fields.items()
            if name not in Job.fields()
        ],
    }


def _mixin_lines(mixin: Mapping[str, Any]) -> Iterator[str]:
    yield f"{mixin['name']}  {mixin['help']}"
    for field in mixin["fields"]:
        yield f"  {field['name']}: {field['type']}  {field['help']}".rstrip()


def _metric(metric: Metric) -> dict[str, Any]:
    return {
        "name": metric.name,
        "kind": type(metric).__name__.lower(),
        "help": metric.help,
        "unit": metric.unit,
        "labels": list(metric.labels),
    }


def _metric_line(metric: Mapping[str, Any]) -> str:
    unit = f" in {metric['unit']}" if metric["unit"] else ""
    by = f" by {', '.join(metric['labels'])}" if metric["labels"] else ""
    return f"{metric['name']}  {metric['help']} ({metric['kind']}{unit}{by})"


def _name(item: Any) -> str:
    """Return what something that a plugin registers is called."""
    for attribute in ("name", "area", "__name__"):
        value = getattr(item, attribute, None)
        if isinstance(value, str):
            return value
    return item if isinstance(item, str) else type(item).__name__


def _first_line(thing: Any) -> str:
    text = inspect.getdoc(thing) if thing is not None else None
    return clean((text or "").partition("\n")[0])
