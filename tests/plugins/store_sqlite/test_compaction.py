"""The files of a store become small again, by command and by themselves, and nothing is lost."""

import itertools
import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest

from rocketjob.base.errors import StoreError, StoreUnavailable
from rocketjob.store.upkeep import Compactable, advice, tidy
from rocketjob_plugins.store_mongodb.store import MongoStore
from rocketjob_plugins.store_sqlite import SqliteStore, catalog, compaction, connection, holders
from support import sqlite_children as children

SPAWN = multiprocessing.get_context("spawn")
PAD = "x" * 4000


@pytest.fixture
def of_an_earlier_version(path):
    """A file without auto_vacuum, as all were made before."""
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("PRAGMA auto_vacuum = NONE")
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("CREATE TABLE t (a)")
    raw.execute("DROP TABLE t")
    raw.close()


@pytest.fixture
def small(monkeypatch):
    """Let little be much."""
    monkeypatch.setattr(compaction, "FREE_KEPT", 100_000)
    monkeypatch.setattr(compaction, "LARGE_LOG", 1_000_000)


def fill(store, number=400, kept=10):
    docs = store.collection("docs")
    docs.create_index([("key", 1)], name="key", unique=True)
    docs.insert_many([{"_id": id, "key": id * 7, "pad": PAD} for id in range(number)])
    docs.delete_many({"_id": {"$gte": kept}})
    return docs


def is_whole(path, kept=10):
    """Check a file that nobody uses: SQLite finds nothing wrong, and the documents are there."""
    store = SqliteStore(f"sqlite:///{path}")
    check = "PRAGMA integrity_check"
    assert store._database.maintain(lambda raw: raw.execute(check).fetchone()) == ("ok",)
    docs = store.collection("docs")
    found = [(each["_id"], each["key"], each["pad"] == PAD) for each in docs.find()]
    assert sorted(found) == [(id, id * 7, True) for id in range(kept)]
    assert docs.find_one({"key": 7}, {"_id": 1}) == {"_id": 1}
    assert list(docs.index_information()) == ["key"]
    assert store.check()["problems"] == []
    store.close()
    return True


def done(steps):
    *_, last = steps
    return last


# By command


@pytest.mark.parametrize("in_steps", [False, True])
def test_a_file_becomes_small_and_keeps_all_that_is_stored(path, store, in_steps):
    fill(store)
    before = store.space()
    assert before.in_steps and before.free_bytes > 1_000_000
    after = done(store.compact(in_steps=in_steps))
    assert after.free_bytes == after.log_bytes == 0
    assert after.bytes == path.stat().st_size < 200_000 < before.bytes
    store.collection("docs").insert_one({"_id": 10, "key": 70, "pad": PAD})
    store.close()
    assert is_whole(path, kept=11)


def test_a_file_of_an_earlier_version_is_converted(of_an_earlier_version, path, store):
    fill(store)
    assert not store.space().in_steps
    assert done(store.compact()).in_steps
    store.close()
    assert is_whole(path)


def test_others_that_have_a_file_open_use_it_well_when_it_was_converted(
    of_an_earlier_version, path, store
):
    """They must keep the map of pages from then on, though they opened it without one."""
    fill(store)
    other = SqliteStore(f"sqlite:///{path}")
    theirs = other.collection("docs")
    assert theirs.count_documents({}) == 10
    done(store.compact())
    theirs.insert_many([{"_id": id, "key": id * 7, "pad": PAD} for id in range(10, 300)])
    theirs.delete_many({"_id": {"$gte": 10}})
    done(other.compact(in_steps=True))
    other.close()
    store.close()
    assert is_whole(path)


def test_others_read_and_write_between_the_steps(path, store):
    fill(store)
    other, number = SqliteStore(f"sqlite:///{path}"), 10
    for _ in store.compact(in_steps=True):
        other.collection("docs").insert_one({"_id": number, "key": number * 7, "pad": PAD})
        number += 1
    assert number > 11
    other.close()
    store.close()
    assert is_whole(path, kept=number)


@pytest.mark.parametrize("in_steps", [False, True])
def test_a_lock_that_cannot_be_had_is_said(path, store, in_steps):
    fill(store)
    hasty = SqliteStore(f"sqlite:///{path}?timeout=0.02")
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match=r"locked for 0.02 s by another process"):
        done(hasty.compact(in_steps=in_steps))
    blocker.execute("ROLLBACK")
    assert done(hasty.compact(in_steps=in_steps)).free_bytes == 0
    blocker.close()
    hasty.close()
    store.close()
    assert is_whole(path)


