"""What is asked of SQLite: an index for every question of the kernel, and no more than needed."""

import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest
from bson import ObjectId

from rocketjob import Job
from rocketjob.base import clock
from rocketjob.base.errors import DuplicateKey
from rocketjob.store import Write
from rocketjob.store.documents.matcher import compile_match
from rocketjob.testing.store_contract import declare_indexes
from rocketjob_plugins.store_sqlite import SqliteStore, group
from rocketjob_plugins.store_sqlite.query import Query

NOW = datetime(2024, 5, 1, tzinfo=UTC)
CLAIM_SORT = [("priority", 1), ("_id", 1)]
DUE = {"$or": [{"run_at": None}, {"run_at": {"$lte": NOW}}]}
CLAIM = {"$and": [{"state": "queued"}, DUE, {"_type": {"$in": ["A", "B"]}}]}


@pytest.fixture
def store():
    store = SqliteStore("sqlite://:memory:")
    yield store
    store.close()


@pytest.fixture
def jobs(store):
    jobs = store.collection("jobs")
    declare_indexes(jobs)
    return jobs


def queued(number, **fields):
    return {"_id": number, "_type": "A", "state": "queued", "priority": 50, **fields}


def explain(store, filter, sort=()):
    """Return the plan of a query, and what SQLite makes of it."""

    def work(connection):
        plan = Query(filter).plan(connection.catalog.find("jobs"), sort)
        rows = connection.raw.execute(f"EXPLAIN QUERY PLAN {plan.sql}", plan.parameters)
        return plan, " / ".join(row[3] for row in rows)

    return store._database.read(work)


def steps(store, work):
    """Count the instructions (in hundreds) that SQLite's machine executes for some work."""
    counted = [0]

    def count():
        counted[0] += 1

    raw = store._database.connections.current().raw
    raw.set_progress_handler(count, 100)
    try:
        work()
    finally:
        raw.set_progress_handler(None, 0)
    return counted[0]


FURTHER = [
    {},
    {"_id": {"$nin": [1, 2]}},
    {"$nor": [{"_type": "A", "priority": {"$gt": 10}}]},
    {"priority": {"$lt": 40}},
]


@pytest.mark.parametrize("further", FURTHER, ids=str)
def test_a_claim_is_one_ordered_scan_and_needs_no_second_look(store, jobs, further):
    plan, explained = explain(store, {"$and": [*CLAIM["$and"], further]}, CLAIM_SORT)
    assert plan.exact and plan.ordered and plan.streams
    assert explained.startswith("SEARCH c")
    assert "(k0=?" in explained
    assert "B-TREE" not in explained


@pytest.mark.parametrize(
    "filter",
    [
        {"state": {"$in": ["queued", "running"]}},
        {"$or": [{"state": "queued", **DUE}, {"state": "running", "_type": "B"}]},
        {"$and": [{"state": {"$in": ["queued", "running"]}}, {"$or": [DUE, {"_type": "B"}]}]},
    ],
    ids=str,
)
def test_a_claim_in_several_states_merges_ordered_scans(store, jobs, filter):
    plan, explained = explain(store, filter, CLAIM_SORT)
    assert plan.exact and plan.ordered and plan.streams
    assert explained.startswith("MERGE (UNION ALL)")
    assert explained.count("(k0=?") == 2
    assert "B-TREE" not in explained
    assert "OR" not in explained.split()


def test_a_claim_that_asks_for_a_field_without_a_column_still_streams(store, jobs):
    plan, explained = explain(store, {"$and": [*CLAIM["$and"], {"customer": 7}]}, CLAIM_SORT)
    assert not plan.exact
    assert plan.streams
    assert "B-TREE" not in explained


def test_the_first_due_time_is_the_first_entry_of_its_index(store, jobs):
    filter = {"state": "queued", "run_at": {"$gt": NOW}}
    plan, explained = explain(store, filter, [("run_at", 1)])
    assert plan.exact and plan.streams
    assert "(k0=? AND k2>?" in explained
    assert "B-TREE" not in explained


