"""The job that delivers messages, one after the other."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from rocketjob import Job
from rocketjob.base import clock
from rocketjob.store import Stored
from rocketjob_plugins.singleton import Singleton
from rocketjob_plugins.webhooks import outbox
from rocketjob_plugins.webhooks.outbox import NotTaken, Refused
from rocketjob_plugins.webhooks.settings import own
from rocketjob_plugins.webhooks.signing import HEADER, signature

AT_MOST = timedelta(seconds=60)  # of a job: what is left is the next one's
GONE = 410


class WebhookDeliveryJob(Singleton, Job):
    """Included job: created when there is something to deliver; one at a time."""

    on_conflict = "return"
    priority = 30
    description = "Delivers webhooks"

    def perform(self) -> dict[str, int]:
        counts, until = {"delivered": 0, "failed": 0}, clock.now() + AT_MOST
        while clock.now() < until and (message := outbox.take()) is not None:
            counts["delivered" if self._deliver(message) else "failed"] += 1
        return counts

    def _deliver(self, message: Stored) -> bool:
        try:
            status = deliver(message)
        except Exception as error:  # whatever the network has in store: the others go on
            why = f"{type(error).__name__}: {error}"
            again = outbox.failed(message, why, for_good=isinstance(error, Refused))
            self.logger.warning(
                "a webhook was not delivered" if again else "a webhook was given up",
                host=message.get("host"),
                error=why[: outbox.LONGEST],
            )
            return False
        outbox.delivered(message, status)
        return True


def deliver_what_is_due() -> None:
    """Have a server deliver what is due, if anything is."""
    if outbox.is_any_due():
        WebhookDeliveryJob.create()


def deliver(message: Stored) -> int:
    """Post a message to its receiver; return the status that was answered.

    Raises:
        Refused: it is not worth another try.
        Exception: it was not taken, and may be later.
    """
    from rocketjob_plugins.webhooks.posting import post  # for start-up time: ssl

    url, settings = outbox.url_of(message), own()
    if url is None:
        raise Refused("the receiver is no longer among the urls of [webhooks]")
    body = body_of(message)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "RocketJob",
        "X-RocketJob-Event": str(message["event"]),
        "X-RocketJob-Delivery": str(message["_id"]),
    }
    if settings.secret:
        headers[HEADER] = signature(settings.secret, body, int(clock.now().timestamp()))
    status = post(
        url,
        body,
        headers,
        timeout=settings.timeout_seconds,
        allow_local=settings.allow_local,
    )
    if status == GONE:
        raise Refused("the receiver answered 410: it is gone")
    if not 200 <= status < 300:  # a redirect, too: it could lead to a private address
        raise NotTaken(f"the receiver answered {status}")
    return status


def body_of(message: Stored) -> bytes:
    """Return what is posted: the same at each attempt."""
    from rocketjob.cli.output import plain  # for start-up time

    head: dict[str, Any] = {"id": str(message["_id"]), "event": message["event"]}
    return json.dumps(plain({**head, "at": message["created_at"], **message["content"]})).encode()
