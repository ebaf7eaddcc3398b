"""What there is to say of a job: why it is not running, and what else people should know."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import attrs


@attrs.frozen
class Reason:
    """One thing that keeps a job from running.

    Attributes:
        name: such as `run_at`, `servers`, or the name of a throttle.
        text: for people.
        until: when it no longer does, where that is known.
    """

    name: str
    text: str
    until: datetime | None = None

    def __str__(self) -> str:
        return self.text if self.until is None else f"{self.text}, until {shown(self.until)}"


@attrs.frozen
class Remark:
    """Something to be known of a job that is none of its fields.

    Attributes:
        name: for programs, such as `reject_count`.
        value: likewise.
        brief: for a listing, such as `2 rejected`.
        text: a sentence for people, which says what can be done.
    """

    name: str
    value: Any
    brief: str
    text: str


@attrs.frozen
class Section:
    """A part of what `rocketjob jobs show` prints of a job.

    Attributes:
        title: its heading.
        lines: of text, below it.
    """

    title: str
    lines: Sequence[str]


@attrs.frozen
class Explanation:
    """Why a job is not running now. True where there is any reason.

    Attributes:
        job: as it is in words, such as `ReportJob 55ae... is queued`.
        reasons: what defers it; none if it only waits for a free worker, or is running.
    """

    job: str
    state: str
    reasons: tuple[Reason, ...] = ()
    note: str = ""

    @property
    def until(self) -> datetime | None:
        """When it could start at the earliest; None if it could now, or nobody knows."""
        times = [reason.until for reason in self.reasons]
        known = [at for at in times if at is not None]
        return max(known) if known and len(known) == len(times) else None

    def names(self) -> list[str]:
        """Name the reasons."""
        return [reason.name for reason in self.reasons]

    def __bool__(self) -> bool:
        return bool(self.reasons)

    def __str__(self) -> str:
        lines = [f"- {reason}" for reason in self.reasons] or [self.note]
        return "\n".join([f"{self.job} is {self.state}", *lines])


def shown(at: datetime | None) -> str:
    """Return a time as people read it."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at is not None else "?"
