"""Several processes and threads on one file."""

import gc
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from rocketjob.base.errors import StoreError, is_duplicate_key
from rocketjob.base.interrupt import Interrupt
from rocketjob_plugins.store_sqlite import SqliteStore, changes, forks, waiting
from support import sqlite_children as children

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def store(url):
    store = SqliteStore(url)
    yield store
    store.close()


def run(target, *arguments):
    process = SPAWN.Process(target=target, args=arguments)
    process.start()
    process.join(60)
    assert process.exitcode == 0


def test_processes_never_claim_the_same(store, url):
    jobs = store.collection("jobs")
    jobs.create_index([("state", 1), ("priority", 1), ("_id", 1), ("run_at", 1)], name="claim")
    jobs.insert_many(
        [{"_id": i, "state": "queued", "priority": i % 3, "claim_number": 0} for i in range(3000)]
    )
    ready, go, results = SPAWN.Semaphore(0), SPAWN.Event(), SPAWN.Queue()
    arguments = (url, ready, go, results)
    workers = [SPAWN.Process(target=children.claim_all, args=arguments) for _ in range(3)]
    for worker in workers:
        worker.start()
    for _ in workers:
        assert ready.acquire(timeout=60)
    go.set()
    claimed = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(60)
    assert all(isinstance(part, list) for part in claimed), claimed
    assert sorted(id for part in claimed for id in part) == list(range(3000))
    assert jobs.count_documents({"state": "running", "claim_number": 1}) == 3000


def test_processes_may_open_a_new_file_at_once(url, store):
    workers = [SPAWN.Process(target=children.insert_one, args=(url, {"_id": i})) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert store.collection("docs").count_documents({}) == 4


@pytest.mark.parametrize("attempt", range(3))
def test_a_killed_writer_leaves_whole_documents(store, url, attempt):
    started = [SPAWN.Event() for _ in range(2)]
    writers = [SPAWN.Process(target=children.write_for_ever, args=(url, e)) for e in started]
    for writer in writers:
        writer.start()
    for event in started:
        assert event.wait(60)
    for writer in writers:
        os.kill(writer.pid, signal.SIGKILL)
        writer.join(60)
    assert store.check()["problems"] == []
    groups = {}
    for document in store.collection("docs").find():
        key = document["_id"].rpartition("-")[0]
        groups.setdefault(key, []).append((document.get("done"), document["pad"][0]))
    assert groups
    for members in groups.values():
        assert len(members) == 3
        assert set(members) in ({(None, "x")}, {(True, "y")})


# What one process does to the tables, another one notices


def test_an_index_of_another_process_is_maintained_at_once(store, url):
    docs = store.collection("docs")
    docs.insert_one({"_id": 1, "key": "a"})
    run(children.add_index, url)
    docs.insert_one({"_id": 2, "key": "b"})
    docs.update_one({"_id": 1}, {"$set": {"key": "c"}})
    assert [d["_id"] for d in docs.find({"key": "c"})] == [1]
    with pytest.raises(StoreError) as caught:
        docs.insert_one({"_id": 3, "key": "b"})
    assert is_duplicate_key(caught.value)


def test_strange_values_of_another_process_are_found(store, url):
    docs = store.collection("docs")
    docs.create_index([("key", 1)], name="key")
    docs.insert_one({"_id": "c", "key": 5})
    there, equal = {"key": {"$exists": True}}, {"key": 5}
    assert docs.count_documents(equal) == docs.count_documents(there) == 1
    run(children.insert_strange, url)
    assert sorted(d["_id"] for d in docs.find(equal)) == ["a", "c"]
    assert docs.count_documents(there) == 3
    assert [d["_id"] for d in docs.find({}, sort=[("key", 1), ("_id", 1)])] == ["b", "a", "c"]


def test_a_collection_that_another_process_replaced_is_read_anew(store, url):
    docs = store.collection("docs")
    docs.insert_many([{"_id": i} for i in range(300)])
    cursor = docs.find()
    assert next(cursor) == {"_id": 0}
    run(children.drop_and_refill, url)
    assert [d["_id"] for d in docs.find()] == ["new"]
    list(cursor)  # what it had before it, or less: no error
    docs.insert_one({"_id": 1})
    assert docs.count_documents({}) == 2


def test_a_rolled_back_index_is_forgotten(store, url):
    docs = store.collection("docs")
    docs.insert_one({"_id": 1, "key": "a"})
    with pytest.raises(KeyError), store.transaction():
        docs.create_index([("other", 1)], name="other")
        docs.insert_one({"_id": 2, "other": [1]})
        raise KeyError
    run(children.add_index, url)
    docs.insert_one({"_id": 3, "key": "b", "other": 1})
    assert docs.find_one({"key": "b"}) == {"_id": 3, "key": "b", "other": 1}


def no_bell():
    raise OSError("no inotify instance is left")


@pytest.mark.parametrize("waits", ["for the bell", "polling"])
def test_a_change_by_another_process_wakes_who_waits(store, url, waits, monkeypatch):
    if waits == "polling":
        monkeypatch.setattr(changes, "Bell", no_bell)
    elif sys.platform == "linux":
        monkeypatch.setattr(waiting, "LOOK_SECONDS", 1000)
    store.collection("docs").insert_one({"_id": 0})
    mark = store.change_mark()
    process = SPAWN.Process(target=children.insert_one, args=(url, {"_id": 1}))
    process.start()
    assert store.wait_for_change(mark, 60)
    process.join(60)


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is a part of Linux")
def test_the_bell_wakes_all_threads_that_wait(store, url, monkeypatch):
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 1000)
    store.collection("docs").insert_one({"_id": 0})
    mark = store.change_mark()
    with ThreadPoolExecutor(4) as threads:
        found = [threads.submit(store.wait_for_change, mark, 60) for _ in range(4)]
        assert run(children.insert_one, url, {"_id": 1}) is None
        assert [each.result(60) for each in found] == [True] * 4


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is a part of Linux")
def test_a_file_put_in_place_of_another_gets_the_bell(store, url, tmp_path, monkeypatch):
    store.collection("docs").insert_one({"_id": 0})
    store.change_mark()
    store.close()
    run(children.insert_one, f"sqlite:///{tmp_path}/other.db", {"_id": 0})
    (tmp_path / "other.db").rename(tmp_path / "store.db")
    mark = store.change_mark()
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 1000)
    process = SPAWN.Process(target=children.insert_one, args=(url, {"_id": 1}))
    process.start()
    assert store.wait_for_change(mark, 60)
    process.join(60)


