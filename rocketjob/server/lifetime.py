"""What plugins are told of the life of a process, and what they bring for its length."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rocketjob.server.subscribers import Subscriber
from rocketjob.store.context import Plugins

SUPERVISOR, WORKER, COMMAND = "supervisor", "worker", "command"  # roles of processes


@contextmanager
def told_of(plugins: Plugins, role: str, name: str) -> Iterator[None]:
    """Tell the plugins that this process has started, and after the block that it stops."""
    plugins.notify("process_started", role=role, name=name)
    try:
        yield
    finally:
        plugins.notify("process_stopping", role=role, name=name)


@contextmanager
def subscribers(plugins: Plugins, role: str) -> Iterator[None]:
    """Have the subscribers that plugins bring, for the length of a block."""
    made = [*_subscribed(plugins, role)]
    try:
        yield
    finally:
        for subscriber in made:
            subscriber.unsubscribe()


def _subscribed(plugins: Plugins, role: str) -> Iterator[Subscriber]:
    for answer in plugins.answers("register_subscribers", role=role):
        each: type[Subscriber] | Subscriber
        for each in answer.value:
            try:
                yield each.add() if isinstance(each, Subscriber) else each.subscribe()
            except Exception as error:
                _refuse(plugins, answer, each, error)


def _refuse(plugins: Plugins, answer: Any, subscriber: Any, error: Exception) -> None:
    name = getattr(subscriber, "__name__", None) or type(subscriber).__name__
    why = f"brings the subscriber {name}, which cannot be made: {type(error).__name__}: {error}"
    plugins.refuse(answer, "register_subscribers", why)
