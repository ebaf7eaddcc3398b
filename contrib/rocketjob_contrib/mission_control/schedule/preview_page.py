"""A page to try an expression out, and what a form is told while one is typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from rocketjob_contrib.mission_control.run_times import preview_of

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View


def show(view: View) -> Response:
    """Show what the expression in the URL means."""
    literal = view.query.get("dst") == "literal"
    found = preview_of(view, view.query.get("expression", ""), "literal" if literal else "safe")
    template = "cron_preview.html" if view.is_fragment else "schedule/preview.html"
    return view.render(template, preview=found, literal=literal)
