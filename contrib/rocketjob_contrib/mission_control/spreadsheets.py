"""What spreadsheet programs open: no text in it is a formula, which they would carry out."""

from __future__ import annotations

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How a formula begins: they take the wide signs of East Asia for it, too."""


def plain(text: str) -> str:
    """Return a text that no spreadsheet program takes for a formula."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text
