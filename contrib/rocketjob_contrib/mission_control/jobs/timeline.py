"""What happened to a job, in its order, and how long it was in each state, drawn to scale.

The order is that of the job's history, whatever the clocks said: machines whose clocks differ write
times that go back. No span is then less than nothing, and the difference is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import attrs

from rocketjob import Job
from rocketjob.base.text import span
from rocketjob.jobs.present import duration_text
from rocketjob.model.record import HISTORY_LIMIT
from rocketjob.states.history import RELEASE, HistoryEntry

WIDTH = 1000  # of the drawing
LEAST = 3.0  # of it, for whatever took any time
SAME = timedelta(seconds=1)  # between a field and the entry of the history that came with it
ENDED = ("completed", "failed", "aborted")
WORDS = {
    "start": "started",
    "fail": "failed",
    "complete": "completed",
    "abort": "aborted",
    "pause": "paused",
    "resume": "resumed",
    "retry": "retried",
    "requeue": "taken back",
    "snooze": "put off",
    "run_now": "asked to run now",
    RELEASE: "held back",
}
SPENT = {"queued": "waited", "scheduled": "until due", "running": "ran", "paused": "paused"}


@attrs.frozen(kw_only=True)
class Moment:
    """Something that happened to a job, or is going to.

    Attributes:
        state: that it led to; None: it led to none.
        by: who or what did it.
        is_ahead: whether it is still to come.
        was: the state before.
        seconds: how long it was in that; less than 0 if its clock was behind that of what came
            before. None for the first, and for what is still to come.
    """

    at: datetime
    what: str
    state: str | None = None
    by: str = ""
    is_ahead: bool = False
    was: str = ""
    seconds: float | None = None

    @property
    def after(self) -> str:
        """How long it was in the state before, in words."""
        if self.seconds is None or self.seconds <= 0:
            return ""
        return f"{SPENT.get(self.was, self.was)} {_text(self.seconds)}"

    @property
    def back(self) -> str:
        """By how much its clock was behind, in words."""
        return _text(-self.seconds) if self.seconds is not None and self.seconds < 0 else ""


@attrs.frozen
class Stretch:
    """How long a job was in one state, as a part of the drawing."""

    state: str
    x: float
    width: float
    seconds: float

    @property
    def text(self) -> str:
        return f"{SPENT.get(self.state, self.state)} {_text(self.seconds)}"


@attrs.frozen
class Timeline:
    """What is shown.

    Attributes:
        is_cut: whether the history keeps no more than this, so that what was before is missing.
    """

    moments: list[Moment]
    stretches: list[Stretch]
    is_cut: bool


def timeline_of(job: Job, now: datetime) -> Timeline:
    """Return what happened to a job until now, and when it is to run."""
    entries = list(job.history)
    moments = [Moment(at=job.created_at, what="created", state=_first_state(job, entries))]
    moments += [_of(entry) for entry in entries]
    for at, what, state in _fields(job, entries):
        _insert(moments, Moment(at=at, what=what, state=state))
    for at, what in _ahead(job, now):
        moments.append(Moment(at=at, what=what, is_ahead=True))
    measured, stretches = _measured(moments, now, job.state in ENDED)
    return Timeline(measured, stretches, len(entries) >= HISTORY_LIMIT)


def _first_state(job: Job, entries: Sequence[HistoryEntry]) -> str:
    due = job.run_at
    return "scheduled" if due is not None and due > job.created_at else "queued"


def _of(entry: HistoryEntry) -> Moment:
    who = entry.by or entry.worker_name
    since = f" {entry.count} times since {entry.since:%H:%M:%S} UTC" if entry.since else ""
    return Moment(
        at=entry.at,
        what=WORDS.get(entry.event, entry.event.replace("_", " ")) + since,
        state=entry.state or None,
        by=f"by {who}" if entry.by else f"on {who}" if who else "",
    )


def _fields(job: Job, entries: Sequence[HistoryEntry]) -> list[tuple[datetime, str, str | None]]:
    """Return times that are stored and in no entry, as in jobs of the Ruby version."""
    found: list[tuple[datetime, str, str | None]] = []
    if job.run_at is not None and job.run_at != job.created_at:
        found.append((job.run_at, "due", None))
    if job.started_at is not None and not _is_in(job.started_at, "running", entries):
        found.append((job.started_at, "started", "running"))
    if job.completed_at is not None and not _is_in(job.completed_at, job.state, entries):
        found.append((job.completed_at, WORDS.get(job.state, job.state), job.state))
    held = getattr(job, "throttled_since", None) or job.throttled_at
    if job.throttled_by and isinstance(held, datetime) and job.is_queued:
        found.append((held, f"held back by {job.throttled_by}", None))
    return found


def _is_in(at: datetime, state: str, entries: Sequence[HistoryEntry]) -> bool:
    return any(entry.state == state and abs(entry.at - at) < SAME for entry in entries)


def _insert(moments: list[Moment], moment: Moment) -> None:
    """Put a moment where it belongs by its time; nothing is before the job was created."""
    place = next((n for n, each in enumerate(moments) if n and each.at > moment.at), len(moments))
    moments.insert(place, moment)


def _ahead(job: Job, now: datetime) -> list[tuple[datetime, str]]:
    if job.expires_at is None or job.state in ENDED or job.expires_at <= now:
        return []
    return [(job.expires_at, "expires")]


def _measured(
    moments: Sequence[Moment], now: datetime, has_ended: bool
) -> tuple[list[Moment], list[Stretch]]:
    """Return the moments with the time between them, and that drawn to scale."""
    measured: list[Moment] = []
    spans: list[tuple[str, float]] = []
    state, clock = "queued", moments[0].at
    for moment in moments:
        ahead = moment.is_ahead or moment.at > now
        if ahead and not any(each.is_ahead for each in measured) and not has_ended:
            spans.append((state, max(0.0, (now - clock).total_seconds())))
        seconds = (moment.at - clock).total_seconds()
        if measured and not ahead:
            spans.append((state, max(0.0, seconds)))
        was_seen = bool(measured) and (not ahead or seconds < 0)
        known = seconds if was_seen else None
        measured.append(attrs.evolve(moment, is_ahead=ahead, was=state, seconds=known))
        clock = max(clock, moment.at)
        state = moment.state or ("queued" if state == "scheduled" else state)
    if not has_ended and not measured[-1].is_ahead:
        spans.append((state, max(0.0, (now - clock).total_seconds())))
    return measured, _stretches(spans)


def _text(seconds: float) -> str:
    return span(seconds, 2) if seconds >= 1 else duration_text(seconds)


def _stretches(spans: Sequence[tuple[str, float]]) -> list[Stretch]:
    known = [(state, seconds) for state, seconds in spans if seconds > 0]
    if not known:
        return []
    total = sum(seconds for _, seconds in known)
    widths = [max(LEAST, WIDTH * seconds / total) for _, seconds in known]
    scale, x, found = WIDTH / sum(widths), 0.0, []
    for (state, seconds), width in zip(known, widths, strict=True):
        found.append(Stretch(state, round(x, 1), round(width * scale, 1), seconds))
        x += width * scale
    return found
