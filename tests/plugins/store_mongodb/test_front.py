"""Where a server sorts the whole queue for each claim, only its front is looked at."""

import random
import threading
from datetime import UTC, datetime

import pytest
from pymongo.errors import OperationFailure
from pymongo.synchronous.collection import Collection

from rocketjob.testing.store_contract.samples import BY_PRIORITY, JOBS, queued
from rocketjob_plugins.store_mongodb import MongoStore, front, judgement, trials
from rocketjob_plugins.store_mongodb.front import Front, front_of, narrowed, shape
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
    for _ in range(2):
        claimed(jobs, mine, limit)
    jobs.insert_one(queued(999, priority=1))
    assert claimed(jobs, mine, limit)[0] == 999


@pytest.mark.parametrize("limit", [1, 2])
def test_an_older_one_of_the_same_priority_is_next_when_the_front_is_over(jobs, now, limit):
    jobs.insert_many([queued(number, priority=50) for number in range(1, 130)])
    mine = Front()
    for _ in range(2):
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


def test_claims_of_one_that_follow_each_other_look_at_the_second(jobs, commands):
    jobs.insert_many([queued(number, priority=50) for number in range(60)])
    mine = Front()
    commands.taken()
    assert claimed(jobs, mine) == [0]
    assert commands.counted() == {"findAndModify": 1}
    assert claimed(jobs, mine) == [1]
    assert commands.counted() == {"find": 2, "findAndModify": 2}
    assert claimed(jobs, mine) == [2]
    assert commands.counted() == {"find": 1, "findAndModify": 2}


def test_claims_of_one_that_are_rare_or_find_nothing_are_one_message(jobs, commands, now):
    mine = Front()
    commands.taken()
    assert claimed(jobs, mine) == claimed(jobs, mine) == []
    jobs.insert_many([queued(number, priority=50) for number in range(60)])
    assert claimed(jobs, mine) == [0]
    now[0] += front.SECONDS
    assert claimed(jobs, mine) == [1]
    assert commands.counted() == {"insert": 1, "findAndModify": 4}


def test_claims_of_one_from_a_short_queue_look_now_and_then(jobs, commands, now):
    jobs.insert_many([queued(number, priority=50) for number in range(SIZE - 1)])
    mine = Front()
    commands.taken()
    assert [claimed(jobs, mine) for _ in range(5)] == [[0], [1], [2], [3], [4]]
    assert commands.counted() == {"find": 1, "findAndModify": 5}


def test_others_have_a_front_of_their_own(jobs):
    """What one filter passes over may match another."""
    jobs.insert_many([queued(n, priority=50, _type="AB"[n % 2]) for n in range(60)])
    mine, got = Front(), []
    for _ in range(3):
        for kind in "AB":
            only = {"$and": [QUEUED, {"_type": kind}]}
            got += mine.claim_many(jobs, only, MINE, sort=BY_PRIORITY, limit=3)
    by_kind = {kind: [each["_id"] for each in got if each["_type"] == kind] for kind in "AB"}
    assert by_kind == {"A": list(range(0, 18, 2)), "B": list(range(1, 18, 2))}


def test_few_fronts_are_kept(jobs, monkeypatch):
    monkeypatch.setattr(front, "KEPT", 3)
    jobs.insert_many([queued(number, priority=50) for number in range(60)])
    mine = Front()
    for number in range(10):
        assert mine.claim_many(
            jobs, {**QUEUED, "_id": {"$ne": -number}}, MINE, sort=BY_PRIORITY, limit=1
        )
    assert len(mine._found) == 3


def test_a_front_that_was_used_up_before_its_time_is_followed_by_a_longer_one(
    jobs, now, monkeypatch
):
    monkeypatch.setattr(front, "MOST", 3 * SIZE)
    jobs.insert_many([queued(number, priority=50) for number in range(200)])
    real, asked = front.groups.look, []

    def look(documents, filter, sort, limit, session, *shown):
        asked.append(limit)
        return real(documents, filter, sort, limit, session, *shown)

    monkeypatch.setattr(front.groups, "look", look)
    mine = Front()
    for _ in range(20):
        assert len(claimed(jobs, mine, 3)) == 3
    looks = [size for size in asked if size >= SIZE]
    assert (looks[0], looks[-1]) == (SIZE, 3 * SIZE)
    now[0] += front.SECONDS
    claimed(jobs, mine, 3)
    assert [size for size in asked if size >= SIZE][-1] == SIZE


def test_a_document_that_is_given_back_is_claimed_at_the_next_look(jobs, now):
    jobs.insert_many([queued(number, priority=50) for number in range(60)])
    mine = Front()
    assert claimed(jobs, mine, 2) == [0, 1]
    assert claimed(jobs, mine, 2) == [2, 3]
    jobs.update_one({"_id": 1}, {"$set": QUEUED})
    assert claimed(jobs, mine, 2) == [4, 5]
    now[0] += front.SECONDS
    assert claimed(jobs, mine, 2) == [1, 6]


def test_whoever_is_second_at_a_part_of_the_front_goes_on_in_it(jobs):
    jobs.insert_many([queued(number, priority=50) for number in range(60)])
    mine, others = Front(), Front()
    assert claimed(jobs, mine, 2) == [0, 1]
    assert claimed(jobs, others, 2) == [2, 3]
    assert claimed(jobs, mine, 2) == [4, 5]
    assert claimed(jobs, others, 2) == [6, 7]
    assert claimed(jobs, mine, 2) == [8, 9]


