"""Times that a parameter names."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from rocketjob.model.types.times import parse_datetime, parse_duration
from rocketjob_contrib.mission_control.api.problems import Fault, Problem
from rocketjob_contrib.mission_control.api.schemas import text

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.api.view import ApiView

WHEN = text(50, least=1)
MOST_AGO = timedelta(days=36500)


def moment_of(view: ApiView, name: str, now: datetime) -> datetime | None:
    """Return a time that a parameter names, or how long ago it was, such as `2h`."""
    text = view.params.get(name)
    if text is None:
        return None
    try:
        return now - min(abs(parse_duration(text)), MOST_AGO)
    except (ValueError, OverflowError):
        pass
    try:
        return parse_datetime(text)
    except (ValueError, OverflowError):
        why = "must be a time such as 2026-01-31T08:30:00Z, or how long ago, such as 2h"
        raise Problem(400, f"{name} {why}", [Fault(name, why)]) from None
