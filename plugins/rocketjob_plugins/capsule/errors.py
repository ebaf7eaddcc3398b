"""The error of capsules."""

from __future__ import annotations

from rocketjob.base.errors import RocketJobError


class CapsuleError(RocketJobError, ValueError):
    """A capsule cannot be made, read or replayed; the message says why."""
