"""Metrics that plugins declare, beside those of jobs: counters, durations, and gauges.

A plugin declares them, and counts::

    from rocketjob.server.metrics import Counter, Gauge

    SENT = Counter("notify_sent", "messages that were sent", labels=("to",))

    @hookimpl
    def register_metrics():
        return [SENT, Gauge("notify_waiting", "messages in the outbox", count_outbox)]

    SENT.add(to="ops")

What is counted goes to the plugins that implement `metric_recorded`: the built-in `metrics`
keeps it. Where nobody does, counting costs next to nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from rocketjob.store import context

NAME = re.compile(r"[a-z][a-z0-9_]*")
LABEL_LENGTH = 100  # characters of a value; the rest is cut
MOST_LABELS = 8
Labels = tuple[str, ...]
Values = float | Mapping[Any, float]


def _name(instance: Any, attribute: Any, value: Any) -> None:
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise ValueError(f"the name of a metric is small letters, digits and _, not {value!r}")


def _labels(instance: Any, attribute: Any, values: Labels) -> None:
    wrong = [each for each in values if not isinstance(each, str) or not NAME.fullmatch(each)]
    if wrong:
        raise ValueError(f"the name of a label is small letters, digits and _, not {wrong[0]!r}")
    if len(set(values)) < len(values) or len(values) > MOST_LABELS:
        raise ValueError(
            f"the labels of {instance.name} must be different, and {MOST_LABELS} at most"
        )


def _help(instance: Any, attribute: Any, value: Any) -> None:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"the metric {instance.name} needs a help text")


def _as_labels(given: Iterable[str]) -> Labels:
    if isinstance(given, str):
        raise ValueError(f"labels is a tuple of names, not {given!r}")
    return tuple(given)


@attrs.frozen
class Metric:
    """What all metrics have.

    Attributes:
        name: small letters, digits and `_`; it begins with the plugin's. No two have the same.
        help: a line that says what is counted.
        unit: such as `bytes` or `seconds`; empty for mere numbers.
        labels: the names of what it is counted by. Use few, with few values: each set of values
            is kept by itself.

    Raises:
        ValueError: a name or the help cannot be used.
    """

    name: str = attrs.field(validator=_name)
    help: str = attrs.field(validator=_help)
    unit: str = attrs.field(default="", kw_only=True, validator=attrs.validators.instance_of(str))
    labels: Labels = attrs.field(default=(), kw_only=True, converter=_as_labels, validator=_labels)

    def _record(self, value: float, labels: Mapping[str, Any]) -> None:
        if not math.isfinite(value) or value < 0:
            raise ValueError(f"{self.name} takes a number that is not less than 0, not {value!r}")
        plugins = context.current().plugins
        if plugins.listens("metric_recorded"):
            values = self.label_values(labels)
            plugins.notify("metric_recorded", metric=self, value=value, labels=values)

    def label_values(self, labels: Mapping[str, Any]) -> Labels:
        """Return the values of labels in their order.

        Raises:
            TypeError: they are not those of the metric.
        """
        if labels.keys() != set(self.labels):
            wanted = ", ".join(self.labels) or "none"
            raise TypeError(
                f"{self.name} has the labels {wanted}, not {', '.join(labels) or 'none'}"
            )
        return tuple(str(labels[name])[:LABEL_LENGTH] for name in self.labels)


@attrs.frozen
class Counter(Metric):
    """A number that only grows."""

    def add(self, number: float = 1, **labels: Any) -> None:
        """Count something.

        Raises:
            TypeError: the labels are not those that it has.
            ValueError: the number is less than 0.
        """
        self._record(number, labels)


@attrs.frozen
class Durations(Metric):
    """How long something took, each time: kept as a histogram, from a millisecond to 25 days."""

    unit: str = attrs.field(default="seconds", init=False)

    def observe(self, seconds: float, **labels: Any) -> None:
        """Count one duration.

        Raises:
            TypeError: the labels are not those that it has.
            ValueError: it is less than 0.
        """
        self._record(seconds, labels)


def _callable(instance: Any, attribute: Any, value: Any) -> None:
    if not callable(value):
        raise ValueError(f"the gauge {instance.name} needs a function, not {value!r}")


@attrs.frozen
class Gauge(Metric):
    """A number that is looked up when it is shown or exported, and not kept.

    Attributes:
        look: returns the number; with labels a mapping of their values to numbers, where one
            label's value may stand for itself: `{"queued": 3}`. It should take a moment only.
    """

    look: Callable[[], Values] = attrs.field(validator=_callable)

    def values(self) -> dict[Labels, float]:
        """Look it up: numbers by the values of the labels.

        Raises:
            TypeError: the function returned something else.
        """
        found: Any = self.look()
        if not self.labels:
            found = {(): found}
        if not isinstance(found, Mapping):
            raise TypeError(f"the gauge {self.name} returned {found!r}, expected numbers by labels")
        return {self._values_of(key): float(number) for key, number in found.items()}

    def _values_of(self, key: Any) -> Labels:
        values = key if isinstance(key, tuple) else (key,)
        if len(values) != len(self.labels):
            raise TypeError(f"the gauge {self.name} has {len(self.labels)} labels, not {key!r}")
        return tuple(str(value)[:LABEL_LENGTH] for value in values)


def named(answers: Iterable[Any], refuse: Callable[[Any, str], None]) -> dict[str, Metric]:
    """Return metrics by name; of two with one name the first holds.

    Args:
        answers: what the plugins registered.
        refuse: told of each that is left out, and why.
    """
    found: dict[str, Metric] = {}
    owners: dict[str, str] = {}
    for answer in answers:
        for metric in answer.value:
            if metric.name not in found:
                found[metric.name], owners[metric.name] = metric, answer.plugin
            elif found[metric.name] is not metric:
                other = owners[metric.name]
                theirs = "another one" if other == answer.plugin else f"the plugin {other} has one"
                refuse(
                    answer,
                    f"registers the metric {metric.name}, and {theirs} of that name: give one of "
                    "them another name",
                )
    return found


# --- the kernel's own --------------------------------------------------------------------------


def _jobs() -> Mapping[str, int]:
    from rocketjob.jobs.job import Job  # for start-up time

    derived = ("queued_now", "scheduled")  # parts of the queued ones
    return {state: n for state, n in Job.counts_by_state().items() if state not in derived}


def _servers() -> Mapping[str, int]:
    from rocketjob.server.server import Server  # for start-up time

    # One that was killed has nobody to note it: where it was the last, it would run for ever.
    states = ["zombie" if each.seems_dead() else each.state for each in Server.all()]
    return {state: states.count(state) for state in states}


KERNEL_METRICS: list[Metric] = [
    Gauge("jobs", "jobs that are stored, by state", _jobs, labels=("state",)),
    Gauge("servers", "servers, by state, or zombie", _servers, labels=("state",)),
]
