"""Random filters, sorts and updates against a slow evaluation that is written independently.

The same documents are asked with indexes and without: SQL and the matcher have to agree.
"""

import copy
from datetime import UTC, datetime, timedelta
from functools import cmp_to_key

import pytest
from bson import Decimal128, Int64, ObjectId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rocketjob.base.errors import StoreError
from rocketjob_plugins.store_sqlite import SqliteStore

PROFILE = settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=300,
    suppress_health_check=list(HealthCheck),
)
NOW = datetime(2024, 5, 1, tzinfo=UTC)

# The language, evaluated as slowly and plainly as possible

GONE = object()
UNDEFINED = object()  # as which an empty array is sorted
RANKS = [
    (type(None), 1), (bool, 8), (int, 2), (float, 2), (Decimal128, 2), (str, 3), (dict, 4),
    (list, 5), (bytes, 6), (ObjectId, 7), (datetime, 9),
]  # fmt: skip


def rank(value):
    if value is GONE or value is UNDEFINED:
        return 1 if value is GONE else 0
    return next(rank for kind, rank in RANKS if isinstance(value, kind))


def number(value):
    return value.to_decimal() if isinstance(value, Decimal128) else value


def three_way(one, other):
    if rank(one) != rank(other):
        return -1 if rank(one) < rank(other) else 1
    if rank(one) <= 1:
        return 0
    if rank(one) == 2:
        one, other = number(one), number(other)
        if one != one or other != other:  # NaN comes first
            return (one == one) - (other == other)
    if isinstance(one, dict):
        for (key, value), (other_key, other_value) in zip(one.items(), other.items(), strict=False):
            parts = (rank(value), key), (rank(other_value), other_key)
            if parts[0] != parts[1]:
                return -1 if parts[0] < parts[1] else 1
            if result := three_way(value, other_value):
                return result
        return (len(one) > len(other)) - (len(one) < len(other))
    if isinstance(one, list):
        for value, other_value in zip(one, other, strict=False):
            if result := three_way(value, other_value):
                return result
        return (len(one) > len(other)) - (len(one) < len(other))
    if isinstance(one, bytes) and len(one) != len(other):
        return -1 if len(one) < len(other) else 1
    return (one > other) - (one < other)


def reach(node, parts, in_array=False):
    """Yield (value, whether an array is still to be opened) for a path."""
    if not parts:
        yield node, True
    elif isinstance(node, dict):
        yield from reach(node.get(parts[0], GONE), parts[1:])
    elif isinstance(node, list):
        for index, member in enumerate(node):
            if isinstance(member, dict):
                yield from reach(member, parts)
            if parts[0] == str(index):
                if len(parts) == 1:
                    yield member, False
                elif isinstance(member, dict | list):
                    yield from reach(member, parts[1:])
    else:
        yield GONE, True


def opened(document, path):
    for value, may_open in reach(document, path.split(".")):
        if isinstance(value, list) and may_open:
            yield from value
        yield value


def compares(operator, value, operand):
    if rank(value) != rank(operand) or (value is GONE and operand is not None):
        return False
    nan = [number(x) != number(x) for x in (value, operand) if rank(x) == 2]
    if any(nan):
        return all(nan) and operator in ("$gte", "$lte", "$eq")
    result = three_way(value, operand)
    return {
        "$eq": result == 0,
        "$gt": result > 0,
        "$gte": result >= 0,
        "$lt": result < 0,
        "$lte": result <= 0,
    }[operator]