def test_an_interrupt_ends_the_wait_at_once(store):
    store.collection("docs").insert_one({"_id": 0})
    interrupt = Interrupt()
    with ThreadPoolExecutor(1) as threads:
        found = threads.submit(store.wait_for_change, store.change_mark(), 60, interrupt)
        interrupt.set()
        assert found.result(30) is False
    assert store.wait_for_change(store.change_mark(), 60, interrupt) is False
    assert interrupt._callbacks == []


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is a part of Linux")
def test_a_closed_store_leaves_no_descriptors(tmp_path):
    def descriptors():
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    before = descriptors()
    for number in range(3):
        store = SqliteStore(f"sqlite:///{tmp_path}/{number}.db")
        store.collection("docs").insert_one({"_id": 0})
        store.wait_for_change(store.change_mark(), 0.01)
        store.close()
    assert descriptors() == before


# An idle caller wakes nobody


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_what_finds_nothing_writes_nothing(tmp_path, kind):
    store = SqliteStore("sqlite://:memory:" if kind == "memory" else f"sqlite:///{tmp_path}/x.db")
    docs = store.collection("docs")
    docs.create_index([("state", 1)], name="state")
    docs.insert_one({"_id": 1, "state": "done"})
    mark = store.change_mark()
    update, sort = {"$set": {"state": "x"}}, [("_id", 1)]
    for _ in range(3):
        assert store.claim_many("docs", {"state": "no"}, update, sort=sort, limit=5) == []
        assert store.claim_many("none", {"state": "no"}, update, sort=sort, limit=5) == []
    assert store.write_many("docs", [({"_id": 2}, None), ({"_id": 1, "state": "x"}, update)]) == [
        False,
        False,
    ]
    docs.update_one({"_id": 1}, {"$set": {"state": "done"}})
    docs.update_many({"state": "no"}, update)
    docs.delete_many({"state": "no"})
    docs.create_index([("state", 1)], name="state")
    store.collection("none").drop()
    assert store.change_mark() == mark
    assert store.wait_for_change(mark, 0) is False
    store.close()


