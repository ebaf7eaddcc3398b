"""`rocketjob notify`: try a receiver, see what was not delivered, and try that again."""

from __future__ import annotations

import click
from bson import ObjectId

from rocketjob import now, settings
from rocketjob.cli import Failure, Group, json_option
from rocketjob_plugin_notify import outbox
from rocketjob_plugin_notify.delivery import deliver

notify = Group("notify", short_help="Messages that tell how jobs ended.", makes_store=False)


@notify.command("test", examples=[("Mail somebody", "notify test --mail ops@example.com")])
@click.option("--post", metavar="URL", help="post to it; the setting url if not given")
@click.option("--mail", metavar="ADDRESS", help="mail to it instead")
def test(post: str | None, mail: str | None) -> None:
    """Deliver a message now, to see that it arrives."""
    to = mail or post or settings("notify").url
    if to is None:
        raise click.UsageError("give --post or --mail, or set url in [notify]")
    job = {"id": str(ObjectId()), "class": "TestJob", "description": "a test of rocketjob notify"}
    content = {"event": "fail", "state": "failed", "at": now(), "job": job, "error": None}
    message = {"_id": ObjectId(), "content": content, "to": [mail] if mail else to}
    try:
        deliver({**message, "channel": "mail" if mail else "webhook"})
    except Exception as error:
        raise Failure(f"not delivered: {error}") from error
    click.echo(f"delivered to {outbox.whom(message)}")


@notify.command("list", examples=[("Why a message does not arrive", "notify list")])
@json_option
def list_messages(as_json: bool) -> None:
    """List messages that are not delivered yet, or were given up."""
    from rocketjob.cli.output import print_json  # for start-up time

    for message in outbox.messages().find({}, sort=[("_id", 1)], limit=100):
        row = {
            "id": str(message["_id"]),
            "to": outbox.whom(message),
            "job": message["content"].get("job"),
            "server": message["content"].get("server"),
            "attempts": message["attempts"],
            "given_up": message.get("next_at") is None,
            "error": message.get("error"),
        }
        if as_json:
            print_json(row)
            continue
        next_at = message.get("next_at")
        state = f"next at {next_at:%Y-%m-%d %H:%M:%S} UTC" if next_at else "given up"
        click.echo(f"{row['id']}  {row['to']}  {state}  {row['error'] or ''}".rstrip())


@notify.command("retry", examples=[("When the receiver is back", "notify retry")])
def retry() -> None:
    """Try messages again that were given up."""
    click.echo(f"{outbox.retry_given_up()} to be tried again")
