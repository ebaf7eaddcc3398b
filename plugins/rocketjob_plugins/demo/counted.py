"""What the jobs of the populated store have been counted with: a week that looks like one."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from rocketjob.application import current
from rocketjob.base import clock
from rocketjob_plugins.metrics.collections import HOUR, HOURS, MINUTE, MINUTES, Counts, hour_of
from rocketjob_plugins.metrics.figures import ABORTED, COMPLETED, FAILED, ByClass, Figures

MARK = {"demo": True}  # by which it is found again, to be removed
WEEK, DAY = timedelta(days=7), timedelta(days=1)
STEP = 5 * MINUTE  # between what was counted, but for the last hour
TOOK = {"DemoMailJob": 420.0, "DemoReportJob": 35.0, "DemoImportJob": 900.0}  # seconds
OFTEN = {"DemoMailJob": 2.0, "DemoReportJob": 0.3, "DemoImportJob": 0.2}  # in a minute


def count(rng: random.Random) -> None:
    """Store the counts of a week; minutes that are there already stay as they are."""
    now = clock.now().replace(second=0, microsecond=0)
    edge = hour_of(now - HOUR)
    _add(HOURS, [_document(rng, at, 60) for at in _steps(hour_of(now - WEEK), edge, HOUR)])
    minutes = [(at, 5) for at in _steps(hour_of(now - DAY), hour_of(now), STEP)]
    minutes += [(at, 1) for at in _steps(hour_of(now), now, MINUTE)]
    _add(MINUTES, [_document(rng, at, length) for at, length in minutes])


def forget() -> None:
    """Remove what `count` has stored."""
    for name in (HOURS, MINUTES):
        current().store.collection(name).delete_many(MARK)


def _steps(begin: datetime, end: datetime, step: timedelta) -> Iterator[datetime]:
    while begin < end:
        yield begin
        begin += step


def _add(name: str, documents: list[dict[str, Any]]) -> None:
    collection = current().store.collection(name)
    there = {each["_id"] for each in collection.find({}, {"_id": 1})}
    new = [each for each in documents if each["_id"] not in there]
    if new:
        collection.insert_many(new)


def _document(rng: random.Random, at: datetime, minutes: int) -> dict[str, Any]:
    by_day = 0.6 + 0.4 * math.sin((at.hour - 8) / 24 * 2 * math.pi)  # nights are quiet
    troubled = 4 <= at.hour % 12 < 5
    classes: ByClass = {}
    for name, per_minute in OFTEN.items():
        figures = Figures()
        for _ in range(round(per_minute * minutes * by_day * rng.uniform(0.6, 1.4))):
            chance = rng.random()
            outcome = FAILED if chance < (0.2 if troubled else 0.02) else COMPLETED
            _measure(rng, figures, ABORTED if chance > 0.998 else outcome, TOOK[name])
        if figures.outcomes:
            classes[name] = figures
    return {"_id": at, **Counts(classes).stored(), **MARK}


def _measure(rng: random.Random, figures: Figures, outcome: str, took: float) -> None:
    found = figures.of(outcome)
    found.count += 1
    found.wait.add(rng.expovariate(1 / 0.8))
    found.run.add(took * rng.lognormvariate(0, 0.5))
