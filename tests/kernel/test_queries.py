"""Queries: by dict and by keyword, scopes, order, and what can be done with a selection."""

import enum
import re
from datetime import date, datetime, timedelta
from decimal import Decimal

import pendulum
import pytest

from rocketjob import Job, NotFound, UnsupportedOperation, after, field, validators
from support.jobs import KeptJob, job_in, stored


class Kind(enum.Enum):
    A = "a"
    B = "b"


class QueriedJob(Job):
    destroy_on_complete = False
    number: int = 0
    day: date | None = None
    span: timedelta | None = None
    amount: Decimal | None = None
    kind: Kind | None = None
    tags: list[str] = []
    options: dict[str, int] = {}
    note: str | None = "default"
    small: int = field(default=1, validator=validators.in_range(1, 5))

    def perform(self): ...


class QueriedChild(QueriedJob):
    extra: str | None = None


@pytest.fixture
def numbers(rocketjob):
    return QueriedJob.create_many([{"number": n, "priority": 50 - n} for n in range(5)])


# --- where ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {"number": 3},
        {"day": date(2026, 1, 1)},
        {"span": timedelta(seconds=90)},
        {"amount": Decimal("1.10")},
        {"kind": Kind.B},
        {"tags": ["a", "b"]},
        {"options": {"x": 1}},
        {"note": None},
        {"run_at": pendulum.datetime(2026, 1, 1)},
    ],
    ids=lambda values: next(iter(values)),
)
def test_where_finds_by_the_value_of_a_field(rocketjob, values):
    QueriedJob.create()
    job = QueriedJob.create(**values)
    assert QueriedJob.where(**values).pluck("id") == [job.id]
    assert QueriedJob.where(values).pluck("id") == [job.id]


def test_where_takes_a_mongo_filter_with_values_of_python(rocketjob):
    for day in (1, 2, 3):
        QueriedJob.create(day=date(2026, 1, day), span=timedelta(seconds=day), number=day)

    def numbers(filter):
        return QueriedJob.where(filter).order_by("number").pluck("number")

    assert numbers({"day": {"$gte": date(2026, 1, 2)}}) == [2, 3]
    assert numbers({"span": {"$lt": timedelta(seconds=2)}}) == [1]
    assert numbers({"day": {"$in": [date(2026, 1, 1), date(2026, 1, 3)]}}) == [1, 3]
    assert numbers({"$or": [{"number": 1}, {"day": date(2026, 1, 3)}]}) == [1, 3]
    assert numbers({"number": {"$gt": 1, "$lt": 3}}) == [2]
    assert numbers({"day": {"$not": {"$gte": date(2026, 1, 2)}}}) == [1]
    assert numbers({"$nor": [{"number": 1}, {"number": 2}]}) == [3]


def test_where_finds_inside_lists_and_dicts(rocketjob):
    QueriedJob.create(tags=["a", "b"], options={"x": 1}, number=1)
    QueriedJob.create(tags=["b"], options={"x": 2}, number=2)
    assert QueriedJob.where(tags="a").pluck("number") == [1]
    assert QueriedJob.where({"options.x": 2}).pluck("number") == [2]
    assert QueriedJob.where(options__x=2).pluck("number") == [2]


def test_where_takes_a_regular_expression(rocketjob):
    QueriedJob.create(description="Monthly report")
    assert QueriedJob.where(description=re.compile("^month", re.IGNORECASE)).exists()
    assert not QueriedJob.where(description=re.compile("^month")).exists()


def test_where_takes_ids_as_text_under_both_names(rocketjob):
    job = QueriedJob.create()
    for name in ("id", "_id"):
        assert QueriedJob.where({name: str(job.id)}).first().id == job.id
        assert QueriedJob.where({name: {"$in": [str(job.id)]}}).first().id == job.id
    assert QueriedJob.where(id=job.id).exists()


