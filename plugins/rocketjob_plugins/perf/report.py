"""Figures of several runs, as a table and as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs
import click

from rocketjob.cli.output import Column, print_json, print_pairs, print_table

from .machine import IDLE_SHARE

COLUMNS = (
    Column("FIGURE", fixed=True),
    Column("MEDIAN", fixed=True, right=True),
    Column("LOWEST", fixed=True, right=True),
    Column("HIGHEST", fixed=True, right=True),
    Column("UNIT", fixed=True),
    Column("DURABILITY"),
)


@attrs.frozen
class Kind:
    """What a figure is.

    Attributes:
        more: whether more of it is better.
        stored: whether it is of something that was stored, as durably as the store does it.
    """

    name: str
    unit: str
    more: bool = False
    stored: bool = True


@attrs.define
class Report:
    """What was measured of one workload.

    Attributes:
        durability: what a commit of the store promises, in a few words.
        busy: the share of the processors that others used before each run; None: unknown.
        values: by the name of a figure, one for each run.
    """

    workload: str
    settings: Mapping[str, Any]
    machine: Mapping[str, Any]
    durability: str
    kinds: Sequence[Kind]
    at: datetime
    load: float | None = None
    busy: list[float | None] = attrs.field(factory=list)
    values: dict[str, list[float]] = attrs.field(factory=dict)

    def add(self, measured: Mapping[str, float | None]) -> None:
        """Add the figures of one run; those that are unknown here are left out.

        Raises:
            ValueError: it has a figure of no known kind.
        """
        unknown = set(measured) - {kind.name for kind in self.kinds}
        if unknown:
            raise ValueError(f"{self.workload} declares no figure {', '.join(sorted(unknown))}")
        for name, value in measured.items():
            if value is not None:
                self.values.setdefault(name, []).append(value)

    @property
    def is_idle(self) -> bool:
        """Whether nothing else kept the machine busy, as far as that is known."""
        return all(share is None or share <= IDLE_SHARE for share in self.busy)

    def warning(self) -> str | None:
        """Say what makes the figures worse than this machine."""
        if self.is_idle:
            return None
        most = max(share for share in self.busy if share is not None)
        return (
            f"the machine is not idle: others used {most:.0%} of its processors before a run; "
            "these figures are not those of the machine"
        )

    def figures(self) -> list[dict[str, Any]]:
        """Return the figures that there are, in the order of their kinds."""
        return [
            self._figure(kind, self.values[kind.name])
            for kind in self.kinds
            if kind.name in self.values
        ]

    def _figure(self, kind: Kind, values: Sequence[float]) -> dict[str, Any]:
        return {
            "name": kind.name,
            "unit": kind.unit,
            "better": "more" if kind.more else "less",
            "median": shortened(statistics.median(values)),
            "lowest": shortened(min(values)),
            "highest": shortened(max(values)),
            "values": [shortened(value) for value in values],
            "durability": self.durability if kind.stored else "nothing is stored",
        }

    def as_json(self) -> dict[str, Any]:
        return {
            "workload": self.workload,
            "at": self.at,
            "settings": self.settings,
            "machine": self.machine,
            "load": self.load,
            "others_share": [None if each is None else round(each, 3) for each in self.busy],
            "is_idle": self.is_idle,
            "durability": self.durability,
            "figures": self.figures(),
        }

    def print(self, as_json: bool) -> None:
        """Print it as one JSON object, or for people."""
        if as_json:
            return print_json(self.as_json())
        described = {**self.settings, **self.machine}
        described["load"] = f"{as_words(self.load)} before; {self._busy_words()}"
        pairs = [(name.replace("_", " "), as_words(value)) for name, value in described.items()]
        print_pairs([("workload", self.workload), *pairs])
        click.echo()
        print_table(COLUMNS, [_row(figure) for figure in self.figures()])

    def _busy_words(self) -> str:
        known = [f"{share:.0%}" for share in self.busy if share is not None]
        return f"others used {', '.join(known)} of the processors" if known else "others: unknown"


def shortened(value: float) -> float:
    """Return a figure without the digits that say nothing."""
    return round(value, max(0, 4 - len(str(int(abs(value))))))


def as_words(value: Any) -> str:
    """Return a figure or a setting as people write it."""
    if value is None:
        return "unknown"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or value >= 1000:
        return f"{value:,.0f}"
    return f"{value:g}"


def _row(figure: Mapping[str, Any]) -> list[str]:
    numbers = (as_words(figure[name]) for name in ("median", "lowest", "highest"))
    return [figure["name"], *numbers, figure["unit"], figure["durability"]]
