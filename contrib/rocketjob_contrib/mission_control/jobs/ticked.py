"""What a bulk action is to be done to, as a list and its answer say it: ticked rows, or all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import attrs

from rocketjob import Job, SearchError
from rocketjob.base import clock
from rocketjob.jobs.bulk import SET_PRIORITY
from rocketjob.jobs.query import JobQuery
from rocketjob.jobs.search import parse
from rocketjob.model.lookup import as_object_id
from rocketjob.model.registry import loaded_classes
from rocketjob.store import Filter
from rocketjob_contrib.mission_control.access import Policy
from rocketjob_contrib.mission_control.errors import BadRequest, Missing
from rocketjob_contrib.mission_control.jobs import actions, tabs
from rocketjob_contrib.mission_control.jobs.actions import Action
from rocketjob_contrib.mission_control.jobs.tabs import JobTab
from rocketjob_contrib.mission_control.lists import SIZES, asked_of

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

TICK = re.compile(r"([0-9a-f]{24}):([a-z][a-z0-9_]{0,50})")
PRIORITY = Action(
    event=SET_PRIORITY,
    title="Set priority",
    done="has another priority",
    warning="Workers take the job with the lowest number first.",
    icon="edit",
)
ENDED = ("completed", "aborted")
CAME_AT = {"queued": "run_at", "running": "started_at"}
"""By what a job can have come into a list after the preview, besides what an action looks at."""


@attrs.frozen(kw_only=True)
class Wanted:
    """What is asked for.

    Attributes:
        action: what is to be done.
        tab: the list that it was asked on.
        text: that was searched for there.
        ticks: the ticked rows, each an id and the state that was shown; None: all that match.
        at: the moment of the preview.
        shown: how many jobs the preview counted; None: this is the preview.
    """

    action: Action
    tab: JobTab
    text: str
    ticks: tuple[str, ...] | None
    at: datetime
    shown: int | None = None

    @property
    def permission(self) -> str:
        return permission_for(self.action)

    def query(self, view: View) -> JobQuery[Job]:
        """Return the query of the jobs, whichever of them the action is possible for.

        Raises:
            BadRequest: what was searched for cannot be understood.
        """
        if self.ticks is not None:
            return Job.where(_as_shown(self.ticks))
        query = self.tab.query()
        if (since := CAME_AT.get(self.tab.name)) is not None:
            query = query.where({since: {"$not": {"$gt": self.at}}})
        text = asked_of(self.tab.listing, {"q": self.text}).text
        if not text:
            return query
        try:
            return parse(text, Job, messages=view.may_quote(), now=self.at).narrow(query)
        except SearchError as problem:
            raise BadRequest(str(problem)) from None

    def fields(self) -> list[tuple[str, str]]:
        """Return what is posted along with the answer."""
        fields = [("event", self.action.event), ("list", self.tab.name), ("q", self.text)]
        fields += [("all", "1")] if self.ticks is None else [("id", tick) for tick in self.ticks]
        return [*fields, ("at", self.at.isoformat())]


def wanted(view: View, values: Mapping[str, str], ids: Iterable[str]) -> Wanted:
    """Return what the fields of a list, or of the answer, ask for.

    Raises:
        Missing: nothing is asked for; the list says so.
        BadRequest: it makes no sense; the message says what.
    """
    named = {each.event: each for each in (*actions.all_actions(), PRIORITY)}
    lists = {tab.name: tab for tab in tabs.all_tabs()}
    action, tab = named.get(values.get("event", "")), lists.get(values.get("list", "all"))
    if tab is None:
        raise BadRequest(f"There is no list {values.get('list', '')[:50]}")
    if action is None:
        asked = values.get("event", "")[:50] or "nothing"
        raise Missing(f"Choose what is to be done, not {asked}", view.back(tab.path))
    ticks = None if values.get("all") else tuple(dict.fromkeys(ids))
    if ticks == ():
        text = f"{action.title}: tick the jobs that are meant, or all that match"
        raise Missing(text, view.back(tab.path))
    if ticks is not None and len(ticks) > SIZES[-1]:
        raise BadRequest(f"A list has at most {SIZES[-1]} rows to tick, not {len(ticks):,}")
    return Wanted(
        action=action,
        tab=tab,
        text=values.get("q", "").strip(),
        ticks=ticks,
        at=_moment(values.get("at")),
        shown=_number(values.get("count")),
    )


def _as_shown(ticks: Iterable[str]) -> Filter:
    """Return the filter of the ticked jobs that are still in the state that was shown."""
    by_state: dict[str, list[object]] = {}
    for tick in ticks:
        match = TICK.fullmatch(tick)
        if match is None:
            raise BadRequest(f"A ticked row is an id and a state, not {tick[:50]}")
        by_state.setdefault(match[2], []).append(as_object_id(match[1]))
    shown = [{"_id": {"$in": ids}, "state": state} for state, ids in by_state.items()]
    return {"$or": shown} if shown else {"_id": {"$in": []}}


def _moment(text: str | None) -> datetime:
    try:
        return previewed_at(text or None)
    except (ValueError, OverflowError):
        raise BadRequest(f"{str(text)[:50]} is not a time") from None


def previewed_at(text: str | None) -> datetime:
    """Return the moment of a preview: now, for the preview itself, and never later.

    Raises:
        ValueError, OverflowError: it is not a time.
    """
    now = clock.now()
    return now if text is None else min(now, clock.to_utc(datetime.fromisoformat(text)))


def _number(text: str | None) -> int | None:
    if not text:
        return None
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise BadRequest(f"count must be a number, not {text[:50]}")
    return int(text)


# --- what is offered -----------------------------------------------------------------------------

NOBODY = ""
"""For `whose`: no job at all."""


def offered(view: View, tab: JobTab, shown: Sequence[Job]) -> list[Action]:
    """Return what whoever looks may do to many jobs of a list, or at least to those of his own.

    Args:
        shown: the jobs on the page; by rules of an application's own one of these must allow it.
    """
    if not shown or not view.may("jobs.bulk"):
        return []
    events = [*actions.of_plugins(), *actions.ACTIONS.values()]
    priority = [] if tab.name in ENDED else [PRIORITY]
    by_job = is_judged_by_job(view.site.policy)
    return [
        action
        for action in (*(each for each in events if _leads_from(each.event, tab)), *priority)
        if (
            any(view.may(permission_for(action), job) for job in shown)
            if by_job
            else whose(view, permission_for(action)) != NOBODY
        )
    ]


def permission_for(action: Action) -> str:
    """Return the name of the permission that an action on one job needs."""
    return "jobs.edit" if action is PRIORITY else f"jobs.{action.event}"


def _leads_from(event: str, tab: JobTab) -> bool:
    """Return whether an event is possible for some job of a list."""
    if event == "destroy" or tab.name == "all":
        return True
    if event == "run_now":
        return tab.name == "scheduled"
    state = "queued" if tab.name == "scheduled" else tab.name
    classes = (cls.__events__[event] for cls in loaded_classes(Job) if event in cls.__events__)
    return any(state in transition.sources for cls in classes for transition in cls.transitions)


def whose(view: View, permission: str) -> str | None:
    """Return whose jobs somebody may do something to: None for anybody's, or `NOBODY`."""
    if view.may(permission):
        return None
    own = _Own(view.identity.login)
    return own.login if own.login and view.may(permission, own) else NOBODY


@attrs.frozen
class _Own:
    """Stands for a job that carries a login."""

    login: str | None


def is_judged_by_job(policy: Policy) -> bool:
    """Return whether an application has rules of its own, which only the web process knows."""
    return type(policy).may is not Policy.may