@pytest.mark.parametrize(
    "filter",
    [
        {"run_at": "2026-01-01"},
        {"run_at": {"$gte": "2026-01-01T00:00:00Z", "$lt": "2026-01-01T02:00:00+01:00"}},
        {"run_at": {"$in": ["2026-01-01T00:00:00Z"]}},
        {"$and": [{"run_at": {"$not": {"$gt": "2026-01-01T00:00:00Z"}}}]},
        {"number": "3"},
        {"span": {"$lte": "2m"}},
        {"amount": "1.10"},
        {"kind": "B"},
        {"day": "2026-01-01"},
        {"days": "2026-01-02"},
        {"tags": "a"},
        {"destroy_on_complete": "false"},
    ],
    ids=str,
)
def test_a_text_in_where_is_parsed_by_the_type_of_its_field(rocketjob, filter):
    class TextualJob(QueriedJob):
        days: list[date] = []

    day = date(2026, 1, 1)
    fields = {"number": 3, "span": timedelta(seconds=90), "amount": Decimal("1.10"), "kind": Kind.B}
    more = {"day": day, "days": [date(2026, 1, 2)], "tags": ["a", "b"]}
    job = TextualJob.create(run_at=pendulum.datetime(2026, 1, 1), **fields, **more)
    TextualJob.create(run_at=pendulum.datetime(2027, 1, 1), tags=["c"], destroy_on_complete=True)
    assert TextualJob.where(filter).pluck("id") == [job.id]
    assert QueriedJob.where(filter).pluck("id") == [job.id]


@pytest.mark.parametrize(
    ("filter", "message"),
    [
        ({"run_at": "whenever"}, "run_at must be a time such as"),
        ({"run_at": {"$gt": "whenever"}}, "run_at must be a time such as"),
        ({"run_at": {"$in": ["whenever"]}}, "run_at must be a time such as"),
        ({"$or": [{"run_at": "whenever"}]}, "run_at must be a time such as"),
        ({"run_at": date(2026, 1, 1)}, "run_at must be datetime, not date"),
        ({"number": "many"}, "number must be a whole number, not 'many'"),
        ({"number": "9" * 30}, "number must fit into 64 bits"),
        ({"kind": "C"}, "kind must be one of a, b, not 'C'"),
        ({"id": "x"}, "id must be an id of 24 hexadecimal digits"),
        ({"options": "x"}, "options must be a JSON object"),
    ],
    ids=str,
)
def test_a_text_in_where_that_is_no_value_of_its_field_is_an_error(rocketjob, filter, message):
    with pytest.raises(ValueError, match=message):
        QueriedJob.where(filter)


def test_a_text_is_left_alone_where_classes_have_fields_of_other_types(rocketjob):
    class AsTextJob(Job):
        when: str = ""

        def perform(self): ...

    class AsTimeJob(Job):
        when: datetime | None = None

        def perform(self): ...

    job, other = AsTextJob.create(when="2026"), AsTimeJob.create(when=pendulum.datetime(2026, 1, 1))
    assert Job.where({"when": "2026"}).pluck("id") == [job.id]
    assert AsTimeJob.where({"when": "2026-01-01"}).pluck("id") == [other.id]


def test_wheres_narrow_each_other_and_leave_the_first_as_it_was(numbers):
    high = QueriedJob.where({"number": {"$gte": 2}})
    both = high.where({"number": {"$lt": 4}}).where(priority=47)
    assert (high.count(), both.pluck("number")) == (3, [3])


def test_where_by_filter_and_by_keyword_at_once(numbers):
    assert QueriedJob.where({"number": {"$gt": 1}}, priority=47).pluck("number") == [3]


def test_where_by_an_unknown_field_suggests_the_nearest(rocketjob):
    with pytest.raises(TypeError, match=r"QueriedJob has no field numbr; did you mean number\?"):
        QueriedJob.where(numbr=1)
    with pytest.raises(TypeError, match="has no field zzzz"):
        QueriedJob.all().order_by("zzzz")


def test_where_on_a_base_knows_the_fields_of_the_classes_below(rocketjob):
    QueriedChild.create(extra="x")
    assert QueriedJob.where(extra="x").count() == 1
    assert Job.where(extra="x").count() == 1


def test_an_operator_that_is_not_supported_is_an_error_not_a_wrong_answer(numbers):
    with pytest.raises(UnsupportedOperation, match=r"\$where"):
        QueriedJob.where({"$where": "true"}).count()
    with pytest.raises(UnsupportedOperation, match=r"\$near"):
        QueriedJob.where({"number": {"$near": 5}}).count()


# --- reading ----------------------------------------------------------------------------------


