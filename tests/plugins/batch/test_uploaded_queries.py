"""Queries of Django and SQLAlchemy as the input of a batch: which records, and in which order."""

import subprocess
import sys
from typing import ClassVar

import pytest
import sqlalchemy
from sqlalchemy import func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from rocketjob import Job, before
from rocketjob_plugins.batch import Batch, InputCategory


class LoadQueryJob(Batch, Job):
    input_categories = [InputCategory(slice_size=10), InputCategory(name="lookup")]

    def perform(self, record): ...


@pytest.fixture
def job(rocketjob):
    return LoadQueryJob()


def records_of(job, category="main"):
    return [record for slice_ in job.input_for(category) for record in slice_]


# --- SQLAlchemy ----------------------------------------------------------------------------------


def test_sqlalchemy_queries_are_uploaded(job):
    engine = sqlalchemy.create_engine("sqlite://")
    table = sqlalchemy.Table(
        "users",
        sqlalchemy.MetaData(),
        sqlalchemy.Column("id", sqlalchemy.Integer),
        sqlalchemy.Column("name", sqlalchemy.Text),
    )
    table.create(engine)
    with engine.begin() as connection:
        connection.execute(table.insert(), [{"id": n, "name": f"u{n}"} for n in range(3)])
        assert job.upload_query(sqlalchemy.select(table.c.id), connection) == 3
        job.upload_query(sqlalchemy.select(table), connection, category="lookup")
        with pytest.raises(TypeError, match="session"):
            job.upload_query(sqlalchemy.select(table.c.id))
    engine.dispose()
    assert records_of(job) == [0, 1, 2]
    assert records_of(job, "lookup") == [[0, "u0"], [1, "u1"], [2, "u2"]]


class Base(DeclarativeBase):
    pass


class Person(Base):
    __tablename__ = "people"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    age: Mapped[int]


@pytest.fixture
def people():
    """A session with five people, stored in an order that is not that of their keys."""
    engine = sqlalchemy.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        for id in (4, 2, 5, 1, 3):
            session.execute(
                sqlalchemy.insert(Person).values(id=id, name=f"p{id}", age=20 + id // 4)
            )
        yield session
    engine.dispose()


@pytest.mark.parametrize(
    ("query", "records"),
    [
        (select(Person), [1, 2, 3, 4, 5]),
        (select(Person.name), ["p1", "p2", "p3", "p4", "p5"]),
        (select(Person.name).order_by(Person.age.desc()), ["p4", "p5", "p1", "p2", "p3"]),
        (select(Person.id).where(Person.id > 1).limit(2), [2, 3]),
        (select(Person.age).distinct(), [20, 21]),
        (select(Person.age, func.count()).group_by(Person.age), [[20, 3], [21, 2]]),
        (select(Person.id).union(select(Person.id + 5)), [*range(1, 11)]),
        (sqlalchemy.text("select name from people order by name desc"), [f"p{n}" for n in "54321"]),
    ],
    ids=str,
)
def test_rows_of_a_query_come_in_an_order_that_is_the_same_each_time(job, people, query, records):
    assert job.upload_query(query, people) == len(records)
    assert records_of(job) == records


def test_a_query_is_read_a_thousand_rows_at_a_time(job, people, monkeypatch):
    asked = []
    execute = people.execute
    monkeypatch.setattr(people, "execute", lambda query: asked.append(query) or execute(query))
    job.upload_query(select(Person.id), people)
    assert asked[0].get_execution_options()["yield_per"] == 1000


def test_a_model_beside_other_columns_is_refused_with_what_to_write(job, people):
    with pytest.raises(TypeError, match=r"select the columns.*select\(Person.id"):
        job.upload_query(select(Person, Person.age), people)
    with pytest.raises(TypeError, match="not 'select 1'"):
        job.upload_query("select 1", people)


class BreaksOff:
    """A session whose first query ends in the middle."""

    def __init__(self, session, after):
        self.session, self.after = session, after

    def execute(self, query):
        for number, row in enumerate(self.session.execute(query)):
            if number == self.after:
                self.after = None
                raise ConnectionResetError("the database has gone away")
            yield row


class QueryBatchJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=2)
    sessions: ClassVar[list[BreaksOff]] = []

    @before("batch")
    def load(self):
        self.upload_query(select(Person), self.sessions[0])

    def perform(self, record): ...


def test_an_upload_that_breaks_off_begins_again_and_each_row_is_there_once(
    rocketjob, people, monkeypatch
):
    monkeypatch.setattr(QueryBatchJob, "sessions", [BreaksOff(people, after=3)])
    job = QueryBatchJob.create()
    rocketjob.work_off()
    assert job.reload().is_failed and "gone away" in job.exception.message
    assert job.input.count() == 0
    job.retry()
    rocketjob.work_off()
    assert job.reload().is_completed and job.record_count == 5


# --- Django --------------------------------------------------------------------------------------

DJANGO = """
import django
from django.conf import settings
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=[],
)
django.setup()
from django.db import connection, models

class User(models.Model):
    name = models.TextField()
    class Meta:
        app_label = "tests"

with connection.schema_editor() as editor:
    editor.create_model(User)
for name in "abc":
    User.objects.create(name=name)

from rocketjob import Job
from rocketjob.testing import sandbox
from rocketjob_plugins.batch import Batch

class DjangoBatchJob(Batch, Job):
    pass

User.objects.filter(name="a").delete()
User.objects.create(id=9, name="a")
User.objects.create(id=1, name="a")
users = User.objects.all()
with sandbox():
    for query in (
        users.filter(id__gt=1),
        users.values_list("name", flat=True),
        users.values("id"),
        users.order_by("-name"),
        users.values_list("name").annotate(models.Count("id")).order_by("name"),
        users.values_list("name", flat=True).distinct().order_by("name"),
        users.order_by("-id")[:2],
    ):
        job = DjangoBatchJob()
        assert job.upload_query(query) == job.record_count
        print(*job.input.first())
"""


def test_django_query_sets_are_uploaded():
    done = subprocess.run([sys.executable, "-c", DJANGO], capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "2 3 9",
        "a b c a",
        "{'id': 1} {'id': 2} {'id': 3} {'id': 9}",
        "3 2 1 9",
        "['a', 2] ['b', 1] ['c', 1]",
        "a b c",
        "9 3",
    ], done.stderr
