"""The answers of a query, for those who run on an event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs

from rocketjob.base.off_loop import off_loop

D = TypeVar("D")
PAGE = 100  # documents that an asynchronous iteration reads in one go


@attrs.frozen(eq=False)
class AwaitableQuery(Generic[D]):
    """Each method is the awaitable form of the one of `Query` that has its name without `_async`.

    `async for` goes through the documents.
    """

    if TYPE_CHECKING:

        def __iter__(self) -> Iterator[D]: ...

        def first(self) -> D | None: ...

        def last(self) -> D | None: ...

        def count(self, at_most: int | None = None) -> int: ...

        def exists(self) -> bool: ...

        def pluck(self, *names: str) -> list[Any]: ...

        def update_all(self, **values: Any) -> int: ...

        def delete_all(self) -> int: ...

        def destroy_all(self) -> int: ...

    async def __aiter__(self) -> AsyncIterator[D]:
        documents = iter(self)
        while page := await off_loop(_next_page, documents):
            for document in page:
                yield document

    async def list_async(self) -> list[D]:
        """Return all documents of the selection."""
        return await off_loop(lambda: [*iter(self)])  # `list` would count them first

    async def first_async(self) -> D | None:
        """Return the first document, or None: see `first`."""
        return await off_loop(self.first)

    async def last_async(self) -> D | None:
        """Return the last document, or None: see `last`."""
        return await off_loop(self.last)

    async def count_async(self, at_most: int | None = None) -> int:
        """Count the documents: see `count`."""
        return await off_loop(self.count, at_most)

    async def exists_async(self) -> bool:
        """Return whether there is one."""
        return await off_loop(self.exists)

    async def pluck_async(self, *names: str) -> list[Any]:
        """Return values of fields without making documents: see `pluck`."""
        return await off_loop(self.pluck, *names)

    async def update_all_async(self, **values: Any) -> int:
        """Set fields on every document at once, without callbacks: see `update_all`."""
        return await off_loop(self.update_all, **values)

    async def delete_all_async(self) -> int:
        """Remove every document, without callbacks; return how many."""
        return await off_loop(self.delete_all)

    async def destroy_all_async(self) -> int:
        """Remove every document, with its callbacks; return how many."""
        return await off_loop(self.destroy_all)


def _next_page(documents: Iterator[D]) -> list[D]:
    return [*islice(documents, PAGE)]
