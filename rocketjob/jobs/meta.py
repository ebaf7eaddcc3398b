"""`job.meta`: what plugins, and whoever creates a job, note on it: trace ids, a tenant."""

from __future__ import annotations

from typing import Any

from rocketjob.model.validators import by_value
from rocketjob.store.packing import pack

META_BYTES = 4096  # as BSON: every claim reads it


@by_value
def is_small(job: Any, attribute: Any, value: Any) -> None:
    """Refuse what is too large to be carried along with every job."""
    if not value:
        return
    size = len(pack({"meta": job.fields()["meta"].store(value, job)}))
    if size > META_BYTES:
        raise ValueError(
            f"must take at most {META_BYTES:,} bytes, and takes {size:,}: keep large values in a "
            "field of the job's class"
        )
