"""How many minutes something is to last, as people type it."""

from __future__ import annotations

from collections.abc import Mapping

MOST = 7 * 24 * 60


def minutes_in(form: Mapping[str, str]) -> float | None:
    """Return the seconds that were asked for; None where it was left open."""
    text = form.get("minutes", "").strip()
    return float(text) * 60 if text else None


def wrong_minutes(form: Mapping[str, str]) -> str | None:
    """Return what is wrong with the minutes that were typed."""
    try:
        seconds = minutes_in(form)
    except ValueError:
        seconds = -1.0
    if seconds is None or 0 < seconds <= MOST * 60:
        return None
    return f"Nothing was done: the minutes must be a number of more than 0, up to {MOST:,}"
