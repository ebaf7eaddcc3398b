"""What one job leaves to the next: nothing, or a line in the log."""

import asyncio
import contextvars
import decimal
import locale
import logging
import logging.config
import os
import threading

import pytest

from rocketjob import Job, after, before
from rocketjob.base import log as logs
from rocketjob.base.errors import UnsupportedOperation
from rocketjob.base.log_service import LogService
from rocketjob.jobs.performance import Performance
from rocketjob.worker import async_loop
from support.jobs import stored
from support.runtime import Gate, eventually, running_pool, states

tenant = contextvars.ContextVar("tenant", default="none")


class Kept(Job):
    destroy_on_complete = False


class SettingJob(Kept):
    fails: bool = False

    def perform(self):
        tenant.set("acme")
        decimal.getcontext().prec = 3
        if self.fails:
            raise ValueError("on purpose")


class AsyncSettingJob(Kept):
    async def perform(self):
        tenant.set("acme")
        decimal.getcontext().prec = 3


class ReadingJob(Kept):
    collect_output = True

    def perform(self):
        return {"tenant": tenant.get(), "third": str(decimal.Decimal(1) / 3)}


class AsyncReadingJob(Kept):
    collect_output = True

    async def perform(self):
        return {"tenant": tenant.get(), "third": str(decimal.Decimal(1) / 3)}


class OwnCallbacks:
    seen_before: str = ""
    seen_after: str = ""

    @before("start")
    def begin(self):
        tenant.set("mine")

    @after("perform")
    def look(self):
        self.seen_before = tenant.get()

    @after("complete")
    def end(self):
        self.seen_after = tenant.get()
        self.save()


class CallbackJob(OwnCallbacks, Kept):
    seen_before: str = ""
    seen_after: str = ""

    def perform(self):
        tenant.set(tenant.get() + " and more")


class AsyncCallbackJob(OwnCallbacks, Kept):
    seen_before: str = ""
    seen_after: str = ""

    async def perform(self):
        await asyncio.sleep(0)
        tenant.set(tenant.get() + " and more")


FRESH = {"tenant": "none", "third": "0." + "3" * 28}
SETTING = [(SettingJob, {}), (SettingJob, {"fails": True}), (AsyncSettingJob, {})]


@pytest.mark.parametrize(("cls", "fields"), SETTING)
@pytest.mark.parametrize("reader", [ReadingJob, AsyncReadingJob])
def test_what_a_job_sets_is_gone_for_the_next_one(file_store, cls, fields, reader):
    first, second = cls.create(priority=1, **fields), reader.create()
    with running_pool(file_store, threads=1):
        eventually(lambda: set(states().values()) <= {"completed", "failed"})
    assert stored(first)["state"] == ("failed" if fields else "completed")
    assert stored(second)["result"] == FRESH


@pytest.mark.parametrize(("cls", "fields"), SETTING)
def test_what_a_job_sets_does_not_come_out_of_work_off_and_perform_now(rocketjob, cls, fields):
    cls.create(**fields)
    assert rocketjob.work_off() == 1
    try:
        cls(**fields).perform_now()
    except ValueError:
        assert fields
    assert (tenant.get(), decimal.getcontext().prec) == ("none", 28)


@pytest.mark.parametrize("cls", [CallbackJob, AsyncCallbackJob])
def test_callbacks_before_and_after_share_the_context_of_perform(file_store, cls):
    job = cls.create()
    with running_pool(file_store, threads=2):
        eventually(lambda: stored(job).get("seen_after"))
    assert stored(job)["seen_before"] == "mine and more"
    assert stored(job)["seen_after"] == "mine and more"


def test_what_an_app_sets_at_import_holds_for_every_job(file_store):
    job = ReadingJob.create()

    def serve():
        tenant.set("of the app")
        decimal.getcontext().prec = 5
        with running_pool(file_store, threads=1):
            eventually(lambda: stored(job)["state"] == "completed")

    contextvars.copy_context().run(serve)
    decimal.getcontext().prec = 28
    assert stored(job)["result"] == {"tenant": "of the app", "third": "0.33333"}


# --- the event loop -----------------------------------------------------------------------------


class StoppingJob(Kept):
    async def perform(self):
        asyncio.get_running_loop().stop()
        await asyncio.sleep(0)


class WaitingJob(Kept):
    gate = None

    async def perform(self):
        await asyncio.to_thread(type(self).gate.pass_through)


def test_a_job_that_stops_the_event_loop_stops_no_other_one(file_store, monkeypatch):
    gate = Gate()
    monkeypatch.setattr(WaitingJob, "gate", gate)
    waiting = WaitingJob.create()
    with running_pool(file_store, threads=2):
        gate.wait_for_entry()
        stopping = StoppingJob.create()
        eventually(lambda: stored(stopping)["state"] == "completed")
        gate.open()
        eventually(lambda: stored(waiting)["state"] == "completed")


class NestingJob(Kept):
    async def perform(self):
        AsyncReadingJob().perform_now()


