"""The hook that the encryption plugin brings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rocketjob import hookspec
from rocketjob.base.encryption import EncryptionContext
from rocketjob.plugins.answers import answer


@hookspec(firstresult=True)
@answer("an EncryptionContext", lambda value: isinstance(value, EncryptionContext))
def encryption_context(collection: str, document: Mapping[str, Any]) -> EncryptionContext | None:
    """Say whose the encrypted values of a stored document are, if that is not its own class.

    Called by `rocketjob encryption rotate` for documents that hold some, so that it chooses the
    keys as who stored them did. Implement it where you encrypt in a collection of your own.
    """
