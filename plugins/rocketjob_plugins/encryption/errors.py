"""What goes wrong with encryption."""

from __future__ import annotations

from rocketjob.base.errors import RocketJobError


class EncryptionError(RocketJobError, ValueError):
    """Data cannot be decrypted: it was changed, or its key is not among encryption_keys."""
