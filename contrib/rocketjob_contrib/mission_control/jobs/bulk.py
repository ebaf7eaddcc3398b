"""One action on all ticked jobs of a list, or on all that match it: counted first, then done.

What is done is what the preview has counted: its moment goes along with the answer, and what has
come since, or has ended since, is left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
from starlette.responses import Response

import rocketjob
from rocketjob import Job
from rocketjob.application import current
from rocketjob.base.log import Logger
from rocketjob.base.text import counted
from rocketjob.jobs.bulk import (
    DONE,
    FAILED,
    REFUSED,
    SKIPPED,
    BulkAction,
    Outcome,
    Preview,
    counted_by_word,
)
from rocketjob_contrib.mission_control import asking
from rocketjob_contrib.mission_control.errors import BadRequest
from rocketjob_contrib.mission_control.jobs.tabs import forget_counts
from rocketjob_contrib.mission_control.jobs.ticked import (
    NOBODY,
    PRIORITY,
    Wanted,
    is_judged_by_job,
    wanted,
    whose,
)
from rocketjob_contrib.mission_control.templating import shortened

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

log = Logger("rocketjob.web")
PATH = "/jobs/bulk"
WORD = "DESTROY"
MANY = 1_000  # that are judged one by one, where no plugin says how many are done at once
TOLD = 3  # reasons in a message
LONGEST = 150  # characters of one


DOES = {
    "run_now": "They are started as soon as workers are free, instead of at their time.",
    "pause": "They are held back until they are resumed; what is in work ends or stops first.",
    "resume": "They go on where they were.",
    "retry": "They are queued again, and their failures are cleared.",
    "fail": "They end as failed. They can be retried.",
    "abort": "They end for good and cannot be retried.",
    "destroy": "They are removed from the store, with all that is known of them.",
}


@attrs.frozen(kw_only=True)
class Plan:
    """What is asked for, and what it would come to.

    Attributes:
        refused: of the jobs that it is possible for, how many are not whoever looks may do it to.
        at_once: whether it is done in the request, not by a job.
    """

    wanted: Wanted
    action: BulkAction
    preview: Preview
    refused: int
    at_once: bool

    @property
    def count(self) -> int:
        """How many jobs it would be done to."""
        return self.preview.count - self.refused

    @property
    def expected(self) -> int:
        """How many jobs were possible when it was previewed, those that are refused included."""
        shown = self.wanted.shown
        return self.preview.count if shown is None else shown + self.refused

    @property
    def does(self) -> str:
        """What people must know before they do it."""
        return DOES.get(self.action.event, self.wanted.action.warning)

    @property
    def word(self) -> str | None:
        """The word that has to be typed."""
        return WORD if self.action.event == "destroy" and self.count > 1 else None


def ask_first(view: View) -> Response:
    """Say what an action would be done to, and ask whether that is meant."""
    ids = view.request.query_params.getlist("id")
    return _asked(view, plan(view, wanted(view, view.query, ids)))


def do(view: View) -> Response:
    """Do it to what the preview has counted, here or by a job of its own."""
    asked = wanted(view, view.form, view.form.all("id"))
    priority = None if asked.action is not PRIORITY else _number(view.form.get("priority", ""))
    made = plan(view, asked, priority)
    title = asked.action.title
    if not made.count:
        view.say("warning", f"{title}: nothing was done. There is no such job any more")
        return view.go(_back(view, made))
    typed = asking.Action(name=made.action.event, title=title, icon="", word=made.word)
    if problem := asking.typed_wrongly(view, typed):
        return _asked(view, made, problem)
    job, outcomes = carry_out(view, made)
    if job is not None:
        text = (
            f"{title}: a job does it to {counted(made.count, 'job')}, and says here how far it is"
        )
        view.say("success", text)
        return view.go(f"/jobs/{job.id}")
    _tell(view, title, outcomes, made.expected)
    return view.go(_back(view, made))


def carry_out(view: View, plan: Plan) -> tuple[Job | None, list[Outcome]]:
    """Do it, or have a job do it; return that job, or what became of each."""
    job = None if plan.at_once else plan.action.hand_over(plan.expected)
    log.info(
        "many jobs are changed by hand",
        action=plan.action.event,
        count=plan.count,
        login=view.identity.login or "",
        job_id=str(job.id) if job else "",
    )
    forget_counts(view)
    if job is not None:
        return job, []
    may = _judge(view, plan.wanted)
    return None, list(plan.action.do_at_once(plan.expected, may))


def _back(view: View, plan: Plan) -> str:
    return view.back(plan.wanted.tab.path)


def plan(view: View, asked: Wanted, priority: int | None = None) -> Plan:
    """Return what an action would come to.

    Args:
        priority: that is to be set; None: it is not known yet.

    Raises:
        Forbidden: whoever looks may do it to no job.
        BadRequest: these are too many, or what was searched for cannot be understood.
    """
    owner = whose(view, asked.permission)
    by_job = is_judged_by_job(view.site.policy)
    if owner == NOBODY and not by_job:
        raise view.refusal(asked.permission)
    more: dict[str, Any] = {"at": asked.at}
    if asked.action is PRIORITY:
        more["priority"] = 50 if priority is None else priority
    if owner is not None and not by_job:
        more["only_of"] = owner
    action = BulkAction.on(asked.query(view), asked.action.event, **more)
    preview = action.preview()
    at_once = preview.count <= _at_once()
    if by_job and not at_once:
        raise BadRequest(
            f"These are {preview.count:,} jobs. The application has its own rules for who may do "
            f"what, by which at most {_at_once():,} are judged at a time: search for fewer"
        )
    refused = _refused(view, asked, action, by_job)
    return Plan(wanted=asked, action=action, preview=preview, refused=refused, at_once=at_once)


def _refused(view: View, asked: Wanted, action: BulkAction, by_job: bool) -> int:
    """Count the jobs that it is possible for, and that whoever looks may not do it to."""
    jobs = Job.collection()
    if by_job:
        may = _judge(view, asked)
        return sum(not may(Job.listed(stored)) for stored in jobs.find(action.possible()))
    if action.only_of is None:
        return 0
    others = {"$and": [action.possible(), {"login": {"$ne": action.only_of}}]}
    return jobs.count_documents(others)


def _judge(view: View, asked: Wanted) -> Callable[[Job], bool]:
    return lambda job: view.may(asked.permission, job)


def _at_once() -> int:
    """Return how many jobs are changed in a request."""
    if "bulk" not in current().plugins.names:
        return MANY
    at_once: int = rocketjob.settings("bulk").at_once
    return at_once


def _number(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0
    if not 1 <= number <= 100:
        raise BadRequest(f"The priority must be from 1 to 100, not {text[:50] or 'nothing'}")
    return number


def _asked(view: View, plan: Plan, problem: str | None = None) -> Response:
    status = 200 if problem is None else 422
    back = _back(view, plan)
    return view.render("jobs/bulk.html", status, plan=plan, path=PATH, back=back, problem=problem)


def _tell(view: View, title: str, outcomes: list[Outcome], count: int) -> None:
    """Say what became of the jobs: P23's done, skipped, refused and failed, with reasons."""
    counts = counted_by_word(outcomes, count)
    said = [f"{counts[DONE]:,} done"]
    for word, why in (
        (SKIPPED, "their state had changed"),
        (REFUSED, "you may not do it to them"),
        (FAILED, "see below"),
    ):
        if counts[word]:
            said.append(f"{counts[word]:,} {word} ({why})")
    lines = [f"{title}: {', '.join(said)}"]
    failed = [outcome for outcome in outcomes if outcome.word == FAILED]
    lines += [
        shortened(f"{each.name} {each.id}: {view.quoted(each.text)}", LONGEST).replace("\n", " ")
        for each in failed[:TOLD]
    ]
    if len(failed) > TOLD:
        lines.append(f"and {len(failed) - TOLD:,} more")
    kind = "success" if counts[DONE] and not failed else "warning"
    view.say(kind, "\n".join(lines))
