"""Lists and objects as a tree that folds, without any script."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from markupsafe import Markup, escape

from rocketjob_contrib.mission_control.links import linked

OPEN = 10  # entries at the top, up to which it starts unfolded
MOST = 500  # entries of one branch; the rest is counted
DEEPEST = 12
LONGEST = 10_000  # characters of one text


def tree(value: Any, depth: int = 0) -> Markup:
    """Return a value as HTML: branches fold, texts are escaped, web addresses are links."""
    if isinstance(value, Mapping):
        return _branch(list(value.items()), "{}", depth)
    if isinstance(value, list | tuple | set | frozenset):
        return _branch(list(enumerate(value)), "[]", depth)
    return leaf(value)


def _branch(entries: list[tuple[Any, Any]], brackets: str, depth: int) -> Markup:
    if not entries:
        return Markup("<span class='muted'>{}</span>").format(brackets)
    noun = "entry" if len(entries) == 1 else "entries"
    summary = f"{brackets[0]} {len(entries):,} {noun} {brackets[1]}"
    if depth >= DEEPEST:
        return Markup("<span class='muted'>{} …</span>").format(summary)
    opened = Markup(" open") if depth or len(entries) <= OPEN else Markup("")
    return Markup("<details class='tree'{}><summary>{}</summary><ul>{}</ul></details>").format(
        opened, summary, Markup("").join(_items(entries, depth))
    )


def _items(entries: list[tuple[Any, Any]], depth: int) -> Iterable[Markup]:
    for key, value in entries[:MOST]:
        yield Markup("<li><span class='key'>{}</span> {}</li>").format(key, tree(value, depth + 1))
    if len(entries) > MOST:
        yield Markup("<li class='muted'>and {:,} more</li>").format(len(entries) - MOST)


def leaf(value: Any) -> Markup:
    """Return one value: texts keep their line breaks, and nothing is said as such."""
    if value is None:
        return Markup("<span class='null'>null</span>")
    if isinstance(value, bool):
        return Markup("<span class='literal'>{}</span>").format(str(value).lower())
    if isinstance(value, int | float):
        return Markup("<span class='literal'>{}</span>").format(value)
    if isinstance(value, datetime):
        return Markup("<span class='literal'>{:%Y-%m-%d %H:%M:%S %Z}</span>").format(value)
    if isinstance(value, bytes):
        return Markup("<span class='muted'>{:,} bytes</span>").format(len(value))
    try:
        text = str(value)
    except Exception as error:  # its class is the application's
        text = f"({type(value).__name__}, which cannot be shown: {type(error).__name__})"
    if len(text) > LONGEST:
        rest = Markup(" <span class='muted'>… and {:,} characters more</span>")
        return text_of(text[:LONGEST]) + rest.format(len(text) - LONGEST)
    return text_of(text)


def text_of(text: str) -> Markup:
    return Markup("<span class='text'>{}</span>").format(linked(text) if text else escape('""'))
