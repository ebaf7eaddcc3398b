"""Which distribution an entry point is from, and whether that is for this RocketJob."""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from typing import Any

OWN = "rocketjob"
_CONDITION = re.compile(r"(~=|==|!=|<=|>=|<|>)\s*v?(\d+(?:\.\d+)*)(\.\*)?")
_TESTS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}


def name_and_version(entry_point: metadata.EntryPoint) -> tuple[str, str]:
    """Return what the distribution of an entry point is called, `?` if it is not known."""
    found = getattr(entry_point, "dist", None)
    return _name_and_version(found) if found is not None else ("?", "?")


@functools.lru_cache(maxsize=256)
def _name_and_version(distribution: metadata.Distribution) -> tuple[str, str]:
    """Return what a distribution is called; asked each time it would read its files again."""
    return distribution.name, distribution.version


def whose(entry_point: metadata.EntryPoint) -> str:
    """Return a plugin's name with its module and its distribution."""
    if getattr(entry_point, "dist", None) is None:
        return f"{entry_point.name} ({entry_point.value})"
    distribution, version = name_and_version(entry_point)
    return f"{entry_point.name} ({entry_point.value}, from {distribution} {version})"


def refused_version(entry_point: metadata.EntryPoint) -> str | None:
    """Return which versions of RocketJob a plugin is for, if this is none of them."""
    found = getattr(entry_point, "dist", None)
    if found is None or name_and_version(entry_point)[0] == OWN:
        return None
    return _refused(tuple(getattr(found, "requires", None) or ()))


@functools.lru_cache(maxsize=256)
def _refused(requirements: tuple[str, ...]) -> str | None:
    present = metadata.version(OWN)
    for versions in filter(None, map(_wanted, requirements)):
        if not all(_holds(present, *each) for each in _CONDITION.findall(versions)):
            return f"is for rocketjob {versions}, and this is {present}"
    return None


def _wanted(requirement: str) -> str | None:
    """Return the versions that a requirement demands of RocketJob: `>=1,<2`."""
    what, _, marker = requirement.partition(";")
    found = re.match(r"\s*([A-Za-z0-9._-]+)\s*(?:\[[^]]*\])?\s*\(?([^)]*)\)?\s*$", what)
    if found is None or found[1].lower() != OWN or marker.strip():
        return None  # with a marker, as that of an extra, it may not count
    return found[2].strip()


def _holds(present: str, comparison: str, version: str, star: str) -> bool:
    own, other = _numbers(present), _numbers(version)
    padded = _padded(own, other)
    if star:
        same = padded[0][: len(other)] == other
        return same if comparison == "==" else not same
    if comparison == "~=":
        return operator.ge(*padded) and own[: len(other) - 1] == other[:-1]
    return _TESTS[comparison](*padded)


def _padded(own: list[int], other: list[int]) -> tuple[list[int], list[int]]:
    length = max(len(own), len(other))
    return own + [0] * (length - len(own)), other + [0] * (length - len(other))


def _numbers(version: str) -> list[int]:
    """Return the numbers of a release; what makes it a pre-release is left out."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return [int(part) for part in found[0].split(".")] if found else []


def unique(entry_points: Iterable[metadata.EntryPoint]) -> list[metadata.EntryPoint]:
    """Return entry points by name; a distribution that is on the path twice is one."""
    found = {(e.name, e.value, name_and_version(e)[0]): e for e in entry_points}
    return sorted(found.values(), key=lambda e: (e.name, e.value))
