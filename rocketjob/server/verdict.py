"""The verdict on the whole: is the work done as it should be? One word, and what it is for.

    verdict = judge(Patient(current()))
    verdict.level.word     # FAILING
    verdict.sentence       # 3 jobs have failed since 14:02; ...

It is for pages and commands that look again and again: so a sign is a check as `rocketjob doctor`
has them, but one that takes a few bounded reads, however long the queue is. Plugins bring theirs
with the hook `register_signs`. What a sign calls a problem makes the verdict FAILING, and a warning
makes it WATCH. A store that cannot be reached, and data that is old, are UNKNOWN: nobody is to
see green where nothing was looked at.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import attrs

from rocketjob.base import clock
from rocketjob.base.errors import RocketJobError
from rocketjob.jobs.exception import message_of
from rocketjob.server.checks import OK as FINE
from rocketjob.server.checks import PROBLEM, WARNING, Check, Finding, Patient
from rocketjob.server.server import Server

STALE = timedelta(seconds=15)  # after which what was seen says nothing of the present


@attrs.frozen
class Level:
    """How it is.

    Attributes:
        word: such as `FAILING`.
        icon: one character, which says the same without colour.
        colour: of both.
    """

    word: str
    icon: str
    colour: str


FAILING = Level("FAILING", "✖", "red")
WATCH = Level("WATCH", "▲", "yellow")
OK = Level("OK", "✔", "green")
UNKNOWN = Level("UNKNOWN", "?", "bright_black")
OF_STATUS = {PROBLEM: FAILING, WARNING: WATCH}


@attrs.frozen(kw_only=True)
class Verdict:
    """How it is, and why.

    Attributes:
        level: the worst of what was found.
        causes: what was found, the worst first; each with its advice.
        looked_at: the areas that were looked at.
        at: when.
    """

    level: Level
    causes: tuple[Finding, ...] = ()
    looked_at: tuple[str, ...] = ()
    at: datetime

    @property
    def sentence(self) -> str:
        """All causes, or what was looked at and is well."""
        if self.causes:
            return "; ".join(cause.message for cause in self.causes)
        return f"nothing is wrong with {', '.join(self.looked_at)}"

    def now(self) -> Verdict:
        """Return the verdict as it may be shown now: one that has become old is UNKNOWN."""
        if self.level is UNKNOWN or self.at >= clock.now() - STALE:
            return self
        return unknown(f"nothing was seen since {self.at:%H:%M:%S} UTC", self.at)


def judge(patient: Patient) -> Verdict:
    """Look at all signs; the patient has the servers then.

    Raises:
        Exception: the store cannot be reached.
    """
    at, causes, signs = clock.now(), list[Finding](), _signs(patient)
    patient.servers = list(Server.all().order_by("name"))
    for sign in signs:
        causes += _seen(sign, patient)
    causes.sort(key=lambda cause: cause.status != PROBLEM)
    level = OF_STATUS[causes[0].status] if causes else OK
    areas = dict.fromkeys(sign.area for sign in signs)
    return Verdict(level=level, causes=tuple(causes), looked_at=tuple(areas), at=at)


def unknown(why: str, at: datetime) -> Verdict:
    """Return the verdict where nothing can be seen.

    Args:
        at: when something was last seen.
    """
    return Verdict(level=UNKNOWN, causes=(Finding("store", PROBLEM, why),), at=at)


def _signs(patient: Patient) -> list[Check]:
    signs: list[Check] = patient.application.plugins.collect("register_signs")
    return signs


def _seen(sign: Check, patient: Patient) -> list[Finding]:
    try:
        return [finding for finding in sign.look(patient) if finding.status != FINE]
    except Exception as error:
        if patient.store.is_transient(error):
            raise
        kind = "" if isinstance(error, RocketJobError) else f"{type(error).__name__}: "
        why = f"cannot be judged: {kind}{message_of(error)}"
        return [Finding(sign.area, WARNING, f"{sign.area} {why}")]
