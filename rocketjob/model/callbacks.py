"""`before`, `after` and `around`: code that runs with an event of a document.

Befores run in the order in which they were defined, afters in reverse, and an around nests exactly
where it was defined among them. The kernel's come first, then those of the bases from right to
left, then the class's own. An around is a generator with one `yield`: what the yield returns is
the event's value, and a value that the generator returns replaces it.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Generator, Iterable
from types import FunctionType
from typing import Any, Literal, TypeVar

import attrs

from rocketjob.base.functions import refuse_pending, refuse_unawaited
from rocketjob.base.text import did_you_mean
from rocketjob.model.ownership import is_switched_off

F = TypeVar("F", bound=Callable[..., Any])
Kind = Literal["before", "after", "around"]
MARK = "__rocketjob_callbacks__"


@attrs.frozen(eq=False)
class Callback:
    """One callback of one event.

    `function` is called with the document; a method is looked up by its name instead, so that a
    subclass that overrides it without a decorator keeps its place.
    """

    event: str
    kind: Kind
    name: str
    function: Callable[..., Any] | None = None
    when: Callable[[Any], bool] | None = None

    def applies(self, document: Any) -> bool:
        if self.function is not None and is_switched_off(self.function.__module__):
            return False
        if self.when is None:
            return True
        answer = self.when(document)
        refuse_pending(answer, f"when= of the callback {self.name}")
        return bool(answer)

    def call(self, document: Any) -> Any:
        if self.function is not None:
            value = self.function(document)
        else:
            value = getattr(document, self.name)()
        if self.kind != "around":
            refuse_pending(value, f"the callback {self.name}")
        return value


def before(
    *events: str, when: Callable[[Any], bool] | None = None, on: type | None = None
) -> Callable[[F], F]:
    """Run the decorated method before an event, such as "start", "perform" or "save".

    Args:
        events: names of events; each is a declaration of its own.
        when: called with the document; False skips the callback.
        on: the class to add a plain function to, from outside: it takes the document.

    Raises:
        TypeError: no event is named, or (when the class is made) there is no such event.
    """
    return _decorator("before", events, when, on)


def after(
    *events: str, when: Callable[[Any], bool] | None = None, on: type | None = None
) -> Callable[[F], F]:
    """Run the decorated method after an event; see `before` for the arguments."""
    return _decorator("after", events, when, on)


def around(
    *events: str, when: Callable[[Any], bool] | None = None, on: type | None = None
) -> Callable[[F], F]:
    """Wrap an event in the decorated generator, which yields once; see `before`."""
    return _decorator("around", events, when, on)


def _decorator(
    kind: Kind, events: tuple[str, ...], when: Callable[[Any], bool] | None, on: type | None
) -> Callable[[F], F]:
    if not events or not all(isinstance(event, str) for event in events):
        raise TypeError(f'@{kind} needs the name of an event, for example @{kind}("start")')

    def decorate(function: F) -> F:
        if kind == "around" and not inspect.isgeneratorfunction(function):
            raise TypeError(f"@around: {function.__qualname__} must be a generator with one yield")
        if kind != "around":
            refuse_unawaited(function, f"@{kind}")
        if when is not None:
            refuse_unawaited(when, f"@{kind}, when=")
        name = function.__name__
        if on is None:
            marks = [Callback(event, kind, name, None, when) for event in events]
            setattr(function, MARK, [*getattr(function, MARK, []), *marks])
        else:
            on.add_callbacks(Callback(event, kind, name, function, when) for event in events)  # type: ignore[attr-defined]
        return function

    return decorate


def own_callbacks(cls: type) -> list[Callback]:
    """Return the callbacks that one class itself declares, in order of definition."""
    callbacks: list[Callback] = []
    for name, value in cls.__dict__.items():
        if type(value) is FunctionType:  # found under the attribute's name, whatever its own is
            for mark in getattr(value, MARK, ()):
                callbacks.append(attrs.evolve(mark, name=name))
    return callbacks


def check_event(cls: type, callback: Callback, known: Iterable[str]) -> None:
    """Refuse a callback of an event that a class does not know."""
    if callback.event not in known:
        hint = did_you_mean(callback.event, known, f"known are {', '.join(sorted(known))}")
        raise TypeError(
            f"@{callback.kind}({callback.event!r}) on {cls.__name__}.{callback.name}: "
            f"there is no such event; {hint}"
        )
    if callback.event == "initialize" and callback.kind != "after":
        raise TypeError(f"{cls.__name__}.{callback.name}: only after('initialize') exists")


class Chain:
    """The callbacks of one event of one class, ready to run.

    Attributes:
        has_afters: whether anything runs after the event.
    """

    __slots__ = ("callbacks", "has_afters")

    def __init__(self, callbacks: Iterable[Callback] = ()) -> None:
        merged: dict[Any, Callback] = {}
        for callback in callbacks:
            key = (callback.kind, callback.name if callback.function is None else callback.function)
            merged.pop(key, None)  # declared again: it moves to the later place
            merged[key] = callback
        self.callbacks = tuple(merged.values())
        self.has_afters = any(callback.kind != "before" for callback in self.callbacks)

    def __bool__(self) -> bool:
        return bool(self.callbacks)

    def run(self, document: Any, body: Callable[[], Any]) -> Any:
        """Run the befores, the body and the afters; return the body's value."""
        if not self.callbacks:
            return body()
        frame = Frame(self, document)
        try:
            frame.enter()
            value = body()
        except BaseException as error:
            return frame.unwind(error)
        return frame.leave(value)


