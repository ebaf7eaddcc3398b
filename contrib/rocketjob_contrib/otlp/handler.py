"""The handler behind the log target `otlp`, on OpenTelemetry's own exporter."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from typing import Any

import requests
from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from rocketjob.base.log_format import as_dict, as_text, level_of
from rocketjob.base.log_outlet import LotHandler
from rocketjob_contrib.otlp.span import SPAN

SEVERITIES = {
    "trace": SeverityNumber.TRACE,
    "debug": SeverityNumber.DEBUG,
    "info": SeverityNumber.INFO,
    "warn": SeverityNumber.WARN,
    "error": SeverityNumber.ERROR,
    "fatal": SeverityNumber.FATAL,
}
REFUSED = (400, 413)  # these lines will never be taken
LONGEST = 2**63  # of the protocol's whole numbers


class _Session(requests.Session):
    """Knows what became of the last export: the exporter says only whether it succeeded.

    Attributes:
        was_asked: whether anything was sent, or was to be.
        status: of the last answer; None if there was none.
    """

    was_asked = False
    status: int | None = None

    def begin(self) -> None:
        self.was_asked, self.status = False, None

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        self.was_asked, self.status = True, None
        response = super().send(request, **options)
        self.status = response.status_code
        return response


class OtlpHandler(LotHandler):
    """Posts records by OTLP.

    Args:
        endpoint, headers: None: those of the environment.
        service: the `service.name`; None: that of the environment, or else `rocketjob`.
        seconds: in which an export has to succeed.
    """

    def __init__(
        self,
        endpoint: str | None,
        headers: Mapping[str, str] | None,
        service: str | None,
        seconds: float,
    ) -> None:
        super().__init__()
        self._session, self._is_closed = _Session(), False
        self._exporter = OTLPLogExporter(
            endpoint, headers=headers, timeout=seconds, session=self._session
        )
        self._resource = _resource(service)

    def emit_lot(self, records: list[logging.LogRecord]) -> None:
        session = self._session
        session.begin()
        if self._exporter.export([self._log(each) for each in records]) is _SUCCESS:
            return
        if not session.was_asked:
            raise ValueError("it cannot be written in the protocol")
        if session.status in REFUSED:
            raise ValueError(f"the collector answered {session.status}")
        answered = f"answered {session.status}" if session.status else "does not answer"
        raise ConnectionError(f"the collector {answered}")

    def close(self) -> None:
        if not self._is_closed:  # at its end Python closes every handler once more
            self._is_closed = True
            self._exporter.shutdown()  # type: ignore[no-untyped-call]
        super().close()

    def _log(self, record: logging.LogRecord) -> ReadableLogRecord:
        level, said = level_of(record), as_dict(record)
        log = LogRecord(
            timestamp=int(record.created * 1e9),
            context=_context(record),
            severity_text=level,
            severity_number=SEVERITIES.get(level, SeverityNumber.UNSPECIFIED),
            body=_value(said.pop("message")),
            attributes=_attributes(record, said),
        )
        return ReadableLogRecord(log, self._resource, InstrumentationScope(record.name))


_SUCCESS = LogRecordExportResult.SUCCESS


def _resource(service: str | None) -> Resource:
    known = Resource.create()
    if service is None and str(known.attributes.get("service.name", "")).startswith("unknown_"):
        service = "rocketjob"
    own: dict[str, Any] = {"host.name": socket.gethostname(), "process.pid": os.getpid()}
    return Resource(own).merge(known).merge(Resource({"service.name": service} if service else {}))


def _context(record: logging.LogRecord) -> Context:
    span = getattr(record, SPAN, None)
    return trace.set_span_in_context(
        trace.INVALID_SPAN if span is None else trace.NonRecordingSpan(span), Context()
    )


def _attributes(record: logging.LogRecord, said: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a line, and the rest by the names that OpenTelemetry has for it."""
    for name in ("at", "level", "logger", "pid"):
        said.pop(name, None)
    said["thread.name"] = said.pop("thread", None)
    if "exception" in said and record.exc_info and record.exc_info[0] is not None:
        kind = record.exc_info[0]
        said["exception.type"] = f"{kind.__module__}.{kind.__qualname__}"
        said["exception.message"] = as_text(record.exc_info[1])
        said["exception.stacktrace"] = said.pop("exception")
    return {str(name): _value(value) for name, value in said.items() if value is not None}


def _value(value: Any) -> Any:
    """Return a value that the protocol has, or else as text."""
    if isinstance(value, bool | float):
        return value
    if isinstance(value, int) and -LONGEST <= value < LONGEST:
        return value
    text = value if isinstance(value, str) else as_text(value)
    return text.encode("utf-8", "backslashreplace").decode()