class ThreadNestingJob(Kept):
    collect_output = True

    async def perform(self):
        return await asyncio.to_thread(AsyncReadingJob().perform_now)


def test_perform_now_of_an_async_job_within_one_says_what_to_write(file_store):
    job, other = NestingJob.create(), AsyncReadingJob.create()
    with running_pool(file_store, threads=2):
        eventually(lambda: set(states().values()) == {"completed", "failed"})
    assert "await asyncio.to_thread(job.perform_now)" in stored(job)["exception"]["message"]
    assert stored(job)["exception"]["class_name"] == UnsupportedOperation.__name__
    assert stored(other)["state"] == "completed"


def test_what_that_error_says_works(file_store):
    job = ThreadNestingJob.create()
    with running_pool(file_store, threads=1):
        eventually(lambda: stored(job)["state"] == "completed")
    assert stored(job)["result"] == FRESH


def test_an_awaitable_is_refused_on_the_loop_itself_whoever_waits_for_it():
    async def outer():
        with pytest.raises(UnsupportedOperation):
            async_loop.run(asyncio.sleep(0), Performance())

    try:
        async_loop.run(outer(), Performance())
    finally:
        async_loop.close()


# --- ends of any kind ---------------------------------------------------------------------------


class Mute(Exception):
    def __str__(self):
        raise KeyboardInterrupt

    __repr__ = __str__


class EndsSomehowJob(Kept):
    how: str

    def perform(self):
        return ENDS[self.how]()


class AsyncEndingJob(Kept):
    how: str

    async def perform(self):
        return ENDS[self.how]()


def raised(error):
    def end():
        raise error

    return end


ENDS = {
    "mute": raised(Mute()),
    "base": raised(BaseException("on purpose")),
    "exit": raised(SystemExit(3)),
    "interrupt": raised(KeyboardInterrupt()),
    "stop": raised(StopIteration(1)),
    "generator exit": raised(GeneratorExit()),
    "cancelled": raised(asyncio.CancelledError()),
    "group": raised(BaseExceptionGroup("several", [SystemExit(1), ValueError("x")])),
    "cause": raised(type("Chained", (Exception,), {"__cause__": Mute()})("on purpose")),
    "generator": lambda: (each for each in "ab"),
}


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize(
    ("cls", "places"), [(EndsSomehowJob, 0), (AsyncEndingJob, 0), (AsyncEndingJob, 1)]
)
def test_however_perform_ends_it_is_one_failed_job_and_the_worker_lives(
    file_store, cls, places, how
):
    job, other = cls.create(how=how, priority=1), ReadingJob.create()
    with running_pool(file_store, threads=1, async_workers=places):
        eventually(lambda: set(states().values()) == {"completed", "failed"})
    assert stored(job)["state"] == "failed"
    assert stored(job)["exception"]["class_name"]
    assert stored(job)["failure_count"] == 1
    assert stored(other)["state"] == "completed"
    async_loop.close()


def test_a_generator_that_perform_returns_is_said_to_be_work_that_nobody_does(rocketjob):
    with pytest.raises(TypeError, match="return a list of what it yields"):
        EndsSomehowJob(how="generator").perform_now()


class ForkingJob(Kept):
    code: int | None = None
    collect_output = True

    def perform(self):
        pid = os.fork()
        if pid == 0:
            if self.code is None:
                return None
            raise SystemExit(self.code)
        return {"code": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}


@pytest.mark.parametrize(("code", "seen"), [(None, 0), (7, 7)])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_process_that_a_job_forks_does_not_go_on_as_a_worker(file_store, code, seen):
    job = ForkingJob.create(code=code)
    with running_pool(file_store, threads=1):
        eventually(lambda: stored(job)["state"] == "completed")
    assert stored(job)["result"] == {"code": seen}
    assert stored(job)["claim_number"] == 1


class AsyncForkingJob(ForkingJob):
    waits: bool = False

    async def perform(self):
        await asyncio.sleep(0)
        pid = os.fork()
        if pid == 0:
            if self.waits:
                await asyncio.sleep(0)
            raise SystemExit(self.code)
        status = await asyncio.to_thread(os.waitpid, pid, 0)
        return {"code": os.waitstatus_to_exitcode(status[1])}


@pytest.mark.parametrize("places", [0, 2])
@pytest.mark.parametrize(("waits", "seen"), [(False, 7), (True, 1)])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_process_that_a_coroutine_forks_goes_on_with_no_coroutine(
    file_store, places, waits, seen
):
    job = AsyncForkingJob.create(code=7, waits=waits)
    with running_pool(file_store, threads=1, async_workers=places):
        eventually(lambda: stored(job)["state"] in ("completed", "failed"))
    assert stored(job)["result"] == {"code": seen}
    async_loop.close()


# --- what belongs to the process ----------------------------------------------------------------


class WanderingJob(Kept):
    def perform(self):
        os.chdir("/")
        locale.setlocale(locale.LC_ALL, "C")