def test_it_is_not_done_within_a_transaction(store):
    fill(store)
    with store.transaction(), pytest.raises(StoreError, match=r"within a transaction"):
        done(store.compact())


def test_a_store_in_memory_has_no_file():
    store = SqliteStore("sqlite://:memory:")
    store.collection("docs").insert_one({"_id": 1})
    assert store.space() is None
    assert list(store.compact()) == []
    tidy(store)
    store.close()


def test_a_disk_without_room_is_said_before_anything_is_done(path, store, monkeypatch):
    fill(store, kept=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(1, 1, 1000))
    before = path.read_bytes()
    with pytest.raises(StoreUnavailable, match=r"about 0\.\d MB in .*Nothing was changed.*TMPDIR"):
        done(store.compact())
    assert path.read_bytes() == before


FULL = """
    import resource, shutil, signal, sys
    from rocketjob.base.errors import StoreUnavailable
    from rocketjob_plugins.store_sqlite import SqliteStore
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store = SqliteStore("sqlite:///" + sys.argv[1])
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))
    try:
        list(store.compact())
    except StoreUnavailable as error:
        print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    list(store.compact())
    store.close()
"""


def in_a_child(script, *arguments):
    import textwrap

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_disk_that_becomes_full_meanwhile_is_said_and_nothing_is_lost(path, store):
    fill(store, kept=300)
    store.close()
    child = in_a_child(FULL, path)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    assert "check the disk and its free space" in out
    assert is_whole(path, kept=300)


def test_a_disk_that_turns_out_to_be_full_is_said_with_what_is_needed(store, monkeypatch):
    def fill_the_disk(raw):
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    fill(store)
    monkeypatch.setattr(compaction, "_vacuum", fill_the_disk)
    with pytest.raises(StoreUnavailable, match=r"MB in .* and as much in .*Nothing was changed"):
        done(store.compact())


COMPACTING = """
    import sys
    from rocketjob_plugins.store_sqlite import SqliteStore
    store = SqliteStore("sqlite:///" + sys.argv[1])
    store.collection_names()
    print("go", flush=True)
    for _ in store.compact(in_steps=sys.argv[2] == "True"):
        print("step", flush=True)
"""


@pytest.mark.parametrize("in_steps", [False, True])
@pytest.mark.parametrize("lines", [1, 2, 3])
def test_nothing_is_lost_if_the_process_is_killed(path, store, in_steps, lines):
    fill(store, number=3000, kept=500)
    store.close()
    child = in_a_child(COMPACTING, path, in_steps)
    for _ in range(lines):
        child.stdout.readline()
    child.kill()
    child.communicate(timeout=60)
    assert is_whole(path, kept=500)


MAKING = """
    import os, signal, sys
    from rocketjob_plugins.store_sqlite import SqliteStore, catalog

    def dying(statements, number):
        for statement in statements[:number]:
            yield statement
        os.kill(os.getpid(), signal.SIGKILL)

    catalog.SCHEMA = dying(catalog.SCHEMA, int(sys.argv[2]))
    SqliteStore("sqlite:///" + sys.argv[1]).collection("docs").insert_one({"_id": 1})
"""


@pytest.mark.parametrize("statements", range(len(catalog.SCHEMA) + 1))
def test_a_file_whose_maker_was_killed_is_made_by_the_next_and_shrinks(path, store, statements):
    child = in_a_child(MAKING, path, statements)
    child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL
    assert path.exists()
    fill(store)
    assert store.space().in_steps
    assert done(store.compact(in_steps=True)).free_bytes == 0
    store.close()
    assert is_whole(path)


