"""Send the log by OTLP, to an OpenTelemetry collector or whatever takes the same requests.

    pip install 'rocketjob[opentelemetry]'

    log = ["console", {target = "otlp", endpoint = "http://collector:4318/v1/logs"}]

What is not given is that of the environment, as everywhere in OpenTelemetry, such as
`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_HEADERS` and `OTEL_RESOURCE_ATTRIBUTES`. A line
that is logged within a span, such as that of a job under `rocketjob_contrib.opentelemetry`, names
it. Lines go in one request for as many as wait; while the collector is away they wait.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from rocketjob import hookimpl
from rocketjob.base.log_targets import LogTarget
from rocketjob.base.settings import Setting, seconds, string
from rocketjob_contrib.otlp.span import note


def _url(value: Any) -> str:
    if not string(value).startswith(("http://", "https://")):
        raise ValueError("must be a URL such as http://collector:4318/v1/logs")
    return str(value)


def _headers(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ValueError('must be a table, such as {api-key = "..."}')
    return {string(name): string(each) for name, each in value.items()}


OPTIONS: tuple[Setting[Any], ...] = (
    Setting("endpoint", None, _url, "where lines are posted, with its path"),
    Setting("headers", None, _headers, "of each request, such as a key", secret=True),
    Setting("service", None, string, "the service.name that lines have; rocketjob if not set"),
    Setting("seconds", 5.0, seconds, "to wait for an answer"),
)


def _make(options: Mapping[str, Any]) -> logging.Handler:
    try:
        from rocketjob_contrib.otlp.handler import OtlpHandler  # it needs the extra
    except ImportError as error:
        raise ValueError(
            "it needs opentelemetry-sdk and opentelemetry-exporter-otlp-proto-http of 1.39 or "
            f"later: pip install 'rocketjob[opentelemetry]' ({error})"
        ) from error
    return OtlpHandler(**options)


@hookimpl
def register_log_targets() -> list[LogTarget]:
    return [LogTarget("otlp", _make, "an OpenTelemetry collector, by OTLP", OPTIONS, note=note)]