def test_an_idle_claim_does_not_need_the_write_lock(store, url):
    docs = store.collection("docs")
    docs.insert_one({"_id": 1})
    update, sort = {"$set": {"state": "x"}}, [("_id", 1)]
    hasty = SqliteStore(f"{url}?timeout=0.01")

    def claim():
        return hasty.claim_many("docs", {"state": "queued"}, update, sort=sort, limit=1)

    assert claim() == []
    with store.transaction():
        docs.insert_one({"_id": 2})
        assert claim() == []
    docs.insert_one({"_id": 3, "state": "queued"})
    assert [job["_id"] for job in claim()] == [3]
    hasty.close()


# Threads, forks and closing


def connections_of(store):
    gc.collect()
    return len(store._database.connections.process.connections)


def test_the_connection_of_a_thread_is_closed_with_it(store):
    docs = store.collection("docs")
    docs.insert_one({"_id": 0})
    threads = [threading.Thread(target=docs.find_one) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert connections_of(store) == 1


def test_closing_leaves_no_file_open(store):
    docs = store.collection("docs")
    docs.insert_one({"_id": 0})
    store.change_mark()
    opened, done = threading.Event(), threading.Event()

    def hold():
        docs.find_one()
        opened.set()
        done.wait(30)
        docs.find_one()
        store.close()

    thread = threading.Thread(target=hold)
    thread.start()
    opened.wait(30)
    path = store.check()["path"]
    assert open_files(path) > 2
    store.close()
    assert open_files(path) == 0
    done.set()
    thread.join()
    assert open_files(path) == 0


def open_files(path):
    links = (os.path.join("/proc/self/fd", name) for name in os.listdir("/proc/self/fd"))
    return sum(1 for link in links if os.path.lexists(link) and path in os.readlink(link))


def forked(work):
    """Run work in a forked child; return whether it went well."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork with threads, since 3.12
        pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException as error:
            os.write(2, repr(error).encode())
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


def test_a_forked_child_opens_the_file_for_itself(store):
    docs = store.collection("docs")
    docs.insert_one({"_id": 0})
    mine = store._database.connections.current()

    def work():
        docs.insert_one({"_id": os.getpid()})
        assert store._database.connections.current() is not mine
        gc.collect()
        assert docs.count_documents({}) == 2
        store.change_mark()
        store.close()

    mark = store.change_mark()
    assert forked(work)
    assert store.wait_for_change(mark, 10)
    docs.insert_one({"_id": "parent"})
    assert docs.count_documents({}) == 3
    assert mine.closed  # nothing of SQLite's is copied into a child


def test_a_forked_child_can_work_though_a_thread_held_every_lock(store):
    docs = store.collection("docs")
    docs.insert_one({"_id": 0})
    held, done = threading.Event(), threading.Event()

    def hold():
        with store._database.connections.process.lock, store._database.connections.process.writers:
            held.set()
            done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    assert forked(lambda: docs.insert_one({"_id": 1}))
    done.set()
    thread.join()


def test_what_a_child_writes_is_there_when_its_parent_has_closed_the_file(store):
    docs = store.collection("docs")
    docs.insert_one({"_id": 0})
    read, write = os.pipe()

    def work():
        docs.insert_one({"_id": 1})
        if os.fork() == 0:  # it outlives this one, which holds the file until then
            docs.insert_one({"_id": 2})
            os.read(read, 1)
            docs.insert_one({"_id": 3})
            os._exit(0)
        store.close()

    assert forked(work)
    store.close()
    os.write(write, b"x")
    other = SqliteStore(store.url)
    try:
        mark = other.change_mark()
        while other.collection("docs").count_documents({}) < 4:
            assert other.wait_for_change(mark, 30)
            mark = other.change_mark()
    finally:
        other.close()
        os.close(read)
        os.close(write)


def test_a_fork_while_threads_write_leaves_children_that_can_work(store):
    docs, done = store.collection("docs"), threading.Event()

    def write(number):
        each = 0
        while not done.is_set():
            each += 1
            docs.insert_one({"_id": f"{number}.{each}"})
            store.change_mark()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(20):
            assert forked(lambda number=number: docs.insert_one({"_id": number}))
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert docs.count_documents({"_id": {"$type": "number"}}) == 20


def test_a_child_that_was_forked_within_a_transaction_refuses_to_work(store):
    docs = store.collection("docs")

    def work():
        for attempt in (lambda: docs.insert_one({"_id": 2}), store.change_mark):
            with pytest.raises(StoreError, match="forked while a transaction"):
                attempt()
        other = SqliteStore(store.url)
        with pytest.raises(StoreError, match="spawn"):
            other.collection("docs").find_one({})

    with store.transaction():
        docs.insert_one({"_id": 1})
        assert forked(work)
        assert docs.count_documents({}) == 1
    assert [each["_id"] for each in docs.find({})] == [1]


def test_a_child_does_not_end_the_transaction_of_its_parent(store):
    docs = store.collection("docs")

    def leave_the_block():
        with pytest.raises(StoreError, match="forked"):
            block.__exit__(None, None, None)

    block = store.transaction()
    block.__enter__()
    docs.insert_one({"_id": 1})
    assert forked(leave_the_block)
    docs.insert_one({"_id": 2})
    block.__exit__(None, None, None)
    assert docs.count_documents({}) == 2


def test_a_thread_within_a_long_transaction_does_not_hold_a_fork_for_long(store, monkeypatch):
    monkeypatch.setattr(forks, "WAIT_SECONDS", 0.05)
    docs = store.collection("docs")
    held, done = threading.Event(), threading.Event()

    def hold():
        with store.transaction():
            docs.insert_one({"_id": 1})
            held.set()
            done.wait(30)

    def work():
        with pytest.raises(StoreError, match="forked"):
            docs.find_one({})

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    assert forked(work)
    done.set()
    thread.join()
    assert docs.count_documents({}) == 1


def test_memory_does_not_reach_into_a_forked_child():
    store = SqliteStore("sqlite://:memory:")
    store.collection("docs").insert_one({"_id": 0})

    def work():
        with pytest.raises(StoreError, match="use a file"):
            store.collection("docs").find_one({})

    assert forked(work)
    assert store.collection("docs").count_documents({}) == 1
    store.close()


def test_threads_share_one_memory():
    store = SqliteStore("sqlite://:memory:")
    docs = store.collection("docs")

    def work(number):
        for i in range(50):
            docs.insert_one({"_id": f"{number}-{i}"})
            with store.transaction():
                docs.update_one({"_id": "sum"}, {"$inc": {"n": 1}}, upsert=True)
                docs.update_one({"_id": "sum"}, {"$inc": {"n": -1, "done": 1}})

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert docs.find_one({"_id": "sum"}) == {"_id": "sum", "n": 0, "done": 200}
    assert docs.count_documents({}) == 201
    store.close()


def test_another_thread_does_not_join_a_transaction(store):
    docs = store.collection("docs")
    docs.insert_one({"_id": 0})
    counts = []
    with store.transaction():
        docs.insert_one({"_id": 1})
        thread = threading.Thread(target=lambda: counts.append(docs.count_documents({})))
        thread.start()
        thread.join()
    assert counts == [1]


def test_an_error_of_the_caller_inside_a_joined_block_undoes_that_block_only(store):
    docs = store.collection("docs")
    with store.transaction():
        docs.insert_one({"_id": 1})
        with pytest.raises(KeyError), store.transaction():
            docs.insert_one({"_id": 2})
            raise KeyError
        with pytest.raises(StoreError):
            docs.insert_many([{"_id": 3}, {"_id": 1}])
        docs.insert_one({"_id": 4})
    assert sorted(d["_id"] for d in docs.find()) == [1, 4]
