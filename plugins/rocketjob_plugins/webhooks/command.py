"""`rocketjob webhooks`: try the receivers, see what was delivered, and try again what was not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from rocketjob.base.text import counted, relative
from rocketjob.cli import Failure, Group, json_option
from rocketjob.cli.command import limit_option
from rocketjob.cli.output import Cell, Column, print_json, print_table
from rocketjob.model import deeds
from rocketjob_plugins.webhooks import outbox
from rocketjob_plugins.webhooks.settings import own

STYLES = {"delivered": "green", "waiting": "yellow", "given_up": "red"}
KIND = "webhooks"

webhooks = Group(
    "webhooks",
    short_help="Messages that tell your URLs what happens.",
    help="Try whether messages arrive, look at what was delivered, and deliver again.",
    makes_store=False,
    examples=[
        ("Does a message arrive", "webhooks test"),
        ("What was delivered, and what was not", "webhooks list"),
    ],
)


@webhooks.command(
    "test",
    changes=False,
    short_help="Post a message to every receiver now.",
    examples=[("See that it arrives", "webhooks test")],
)
def test() -> None:
    """Post a message with the event `test` to every URL of the settings now, and say what came."""
    from rocketjob_plugins.webhooks.delivery import deliver  # for start-up time: ssl

    urls = own().urls
    if not urls:
        raise Failure("there is no receiver: set urls in [webhooks]")
    wrong = 0
    for url in urls:
        message = outbox.message_to(url, "test", {"text": "a test of rocketjob webhooks"})
        try:
            click.echo(f"{message['host']}: answered {deliver(message)}")
        except Exception as error:
            wrong += 1
            click.echo(f"{message['host']}: not delivered: {error}", err=True)
    if wrong:
        raise Failure(f"{counted(wrong, 'receiver')} did not take it")


@webhooks.command(
    "list",
    changes=False,
    short_help="List messages, and what came of each attempt.",
    examples=[("The newest first", "webhooks list"), ("For programs", "webhooks list --json")],
)
@limit_option()
@json_option
def list_messages(limit: int, as_json: bool) -> None:
    """List the messages, the newest first: those that wait, were delivered or given up."""
    found = list(outbox.messages().find({}, sort=[("_id", -1)], limit=limit))
    if as_json:
        for message in found:
            print_json(as_values(message))
    elif found:
        print_table(COLUMNS, [_row(message) for message in found])
    else:
        click.echo("no messages", err=True)


COLUMNS = (
    Column("ID", fixed=True),
    Column("MADE", fixed=True),
    Column("EVENT", fixed=True),
    Column("TO", least=15),
    Column("STATE", fixed=True),
    Column("TRIED", fixed=True, right=True),
    Column("LAST", wraps=True, least=20),
)


def as_values(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message for programs."""
    names = ("event", "host", "state", "created_at", "next_at", "attempts", "content", "log")
    return {"id": message["_id"], **{name: message.get(name) for name in names}}


def _row(message: Mapping[str, Any]) -> list[Cell | str]:
    last = (outbox.log_of(message) or [{}])[-1]
    state = str(message.get("state"))
    return [
        str(message["_id"]),
        relative(message["created_at"]),
        str(message.get("event")),
        str(message.get("host")),
        Cell(state, STYLES.get(state, "")),
        str(message.get("attempts")),
        str(last.get("error") or last.get("status") or ""),
    ]


@webhooks.command(
    "retry",
    short_help="Try again what was given up.",
    examples=[("When the receiver is back", "webhooks retry")],
)
def retry() -> None:
    """Try messages again that were given up."""
    deeds.record("retry", KIND)
    click.echo(f"{counted(outbox.retry_given_up(), 'message')} to be tried again")
