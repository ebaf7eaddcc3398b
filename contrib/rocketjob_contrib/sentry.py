"""Failures of jobs in Sentry: `pip install 'rocketjob[sentry]'`.

    # in a module that `app` names
    import sentry_sdk
    from rocketjob_contrib.sentry import instrument

    sentry_sdk.init(dsn="...")
    instrument()

RocketJob logs each failure that is not retried as one error with its traceback, which Sentry's own
logging integration, on by default, sends. This adds what Sentry cannot know: the tags `job_class`
and `job_id`, the fields of the log line, and the error of each failed slice. Each perform, and each
slice of a batch job, has a scope of its own: breadcrumbs and tags of one job are not on the events
of another.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import sentry_sdk

from rocketjob import Job, hookimpl
from rocketjob.application import current
from rocketjob.base.log import FIELDS
from rocketjob.base.log_format import as_text

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

FLUSH_SECONDS = 5.0
SLICE_FAILED = "slice failed"  # what the batch plugin logs


class Instrumentation:
    """The plugin: see `instrument`."""

    @hookimpl(wrapper=True)
    def perform(self, job: Job, part: int | None) -> Generator[None, Any, Any]:
        with sentry_sdk.isolation_scope() as scope:
            scope.clear_breadcrumbs()
            _tag(scope, job, part)
            return (yield)

    @hookimpl(optionalhook=True)
    def slice_done(self, job: Job, slice: Any) -> None:
        if slice.state == "failed" and slice.error is not None:
            with sentry_sdk.new_scope() as scope:
                _tag(scope, job, slice.number)
                sentry_sdk.capture_exception(slice.error)

    @hookimpl
    def process_stopping(self) -> None:
        sentry_sdk.flush(FLUSH_SECONDS)


def instrument() -> Instrumentation:
    """Tag what this process sends to Sentry; return the plugin, which can be unregistered.

    Raises:
        PluginError: it is called twice.
    """
    plugin = Instrumentation()
    current().plugins.register(plugin, "sentry")
    sentry_sdk.get_global_scope().add_event_processor(_tagged)
    return plugin


def _tag(scope: sentry_sdk.Scope, job: Job, part: int | None) -> None:
    """Say of what is sent within a scope which job it is of, and which slice."""
    name = type(job).type_name()
    scope.set_transaction_name(name)
    scope.set_tags({"job_class": name, "job_id": str(job.id)})
    if part is not None:
        scope.set_tag("slice", str(part))


def _tagged(event: Event, hint: Hint) -> Event | None:
    """Give an event that comes of a log line of a job the job's class and id.

    That of a failed slice is dropped, for it has no traceback: see `slice_done`.
    """
    record = hint.get("log_record")
    fields = getattr(record, FIELDS, None) or {}
    if "job_id" in fields:
        if getattr(record, "msg", None) == SLICE_FAILED:
            return None
        name = str(fields.get("job", ""))
        event["transaction"] = name
        event["tags"] = {
            **dict(event.get("tags") or {}),
            "job_class": name,
            "job_id": str(fields["job_id"]),
        }
        own = {name: as_text(value) for name, value in fields.items()}
        event["extra"] = {**dict(event.get("extra") or {}), **own}
    return event
