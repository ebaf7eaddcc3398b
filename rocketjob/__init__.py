"""RocketJob: background jobs and batches, in business-priority order, every feature a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rocketjob import _moved as _moved
from rocketjob.application import configure, connect, settings
from rocketjob.base.clock import now
from rocketjob.base.errors import (
    ClaimLost,
    ConfigurationError,
    Discard,
    DuplicateKey,
    InvalidTransition,
    JobAborted,
    JobExpired,
    JobRefused,
    JobTimeout,
    MemoryExceeded,
    NotFound,
    PluginError,
    RocketJobError,
    SearchError,
    ServerStopping,
    Snooze,
    StateConflict,
    StoreError,
    StoreUnavailable,
    StoreUnfit,
    UnknownJobClass,
    UnsupportedOperation,
    ValidationError,
    WorkerCrashed,
)
from rocketjob.base.off_loop import off_loop
from rocketjob.jobs.exception import JobException
from rocketjob.jobs.job import Job
from rocketjob.jobs.performing import current_job
from rocketjob.jobs.unknown import UnknownJob
from rocketjob.model import validators
from rocketjob.model.callbacks import after, around, before
from rocketjob.model.document import Document
from rocketjob.model.fields import field
from rocketjob.model.validation import validate
from rocketjob.states.machine import Transition, event

if TYPE_CHECKING:
    from rocketjob.jobs.holds import Clause, Hold
    from rocketjob.jobs.store_away import waits_for_store
    from rocketjob.plugins.hookspecs import hookimpl, hookspec, only_for
    from rocketjob.server import events
    from rocketjob.server.server import Server
    from rocketjob.server.subscribers import Subscriber
    from rocketjob.states.state import EventCommand, State

__version__ = "0.1.0"
__all__ = [
    "ClaimLost",
    "Clause",
    "ConfigurationError",
    "Discard",
    "Document",
    "DuplicateKey",
    "EventCommand",
    "Hold",
    "InvalidTransition",
    "Job",
    "JobAborted",
    "JobException",
    "JobExpired",
    "JobRefused",
    "JobTimeout",
    "MemoryExceeded",
    "NotFound",
    "PluginError",
    "RocketJobError",
    "SearchError",
    "Server",
    "ServerStopping",
    "Snooze",
    "State",
    "StateConflict",
    "StoreError",
    "StoreUnavailable",
    "StoreUnfit",
    "Subscriber",
    "Transition",
    "UnknownJob",
    "UnknownJobClass",
    "UnsupportedOperation",
    "ValidationError",
    "WorkerCrashed",
    "after",
    "around",
    "before",
    "configure",
    "connect",
    "current_job",
    "event",
    "events",
    "field",
    "hookimpl",
    "hookspec",
    "now",
    "off_loop",
    "only_for",
    "settings",
    "validate",
    "validators",
    "waits_for_store",
]

_LAZY = {
    "EventCommand": "rocketjob.states.state",
    "Clause": "rocketjob.jobs.holds",
    "Hold": "rocketjob.jobs.holds",
    "Server": "rocketjob.server.server",
    "State": "rocketjob.states.state",
    "Subscriber": "rocketjob.server.subscribers",
    "events": "rocketjob.server.events",
    "hookimpl": "rocketjob.plugins.hookspecs",
    "hookspec": "rocketjob.plugins.hookspecs",
    "only_for": "rocketjob.plugins.hookspecs",
    "waits_for_store": "rocketjob.jobs.store_away",
}


def __getattr__(name: str) -> Any:
    """Import what only servers and plugins need when it is first asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module 'rocketjob' has no attribute {name!r}")
    import importlib  # for start-up time

    module = importlib.import_module(_LAZY[name])
    return module if name == "events" else getattr(module, name)
