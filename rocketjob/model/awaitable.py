"""The awaitable forms of what a document does with the store.

They are called from coroutines; the work is done on a thread: see `rocketjob.base.off_loop`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from bson import ObjectId

from rocketjob.base.off_loop import off_loop
from rocketjob.model.lookup import Lookup

P = ParamSpec("P")
D = TypeVar("D")


class Awaitable(Lookup, abstract=True):
    """Each method is the awaitable form of the one that has its name without `_async`.

    It takes the same, returns the same and raises the same.
    """

    if TYPE_CHECKING:

        def save(self, *, validate: bool = True) -> Self: ...

        def update(self, *, validate: bool = True, **values: Any) -> Self: ...

        def reload(self) -> Self: ...

        @classmethod
        def create_many(cls, rows: Iterable[Mapping[str, Any] | Self]) -> list[Self]: ...

    @classmethod
    async def create_async(cls: Callable[P, D], *args: P.args, **values: P.kwargs) -> D:
        """Make and store a document: see `create`."""
        made_by: Any = cls
        created: D = await off_loop(made_by.create, *args, **values)
        return created

    @classmethod
    async def create_many_async(cls, rows: Iterable[Mapping[str, Any] | Self]) -> list[Self]:
        """Make and store many documents in one group, all of them or none: see `create_many`."""
        return await off_loop(cls.create_many, rows)

    @classmethod
    async def find_async(cls, id: ObjectId | str) -> Self:
        """Return the document with this id: see `find`."""
        return await off_loop(cls.find, id)

    @classmethod
    async def first_async(cls) -> Self | None:
        """Return the document with the lowest id, or None."""
        return await off_loop(cls.first)

    @classmethod
    async def last_async(cls) -> Self | None:
        """Return the document with the highest id, or None."""
        return await off_loop(cls.last)

    @classmethod
    async def count_async(cls) -> int:
        """Count the documents of this class and of those below it."""
        return await off_loop(cls.count)

    async def save_async(self, *, validate: bool = True) -> Self:
        """Store the document: see `save`."""
        return await off_loop(self.save, validate=validate)

    async def update_async(self, *, validate: bool = True, **values: Any) -> Self:
        """Assign fields and save: see `update`."""
        return await off_loop(self.update, validate=validate, **values)

    async def reload_async(self) -> Self:
        """Read the document again: see `reload`."""
        return await off_loop(self.reload)

    async def destroy_async(self) -> None:
        """Remove the document, with its callbacks."""
        await off_loop(self.destroy)
