"""What this process works with: its settings, its plugins and its store.

The kernel asks `current()`; `rocketjob.application` makes what that returns.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TypeVar

from rocketjob.base.config import Config
from rocketjob.base.errors import ConfigurationError, HookFailed
from rocketjob.store.port import Store

Failed = Callable[[HookFailed], None]


class Plugins(Protocol):
    """The plugins of a process, as the kernel calls them: see `rocketjob.plugins.manager`."""

    @property
    def hook(self) -> Any: ...

    def listens(self, hook: str, job_class: type[Any] | None = None) -> bool: ...

    def listens_to_any(
        self, hooks: tuple[str, ...], job_class: type[Any] | None = None
    ) -> bool: ...

    def notify(self, hook: str, /, **arguments: Any) -> None: ...

    def answers(self, hook: str, /, failed: Failed | None = None, **arguments: Any) -> Any: ...

    def collect(
        self, hook: str, /, failed: Failed | None = None, **arguments: Any
    ) -> list[Any]: ...

    def decide(self, hook: str, /, **arguments: Any) -> Any: ...

    def around(self, hook: str, body: Callable[[], Any], /, **arguments: Any) -> Any: ...

    def during(self, hook: str, /, **arguments: Any) -> AbstractContextManager[list[Any]]: ...

    def first(self, hook: str, /, **arguments: Any) -> Any: ...

    def note(self, error: HookFailed) -> None: ...

    def refuse(self, answer: Any, hook: str, why: str) -> None: ...

    def watched(self) -> AbstractContextManager[None]: ...

    @property
    def states(self) -> Mapping[str, Any]: ...

    @property
    def problems(self) -> list[str]: ...

    @property
    def modules(self) -> frozenset[str]: ...


def unless_transient(store: Store, failed: Failed) -> Failed:
    """Return what to do with a plugin's error, so that the others go on; the store's are raised."""

    def note(error: HookFailed) -> None:
        cause = error.__cause__
        if isinstance(cause, Exception) and store.is_transient(cause):
            raise cause
        failed(error)

    return note


class Context(Protocol):
    """What `rocketjob.application.Application` is to the kernel."""

    config: Config
    directory: str

    @property
    def plugins(self) -> Plugins: ...

    @property
    def loaded_plugins(self) -> Plugins | None: ...

    @property
    def store(self) -> Store: ...

    def open_store(self, url: str) -> Store: ...

    def store_at(self, url: str | None) -> Store: ...

    def stores(self) -> list[Store]: ...

    def ensure_indexes(self, store: Store) -> None: ...

    def work(self, job: Any, worker: Any) -> None: ...

    def perform_now(self, job: Any) -> Any: ...

    def tell_workers(self, job: Any) -> None: ...

    def explain(self, job: Any) -> Any: ...

    def close(self) -> None: ...

    def after_fork(self) -> None: ...


C = TypeVar("C", bound=Context)
_current: Context | None = None
_make: Callable[[], Context] | None = None
_is_fixed = False
FIXED = (
    "connect, configure and sandboxes are for the beginning of a process: in a server they would "
    "move the jobs beside this one to another store. Name the store where the app is imported; "
    "a job opens another one with rocketjob.application.current().open_store(url)"
)
_lock = threading.RLock()


def made_by(make: Callable[[], Context]) -> None:
    """Say how the context of this process is made when it is first needed."""
    global _make
    _make = make


def current() -> Context:
    """Return this process's context."""
    global _current
    if _current is None:
        with _lock:
            if _current is None:
                assert _make is not None, "import rocketjob first"
                _current = _make()
    return _current


def present() -> Context | None:
    """Return this process's context, if there is one already."""
    return _current


def use(context: C) -> C:
    """Make this the process's context for good."""
    replace(context)
    return context


def replace(context: Context | None) -> Context | None:
    """Make this the process's context; return the one before, which the caller closes.

    Raises:
        ConfigurationError: it is fixed.
    """
    global _current
    with _lock:
        if _is_fixed:
            raise ConfigurationError(FIXED)
        previous, _current = _current, context
    return previous


@contextmanager
def fixed() -> Iterator[None]:
    """Keep this process's context for a block, whatever its threads would put in its place."""
    global _is_fixed
    _is_fixed = True
    try:
        yield
    finally:
        _is_fixed = False


def is_fixed() -> bool:
    """Return whether the context of this process stays as it is."""
    return _is_fixed


def close() -> None:
    """Close this process's store, if it was opened; it is opened again when needed."""
    if _current is not None:
        _current.close()


@contextmanager
def using(context: C) -> Iterator[C]:
    """Put another context in place of this process's for a block, for example in a test."""
    previous = replace(context)
    try:
        yield context
    finally:
        replace(previous)
        context.close()


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()
    if _current is not None:
        _current.after_fork()


os.register_at_fork(after_in_child=_after_fork)
