"""Groups of failures by the API: listed, looked at, retried and acknowledged as they were seen."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from rocketjob_contrib.mission_control.api import cursors
from rocketjob_contrib.mission_control.api.operations import PAGED, Operation, operation
from rocketjob_contrib.mission_control.api.schemas import Schema, body, choice, page_of, ref, text
from rocketjob_contrib.mission_control.failures import acting, group_page
from rocketjob_contrib.mission_control.failures.finding import group_in_path, groups
from rocketjob_contrib.mission_control.failures.list_page import TIMES
from rocketjob_plugins.failures.groups import trend

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.api.view import ApiView
    from rocketjob_plugins.failures import Group

UNTIL: dict[str, Schema] = {"until": text(50, least=1), "reason": text(500)}
ONE = "/failures/{id}"


def operations() -> list[Operation]:
    """Return the operations."""
    return [
        operation(
            "GET /failures",
            listing,
            "list_failures",
            "List what has failed in groups of one class, exception and pattern of the message.",
            query={"since": choice(*TIMES), "class": text(200, least=1), **PAGED},
            returns=page_of("Failures"),
        ),
        operation(
            f"GET {ONE}",
            show,
            "get_failures",
            "Return a group of failures, with its messages and the jobs that are concerned.",
            target=group_in_path,
            returns=ref("Failures"),
        ),
        operation(
            f"POST {ONE}/retry",
            retry,
            "retry_failures",
            "Retry all of a group, as far as it had failed `until` then: the `last` that was seen.",
            permission="failures.retry",
            target=group_in_path,
            body=body((), **UNTIL),
            returns=ref("Retried"),
        ),
        operation(
            f"POST {ONE}/acknowledge",
            acknowledge,
            "acknowledge_failures",
            "Note that a group was seen: it is no reason for FAILING until something fails anew.",
            permission="failures.acknowledge",
            target=group_in_path,
            body=body((), **UNTIL),
            returns=ref("Done"),
        ),
    ]


def listing(view: ApiView) -> Response:
    """List the groups, the one that failed last first."""
    since = view.params.get("since")
    begin = view.now - TIMES[since] if since is not None else None
    found = sorted(groups(view, begin, view.params.get("class")), key=_last, reverse=True)
    return cursors.page_of_few(view, "failures", found, lambda group: as_json(view, group, begin))


def _last(group: Group) -> tuple[float, str]:
    return group.last.timestamp() if group.last else 0.0, group.key


def as_json(view: ApiView, group: Group, begin: datetime | None = None) -> dict[str, Any]:
    """Return a group as lists have it."""
    return {
        "id": group.key,
        "class": group.name,
        "exception": group.error,
        "pattern": view.quoted(group.pattern),
        "count": group.count,
        "jobs_count": len(group.jobs),
        "slices_count": group.slices,
        "unseen": len(group.unseen),
        "first": _time(group.first),
        "last": _time(group.last),
        "trend": trend(group, begin),
    }


def _time(at: datetime | None) -> str | None:
    """Return a time to the last digit: what is retried goes by it."""
    return None if at is None else at.isoformat()


def show(view: ApiView) -> Response:
    """Return a group."""
    group: Group = view.target
    messages = group_page.messages_of(view, group)[: group_page.MESSAGES]
    shown = [{"text": text, "count": number} for text, number in messages]
    jobs = [str(id) for id in group.jobs[: group_page.JOBS]]
    return view.json({**as_json(view, group), "messages": shown, "jobs": jobs})


def retry(view: ApiView) -> Response:
    """Retry what was seen of a group."""
    outcome, later = acting.retried(view, view.target, view.body.get("until"))
    return view.json(
        {
            "jobs": outcome.jobs,
            "slices": outcome.slices,
            "skipped": outcome.skipped,
            "refused": outcome.refused,
            "failed": {str(id): why for id, why in outcome.failed.items()},
            "later": later,
        }
    )


def acknowledge(view: ApiView) -> Response:
    """Note that a group was seen."""
    done = view.by_page(acting.do_acknowledge, [("until", view.body.get("until"))])
    said = [{"kind": message.kind, "text": message.text} for message in done.messages]
    return view.json({"messages": said})
