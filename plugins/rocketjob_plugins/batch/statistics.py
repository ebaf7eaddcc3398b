"""Count things while a batch job runs: `self.statistics_inc("invalid.missing_email")`.

    class Import(Statistics, Batch, Job): ...

The counts are in the field `statistics`, nested where a key has dots. What a record counted is
added only if its perform succeeded, and in the step that stores the slice, so that a retry counts
nothing twice. A key cannot be a count and have others below it: `a` and `a.b` clash.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from rocketjob import Job
from rocketjob.model.fields import read_only_field
from rocketjob_plugins.batch.streams.texts import writable


class Statistics(Job, abstract=True):
    """Mixin: see the module."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.isolation is not None:
            raise TypeError(
                f"{cls.__qualname__}: what Statistics counts does not come back from a process of "
                "its own: leave isolation out, or count in your output"
            )

    statistics: dict[str, Any] = read_only_field(factory=dict)

    @functools.cached_property
    def pending_statistics(self) -> dict[str, int]:
        """What the record in work has counted so far."""
        return {}

    @functools.cached_property
    def counted_names(self) -> set[str]:
        """The keys that this object has counted."""
        return set()

    def statistics_inc(self, key: str | Mapping[str, int] | None, increment: int = 1) -> None:
        """Add to a count, or to several given as a dict; an empty key is passed over."""
        counts = key if isinstance(key, Mapping) else {key: increment}
        for name, count in counts.items():
            if not name or not count:
                continue
            _check(str(name), count)
            if name not in self.counted_names:
                self._refuse_clash(str(name))
                self.counted_names.add(str(name))
            if getattr(self, "current_slice", None) is not None:  # of a batch job
                pending = self.pending_statistics
                pending[str(name)] = pending.get(str(name), 0) + count
            else:
                self._count(str(name), count)

    def _refuse_clash(self, name: str) -> None:
        """Refuse a key below another that is a count itself: no document can hold both."""
        others = {*self.counted_names, *_names_in(self.statistics)}
        for other in sorted(others):
            if other.startswith(f"{name}.") or name.startswith(f"{other}."):
                raise ValueError(
                    f"statistics_inc: {name!r} and {other!r} cannot both be counted, as one "
                    f"would be within the other: write for example '{min(name, other)}.total'"
                )

    def _count(self, name: str, count: int) -> None:
        if not self.is_new:
            self.collection().update_one({"_id": self.id}, {"$inc": {f"statistics.{name}": count}})
            return
        add_nested(self.statistics, name, count)


def _names_in(counts: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Yield the keys of nested counts, with dots."""
    for name, count in counts.items():
        if isinstance(count, Mapping):
            yield from _names_in(count, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def _check(name: str, count: Any) -> None:
    """Refuse here, where the error has a line of the user's, what the store would refuse."""
    parts = name.split(".")
    if "\0" in name or writable(name) != name or any(not p or p[0] == "$" for p in parts):
        raise ValueError(
            f"statistics_inc: {name!r} is not a key; write for example 'invalid.email'"
        )
    if isinstance(count, bool) or not isinstance(count, int | float):
        raise TypeError(f"statistics_inc: {name} must be added a number, not {count!r}")
    if isinstance(count, int) and abs(count) >= 2**63:
        raise ValueError(f"statistics_inc: {name} must be added a number of 64 bits, not {count}")


def add_nested(counts: dict[str, Any], name: str, count: int) -> None:
    """Add to a count whose key has dots."""
    *path, last = name.split(".")
    for part in path:
        counts = counts.setdefault(part, {})
    counts[last] = counts.get(last, 0) + count
