"""A supervisor watches a store for its processes, where the store does not tell of everything."""

import threading
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from rocketjob import Job
from rocketjob.base import clock
from rocketjob.jobs.limit import Limit
from rocketjob.server import events, orders
from rocketjob.server.looks import QUIET_SECONDS
from rocketjob.server.relay import BUSY_SECONDS, LEAST, Relay
from rocketjob.server.server import Server
from rocketjob.store import Capabilities
from rocketjob.store.changes import Told
from support.runtime import queue_of

LONGEST = 5  # max_poll_seconds
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class RelayedJob(Job):
    destroy_on_complete = False

    def perform(self): ...


ITS = {"_type": "LimitedRelayedJob"}


class LimitedRelayedJob(RelayedJob):
    def claim_limits(self):
        return [Limit(name="alone", key="relayed", maximum=1, counts=ITS, blocks=ITS)]


@attrs.define
class FakeSlots:
    worked: int = 0


@attrs.define
class FakeProcess:
    """What the relay asks of a worker process."""

    resting: bool = True
    at: list = attrs.field(factory=list)
    rung: int = 0
    slots: FakeSlots = attrs.field(factory=FakeSlots)

    def is_resting(self):
        return self.resting

    def performed(self):
        return self.at

    def ring(self):
        self.rung += 1


@pytest.fixture
def process():
    return FakeProcess()


def relay(rocketjob, process, **can):
    made = Relay(rocketjob.application, queue_of(rocketjob), lambda: [process])
    made._can = Capabilities(several_processes=True, transactions=False, **can)
    made.look()  # what there is at the start
    return made


@pytest.fixture
def polling(rocketjob, process):
    rocketjob.freeze(NOON)
    return relay(rocketjob, process, wake_up=False)


def after(rocketjob, seconds):
    rocketjob.travel(timedelta(seconds=seconds))


def idle(rocketjob, polling):
    """Let so much time pass with nothing that each look is as late as it can be."""
    for _ in range(100):
        after(rocketjob, LONGEST)
        assert not polling.look()


# --- what is noticed, at the latest after max_poll_seconds -------------------------------------


def edit_the_server(rocketjob):
    Server.collection().update_one({}, {"$set": {"state": "stopping"}})  # as in mongosh


def make_a_job_due(rocketjob):
    RelayedJob.collection().update_one({"_id": RelayedJob.first().id}, {"$unset": {"run_at": ""}})


NOTICED = {
    "a new job": lambda rocketjob: RelayedJob.create(),
    "a job that was made due by hand": make_a_job_due,
    "an event": lambda rocketjob: events.publish("cache", "flush"),
    **{
        f"an order to {order}": lambda rocketjob, order=order: getattr(Server.first(), order)()
        for order in ("pause", "drain", "stop")
    },
}
LATER = {  # for which nobody announces anything
    "another server": lambda rocketjob: Server.create(name="two"),
    "a server edited by hand": edit_the_server,
}


@pytest.mark.parametrize("name", [*NOTICED, *LATER])
def test_it_is_noticed_at_the_next_look(rocketjob, polling, name):
    Server.create(name="one", state="running")
    RelayedJob.create(run_at=NOON + timedelta(days=9))
    after(rocketjob, LONGEST)
    polling.look()
    idle(rocketjob, polling)
    (NOTICED | LATER)[name](rocketjob)
    after(rocketjob, LONGEST if name in NOTICED else QUIET_SECONDS)
    assert polling.look()


def test_who_is_killed_is_told_once_and_of_the_next_order_too_if_that_was_too_late(rocketjob):
    def told():
        return [each["action"] for each in rocketjob.store.collection(events.COLLECTION).find({})]

    server = Server.create(name="one", state="running")
    edit_the_server(rocketjob)
    orders.kill(server)
    assert told() == ["kill"]
    Server.collection().update_one({}, {"$set": {"state": "running"}})
    server.pause()
    assert told() == ["kill", "refresh"]


def test_an_order_that_cannot_be_announced_is_given_all_the_same(rocketjob, monkeypatch, caplog):
    server = Server.create(name="one", state="running")

    def refused(*arguments, **parameters):
        raise OSError("no room")

    monkeypatch.setattr(events, "publish", refused)
    server.pause()
    assert Server.first().state == "paused"
    assert "an order is not announced" in caplog.text


def test_a_scheduled_job_is_noticed_when_it_is_due(rocketjob, polling):
    RelayedJob.create(run_at=NOON + timedelta(hours=1))
    idle(rocketjob, polling)
    rocketjob.travel(NOON + timedelta(hours=1) - timedelta(seconds=1))
    assert not polling.look()
    after(rocketjob, 1 + LONGEST)
    assert polling.look()


def test_a_job_that_waits_for_a_limit_has_the_processes_look_each_time(rocketjob, polling):
    LimitedRelayedJob.create_many([{}, {}])
    assert len(queue_of(rocketjob, "other.1").claim(2)) == 1
    for _ in range(3):
        after(rocketjob, LONGEST)
        assert polling.look()


