"""Which functions can be called as they are, and which would be skipped without a word."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

_PENDING = (CoroutineType, GeneratorType, AsyncGeneratorType)


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


def refuse_pending(value: Any, what: str, cure: str = "make it a plain function") -> None:
    """Refuse work that a call has returned and not done: nobody would await or iterate it.

    What a decorator wraps, or a lambda calls, is known only now.

    Args:
        what: what was called, for the message.

    Raises:
        TypeError: the value is a coroutine or a generator.
    """
    if not isinstance(value, _PENDING):
        return
    if isinstance(value, CoroutineType):
        value.close()  # or Python warns that it was never awaited
    kind = type(value).__name__.replace("_", " ")
    raise TypeError(f"{what} returned a {kind}, which nobody would run: {cure}")


def _unawaited(function: Callable[..., Any]) -> str | None:
    function = inspect.unwrap(function) if callable(function) else function
    if inspect.iscoroutinefunction(function):
        return "async"
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return "a generator"
    return None


def summary_of(function: Callable[..., Any]) -> str:
    """Return the first line of a function's docstring, without its full stop."""
    return (function.__doc__ or "").strip().partition("\n")[0].rstrip(" .")
