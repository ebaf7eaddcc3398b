"""Starlette and FastAPI: the store is opened and closed with the application.

    app = FastAPI(lifespan=lifespan(url="mongodb://..."))
    app.add_exception_handler(StoreUnavailable, store_is_away)

    @app.get("/receipts/{job_id}")
    async def receipt(job: Annotated[ReceiptJob, Depends(found(ReceiptJob))]): ...

    @app.post("/orders")
    async def place(later: Annotated[Later, Depends(enqueue_later, scope="function")]):
        later.add(ReceiptJob(...))      # stored if the endpoint returns

FastAPI itself is not needed: `found` and `enqueue_later` are plain functions. No call here holds up
the event loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rocketjob import Job, NotFound, StoreUnavailable, application, off_loop
from rocketjob.base.log import Logger
from rocketjob_contrib.host_settings import use_settings

J = TypeVar("J", bound=Job)
Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]

RETRY_SECONDS = 5  # a store that restarts takes about as long
log = Logger("rocketjob.web")


def lifespan(inner: Lifespan | None = None, /, **settings: Any) -> Lifespan:
    """Return a lifespan in which the store is open.

    It is opened in each process that serves, after any fork. If it is away the application starts
    all the same; what needs the store is answered by `store_is_away`.

    Args:
        inner: the application's own lifespan, which runs within it.
        settings: as for `rocketjob.configure`; a test's sandbox keeps its own store.

    Raises:
        ConfigurationError: a setting is wrong; the application does not start.
        StoreError: the store cannot be used, or is none; likewise.
    """

    @asynccontextmanager
    async def within(app: Starlette) -> AsyncIterator[Mapping[str, Any] | None]:
        await off_loop(_open, settings)
        try:
            if inner is None:
                yield None
            else:
                async with inner(app) as state:
                    yield state
        finally:
            await off_loop(_close)

    return within


def _open(settings: Mapping[str, Any]) -> None:
    use_settings(settings)
    try:
        _ = application.current().store
    except StoreUnavailable as error:
        log.warning("the application starts without the store: it is away", error=str(error))


def _close() -> None:
    if not application.in_sandbox():  # what a test has stored is still looked at
        application.close()


async def store_is_away(request: Request, error: Exception) -> Response:
    """Answer 503: for `app.add_exception_handler(StoreUnavailable, store_is_away)`."""
    log.warning("a request failed: the store is away", path=request.url.path, error=str(error))
    return JSONResponse(
        {"detail": "The store of the jobs is away; try again in a moment."},
        status_code=503,
        headers={"retry-after": str(RETRY_SECONDS)},
    )


def found(job_class: type[J]) -> Callable[[str], Coroutine[Any, Any, J]]:
    """Return a dependency: the job of the path parameter `job_id`, and 404 if there is none.

    It says nothing of who may see the job: that is for the endpoint to judge.
    """

    async def find(job_id: str) -> J:
        try:
            return await job_class.find_async(job_id)
        except NotFound:
            raise HTTPException(404, f"There is no {job_class.__name__} {job_id}.") from None

    return find


class Later:
    """Jobs that are stored once the endpoint has returned."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def add(self, job: J) -> J:
        """Add a new job, which is not stored yet.

        Raises:
            ValidationError: it is not valid; it will not be stored.
        """
        job.check_class()
        job.validate()
        self.jobs.append(job)
        return job

    async def store(self) -> None:
        """Store them, in the order in which they were added."""
        for job in self.jobs:
            await off_loop(job.submit)


async def enqueue_later() -> AsyncIterator[Later]:
    """Store the jobs that were added, if the endpoint returns: a dependency of FastAPI.

    With `Depends(enqueue_later, scope="function")` they are stored before the response is sent; if
    the store is away the request fails. What the endpoint has committed stays committed then; with
    an outbox both are, or neither.
    """
    later = Later()
    yield later
    await later.store()
