"""Kinds of values on the command line: ids, properties, JSON."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import click
from bson import ObjectId
from click.shell_completion import CompletionItem

from rocketjob.cli import completing
from rocketjob.cli.errors import BadInput
from rocketjob.cli.options import ParamType
from rocketjob.model.types import exact_json
from rocketjob.model.types.times import parse_datetime, parse_duration

LONGEST = timedelta(days=30)


class JobId(ParamType):
    """The id of a job: 24 hexadecimal digits."""

    name = "id"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> ObjectId:
        if not ObjectId.is_valid(value):
            self.fail(f"{value!r} is not an id: an id has 24 hexadecimal digits", param, ctx)
        return ObjectId(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return completing.job_ids(ctx, incomplete)


class Property(ParamType):
    """A field and its value: `name=value`."""

    name = "name=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, equals, text = str(value).partition("=")
        if not equals or not name.strip():
            self.fail(f"{value!r} must be name=value", param, ctx)
        return name.strip(), text

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return completing.properties(ctx, ctx.params.get("spec"), incomplete)


class Duration(ParamType):
    """A length of time, such as `90s`, `15m` or `1h 30m`."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        if isinstance(value, timedelta):
            return value
        try:
            duration = parse_duration(value)
        except (ValueError, OverflowError) as error:
            self.fail(str(error), param, ctx)
        if not timedelta(0) < duration <= LONGEST:
            self.fail(f"{value!r} is not between nothing and {LONGEST.days} days", param, ctx)
        return duration


DURATION = Duration()


class Completed(ParamType):
    """A string as typed, which the shell completes."""

    def __init__(self, name: str, offer: Callable[[click.Context, str], completing.Items]) -> None:
        self.name, self.offer = name, offer

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return self.offer(ctx, incomplete)


JOB_SPEC = Completed("class", completing.job_specs)
"""A job class: `module:Class`, or `Class` where its module is named in `app`."""
STATE = Completed("state", completing.states)
"""The name of a state, or `scheduled`."""
STORED_CLASS = Completed("name", completing.stored_classes)
"""The name of a job class that is loaded here or that stored jobs have."""


class Since(ParamType):
    """A time, or how long ago, such as `2h`, which is given as a timedelta."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime | timedelta:
        if isinstance(value, datetime | timedelta):
            return value
        try:
            return abs(parse_duration(value))
        except (ValueError, OverflowError):
            pass
        try:
            return parse_datetime(value)
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} must be how long ago, such as 90m, 24h or 7d, or a time such as "
                "2026-01-31T08:30:00Z",
                param,
                ctx,
            )


class JsonObject(ParamType):
    """A JSON object."""

    name = "json"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        try:
            parsed = exact_json.loads(value)
        except ValueError as error:
            self.fail(f"not JSON: {error}", param, ctx)
        if not isinstance(parsed, dict):
            self.fail(f'must be a JSON object such as {{"priority": 5}}, not {value}', param, ctx)
        return parsed


class Where(JsonObject):
    """A filter as a JSON object, or a search such as `class:ImportJob error:"ZZ"`."""

    name = "search"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and value.lstrip()[:1] not in ("{", "["):
            return value
        return super().convert(value, param, ctx)


def as_dict(properties: tuple[tuple[str, str], ...], what: str = "the field") -> dict[str, str]:
    """Return properties by name.

    Raises:
        BadInput: one is given twice.
    """
    values: dict[str, str] = {}
    for name, value in properties:
        if name in values:
            raise BadInput(f"{what} {name} is given twice")
        values[name] = value
    return values
