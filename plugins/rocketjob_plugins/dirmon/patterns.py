"""Match files against a pattern with `*`, `?`, `[a-z]`, `{a,b}` and `**`, ignoring case.

The part before the first wildcard is the pattern's base, a directory that is taken literally. A
pattern without wildcards names one file. Hidden files and directories below the base are skipped.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

MAGIC = re.compile(r"[*?\[{]")
RECURSIVE = "**"
MOST = 1000  # alternatives of a pattern, and braces in it: a few pairs would make millions


class Item(NamedTuple):
    """A member of a directory."""

    name: str
    is_dir: bool


class Pattern(NamedTuple):
    """One alternative of a pattern.

    Attributes:
        base: the directory where the search starts.
        parts: what names must match at each level below it; `**` for any number of levels.
    """

    base: str
    parts: tuple[str, ...]
    exact: bool

    def matches(self, name: str, part: str) -> bool:
        if name.startswith("."):
            return False
        if self.exact:
            return name == part
        return fnmatch.fnmatchcase(name.casefold(), part.casefold())


def parse(text: str) -> list[Pattern]:
    """Return the alternatives of a pattern.

    Raises:
        ValueError: its braces do not match, or have too many alternatives.
    """
    if text.count("{") > MOST // 10:
        raise ValueError(f"has more than {MOST // 10} pairs of braces")
    fixed = re.split(r"[*?\[{]", text)[0].count("/")
    exact = not MAGIC.search(text)
    alternatives = list(islice(_alternatives(text), MOST + 1))
    if len(alternatives) > MOST:
        raise ValueError(f"its braces have more than {MOST:,} alternatives")
    return [_parse_one(alternative, fixed, exact) for alternative in dict.fromkeys(alternatives)]


def _parse_one(text: str, fixed: int, exact: bool) -> Pattern:
    """Split a pattern into its base, which has the given number of slashes, and its parts."""
    parts = text.split("/")
    base = "/".join(parts[:fixed]) or ("/" if fixed else ".")
    if base.lower().startswith("file:///"):
        base = base[len("file://") :]
    below = [part for part in parts[fixed:] if part not in ("", ".")]
    return Pattern(base, tuple(below), exact)


def _alternatives(text: str) -> Iterator[str]:
    """Yield the alternatives of a pattern with braces, expanding the innermost ones first."""
    braces = re.search(r"\{([^{}]*)\}", text)
    if braces is None:
        if "{" in text or "}" in text:
            raise ValueError("its braces do not match")
        yield text
        return
    for choice in braces[1].split(","):
        yield from _alternatives(text[: braces.start()] + choice + text[braces.end() :])


def walk(
    pattern: Pattern,
    listing: Callable[[str], Iterable[Item]],
    passed: Callable[[Sequence[str]], None] | None = None,
) -> Iterator[tuple[str, ...]]:
    """Yield the matching files, each once, as names below the base.

    Args:
        listing: returns the members of a directory, given as a path below the base.
        passed: told of each directory that matches as a file would, as names below the base.
    """
    todo: list[tuple[tuple[str, ...], int]] = [((), 0)]
    seen = set(todo)

    def add(directory: tuple[str, ...], level: int) -> None:
        if (directory, level) not in seen:
            seen.add((directory, level))
            todo.append((directory, level))

    paths: set[tuple[str, ...]] = set()
    while todo:
        directory, level = todo.pop()
        part, last = pattern.parts[level], level == len(pattern.parts) - 1
        for item in listing("/".join(directory)):
            path = (*directory, item.name)
            if part == RECURSIVE:
                if item.is_dir and not item.name.startswith("."):
                    add(path, level)
                elif last and not item.is_dir and not item.name.startswith("."):
                    paths.add(path)
            elif item.is_dir != last and pattern.matches(item.name, part):
                paths.add(path) if last else add(path, level + 1)
            elif passed is not None and last and item.is_dir and pattern.matches(item.name, part):
                passed(path)
        if part == RECURSIVE and not last:
            add(directory, level + 1)
    yield from sorted(paths)