def test_order_limit_and_skip(numbers):
    every = QueriedJob.all()
    assert every.order_by("-number").pluck("number") == [4, 3, 2, 1, 0]
    assert every.order_by("priority").limit(2).pluck("number") == [4, 3]
    assert every.order_by("number").skip(1).limit(2).pluck("number") == [1, 2]
    assert every.order_by("small", "-number").pluck("number") == [4, 3, 2, 1, 0]
    assert [job.number for job in every.order_by("-created_at", "-id")] == [4, 3, 2, 1, 0]
    for wrong in (every.limit, every.skip):
        with pytest.raises(ValueError, match="0 or more"):
            wrong(-1)


def test_first_and_last_are_the_lowest_and_highest_id(numbers):
    assert QueriedJob.first().number == 0
    assert QueriedJob.last().number == 4
    low = QueriedJob(id=type(numbers[0].id)("0" * 24), number=9).save()
    assert QueriedJob.first().id == low.id


def test_first_and_last_of_an_order(numbers):
    by_priority = QueriedJob.all().order_by("priority")
    assert (by_priority.first().number, by_priority.last().number) == (4, 0)


def test_first_and_last_of_nothing_are_none(rocketjob):
    assert (QueriedJob.first(), QueriedJob.last()) == (None, None)
    assert QueriedJob.where(number=1).first() is None


def test_find_takes_text_or_id_and_raises_not_found(rocketjob):
    job = QueriedJob.create()
    assert QueriedJob.find(str(job.id)).id == job.id
    assert Job.find(job.id).id == job.id
    for id in ("55aeaf03a26ec0c1bd00008d", "no id"):
        with pytest.raises(NotFound, match=f"There is no QueriedJob with the id {id}"):
            QueriedJob.find(id)
    with pytest.raises(LookupError):
        KeptJob.find(job.id)


def test_count_exists_len_and_truth(numbers):
    assert (QueriedJob.count(), QueriedJob.all().count(), len(QueriedJob.all())) == (5, 5, 5)
    assert QueriedJob.where(number=1).exists()
    assert not QueriedJob.where(number=9).exists()
    assert QueriedJob.where(number=1)
    assert not QueriedJob.where(number=9)
    assert QueriedJob.all().limit(3).count() == 3
    assert QueriedJob.all().skip(4).limit(3).count() == 1
    assert not QueriedJob.all().skip(5).exists()


def test_pluck_gives_values_or_tuples(rocketjob):
    job = QueriedJob.create(number=5, day=date(2026, 1, 1), kind=Kind.A)
    assert QueriedJob.all().pluck("number") == [5]
    assert QueriedJob.all().pluck("id", "day", "kind", "run_at") == [
        (job.id, date(2026, 1, 1), Kind.A, None)
    ]
    with pytest.raises(TypeError, match="has no field numbr"):
        QueriedJob.all().pluck("numbr")


def test_pluck_gives_the_default_for_what_is_not_stored(rocketjob):
    job = QueriedJob.create()
    job.collection().update_one({"_id": job.id}, {"$unset": {"note": "", "number": ""}})
    assert QueriedJob.all().pluck("note", "number") == [("default", 0)]


def test_a_query_can_be_read_again_and_sees_what_is_new(rocketjob):
    query = QueriedJob.where({"number": {"$gte": 0}})
    assert list(query) == []
    QueriedJob.create()
    assert len(list(query)) == 1


def test_documents_can_be_changed_while_they_are_read(rocketjob):
    QueriedJob.create_many([{"number": n} for n in range(250)])
    for job in QueriedJob.queued():
        job.pause()
    assert QueriedJob.counts_by_state() == {"paused": 250}
    for job in QueriedJob.paused():
        job.destroy()
    assert QueriedJob.count() == 0


# --- writing ----------------------------------------------------------------------------------


def test_update_all_sets_fields_and_says_how_many(numbers):
    high = QueriedJob.where({"number": {"$gte": 3}})
    assert high.update_all(priority=10, day=date(2026, 1, 1), kind=Kind.B) == 2
    assert high.pluck("priority", "day", "kind") == [(10, date(2026, 1, 1), Kind.B)] * 2
    assert QueriedJob.where(priority=10).count() == 2
    assert high.update_all() == 0


def test_update_all_to_none_is_none_though_the_default_is_another(numbers):
    QueriedJob.all().update_all(note=None)
    assert {job.note for job in QueriedJob.all()} == {None}


