"""A job that uses the store itself, and waits where that is out of reach."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

from rocketjob.base.errors import Snooze
from rocketjob.jobs.claims import claim_of
from rocketjob.store.away import is_away

if TYPE_CHECKING:
    from rocketjob.jobs.job import Job

AGAIN_AFTER = timedelta(seconds=5)  # as servers look for a store that is away

P = ParamSpec("P")
R = TypeVar("R")
SomeJob = TypeVar("SomeJob", bound="Job")


def waits_for_store(
    perform: Callable[Concatenate[SomeJob, P], R],
) -> Callable[Concatenate[SomeJob, P], R]:
    """Let `perform` be called again, five seconds later, if the store was out of reach in it.

    That is no failure, and uses up no attempt. It is for a `perform` that uses the store, and may
    be performed again from its beginning, of a simple job: not for the `perform` of a batch, which
    is called for each record. One that is performed inline raises what it always did. An
    `async def` is fine too.

        @waits_for_store
        def perform(self) -> None: ...
    """
    if inspect.iscoroutinefunction(perform):

        @functools.wraps(perform)
        async def patient_async(job: SomeJob, /, *args: P.args, **kwargs: P.kwargs) -> Any:
            with _waiting(job):
                return await perform(job, *args, **kwargs)

        return cast("Callable[Concatenate[SomeJob, P], R]", patient_async)

    @functools.wraps(perform)
    def patient(job: SomeJob, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with _waiting(job):
            return perform(job, *args, **kwargs)

    return patient


@contextmanager
def _waiting(job: Job) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if claim_of(job) is None or not is_away(error):
            raise
        raise Snooze(AGAIN_AFTER, f"the store was out of reach: {error}") from error