def satisfies(document, path, operator, operand):
    if operator in ("$eq", "$gt", "$gte", "$lt", "$lte"):
        return any(compares(operator, value, operand) for value in opened(document, path))
    if operator == "$in":
        return any(satisfies(document, path, "$eq", member) for member in operand)
    if operator in ("$ne", "$nin"):
        return not satisfies(document, path, {"$ne": "$eq", "$nin": "$in"}[operator], operand)
    if operator == "$exists":
        found = any(value is not GONE for value, _ in reach(document, path.split(".")))
        return found == operand
    if operator == "$not":
        return not condition(document, path, operand)
    if operator == "$size":
        values = reach(document, path.split("."))
        return any(isinstance(value, list) and len(value) == operand for value, _ in values)
    if operator == "$all":
        return bool(operand) and all(satisfies(document, path, "$eq", one) for one in operand)
    if operator == "$elemMatch":
        return any(
            isinstance(value, list) and any(unopened(member, operand) for member in value)
            for value, _ in reach(document, path.split("."))
        )
    raise AssertionError(operator)


def unopened(member, wanted):
    if isinstance(member, list):  # by its number a member is reached without opening it
        return condition({"v": [member]}, "v.0", wanted)
    return condition({"v": member}, "v", wanted)


def condition(document, path, wanted):
    if isinstance(wanted, dict) and any(key.startswith("$") for key in wanted):
        return all(satisfies(document, path, *part) for part in wanted.items())
    return satisfies(document, path, "$eq", wanted)


def matches(document, filter):
    for key, wanted in filter.items():
        if key == "$and":
            ok = all(matches(document, one) for one in wanted)
        elif key == "$or":
            ok = any(matches(document, one) for one in wanted)
        elif key == "$nor":
            ok = not any(matches(document, one) for one in wanted)
        else:
            ok = condition(document, key, wanted)
        if not ok:
            return False
    return True


def in_order(documents, sort):
    def extreme(document, path, way):
        values = []
        for value, _ in reach(document, path.split(".")):
            values.extend((value or [UNDEFINED]) if isinstance(value, list) else [value])
        values = values or [None]
        return sorted(values, key=cmp_to_key(three_way))[0 if way > 0 else -1]

    def compare(one, other):
        for path, way in sort:
            result = three_way(extreme(one, path, way), extreme(other, path, way))
            if result:
                return result * way
        return 0

    return sorted(documents, key=cmp_to_key(compare))


# What is random

SCALARS = st.sampled_from(
    [
        None, True, False, 0, 1, 2, -1, 1.0, 1.5, 2**53 + 1, float(2**53), Int64(2),
        float("inf"), float("-inf"), Decimal128("1.5"), Decimal128("0.1"), 0.1, Decimal128("2"),
        "", "a", "b", "ab", "\x7f", "é", "1", b"", b"a", b"aa",
        ObjectId("0" * 24), ObjectId("f" * 24), NOW, NOW + timedelta(milliseconds=1),
        datetime(1950, 1, 1, tzinfo=UTC), float("nan"),
    ]
)  # fmt: skip
TAME = st.sampled_from([None, 0, 1, 2, 1.5, "a", "b", "queued", NOW, ObjectId("f" * 24), True])
FIELDS = ["a", "b", "s.x", "s.y", "l"]
PATHS = st.sampled_from([*FIELDS, "s", "l.0", "l.x", "_id"])


def nested(scalars):
    return st.recursive(
        scalars,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("xy"), inner, max_size=2)
        ),
        max_leaves=4,
    )


def documents(values):
    fields = {
        "a": values,
        "b": values,
        "s": st.one_of(values, st.dictionaries(st.sampled_from("xy"), values, max_size=2)),
        "l": values,
    }
    return st.lists(st.fixed_dictionaries({}, optional=fields), max_size=8)


def conditions(values):
    simple = st.one_of(
        st.tuples(st.sampled_from(["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"]), values),
        st.tuples(st.sampled_from(["$in", "$nin", "$all"]), st.lists(values, max_size=3)),
        st.tuples(st.just("$exists"), st.booleans()),
        st.tuples(st.just("$size"), st.integers(0, 3)),
    )
    operators = st.lists(simple, min_size=1, max_size=2).map(dict)
    more = st.one_of(
        operators,
        operators.map(lambda one: {"$not": one}),
        st.tuples(st.sampled_from(["$eq", "$gt", "$lte", "$ne"]), values).map(
            lambda pair: {"$elemMatch": dict([pair])}
        ),
    )
    return st.one_of(values, more)


