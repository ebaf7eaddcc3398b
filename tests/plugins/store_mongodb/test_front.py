"""Where a server sorts the whole queue for each claim, only its front is looked at."""

import random
import threading

import pytest

from rocketjob.testing.store_contract.samples import BY_PRIORITY, JOBS, queued
from rocketjob_plugins.store_mongodb import MongoStore, front, judgement, trials
from rocketjob_plugins.store_mongodb.front import Front, parts_of
from rocketjob_plugins.store_mongodb.judgement import Judgement
from support.commands import hear

QUEUED = {"state": "queued"}
MINE = {"$set": {"state": "running", "claimed_by": "me"}, "$inc": {"claim_number": 1}}
SIZE = 8


@pytest.fixture
def now(monkeypatch):
    """The time, in a list, of which a test may change it."""
    time = [100.0]
    monkeypatch.setattr(front.clock, "monotonic", lambda: time[0])
    return time


@pytest.fixture
def commands(monkeypatch):
    return hear(monkeypatch)


@pytest.fixture
def jobs(commands, now, mongo_url, monkeypatch):
    monkeypatch.setattr(front, "SIZE", SIZE)
    store = MongoStore(mongo_url, wake_up="polling")
    store.collection(JOBS).create_index([("state", 1), *BY_PRIORITY], name="claim")
    yield store.collection(JOBS)
    store.close()


def claimed(jobs, front, limit=1, sort=BY_PRIORITY):
    found = front.claim_many(jobs, QUEUED, MINE, sort=sort, limit=limit)
    return [each["_id"] for each in found]


@pytest.mark.parametrize("limit", [1, 3, 20])
@pytest.mark.parametrize("sort", [BY_PRIORITY, [("priority", -1), ("_id", -1)], [("_id", 1)]])
def test_all_are_claimed_in_their_order(jobs, limit, sort):
    chance = random.Random(7)
    jobs.insert_many([queued(number, priority=chance.choice([1, 2, 50])) for number in range(50)])
    expected = [each["_id"] for each in jobs.find(QUEUED).sort(list(sort))]
    mine, seen = Front(), []
    while some := claimed(jobs, mine, limit, sort):
        seen += some
    assert seen == expected


@pytest.mark.parametrize("limit", [1, 2])
def test_what_is_more_urgent_is_next_whenever_it_came(jobs, limit):
    jobs.insert_many([queued(number, priority=50) for number in range(130)])
    mine = Front()
    for _ in range(front.SINGLE):
        claimed(jobs, mine, limit)
    jobs.insert_one(queued(999, priority=1))
    assert claimed(jobs, mine, limit)[0] == 999


@pytest.mark.parametrize("limit", [1, 2])
def test_an_older_one_of_the_same_priority_is_next_when_the_front_is_over(jobs, now, limit):
    jobs.insert_many([queued(number, priority=50) for number in range(1, 130)])
    mine = Front()
    for _ in range(front.SINGLE):
        claimed(jobs, mine, limit)
    jobs.insert_one(queued(0, priority=50))
    assert 0 not in claimed(jobs, mine, limit)
    now[0] += front.SECONDS
    assert claimed(jobs, mine, limit)[0] == 0


def test_a_look_that_takes_long_is_made_less_often(jobs, now, monkeypatch):
    jobs.insert_many([queued(number, priority=50) for number in range(130)])
    real = front.groups.look

    def slow(*args):
        now[0] += 2.0
        return real(*args)

    monkeypatch.setattr(front.groups, "look", slow)
    mine = Front()
    claimed(jobs, mine, 2)
    monkeypatch.setattr(front.groups, "look", real)
    jobs.insert_one(queued(-1, priority=50))
    now[0] += front.TIMES * 2.0 - 0.1
    assert claimed(jobs, mine, 2) == [2, 3]
    now[0] += 0.1
    assert claimed(jobs, mine, 2) == [-1, 4]


