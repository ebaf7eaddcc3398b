"""Django: its transactions, the settings, the outbox in several databases, and the example's tests.

Django is set up once for a process: each program runs in one of its own.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("django")

PROGRAM = """
import sys
import django
from django.conf import settings

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1]}},
    USE_TZ=True,
)
django.setup()

from django.db import connection, models

from rocketjob import Job
from rocketjob.testing import sandbox
from rocketjob_contrib.django import DjangoTransaction


class User(models.Model):
    name, age = models.TextField(), models.IntegerField()

    class Meta:
        app_label = "own"


class Audit(models.Model):
    said = models.TextField()

    class Meta:
        app_label = "own"


class AgeJob(DjangoTransaction, Job):
    destroy_on_complete = False
    said: str | None = None

    def perform(self):
        User.objects.filter(name="Jack").update(age=21)
        Audit.objects.create(said=self.said)


with connection.schema_editor() as editor:
    editor.create_model(User)
    editor.create_model(Audit)
User.objects.create(name="Jack", age=20)
with sandbox() as rocketjob:
    for said, state, age in ((None, "failed", 20), ("changed", "completed", 21)):
        job = AgeJob.create(said=said)
        assert rocketjob.work_off() == 1
        found = job.reload().state, User.objects.get().age, Audit.objects.count()
        assert found == (state, age, age - 20), found
"""


APP = """
import contextlib
import io
import re
import sys
import django
from django.conf import settings

FILE = {"ENGINE": "django.db.backends.sqlite3"}
settings.configure(
    DATABASES={
        "default": {**FILE, "NAME": sys.argv[1]},
        "own": {**FILE, "NAME": sys.argv[1] + "-own"},
        "bare": {**FILE, "NAME": sys.argv[1] + "-bare"},
    },
    INSTALLED_APPS=["rocketjob_contrib.django"],
    ROCKETJOB={"workers": 3},
)
django.setup()

import pytest
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import transaction
from django.test import override_settings

import rocketjob
from rocketjob import Job
from rocketjob.testing import sandbox
from rocketjob_contrib.django import enqueue_on_commit, outbox
from rocketjob_contrib.outbox import relay_all

config = rocketjob.configure()
assert (config.workers, config.app) == (3, ["rocketjob_contrib.django.worker"])
for wrong, said in (
    ({"wrokers": 3}, "wrokers"),
    ({"workers": "many"}, "workers"),
    ("sqlite:///jobs.db", "must be a dict"),
):
    with override_settings(ROCKETJOB=wrong), pytest.raises(ImproperlyConfigured, match=said):
        apps.get_app_config("rocketjob").ready()

with contextlib.redirect_stdout(io.StringIO()) as said:
    call_command("rocketjob", "config")
assert re.search(r"^workers +3 +configure", said.getvalue(), re.MULTILINE), said.getvalue()
call_command("makemigrations", check_changes=True, dry_run=True, verbosity=0)
for database in ("default", "own"):
    call_command("migrate", database=database, verbosity=0)


class NumberedJob(Job):
    number: int

    def perform(self): ...


def numbers():
    return sorted(job.number for job in NumberedJob.where({}))


with sandbox():
    with transaction.atomic(using="own"):
        outbox.add(NumberedJob(number=1), using="own")
        enqueue_on_commit(NumberedJob(number=2), using="own")
        assert numbers() == []
        with pytest.raises(RuntimeError, match="durable"):
            outbox.relay(using="own")
        with pytest.raises(rocketjob.ValidationError):
            outbox.add(NumberedJob(number=0, priority=0))
    assert numbers() == [1, 2]
    with pytest.raises(KeyError), transaction.atomic():
        outbox.add(NumberedJob(number=3))
        enqueue_on_commit(NumberedJob(number=3))
        raise KeyError
    outbox.add(NumberedJob(number=4))  # without a transaction it is stored at once
    assert numbers() == [1, 2, 4]

    told, own = [], outbox.outbox_of("own")
    relay_soon, own.relay_soon = own.relay_soon, told.append
    with pytest.raises(KeyError), transaction.atomic(using="own"):
        outbox.add(NumberedJob(number=6), using="own")
        raise KeyError
    with transaction.atomic(using="own"):
        with pytest.raises(KeyError), transaction.atomic(using="own"):
            outbox.add(NumberedJob(number=6), using="own")
            raise KeyError
        kept = [outbox.add(NumberedJob(number=n), using="own") for n in range(7, 10)]
    last = outbox.add(NumberedJob(number=10), using="own")
    assert told == [[str(job.id) for job in kept], [str(last.id)]]  # in one go
    assert own.relay() == 4
    own.relay_soon = relay_soon
    assert numbers() == [1, 2, 4, 7, 8, 9, 10]
    NumberedJob.where({"number": {"$gt": 5}}).delete_all()

    with transaction.atomic(using="own"):
        outbox.outbox_of("own").relay_soon = lambda ids: None  # the process dies
        outbox.add(NumberedJob(number=5), using="own")
    assert relay_all() == 1  # whoever has no table is left alone
    assert numbers() == [1, 2, 4, 5]
"""


def run(folder, *arguments):
    ran = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_perform_is_committed_as_a_whole_or_rolled_back(tmp_path):
    run(tmp_path, "-c", PROGRAM, "own.db")


def test_settings_are_checked_and_jobs_are_committed_with_the_data_of_their_database(tmp_path):
    run(tmp_path, "-c", APP, "shop.db")


def test_options_that_every_command_of_django_takes_are_taken(tmp_path):
    example = Path(__file__).parents[2] / "examples" / "web-django"
    shop = shutil.copytree(example, tmp_path / "web-django")
    for options in (
        ["--settings", "shop.settings"],
        ["--settings=shop.settings", "--pythonpath=."],
    ):
        run(shop, "manage.py", "rocketjob", "config", *options)
        run(shop, "manage.py", "rocketjob", *options, "config")


def test_the_tests_of_the_example_pass(tmp_path):
    example = Path(__file__).parents[2] / "examples" / "web-django"
    run(shutil.copytree(example, tmp_path / "web-django"), "manage.py", "test")
