"""`rocketjob batch upload|download` and `rocketjob rejects list|download|resubmit`."""

from __future__ import annotations

from rocketjob_plugins.batch.commands.files import batch
from rocketjob_plugins.batch.commands.rejects import rejects

__all__ = ["batch", "rejects"]