# k4 is completed_at, k5 claimed_by, k6 claim_number, k7 active_key: numbered as they are declared
@pytest.mark.parametrize(
    ("filter", "index"),
    [
        ({"_id": {"$in": [1, 2]}}, "_id (id=?)"),
        ({"claimed_by": "me"}, "(k5=?)"),
        ({"claimed_by": "me", "state": "running"}, "(k5=?)"),
        ({"claimed_by": {"$in": ["me", "you"]}}, "(k5=?)"),
        ({"active_key": "x"}, "(k7=?)"),
        ({"completed_at": {"$lt": NOW}}, "(k4>? AND k4<?)"),
        ({"state": {"$in": ["failed", "aborted"]}}, "(k0=?"),
        ({"claimed_by": {"$exists": True}}, "USING INDEX"),
    ],
    ids=str,
)
def test_other_questions_of_the_kernel_use_an_index(store, jobs, filter, index):
    plan, explained = explain(store, filter)
    assert plan.exact
    assert index in explained


def test_the_cost_of_a_claim_does_not_depend_on_the_depth_of_the_queue(store, jobs):
    def claim():
        found = store.claim_many(
            "jobs", CLAIM, {"$set": {"state": "running"}}, sort=CLAIM_SORT, limit=5
        )
        assert len(found) == 5

    cost = []
    for start, number in ((0, 200), (200, 20_000)):
        jobs.insert_many([queued(i) for i in range(start, start + number)])
        claim()
        cost.append(steps(store, claim))
    assert cost[1] <= cost[0] + 2


def test_the_first_due_time_does_not_depend_on_the_depth_either(store, jobs):
    jobs.insert_many([queued(i) for i in range(20_000)])
    jobs.insert_many([queued(-i, run_at=NOW + timedelta(days=i)) for i in range(1, 2000)])
    filter = {"state": "queued", "run_at": {"$gt": NOW}}
    assert steps(store, lambda: jobs.find_one(filter, sort=[("run_at", 1)])) <= 2


def behind(sign, at_least, priority=50, id=1):
    either = {"$or": [{"priority": {sign: priority}}, {"priority": priority, "_id": {sign: id}}]}
    return [either, {"priority": {at_least: priority}}]


@pytest.mark.parametrize("is_turned", [False, True])
@pytest.mark.parametrize("sort", [CLAIM_SORT, []], ids=["ordered", "unordered"])
@pytest.mark.parametrize(("sign", "at_least"), [("$gt", "$gte"), ("$lt", "$lte")])
def test_what_is_beyond_a_place_in_the_order_is_looked_up(
    store, jobs, sign, at_least, sort, is_turned
):
    place = behind(sign, at_least)[:: -1 if is_turned else 1]
    plan, explained = explain(store, {"$and": [*CLAIM["$and"], *place]}, sort)
    assert plan.exact
    if sort:
        assert f"(k1,id){'>' if sign == '$gt' else '<'}(?,?)" in explained
        assert "B-TREE" not in explained
    else:
        assert "(k0=? AND k1" in explained or "(k1,id)" in explained


PLACED = [(10, 1), (10, 2), (50, 3), (50, 4), (50, 5), (60, 0), (None, 6), ("high", 7)]


@pytest.mark.parametrize("sort", [CLAIM_SORT, [("_id", 1)], []], ids=str)
@pytest.mark.parametrize(
    ("place", "ids"),
    [
        (behind("$gt", "$gte", 50, 4), {5, 0}),
        (behind("$lt", "$lte", 50, 4), {1, 2, 3}),
        (behind("$gt", "$gte", 9, 9), {1, 2, 3, 4, 5, 0}),
        (behind("$gt", "$gte", "high", 3), {7}),
        (behind("$gt", "$gte", 50, "x"), {0}),
        # what looks alike but is something else
        ([{"$or": [{"priority": {"$gt": 50}}, {"priority": 10, "_id": {"$gt": 1}}]}], {2, 0}),
        ([{"$or": [{"priority": {"$gt": 50}}, {"priority": 50, "_id": {"$lt": 4}}]}], {3, 0}),
        ([{"$or": [{"priority": {"$gt": 50}}, {"priority": 50, "_id": 4}]}], {4, 0}),
        ([{"$nor": [{"$or": behind("$gt", "$gte", 50, 4)[0]["$or"]}]}], {1, 2, 3, 4, 6, 7}),
    ],
    ids=str,
)
def test_what_is_beyond_a_place_is_what_the_filter_says(store, jobs, place, ids, sort):
    jobs.insert_many([{**queued(id), "priority": priority} for priority, id in PLACED])
    found = [job["_id"] for job in jobs.find({"$and": [{"state": "queued"}, *place]}, sort=sort)]
    assert set(found) == ids
    assert len(found) == len(ids)


