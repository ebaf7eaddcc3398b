"""Servers whose store's files are moved, replaced, deleted or read-only, and put right again."""

import os
import shutil
import signal
import sys

import pytest

from rocketjob.testing import sandbox
from support.runtime import eventually, insert, servers

APP = """
    from rocketjob import Job

    class MovedStoreJob(Job):
        destroy_on_complete = False

        def perform(self):
            return None
"""


@pytest.fixture
def jobs(tmp_path):
    """The documents in the store that the server uses."""
    (tmp_path / "away").mkdir()
    with sandbox(f"sqlite:///{tmp_path}/jobs.db?timeout=20") as made:
        yield made.store.collection("rocket_job.jobs")


def all_completed(jobs, number):
    eventually(lambda: jobs.count_documents({"state": "completed"}) == number)


def errors(server):
    return [str(record) for record in server.logged("the heartbeat failed")]


def says(server, *texts):
    eventually(lambda: any(all(text in each for text in texts) for each in errors(server)))
    assert server.process.poll() is None


def works_again_and_ends(server, jobs):
    insert(jobs, "MovedStoreJob", 5)
    all_completed(jobs, 10)
    assert jobs.count_documents({"claim_number": 1}) == 10
    server.send(signal.SIGTERM)
    assert server.wait() == 0


def moved(folder):
    os.rename(folder / "jobs.db", folder / "away" / "jobs.db")
    return lambda: os.rename(folder / "away" / "jobs.db", folder / "jobs.db")


def moved_with_its_log(folder):
    names = ["jobs.db-shm", "jobs.db-wal", "jobs.db"]
    for name in names:
        os.rename(folder / name, folder / "away" / name)

    def put_back():
        for name in reversed(names[:2]):
            os.rename(folder / "away" / name, folder / name)
        os.rename(folder / "away" / "jobs.db", folder / "jobs.db")

    return put_back


def log_moved(folder):
    os.rename(folder / "jobs.db-wal", folder / "away" / "jobs.db-wal")
    return lambda: os.rename(folder / "away" / "jobs.db-wal", folder / "jobs.db-wal")


def deleted(folder):
    """A name of the file is left, so that the same file can be put back."""
    os.link(folder / "jobs.db", folder / "away" / "jobs.db")
    os.unlink(folder / "jobs.db")
    return lambda: os.rename(folder / "away" / "jobs.db", folder / "jobs.db")


def replaced_by_a_copy(folder):
    os.rename(folder / "jobs.db", folder / "away" / "jobs.db")
    shutil.copyfile(folder / "away" / "jobs.db", folder / "jobs.db")
    return lambda: os.replace(folder / "away" / "jobs.db", folder / "jobs.db")


def replaced_by_another_store(folder):
    with sandbox(f"sqlite:///{folder}/other.db") as made:
        made.store.collection("rocket_job.jobs").insert_one({"_id": 1})
    os.rename(folder / "jobs.db", folder / "away" / "jobs.db")
    os.rename(folder / "other.db", folder / "jobs.db")
    return lambda: os.replace(folder / "away" / "jobs.db", folder / "jobs.db")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (moved, "jobs.db was deleted or moved away"),
        (moved_with_its_log, "jobs.db was deleted or moved away"),
        (log_moved, "jobs.db-wal was deleted, moved away or replaced"),
        (deleted, "jobs.db was deleted or moved away"),
        (replaced_by_a_copy, "jobs.db was replaced by another file"),
        (replaced_by_another_store, "jobs.db was replaced by another file"),
    ],
)
def test_a_server_says_what_happened_to_its_store_and_goes_on_when_it_is_put_right(
    tmp_path, jobs, harm, message
):
    with servers(tmp_path, APP) as start:
        server = start(heartbeat_seconds=1).wait_until_up()
        insert(jobs, "MovedStoreJob", 5)
        all_completed(jobs, 5)
        put_right = harm(tmp_path)
        says(server, message, "put", "Nothing is written until then")
        put_right()
        works_again_and_ends(server, jobs)


OBEYS_PERMISSIONS = "import ctypes; ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)"
"""Root's children may write to files that are read-only, unless it drops CAP_DAC_OVERRIDE."""


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are a part of Linux")
def test_a_process_that_finds_the_store_read_only_says_so_and_works_when_it_is_not(tmp_path, jobs):
    """Those that have it open are not disturbed, but a new one cannot begin."""
    with servers(tmp_path, APP) as start:
        server = start(before=OBEYS_PERMISSIONS, processes=1).wait_until_up()
        insert(jobs, "MovedStoreJob", 5)
        all_completed(jobs, 5)
        os.chmod(tmp_path / "jobs.db", 0o444)
        os.kill(server.children()[0], signal.SIGKILL)
        insert(jobs, "MovedStoreJob", 5)
        text = f"{tmp_path}/jobs.db cannot be written: it belongs to"
        eventually(lambda: any(text in str(each) for each in server.log()))
        os.chmod(tmp_path / "jobs.db", 0o644)
        all_completed(jobs, 10)
        server.send(signal.SIGTERM)
        assert server.wait() == 0
