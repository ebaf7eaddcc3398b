"""The page of a group of failures: its messages, and the jobs that are concerned."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from rocketjob_contrib.mission_control.failures.list_page import spark_of
from rocketjob_plugins.failures import Group

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

MESSAGES = 20
JOBS = 50


def show(view: View) -> Response:
    """Show a group."""
    group: Group = view.target
    return view.render(
        "failures/group.html",
        group=group,
        spark=spark_of(group),
        messages=messages_of(view, group),
        jobs=_jobs(group),
        most=JOBS,
    )


def messages_of(view: View, group: Group) -> list[tuple[str, int]]:
    """Return the messages that whoever looks may see, with how often each occurs."""
    found: Counter[str] = Counter()
    for text, number in group.messages:
        found[view.quoted(text)] += number
    return found.most_common()


def _jobs(group: Group) -> list[dict[str, Any]]:
    """Return the jobs that are concerned, the one that failed last first."""
    counts = Counter(each.job_id for each in group.failures if each.slice is not None)
    firsts = {each.job_id: each for each in reversed(group.failures)}
    return [{"id": id, "failure": firsts[id], "slices": counts[id]} for id in group.jobs[:JOBS]]
