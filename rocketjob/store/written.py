"""Filters as text, to be kept in documents, in which no name may begin with `$`."""

from __future__ import annotations

from datetime import UTC
from typing import cast

from rocketjob.store.unit import Filter


def written(filter: Filter) -> str:
    """Return a filter as JSON."""
    from bson import json_util  # for start-up time

    return json_util.dumps(filter)


def read(text: str) -> Filter:
    """Return the filter that was written."""
    from bson import json_util  # for start-up time

    options = json_util.JSONOptions(tz_aware=True, tzinfo=UTC)
    return cast(Filter, json_util.loads(text, json_options=options))
