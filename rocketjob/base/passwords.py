"""Passwords within URLs, kept out of what people see.

A job keeps a URL as it was given, since it has to open it again. Logs, messages, the history, and
whatever shows a job have `***` in the place of the password.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import attrs

_USER = r"([A-Za-z][A-Za-z0-9+.-]*://[^\s:/?#@]*)"
# A password that has a slash should have been quoted, but must not be shown for that; a port may
# have one behind it, and an @ somewhere later.
_PASSWORD = re.compile(_USER + r":(?:[^\s/?#]+|(?!\d+[/?#])[^\s@]+)@")


def hide_passwords(text: str) -> str:
    """Return a URL, or a text with URLs in it, without their passwords."""
    return _PASSWORD.sub(r"\1:***@", text) if "://" in text else text


def without_passwords(value: Any) -> Any:
    """Return a value with no password in a URL in it: itself, if there was none."""
    if isinstance(value, str):
        return hide_passwords(value)
    if isinstance(value, Mapping):
        parts: Any = {key: without_passwords(item) for key, item in value.items()}
        return value if _same(parts.values(), value.values()) else parts
    if isinstance(value, list | tuple):
        items = [without_passwords(item) for item in value]
        return value if _same(items, value) else items
    if attrs.has(type(value)):
        names = {made.name: made.alias for made in attrs.fields(type(value)) if made.init}
        found = {name: without_passwords(getattr(value, name)) for name in names}
        changed = {names[n]: new for n, new in found.items() if new is not getattr(value, n)}
        return attrs.evolve(value, **changed) if changed else value
    return value


def _same(one: Any, other: Any) -> bool:
    return all(new is old for new, old in zip(one, other, strict=True))
