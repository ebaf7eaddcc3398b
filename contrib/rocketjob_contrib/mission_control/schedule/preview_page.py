"""A page to try an expression out, and what a form is told while one is typed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from starlette.responses import Response

from rocketjob_contrib.mission_control.run_times import Preview, preview_of

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View


def show(view: View) -> Response:
    """Show what the expression in the URL means."""
    template = "cron_preview.html" if view.is_fragment else "schedule/preview.html"
    return view.render(template, preview=asked(view), literal=_is_literal(view))


def asked(view: View) -> Preview:
    """Return what it means."""
    dst: Literal["safe", "literal"] = "literal" if _is_literal(view) else "safe"
    return preview_of(view, view.query.get("expression", ""), dst)


def _is_literal(view: View) -> bool:
    return view.query.get("dst") == "literal"