@pytest.mark.parametrize("sort", [CLAIM_SORT, []], ids=["ordered", "unordered"])
def test_where_ids_are_named_nothing_else_is_walked_through(store, jobs, sort):
    """To claim fifty jobs by their ids went through all that were queued in front of them."""
    wanted = {"_id": {"$in": list(range(30))}, "state": "queued"}
    _, explained = explain(store, wanted, sort)
    assert "_id (id=?)" in explained
    assert "(k0" not in explained


def test_a_plan_is_made_once_for_all_times(store, jobs):
    jobs.insert_many([queued(i, run_at=NOW + timedelta(hours=i)) for i in range(5)])

    def due(now):
        times = {"$or": [{"run_at": None}, {"run_at": {"$lte": now}}]}
        return [job["_id"] for job in jobs.find({"state": "queued", **times})]

    assert [len(due(NOW + timedelta(hours=hours))) for hours in range(-1, 5)] == [0, 1, 2, 3, 4, 5]
    table = store._database.read(lambda connection: connection.catalog.find("jobs"))
    assert len(table.plans) == 1


def test_a_plan_is_made_once_for_the_times_of_the_clock_too(store, jobs):
    jobs.insert_many([queued(i, run_at=NOW) for i in range(5)])
    for hours in range(-1, 3):
        now = clock.now() + timedelta(hours=hours)
        assert type(now) is not datetime
        assert len(list(jobs.find({"state": "queued", "run_at": {"$lte": now}}))) == 5
    table = store._database.read(lambda connection: connection.catalog.find("jobs"))
    assert len(table.plans) == 1


def sent(store, work):
    """Return the statements that some work sends to SQLite."""
    statements = []
    raw = store._database.connections.current().raw
    raw.set_trace_callback(statements.append)
    try:
        work()
    finally:
        raw.set_trace_callback(None)
    return statements


EXISTS = {"$exists": True}
HELD = {"claimed_by": "me", "claim_number": 3, "state": "running"}


@pytest.mark.parametrize("way", ["write_many", "group", "delete_one"])
@pytest.mark.parametrize(
    ("stored", "goes"),
    [
        ({}, True),
        ({"claim_number": 3.0}, True),
        ({"claim_number": 4}, False),
        ({"claim_number": True}, False),
        ({"claim_number": None}, False),
        ({"claimed_by": "you"}, False),
        ({"claimed_by": ["you", "me"]}, True),
        ({"state": "queued"}, False),
    ],
    ids=str,
)
def test_a_guarded_delete_is_judged_by_columns_as_by_documents(store, jobs, stored, goes, way):
    jobs.insert_many([queued(i, **{**HELD, **stored}) for i in (1, 2)])
    guard = {"_id": 1, **HELD}

    def delete():
        if way == "delete_one":
            assert jobs.delete_one(guard).deleted_count == goes
        elif way == "group":
            both = [Write(guard, None), Write({**guard, "_id": 3}, None)]
            assert store.write_many("jobs", both) == [goes, False]
        else:
            assert store.write_many("jobs", [Write(guard, None)]) == [goes]

    statements = sent(store, delete)
    is_read = any("doc" in statement for statement in statements)
    assert is_read == isinstance(stored.get("claimed_by"), list)  # which no column can answer
    assert [job["_id"] for job in jobs.find(sort=[("_id", 1)])] == [1, 2][goes:]