def test_update_all_with_a_time_from_now(rocketjob):
    rocketjob.freeze(pendulum.datetime(2026, 1, 1))
    QueriedJob.create()
    QueriedJob.all().update_all(run_at=timedelta(hours=1))
    assert QueriedJob.first().run_at == pendulum.datetime(2026, 1, 1, 1)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"number": "x"}, ValueError, "number: must be int, not str 'x'"),
        ({"number": None}, ValueError, "number: must be int, not None"),
        ({"small": 6}, ValueError, "small: must be from 1 to 5, not 6"),
        ({"priority": 101}, ValueError, "priority: must be from 1 to 100"),
        ({"options": {"a.b": 1}}, ValueError, "options: has the key 'a.b'"),
        ({"numbr": 1}, TypeError, "QueriedJob has no field numbr; did you mean number?"),
        ({"state": "failed"}, TypeError, "state"),
        ({"id": "x"}, TypeError, "id"),
    ],
)
def test_update_all_refuses_what_a_document_would_refuse(numbers, values, error, message):
    with pytest.raises(error, match=re.escape(message)):
        QueriedJob.all().update_all(**values)
    assert QueriedJob.where(number=0).exists()


def test_delete_all_runs_no_callbacks_and_destroy_all_runs_them(rocketjob):
    ran = []

    class DroppedJob(Job):
        n: int = 0

        @after("destroy")
        def gone(self):
            ran.append(self.n)

        def perform(self): ...

    DroppedJob.create_many([{"n": n} for n in range(4)])
    assert DroppedJob.where(n=0).delete_all() == 1
    assert ran == []
    assert DroppedJob.where({"n": {"$gt": 1}}).destroy_all() == 2
    assert sorted(ran) == [2, 3]
    assert DroppedJob.destroy_all() == 1
    assert DroppedJob.delete_all() == 0


def test_class_wide_removal_keeps_to_the_class_and_those_below(rocketjob):
    KeptJob.create()
    QueriedJob.create()
    QueriedChild.create()
    assert QueriedChild.delete_all() == 1
    QueriedChild.create()
    assert QueriedJob.delete_all() == 2
    assert Job.count() == 1
    assert Job.destroy_all() == 1


def test_a_write_to_a_selection_takes_no_limit(numbers):
    for query in (QueriedJob.all().limit(1), QueriedJob.all().skip(1)):
        with pytest.raises(TypeError, match="it takes no limit and no skip"):
            query.delete_all()
        with pytest.raises(TypeError, match="it takes no limit and no skip"):
            query.update_all(number=1)
    assert QueriedJob.count() == 5


# --- scopes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["queued", "running", "completed", "failed", "paused", "aborted"])
def test_a_scope_for_each_state(rocketjob, state):
    for each in ("queued", "running", "completed", "failed", "paused", "aborted"):
        job_in(each)
    scope = getattr(KeptJob, state)
    assert [job.state for job in scope()] == [state]
    assert getattr(Job, state)().count() == 1
    assert getattr(KeptJob.where(number=0), state)().count() == 1
    assert scope().where(number=1).count() == 0


def test_scheduled_and_queued_now(rocketjob):
    rocketjob.freeze(pendulum.datetime(2026, 1, 1))
    KeptJob.create(number=1)
    KeptJob.create(number=2, run_at=timedelta(hours=1))
    KeptJob.create(number=3, run_at=pendulum.datetime(2026, 1, 1))
    assert KeptJob.scheduled().pluck("number") == [2]
    assert KeptJob.queued_now().order_by("number").pluck("number") == [1, 3]
    rocketjob.travel(timedelta(hours=1))
    assert KeptJob.scheduled().count() == 0
    assert KeptJob.queued_now().count() == 3


def test_counts_by_state(rocketjob):  # row 51
    assert Job.counts_by_state() == {}
    job_in("running")
    KeptJob.create()
    KeptJob.create(run_at=timedelta(hours=1))
    assert Job.counts_by_state() == {"queued": 2, "running": 1, "queued_now": 1, "scheduled": 1}
    assert KeptJob.counts_by_state() == Job.counts_by_state()
    assert QueriedJob.counts_by_state() == {}
    KeptJob.scheduled().delete_all()
    assert Job.counts_by_state() == {"queued": 1, "running": 1, "queued_now": 1}


def test_a_stored_null_counts_as_no_run_at(rocketjob):
    job = KeptJob.create()
    job.collection().update_one({"_id": job.id}, {"$set": {"run_at": None}})
    assert KeptJob.queued_now().count() == 1
    assert stored(job)["run_at"] is None