def test_a_long_queue_is_looked_at_once_for_many_claims(jobs, commands):
    jobs.insert_many([queued(number, priority=50) for number in range(60)])
    mine = Front()
    commands.taken()
    for _ in range(SIZE // 2):
        assert len(claimed(jobs, mine, 2)) == 2
    looks = [each for each in commands.taken() if each.name == "find"]
    # One at all and one to read what was claimed; then one of each part, and one to read.
    assert len(looks) == 2 + 3 * (SIZE // 2 - 1)


def test_a_short_queue_costs_no_message_more(jobs, commands):
    jobs.insert_many([queued(number, priority=50) for number in range(SIZE - 1)])
    mine = Front()
    commands.taken()
    assert claimed(jobs, mine, 2) == [0, 1]
    assert claimed(jobs, mine, 2) == [2, 3]
    assert commands.counted() == {"find": 4, "update": 2}
    assert claimed(jobs, mine) == [4]
    assert commands.counted() == {"findAndModify": 1}
    jobs.delete_many({})
    commands.taken()
    assert claimed(jobs, mine, 2) == []
    assert commands.counted() == {"find": 1}


def test_threads_that_share_a_front_have_each_document_once(jobs):
    jobs.insert_many([queued(number, priority=number % 3) for number in range(90)])
    mine, seen = Front(), [[] for _ in range(4)]

    def work(number):
        while some := claimed(jobs, mine, 1 + number):
            seen[number] += some

    threads = [threading.Thread(target=work, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(id for each in seen for id in each) == list(range(90))


@pytest.mark.parametrize("value", [None, [1], {"a": 1}])
def test_there_is_no_front_where_its_end_is_no_place_in_an_order(value):
    found = [{"_id": 1, "priority": 1}, {"_id": 2, "priority": value}]
    assert parts_of(found, BY_PRIORITY) == ()
    assert parts_of(found, [("_id", 1)])


# --- which servers ------------------------------------------------------------------------------


@pytest.mark.parametrize("sorts", [True, False])
def test_only_a_server_that_sorts_is_asked_for_the_front(mongo_url, monkeypatch, sorts):
    lacks = {trials.ORDER: "it sorts"} if sorts else {}
    monkeypatch.setattr(judgement, "_accepted", {})
    monkeypatch.setattr(judgement, "tried", lambda connect, name, server: Judgement(server, lacks))
    asked = []
    monkeypatch.setattr(Front, "claim_many", lambda *args, **options: asked.append(args) or [])
    store = MongoStore(mongo_url, transactions=False, wake_up="polling")
    store.collection(JOBS).insert_one(queued(1))
    found = store.claim_many(JOBS, QUEUED, MINE, sort=BY_PRIORITY, limit=1)
    assert (len(asked), len(found)) == ((1, 0) if sorts else (0, 1))
    store.close()


WALKS = {"stage": "LIMIT", "inputStage": {"stage": "FETCH", "inputStage": {"stage": "IXSCAN"}}}
SORTS = {"stage": "SORT", "inputStage": {"stage": "IXSCAN"}}
NODE = {"Node Type": "Index Scan", "Sort Key": "none"}


@pytest.mark.parametrize(
    ("plan", "sorts"),
    [
        ({"queryPlanner": {"winningPlan": WALKS, "rejectedPlans": [SORTS]}}, False),
        ({"queryPlanner": {"winningPlan": SORTS, "rejectedPlans": []}}, True),
        ({"queryPlanner": {"winningPlan": {"shards": [{"winningPlan": SORTS}]}}}, True),
        ({"queryPlanner": {"Plan": {"Node Type": "Limit", "Plans": [NODE]}}}, False),
        ({"queryPlanner": {"Plan": {"Plans": [{"Node Type": "Sort", "Plans": [NODE]}]}}}, True),
    ],
)
def test_a_plan_that_sorts_is_known(plan, sorts):
    assert trials._sorts(plan["queryPlanner"]) is sorts
