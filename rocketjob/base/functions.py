"""Which functions can be called as they are, and which would be skipped without a word."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def refuse_unawaited(function: Callable[..., Any], what: str) -> None:
    """Refuse a function that does nothing when it is called: nobody would await or iterate it.

    Args:
        what: how it is marked, for the message, such as `@before`.

    Raises:
        TypeError: it is a coroutine function or a generator function.
    """
    kind = _unawaited(function)
    if kind:
        name = getattr(function, "__qualname__", repr(function))
        raise TypeError(
            f"{what}: {name} is {kind}, so calling it would run nothing: make it a plain function"
        )


def _unawaited(function: Callable[..., Any]) -> str | None:
    function = inspect.unwrap(function) if callable(function) else function
    if inspect.iscoroutinefunction(function):
        return "async"
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return "a generator"
    return None