def test_while_no_process_has_room_nobody_looks_for_jobs(rocketjob, polling, process):
    process.resting = False
    RelayedJob.create()
    after(rocketjob, LONGEST)
    assert not polling.look()
    process.resting = True
    after(rocketjob, LONGEST)
    assert polling.look()


def test_jobs_of_classes_that_others_run_are_nobodys_business_here(rocketjob, polling):
    RelayedJob.create()
    RelayedJob.collection().update_one({}, {"$set": {"_type": "ElsewhereJob"}})
    after(rocketjob, LONGEST)
    assert not polling.look()


# --- how often ---------------------------------------------------------------------------------


def test_the_pauses_grow_with_the_time_that_nothing_happened_and_shrink_when_something_does(
    rocketjob, polling, process
):
    def pause():
        return {name: polling.pause(name, clock.elapsed()) for name in LEAST}

    assert pause() == LEAST
    after(rocketjob, 20)
    assert not polling.look()
    assert pause() == pytest.approx(dict.fromkeys(LEAST, 2.0), rel=0.5)
    after(rocketjob, 3600)
    assert not polling.look()
    assert pause() == {"jobs": LONGEST, "events": LONGEST, "orders": QUIET_SECONDS}
    process.at.append("a job")
    assert set(pause().values()) == {BUSY_SECONDS}
    process.at.clear()
    process.slots.worked += 1
    polling.look()
    assert pause() == LEAST
    after(rocketjob, 3600)
    polling.look()
    RelayedJob.create()
    after(rocketjob, LONGEST)
    assert polling.look()
    assert pause() == LEAST


def test_nothing_is_looked_for_before_its_time(rocketjob, polling):
    idle(rocketjob, polling)
    RelayedJob.create()
    after(rocketjob, LONGEST - 1)
    assert not polling.look()
    after(rocketjob, 1)
    assert polling.look()


def test_a_store_that_tells_of_all_is_not_looked_at(rocketjob, process):
    made = relay(rocketjob, process, wake_up=True, sees_all=True)
    RelayedJob.create()
    after(rocketjob, 3600)
    assert not made.look()


def test_what_a_store_was_not_told_of_is_looked_for_every_few_seconds(rocketjob, process):
    rocketjob.freeze(NOON)
    made = relay(rocketjob, process, wake_up=True)
    RelayedJob.create()  # by a process that was killed before it could tell, say
    after(rocketjob, LONGEST - 1)
    assert not made.look()
    after(rocketjob, 1)
    assert made.look()


# --- passing it on -----------------------------------------------------------------------------


def test_all_processes_are_told_and_who_waits_here(rocketjob, polling, process):
    mark = polling.change_mark()
    polling.tell()
    assert process.rung == 1
    assert polling.wait_for_change(mark, 0)


def test_what_the_store_tells_of_is_passed_on_and_an_error_ends_nothing(
    rocketjob, process, monkeypatch
):
    made = relay(rocketjob, process, wake_up=True, sees_all=True)
    told, store = Told(), made._store
    failures = [OSError("gone")]

    class Telling:
        capabilities, collection = store.capabilities, store.collection

        def change_mark(self):
            if failures:
                raise failures.pop()
            return told.change_mark()

        wait_for_change = told.wait_for_change

    made._store = Telling()
    monkeypatch.setattr("rocketjob.server.relay.RETRY", 0.001)
    mark = made.change_mark()
    made.start()
    assert made.wait_for_change(mark, 30)  # whoever waits meets the error
    mark = made.change_mark()
    told.add()
    assert made.wait_for_change(mark, 30)
    made.stop()
    assert process.rung >= 1


# --- nothing is missed ---------------------------------------------------------------------------


def test_what_is_written_while_others_are_told_is_told_as_well(rocketjob, process):
    made, store = relay(rocketjob, process, wake_up=True, sees_all=True), Told()
    made._store, news = store, iter([store.add])

    def look():
        next(news, int)()  # the first news come once the relay waits for them
        return False

    class AnsweringProcess(FakeProcess):
        def ring(self):
            self.rung += 1
            if self.rung == 1:
                store.add()
            else:
                made._stopping.set()

    told = AnsweringProcess()
    made.look, made._processes = look, lambda: [told]
    too_late = threading.Timer(10, made._stopping.set)
    too_late.start()
    made._run()
    too_late.cancel()
    assert told.rung == 2


def test_where_the_store_tells_of_everything_it_is_waited_for(rocketjob, process):
    made, waits = relay(rocketjob, process, wake_up=True, sees_all=True), []

    class SilentStore(Told):
        def wait_for_change(self, mark, timeout, interrupt=None):
            waits.append(timeout)
            made._stopping.set()
            return False

    made._store = SilentStore()
    made._run()
    assert waits == [QUIET_SECONDS]
