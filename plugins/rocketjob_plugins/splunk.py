"""Send the log to Splunk, through its HTTP Event Collector, or to whatever takes the same requests.

    log = ["console", "splunk"]

    [splunk]
    url = "https://splunk.example.com:8088"

The token is best set as ROCKETJOB_SPLUNK_TOKEN. An entry of `log` can have `url`, `token` and
`index` of its own. Lines go in one request for as many as wait; while Splunk is away they wait.
"""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Mapping
from typing import Any

import rocketjob
from rocketjob import hookimpl
from rocketjob.base.log_format import as_dict, as_text
from rocketjob.base.log_outlet import LotHandler
from rocketjob.base.log_targets import LogTarget
from rocketjob.base.passwords import hide_passwords
from rocketjob.base.settings import Setting, seconds, string

PATH = "/services/collector/event"


def _url(value: Any) -> str:
    if not string(value).startswith(("http://", "https://")):
        raise ValueError("must be a URL such as https://splunk.example.com:8088")
    return str(value)


SETTINGS: tuple[Setting[Any], ...] = (
    Setting("url", None, _url, "of the HTTP Event Collector", table="splunk"),
    Setting("token", None, string, "of the HTTP Event Collector", table="splunk", secret=True),
    Setting("index", None, string, "where lines go; that of the token if not set", table="splunk"),
    Setting("seconds", 5.0, seconds, "to wait for an answer", table="splunk"),
)


class SplunkHandler(LotHandler):
    """Posts records as events.

    Args:
        url: of the server; a path of its own is kept.
        timeout: in seconds.
    """

    def __init__(self, url: str, token: str, index: str | None, timeout: float) -> None:
        super().__init__()
        host = url.partition("://")[2]
        self._url = url.rstrip("/") + ("" if "/" in host.rstrip("/") else PATH)
        self._headers = {"Authorization": f"Splunk {token}", "Content-Type": "application/json"}
        self._timeout = timeout
        self._common = {"host": socket.gethostname(), "source": "rocketjob", "sourcetype": "_json"}
        if index is not None:
            self._common["index"] = index

    def emit_lot(self, records: list[logging.LogRecord]) -> None:
        self._post("\n".join(map(self._event, records)).encode())

    def _event(self, record: logging.LogRecord) -> str:
        event = {**self._common, "time": round(record.created, 3), "event": as_dict(record)}
        return json.dumps(event, default=as_text)

    def _post(self, body: bytes) -> None:
        from http.client import HTTPException  # all for start-up time
        from urllib import error, request

        posted = request.Request(self._url, body, self._headers, method="POST")
        try:
            with request.urlopen(posted, timeout=self._timeout) as answer:
                answer.read()
        except error.HTTPError as refused:  # which is an OSError
            with refused:
                said = refused.read(500).decode("utf-8", "replace")
            text = f"{hide_passwords(self._url)} answered {refused.code}: {said}"
            if refused.code == 400:
                raise ValueError(text) from None  # these lines will never be taken
            raise ConnectionError(text) from None  # such as a wrong token, which can be mended
        except HTTPException as broken:
            raise ConnectionError(f"its answer broke off: {type(broken).__name__}") from None


def _make(options: Mapping[str, Any]) -> logging.Handler:
    common = rocketjob.settings("splunk")
    given = {name: options[name] or getattr(common, name) for name in ("url", "token", "index")}
    missing = [name for name in ("url", "token") if not given[name]]
    if missing:
        raise ValueError(
            f"{' and '.join(missing)} not set: set them in the table [splunk], or as "
            f"{' and '.join(f'ROCKETJOB_SPLUNK_{name.upper()}' for name in missing)}"
        )
    return SplunkHandler(**given, timeout=common.seconds)


OPTIONS: tuple[Setting[Any], ...] = (
    Setting("url", None, _url, "instead of the setting splunk.url"),
    Setting("token", None, string, "instead of the setting splunk.token", secret=True),
    Setting("index", None, string, "instead of the setting splunk.index"),
)


@hookimpl
def register_settings() -> list[Setting[Any]]:
    return list(SETTINGS)


@hookimpl
def register_log_targets() -> list[LogTarget]:
    text = "Splunk's HTTP Event Collector"
    return [LogTarget("splunk", _make, text, OPTIONS, in_forks=True)]
