"""Why each queued job of a list waits, in short; its page has all there is to say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from rocketjob import Job
from rocketjob.base.text import counted
from rocketjob.jobs.reasons import Reason
from rocketjob.jobs.shown import class_name
from rocketjob.server.brief import first_reasons, who_is_free
from rocketjob_contrib.mission_control.jobs.rows import Row

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.lists import Asked
    from rocketjob_contrib.mission_control.view import View


def with_reasons(view: View, asked: Asked, rows: Sequence[Row]) -> list[Row]:
    """Return rows with why each waits.

    Args:
        asked: in the order in which workers take them, the rows also tell how many are ahead.
    """
    if not rows:
        return []
    servers = view.sight.servers
    documents = Job.collection().find({"_id": {"$in": [row.job.id for row in rows]}})
    found = first_reasons(documents, servers)
    in_order = not asked.sorting and not asked.text
    ahead: list[int | None] = [asked.skip + n if in_order else None for n in range(len(rows))]
    return [
        attrs.evolve(
            row,
            waits=found.get(row.job.id)
            or _in_line(number, who_is_free(servers, class_name(row.job))),
        )
        for row, number in zip(rows, ahead, strict=True)
    ]


def _in_line(ahead: int | None, free: str) -> Reason:
    """Say how many go before a job that nothing holds back."""
    if ahead is None:
        return Reason("ahead", "it waits for its turn")
    if not ahead:
        return Reason("next", f"it is next: {free}")
    return Reason("ahead", f"{counted(ahead, 'job goes', 'jobs go')} before it")
