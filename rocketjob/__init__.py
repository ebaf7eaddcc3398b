"""RocketJob: background jobs and batches, in business-priority order, every feature a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rocketjob import validators
from rocketjob.application import configure, connect
from rocketjob.callbacks import after, around, before
from rocketjob.clock import now
from rocketjob.document import Document
from rocketjob.errors import (
    ClaimLost,
    ConfigurationError,
    DuplicateKey,
    InvalidTransition,
    JobTimeout,
    NotFound,
    PluginError,
    RocketJobError,
    StateConflict,
    StoreError,
    StoreUnavailable,
    UnknownJobClass,
    UnsupportedOperation,
    ValidationError,
    WorkerCrashed,
)
from rocketjob.fields import field
from rocketjob.job import Job
from rocketjob.job_exception import JobException
from rocketjob.state_machine import Transition, event
from rocketjob.unknown_job import UnknownJob
from rocketjob.validation import validate

if TYPE_CHECKING:
    from rocketjob import events
    from rocketjob.hookspecs import hookimpl, hookspec
    from rocketjob.server import Server
    from rocketjob.subscribers import Subscriber

__version__ = "0.1.0"
__all__ = [
    "ClaimLost",
    "ConfigurationError",
    "Document",
    "DuplicateKey",
    "InvalidTransition",
    "Job",
    "JobException",
    "JobTimeout",
    "NotFound",
    "PluginError",
    "RocketJobError",
    "Server",
    "StateConflict",
    "StoreError",
    "StoreUnavailable",
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
    "event",
    "events",
    "field",
    "hookimpl",
    "hookspec",
    "now",
    "validate",
    "validators",
]

_LAZY = {
    "Server": "rocketjob.server",
    "Subscriber": "rocketjob.subscribers",
    "events": None,
    "hookimpl": "rocketjob.hookspecs",
    "hookspec": "rocketjob.hookspecs",
}


def __getattr__(name: str) -> Any:
    """Import what only servers and plugins need when it is first asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module 'rocketjob' has no attribute {name!r}")
    import importlib

    module = importlib.import_module(_LAZY[name] or f"rocketjob.{name}")
    return module if _LAZY[name] is None else getattr(module, name)