def filters(values):
    leaf = st.dictionaries(PATHS, conditions(values), max_size=2)
    return st.recursive(
        leaf,
        lambda inner: st.tuples(
            st.sampled_from(["$and", "$or", "$nor"]), st.lists(inner, min_size=1, max_size=3)
        ).map(lambda pair: dict([pair])),
        max_leaves=5,
    )


SORTS = st.lists(
    st.tuples(st.sampled_from([*FIELDS, "_id"]), st.sampled_from([1, -1])),
    max_size=2,
    unique_by=lambda pair: pair[0],
)


@pytest.fixture(scope="module")
def stores():
    """A collection without indexes, and one with many."""
    store = SqliteStore("sqlite://:memory:")
    yield Both(store)
    store.close()


class Both:
    """The two collections, and their store."""

    def __init__(self, store):
        self.store = store
        self.collections = store.collection("plain"), store.collection("indexed")
        _, indexed = self.collections
        for field in FIELDS:
            indexed.create_index([(field, 1)], name=field)
        indexed.create_index([("a", 1), ("b", 1), ("_id", 1), ("s.x", 1)], name="compound")
        indexed.create_index([("b", -1), ("s.y", 1)], name="mixed")
        there = {"l": {"$exists": True}}
        indexed.create_index([("l", 1), ("a", 1)], name="partial", partialFilterExpression=there)

    def __iter__(self):
        return iter(self.collections)


def fill(stores, documents):
    for number, document in enumerate(documents):
        document["_id"] = number
    for docs in stores:
        docs.delete_many({})
        if documents:
            docs.insert_many(documents)


def check_finding(stores, documents, filter, sort):
    fill(stores, documents)
    sort = [*sort, ("_id", 1)] if all(path != "_id" for path, _ in sort) else sort
    expected = [d["_id"] for d in in_order(documents, sort) if matches(d, filter)]
    for docs in stores:
        assert [d["_id"] for d in docs.find(filter, sort=sort)] == expected
        assert sorted(d["_id"] for d in docs.find(filter)) == sorted(expected)
        assert docs.count_documents(filter) == len(expected)
        first = docs.find_one(filter, sort=sort)
        assert (first["_id"] if first else None) == (expected[0] if expected else None)
        assert [d["_id"] for d in docs.find(filter, sort=sort, skip=1, limit=2)] == expected[1:3]


@given(documents(nested(SCALARS)), filters(nested(SCALARS)), SORTS)
@PROFILE
def test_finding_wild_values(stores, documents, filter, sort):
    check_finding(stores, documents, filter, sort)


@given(documents(TAME), filters(TAME), SORTS)
@PROFILE
def test_finding_tame_values_which_sql_can_answer(stores, documents, filter, sort):
    check_finding(stores, documents, filter, sort)


@given(documents(TAME), filters(TAME))
@PROFILE
def test_deleting_and_updating_many(stores, documents, filter):
    fill(stores, documents)
    hit = {d["_id"] for d in documents if matches(d, filter)}
    for docs in stores:
        result = docs.update_many(filter, {"$set": {"a": 2, "c.x": "new"}})
        assert result.matched_count == len(hit)
        assert docs.count_documents({"a": 2, "_id": {"$in": sorted(hit)}}) == len(hit)
    fill(stores, documents)
    for docs in stores:
        assert docs.delete_many(filter).deleted_count == len(hit)
        assert {d["_id"] for d in docs.find()} == {d["_id"] for d in documents} - hit


@given(documents(TAME), filters(TAME), st.sampled_from(["a", "b", "s.x", "l", "_id"]))
@PROFILE
def test_counting_by_value_and_distinct_values(stores, documents, filter, key):
    fill(stores, documents)
    hit = [d for d in documents if matches(d, filter)]
    present = {repr(number(v)) for d in hit for v in opened(d, key) if v is not GONE}
    found = []
    for docs in stores:
        assert {repr(number(v)) for v in docs.distinct(key, filter)} == present
        found.append(stores.store.count_by(docs.name, key, filter))
        assert sum(found[-1].values()) == len(hit)
    assert found[0] == found[1]


