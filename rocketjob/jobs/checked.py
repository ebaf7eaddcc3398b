"""What type checkers are told of jobs, where plain annotations cannot say it.

Nothing of this exists when a program runs: there the same names are ordinary fields and methods.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, ParamSpec, Protocol, Self, TypeVar, overload

P = ParamSpec("P")
J_co = TypeVar("J_co", covariant=True)


class Moment:
    """A field that is a time or None, and can be set to a `timedelta` from now as well."""

    @overload
    def __get__(self, instance: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: Any) -> datetime | None: ...
    def __get__(self, instance: Any, owner: Any) -> Any: ...

    def __set__(self, instance: Any, value: datetime | timedelta | None) -> None: ...


class Performs(Protocol[P, J_co]):
    """A job whose `perform` takes these arguments; `reload` tells its class."""

    def perform(self, *args: P.args, **kwargs: P.kwargs) -> Any: ...

    def reload(self) -> J_co: ...


class PerformLater:
    """`Job.perform_later`: it takes what the class's `perform` takes, and returns a job of it."""

    @overload
    def __get__(self, instance: None, owner: type[Performs[P, J_co]]) -> Callable[P, J_co]: ...
    @overload
    def __get__(self, instance: Performs[P, J_co], owner: Any) -> Callable[P, J_co]: ...
    def __get__(self, instance: Any, owner: Any) -> Any: ...


class PerformLaterAsync:
    """`Job.perform_later_async`: the same, to be awaited."""

    @overload
    def __get__(
        self, instance: None, owner: type[Performs[P, J_co]]
    ) -> Callable[P, Coroutine[Any, Any, J_co]]: ...
    @overload
    def __get__(
        self, instance: Performs[P, J_co], owner: Any
    ) -> Callable[P, Coroutine[Any, Any, J_co]]: ...
    def __get__(self, instance: Any, owner: Any) -> Any: ...
