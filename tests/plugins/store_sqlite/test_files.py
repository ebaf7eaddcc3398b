"""A file that was deleted, moved or replaced while it was open is not used, and this is said."""

import multiprocessing
import os
import sqlite3
import sys
import threading
from contextlib import closing

import pytest

from rocketjob.base.errors import StoreUnavailable
from rocketjob.base.interrupt import Interrupt
from rocketjob_plugins.store_sqlite import SqliteStore, connections, failures, holders
from support import sqlite_children as children


@pytest.fixture
def path(tmp_path):
    (tmp_path / "away").mkdir()
    return tmp_path / "store.db"


@pytest.fixture
def store(path):
    store = SqliteStore(f"sqlite:///{path}")
    store.collection("docs").insert_one({"_id": "first"})
    yield store
    store.close()


@pytest.fixture
def docs(store):
    return store.collection("docs")


@pytest.fixture
def always_checked(monkeypatch):
    monkeypatch.setattr(connections, "CHECK_FILES_SECONDS", 0.0)


def beside(path, suffix):
    return path.with_name(path.name + suffix)


def move(path, *suffixes):
    for suffix in suffixes:
        os.rename(beside(path, suffix), path.parent / "away" / (path.name + suffix))


def put_back(path, *suffixes):
    for suffix in suffixes:
        os.replace(path.parent / "away" / (path.name + suffix), beside(path, suffix))


def another(path, *ids):
    """Make another store's file, closed."""
    other = SqliteStore(f"sqlite:///{path}")
    other.collection("docs").insert_many([{"_id": id} for id in ids])
    other.close()


def ids(docs):
    return sorted(each["_id"] for each in docs.find())


def calls(store):
    """Return one call of each way to use a store."""
    docs = store.collection("docs")
    return [
        lambda: docs.insert_one({"_id": "lost"}),
        lambda: docs.find_one({}),
        lambda: list(docs.find()),
        lambda: docs.update_many({}, {"$set": {"x": 1}}),
        lambda: store.write_many("docs", [({"_id": "first"}, None)]),
        lambda: store.claim_many("docs", {}, {"$set": {"x": 1}}, sort=[], limit=1),
        lambda: store.transaction().__enter__(),
        store.change_mark,
        store.check,
    ]


def all_are_refused(store, says):
    for call in calls(store):
        with pytest.raises(StoreUnavailable, match=says) as caught:
            call()
        assert store.is_transient(caught.value)


@pytest.mark.parametrize("suffixes", [("",), ("-shm", "-wal", "")], ids=["alone", "with its log"])
def test_a_moved_file_is_not_used_until_it_is_back(path, store, docs, always_checked, suffixes):
    store.change_mark()
    move(path, *suffixes)
    all_are_refused(store, r"store\.db was deleted or moved away .* put it back")
    put_back(path, *reversed(suffixes))
    docs.insert_one({"_id": "second"})
    assert ids(docs) == ["first", "second"]


def test_a_replaced_file_is_not_used_until_the_earlier_one_is_back(
    path, store, docs, always_checked
):
    another(path.parent / "other.db", "theirs")
    store.change_mark()
    move(path, "")
    os.rename(path.parent / "other.db", path)
    before = path.read_bytes()
    all_are_refused(store, r"store\.db was replaced by another file .* put the earlier one back")
    assert path.read_bytes() == before
    put_back(path, "")
    docs.insert_one({"_id": "second"})
    assert ids(docs) == ["first", "second"]


def test_a_file_replaced_with_all_that_belongs_to_it_is_used_after_a_restart(path, store, docs):
    another(path.parent / "other.db", "theirs")
    move(path, "-wal", "-shm", "")
    os.rename(path.parent / "other.db", path)
    with pytest.raises(StoreUnavailable, match=r"replaced by another file"):
        docs.insert_one({"_id": "lost"})
    store.close()
    docs.insert_one({"_id": "mine"})
    assert ids(docs) == ["mine", "theirs"]


