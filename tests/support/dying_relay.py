"""Let a process die at every step of an outbox's way, and look at what it leaves.

    python dying_relay.py sqlalchemy|django DIRECTORY URL

For n = 1, 2, ... a forked process places an order together with its job, and kills itself (SIGKILL)
at its nth point: before each commit of the application and each write of the store, and at the end.
Another one then performs what is in the store, which removes the job, relays what was left, and
looks: there is one receipt for each order, and nothing is left over. It ends with the first n that
is never reached. `{n}` in the URL makes a store for each.
"""

import importlib
import json
import os
import signal
import sys

from rocketjob import Job
from rocketjob_contrib.outbox import relay_all
from rocketjob_contrib.outbox.receipts import COLLECTION
from support.dying import check, in_a_process, opened, warming_up

WRITES = ("insert_one", "update_one", "update_many", "delete_one", "find_one_and_update")


class ReceiptOfOrder(Job):
    path: str

    def perform(self):
        with open(self.path, "a") as receipts:
            receipts.write("receipt\n")


class WithSqlalchemy:
    """An application with SQLAlchemy."""

    def __init__(self, database):
        from sqlalchemy import create_engine, text

        from rocketjob_contrib.sqlalchemy import Outbox

        self.engine, self.text = create_engine(f"sqlite:///{database}"), text
        self.outbox = Outbox(self.engine)
        self.commits = type(self.engine.dialect), "do_commit"

    def make(self):
        self.outbox.create_table()
        with self.engine.begin() as connection:
            connection.execute(self.text("create table orders (id integer primary key)"))

    def place(self, job):
        from sqlalchemy.orm import Session

        with Session(self.engine) as session, session.begin():
            session.execute(self.text("insert into orders values (1)"))
            self.outbox.add(session, job)

    def counts(self):
        with self.engine.connect() as connection:
            tables = ("orders", self.outbox.name)
            return [connection.scalar(self.text(f"select count(*) from {t}")) for t in tables]


class WithDjango:
    """An application with Django."""

    def __init__(self, database):
        import django
        from django.conf import settings
        from django.db import connections

        if not settings.configured:
            settings.configure(
                DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database}},
                INSTALLED_APPS=["rocketjob_contrib.django"],
            )
            django.setup()
        self.connection = connections["default"]
        self.connection.close()
        self.connection.settings_dict["NAME"] = str(database)
        self.commits = type(self.connection), "_commit"

    def make(self):
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        self.connection.cursor().execute("create table orders (id integer primary key)")
        self.connection.close()

    def place(self, job):
        from django.db import transaction

        from rocketjob_contrib.django import outbox

        with transaction.atomic():
            self.connection.cursor().execute("insert into orders values (1)")
            outbox.add(job)

    def counts(self):
        with self.connection.cursor() as cursor:
            tables = ("orders", "rocketjob_outbox")
            return [cursor.execute(f"select count(*) from {t}").fetchone()[0] for t in tables]


class Points:
    """Counts, and kills the process at the nth point."""

    def __init__(self, last):
        self.left = last

    def pass_one(self):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, owner, name):
        function = getattr(owner, name)

        def call(*arguments, **keywords):
            self.pass_one()
            return function(*arguments, **keywords)

        setattr(owner, name, call)


class Trial:
    def __init__(self, kind, directory, url, n):
        self.application, self.receipts = kind(f"{directory}/{n}.db"), f"{directory}/{n}.txt"
        self.url = url.format(n=n)

    def place_and_die(self, n):
        with opened(self.url) as rocketjob:
            self.application.make()
            store, points = rocketjob.store, Points(n)
            points.watch(*self.application.commits)
            points.watch(type(store), "commit")
            for name in WRITES:
                points.watch(type(store.collection("any")), name)
            self.application.place(ReceiptOfOrder(path=self.receipts))
            points.pass_one()

    def look(self):
        with opened(self.url) as rocketjob:
            rocketjob.work_off()  # a job that was stored is performed, and then it is removed
            for _ in range(2):
                rocketjob.store.recover(COLLECTION, {})
                relay_all()
                rocketjob.work_off()
            orders, rows = self.application.counts()
            assert (orders, rows) == (self.performed(), 0), (orders, rows, self.performed())
            assert Job.count() == 0
            receipts = list(rocketjob.store.collection(COLLECTION).find({}))
            assert [each["relayed"] for each in receipts] == [True] * orders, receipts
            rocketjob.store.collection(COLLECTION).delete_many({})

    def performed(self):
        return open(self.receipts).read().count("\n") if os.path.exists(self.receipts) else 0


def main(kind, directory, url):
    kind, n, seen = {"sqlalchemy": WithSqlalchemy, "django": WithDjango}[kind], 0, set()
    with warming_up():
        importlib.import_module("rocketjob_plugins.store_mongodb.store")
        trial = Trial(kind, directory, "sqlite://:memory:", "warm")
        with opened(trial.url):
            trial.application.make()
            trial.application.place(ReceiptOfOrder(path=trial.receipts))
    while True:
        n += 1
        trial = Trial(kind, directory, url, n)
        died = in_a_process(trial.place_and_die, n)
        check(in_a_process(trial.look) == 0, "wrong after the death", n)
        seen.add(trial.performed())
        if died == 0:
            check(seen == {0, 1}, f"there were {seen} orders, and not both none and one", n)
            print(json.dumps({"points": n - 1}))
            return
        check(died == -signal.SIGKILL, f"ended otherwise: {died}", n)


if __name__ == "__main__":
    main(*sys.argv[1:])
