"""How Mission Control is set up by the application that it is part of."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

import attrs

from rocketjob.base.settings import time_zone
from rocketjob_contrib.mission_control.access import Policy
from rocketjob_contrib.mission_control.own_paths import paths_by_name

Authorize = Callable[[Any], Any]
"""Called with a request, it returns who asks: see `WebSettings.authorize`."""


def _zone(settings: Any, attribute: Any, value: str) -> None:
    try:
        time_zone(value)
    except ValueError as error:
        raise ValueError(f"time_zone {error}") from None


def _views(settings: Any, attribute: Any, value: Mapping[str, str]) -> None:
    try:
        paths_by_name(value)
    except ValueError as error:
        raise ValueError(f"views {error}") from None


@attrs.frozen(kw_only=True)
class WebSettings:
    """What the application that Mission Control is part of decides.

    Attributes:
        authorize: called with each request (of Starlette, unless an adapter hands on the host's
            own), it returns an `Identity`; or None for somebody who may not even look; or a
            response, such as a redirect to the login. It is called on a thread, where it may ask a
            database, unless it is async. Without it everybody is an admin, and only requests from
            this machine are answered.
        policy: what the roles allow; a class below `Policy` for rules of your own.
        read_only: whether nobody can change anything, whatever the roles.
        redact_messages: whether the messages of exceptions, which often quote a record, are shown
            only to those who may look at records (the role `editor`).
        edit_code: whether an admin can change fields that hold code, as on-demand jobs have.
        title: of the environment, such as `Production`, shown in the bar at the top of each page.
        home: where the entry Home leads to; None leaves it out.
        time_zone: of all times, until somebody chooses another.
        views: of lists that everybody has, by their names: the path of each below the mount path,
            such as `{"Failed imports": "/jobs/failed?q=class:ImportJob"}`; besides those of the
            setting `web.views`.
        secret: signs the messages that are shown after an action. Set the same in each process
            where several serve one site; otherwise made when the process starts.
        live_seconds: how often an open page looks for changes; 0: never.
        frame_ancestors: origins that may show the pages in a frame.
        max_body: bytes of the largest form that is read.
    """

    authorize: Authorize | None = None
    policy: type[Policy] = Policy
    read_only: bool = False
    redact_messages: bool = False
    edit_code: bool = False
    title: str | None = None
    home: str | None = "/"
    time_zone: str = attrs.field(default="UTC", validator=_zone)
    views: Mapping[str, str] = attrs.field(factory=dict, validator=_views)
    secret: str = attrs.field(factory=lambda: secrets.token_hex(32), repr=False)
    live_seconds: float = attrs.field(default=2.0, validator=attrs.validators.ge(0))
    frame_ancestors: tuple[str, ...] = ()
    max_body: int = 20_000_000

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)