@pytest.mark.parametrize("number", [2, 3, 128, 129, 300])
def test_a_group_of_removals_is_few_statements(store, jobs, number):
    jobs.insert_many([queued(i, **HELD) for i in range(number + 1)])
    writes = [Write({"_id": i, **HELD}, None) for i in range(number)]
    statements = sent(store, lambda: store.write_many("jobs", writes))
    removing = [each for each in statements if each.startswith("DELETE")]
    assert len(removing) == -(-number // 128)
    assert [job["_id"] for job in jobs.find()] == [number]


def test_a_removal_by_hand_leaves_the_rest_of_its_group(store, jobs):
    jobs.insert_many([queued(i, **HELD) for i in range(100)])
    jobs.delete_one({"_id": 50})
    held = store.write_many("jobs", [Write({"_id": i, **HELD}, None) for i in range(100)])
    assert [i for i, was in enumerate(held) if not was] == [50]
    assert jobs.count_documents({}) == 0


TO_END = {"$set": {"state": "completed"}, "$unset": {"claimed_by": ""}, "$inc": {"ends": 1}}


@pytest.mark.parametrize("number", [1, 2, 128, 129, 300])
def test_a_group_of_updates_is_read_by_few_statements(store, jobs, number):
    jobs.insert_many([queued(i, **HELD) for i in range(number + 1)])
    writes = [Write({"_id": i, **HELD}, TO_END) for i in reversed(range(number))]
    statements = sent(store, lambda: store.write_many("jobs", writes))
    reading = [each for each in statements if each.startswith("SELECT id")]
    assert len(reading) == -(-number // 128)
    ended = jobs.find({"state": "completed", "ends": 1, "claimed_by": None})
    assert sorted(job["_id"] for job in ended) == list(range(number))


def test_updates_that_do_not_match_leave_the_rest_of_their_group(store, jobs):
    jobs.insert_many([queued(i, **HELD) for i in range(100)])
    jobs.update_one({"_id": 50}, {"$set": {"claim_number": 4}})
    jobs.delete_one({"_id": 60})
    held = store.write_many("jobs", [Write({"_id": i, **HELD}, TO_END) for i in range(100)])
    assert [i for i, was in enumerate(held) if not was] == [50, 60]
    assert jobs.count_documents({"ends": 1}) == 98


def test_updates_of_one_document_in_a_group_are_made_one_after_the_other(store, jobs):
    jobs.insert_many([queued(i, **HELD) for i in range(3)])
    again = Write({"_id": 1, "ends": 1}, {"$inc": {"ends": 1}})
    first = [Write({"_id": i, **HELD}, TO_END) for i in range(3)]
    assert store.write_many("jobs", [*first, again, again]) == [True, True, True, True, False]
    assert [job["ends"] for job in jobs.find(sort=[("_id", 1)])] == [1, 2, 1]


def test_of_large_documents_few_are_held_at_a_time(store, jobs, monkeypatch):
    jobs.insert_many([queued(i, **HELD, text=f"{i}" * 400_000) for i in range(1, 10)])
    groups = []
    update = group.writing.update

    def noting(raw, table, touched, rows, documents):
        groups.append(len(documents))
        update(raw, table, touched, rows, documents)

    monkeypatch.setattr(group.writing, "update", noting)
    held = store.write_many("jobs", [Write({"_id": i, **HELD}, TO_END) for i in range(1, 10)])
    assert (held, groups) == ([True] * 9, [3, 3, 3])
    assert [job["text"][:1] for job in jobs.find({"ends": 1})] == list("123456789")


def test_an_update_that_changes_nothing_writes_nothing(store, jobs):
    jobs.insert_many([queued(i, **HELD) for i in range(3)])
    same = [Write({"_id": i, **HELD}, {"$set": {"claimed_by": "me"}}) for i in range(3)]
    made = []
    statements = sent(store, lambda: made.extend(store.write_many("jobs", same)))
    assert made == [True] * 3
    assert not [each for each in statements if each.startswith("UPDATE")]


def test_a_group_in_which_an_index_refuses_a_document_is_not_made(store, jobs):
    partial = {"number": EXISTS}
    jobs.create_index([("number", 1)], name="n", unique=True, partialFilterExpression=partial)
    jobs.insert_many([queued(i, **HELD) for i in range(3)])
    writes = [Write({"_id": i, **HELD}, {"$set": {"number": min(i, 1)}}) for i in range(3)]
    with pytest.raises(DuplicateKey):
        store.write_many("jobs", writes)
    assert jobs.count_documents({"number": EXISTS}) == 0


def test_documents_are_stored_many_in_one_statement_and_in_their_order(store, jobs):
    documents = [queued(i, **({"run_at": NOW} if i % 120 < 60 else {})) for i in range(240)]
    statements = sent(store, lambda: jobs.insert_many(documents))
    assert len([each for each in statements if each.startswith("INSERT")]) == 4 + 4 * 10
    assert [job["_id"] for job in jobs.find()] == list(range(240))


def test_a_job_that_is_removed_on_completion_is_not_read_again(rocketjob):
    class RemovedUnreadJob(Job):
        def perform(self):
            return None

    statements = []
    RemovedUnreadJob.create()
    raw = rocketjob.store._database.connections.current().raw
    raw.set_trace_callback(statements.append)
    try:
        assert rocketjob.work_off() == 1
    finally:
        raw.set_trace_callback(None)
    deletes = [each for each in statements if each.startswith("DELETE FROM c")]
    assert len(deletes) == 1
    assert "id =" in deletes[0]


def test_plans_are_not_kept_without_end(store, jobs):
    for number in range(1000):
        list(jobs.find({"priority": {"$gt": number}}))
        jobs.delete_one({"_id": 1, f"field_{number}": 1})
    table = store._database.read(lambda connection: connection.catalog.find("jobs"))
    assert len(table.plans) <= 200


def test_a_column_that_held_an_array_is_not_used_any_more(store, jobs):
    filter = {"state": "queued"}
    jobs.insert_one(queued(1))
    assert explain(store, filter)[0].exact
    jobs.update_one({"_id": 1}, {"$set": {"state": ["queued", "x"]}})
    plan, _ = explain(store, filter)
    assert not plan.exact
    assert plan.parameters == []
    assert jobs.count_documents(filter) == 1


def test_a_flag_that_was_rolled_back_is_not_kept(store, jobs):
    jobs.insert_one(queued(1))
    with pytest.raises(KeyError), store.transaction():
        jobs.update_one({"_id": 1}, {"$set": {"state": ["x"]}})
        raise KeyError
    assert explain(store, {"state": "queued"})[0].exact


def test_an_update_writes_only_the_columns_that_can_have_changed(store, jobs):
    table = store._database.read(lambda connection: connection.catalog.find("jobs"))
    touched = frozenset({"state", "percent"})
    columns, values = table.changed_row(queued(1), b"blob", 7, touched)
    assert (columns, values) == (("k0",), ["queued", b"blob", 7])
    sql = table.update_sql(touched, columns)
    assert sql == f"UPDATE {table.name} SET k0 = ?, doc = ? WHERE n = ?"


def test_a_row_has_only_the_columns_of_what_a_document_has(store, jobs):
    table = store._database.read(lambda connection: connection.catalog.find("jobs"))
    columns, values = table.row(queued(1, claimed_by=None), b"blob")
    assert (columns, values) == (("id", "k0", "k1", "k3"), [1, "queued", 50, "A", b"blob"])
    columns, values = table.row(queued(1, active_key="x"), b"blob")
    assert (columns[-1], values[-2:]) == ("u4", ["x", b"blob"])
    columns, values = table.row(queued(2, active_key=None), b"blob")
    assert (columns[-1], values[-2:]) == ("u4", [b"\x01", b"blob"])  # null is a value, too


def test_a_unique_key_is_written_again_where_its_filter_looks_at_what_has_changed(store, jobs):
    partial = {"$and": [{"cron_key": {"$exists": True}}, {"state": {"$lte": "queued"}}]}
    jobs.create_index([("cron_key", 1)], name="c", unique=True, partialFilterExpression=partial)
    table = store._database.read(lambda connection: connection.catalog.find("jobs"))
    sql = table.update_sql(frozenset({"state"}), ("k0",))  # u4 is active_key's
    assert sql == f"UPDATE {table.name} SET k0 = ?, u5 = NULL, doc = ? WHERE n = ?"
    sql = table.update_sql(frozenset({"active_key"}), ("u4",))
    assert sql.startswith(f"UPDATE {table.name} SET u4 = ?, ")


# Reading much


def test_reading_all_takes_memory_for_a_page_at_a_time(store):
    docs = store.collection("docs")
    for start in range(0, 20_000, 5000):
        docs.insert_many([{"_id": start + i, "x": "y" * 200} for i in range(5000)])
    tracemalloc.start()
    try:
        assert sum(1 for _ in docs.find({"x": {"$exists": True}})) == 20_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_500_000


def test_large_documents_are_read_a_few_at_a_time(store):
    docs = store.collection("docs")
    docs.insert_many([{"_id": i, "x": bytes(500_000)} for i in range(40)])
    tracemalloc.start()
    try:
        assert sum(1 for _ in docs.find()) == 40
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000


def test_an_unfinished_loop_holds_nothing_back(tmp_path):
    store = SqliteStore(f"sqlite:///{tmp_path}/store.db")
    docs = store.collection("docs")
    docs.insert_many([{"_id": i} for i in range(1000)])
    cursor = docs.find({})
    next(cursor)
    docs.update_many({}, {"$set": {"x": "y" * 500}})
    busy, _, _ = store._database.read(
        lambda connection: connection.raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    )
    assert busy == 0
    assert sum(1 for _ in cursor) == 999
    store.close()


def test_what_is_deleted_or_changed_during_a_loop_is_left_out(store):
    docs = store.collection("docs")
    docs.insert_many([{"_id": i, "a": 1} for i in range(300)])
    seen = []
    for document in docs.find({"a": 1}, sort=[("_id", 1)]):
        seen.append(document["_id"])
        if document["_id"] == 0:
            docs.delete_many({"_id": {"$gte": 200, "$lt": 250}})
            docs.update_many({"_id": {"$gte": 250}}, {"$set": {"a": 2}})
            docs.insert_one({"_id": 1000, "a": 1})
    assert seen == list(range(200))


def test_ids_of_all_kinds_in_one_collection(store):
    docs = store.collection("docs")
    ids = [None, 1, "a", {"a": 1, "b": 2}, ObjectId("0" * 24), True, NOW]
    docs.insert_many([{"_id": id} for id in reversed(ids)])
    assert [d["_id"] for d in docs.find(sort=[("_id", 1)])] == ids
    for id in ids:
        assert docs.find_one({"_id": id}) == {"_id": id}
        assert docs.count_documents({"_id": id}) == 1
        assert docs.count_documents({"_id": {"$ne": id}}) == len(ids) - 1
    assert docs.count_documents({"_id": {"$gte": 0}}) == 1
    assert docs.find_one({"_id": {"b": 2, "a": 1}}) is None


def test_an_index_on_a_full_collection_keeps_its_documents_and_loops(store):
    docs = store.collection("docs")
    docs.insert_many([{"_id": i, "k": -i} for i in range(500)])
    cursor = docs.find(sort=[("_id", 1)])
    assert next(cursor)["_id"] == 0
    docs.create_index([("k", 1)], name="k")
    assert [d["_id"] for d in cursor] == list(range(1, 500))
    assert [d["_id"] for d in docs.find({"k": {"$lt": -497}}, sort=[("k", 1)])] == [499, 498]


# --- a partial index ---------------------------------------------------------------------------

ENDED = [("state", 1), ("completed_at", 1), ("_id", 1)]
LATEST = [("completed_at", -1), ("_id", -1)]
THERE = {"completed_at": {"$exists": True}}


@pytest.fixture
def ended(jobs):
    jobs.create_index(ENDED, name="ended", partialFilterExpression=THERE)
    jobs.insert_many(
        {**queued(number), "state": "failed", "completed_at": NOW + timedelta(seconds=number)}
        for number in range(20)
    )
    return jobs


@pytest.mark.parametrize(
    "filter", [{"state": "failed", **THERE}, {"$and": [{"state": "failed"}, THERE]}], ids=str
)
def test_a_partial_index_yields_the_order_of_what_is_in_it(store, ended, filter):
    plan, said = explain(store, filter, LATEST)
    assert plan.streams and "TEMP B-TREE" not in said
    assert [job["_id"] for job in ended.find(filter, sort=LATEST, limit=2)] == [19, 18]


@pytest.mark.parametrize(
    "filter",
    [{"state": "failed"}, {"state": "failed", "$or": [THERE, {"priority": 50}]}],
    ids=str,
)
def test_a_partial_index_is_left_alone_where_it_may_lack_something(store, ended, filter):
    ended.insert_one({**queued(99), "state": "failed"})
    plan, _ = explain(store, filter, LATEST)
    assert not plan.streams
    assert len(list(ended.find(filter, sort=LATEST))) == 21


def test_a_partial_index_is_left_alone_once_a_field_is_null(store, ended):
    ended.insert_one({**queued(99), "state": "failed", "completed_at": None})
    filter = {"state": "failed", **THERE}
    assert not explain(store, filter, LATEST)[0].streams
    found = [job["_id"] for job in ended.find(filter, sort=LATEST)]
    assert found == [*range(19, -1, -1), 99]  # null is a value that exists, and the lowest


@pytest.mark.parametrize(
    "more",
    [
        {"_id": {"$in": []}},
        {"_id": {"$exists": False}},
        {"$nor": [{}]},
        {"priority": {"$in": list(range(30_000))}},
        {"_id": {"$in": list(range(-15_000, 5))}},
    ],
    ids=["in nothing", "without an id", "none of all", "of very many", "of many"],
)
def test_a_partial_index_is_left_alone_where_sqlite_would_refuse_it(ended, more):
    filter = {"$and": [{"state": {"$in": ["failed", "aborted"]}}, THERE, more]}
    expected = [job["_id"] for job in ended.find(THERE) if compile_match(filter)(job)]
    found = [job["_id"] for job in ended.find(filter, sort=LATEST)]
    assert found == sorted(expected, reverse=True)
