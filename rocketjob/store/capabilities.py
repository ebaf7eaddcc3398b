"""What a store can do, as it declares it."""

from __future__ import annotations

from typing import Protocol

import attrs

from rocketjob.base.errors import ConfigurationError


@attrs.frozen(kw_only=True)
class Capabilities:
    """What a store can do: for the store itself, for servers, tests, and people to read.

    Args:
        several_processes: whether all processes that open the same URL see the same documents.
            Without it, servers and `rocketjob enqueue` refuse the store.
        transactions: whether `Store.transaction` is all or nothing; if not, it only groups, and
            the store has an `Outbox`.
        wake_up: whether `Store.wait_for_change` ends when something is written; if not, it says
            after a while that there may have been something.
        sees_all: whether it ends for each write, by whatever program, so that whoever is told of
            none need not look.
        relayed: whether waiting costs the store something, so that one process of a server waits
            for all of them.
    """

    several_processes: bool
    transactions: bool
    wake_up: bool
    sees_all: bool = False
    relayed: bool = False


class Declaring(Protocol):
    """What is asked of a store here."""

    @property
    def url(self) -> str: ...
    @property
    def capabilities(self) -> Capabilities: ...


def refuse_one_process(store: Declaring, why: str) -> None:
    """Refuse a store that no other process can see.

    Args:
        why: what needs another process, such as `a server has several`.

    Raises:
        ConfigurationError: it belongs to this process alone.
    """
    if not store.capabilities.several_processes:
        raise ConfigurationError(
            f"What is stored in {store.url} can be seen by the process alone that stored it, and "
            f"{why}: use a store that processes share, such as sqlite:///rocketjob.db"
        )
