"""Groups of failures for pages: as they were seen for all who look."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rocketjob.base import clock
from rocketjob_contrib.mission_control.errors import BadRequest, Missing
from rocketjob_plugins.failures import Failures, Group, groups_of

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View


def seen(view: View) -> Failures:
    """Return the failures that there are.

    Raises:
        Missing: the plugin is not loaded any more.
    """
    failures = view.sight.failures
    if failures is None:
        raise Missing("What has failed is not known: the store cannot be seen now", "/jobs/failed")
    return failures


def groups(view: View, since: datetime | None = None, name: str | None = None) -> Sequence[Group]:
    """Return the groups of what has failed.

    Args:
        since: only what has failed from then on.
        name: only of jobs of this class.
    """
    failures = seen(view)
    known = {each.key: each.acknowledged for each in view.sight.groups}
    marks = {key: mark for key, mark in known.items() if mark is not None}
    return groups_of(failures, since=since, name=name, seen=marks)


def group_in_path(view: View) -> Group:
    """Return the group that the path names.

    Raises:
        Missing: nothing of it is failed any more; the list says so.
    """
    for is_first in (True, False):
        for group in view.sight.groups:
            if group.key == view.id:
                return group
        if is_first:
            view.look_again()  # it may have failed just now
    raise Missing("Nothing of this group of failures is failed any more", "/failures")


def until_of(view: View, given: str | None) -> datetime | None:
    """Return the time of the last failure that was shown to whoever acts.

    Args:
        given: as it was sent; None: as it is in the URL, if it is.

    Raises:
        BadRequest: what was sent is no time.
    """
    text = given or view.query.get("until") or ""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None:
            return clock.to_utc(at)
    except (ValueError, OverflowError):
        pass
    raise BadRequest(f"until must be a time with a zone, not {text[:50]}")
