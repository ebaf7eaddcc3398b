"""What is the same in the messages of a group: all but numbers, and what is quoted."""

from __future__ import annotations

import re
from functools import lru_cache

LONGEST = 300  # characters of a pattern; what comes behind tells nothing apart
READ = 2000  # characters of a message that are looked at
_QUOTED = re.compile(
    r"(?<!\w)'.{0,200}?'(?!\w)|\"[^\"]{0,200}\"|`[^`]{0,200}`"
    r"|(?<!\w)\u2018.{0,200}?\u2019(?!\w)|\u201c[^\u201d]{0,200}\u201d"  # as in books
)
_ID = re.compile(
    r"\b(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|0x[0-9a-f]+|(?=[a-f]*[0-9])[0-9a-f]{8,64})\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[0-9]+(?:[.,:_][0-9]+)*")


@lru_cache(maxsize=20_000)
def pattern_of(message: str) -> str:
    """Return a message with `#` for each number or id, and `…` for what is within quotes."""
    text = " ".join(message[:READ].split())
    text = _QUOTED.sub(lambda found: f"{found[0][0]}…{found[0][-1]}", text)
    text = _NUMBER.sub("#", _ID.sub("#", text))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
