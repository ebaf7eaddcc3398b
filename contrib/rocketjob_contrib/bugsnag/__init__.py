"""Send errors of the log to Bugsnag: `pip install 'rocketjob[bugsnag]'`.

    log = ["console", {target = "bugsnag", level = "error"}]

    [bugsnag]
    release_stage = "production"

The key is best set as ROCKETJOB_BUGSNAG_API_KEY. Each line is an event, with its traceback, and its
fields, such as the id of the job, in the tab "rocketjob": leave lower levels to other targets. One
request is made for each, on the target's own thread; while Bugsnag is away they wait.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import rocketjob
from rocketjob import hookimpl
from rocketjob.base.log_targets import LogTarget
from rocketjob.base.settings import Setting, seconds, string


def _url(value: Any) -> str:
    if not string(value).startswith(("http://", "https://")):
        raise ValueError("must be a URL such as https://notify.bugsnag.com")
    return str(value)


SETTINGS: tuple[Setting[Any], ...] = (
    Setting("api_key", None, string, "of the project", table="bugsnag", secret=True),
    Setting("release_stage", None, string, "such as production", table="bugsnag"),
    Setting("app_version", None, string, "of the app", table="bugsnag"),
    Setting("endpoint", None, _url, "where events are posted, if elsewhere", table="bugsnag"),
    Setting("seconds", 5.0, seconds, "to wait for an answer", table="bugsnag"),
)


def _make(options: Mapping[str, Any]) -> logging.Handler:
    settings = rocketjob.settings("bugsnag")
    try:
        from rocketjob_contrib.bugsnag.handler import BugsnagTarget  # it needs the extra
    except ImportError as error:
        raise ValueError(f"it needs pip install 'rocketjob[bugsnag]' ({error})") from error
    if not settings.api_key:
        raise ValueError(
            "api_key not set: set it as ROCKETJOB_BUGSNAG_API_KEY, or in the table [bugsnag]"
        )
    return BugsnagTarget(
        api_key=settings.api_key,
        release_stage=settings.release_stage,
        app_version=settings.app_version,
        endpoint=settings.endpoint,
        seconds=settings.seconds,
    )


@hookimpl
def register_settings() -> list[Setting[Any]]:
    return list(SETTINGS)


@hookimpl
def register_log_targets() -> list[LogTarget]:
    return [LogTarget("bugsnag", _make, "Bugsnag, an event for each line")]
