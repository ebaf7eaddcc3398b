"""The job that delivers messages, one after the other."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from rocketjob import Job, now, settings
from rocketjob.store import Stored
from rocketjob_plugin_notify import outbox
from rocketjob_plugin_notify.content import LONGEST
from rocketjob_plugin_notify.options import Refused
from rocketjob_plugins.singleton import Singleton

AT_MOST = timedelta(seconds=60)  # of a job: what is left is the next one's


class NotifyDeliveryJob(Singleton, Job):
    """Included job: created when there is something to deliver; one at a time."""

    on_conflict = "return"
    priority = 30
    description = "Delivers notifications"

    def perform(self) -> dict[str, int]:
        counts, until = {"delivered": 0, "failed": 0}, now() + AT_MOST
        while now() < until and (message := outbox.take()) is not None:
            counts["delivered" if self._deliver(message) else "failed"] += 1
        return counts

    def _deliver(self, message: Stored) -> bool:
        try:
            deliver(message)
        except Exception as error:  # whatever the network has in store: the others go on
            text = f"{type(error).__name__}: {error}"
            again = outbox.failed(message, text, give_up=isinstance(error, Refused))
            self.logger.warning(
                "not delivered" if again else "not delivered, and given up",
                to=outbox.whom(message),
                error=text[:LONGEST],
            )
            return False
        outbox.delivered(message)
        return True


def deliver_what_is_due() -> None:
    """Have a server deliver what is due, if anything is."""
    if outbox.is_any_due():
        NotifyDeliveryJob.create()


def deliver(message: Stored) -> None:
    """Deliver a message by its channel.

    Raises:
        Exception: it was not taken.
    """
    from rocketjob_plugin_notify import mail, webhook  # for start-up time: ssl, smtplib

    channels: dict[str, Any] = {"webhook": webhook.post, "mail": mail.send}
    channels[message["channel"]](message, settings("notify"))
