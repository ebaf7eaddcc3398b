"""One action on all ticked jobs of a list, or on all that match it: counted first, then done.

What is done is what the preview has counted: its moment goes along with the answer, and what has
come since, or has ended since, is left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
from bson import ObjectId
from starlette.responses import Response

import rocketjob
from rocketjob import Job
from rocketjob.application import current
from rocketjob.base.acts import granted
from rocketjob.base.log import Logger
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
from rocketjob_contrib.mission_control.lists import Count
from rocketjob_contrib.mission_control.templating import shortened

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

log = Logger("rocketjob.web")
PATH = "/jobs/bulk"
WORD = "DESTROY"
SECONDS = 0.7  # that what no index has is looked for, in a preview
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
    def count(self) -> Count:
        """How many jobs it would be done to."""
        return Count(self.preview.count - self.refused, more=not self.preview.is_all)

    @property
    def does(self) -> str:
        """What people must know before they do it."""
        return DOES.get(self.action.event, self.wanted.action.warning)

    @property
    def word(self) -> str | None:
        """The word that has to be typed."""
        return word_for(self.action, self.count.number)


def word_for(action: BulkAction, count: int) -> str | None:
    """Return the word that has to be typed before something is done to so many jobs."""
    return WORD if action.event == "destroy" and count > 1 else None


def ask_first(view: View) -> Response:
    """Say what an action would be done to, and ask whether that is meant."""
    ids = view.request.query_params.getlist("id")
    return _asked(view, wanted(view, view.query, ids))


def do(view: View) -> Response:
    """Do it to what the preview has counted, here or by a job of its own."""
    asked = wanted(view, view.form, view.form.all("id"))
    priority = None if asked.action is not PRIORITY else _number(view.form.get("priority", ""))
    action, title = action_of(view, asked, priority), asked.action.title
    ids = first_of(view, action)
    if not ids:
        view.say("warning", f"{title}: nothing was done. There is no such job any more")
        return view.go(_back(view, asked))
    word = word_for(action, len(ids))
    typed = asking.Action(name=action.event, title=title, icon="", word=word)
    if problem := asking.typed_wrongly(view, typed):
        return _asked(view, asked, problem)
    count = len(ids) if asked.shown is None else asked.shown
    job, outcomes = carry_out(view, asked, action, ids, count)
    if job is not None:
        view.say("success", f"{title}: a job does it, and says here how far it is")
        return view.go(f"/jobs/{job.id}")
    _tell(view, title, outcomes, count)
    return view.go(_back(view, asked))


def first_of(view: View, action: BulkAction) -> list[ObjectId]:
    """Return the ids of the jobs; where a job is to do it, of one more than is done at once.

    Raises:
        BadRequest: these are too many for rules of the application's own.
    """
    ids = action.ids(at_most=_at_once() + 1)
    if len(ids) > _at_once() and is_judged_by_job(view.site.policy):
        raise _too_many()
    return ids


def carry_out(
    view: View, asked: Wanted, action: BulkAction, ids: list[ObjectId], count: int
) -> tuple[Job | None, list[Outcome]]:
    """Do it, or have a job do it; return that job, or what became of each.

    Args:
        ids: see `first_of`.
        count: how many were previewed.

    Raises:
        BadRequest: these are too many, and no plugin has a job do it.
        Forbidden: whoever asks may not go on; it says how many were done.
    """
    job = None
    if len(ids) > _at_once():
        with granted(view.grant_for(asked.permission)):
            job = action.hand_over(max(count, len(ids)))
    if job is None and len(ids) > _at_once():
        raise _nobody_takes_it()  # only the first of them have been looked for
    log.info(
        "many jobs are changed by hand",
        action=action.event,
        count=count,
        login=view.identity.login or "",
        job_id=str(job.id) if job else "",
    )
    forget_counts(view)
    if job is not None:
        return job, []
    return None, list(action.do_at_once(count, _judge(view, asked), view.steps(ids)))


def _back(view: View, asked: Wanted) -> str:
    return view.back(asked.tab.path)


def action_of(view: View, asked: Wanted, priority: int | None = None) -> BulkAction:
    """Return what is to be done, by whoever looks.

    Args:
        priority: that is to be set; None: it is not known yet.

    Raises:
        Forbidden: whoever looks may do it to no job.
        BadRequest: what was searched for cannot be understood.
    """
    owner, by_job = whose(view, asked.permission), is_judged_by_job(view.site.policy)
    if owner == NOBODY and not by_job:
        raise view.refusal(asked.permission)
    more: dict[str, Any] = {"at": asked.at}
    if asked.action is PRIORITY:
        more["priority"] = 50 if priority is None else priority
    if owner is not None and not by_job:
        more["only_of"] = owner
    return BulkAction.on(asked.query(view), asked.action.event, **more)


def plan(view: View, asked: Wanted) -> Plan:
    """Return what an action would come to.

    Raises:
        Forbidden, BadRequest: see `action_of`, `first_of`, `carry_out`.
    """
    action, by_job = action_of(view, asked), is_judged_by_job(view.site.policy)
    preview = action.preview(SECONDS if asked.text else None)
    at_once = preview.is_all and preview.count <= _at_once()
    if by_job and not at_once:
        raise _too_many()
    if not current().plugins.listens("take_over"):
        if preview.count > _at_once():
            raise _nobody_takes_it()
        at_once = True
    refused = _refused(view, asked, action, by_job)
    return Plan(wanted=asked, action=action, preview=preview, refused=refused, at_once=at_once)


def _too_many() -> BadRequest:
    return BadRequest(
        "The application has rules of its own for who may do what, by which at most "
        f"{_at_once():,} are judged at a time: search for fewer"
    )


def _nobody_takes_it() -> BadRequest:
    return BadRequest(
        f"Of more than {_at_once():,} jobs nothing is done at once, and the plugin bulk, which has "
        "a job do it, is not here: search for fewer"
    )


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


def _asked(view: View, asked: Wanted, problem: str | None = None) -> Response:
    status, made = 200 if problem is None else 422, plan(view, asked)
    values = {"plan": made, "path": PATH, "back": _back(view, asked), "problem": problem}
    return view.render("jobs/bulk.html", status, **values)


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
