"""Values of fields as the text of a form, and back: nothing that was not touched ever changes.

What somebody would see is text; `text_of` and `parse` undo each other, or the field is not offered.
"""

from __future__ import annotations

import enum
import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from rocketjob.model.types import typed_json
from rocketjob.model.types.anything import ANY
from rocketjob.model.types.base import Codec
from rocketjob.store import packing

_UNITS = (("d", 86400), ("h", 3600), ("m", 60))


def kind_of(codec: Codec, choices: tuple[Any, ...] | None) -> str:
    """Return how a type is asked for.

    `choice`, `several` (of a closed list), `lines` (an item each), `json`, `number`, `decimal`,
    `text`, or `typed`, which is one line.
    """
    item = codec.item
    if codec.name == ANY.name:
        return "json"
    if choices:
        return "choice"
    if item is not None and item.choices:
        return "several"
    if codec.nested is not None:
        plain = item is not None and item.nested is None and item.name != ANY.name
        return "lines" if plain else "json"
    return {"int": "number", "float": "decimal", "Decimal": "decimal", "str": "text"}.get(
        codec.name, "typed"
    )


def text_of(kind: str, codec: Codec, value: Any) -> str:
    """Return a value as the text of a form."""
    if value is None:
        return ""
    if kind == "json":
        return typed_json.dumps(value if codec.encode is None else codec.encode(value))
    if kind in ("lines", "several"):
        return "\n".join(item_text(item) for item in _ordered(value))
    return item_text(value)


def _ordered(value: Any) -> Any:
    return sorted(value, key=repr) if isinstance(value, set | frozenset) else value


def item_text(value: Any) -> str:
    """Return a value that is not made of others as the text of a form."""
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, range):
        return f"{value.start}:{value.stop}:{value.step}"
    if isinstance(value, re.Pattern):
        return str(value.pattern)
    if isinstance(value, bytes):
        return value.decode()
    return str(value)


def duration_text(value: timedelta) -> str:
    """Return a duration as `parse_duration` reads it, such as `1d 2h 30s`."""
    if value < timedelta(0):
        return f"-{value.total_seconds() * -1:f}s"
    left, parts = value // timedelta(seconds=1), []
    for unit, seconds in _UNITS:
        if left >= seconds:
            parts.append(f"{left // seconds}{unit}")
            left %= seconds
    rest = f"{left}.{value.microseconds:06}".rstrip("0") if value.microseconds else str(left)
    return " ".join([*parts, f"{rest}s"] if rest != "0" or not parts else parts)


def parse(kind: str, codec: Codec, text: str, choices: tuple[Any, ...] | None = None) -> Any:
    """Return the value of a text that is not blank.

    Raises:
        ValueError: it has none.
    """
    if kind == "json":
        try:
            stored = typed_json.loads(text)
        except ValueError as error:
            raise ValueError(f"is not valid JSON: {error}") from None
        return stored if codec.decode is None else codec.decode(stored)
    if kind in ("lines", "several"):
        items = [line for line in map(str.strip, text.split("\n")) if line]
        assert codec.nested is not None and codec.item is not None
        return codec.nested.kind(list(map(codec.item.from_text, items)))
    if kind == "choice" and choices:
        for choice in choices:
            if item_text(choice) == text.strip():
                return choice
        raise ValueError(f"must be one of {', '.join(map(item_text, choices))}, not {text[:60]!r}")
    return codec.from_text(text if kind == "text" else text.strip())


def is_exact(kind: str, codec: Codec, value: Any, text: str, choices: Any) -> bool:
    """Return whether a text that was made of a value, and went through a page, is that again."""
    try:
        again = parse(kind, codec, as_posted(text), choices) if text.strip() else blank(codec)
        return same(codec, value, again) or (kind == "text" and as_posted(value) == again)
    except Exception:
        return False


def blank(codec: Codec) -> Any:
    """Return what a field is set to that was left empty.

    Raises:
        ValueError: it cannot be without a value.
    """
    if codec.optional:
        return None
    if codec.nested is not None and codec.nested.kind in (list, set, frozenset, tuple, dict):
        return codec.nested.kind()
    if codec.name == "str":
        return ""
    raise ValueError("must not be empty")


def same(codec: Codec, one: Any, other: Any) -> bool:
    """Return whether two values are stored as the very same bytes."""

    def stored(value: Any) -> bytes:
        is_plain = value is None or codec.encode is None
        return packing.pack({"v": value if is_plain else codec.encode(value)})  # type: ignore[misc]

    return stored(one) == stored(other)


def as_posted(text: str) -> str:
    """Return a text as a form sends it: with one kind of line break, and no NUL."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")


def digest(text: str) -> str:
    """Return what tells whether a field is still as it was shown."""
    return hashlib.sha256(as_posted(text).encode("utf-8", "surrogatepass")).hexdigest()[:20]
