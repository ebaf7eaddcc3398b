"""What can be done with a group of failures: all of it again, or to note that it was seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from rocketjob.base.log import Logger
from rocketjob_contrib.mission_control.asking import Action, Question, ask
from rocketjob_contrib.mission_control.failures.finding import until_of
from rocketjob_contrib.mission_control.jobs.tabs import forget_counts
from rocketjob_plugins.failures import Group, acknowledge, plan_for, retry
from rocketjob_plugins.failures.retrying import Outcome, Plan

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

log = Logger("rocketjob.web")
ACKNOWLEDGE = Action(name="acknowledge", title="Acknowledge", icon="eye")
SEEN = (
    "It is no longer a reason for FAILING or WATCH, until something of it fails anew.",
    "Nothing is retried.",
)
REASONS = 3  # why something was not retried, that are named


def ask_retry(view: View) -> Response:
    """Ask whether all of a group is to be retried, and say what that would do."""
    group: Group = view.target
    plan = plan_for(group)
    action = Action(name="retry", title=_title(plan), icon="retry")
    return ask(view, _question(view, group, action, tuple(plan.sentences)))


def _title(plan: Plan) -> str:
    return "Retry it" if plan.count == 1 else f"Retry these {plan.count:,}"


def do_retry(view: View) -> Response:
    """Retry what was shown."""
    group: Group = view.target
    outcome, later = retried(view, group, view.form.get("until"))
    lines = [f"{group.name} {group.error}: {outcome.sentence}"]
    lines += [f"{id}: {view.quoted(why)}" for id, why in list(outcome.failed.items())[:REASONS]]
    if later:
        lines.append(f"{later:,} are left: retry the group again")
    kind = "success" if outcome.done and not outcome.failed else "warning"
    view.say(kind, "\n".join(lines))
    back = view.back("/failures")  # the group's own page is gone where nothing of it is failed
    return view.go("/failures" if back.startswith(f"/failures/{group.key}") else back)


def retried(view: View, group: Group, until: str | None) -> tuple[Outcome, int]:
    """Retry what was shown of a group, as far as whoever acts may.

    Args:
        until: the time of the last failure that was shown.

    Returns:
        what became of it, and how many are left for another time, since they are very many.
    """
    plan = plan_for(group, until_of(view, until))
    outcome = retry(
        plan,
        by=view.identity.login,
        may=lambda job: view.may("jobs.retry", job),
        steps=view.steps,  # a token may be revoked between two
    )
    log.info(
        "a group of failures was retried by hand",
        group=group.key,
        jobs=outcome.jobs,
        slices=outcome.slices,
        login=view.identity.login or "",
    )
    forget_counts(view)
    return outcome, plan.later


def ask_acknowledge(view: View) -> Response:
    """Ask whether a group is to count as seen."""
    return ask(view, _question(view, view.target, ACKNOWLEDGE, SEEN))


def do_acknowledge(view: View) -> Response:
    """Note that a group was seen, as far as it was shown."""
    group: Group = view.target
    acknowledge(group, until_of(view, view.form.get("until")), view.identity.login)
    view.say("success", f"{group.name} {group.error} is acknowledged", f"/failures/{group.key}")
    return view.go(view.back("/failures"))


def _question(view: View, group: Group, action: Action, texts: tuple[str, ...]) -> Question:
    return Question(
        action=action,
        title=f"{action.title}?",
        path=f"/failures/{group.key}/{action.name}",
        back=view.back("/failures"),
        subject=f"{group.name} {group.error}",
        state="failed",
        texts=tuple(filter(None, (view.quoted(group.pattern), f"{group.words}.", *texts))),
        hidden={"until": group.last.isoformat()} if group.last else {},
    )
