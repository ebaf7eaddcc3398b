"""How many connections a process may have, how long it waits for what, and how it tries again."""

from types import SimpleNamespace

import pytest
from pymongo.errors import WriteError

from rocketjob import Job
from rocketjob.store import atomically, port
from rocketjob.testing import sandbox
from rocketjob_plugins.store_mongodb import location

NOWHERE = "mongodb://127.0.0.1:1/jobs"


class Conflict(Exception):
    """What the driver raises where two transactions meet."""

    def has_error_label(self, label):
        return label == "TransientTransactionError"


@pytest.mark.parametrize(("query", "size"), [("", 187), ("?maxPoolSize=3", 3)])
def test_a_pool_is_sized_by_the_workers_unless_the_url_says(mongo_url, query, size):
    with sandbox(mongo_url + query, workers=137) as made:
        assert made.store.client.options.pool_options.max_pool_size == size


def test_every_wait_has_an_end_that_the_url_can_move():
    with (
        location.make_client(NOWHERE) as client,
        location.make_client(
            NOWHERE + "?socketTimeoutMS=5000&serverSelectionTimeoutMS=7000"
        ) as moved,
    ):
        options, pool = client.options, client.options.pool_options
        assert (options.server_selection_timeout, pool.connect_timeout) == (10, 10)
        assert (pool.socket_timeout, pool.wait_queue_timeout) == (60, 10)
        assert client.write_concern.document == {"w": "majority"}
        assert moved.options.server_selection_timeout == 7
        assert moved.options.pool_options.socket_timeout == 5


def test_a_step_that_conflicts_is_made_again_after_pauses_that_grow_to_a_limit(
    rocketjob, monkeypatch
):
    pauses, tried = [], []
    monkeypatch.setattr(port, "time", SimpleNamespace(sleep=pauses.append))

    def step(session):
        tried.append(1)
        raise Conflict

    with pytest.raises(Conflict):
        atomically(rocketjob.store, step)
    assert len(tried) == port.ATTEMPTS
    assert len(pauses) == port.ATTEMPTS - 1
    first, longest = port.BACK_OFF
    for number, pause in enumerate(pauses):
        most = min(longest, first * 2**number)
        assert most / 2 <= pause <= most


def test_two_who_conflict_do_not_try_again_at_the_same_times(rocketjob, monkeypatch):
    pauses = []
    monkeypatch.setattr(port, "time", SimpleNamespace(sleep=pauses.append))

    def step(session):
        raise Conflict

    for _ in range(2):
        with pytest.raises(Conflict):
            atomically(rocketjob.store, step)
    half = len(pauses) // 2
    assert pauses[:half] != pauses[half:]


class OverWritesJob(Job):
    def perform(self): ...


@pytest.mark.parametrize("code", [112, 16908292, 16777220])
def test_an_insert_that_met_another_one_and_was_given_up_is_made_again(
    rocketjob, monkeypatch, code
):
    met = refuse_inserts(rocketjob.store, monkeypatch, *[WriteError("deadlock detected", code)] * 3)
    job = OverWritesJob.create()
    assert met == []
    assert OverWritesJob.find(job.id).is_queued


def test_an_insert_that_is_refused_or_always_given_up_is_an_error(rocketjob, monkeypatch):
    monkeypatch.setattr(port, "time", SimpleNamespace(sleep=lambda seconds: None))
    met = refuse_inserts(rocketjob.store, monkeypatch, *[WriteError("deadlock", 16908292)] * 20)
    with pytest.raises(WriteError):
        OverWritesJob.create()
    assert len(met) == 20 - port.ATTEMPTS
    met = refuse_inserts(rocketjob.store, monkeypatch, *[WriteError("too large", 17280)] * 2)
    with pytest.raises(WriteError):
        OverWritesJob.create()
    assert len(met) == 1


def test_within_a_step_it_is_the_step_that_is_made_again(rocketjob, monkeypatch):
    met = refuse_inserts(rocketjob.store, monkeypatch, WriteError("conflict", 112))
    steps = []

    def step(session):
        steps.append(1)
        OverWritesJob.create()

    atomically(rocketjob.store, step)
    assert (len(steps), met, OverWritesJob.count()) == (2, [], 1)


def refuse_inserts(store, patch, *errors):
    """Have single inserts of jobs raise these, one each; return those that are left."""
    left, kind = list(errors), type(store.collection("rocket_job.jobs"))
    insert_one = kind.insert_one

    def refuse(self, *args, **options):
        if left and self.name == "rocket_job.jobs":
            raise left.pop()
        return insert_one(self, *args, **options)

    patch.setattr(kind, "insert_one", refuse)
    return left
