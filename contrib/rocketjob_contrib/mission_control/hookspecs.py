"""Hooks that Mission Control brings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rocketjob import hookspec
from rocketjob.plugins.answers import list_of

if TYPE_CHECKING:
    from rocketjob import Job
    from rocketjob_contrib.mission_control.panels import Panel
    from rocketjob_contrib.mission_control.sections import Section
    from rocketjob_contrib.mission_control.view import View


def _is_section(value: Any) -> bool:
    from rocketjob_contrib.mission_control.sections import Section  # for start-up time

    return isinstance(value, Section)


def _is_panel(value: Any) -> bool:
    from rocketjob_contrib.mission_control.panels import Panel  # for start-up time

    return isinstance(value, Panel)


@hookspec
@list_of("sections: rocketjob_contrib.mission_control.Section", _is_section)
def register_pages() -> list[Section]:
    """Return sections: an entry of the menu each, with its routes and who may call them.

    Called in a web process, once, when the application is made. A section with the name or with a
    route of another is left out, and named in the log.
    """
    raise NotImplementedError


@hookspec
@list_of("panels: rocketjob_contrib.mission_control.Panel", _is_panel, optional=True)
def job_panels(view: View, job: Job) -> list[Panel]:
    """Return what the page of this job shows in addition.

    Called in a web process, on a thread of its own, for each look at a job; read from the store as
    little as you can. One that fails is named on the page, which is shown without it.

    Args:
        view: the look: who asks for it, and what the page is made with.
        job: it may be an `UnknownJob`, or not fit its class: for what only looks.
    """
    raise NotImplementedError
