"""How a line of the log looks: as text, or as JSON. Passwords in URLs are hidden in both."""

from __future__ import annotations

import json
import logging
import traceback
from datetime import UTC, datetime
from typing import Any

from rocketjob.base.log import FIELDS, NAMES
from rocketjob.base.passwords import bounded, hide_passwords, without_passwords
from rocketjob.base.text import printable

MAX_TRACEBACK = 200_000  # characters


class ConsoleFormatter(logging.Formatter):
    """One line a record: time, level, process, logger, message, fields; then any traceback.

    Args:
        begins: whether it begins with time, level and process, which a syslog adds itself.
    """

    def __init__(self, begins: bool = True) -> None:
        super().__init__()
        self._begins = begins

    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, FIELDS, {})
        shown = "".join(f" {key}={_brief(value)}" for key, value in fields.items())
        line = f"{record.name}: {record.getMessage()}{shown}"
        if self._begins:
            at = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
            line = f"{at} {level_of(record):5} [{record.process}] {line}"
        line = line.replace("\n", "\n    ")  # what a message says begins no line of its own
        return printable(
            hide_passwords(f"{line}\n{_traceback(record)}" if record.exc_info else line)
        )


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(as_dict(record), default=as_text, ensure_ascii=False)


def as_dict(record: logging.LogRecord) -> dict[str, Any]:
    """Return what a record says, without passwords; its fields are beside the rest."""
    line: dict[str, Any] = {
        "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": level_of(record),
        "logger": record.name,
        "pid": record.process,
        "thread": record.threadName,
        "message": record.getMessage(),
        **getattr(record, FIELDS, {}),
    }
    if record.exc_info:
        line["exception"] = _traceback(record)
    shown: dict[str, Any] = without_passwords(line)
    return shown


def as_text(value: Any) -> str:
    """Return what has no form in JSON as text, without passwords."""
    return hide_passwords(str(value))


def level_of(record: logging.LogRecord) -> str:
    """Return the name of a record's level."""
    return NAMES.get(record.levelno, record.levelname.lower())


def _brief(value: Any) -> str:
    text = str(value)
    return repr(text) if not text or any(c.isspace() or c in "='\"" for c in text) else text


def _traceback(record: logging.LogRecord) -> str:
    if not record.exc_info or not isinstance(record.exc_info, tuple):
        return ""
    return bounded("".join(traceback.format_exception(*record.exc_info)).rstrip(), MAX_TRACEBACK)
