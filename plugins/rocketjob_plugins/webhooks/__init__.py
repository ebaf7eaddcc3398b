"""Webhooks: a URL of yours is posted to when jobs fail, a batch completes, or a server dies.

    [webhooks]
    urls = ["https://hooks.example.com/rocketjob"]
    secret = "the key that signs"
    events = ["jobs.failed", "batch.completed", "server.dead"]

Each message is JSON, signed with the secret and the time: see `signing`, whose `is_signed` is for
receivers. It is a document of `rocket_job.webhooks`, first to be delivered, and then the log of
how it was; an included job delivers it, again and again with growing waits until the receiver
answers with 200 to 299. Whoever gets one twice knows it by its `id`.

Simple jobs pay nothing for that: which of them have failed is looked up every 15 seconds. One that
is retried before is not told. That a batch has completed is stored together with that.
`rocketjob webhooks list` shows what was delivered; `test` and `retry` are there, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rocketjob import Job, hookimpl, only_for
from rocketjob.store import Insert
from rocketjob_plugins.batch.batch import Batch
from rocketjob_plugins.webhooks import events, outbox
from rocketjob_plugins.webhooks.delivery import WebhookDeliveryJob, deliver_what_is_due
from rocketjob_plugins.webhooks.settings import SETTINGS, own
from rocketjob_plugins.webhooks.signing import is_signed

if TYPE_CHECKING:
    import click

    from rocketjob import Server
    from rocketjob.base.settings import Setting
    from rocketjob.server.checks import Check

__all__ = ["WebhookDeliveryJob", "is_signed"]


@hookimpl
@only_for(Batch)
def transition_writes(job: Job, target: str) -> Sequence[Insert]:
    if target != "completed" or job.state != target:
        return ()
    return outbox.inserts(events.BATCH_COMPLETED, events.of_batch(job))


@hookimpl
def server_lost(server: Server) -> None:
    if outbox.store(events.SERVER_DEAD, events.of_server(server)):
        deliver_what_is_due()


@hookimpl
def sweep() -> None:
    has_receiver = bool(own().urls)
    if not has_receiver and not outbox.is_any():
        return
    try:
        if has_receiver:
            events.tell_of_failed()
    finally:  # whatever is wrong with failed jobs, the other messages are delivered
        outbox.forget_old()
        deliver_what_is_due()  # without a receiver: given up


@hookimpl
def register_jobs() -> list[type[Job]]:
    return [WebhookDeliveryJob]


@hookimpl
def register_settings() -> list[Setting[Any]]:
    return SETTINGS


@hookimpl
def register_indexes() -> dict[str, list[dict[str, Any]]]:
    return {outbox.COLLECTION: [{"keys": [("next_at", 1)], "name": "next_at"}]}


@hookimpl
def register_checks() -> list[Check]:
    from rocketjob.server.checks import Check  # for start-up time

    return [Check("webhooks", outbox.look)]


@hookimpl
def register_commands(cli: click.Group) -> None:
    from rocketjob_plugins.webhooks.command import webhooks  # for start-up time

    cli.add_command(webhooks)
