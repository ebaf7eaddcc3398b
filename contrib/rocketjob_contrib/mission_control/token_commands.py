"""`rocketjob web-tokens`: tokens with which programs use the JSON API of Mission Control."""

from __future__ import annotations

from datetime import timedelta

import click

from rocketjob.base.errors import NotFound
from rocketjob.base.text import relative
from rocketjob.cli import Failure, Group, json_option
from rocketjob.cli.errors import BadInput
from rocketjob.cli.options import ParamType
from rocketjob.cli.output import Cell, Column, print_json, print_table
from rocketjob.cli.session import actor
from rocketjob.model.types.times import parse_duration
from rocketjob_contrib.mission_control import tokens
from rocketjob_contrib.mission_control.access import ROLES
from rocketjob_contrib.mission_control.tokens import Token, TokenError

STYLES = {"active": "green", "expired": "yellow", "revoked": "red"}
LONGEST = timedelta(days=3650)


class Expiry(ParamType):
    """How long a token can be used: a duration, or `never`."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta | str:
        if isinstance(value, timedelta) or value == "never":
            return value
        try:
            found = parse_duration(str(value))
        except (ValueError, OverflowError) as error:
            self.fail(f"{error}, or never", param, ctx)
        if not timedelta(0) < found <= LONGEST:
            self.fail(f"{value!r} is not between nothing and 10 years; or never", param, ctx)
        return found


@click.group(
    "web-tokens",
    cls=Group,
    short_help="Make, list and revoke tokens for the JSON API.",
    examples=[
        ("For a script that only looks", "web-tokens create nagios --role view"),
        ("Which there are, and when each was used", "web-tokens list"),
        ("It has leaked", "web-tokens revoke nagios --reason leaked"),
    ],
)
def web_tokens() -> None:
    """Let programs use the JSON API of Mission Control, each with a token and a role.

    A program sends its token as `Authorization: Bearer TOKEN`. What it changes is in the audit with
    the token's name.
    """


@web_tokens.command(
    "create",
    short_help="Make a token, and print it.",
    examples=[
        ("For 90 days", "web-tokens create nightly-import --role manager"),
        ("Until it is revoked", "web-tokens create nagios --role view --expires never"),
    ],
)
@click.argument("name", metavar="NAME")
@click.option("--role", type=click.Choice(ROLES), required=True, help="what it may do")
@click.option(
    "--expires", type=Expiry(), default="90d", show_default=True, help="after so long, or never"
)
def create(name: str, role: str, expires: timedelta | str) -> None:
    """Make a token, and print it: it is stored nowhere, and cannot be shown again.

    With the role user it may change the jobs whose field `login` is its NAME.
    """
    lasts = expires if isinstance(expires, timedelta) else None
    try:
        token, text = tokens.create(name, role, lasts, by=actor())
    except TokenError as error:
        raise BadInput(str(error)) from error
    until = f"until {token.expires_at:%Y-%m-%d %H:%M} UTC" if token.expires_at else "until revoked"
    click.echo(f"{name}: role {role}, {until}. Keep it now: it is not shown again.", err=True)
    click.echo(text)


@web_tokens.command(
    "list",
    changes=False,
    makes_store=False,
    short_help="List tokens, and when each was last used.",
    examples=[("The newest first", "web-tokens list"), ("For programs", "web-tokens list --json")],
)
@json_option
def list_tokens(as_json: bool) -> None:
    """List the tokens, the newest first: also those that have expired or were revoked."""
    found = list(tokens.tokens())
    if as_json:
        for token in found:
            print_json({name: value for name, value in _values(token).items()})
    elif found:
        print_table(COLUMNS, [_row(token) for token in found])
    else:
        click.echo("there are no tokens", err=True)


COLUMNS = (
    Column("NAME", least=20),
    Column("ROLE", fixed=True),
    Column("STATE", fixed=True),
    Column("EXPIRES", fixed=True),
    Column("LAST USED", fixed=True),
    Column("MADE", fixed=True, spare=2),
    Column("BY", spare=1),
)


def _values(token: Token) -> dict[str, object]:
    times = ("created_at", "expires_at", "last_used_at", "revoked_at")
    named = {"name": token.name, "role": token.role, "state": token.state}
    return {
        **named,
        "created_by": token.created_by,
        **{name: getattr(token, name) for name in times},
    }


def _row(token: Token) -> list[Cell | str]:
    return [
        token.name,
        token.role,
        Cell(token.state, STYLES[token.state]),
        f"{token.expires_at:%Y-%m-%d %H:%M}" if token.expires_at else "never",
        relative(token.last_used_at) if token.last_used_at else "never",
        relative(token.created_at) if token.created_at else "",
        token.created_by or "",
    ]


@web_tokens.command(
    "revoke",
    short_help="Refuse a token from now on.",
    examples=[("At once, and within what it is doing", "web-tokens revoke nagios")],
)
@click.argument("name", metavar="NAME")
def revoke(name: str) -> None:
    """Refuse the token NAME from now on: what it is doing ends at its next step.

    Its name stays taken, since the audit has it.
    """
    try:
        tokens.revoke(name)
    except (TokenError, NotFound) as error:
        raise Failure(str(error)) from error
    click.echo(f"{name} is revoked")