class Frame:
    """One run of a chain: `enter`, then `leave`, or `unwind` with the error that ended it."""

    def __init__(self, chain: Chain, document: Any) -> None:
        self.chain, self.document = chain, document
        self.open: dict[Callback, Generator[Any, Any, Any]] = {}

    def enter(self) -> None:
        for callback in self.chain.callbacks:
            if callback.kind == "after" or not callback.applies(self.document):
                continue
            started = callback.call(self.document)
            if callback.kind == "around":
                self._start(callback, started)

    def _start(self, callback: Callback, generator: Generator[Any, Any, Any]) -> None:
        try:
            next(generator)
        except StopIteration:
            raise RuntimeError(f"around callback {callback.name} did not yield") from None
        self.open[callback] = generator

    def leave(self, value: Any = None) -> Any:
        try:
            for callback in reversed(self.chain.callbacks):
                if callback.kind == "after":
                    if callback.applies(self.document):
                        callback.call(self.document)
                elif callback in self.open:
                    value = self._finish(callback, value)
        except BaseException as error:
            return self.unwind(error)
        return value

    def _finish(self, callback: Callback, value: Any) -> Any:
        generator = self.open.pop(callback)
        try:
            generator.send(value)
        except StopIteration as stop:
            return value if stop.value is None else stop.value
        generator.close()
        raise RuntimeError(f"around callback {callback.name} yielded more than once")

    def unwind(self, error: BaseException) -> Any:
        """Let the arounds that are open see the error, innermost first; raise what remains."""
        while self.open:
            callback, generator = self.open.popitem()
            try:
                generator.throw(error)
            except StopIteration as stop:
                # It swallowed the error, as a `with` block may: those outside see a normal end.
                return self._leave_outer(stop.value)
            except BaseException as raised:
                error = raised
            else:
                generator.close()
                error = RuntimeError(f"around callback {callback.name} yielded more than once")
        raise error

    def _leave_outer(self, value: Any) -> Any:
        for callback in reversed(list(self.open)):
            value = self._finish(callback, value)
        return value


def leave_all(frames: list[Frame]) -> None:
    """Leave several frames, the last one first; where one raises, the rest see that error."""
    while frames:
        try:
            frames.pop().leave()
        except BaseException as error:
            unwind_all(frames, error)
            raise


def unwind_all(frames: list[Frame], error: BaseException) -> None:
    """Close the callbacks that are open; what they raise now would only hide the real error."""
    while frames:
        with contextlib.suppress(BaseException):
            frames.pop().unwind(error)
