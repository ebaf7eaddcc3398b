"""Places, times, durations and hints as people read them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

from rocketjob.base import clock

UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}


def relative(at: datetime | None) -> str:
    """Return how long ago, or in how long: `3m ago`, `in 2h`."""
    if at is None:
        return ""
    seconds = clock.now().timestamp() - at.timestamp()
    return f"in {span(-seconds, 2)}" if seconds < 0 else f"{span(seconds)} ago"


def span(seconds: float, units: int = 1) -> str:
    """Return a duration in its largest units, such as `3m`, or `1h 59m` in two."""
    parts: list[tuple[int, str]] = []
    left = round(seconds)
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if left >= size or parts:
            parts.append((left // size, unit))
            left %= size
    return " ".join(f"{n}{unit}" for n, unit in parts[:units] if n) or "0s"


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return `1 slice` or `1,234 slices`; a plural with more than an `s` has to be given."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def megabytes(number: int) -> str:
    """Return a number of bytes as people read it, such as `1,234.5 MB`."""
    return f"{number / 1e6:,.1f} MB"


def as_bytes(value: int | str) -> int:
    """Return a number of bytes; a string may have a unit, as in `10 MB`.

    Raises:
        ValueError: it is none, or not more than 0.
    """
    import re  # for start-up time

    match = re.fullmatch(r"\s*(\d+)\s*([kmg]b)?\s*", str(value).lower())
    if match is None or isinstance(value, bool) or int(match[1]) == 0:
        raise ValueError("must be a number of bytes, such as 10 MB")
    return int(match[1]) * UNITS[match[2] or ""]


def truth(text: str) -> bool | None:
    """Return what a word such as `yes` or `off` means, or None if it means neither."""
    word = text.strip().lower()
    if word in ("true", "yes", "on", "1"):
        return True
    return False if word in ("false", "no", "off", "0") else None


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return `did you mean x?` for the nearest known name, or else `otherwise`."""
    near = nearest(name, known)
    return f"did you mean {near}?" if near else otherwise


def hinted(message: str, name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return a message with `did you mean x?` at its end, or else with `otherwise`."""
    hint = did_you_mean(name, known, otherwise)
    return f"{message}; {hint}" if hint else message


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known name that is most like another one, if any is like it enough."""
    import difflib  # only where something is wrong

    near = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return near[0] if near else None


def at(place: str, message: str, between: str = " ") -> str:
    """Put a place in front of what is wrong there, or in a part of it: `homes[0].street is ...`."""
    return f"{place}{message}" if message.startswith(("[", ".")) else f"{place}{between}{message}"


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and line feed


def printable(text: str) -> str:
    """Return text that cannot control a terminal: control characters are escapes such as \\x1b."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)
