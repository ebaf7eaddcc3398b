"""How a hook is called: in one way, whichever it is.

Every implementation is called by itself, so that an error names its plugin, and its answer is
checked. Wrappers are generators with one `yield`, around all of them. What happens after an error
is the caller's choice: it raises, and nobody else is asked, or the others are called all the same.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from math import inf
from types import FrameType
from typing import Any, NamedTuple

from rocketjob.base import clock
from rocketjob.base.errors import HookFailed, RocketJobError
from rocketjob.plugins.answers import MARK, Expected, Unexpected
from rocketjob.plugins.hookspecs import ONLY_FOR

log = logging.getLogger(__name__)
SLOW_SECONDS = 1.0  # a hook that takes longer is named in the log
AT_START = ("register_", "open_")  # these import, or connect, which may take its time
OURS = (KeyboardInterrupt, GeneratorExit)  # end what is under way, whoever is called just now

Failed = Callable[[HookFailed], None]
Arguments = Mapping[str, Any]
Wrapper = Generator[None, Any, Any]
Begun = list[tuple[Any, Wrapper]]


class Call:
    """A call that is under way: since when, of whose function, for which hook, on which thread."""

    __slots__ = ("began", "hook", "plugin", "thread")

    def __init__(self, began: float, plugin: str, hook: str, thread: int) -> None:
        self.began, self.plugin, self.hook, self.thread = began, plugin, hook, thread


class Answer(NamedTuple):
    """What one plugin returned from a hook."""

    plugin: str
    value: Any


def failed_in(whose: str, hook: str, error: BaseException) -> str:
    """Return the message for a plugin that has raised in a hook."""
    return f"The plugin {whose} failed in {hook}: {type(error).__name__}: {error}"


def stop(error: HookFailed) -> None:
    """Raise: what is called where nobody else is to be asked after an error."""
    raise error


def on_purpose(error: HookFailed) -> Exception:
    """Return what a plugin raised if it is an error of ours, whose message is for the user.

    A note says whose it is. Of any other the message of HookFailed is clearer.
    """
    cause = error.__cause__
    if not isinstance(cause, RocketJobError):
        return error
    note = str(error).partition(": ")[0]
    if note not in getattr(cause, "__notes__", ()):
        cause.add_note(note)
    return cause


class Hook:
    """A hook with its implementations, in the order in which they are called.

    Args:
        implementations: pluggy's, whose order is the other way round.
        specification: the function that specifies it; None if nobody has.
        whose: names a plugin with its distribution.
        watch: where calls that are under way are noted.
    """

    def __init__(
        self,
        name: str,
        implementations: Sequence[Any],
        specification: Callable[..., Any] | None,
        whose: Callable[[str], str],
        watch: Watch,
    ) -> None:
        self.name = name
        in_order = implementations[::-1]
        self.wrappers = [each for each in in_order if each.wrapper]
        self._plain = [
            (each.plugin_name, each.function, each.argnames)
            for each in in_order
            if not each.wrapper
        ]
        self._by_class: dict[type[Any], list[tuple[str, Callable[..., Any], Any]]] = {}
        self._wrappers_by_class: dict[type[Any], list[Any]] = {}
        self.is_implemented = bool(implementations)
        self._expected: Expected | None = getattr(specification, MARK, None)
        self._whose, self._watch = whose, watch

    def concerns(self, job_class: type[Any]) -> bool:
        """Return whether anybody is to be asked about jobs of a class: see `only_for`."""
        return bool(self._wrappers_about(job_class) or self._asked_about(job_class))

    def _wrappers_about(self, job_class: type[Any]) -> list[Any]:
        about = self._wrappers_by_class.get(job_class)
        if about is None:
            about = [w for w in self.wrappers if issubclass(job_class, _classes_of(w.function))]
            self._wrappers_by_class[job_class] = about
        return about

    def _around(self, arguments: Arguments) -> list[Any]:
        """Return the wrappers of a call."""
        job = arguments.get("job") if self.wrappers else None
        return self.wrappers if job is None else self._wrappers_about(type(job))

    def _asked_about(self, job_class: type[Any]) -> list[tuple[str, Callable[..., Any], Any]]:
        asked = self._by_class.get(job_class)
        if asked is None:
            asked = [each for each in self._plain if issubclass(job_class, _classes_of(each[1]))]
            self._by_class[job_class] = asked
        return asked

    def all(self, arguments: Arguments, failed: Failed) -> list[Answer]:
        """Call all; return the answers that are not None."""
        wrappers = self._around(arguments)
        if not wrappers:
            return self._ask(arguments, failed)
        answers: list[Answer] = []

        def ask() -> list[Any]:
            answers[:] = self._ask(arguments, failed)
            return [answer.value for answer in answers]

        values = self._within(wrappers, arguments, ask, failed)
        if values == [answer.value for answer in answers]:
            return answers
        return self._changed(wrappers[0], values, failed)

    def first(self, arguments: Arguments, failed: Failed) -> Answer | None:
        """Call one after the other until one returns something; return that."""
        wrappers = self._around(arguments)
        if not wrappers:
            answers = self._ask(arguments, failed, only_first=True)
            return answers[0] if answers else None
        outer = wrappers[0]
        who = [outer.plugin_name]  # whose answer it may be as well

        def ask() -> Any:
            answers = self._ask(arguments, failed, only_first=True)
            who[:] = [answer.plugin for answer in answers] or who
            return answers[0].value if answers else None

        value = self._within(wrappers, arguments, ask, failed)
        try:
            self._named(outer, lambda: self._checked(value))
        except HookFailed as error:
            failed(error)
            return None
        return None if value is None else Answer(who[0], value)

    def _ask(self, arguments: Arguments, failed: Failed, only_first: bool = False) -> list[Answer]:
        """Call the implementations; a job's path leads through here, so it is all in one place."""
        answers: list[Answer] = []
        call = Call(inf, "", self.name, threading.get_ident())  # not begun
        self._watch.calls[id(call)] = call
        try:
            for plugin, function, names in self._to_ask(arguments):
                call.began, call.plugin = clock.monotonic(), plugin  # in this order: see `Watch`
                try:
                    value = self._checked(function(*[arguments[name] for name in names]))
                except OURS:
                    raise
                except BaseException as error:  # such as the SystemExit of a script
                    failed(self._failure(plugin, error))
                    value = None
                if clock.monotonic() - call.began > SLOW_SECONDS:
                    self._say_slow(call)
                if value is not None:
                    answers.append(Answer(plugin, value))
                    if only_first:
                        break
        finally:
            del self._watch.calls[id(call)]
        return answers

    def _to_ask(self, arguments: Arguments) -> list[tuple[str, Callable[..., Any], Any]]:
        job = arguments.get("job")
        return self._plain if job is None else self._asked_about(type(job))

    def _changed(self, wrapper: Any, values: Any, failed: Failed) -> list[Answer]:
        """Return the answers that a wrapper has put in the place of others."""
        found = []
        try:
            for value in self._named(wrapper, lambda: list(values)):
                checked = self._named(wrapper, partial(self._checked, value))
                found.append(Answer(wrapper.plugin_name, checked))
        except HookFailed as error:
            failed(error)
        return found

    # --- wrappers ----------------------------------------------------------------------------

    def begin_around(self, arguments: Arguments, failed: Failed) -> Begun:
        """Begin the wrappers of a call, which are to be ended by `end_around`.

        They watch it: neither what a wrapper returns nor its failure changes how the call ends,
        unless it raises an error of RocketJob's own, which is on purpose.
        """
        begun: Begun = []
        for wrapper in self._around(arguments):
            try:
                begun.append((wrapper, self._begin(wrapper, arguments)))
            except HookFailed as error:
                try:
                    _raise_if_meant(error, failed)
                except BaseException as meant:
                    raise self.end_around(begun, failed, None, meant) or meant  # noqa: B904
        return begun

    def end_around(
        self, begun: Begun, failed: Failed, value: Any, error: BaseException | None = None
    ) -> BaseException | None:
        """End wrappers with what became of the call, the innermost first.

        Returns:
            the error that the call ends with: its own, or what a wrapper raised on purpose.
        """
        for wrapper, generator in reversed(begun):
            resume = partial(generator.send, value)
            if error is not None:
                resume, trace = partial(generator.throw, error), error.__traceback__
            try:
                self._watch_end(wrapper, generator, resume, failed, error)
            except BaseException as raised:
                error = raised
            else:
                if error is not None:
                    error.__traceback__ = trace  # without the way through the wrapper
        return error

    def _watch_end(
        self,
        wrapper: Any,
        generator: Wrapper,
        resume: Callable[[], Any],
        failed: Failed,
        error: BaseException | None = None,
    ) -> None:
        try:
            self._end(wrapper, generator, resume)
        except HookFailed as raised:
            if raised.__cause__ is not error:  # else it let it through, as it is to
                _raise_if_meant(raised, failed)

    def _within(
        self,
        wrappers: Sequence[Any],
        arguments: Arguments,
        ask: Callable[[], Any],
        failed: Failed,
    ) -> Any:
        """Call what is within some wrappers, and return what they make of it."""
        if not wrappers:
            return ask()
        outer, inner = wrappers[0], wrappers[1:]
        try:
            generator = self._begin(outer, arguments)
        except HookFailed as error:
            failed(error)
            return self._within(inner, arguments, ask, failed)
        try:
            value = self._within(inner, arguments, ask, failed)
        except BaseException as error:
            return self._throw(outer, generator, error)
        try:
            return self._end(outer, generator, lambda: generator.send(value))
        except HookFailed as error:
            failed(error)
            return value

    def _begin(self, wrapper: Any, arguments: Arguments) -> Wrapper:
        def begin() -> Wrapper:
            generator: Wrapper = wrapper.function(*[arguments[n] for n in wrapper.argnames])
            for _ in generator:
                return generator
            raise Unexpected("did not yield, as a wrapper does once")

        begun: Wrapper = self._named(wrapper, begin)
        return begun

    def _throw(self, wrapper: Any, generator: Wrapper, error: BaseException) -> Any:
        """Let a wrapper see an error; it may return a value in its place."""
        try:
            return self._end(wrapper, generator, lambda: generator.throw(error))
        except HookFailed as raised:
            if raised.__cause__ is error:
                raise error from error.__cause__  # as it was
            raise

    def _end(self, wrapper: Any, generator: Wrapper, resume: Callable[[], Any]) -> Any:
        def end() -> Any:
            try:
                resume()
            except StopIteration as stopped:
                return stopped.value
            generator.close()
            raise Unexpected("yielded more than once")

        return self._named(wrapper, end)

    # --- what is theirs ----------------------------------------------------------------------

    def _checked(self, value: Any) -> Any:
        return value if self._expected is None else self._expected.checked(value)

    def _named(self, wrapper: Any, call: Callable[[], Any]) -> Any:
        """Call something of a wrapper's; an error names the plugin and the hook."""
        noted = Call(clock.monotonic(), wrapper.plugin_name, self.name, threading.get_ident())
        self._watch.calls[id(noted)] = noted
        try:
            return call()
        except OURS:
            raise
        except BaseException as error:
            raise self._failure(wrapper.plugin_name, error) from error
        finally:
            del self._watch.calls[id(noted)]
            if clock.monotonic() - noted.began > SLOW_SECONDS:
                self._say_slow(noted)

    def _failure(self, plugin: str, error: BaseException) -> HookFailed:
        whose = self._whose(plugin)
        if isinstance(error, Unexpected):
            text = f"The plugin {whose} {error} (hook {self.name})"
        else:
            text = failed_in(whose, self.name, error)
        failure = HookFailed(text, plugin, self.name)
        failure.__cause__ = error
        return failure

    def _say_slow(self, call: Call) -> None:
        if not self.name.startswith(AT_START):
            text = "The plugin %s took %.1f s in %s: for so long its thread did nothing else"
            log.warning(text, self._whose(call.plugin), clock.monotonic() - call.began, self.name)


