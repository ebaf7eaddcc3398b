"""Filters as text, to be kept in documents, in which no name may begin with `$`."""

from __future__ import annotations

from datetime import UTC
from typing import cast

from bson import json_util

from rocketjob.store.unit import Filter

_OPTIONS = json_util.JSONOptions(tz_aware=True, tzinfo=UTC)


def written(filter: Filter) -> str:
    """Return a filter as JSON."""
    return json_util.dumps(filter)


def read(text: str) -> Filter:
    """Return the filter that was written."""
    return cast(Filter, json_util.loads(text, json_options=_OPTIONS))
