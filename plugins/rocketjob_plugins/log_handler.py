"""Send the log to any `logging.Handler`, named by its path.

    [[log]]
    target = "handler"
    class = "logging.handlers.SocketHandler"
    arguments = {host = "logs", port = 9020}

    [[log]]
    target = "handler"
    class = "logging.handlers.SMTPHandler"
    level = "error"
    arguments = {mailhost = "mail", fromaddr = "jobs@x", toaddrs = ["ops@x"], subject = "Jobs"}

It is made once in each process, with these arguments. A process that a job has forked does not
write to it, since such a handler may share its connection with the parent.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping
from typing import Any

from rocketjob import hookimpl
from rocketjob.base.log_targets import LogTarget
from rocketjob.base.settings import Setting, string


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError("must be a table of arguments")
    return dict(value)


OPTIONS: tuple[Setting[Any], ...] = (
    Setting("class", None, string, "where it is, such as logging.handlers.SMTPHandler"),
    Setting("arguments", {}, _mapping, "what it is made with", secret=True),
)


def _make(options: Mapping[str, Any]) -> logging.Handler:
    path = options["class"]
    if not path:
        raise ValueError("it needs a class, such as logging.handlers.SMTPHandler")
    made = _found(path)(**options["arguments"])
    if not isinstance(made, logging.Handler):
        raise ValueError(f"{path} is not a logging.Handler")
    return made


def _found(path: str) -> Any:
    module, _, name = path.replace(":", ".").rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, ValueError) as error:
        raise ValueError(f"{path} cannot be imported: {error}") from error
    except AttributeError:
        raise ValueError(f"the module {module} has no {name}") from None


@hookimpl
def register_log_targets() -> list[LogTarget]:
    return [LogTarget("handler", _make, "any logging.Handler, by its path", OPTIONS)]
