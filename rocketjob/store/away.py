"""Whether an error says that a store cannot be used for now."""

from __future__ import annotations

from rocketjob.base.errors import HookFailed, StoreUnavailable
from rocketjob.store import context


def is_away(error: BaseException) -> bool:
    """Return whether an error, or that of a plugin's hook, says that a store is out of reach."""
    cause = error.__cause__ if isinstance(error, HookFailed) and error.__cause__ else error
    return isinstance(cause, StoreUnavailable) or context.current().store.is_transient(cause)
