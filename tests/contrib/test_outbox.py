"""Jobs that are committed with the application's data: with SQLAlchemy, and across deaths."""

import asyncio
import json
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")

from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session, scoped_session, sessionmaker

import support
from rocketjob import (
    Job,
    StoreUnavailable,
    ValidationError,
    after,
    hookimpl,
)
from rocketjob.base.errors import DocumentTooLarge
from rocketjob.cli.doctor import examine
from rocketjob.server.checks import Patient
from rocketjob_contrib.outbox import outbox as every_outbox
from rocketjob_contrib.outbox import receipts, sweep
from rocketjob_contrib.sqlalchemy import Outbox
from rocketjob_plugins.singleton import Singleton

PROGRAM = Path(support.__file__).with_name("dying_relay.py")


class CommittedJob(Job):
    """Is added to an outbox."""

    number: int = 0

    def perform(self): ...


class CommittedWithoutPerformJob(Job):
    pass


class CommittedOnceJob(Singleton, CommittedJob):
    pass


@pytest.fixture
def engine(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path}/own.db")
    with engine.begin() as connection:
        connection.execute(text("create table orders (number int)"))
    yield engine
    engine.dispose()


@pytest.fixture
def outbox(engine):
    outbox = Outbox(engine)
    outbox.create_table()
    return outbox


def rows(outbox):
    return outbox.read("", 100, None)


def looked_at(rocketjob):
    found = examine(Patient(rocketjob.application, {}))
    return [(each.status, each.message) for each in found if each.area == "outbox"]


@pytest.mark.both_stores
def test_a_job_is_stored_as_soon_as_the_session_is_committed(rocketjob, outbox, engine):
    with Session(engine) as session, session.begin():
        session.execute(text("insert into orders values (1)"))
        job = outbox.add(session, CommittedJob(number=1))
        assert Job.count() == 0
    assert CommittedJob.find(job.id).number == 1
    assert rows(outbox) == []
    assert rocketjob.work_off() == 1


def test_a_job_of_what_is_rolled_back_is_never_stored(rocketjob, outbox, engine):
    with pytest.raises(KeyError), Session(engine) as session, session.begin():
        outbox.add(session, CommittedJob())
        raise KeyError
    assert (rows(outbox), outbox.relay(), Job.count()) == ([], 0, 0)


def test_of_a_savepoint_that_is_rolled_back_no_job_is_stored_and_of_the_rest_all(
    rocketjob, outbox, engine
):
    session = Session(engine)
    for number in (1, 2):  # the session is used again
        outbox.add(session, CommittedJob(number=number))
        with session.begin_nested() as savepoint:
            outbox.add(session, CommittedJob(number=-number))
            savepoint.rollback()
        session.commit()
        assert {job.number for job in CommittedJob.where({})} == set(range(1, number + 1))
    session.close()


def test_what_a_connection_has_committed_is_relayed_by_a_server(rocketjob, outbox, engine):
    with engine.begin() as connection:
        outbox.add(connection, CommittedJob())
    assert (len(rows(outbox)), Job.count()) == (1, 0)
    sweep()
    assert (len(rows(outbox)), Job.count()) == (0, 1)


def test_a_scoped_session_will_do(rocketjob, outbox, engine):
    session = scoped_session(sessionmaker(engine))
    outbox.add(session, CommittedJob())
    session.commit()
    session.remove()
    assert Job.count() == 1


def test_an_event_loop_is_not_kept_waiting_for_the_store(rocketjob, outbox, engine, monkeypatch):
    threads = []
    monkeypatch.setattr(outbox, "relay", lambda ids: threads.append(threading.current_thread()))

    async def view():
        with Session(engine) as session, session.begin():
            outbox.add(session, CommittedJob())
        await asyncio.get_running_loop().shutdown_default_executor()

    asyncio.run(view())
    assert len(threads) == 1 and threads[0] is not threading.main_thread()


def test_while_the_store_is_away_data_are_committed_and_jobs_follow_later(
    rocketjob, outbox, engine, monkeypatch
):
    def away(document):
        asked.append(document)
        raise StoreUnavailable("away")

    asked = []
    monkeypatch.setattr(receipts, "store_once", away)
    for _ in range(3):
        with Session(engine) as session, session.begin():
            outbox.add(session, CommittedJob())
    assert (len(asked), len(rows(outbox))) == (1, 3)  # the others have not waited for it
    with pytest.raises(StoreUnavailable):
        sweep()
    assert looked_at(rocketjob) == []
    rocketjob.travel(timedelta(minutes=2))
    ((status, message),) = looked_at(rocketjob)
    assert status == "warning" and "3 jobs committed more than a minute ago" in message
    monkeypatch.undo()
    sweep()
    assert (rows(outbox), Job.count(), looked_at(rocketjob)) == ([], 3, [])


