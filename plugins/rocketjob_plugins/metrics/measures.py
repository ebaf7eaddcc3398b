"""What plugins have counted with metrics of their own: see `rocketjob.server.metrics`.

A document has counters and durations apart, each by name and by the values of its labels, which are
JSON: `{"counters": {"notify_sent": {'["ops"]': 3}}}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rocketjob.server.metrics import Durations, Labels, Metric
from rocketjob_plugins.metrics.figures import OTHERS, key_of, name_of
from rocketjob_plugins.metrics.histogram import Histogram

COUNTERS, DURATIONS = "counters", "durations"
MAX_LABELS = 100  # sets of values of one metric in a minute of one process


class Measures:
    """Counters and durations, by name and labels."""

    __slots__ = ("counters", "durations")

    def __init__(self) -> None:
        self.counters: dict[str, dict[Labels, float]] = {}
        self.durations: dict[str, dict[Labels, Histogram]] = {}

    def __bool__(self) -> bool:
        return bool(self.counters or self.durations)

    def record(self, metric: Metric, value: float, labels: Labels) -> None:
        """Count something; of too many sets of labels the further ones are counted together."""
        is_durations = isinstance(metric, Durations)
        known: Any = self.durations if is_durations else self.counters
        found = known.setdefault(metric.name, {})
        if labels not in found and len(found) >= MAX_LABELS:
            labels = (OTHERS,) * len(labels)
        if is_durations:
            found.setdefault(labels, Histogram()).add(value)
        else:
            found[labels] = found.get(labels, 0) + value

    def of(self, metric: Metric) -> dict[Labels, Any]:
        """Return numbers, or histograms, of a metric by its labels as it has them now."""
        known: Any = self.durations if isinstance(metric, Durations) else self.counters
        found: dict[Labels, Any] = known.get(metric.name, {})
        return {labels: found[labels] for labels in found if len(labels) == len(metric.labels)}

    def merge(self, other: Measures, times: int = 1) -> None:
        """Add all that other ones have, or take it away."""
        for name, numbers in other.counters.items():
            mine = self.counters.setdefault(name, {})
            for labels, number in numbers.items():
                mine[labels] = mine.get(labels, 0) + number * times
        for name, histograms in other.durations.items():
            own = self.durations.setdefault(name, {})
            for labels, histogram in histograms.items():
                own.setdefault(labels, Histogram()).merge(histogram, times)

    def stored(self) -> dict[str, Any]:
        """Return them as parts of a document."""
        parts: dict[str, Any] = {}
        if self.counters:
            parts[COUNTERS] = {
                name: {_key(labels): number for labels, number in numbers.items()}
                for name, numbers in self.counters.items()
            }
        if self.durations:
            parts[DURATIONS] = {
                name: {_key(labels): each.stored() for labels, each in histograms.items()}
                for name, histograms in self.durations.items()
            }
        return parts

    @classmethod
    def load(cls, document: Mapping[str, Any]) -> Measures:
        measures = cls()
        for name, labels, number in _all(document, COUNTERS):
            measures.counters.setdefault(name, {})[labels] = number
        for name, labels, stored in _all(document, DURATIONS):
            measures.durations.setdefault(name, {})[labels] = Histogram.load(stored)
        return measures


def _all(document: Mapping[str, Any], part: str) -> Iterator[tuple[str, Labels, Any]]:
    for name, by_labels in (document.get(part) or {}).items():
        for key, value in by_labels.items():
            yield name, tuple(json.loads(name_of(key))), value


def _key(labels: Labels) -> str:
    return key_of(json.dumps(labels))
