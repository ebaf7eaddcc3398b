"""The handler behind the log target `bugsnag`, on Bugsnag's own library."""

from __future__ import annotations

import json
import logging
from http.client import HTTPException
from typing import Any
from urllib import error, request

from bugsnag import Client
from bugsnag.delivery import Delivery, default_headers
from bugsnag.handlers import BugsnagHandler

from rocketjob.base.log import FIELDS
from rocketjob.base.log_format import as_text
from rocketjob.base.passwords import without_passwords

REFUSED = (400, 413)  # this event will never be taken
TAB = "rocketjob"


class _Delivery(Delivery):
    """Posts an event, and remembers why it could not: the library only logs that.

    The library's own ways of delivery wait for an answer for ever.
    """

    failure: Exception | None = None

    def __init__(self, seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._seconds = seconds

    def deliver(self, config: Any, payload: Any, options: Any = None) -> None:
        headers = default_headers(config.api_key)
        body = json.dumps(without_passwords(json.loads(payload))).encode()
        try:
            posted = request.Request(config.endpoint, body, headers, method="POST")
            with request.urlopen(posted, timeout=self._seconds) as answer:
                answer.read()
        except error.HTTPError as refused:  # which is an OSError
            refused.close()
            text = f"Bugsnag answered {refused.code}"
            kind = ValueError if refused.code in REFUSED else ConnectionError
            self.failure = kind(text)
        except OSError as away:
            self.failure = away
        except HTTPException as broken:
            self.failure = ConnectionError(f"its answer broke off: {type(broken).__name__}")
        finally:
            done = (options or {}).get("post_delivery_callback")
            if done is not None:
                done()

    def deliver_sessions(self, config: Any, payload: Any, options: Any = None) -> None:
        """Send none: a session is a visit, and jobs have no visitors."""


class BugsnagTarget(BugsnagHandler):
    """Reports records with a client of its own, beside that of the app, if there is one.

    Args:
        options: of the library's client.
        seconds: to wait for an answer.
    """

    def __init__(self, *, seconds: float, **options: Any) -> None:
        self._delivery = _Delivery(seconds)
        client = Client(
            install_sys_hook=False,
            asynchronous=False,  # this is called on a thread of the log already
            auto_capture_sessions=False,
            enabled_breadcrumb_types=[],  # they would be the errors of other jobs
            delivery=self._delivery,
            **{name: value for name, value in options.items() if value is not None},
        )
        super().__init__(client)  # type: ignore[no-untyped-call]
        self.add_callback(_add_fields)  # type: ignore[no-untyped-call]

    def emit(self, record: logging.LogRecord) -> None:
        """Report a record.

        Raises:
            OSError: Bugsnag is away.
            ValueError: it does not take this event.
        """
        self._delivery.failure = None
        super().emit(record)
        if self._delivery.failure is not None:
            raise self._delivery.failure


def _add_fields(record: logging.LogRecord, options: dict[str, Any]) -> None:
    fields = getattr(record, FIELDS, {})
    known = (bool, int, float, str, type(None))
    options["metadata"][TAB] = {
        "message": record.getMessage(),
        "logger": record.name,
        **{k: v if isinstance(v, known) else as_text(v) for k, v in fields.items()},
    }
