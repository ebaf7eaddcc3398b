"""Starlette and FastAPI: lifespan, dependencies, and an event loop that goes on meanwhile."""

import asyncio
import threading
from contextlib import asynccontextmanager
from typing import Annotated

import httpx2
import pytest
from fastapi import Depends, FastAPI, HTTPException
from starlette.testclient import TestClient

import rocketjob
from rocketjob import (
    ConfigurationError,
    Job,
    StoreUnavailable,
    ValidationError,
    application,
    field,
    off_loop,
    validators,
)
from rocketjob_contrib.starlette import Later, enqueue_later, found, lifespan, store_is_away
from support.runtime import PATIENCE


class PlacedOrderJob(Job):
    destroy_on_complete = False
    number: int = field(default=1, validator=validators.in_range(1, 9))

    def perform(self): ...


class OtherJob(Job):
    def perform(self): ...


def make_app(inner=None, **settings):
    app = FastAPI(lifespan=lifespan(inner, **settings))
    app.add_exception_handler(StoreUnavailable, store_is_away)

    @app.post("/orders/{number}")
    async def place(number: int, later: Annotated[Later, Depends(enqueue_later, scope="function")]):
        job = later.add(PlacedOrderJob(number=number))
        if number == 4:
            raise HTTPException(422, "not so many in stock")
        return str(job.id)

    @app.get("/jobs/{job_id}")
    async def show(job: Annotated[PlacedOrderJob, Depends(found(PlacedOrderJob))]):
        return {"number": job.number}

    return app


# --- lifespan ------------------------------------------------------------------------------------


def test_settings_hold_from_the_start_and_a_test_keeps_its_own_store(rocketjob):
    before = application.current().config.url
    with TestClient(make_app(url="sqlite:///elsewhere.db", workers=3)) as client:
        assert rocketjob_settings().workers == 3
        assert rocketjob_settings().url == before
        id = client.post("/orders/2").json()
    assert PlacedOrderJob.find(id).number == 2  # the sandbox is still open


def rocketjob_settings():
    return rocketjob.configure()


def test_a_wrong_setting_does_not_let_the_application_start(rocketjob):
    with pytest.raises(ConfigurationError, match="wrokers"), TestClient(make_app(wrokers=3)):
        pass


def test_the_lifespan_of_the_application_runs_within(rocketjob):
    seen = []

    @asynccontextmanager
    async def inner(app):
        seen.append(PlacedOrderJob.count())
        yield {"answer": 42}
        seen.append("ended")

    with TestClient(make_app(inner)) as client:
        assert client.app_state == {"answer": 42}
    assert seen == [0, "ended"]


@pytest.fixture
def process(monkeypatch):
    """Set this process back afterwards: the application of a test is not in a sandbox here."""
    monkeypatch.setattr(application, "_overrides", {})
    config = application.config_module.load({"url": "sqlite://:memory:"})
    with application.using(application.Application(config)):
        yield


def test_the_store_is_opened_at_the_start_and_closed_at_the_end(process, tmp_path):
    with TestClient(make_app(url=f"sqlite:///{tmp_path}/jobs.db")) as client:
        assert (tmp_path / "jobs.db").exists()
        assert application.current()._store is not None
        assert client.post("/orders/2").status_code == 200
    assert application.current()._store is None


def test_an_application_starts_while_the_store_is_away_and_answers_503(process):
    pytest.importorskip("pymongo")
    url = "mongodb://127.0.0.1:1/jobs?serverSelectionTimeoutMS=20"
    with TestClient(make_app(url=url)) as client:
        answer = client.post("/orders/2")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "127.0.0.1" not in answer.text and "try again" in answer.json()["detail"]


# --- dependencies --------------------------------------------------------------------------------


def test_a_job_is_stored_if_the_endpoint_returns_and_not_if_it_raises(rocketjob):
    with TestClient(make_app()) as client:
        assert client.post("/orders/4").status_code == 422
        assert PlacedOrderJob.count() == 0
        id = client.post("/orders/2").json()
        assert [str(job.id) for job in PlacedOrderJob.all()] == [id]
        with pytest.raises(ValidationError, match="number"):
            client.post("/orders/10")


def test_a_job_is_found_by_its_id_and_else_it_is_404(rocketjob):
    job, other = PlacedOrderJob.create(number=7), OtherJob.create()
    with TestClient(make_app()) as client:
        assert client.get(f"/jobs/{job.id}").json() == {"number": 7}
        for id in (other.id, "55aeaf03a26ec0c1bd00008d", "none"):
            answer = client.get(f"/jobs/{id}")
            assert (answer.status_code, answer.json()["detail"]) == (
                404,
                f"There is no PlacedOrderJob {id}.",
            )


# --- the event loop ------------------------------------------------------------------------------


class SlowStore:
    """The store of a sandbox, which answers only once the event loop has run something else."""

    def __init__(self, store):
        self._store, self.is_asked, self.may_answer = store, threading.Event(), threading.Event()

    def __getattr__(self, name):
        return getattr(self._store, name)

    def collection(self, *args, **kwargs):
        self.is_asked.set()
        assert self.may_answer.wait(PATIENCE), "the event loop stood still"
        return self._store.collection(*args, **kwargs)


@pytest.fixture
def slow_store(rocketjob, monkeypatch):
    store = SlowStore(rocketjob.application.store)
    monkeypatch.setattr(rocketjob.application, "_store", store)
    yield store
    store.may_answer.set()


async def create():
    return await PlacedOrderJob.create_async(number=3)


async def find():
    with pytest.raises(rocketjob.NotFound):
        await PlacedOrderJob.find_async("55aeaf03a26ec0c1bd00008d")


async def listed():
    assert await PlacedOrderJob.where(number=3).list_async() == []


async def iterated():
    assert [job async for job in PlacedOrderJob.all()] == []


async def called():
    assert await off_loop(PlacedOrderJob.count) == 0


@pytest.mark.parametrize("call", [create, find, listed, iterated, called])
def test_an_endpoint_that_waits_for_the_store_lets_others_be_answered(slow_store, call):
    app = FastAPI()

    @app.get("/slow")
    async def slow():
        await call()

    @app.get("/other")
    async def other():
        slow_store.may_answer.set()

    async def main():
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://shop") as client:
            waiting = asyncio.create_task(client.get("/slow"))
            while not slow_store.is_asked.is_set():
                await asyncio.sleep(0.001)
            assert not waiting.done()
            assert (await client.get("/other")).status_code == 200
            assert (await waiting).status_code == 200

    asyncio.run(main())


def test_an_endpoint_that_waits_for_a_job_lets_the_others_go_on(rocketjob):
    app = FastAPI()

    @app.get("/receipt/{job_id}")
    async def receipt(job: Annotated[PlacedOrderJob, Depends(found(PlacedOrderJob))]):
        return (await job.wait_async(PATIENCE)).state

    @app.post("/work")
    async def work():
        return await off_loop(rocketjob.work_off)

    async def main():
        job = await PlacedOrderJob.create_async()
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://shop") as client:
            waiting = asyncio.create_task(client.get(f"/receipt/{job.id}"))
            assert (await client.post("/work")).json() == 1
            assert (await waiting).json() == "completed"

    asyncio.run(main())