def test_a_file_that_was_never_used_with_a_log_is_written_to_at_once(path, store):
    copied = path.parent / "copy.db"
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("VACUUM INTO ?", [str(copied)])
    copy = SqliteStore(f"sqlite:///{copied}")
    copy.collection("docs").insert_one({"_id": "second"})
    assert ids(copy.collection("docs")) == ["first", "second"]
    copy.close()


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
def test_a_log_that_was_moved_stops_all_use_until_it_is_back(
    path, store, docs, always_checked, suffix
):
    store.change_mark()
    move(path, suffix)
    all_are_refused(store, rf"store\.db{suffix} was deleted, moved away or replaced while")
    put_back(path, suffix)
    docs.insert_one({"_id": "second"})
    assert ids(docs) == ["first", "second"]


def test_a_log_that_was_deleted_is_saved_by_the_last_process_that_ends(path, store, docs):
    docs.insert_one({"_id": "second"})
    beside(path, "-wal").unlink()
    with pytest.raises(StoreUnavailable, match=r"store\.db-wal was deleted.*the last one to end"):
        docs.insert_one({"_id": "third"})
    store.close()
    assert "second" in ids(docs)


@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_a_file_that_goes_while_a_change_is_made_is_said(path, store, docs, suffix):
    """It would be acknowledged, and nobody else would ever see it."""
    with (
        pytest.raises(StoreUnavailable, match=r"A change was made just as this happened"),
        store.transaction(),
    ):
        docs.insert_one({"_id": "second"})
        move(path, suffix)
    with pytest.raises(StoreUnavailable, match=r"moved away"):
        docs.insert_one({"_id": "third"})
    put_back(path, suffix)
    assert ids(docs) == ["first", "second"]


def test_another_thread_opens_no_other_file(path, store, always_checked):
    another(path.parent / "other.db", "theirs")
    found = []

    def look():
        try:
            found.append(ids(store.collection("docs")))
        except StoreUnavailable as error:
            found.append(str(error))

    def in_a_thread():
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        return found.pop()

    for suffix in ("-wal", "-shm"):
        move(path, suffix)
        assert f"{suffix} was deleted" in in_a_thread()
        assert not beside(path, suffix).exists()
        put_back(path, suffix)
    move(path, "")
    assert "moved away" in in_a_thread()
    os.rename(path.parent / "other.db", path)
    assert "replaced by another" in in_a_thread()
    put_back(path, "")
    assert in_a_thread() == ["first"]


def _insert(store, answers):
    try:
        store.collection("docs").insert_one({"_id": "of the child"})
        answers.send("stored")
    except StoreUnavailable as error:
        answers.send(str(error))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_uses_the_file_of_its_parent_or_none(path, store):
    context = multiprocessing.get_context("fork")
    another(path.parent / "other.db", "theirs")
    store.collection("docs").find_one({})
    move(path, "")
    os.rename(path.parent / "other.db", path)
    mine, theirs = context.Pipe()
    child = context.Process(target=_insert, args=(store, theirs))
    child.start()
    assert mine.poll(30)
    assert "replaced by another file" in mine.recv()
    child.join(30)
    put_back(path, "")


def test_a_wait_for_changes_ends_when_the_file_goes(path, store, monkeypatch):
    mark, interrupt, caught = store.change_mark(), Interrupt(), []

    def wait():
        try:
            store.wait_for_change(mark, 30, interrupt)
        except StoreUnavailable as error:
            caught.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    move(path, "")
    thread.join(20)
    interrupt.set()
    assert "moved away" in str(caught[0])
    put_back(path, "")


def test_a_file_that_had_no_log_is_used_like_any_other(path, store, docs):
    """Such as a backup, or one that somebody looked at with another program."""
    store.close()
    raw = sqlite3.connect(path)
    assert raw.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
    raw.close()
    docs.insert_one({"_id": "second"})
    docs.insert_one({"_id": "third"})
    assert ids(docs) == ["first", "second", "third"]
    move(path, "-wal")
    with pytest.raises(StoreUnavailable, match=r"-wal was deleted"), store.transaction():
        docs.insert_one({"_id": "fourth"})
    put_back(path, "-wal")


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
def test_no_store_is_made_beside_the_log_of_another(path, suffix):
    """It would be damaged by the log, and the changes in the log would be lost."""
    beside(path, suffix).write_bytes(b"of another")
    store = SqliteStore(f"sqlite:///{path}")
    with pytest.raises(StoreUnavailable, match=rf"store\.db{suffix} does, .* put the store's file"):
        store.collection("docs").insert_one({"_id": 1})
    assert not path.exists()
    assert beside(path, suffix).read_bytes() == b"of another"
    beside(path, suffix).unlink()
    store.collection("docs").insert_one({"_id": 1})
    store.close()


