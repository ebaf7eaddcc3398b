"""Pauses before something is tried again."""

from __future__ import annotations

import random


def jittered(seconds: float) -> float:
    """Return a little less, at random: what failed together is not to try again together."""
    return seconds * random.uniform(0.5, 1.0)
