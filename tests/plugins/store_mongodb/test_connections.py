"""How many connections a process may have, how long it waits for what, and how it tries again."""

from types import SimpleNamespace

import pytest

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