def _raise_if_meant(error: HookFailed, failed: Failed) -> None:
    meant = on_purpose(error)
    if meant is error:
        failed(error)
    else:
        raise meant from meant.__cause__


class Watch:
    """Names hooks in the log that block the thread that called them, while they do.

    Attributes:
        calls: those under way.
    """

    def __init__(self, whose: Callable[[str], str]) -> None:
        self.calls: dict[int, Call] = {}
        self._whose = whose
        self._named: set[tuple[int, float]] = set()

    def look(self) -> None:
        """Name each call, once, that has lasted for a second."""
        now, frames = clock.monotonic(), sys._current_frames()
        calls = dict(self.calls)  # others add to it meanwhile
        present = {(key, call.began): call for key, call in calls.items()}
        self._named &= present.keys()
        for key, call in present.items():
            if now - call.began < SLOW_SECONDS or key in self._named:
                continue
            self._named.add(key)
            at = _line(frames.get(call.thread))
            text = "The plugin %s has blocked a thread for %.1f s in %s, at %s"
            log.warning(text, self._whose(call.plugin), now - call.began, call.hook, at)

    @contextmanager
    def on_a_thread(self) -> Iterator[None]:
        """Look twice a second, on a thread of its own."""

        def look() -> None:
            while not done.wait(SLOW_SECONDS / 2):
                self.look()

        done = threading.Event()
        thread = threading.Thread(target=look, name="slow hooks", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()


def _classes_of(function: Callable[..., Any]) -> tuple[type[Any], ...]:
    classes: tuple[type[Any], ...] = getattr(function, ONLY_FOR, (object,))
    return classes


def _line(frame: FrameType | None) -> str:
    """Return where a plugin's function is that this thread has called; what it calls is within."""
    own: FrameType | None = None
    while frame is not None and frame.f_code not in (Hook._named.__code__, Hook._ask.__code__):
        own = frame if frame.f_code.co_filename != __file__ else own
        frame = frame.f_back
    return f"{own.f_code.co_filename}:{own.f_lineno}" if own is not None else "?"