def test_a_list_of_no_values_with_an_index_that_begins_with_it(stores):
    fill(stores, [{"a": 1}])
    for docs in stores:
        for filter in ({"b": {"$in": []}}, {"a": {"$in": []}, "b": 1}, {"_id": {"$in": []}}):
            assert list(docs.find(filter, sort=[("b", 1), ("_id", 1)])) == []
            assert list(docs.find(filter, sort=[("_id", 1)])) == []


# Updates


def walk(document, path):
    *above, last = path.split(".")
    for part in above:
        document = document.setdefault(part, {})
        if not isinstance(document, dict):
            raise ValueError("not a document")
    return document, last


def updated(document, update):
    """Apply an update; ValueError if MongoDB refuses it."""
    paths = [path for fields in update.values() for path in fields]
    for one in paths:
        for other in paths:
            if one != other and other.startswith(f"{one}."):
                raise ValueError("conflict")
    if len(set(paths)) < len(paths):
        raise ValueError("conflict")
    document = copy.deepcopy(document)
    for operator, fields in update.items():
        for path, operand in fields.items():
            change(document, operator, path, copy.deepcopy(operand))
    return document


def change(document, operator, path, operand):
    if operator == "$unset":
        node = document
        for part in path.split(".")[:-1]:
            node = node.get(part) if isinstance(node, dict) else None
        if isinstance(node, dict):
            node.pop(path.split(".")[-1], None)
        return
    node, last = walk(document, path)
    value = node.get(last, GONE)
    if operator == "$set" or (value is GONE and operator in ("$inc", "$min", "$max")):
        node[last] = operand
    elif operator == "$inc":
        if rank(value) != 2:
            raise ValueError("not a number")
        node[last] = value + operand
    elif operator in ("$min", "$max"):
        result = three_way(operand, value)
        node[last] = operand if (result < 0 if operator == "$min" else result > 0) else value
    elif operator in ("$push", "$addToSet"):
        array = [] if value is GONE else value
        if not isinstance(array, list):
            raise ValueError("not an array")
        if operator == "$push" or all(three_way(one, operand) for one in array):
            array = [*array, operand]
        node[last] = array


TARGETS = st.sampled_from(["a", "b", "s.x", "s.y", "s", "s.x.z"])
OPERANDS = st.one_of(TAME, st.lists(TAME, max_size=2), st.just({"x": 1}))
CHANGES = st.one_of(
    st.tuples(st.sampled_from(["$set", "$min", "$max", "$push", "$addToSet"]), TARGETS, OPERANDS),
    st.tuples(st.just("$inc"), TARGETS, st.sampled_from([1, -2, 0.5])),
    st.tuples(st.just("$unset"), TARGETS, st.just("")),
)
UPDATES = st.lists(CHANGES, min_size=1, max_size=3)


@given(st.one_of(documents(TAME), documents(nested(TAME))), UPDATES)
@PROFILE
def test_updating_one(stores, documents, changes):
    update = {}
    for operator, path, operand in changes:
        update.setdefault(operator, {})[path] = operand
    arrays = [d for d in documents if isinstance(d.get("s"), list)]
    for document in arrays:  # paths into arrays are the contract's matter
        document.pop("s")
    fill(stores, documents)
    for document in documents:
        try:
            expected = updated(document, update)
        except ValueError:
            expected = None
        for docs in stores:
            if expected is None:
                with pytest.raises(StoreError):
                    docs.update_one({"_id": document["_id"]}, update)
            else:
                docs.update_one({"_id": document["_id"]}, update)
                assert docs.find_one({"_id": document["_id"]}) == expected
                for field in ("a", "b"):
                    value = expected.get(field)
                    found = docs.find({field: value})
                    assert document["_id"] in {d["_id"] for d in found}
