"""How somebody wants to see pages: time zone and theme, kept in the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import available_timezones

from rocketjob.base.settings import time_zone
from rocketjob_contrib.mission_control.cookies import LOOK, THEMES, YEAR, set_cookie
from rocketjob_contrib.mission_control.errors import BadRequest

if TYPE_CHECKING:
    from starlette.responses import Response

    from rocketjob_contrib.mission_control.view import View


def zones() -> list[str]:
    """Name the zones to choose from."""
    return sorted(name for name in available_timezones() if not name.startswith(("Etc/", "posix")))


def ask(view: View) -> Response:
    """Show what there is to choose."""
    template = "preferences_form.html" if view.is_fragment else "preferences.html"
    return view.render(template, zones=zones(), themes=THEMES, back=view.back("/"))


def choose(view: View) -> Response:
    """Note what was chosen, and go back."""
    theme = view.form.get("theme", view.look.theme)
    zone = view.form.get("zone", view.look.zone or "").strip()
    if theme not in THEMES:
        raise BadRequest(f"There is no theme {theme}; themes are {', '.join(THEMES)}")
    if zone:
        try:
            time_zone(zone)
        except ValueError as error:
            raise BadRequest(f"{zone} {error}") from None
    response = view.go(view.back("/"))
    path = view.site.root(view.request)
    set_cookie(response, LOOK, f"{theme}|{zone}", path, max_age=YEAR)
    return response
