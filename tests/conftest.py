"""What every test stands on: nothing of one test is left for the next."""

import gc
import os

import pytest
from hypothesis import HealthCheck, settings

from rocketjob import application
from rocketjob.base import clock
from rocketjob.model import registry
from rocketjob.model.document_class import DocumentClass, forget_chains
from rocketjob.store import context
from rocketjob.worker import async_loop
from support import made_once, on_mongodb

settings.register_profile(
    "rocketjob",
    deadline=None,  # the machines are shared: a slow example is not a failure
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("rocketjob")
made_once.keep()


# They start servers, kill processes, or look how long something takes: two at once would disturb
# each other. With `pytest -n 3` one process has them all, and the others have the rest meanwhile.
ONE_AT_A_TIME = (
    "tests/acceptance/test_batch_chaos.py",  # the first to be collected, so that they begin at once
    "tests/acceptance/test_chaos.py",
    "tests/acceptance/test_chaos_servers.py",
    "tests/acceptance/test_faults.py",
    "tests/acceptance/test_hanging.py",
    "tests/acceptance/test_idle.py",
    "tests/acceptance/test_installed_example.py",
    "tests/acceptance/test_limits.py",
    "tests/acceptance/test_mongodb.py",
    "tests/acceptance/test_moved_stores.py",
    "tests/acceptance/test_ordinary_processes.py",
    "tests/acceptance/test_prefork.py",
    "tests/acceptance/test_replaced_processes.py",
    "tests/acceptance/test_resumable_killed.py",
    "tests/contrib/mission_control/test_browser.py",
    "tests/kernel/cli/test_reloading.py",
    "tests/kernel/cli/test_server.py",
    "tests/kernel/cli/test_servers.py",
    "tests/plugins/jobs/test_dirmon_killed.py",
    "tests/plugins/jobs/test_housekeeping.py",
    "tests/plugins/store_mongodb/test_wake_up.py",
    "tests/plugins/perf/test_workloads.py",
    "tests/plugins/test_demo.py",
)
# Each of their tests takes long: one process alone would be the last to end.
SHARED_OUT = (
    "tests/acceptance/test_interrupted_mongodb.py",
    "tests/acceptance/test_kills_commands.py",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Hand out whole files, so that a module's fixtures are made once; those above as if one."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            if file in SHARED_OUT:
                return nodeid
            return ONE_AT_A_TIME if file in ONE_AT_A_TIME else file

    config.option.loadscopereorder = False  # which begins with the files of the most tests
    return Scheduling(config, log)


def pytest_collection_finish(session):
    """Leave what was imported out of every later look for garbage, and of what a fork copies."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _no_trace_of_a_test(monkeypatch):
    """Give each test the process's settings, clock and outside callbacks as they were."""
    monkeypatch.setattr(application, "_overrides", {})
    before = context.replace(None)
    context.replace(before)
    if before is not None:  # a command that only looks changes it in place
        monkeypatch.setattr(before, "config", before.config)
        monkeypatch.setattr(before, "looks_only", before.looks_only)
    _added_to.clear()  # by modules
    yield
    last = context.replace(before)
    if last is not None and last is not before:
        last.close()
    clock.reset()
    async_loop.close()
    while _added_to:
        cls, callbacks = _added_to.popitem()
        cls.__added_callbacks__[:] = callbacks
        registry.note_change()
        forget_chains(cls)


_added_to = {}  # the classes that callbacks were added to from outside, each with those it had
_add_callbacks = DocumentClass.add_callbacks.__func__


def _add_and_note(cls, callbacks):
    _added_to.setdefault(cls, list(cls.__added_callbacks__))
    _add_callbacks(cls, callbacks)


DocumentClass.add_callbacks = classmethod(_add_and_note)


@pytest.fixture
def file_store(tmp_path, other_store):
    """A sandbox on a SQLite file, for what other processes or connections take part in."""
    from rocketjob.testing import sandbox

    with sandbox(other_store or f"sqlite:///{tmp_path}/rocketjob.db") as made:
        yield made


@pytest.fixture
def rocketjob(other_store):
    """The fixture of `rocketjob.testing`, or the same on the store that is asked for."""
    from rocketjob.testing import sandbox

    with sandbox(*filter(None, [other_store])) as made:
        yield made


def pytest_make_parametrize_id(config, val, argname):
    """Name bytes by their length: those of gzip hold the time, and the processes must agree."""
    return f"{len(val)} bytes" if isinstance(val, bytes) else None


def pytest_configure(config):
    config.addinivalue_line("markers", "both_stores: on MongoDB too, see support/on_mongodb.py")


def pytest_generate_tests(metafunc):
    ways = on_mongodb.ways_of(metafunc.definition)
    if "other_store" in metafunc.fixturenames and ways:
        stores = {"sqlite": None, **{way: way for way in ways}}
        metafunc.parametrize("other_store", stores.values(), indirect=True, ids=list(stores))


def pytest_collection_modifyitems(config, items):
    """Where a store is asked for, run what uses it; what cannot pass there says why."""
    on_mongodb.expect_failures(items)
    if on_mongodb.ASKED_FOR in os.environ:
        others = [item for item in items if "other_store" not in item.fixturenames]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if "other_store" in item.fixturenames]


@pytest.fixture
def other_store(request):
    """The URL of the store of `ROCKETJOB_TEST_STORE`, to run tests unchanged on MongoDB.

    `mongodb`, or `mongodb-plain` for one without transactions and change streams.
    """
    wanted = getattr(request, "param", os.environ.get(on_mongodb.ASKED_FOR))
    if not wanted:
        return None
    url = request.getfixturevalue("mongo_url")
    return "?".join(filter(None, [url, on_mongodb.WAYS[wanted]]))


@pytest.fixture(scope="module")
def mongo_server():
    """The URL of a MongoDB-compatible server, started for this module if none is given.

    SecantusDB tries an update for ever that conflicts with the transaction of a client which was
    killed. A server for all modules would be slower and slower.
    """
    from support.mongo import server_url

    with server_url() as url:
        yield url


@pytest.fixture
def mongo_url(mongo_server):
    """The URL of an empty database."""
    from support.mongo import database_url, drop

    url = database_url(mongo_server)
    yield url
    drop(url)