@pytest.mark.parametrize("value", [None, [1], {"a": 1}])
def test_there_is_no_front_where_its_end_is_no_place_in_an_order(value):
    found = [{"_id": 1, "priority": 1}, {"_id": 2, "priority": value}]
    assert front_of(found, BY_PRIORITY, 0, 2).is_short
    assert front_of(found, [("_id", 1)], 0, 2).line.seen == found


@pytest.mark.parametrize(
    ("found", "sort", "asked"),
    [
        ([(1, 7), (1, 9)], BY_PRIORITY, [{"priority": 1}, {"_id": {"$gte": 7, "$lte": 9}}]),
        ([(1, 7), (2, 3)], BY_PRIORITY, [{"priority": {"$gte": 1, "$lte": 2}}]),
        ([(2, 3), (1, 7)], [("priority", -1)], [{"priority": {"$gte": 1, "$lte": 2}}]),
        ([(1, 7)], BY_PRIORITY, [{"priority": 1}, {"_id": 7}]),
        ([(None, 7), (1, 9)], BY_PRIORITY, []),
        ([(1, {"a": 1}), (1, {"a": 2})], BY_PRIORITY, [{"priority": 1}]),
    ],
)
def test_the_range_of_documents_that_are_sorted(found, sort, asked):
    stored = [{"priority": priority, "_id": id} for priority, id in found]
    assert front.bounds(stored, sort) == asked


@pytest.mark.parametrize("value", [50, 50.5, -3, 0, 2**53 - 1, 2**60, "b"])
@pytest.mark.parametrize("way", [1, -1])
def test_what_comes_before_a_value_is_all_that_does(jobs, value, way):
    values = [50, 50.5, 49, 51, 49.999999, -3, -4, 0, 1, 2**53 - 2, 2**60, 2**61, "a", "b", "c"]
    jobs.insert_many([{"_id": n, "v": each} for n, each in enumerate(values)])
    found = {each["v"] for each in jobs.find({"v": front.before_value(value, way)})}
    assert found == {
        each
        for each in values
        if isinstance(each, str) == isinstance(value, str)
        and (each < value if way > 0 else each > value)
    }


def test_the_time_does_not_tell_filters_apart():
    def due(at, kind):
        return {"$and": [QUEUED, {"$or": [{"run_at": None}, {"run_at": {"$lte": at}}]}, kind]}

    one, other = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    kind, another = {"_type": {"$in": ["A"]}}, {"_type": {"$in": ["B"]}}
    assert shape(due(one, kind)) == shape(due(other, kind))
    assert shape(due(one, kind)) != shape(due(one, another))


@pytest.mark.parametrize(
    "filter",
    [
        QUEUED,
        {"$and": [QUEUED, {"$or": [{"n": 1}, {"n": {"$gte": 4}}]}, {"n": {"$ne": 5}}]},
        {"state": {"$in": ["queued", "x"]}, "$nor": [{"n": 2}], "n": {"$gt": 0}},
    ],
)
def test_a_filter_is_the_same_with_a_part_of_it_hidden(jobs, filter):
    jobs.insert_many([queued(n, n=n, priority=n % 2) for n in range(8)])
    within = {"priority": {"$lt": 1}}
    plain = jobs.find({"$and": [filter, within]}, sort=[("_id", 1)])
    hidden = jobs.find(narrowed(filter, within), sort=[("_id", 1)])
    found = [each["_id"] for each in plain]
    assert found
    assert [each["_id"] for each in hidden] == found


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


# --- indexes ------------------------------------------------------------------------------------

KEYS = [("state", 1), ("priority", 1)]


@pytest.fixture
def asked(monkeypatch):
    """The options of indexes that are asked for; the first is refused with what a test puts in."""
    asked, create_index = [], Collection.create_index

    def create(collection, keys, **options):
        asked.append(dict(options))
        if refusals:
            raise refusals.pop()
        options.pop("storageEngine", None)
        return create_index(collection, keys, **options)

    monkeypatch.setattr(Collection, "create_index", create)
    return asked


refusals = []


def test_a_server_that_sorts_is_asked_for_ordered_indexes(jobs, asked):
    jobs.create_index(KEYS, name="one", partialFilterExpression={"n": {"$exists": True}})
    (options,) = asked
    assert options["storageEngine"] == {"enableOrderedIndex": True}
    assert options["partialFilterExpression"] == {"n": {"$exists": True}}
    assert "one" in jobs.index_information()


def test_where_they_are_refused_it_is_asked_for_any(jobs, asked):
    refusals.append(OperationFailure("unknown option", 72))
    jobs.create_index(KEYS, name="one")
    assert [each.get("storageEngine") for each in asked] == [{"enableOrderedIndex": True}, None]
    assert "one" in jobs.index_information()


def test_an_error_that_passes_is_no_refusal(jobs, asked):
    refusals.append(OperationFailure("not primary", 10107))
    with pytest.raises(OperationFailure):
        jobs.create_index(KEYS, name="one")
    assert len(asked) == 1


def test_a_unique_index_is_as_it_was(jobs, asked):
    jobs.create_index(KEYS, name="one", unique=True)
    assert asked == [{"name": "one", "unique": True}]


def test_a_server_that_walks_is_asked_for_nothing(mongo_url, monkeypatch):
    monkeypatch.setattr(judgement, "_accepted", {})
    monkeypatch.setattr(judgement, "tried", lambda connect, name, server: Judgement(server, {}))
    store = MongoStore(mongo_url, wake_up="polling")
    assert type(store.collection(JOBS)) is Collection
    store.close()
