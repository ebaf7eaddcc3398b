"""What a store with files of its own offers besides the port: to give back disk space.

A store that has none of this, such as one on a server, sees to its space itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol, runtime_checkable

from rocketjob.base.errors import StoreError
from rocketjob.store.port import Store


class Space(NamedTuple):
    """What a store takes on disk.

    Attributes:
        bytes: of its files, with the log.
        used_bytes: what is stored.
        free_bytes: what is kept for what will be stored.
        log_bytes: of the log.
        in_steps: whether it can be made smaller in small steps, between which others write.
    """

    bytes: int
    used_bytes: int
    free_bytes: int
    log_bytes: int
    in_steps: bool


@runtime_checkable
class Compactable(Protocol):
    """A store whose files can be made smaller."""

    def space(self) -> Space | None:
        """Return what it takes on disk; None if it has no file."""
        ...

    def tidy(self) -> None:
        """Give back a little of the space, if much is free; never wait for others.

        The sweep of every server calls it, every few seconds.
        """
        ...

    def compact(self, *, in_steps: bool = False) -> Iterator[Space]:
        """Make the files as small as they can be; yield how large they are, as it goes on.

        If the process dies at any moment nothing is lost.

        Args:
            in_steps: in small steps, between which others write, rather than all at once.

        Raises:
            StoreUnavailable: others are in the way, or the disk has no room; nothing was changed.
        """
        ...


def tidy(store: Store) -> None:
    """Let a store give back a little of its space, if it can."""
    if isinstance(store, Compactable):
        store.tidy()


def tidy_all(stores: Iterable[Store]) -> None:
    """Let all stores give back a little of their space.

    Raises:
        StoreError: one could not; the others were asked all the same.
    """
    failed: list[str] = []
    for store in stores:
        try:
            tidy(store)
        except Exception as error:
            failed.append(f"the store {store.url} cannot give back space: {error}")
    if failed:
        raise StoreError("; ".join(failed))


def advice(store: Store) -> str:
    """Say what to do about the space of a store that is not `Compactable`."""
    return str(getattr(store, "space_advice", "the store sees to the space of its files itself"))
