"""How a state looks: its icon and its colour, also of a state that a plugin brings."""

from __future__ import annotations

import re

from rocketjob.store import context
from rocketjob_contrib.mission_control.assets import FOLDER

ICONS = frozenset(re.findall(r' id="(\w+)"', (FOLDER / "icons.svg").read_text(encoding="utf-8")))
OF_COLORS = {
    "red": "failed",
    "yellow": "paused",
    "green": "completed",
    "blue": "running",
    "cyan": "running",
    "magenta": "scheduled",
}
"""The colours of a terminal, which plugins name, by a state that has the same one here."""


def symbol(name: str) -> str:
    """Return which of the icons is that of a name: its own, or a common one for a state."""
    if name in ICONS:
        return name
    return "pending" if name in context.current().plugins.states else "unknown"


def look(name: str) -> str:
    """Return the name that stands for the colour of a state."""
    if name in ICONS:
        return name
    state = context.current().plugins.states.get(name)
    return OF_COLORS.get(state.color, "queued") if state is not None else "queued"
