"""The level of the log of servers: asked for, told them while they run, and what they answer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from starlette.responses import Response

from rocketjob.base.log import LEVELS
from rocketjob.base.text import counted, span
from rocketjob.server.orders import change_level
from rocketjob.server.questions import Reply
from rocketjob.server.server import Server
from rocketjob_contrib.mission_control.asking import Input
from rocketjob_contrib.mission_control.servers.minutes import minutes_in, wrong_minutes

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

SECONDS = 2.0  # that servers have to answer
_NAME = re.compile(r"[A-Za-z_][\w.]{0,99}")
INPUTS = (
    Input(name="level", label="Level", value="debug", choices=tuple(LEVELS)),
    Input(name="logger", label="Of one job class or logger", hint="empty: of all"),
    Input(
        name="minutes",
        label="For how many minutes",
        value="15",
        mode="decimal",
        hint="then it goes back by itself; empty: until the server ends",
    ),
)


def problem(form: Mapping[str, str]) -> str | None:
    """Return what is wrong with what was answered."""
    if form.get("level") not in LEVELS:
        return f"Nothing was done: the level must be one of {', '.join(LEVELS)}"
    logger = form.get("logger", "").strip()
    if logger and not _NAME.fullmatch(logger):
        return "Nothing was done: a logger has a name such as ImportJob, or myapp.jobs"
    return wrong_minutes(form)


def tell(form: Mapping[str, str], servers: Sequence[Server]) -> list[Reply]:
    """Tell servers what was answered, and return what they say within two seconds."""
    return change_level(servers, form["level"], _logger(form), minutes_in(form), SECONDS)


def _logger(form: Mapping[str, str]) -> str | None:
    return form.get("logger", "").strip() or None


def change(view: View, servers: Sequence[Server]) -> Response:
    """Tell servers, and say on the next page what each answered."""
    replies = tell(view.form, servers)
    level, logger, lasts = view.form["level"], _logger(view.form), minutes_in(view.form)
    of = f" of {logger}" if logger else ""
    until = f", for {span(lasts, 2)}" if lasts else ""
    done = [_said(reply) for reply in replies if reply.given]
    if done:
        view.say("success", f"The level{of} is {level}{until}: {', '.join(done)}")
    for sentence in (sentence for reply in replies for sentence in reply.missing):
        view.say("warning", sentence)
    return view.go(view.back("/servers"))


def _said(reply: Reply) -> str:
    return f"{reply.server.name} ({counted(len(reply.given), 'process', 'processes')})"