class HoldingJob(Kept):
    gate = None

    def perform(self):
        type(self).gate.pass_through()


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = locale.setlocale(locale.LC_ALL)
    locale.setlocale(locale.LC_ALL, "C.UTF-8")
    yield str(tmp_path)
    locale.setlocale(locale.LC_ALL, before)


def test_directory_and_locale_are_put_back_and_named_in_the_log(file_store, elsewhere, caplog):
    job = WanderingJob.create()
    with running_pool(file_store, threads=1):
        eventually(lambda: stored(job)["state"] == "completed")
    assert os.getcwd() == elsewhere
    assert locale.setlocale(locale.LC_ALL) == "C.UTF-8"
    assert "the working directory was changed while a job ran" in caplog.text
    assert "the locale was changed while a job ran" in caplog.text


class SpeakingJob(Kept):
    def perform(self):
        locale.setlocale(locale.LC_ALL, "C")


def test_the_locale_alone_is_put_back_too(file_store, elsewhere, caplog):
    job = SpeakingJob.create()
    with running_pool(file_store, threads=1):
        eventually(lambda: stored(job)["state"] == "completed")
    assert locale.setlocale(locale.LC_ALL) == "C.UTF-8"
    assert "the locale was changed while a job ran" in caplog.text
    assert "the working directory" not in caplog.text


def test_they_are_put_back_when_no_other_job_is_performed(file_store, elsewhere, monkeypatch):
    gate = Gate()
    monkeypatch.setattr(HoldingJob, "gate", gate)
    held = HoldingJob.create()
    with running_pool(file_store, threads=2):
        gate.wait_for_entry()
        job = WanderingJob.create()
        eventually(lambda: stored(job)["state"] == "completed")
        assert os.getcwd() == "/"
        gate.open()
        eventually(lambda: stored(held)["state"] == "completed")
    assert os.getcwd() == elsewhere


def test_the_store_is_found_whatever_the_directory_is(tmp_path, elsewhere):
    from rocketjob.application import Application
    from rocketjob.base import config

    app = Application(config.load({"url": "sqlite:///jobs.db"}, environ={}, directory=tmp_path))
    os.chdir("/")
    app.store.collection("docs").insert_one({"_id": 1})
    assert os.getcwd() == "/"
    assert (tmp_path / "jobs.db").exists()
    app.close()


class ConfiguringJob(Kept):
    how: str

    def perform(self):
        if self.how == "dictConfig":
            logging.config.dictConfig({"version": 1, "root": {"handlers": [], "level": "ERROR"}})
        elif self.how == "force":
            logging.basicConfig(force=True, handlers=[logging.NullHandler()])
        else:
            logging.disable(logging.CRITICAL)


@pytest.fixture
def service(tmp_path):
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    made = LogService("info", str(tmp_path / "x.log")).start()
    yield made
    made.stop()
    root.handlers[:] = before
    root.setLevel(level)
    for name in list(logging.root.manager.loggerDict):  # which dictConfig has disabled
        logging.getLogger(name).disabled = False
    logging.getLogger("rocketjob").setLevel(logging.NOTSET)


@pytest.mark.parametrize("how", ["dictConfig", "force", "disable"])
def test_a_job_that_configures_logging_does_not_silence_the_server(
    file_store, service, tmp_path, how
):
    job = ConfiguringJob.create(how=how, priority=1)
    other = EndsSomehowJob.create(how="base")
    with running_pool(file_store, threads=1):
        eventually(lambda: set(states().values()) == {"completed", "failed"})
    assert stored(job)["state"] == "completed"
    service.stop()
    said = (tmp_path / "x.log").read_text()
    assert "logging was configured while a job ran" in said
    assert "on purpose" in said
    assert stored(other)["state"] == "failed"


class MeetsAnother(str):
    """A logger's name; while it is looked at, another thread makes a logger."""

    def startswith(self, *prefix):
        logging.getLogger(f"{self}.another")
        return super().startswith(*prefix)


def test_loggers_that_others_make_while_logging_is_put_back_do_not_disturb(service, monkeypatch):
    loggers = logging.root.manager.loggerDict
    for name in ("meets", "meets.another"):
        monkeypatch.setitem(loggers, name, None)
        del loggers[name]
    logging.getLogger(MeetsAnother("meets"))
    logging.disable(logging.CRITICAL)
    logs.put_back()
    assert "meets.another" in loggers
    assert logs.is_heard()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_a_forked_child_logs_is_written(service, tmp_path, monkeypatch):
    # pytest's own file would stay locked in a child that is forked while the thread writes to it.
    monkeypatch.setattr(logging.getLogger(), "handlers", [service._handler])
    stop = threading.Event()

    def chat():
        while not stop.is_set():
            logging.getLogger("chat").warning("and so on")

    thread = threading.Thread(target=chat)
    thread.start()
    try:
        for number in range(10):
            pid = os.fork()
            if pid == 0:
                logging.getLogger("app").error("said in the child %d", number)
                service.stop()
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
    finally:
        stop.set()
        thread.join()
    service.stop()
    said = (tmp_path / "x.log").read_text()
    assert [n for n in range(10) if said.count(f"said in the child {n}") != 1] == []