@pytest.mark.both_stores
def test_a_job_that_the_store_refuses_waits_keeps_no_other_back_and_is_named(
    rocketjob, outbox, engine
):
    with Session(engine) as session, session.begin():
        outbox.add(session, CommittedOnceJob())
        outbox.add(session, CommittedOnceJob(number=2))
        outbox.add(session, CommittedJob())
    assert Job.count() == 2
    (row,) = rows(outbox)
    assert "duplicate" in row.error.lower()
    rocketjob.travel(timedelta(minutes=2))
    ((status, message),) = looked_at(rocketjob)
    assert status == "problem" and row.error in message
    assert rocketjob.work_off() == 2
    sweep()
    assert (rows(outbox), CommittedOnceJob.first().number) == ([], 2)


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        (lambda: CommittedJob(priority=1000), ValidationError, "priority"),
        (CommittedJob.create, ValueError, "is stored already"),
        (lambda: CommittedJob, TypeError, "takes a job, such as ReportJob"),
        (CommittedWithoutPerformJob, NotImplementedError, "perform"),
        (lambda: CommittedJob(description="x" * 17_000_000), DocumentTooLarge, "16 MB"),
    ],
)
def test_what_is_no_new_job_is_refused_before_anything_is_committed(
    rocketjob, outbox, engine, wrong, error, said
):
    with Session(engine) as session, session.begin(), pytest.raises(error, match=said):
        outbox.add(session, wrong())
    assert rows(outbox) == []


@pytest.mark.both_stores
def test_of_two_relays_at_the_same_row_one_stores_the_job(rocketjob, outbox, engine):
    with engine.begin() as connection:
        outbox.add(connection, CommittedJob())
    read_by_one = rows(outbox)
    assert outbox.relay() == 1
    assert rocketjob.work_off() == 1
    assert outbox._relay_rows(read_by_one) == 0  # it comes late: the job has completed, and is gone
    assert Job.count() == 0


@pytest.mark.both_stores
def test_a_job_that_is_saved_besides_is_stored_once(rocketjob, outbox, engine):
    with engine.begin() as connection:
        job = outbox.add(connection, CommittedJob())
    job.save()
    outbox.relay()
    assert (rows(outbox), Job.count(), rocketjob.work_off(), Job.count()) == ([], 1, 1, 0)


def test_receipts_are_kept_for_a_day_after_their_rows_are_gone(rocketjob, outbox, engine):
    with Session(engine) as session, session.begin():
        outbox.add(session, CommittedJob())
    kept = rocketjob.store.collection(receipts.COLLECTION)
    for after_hours, number in ((23, 1), (2, 0)):
        rocketjob.travel(timedelta(hours=after_hours))
        sweep()
        assert kept.count_documents({}) == number


def test_callbacks_are_called_when_it_is_added_and_plugins_told_when_it_is_stored(
    rocketjob, outbox, engine
):
    told = []

    class CallingBackJob(CommittedJob):
        @after("create")
        def say(self):
            told.append("created")

    class Watching:
        @hookimpl
        def job_created(self, job):
            told.append(type(job).__name__)

    rocketjob.plugins.register(Watching())
    with engine.begin() as connection:
        outbox.add(connection, CallingBackJob())
    assert told == ["created"]
    outbox.relay()
    outbox.relay()
    assert told == ["created", "CallingBackJob"]


def test_more_jobs_than_are_read_at_once_are_all_relayed(rocketjob, outbox, engine, monkeypatch):
    monkeypatch.setattr(every_outbox, "PAGE", 2)
    with Session(engine) as session, session.begin():
        for number in range(5):
            outbox.add(session, CommittedJob(number=number))
    assert Job.count() == 2  # who commits many waits for a page of them
    sweep()
    assert sorted(job.number for job in CommittedJob.where({})) == list(range(5))


def die_at_every_step(kind, folder, url):
    ran = subprocess.run(
        [sys.executable, str(PROGRAM), kind, str(folder), url],
        env={"PATH": "", "PYTHONPATH": str(PROGRAM.parents[1])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout)["points"]


def test_a_relay_of_django_may_die_at_any_step(tmp_path):
    pytest.importorskip("django")
    assert die_at_every_step("django", tmp_path, f"sqlite:///{tmp_path}/{{n}}-jobs.db") >= 6


def test_a_relay_of_sqlalchemy_may_die_at_any_step_on_mongodb(tmp_path, mongo_url):
    url = f"{mongo_url}?rocketjobTransactions=false&rocketjobWakeUp=tailable"
    assert die_at_every_step("sqlalchemy", tmp_path, url) >= 6