def test_an_interrupt_ends_a_rewriting_and_nothing_is_lost(path, store, monkeypatch):
    fill(store, number=3000, kept=1500)
    monkeypatch.setattr(compaction, "INTERRUPT_EVERY", 100)
    monkeypatch.setattr(compaction, "_answer_signals", lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        done(store.compact())
    assert store.space().free_bytes > 0
    store.close()
    assert is_whole(path, kept=1500)


# By itself


def test_a_store_shrinks_by_itself_a_little_at_a_time(path, store, small, monkeypatch):
    monkeypatch.setattr(compaction, "STEPS", 2)
    at_once = 2 * compaction.STEP_PAGES * 4096
    fill(store, number=2000)
    size, frees = path.stat().st_size, [store.space().free_bytes]
    while len(frees) < 2 or frees[-1] < frees[-2]:
        store.tidy()
        frees.append(store.space().free_bytes)
    assert len(frees) > 4
    assert all(one - other <= at_once for one, other in itertools.pairwise(frees))
    assert frees[-1] <= 100_000
    assert path.stat().st_size < size / 10  # on disk too, although little was written since
    store.close()
    assert is_whole(path)


def test_what_little_is_free_is_kept_for_what_comes(store):
    fill(store)
    free = store.space().free_bytes
    assert free > 0
    store.tidy()
    assert store.space().free_bytes == free


def test_a_store_gives_nothing_back_while_another_writes(path, store, small, monkeypatch):
    monkeypatch.setattr(compaction, "PAUSE", 1)
    fill(store)
    free = store.space().free_bytes
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    store.tidy()
    assert store.space().free_bytes == free
    blocker.execute("ROLLBACK")
    blocker.close()
    store.tidy()
    assert store.space().free_bytes < free


def test_a_file_of_an_earlier_version_is_left_alone_and_named(
    of_an_earlier_version, path, store, small
):
    fill(store)
    free = store.space().free_bytes
    store.tidy()
    assert store.space().free_bytes == free
    ((message, advice),) = store.check()["warnings"]
    assert f"MB of {path} are free" in message and "an earlier version" in message
    assert "rocketjob store compact" in advice
    done(store.compact())
    assert store.check()["warnings"] == []


def test_a_store_on_a_server_says_what_to_do_about_its_space():
    store = object.__new__(MongoStore)
    assert not isinstance(store, Compactable)
    assert "db.runCommand({compact: 'rocket_job.jobs'})" in advice(store)


# The log


def log_size(path):
    return os.path.getsize(f"{path}-wal")


def grow_log(docs):
    for number in range(1000, 1500):
        docs.insert_one({"_id": number, "key": number * 7, "pad": PAD})
        docs.delete_one({"_id": number})


def test_a_log_that_has_grown_while_somebody_read_is_merged_when_that_ends(path, store, small):
    docs = fill(store)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
    grow_log(docs)
    before = log_size(path)
    assert before > 2_000_000
    store.tidy()
    assert log_size(path) == before  # what is in it may still be read
    reader.execute("ROLLBACK")
    store.tidy()
    assert log_size(path) < before / 10
    reader.close()
    store.close()
    assert is_whole(path)


def test_a_log_does_not_grow_without_end_while_readers_follow_each_other_closely(
    path, store, small, monkeypatch
):
    """There is always one, so it never begins again at its start, unless one waits for them."""
    monkeypatch.setattr(compaction, "PAUSE", 20_000)
    docs = fill(store)
    readers = [sqlite3.connect(path, isolation_level=None, check_same_thread=False) for _ in "ab"]

    def begin(reader):
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sqlite_master").fetchone()

    begin(readers[0])
    grow_log(docs)
    size = log_size(path)
    stop = threading.Event()

    def read_for_ever():
        while not stop.is_set():
            for one, other in (readers, readers[::-1]):
                begin(other)
                one.execute("ROLLBACK")

    thread = threading.Thread(target=read_for_ever)
    thread.start()
    store.tidy()
    shortened = log_size(path)
    stop.set()
    thread.join()
    for reader in readers:
        reader.close()
    assert shortened < size / 10


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who holds a lock")
def test_who_keeps_a_log_from_being_merged_is_named(path, store, monkeypatch):
    monkeypatch.setattr(compaction, "WAL_BYTES_KEPT", 1_000_000)
    docs = fill(store)
    ready, end = SPAWN.Event(), SPAWN.Event()
    child = SPAWN.Process(target=children.read_until, args=(str(path), ready, end))
    child.start()
    assert ready.wait(60)
    grow_log(docs)
    ((message, advice),) = store.check()["warnings"]
    end.set()
    child.join(60)
    assert f"{path}-wal has grown to" in message
    assert f"process {child.pid} (" in message
    assert "end what reads" in advice
    ((message, advice),) = store.check()["warnings"]
    assert "nobody does at the moment" in message
    assert "rocketjob store compact" in advice


def test_it_is_not_said_who_reads_where_the_system_does_not_tell(path, store, monkeypatch):
    monkeypatch.setattr(compaction, "WAL_BYTES_KEPT", 1)
    monkeypatch.setattr(holders, "readers", lambda path: None)
    fill(store)
    ((message, _),) = store.check()["warnings"]
    assert "at the moment" not in message


def test_the_log_of_a_store_at_rest_is_no_reason_for_a_warning(store):
    fill(store)
    assert store.space().log_bytes < connection.WAL_BYTES_KEPT
    assert store.check()["warnings"] == []
