"""Transactions of Django, on a database of their own.

Django is set up once for a process: the page runs in one of its own.
"""

import subprocess
import sys

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


def test_a_perform_is_committed_as_a_whole_or_rolled_back(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, str(tmp_path / "own.db")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
