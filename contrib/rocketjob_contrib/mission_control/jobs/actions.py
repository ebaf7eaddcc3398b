"""What can be done with a job: asked on a page of its own, and done only as it was shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import attrs
from starlette.responses import Response

from rocketjob import Job
from rocketjob.base.errors import InvalidTransition, NotFound
from rocketjob.base.log import Logger
from rocketjob.jobs.shown import class_name
from rocketjob.jobs.steering import Stale, as_it_is, may, steer
from rocketjob.store import context
from rocketjob_contrib.mission_control.asking import back_after
from rocketjob_contrib.mission_control.errors import Missing
from rocketjob_contrib.mission_control.jobs.tabs import forget_counts

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

log = Logger("rocketjob.web")
REASON_LENGTH = 500
BUDGET = "failure_budget"  # that a job which is approved may be given


@attrs.frozen(kw_only=True)
class Action:
    """One thing that can be done with a job.

    Attributes:
        event: of the job, or `destroy`.
        title: on the button.
        done: what the message afterwards says of the job.
        warning: what people must know before they do it.
        is_dangerous: whether it cannot be undone, or ends work.
        gives_reason: whether the event is given the reason; it is asked for anyway.
        icon: a name of `icons.svg`; that of the event if not given.
    """

    event: str
    title: str
    done: str
    warning: str
    is_dangerous: bool = False
    gives_reason: bool = False
    icon: str = attrs.field()

    @icon.default
    def _own_icon(self) -> str:
        return self.event

    def fits(self, job: Job) -> bool:
        """Return whether it makes sense: only a job that waits for its time can be run at once."""
        return self.event != "run_now" or job.is_scheduled


_ALL = (
    Action(
        event="run_now",
        title="Run now",
        done="runs as soon as a worker is free",
        warning="It is started as soon as a worker is free, instead of at its time.",
    ),
    Action(
        event="pause",
        title="Pause",
        done="is paused",
        warning="It is held back until it is resumed; what is in work ends or stops first.",
    ),
    Action(
        event="resume",
        title="Resume",
        done="goes on",
        warning="It goes on where it was.",
    ),
    Action(
        event="approve",
        title="Approve",
        done="is approved, and goes on",
        warning="It goes on with all of its slices. What has failed by now is accepted.",
        gives_reason=True,
        icon="completed",
    ),
    Action(
        event="retry",
        title="Retry",
        done="is tried again",
        warning="It is queued again, and the failure is cleared.",
    ),
    Action(
        event="fail",
        title="Fail",
        done="has been failed",
        warning="It ends as failed. It can be retried.",
        is_dangerous=True,
        gives_reason=True,
    ),
    Action(
        event="abort",
        title="Abort",
        done="is aborted",
        warning="It ends for good and cannot be retried.",
        is_dangerous=True,
    ),
    Action(
        event="destroy",
        title="Destroy",
        done="has been destroyed",
        warning="It is removed from the store, with all that is known of it.",
        is_dangerous=True,
    ),
)
ACTIONS = {action.event: action for action in _ALL}
IN_ROW_EVENTS = ("run_now", "pause", "resume", "approve", "retry", "destroy")
IN_ROW = tuple(ACTIONS[event] for event in IN_ROW_EVENTS)
"""What the lists offer; the page of a job offers all."""


def of_plugins() -> list[Action]:
    """Return what leads into and out of the states of plugins, by the commands of these."""
    commands = {
        command.event: command
        for state in context.current().plugins.states.values()
        for command in state.commands
        if command.event not in ACTIONS
    }
    return [
        Action(
            event=event,
            title=event.replace("_", " ").capitalize(),
            done=f"is {command.done}",
            warning=command.summary,
            gives_reason=command.takes_reason,
            icon="resume",
        )
        for event, command in commands.items()
    ]


def all_actions() -> list[Action]:
    """Return everything that can be done with some job."""
    return [*of_plugins(), *_ALL]


def actions_for(view: View, job: Job, offered: Iterable[Action] | None = None) -> list[Action]:
    """Return what of all that is offered whoever looks may do with a job in its present state.

    Args:
        offered: None: everything.
    """
    here = view.once("jobs.actions_of_plugins", lambda: _of_plugins_here(view))
    return [
        action
        for action in (*here, *(_ALL if offered is None else offered))
        if may(job, action.event) and action.fits(job) and view.may(f"jobs.{action.event}", job)
    ]


def _of_plugins_here(view: View) -> list[Action]:
    """Return the actions of plugins that were there when the pages were made: they have routes."""
    return [a for a in of_plugins() if view.site.has(f"/jobs/{{id}}/{a.event}")]


def asking(action: Action) -> Callable[[View], Response]:
    """Return the view that asks whether an action is meant."""

    def ask(view: View) -> Response:
        job: Job = view.target
        if not may(job, action.event):
            return _too_late(view, action, job)
        template = "jobs/ask_dialog.html" if view.is_fragment else "jobs/ask.html"
        return view.render(
            template,
            job=job,
            name=class_name(job),
            action=action,
            warnings=_warnings(action, job),
            back=_back(view, action),
        )

    return ask


def doing(action: Action) -> Callable[[View], Response]:
    """Return the view that makes an action, if the job is still as it was shown."""

    def do(view: View) -> Response:
        job: Job = view.target
        name = f"{class_name(job)} {job.id}"
        if not may(job, action.event):  # its class may not even have such an event
            return _too_late(view, action, job)
        arguments: dict[str, Any] = {}
        if action.gives_reason:
            reason = view.form.get("reason", "").strip()[:REASON_LENGTH]
            if not reason and action.event == "fail":
                reason = f"failed by {view.identity.login or 'somebody'}"
            arguments["reason"] = reason or None
        if budget := view.form.get(BUDGET, "").strip():
            try:
                arguments[BUDGET] = float(budget)
            except ValueError:
                view.say(
                    "danger", f"{action.title}: {budget[:50]} is not a number: nothing was done"
                )
                return view.go(_back(view, action))
        try:
            steer(
                job.id,
                action.event,
                expected=view.form.get("state") or None,
                by=view.identity.login,
                **arguments,
            )
        except (Stale, InvalidTransition) as error:
            return _too_late(view, action, error.job if isinstance(error, Stale) else job)
        except NotFound as error:
            raise Missing(f"{name} is gone: nothing was done", view.back("/jobs")) from error
        log_change(view, action.event, job)
        forget_counts(view)
        link = None if action.event == "destroy" else f"/jobs/{job.id}"
        view.say("success", f"{name} {action.done}", link)
        return view.go(_back(view, action))

    return do


def log_change(view: View, action: str, job: Job) -> None:
    """Log who has done what with a job."""
    log.info(
        "a job was changed by hand",
        action=action,
        job_id=str(job.id),
        job=class_name(job),
        login=view.identity.login or "",
    )


def _back(view: View, action: Action) -> str:
    """Return where to go afterwards: the list that it was asked from, or the job."""
    job: Job = view.target
    of_state = f"/jobs/{'scheduled' if job.is_scheduled else job.state}"
    gone = of_state if view.site.has(of_state) else "/jobs"
    return back_after(view, f"/jobs/{job.id}", gone if action.event == "destroy" else None)


def _too_late(view: View, action: Action, job: Job) -> Response:
    """Say in which state the job is instead, and who brought it there."""
    name = f"{class_name(job)} {job.id}"
    text = f"{action.title}: nothing was done. {name} {as_it_is(job)}"
    view.say("warning", text, f"/jobs/{job.id}")
    return view.go(view.back(f"/jobs/{job.id}"))


def _warnings(action: Action, job: Job) -> list[str]:
    warnings = [action.warning]
    is_batch = hasattr(job, "input_categories")
    if is_batch and action.event in ("abort", "destroy"):
        warnings.append("Its input and output that are stored are removed too.")
    if action.event == "approve":
        warnings.insert(0, f"It waits for approval: {getattr(job, 'held_text', '')}.")
    if action.event == "resume" and may(job, "approve"):
        warnings[0] = (
            "It waits for approval, and this is none: only slices of its canary that were "
        )
        warnings[0] += "queued again are processed. Then it is held again."
    if is_batch and action.event == "retry":
        warnings[0] = "It goes on with the slices that have failed."
    if job.is_running and action.event in ("abort", "destroy", "fail"):
        warnings.append("It is running: its workers stop at the next chance.")
    return warnings
