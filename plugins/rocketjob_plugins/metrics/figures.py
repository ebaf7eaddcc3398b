"""What is counted of the jobs of one class, by outcome, and how that is stored.

A document has them by class, outcome and number:

    {"ReportJob": {"completed": {"count": 3, "wait": {"sum": 1.5, "max": 1.0}}}}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

from rocketjob_plugins.metrics.histogram import Histogram

COMPLETED, FAILED, ABORTED = "completed", "failed", "aborted"
RETRIED, SNOOZED, REQUEUED = "retried", "snoozed", "requeued"  # ends of attempts, not of jobs
CRASHED = "crashed"  # a worker process that died while it performed the job, or a slice of it
SLICES, FAILED_SLICES = "slices", "failed_slices"
OTHERS = "(others)"  # what is counted together, where there would be too many
_ESCAPED = {"%": "%25", ".": "%2E", "$": "%24", "\0": "%00"}


class Outcome:
    """How often jobs of one class ended in one way, how long they had waited, and how long it took.

    Attributes:
        count: how many.
        wait: from when each could start, or was queued again, until it was started.
        run: from its start to its end. Less have a wait and a run than were counted where
            some were ended before they started.
        records: of slices, that were gone through.
        rejects: of those, that were set aside.
    """

    __slots__ = ("count", "records", "rejects", "run", "wait")

    def __init__(self) -> None:
        self.count = self.records = self.rejects = 0
        self.wait, self.run = Histogram(), Histogram()

    def merge(self, other: Outcome, times: int = 1) -> None:
        """Add all that another one has, or take it away."""
        self.count += other.count * times
        self.records += other.records * times
        self.rejects += other.rejects * times
        self.wait.merge(other.wait, times)
        self.run.merge(other.run, times)

    def stored(self) -> dict[str, Any]:
        """Return it as a part of a document."""
        stored: dict[str, Any] = {"count": self.count}
        for name in ("records", "rejects"):
            if number := getattr(self, name):
                stored[name] = number
        for name in ("wait", "run"):
            histogram: Histogram = getattr(self, name)
            if histogram.buckets:
                stored[name] = histogram.stored()
        return stored

    @classmethod
    def load(cls, stored: Mapping[str, Any]) -> Self:
        outcome = cls()
        outcome.count = stored.get("count", 0)
        outcome.records, outcome.rejects = stored.get("records", 0), stored.get("rejects", 0)
        outcome.wait = Histogram.load(stored.get("wait"))
        outcome.run = Histogram.load(stored.get("run"))
        return outcome


class Figures:
    """What is counted of the jobs of one class, or of several.

    Attributes:
        outcomes: by name, such as `completed`; only those that occur.
    """

    __slots__ = ("outcomes",)

    def __init__(self, outcomes: dict[str, Outcome] | None = None) -> None:
        self.outcomes = outcomes if outcomes is not None else {}

    def of(self, outcome: str) -> Outcome:
        """Return an outcome to be counted on."""
        found = self.outcomes.get(outcome)
        if found is None:
            found = self.outcomes[outcome] = Outcome()
        return found

    def merge(self, other: Figures, times: int = 1) -> None:
        """Add all that another one has, or take it away."""
        for name, outcome in other.outcomes.items():
            self.of(name).merge(outcome, times)

    def count(self, *outcomes: str) -> int:
        """Return how often one of some outcomes occurred."""
        found = [self.outcomes[name].count for name in outcomes if name in self.outcomes]
        return sum(found)

    @property
    def completed(self) -> int:
        return self.count(COMPLETED)

    @property
    def failed(self) -> int:
        """Jobs that failed for good, or until somebody retries them."""
        return self.count(FAILED)

    @property
    def aborted(self) -> int:
        return self.count(ABORTED)

    @property
    def ended(self) -> int:
        """Jobs that came to an end: completed, failed or aborted."""
        return self.count(COMPLETED, FAILED, ABORTED)

    @property
    def retried(self) -> int:
        """Attempts that failed, after which the job was queued again at once."""
        return self.count(RETRIED)

    @property
    def crashed(self) -> int:
        """Performs that ended with the worker process."""
        return self.count(CRASHED)

    @property
    def records(self) -> int:
        """Records of slices that were gone through."""
        return sum(outcome.records for outcome in self.outcomes.values())

    @property
    def rejects(self) -> int:
        return sum(outcome.rejects for outcome in self.outcomes.values())

    @property
    def failure_rate(self) -> float | None:
        """The share of failed jobs among those that completed or failed; None without any."""
        ended = self.count(COMPLETED, FAILED)
        return self.failed / ended if ended else None

    @property
    def wait(self) -> Histogram:
        """How long attempts of jobs waited, whatever came of them."""
        return self._merged("wait")

    @property
    def run(self) -> Histogram:
        """How long attempts of jobs took, whatever came of them."""
        return self._merged("run")

    def _merged(self, histogram: str) -> Histogram:
        merged = Histogram()
        for name, outcome in self.outcomes.items():
            if name not in (SLICES, FAILED_SLICES):  # these are parts of jobs
                merged.merge(getattr(outcome, histogram))
        return merged


ByClass = dict[str, Figures]


def merge_all(into: ByClass, more: Mapping[str, Figures], times: int = 1) -> None:
    """Add figures by class to others, or take them away."""
    for name, figures in more.items():
        into.setdefault(name, Figures()).merge(figures, times)


def total(of: Iterable[Figures]) -> Figures:
    """Return the sum of figures."""
    found = Figures()
    for figures in of:
        found.merge(figures)
    return found


# --- as it is stored ---------------------------------------------------------------------------


def key_of(name: str) -> str:
    """Return a class's name as a key of a document, whatever characters it has."""
    return "".join(_ESCAPED.get(character, character) for character in name) or "%"


def name_of(key: str) -> str:
    for character, escaped in reversed(_ESCAPED.items()):
        key = key.replace(escaped, character)
    return "" if key == "%" else key


def stored(classes: ByClass) -> dict[str, Any]:
    """Return figures by class as a part of a document."""
    return {
        key_of(name): {outcome: each.stored() for outcome, each in figures.outcomes.items()}
        for name, figures in classes.items()
    }


def load(stored: Mapping[str, Any]) -> ByClass:
    """Return the figures by class of a part of a document."""
    return {
        name_of(key): Figures({name: Outcome.load(each) for name, each in outcomes.items()})
        for key, outcomes in stored.items()
    }
