"""Which span a line of the log belongs to: only the thread that logs it knows."""

from __future__ import annotations

import logging

SPAN = "rocketjob_span"  # of a record


def note(record: logging.LogRecord) -> None:
    """Note the span that is under way."""
    from opentelemetry import trace  # it is there if the target is

    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        setattr(record, SPAN, span)
