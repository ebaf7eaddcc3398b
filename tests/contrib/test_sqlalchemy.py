"""Transactions of SQLAlchemy, on a database of their own."""

import pytest

sqlalchemy = pytest.importorskip("sqlalchemy")

from sqlalchemy import create_engine, text  # noqa: E402
from sqlalchemy.orm import sessionmaker  # noqa: E402

from rocketjob import ConfigurationError, Job  # noqa: E402
from rocketjob_contrib.sqlalchemy import ConnectionTransaction, SessionTransaction  # noqa: E402


@pytest.fixture
def engine(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path}/own.db")
    with engine.begin() as connection:
        connection.execute(text("create table users (name text, age int)"))
        connection.execute(text("create table audits (said text not null)"))
        connection.execute(text("insert into users values ('Jack', 20)"))
    yield engine
    engine.dispose()


def ages(engine):
    with engine.begin() as connection:
        return list(connection.execute(text("select age from users")).scalars())


def work_on(target, said):
    """The example of the original's guide: if the audit fails the user is as before."""
    target.execute(text("update users set age = 21 where name = 'Jack'"))
    target.execute(text("insert into audits values (:said)"), {"said": said})


@pytest.mark.parametrize(
    ("said", "state", "age"), [("changed", "completed", 21), (None, "failed", 20)]
)
@pytest.mark.parametrize("kind", ["session", "connection"])
def test_a_perform_is_committed_as_a_whole_or_rolled_back(
    rocketjob, engine, kind, said, state, age
):
    made = engine
    if kind == "session":

        class AlchemyAgeJob(SessionTransaction, Job):
            sessionmaker = sessionmaker(made)
            destroy_on_complete = False

            def perform(self):
                work_on(self.session, said)

    else:

        class AlchemyAgeJob(ConnectionTransaction, Job):
            engine = made
            destroy_on_complete = False

            def perform(self):
                work_on(self.connection, said)

    job = AlchemyAgeJob.create()
    rocketjob.work_off()
    assert (job.reload().state, ages(engine)) == (state, [age])
    with pytest.raises(RuntimeError, match="only while perform runs"):
        getattr(job, kind)


@pytest.mark.parametrize(
    ("mixin", "name"), [(SessionTransaction, "sessionmaker"), (ConnectionTransaction, "engine")]
)
def test_a_class_without_a_database_is_an_error_when_it_is_made(mixin, name):
    with pytest.raises(ConfigurationError, match=f"NoDatabaseJob must set `{name} = "):
        type("NoDatabaseJob", (mixin, Job), {"__module__": __name__})
