"""What people do, and what they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rocketjob.plugins.answers import (
    answer,
    is_job,
    is_section,
    is_text,
    list_of,
    stored_beside,
)
from rocketjob.plugins.hookspecs.marks import hookspec

if TYPE_CHECKING:
    from rocketjob.base.acts import Act, Deed
    from rocketjob.jobs.bulk import BulkAction
    from rocketjob.jobs.job import Job
    from rocketjob.jobs.reasons import Section
    from rocketjob.store import Also, Insert


@hookspec
@stored_beside
def act_writes(act: Act, deed: Deed) -> Sequence[Insert | Also] | None:
    """Return what is to be stored together with a change that a person makes: both are, or neither.

    Called within `rocketjob.base.acts.acting`, as every command and page is that changes something,
    and never for what a worker does: for each document that is created, saved, changed by an event
    or removed, once for many that are created in one go, and before what changes no document, such
    as a copy of the store. Do not read or write the store here.

    Returns:
        as `transition_writes`. If a plugin fails the change is refused: what cannot be recorded is
        not done.
    """


@hookspec
@list_of("sections: rocketjob.jobs.reasons.Section", is_section, optional=True)
def job_sections(job: Job) -> Sequence[Section] | None:
    """Return what `rocketjob jobs show` prints of a job besides its own.

    Called in that command only. One that fails is named, and the others are shown.
    """


@hookspec(firstresult=True)
@answer("the job that does it, which is stored, or None", is_job)
def take_over(action: BulkAction, count: int) -> Job | None:
    """Have a job do what a person wants to do to many jobs; None leaves it to whoever asks.

    Called once the person has confirmed it, in the process of the command, page or program, within
    `rocketjob.base.acts.acting` if it is known who that is.

    Args:
        action: what is to be done, and to which jobs: `rocketjob.jobs.bulk.BulkAction`.
        count: how many these were when it was previewed.
    """


@hookspec(firstresult=True)
@answer("why not, as text, or an empty one", is_text)
def grant_refused(grant: str) -> str | None:
    """Return why nothing more may be done by a grant, for people; an empty text if it still holds.

    Called before each step of what goes on in a person's name after the request or command has
    ended, such as a bulk action of very many jobs: in the worker that does it. It may read the
    store. If it fails, or no plugin knows the grant, the step is not made.

    Args:
        grant: that `rocketjob.base.acts.acting` was given, such as
            `web_token:manager:nightly-import`; None is the answer to another kind.
    """
