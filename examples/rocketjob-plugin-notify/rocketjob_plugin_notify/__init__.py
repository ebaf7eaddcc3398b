"""Tell a webhook, or people by e-mail, how a job ended, and that a server or a worker process died.

    class PayoutJob(Notify, Job):
        notify_url = "https://hooks.example.com/jobs"
        notify_mail = ["ops@example.com"]

Fields, all editable and copied: `notify_url`, `notify_mail`, and `notify_when`, which of `fail`,
`complete` and `abort` are told (`["fail"]`). Where the first two are not given, the settings `url`
and `mail_to` of the table `[notify]` hold. A failure that is retried is not told.

How it works: the message is stored together with the change of state, or neither is
(`transition_writes`). An included job delivers it, and tries again if the receiver does not answer.
What died is told to the receivers of the settings, unless `crashes` is false: `server_lost` and
`worker_died` are called once for each death, so if the telling server dies too, it is not told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from rocketjob import Job, Server, field, hookimpl, only_for, validate
from rocketjob.store import Insert
from rocketjob_plugin_notify import crashes, outbox
from rocketjob_plugin_notify.content import EVENTS, of_job, of_server, of_worker
from rocketjob_plugin_notify.delivery import NotifyDeliveryJob, deliver_what_is_due
from rocketjob_plugin_notify.options import SETTINGS, is_address, wrong_with_url

if TYPE_CHECKING:
    import click

    from rocketjob.base.settings import Setting
    from rocketjob.server.checks import Check

__all__ = ["Notify", "NotifyDeliveryJob"]


class Notify(Job, abstract=True):
    """Mixin: see the module."""

    notify_url: str | None = field(default=None, user_editable=True, copy_on_restart=True)
    notify_mail: list[str] = field(factory=list, user_editable=True, copy_on_restart=True)
    notify_when: list[Literal["fail", "complete", "abort"]] = field(
        default=["fail"], user_editable=True, copy_on_restart=True
    )

    @validate
    def _notify_receivers(self) -> None:
        if self.notify_url and (problem := wrong_with_url(self.notify_url)):
            self.errors.add("notify_url", problem)
        for address in self.notify_mail or ():
            if not is_address(address):
                self.errors.add("notify_mail", f"has {address!r}, which is not an address")


@hookimpl
@only_for(Notify)
def transition_writes(job: Notify, target: str) -> Sequence[Insert]:
    if job.state != target or EVENTS.get(target) not in job.notify_when:
        return ()  # the first: another event follows in the same write, such as a retry
    content = of_job(job, EVENTS[target])
    messages = outbox.addressed(content, job.notify_url, job.notify_mail)
    return [Insert(outbox.COLLECTION, message) for message in messages]


@hookimpl
@only_for(Notify)
def state_changed(job: Notify, target: str) -> None:
    """Have it delivered at once; if the process dies before, `sweep` does."""
    if EVENTS.get(target) in job.notify_when:
        deliver_what_is_due()


@hookimpl
def sweep() -> None:
    outbox.forget_old()
    crashes.forget_old()
    deliver_what_is_due()


@hookimpl
def server_lost(server: Server) -> None:
    crashes.tell(of_server(server, "server_lost"))


@hookimpl
def worker_died(server: Server, worker: str, how: str, performing: list[str]) -> None:
    if crashes.is_first(server):
        crashes.tell(of_worker(server, worker, how, performing))


@hookimpl
def register_mixins() -> list[type[Job]]:
    return [Notify]


@hookimpl
def register_jobs() -> list[type[Job]]:
    return [NotifyDeliveryJob]


@hookimpl
def register_settings() -> list[Setting[Any]]:
    return SETTINGS


@hookimpl
def register_indexes() -> dict[str, list[dict[str, Any]]]:
    return {outbox.COLLECTION: [{"keys": [("next_at", 1)], "name": "next_at"}]}


@hookimpl
def register_checks() -> list[Check]:
    from rocketjob.server.checks import Check  # for start-up time

    return [Check("notify", outbox.look)]


@hookimpl
def register_commands(cli: click.Group) -> None:
    from rocketjob_plugin_notify.commands import notify  # for start-up time

    cli.add_command(notify)