def test_a_client_makes_no_store_where_one_was_moved_away(path, store, docs):
    docs.insert_one({"_id": "second"})
    move(path, "")
    with pytest.raises(StoreUnavailable, match=r"store\.db-wal does"):
        another(path, "theirs")
    put_back(path, "")
    assert ids(docs) == ["first", "second"]


@pytest.fixture
def used_elsewhere(path):
    """A store that another process has open."""
    context = multiprocessing.get_context("spawn")
    ready, end = context.Event(), context.Event()
    child = context.Process(target=children.hold_open, args=(f"sqlite:///{path}", ready, end))
    child.start()
    assert ready.wait(60)
    yield child
    end.set()
    child.join(60)
    assert child.exitcode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who has a file open")
@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_a_process_that_begins_opens_nothing_beside_files_of_another_store(
    path, used_elsewhere, suffix
):
    another(path.parent / "other.db", "theirs")
    move(path, suffix)
    if not suffix:
        os.rename(path.parent / "other.db", path)
    before = path.read_bytes()
    store = SqliteStore(f"sqlite:///{path}")
    with pytest.raises(
        StoreUnavailable, match=rf"process {used_elsewhere.pid} \(.*not opened"
    ) as e:
        ids(store.collection("docs"))
    assert store.is_transient(e.value)
    assert path.read_bytes() == before
    put_back(path, suffix)
    assert ids(store.collection("docs")) == ["of the child"]
    store.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who has a file open")
def test_a_process_that_begins_opens_a_store_that_others_use(path, used_elsewhere):
    assert holders.strangers(str(path)) == []
    store = SqliteStore(f"sqlite:///{path}")
    assert ids(store.collection("docs")) == ["of the child"]
    store.close()


def test_what_is_to_be_done_about_a_log_names_it_where_a_symbolic_link_leads(path, tmp_path):
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "away" / "real.db")
    log = tmp_path / "away" / "real.db-wal"
    log.write_bytes(b"of another")
    store = SqliteStore(f"sqlite:///{link}")
    with pytest.raises(StoreUnavailable, match=rf"delete {log} and {log.with_suffix('.db-shm')}"):
        store.collection("docs").insert_one({"_id": 1})
    location = store._location
    for error in (failures.replaced(location), failures.in_foreign_use(location, ["process 1"])):
        assert f"delete {log} and {tmp_path}/away/real.db-shm if" in str(error)


def test_a_log_behind_a_symbolic_link_that_cannot_be_written_is_named(path, tmp_path, monkeypatch):
    (tmp_path / "link.db").symlink_to(tmp_path / "away" / "real.db")
    log = tmp_path / "away" / "real.db-wal"
    log.touch()
    monkeypatch.setattr(os, "access", lambda path, *_, **__: str(path) != str(log))
    store = SqliteStore(f"sqlite:///{tmp_path}/link.db")
    assert f"{log} cannot be written" in failures.not_writable(store._location)


def test_the_log_of_a_store_behind_a_symbolic_link_is_where_the_link_leads(path, tmp_path):
    (tmp_path / "link.db").symlink_to(path)
    store = SqliteStore(f"sqlite:///{tmp_path}/link.db")
    docs = store.collection("docs")
    docs.insert_one({"_id": "first"})
    assert store.space().log_bytes == beside(path, "-wal").stat().st_size > 0
    with pytest.raises(StoreUnavailable, match=r"store\.db-wal was deleted"), store.transaction():
        docs.insert_one({"_id": "second"})
        move(path, "-wal")
    put_back(path, "-wal")
    another(path.parent / "other.db", "theirs")
    (tmp_path / "link.db").unlink()
    (tmp_path / "link.db").symlink_to(tmp_path / "other.db")
    with pytest.raises(StoreUnavailable, match=r"link\.db was replaced by another file"):
        docs.insert_one({"_id": "third"})
    store.close()
