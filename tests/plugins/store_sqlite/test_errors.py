"""What goes wrong is said with the file and what to do about it."""

import os
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
from datetime import UTC, datetime

import pytest
from bson import ObjectId

from rocketjob.base.config import Config
from rocketjob.base.errors import (
    ConfigurationError,
    DocumentTooLarge,
    DuplicateKey,
    StoreError,
    StoreUnavailable,
    UnsupportedOperation,
)
from rocketjob_plugins import store_sqlite
from rocketjob_plugins.store_sqlite import SqliteStore, failures
from rocketjob_plugins.store_sqlite.location import parse


@pytest.fixture
def docs(store):
    return store.collection("docs")


# URLs


def test_the_hook_answers_for_its_own_urls_only():
    assert store_sqlite.open_store("mongodb://localhost", Config()) is None
    assert isinstance(store_sqlite.open_store("sqlite://:memory:", Config()), SqliteStore)


def test_a_path_may_be_relative_absolute_quoted_or_memory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parse("sqlite:///jobs.db").path == str(tmp_path / "jobs.db")
    assert parse("sqlite:////var/lib/jobs.db").path == "/var/lib/jobs.db"
    assert parse("sqlite:////a%20b/c%3Fd.db").path == "/a b/c?d.db"
    assert parse("sqlite://:memory:").in_memory


@pytest.mark.parametrize("url", ["sqlite:jobs.db", "sqlite://jobs.db", "sqlite:///", "sqlite://"])
def test_another_form_of_url_is_refused(url):
    with pytest.raises(ConfigurationError, match=r"sqlite:///relative.db"):
        SqliteStore(url)


def test_options_are_taken():
    location = parse("sqlite:///x.db?synchronous=full&timeout=2.5")
    assert (location.synchronous, location.timeout) == ("FULL", 2.5)


@pytest.mark.parametrize("query", ["sync=FULL", "timeout=soon", "timeout=-1", "synchronous=OFF"])
def test_an_option_that_is_wrong_names_the_known_ones(query):
    with pytest.raises(ConfigurationError, match=r"synchronous|seconds"):
        SqliteStore(f"sqlite:///x.db?{query}")


def test_synchronous_reaches_sqlite(path):
    store = SqliteStore(f"sqlite:///{path}?synchronous=FULL")
    level = store._database.write(lambda c: c.raw.execute("PRAGMA synchronous").fetchone()[0])
    assert level == 2
    store.close()


# Files


def test_a_missing_folder(tmp_path):
    store = SqliteStore(f"sqlite:///{tmp_path}/no/such/store.db")
    with pytest.raises(StoreUnavailable, match=r"create the folder .*/no/such first") as caught:
        store.collection("docs").insert_one({})
    assert store.is_transient(caught.value)


def test_a_directory(tmp_path):
    with pytest.raises(StoreError, match=r"is a directory"):
        SqliteStore(f"sqlite:///{tmp_path}").collection_names()


def test_a_file_that_is_no_database(path):
    path.write_text("The quick brown fox\n" * 1000)
    with pytest.raises(StoreError, match=r"store.db: .*choose another file name"):
        SqliteStore(f"sqlite:///{path}").collection_names()
    assert path.read_text().startswith("The quick")


def test_the_database_of_another_program(path):
    raw = sqlite3.connect(path)
    raw.execute("CREATE TABLE theirs (a)")
    raw.commit()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"database of another program"):
        SqliteStore(f"sqlite:///{path}").collection_names()
    raw.close()
    assert path.read_bytes() == before


def test_a_file_from_a_newer_version(path, store):
    store.collection("docs").insert_one({})
    store.close()
    raw = sqlite3.connect(path)
    raw.execute("UPDATE rocketjob_meta SET value = 99 WHERE key = 'format_version'")
    raw.commit()
    raw.close()
    with pytest.raises(StoreError, match=r"newer RocketJob \(format 99.*upgrade"):
        store.collection_names()


def test_a_damaged_file(path, store, docs):
    docs.insert_many([{"_id": i, "x": "y" * 500} for i in range(500)])
    store.close()
    with open(path, "r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096 * 40)
    with pytest.raises(StoreError, match=r"store.db: .*(damaged|not a database)") as caught:
        list(docs.find())
    assert not store.is_transient(caught.value)


def test_a_deleted_file_is_noticed_before_anything_is_lost(path, store, docs):
    docs.insert_one({"_id": 1})
    path.unlink()
    with pytest.raises(StoreUnavailable, match=r"deleted or moved away"):
        docs.insert_one({"_id": 2})
    with pytest.raises(StoreUnavailable, match=r"deleted or moved away"):
        store.change_mark()
    store.close()
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    docs.insert_one({"_id": 3})
    assert [d["_id"] for d in docs.find()] == [3]


def test_a_file_that_nobody_is_to_make_is_waited_for(path):
    store = SqliteStore(f"sqlite:///{path}", create=False)
    with pytest.raises(
        StoreUnavailable, match=r"There is no store: .* does not exist\. .* create_store is off"
    ) as caught:
        store.collection("docs").find_one({})
    assert store.is_transient(caught.value)
    assert not path.exists()
    SqliteStore(f"sqlite:///{path}").collection("docs").insert_one({"_id": 1})
    assert store.collection("docs").find_one({}) == {"_id": 1}


def test_a_file_that_was_replaced_while_the_store_was_closed_is_opened(path, tmp_path, store, docs):
    docs.insert_one({"_id": "old"})
    other = SqliteStore(f"sqlite:///{tmp_path}/other.db")
    other.collection("docs").insert_one({"_id": "new"})
    other.close()
    mark = store.change_mark()
    store.close()  # a log that belongs to the old file must not meet the new one
    os.replace(tmp_path / "other.db", path)
    assert store.wait_for_change(mark, 10)
    docs.insert_one({"_id": "more"})
    assert sorted(d["_id"] for d in docs.find()) == ["more", "new"]


def in_a_child(script, *arguments, **options):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        **options,
    )


FULL = """
    import resource, signal, sys
    from rocketjob.base.errors import StoreUnavailable
    from rocketjob_plugins.store_sqlite import SqliteStore
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store = SqliteStore("sqlite:///" + sys.argv[1])
    docs = store.collection("docs")
    docs.insert_one({"_id": 0})
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
    stored = 0
    try:
        while True:
            docs.insert_one({"_id": stored + 1, "x": "y" * 5000})
            stored += 1
    except StoreUnavailable as error:
        assert store.is_transient(error)
        print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    assert docs.count_documents({}) == stored + 1, "something was half done"
    docs.insert_one({"_id": "again"})
    store.close()
"""


def test_a_file_that_cannot_grow_loses_nothing(path):
    result = in_a_child(FULL, str(path))
    assert result.returncode == 0, result.stderr
    assert "disk" in result.stdout
    assert "store.db" in result.stdout


def test_a_full_disk(path, store, docs):
    docs.insert_one({"_id": 0})

    def limit(connection):
        pages = connection.raw.execute("PRAGMA page_count").fetchone()[0]
        connection.raw.execute(f"PRAGMA max_page_count = {pages + 5}")

    store._database.read(limit)
    with pytest.raises(StoreUnavailable, match=r"full.*Free some space") as caught:
        docs.insert_many([{"_id": i, "x": "y" * 1000} for i in range(1, 100)])
    assert store.is_transient(caught.value)
    assert docs.count_documents({}) == 1
    with (
        pytest.raises(StoreUnavailable),
        store.transaction(),
    ):
        docs.delete_one({"_id": 0})
        docs.insert_many([{"_id": i, "x": "y" * 1000} for i in range(1, 100)])
    assert docs.count_documents({}) == 1


def test_a_transaction_that_sqlite_ended_does_not_go_on_silently(store, docs):
    docs.insert_one({"_id": 0})
    with pytest.raises(StoreUnavailable, match=r"rolled"), store.transaction() as connection:
        docs.insert_one({"_id": 1})
        connection.raw.execute("ROLLBACK")  # as SQLite does by itself when the disk is full
        with pytest.raises(StoreUnavailable, match=r"begin it again"):
            docs.insert_one({"_id": 2})
    assert docs.count_documents({}) == 1


READ_ONLY = """
    import os, sys
    from rocketjob.base.errors import StoreError
    from rocketjob_plugins.store_sqlite import SqliteStore
    SqliteStore("sqlite://:memory:").collection("docs").insert_one({"_id": 1})
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
    for url in sys.argv[1:]:
        try:
            SqliteStore("sqlite:///" + url).collection("docs").insert_one({"_id": 1})
        except StoreError as error:
            print(error)
        else:
            print("stored in", url)
"""


AS_NOBODY = """
    import os, sys
    from rocketjob.base.errors import StoreUnavailable
    from rocketjob_plugins.store_sqlite import SqliteStore
    import bson, pwd
    SqliteStore("sqlite://:memory:").collection("x").insert_one({"_id": 0})  # all is imported
    if os.geteuid() == 0:
        os.setgid(65534); os.setuid(65534)
    path, suffix = sys.argv[1:]
    keeper = SqliteStore(f"sqlite:///{path}")
    keeper.collection("docs").insert_one({"_id": 1})
    os.chmod(path + suffix, 0o444)
    late = SqliteStore(f"sqlite:///{path}")
    try:
        late.collection("docs").insert_one({"_id": 2})
    except StoreUnavailable as error:
        assert late.is_transient(error)
        print(error)
    os.chmod(path + suffix, 0o644)
    late.collection("docs").insert_one({"_id": 3})
    assert late.collection("docs").count_documents({}) >= 2
"""


@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_a_file_that_is_read_only_for_a_while_is_named_and_used_again_afterwards(suffix):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        result = in_a_child(AS_NOBODY, f"{folder}/jobs.db", suffix)
        assert result.returncode == 0, result.stderr
        assert f"{folder}/jobs.db{suffix} cannot be written: it belongs to" in result.stdout
        assert "this process runs as" in result.stdout


def test_a_store_says_its_absolute_path_whatever_the_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("jobs.db", "100%25 of?jobs.db".replace("?", "%3F")):
        store = SqliteStore(f"sqlite:///{name}?timeout=5")
        store.collection("docs").insert_one({})
        assert store.is_new
        same = SqliteStore(store.url)
        assert store.url == same.url == f"sqlite:///{tmp_path}/{name}?timeout=5"
        same.collection_names()
        assert not same.is_new
        store.close()
        same.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_files_and_folders_that_may_not_be_written():
    with tempfile.TemporaryDirectory() as folder:  # pytest closes its own to others at each start
        os.chmod(folder, 0o755)
        path = f"{folder}/jobs.db"
        store = SqliteStore(f"sqlite:///{path}")
        store.collection("docs").insert_one({"_id": 0})
        store.close()
        os.chmod(path, 0o644)
        result = in_a_child(READ_ONLY, path, f"{folder}/new.db")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert f"{path} cannot be written: it belongs to root" in lines[0]
    assert "folder" in lines[1] and "read-only here" in lines[1]


@pytest.mark.parametrize(
    ("code", "kind", "cure"),
    [
        (sqlite3.SQLITE_FULL, StoreUnavailable, "Free some space"),
        (sqlite3.SQLITE_CORRUPT, StoreError, "restore a backup"),
        (sqlite3.SQLITE_NOTADB, StoreError, "another file name"),
        (sqlite3.SQLITE_READONLY_DIRECTORY, StoreUnavailable, "write permission"),
        (sqlite3.SQLITE_IOERR_WRITE, StoreUnavailable, "check the disk"),
        (sqlite3.SQLITE_NOMEM, StoreUnavailable, "memory"),
        (sqlite3.SQLITE_MISUSE, StoreError, "refused"),
    ],
)
def test_every_error_of_sqlite_is_one_of_ours(code, kind, cure):
    error = sqlite3.OperationalError("something is wrong")
    error.sqlite_errorcode = code
    ours = failures.translate(error, parse("sqlite:////tmp/jobs.db"))
    assert type(ours) is kind
    assert "/tmp/jobs.db" in str(ours)
    assert cure in str(ours)


def test_an_old_sqlite_is_refused(store, monkeypatch):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(StoreError, match=r"needs SQLite 3\.35"):
        store.collection_names()


# Locks


def test_a_writer_gives_up_after_the_timeout(path, store):
    store.collection("docs").insert_one({"_id": 1})
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    hasty = SqliteStore(f"sqlite:///{path}?timeout=0.02")
    with pytest.raises(StoreUnavailable, match=r"locked for 0.02 s by another.*timeout=") as caught:
        hasty.collection("docs").insert_one({"_id": 2})
    assert hasty.is_transient(caught.value)
    assert hasty.collection("docs").count_documents({}) == 1  # readers do not wait
    blocker.execute("ROLLBACK")
    hasty.collection("docs").insert_one({"_id": 2})
    hasty.close()
    blocker.close()


def test_a_thread_gives_up_after_the_timeout_too(path):
    from threading import Thread

    store = SqliteStore(f"sqlite:///{path}?timeout=0.02")
    caught = []

    def write():
        try:
            store.collection("docs").insert_one({"_id": 2})
        except StoreUnavailable as error:
            caught.append(error)

    with store.transaction():
        thread = Thread(target=write)
        thread.start()
        thread.join()
    assert len(caught) == 1
    store.close()


# Documents


def test_a_document_of_more_than_16_mb_names_its_size(docs):
    with pytest.raises(DocumentTooLarge, match=r"16,777,2.. bytes.*may have 16,777,216"):
        docs.insert_one({"_id": 1, "x": b"x" * (16 * 1024 * 1024)})
    docs.insert_one({"_id": 1, "x": b"x" * (16 * 1024 * 1024 - 100)})
    with pytest.raises(DocumentTooLarge):
        docs.update_one({"_id": 1}, {"$set": {"more": "x" * 200}})


@pytest.mark.parametrize(
    ("document", "field", "kind"),
    [
        ({"a": object()}, "'a'", "object"),
        ({"a": {"b": [1, {"c": {1, 2}}]}}, "'a.b.1.c'", "set"),
        ({"a": 2**64}, "'a'", "int"),
        ({"a": {1: "x"}}, "'a.1'", "str"),
        ({"a": "\ud800"}, "'a'", "str"),
    ],
)
def test_a_value_without_a_bson_form_names_its_field(docs, document, field, kind):
    with pytest.raises(StoreError, match=f"{field} cannot be stored: {kind} "):
        docs.insert_one(document)
    assert docs.count_documents({}) == 0


def test_an_update_with_such_a_value_names_it_too(docs):
    with pytest.raises(StoreError, match=r"a' cannot be stored: object"):
        docs.update_one({}, {"$set": {"a": object()}})


def test_names_that_begin_with_a_dollar_are_refused(docs):
    with pytest.raises(StoreError, match=r"\$set"):
        docs.insert_one({"$set": 1})


@pytest.mark.parametrize("id", [[1], (1,)])
def test_an_array_is_no_id(docs, id):
    with pytest.raises(StoreError, match=r"_id cannot be an array"):
        docs.insert_one({"_id": id})


def test_a_group_with_a_duplicate_is_not_half_done(docs):
    docs.insert_one({"_id": 3})
    with pytest.raises(DuplicateKey, match=r"_id_") as caught:
        docs.insert_many([{"_id": i} for i in range(1, 6)], ordered=False)
    assert caught.value.details == {
        "index": "_id_",
        "keyPattern": {"_id": 1},
        "keyValue": {"_id": 3},
    }
    assert docs.count_documents({}) == 1


def test_the_duplicate_within_a_group_is_named(docs):
    docs.create_index([("a", 1), ("b.c", -1)], name="ab", unique=True)
    with pytest.raises(DuplicateKey) as caught:
        docs.insert_many([{"a": i % 3, "b": {"c": 7}} for i in range(9)])
    assert caught.value.details == {
        "index": "ab",
        "keyPattern": {"a": 1, "b.c": -1},
        "keyValue": {"a": 0, "b.c": 7},
    }


def test_the_duplicate_within_a_large_group_is_named(docs):
    docs.insert_one({"_id": 130})
    with pytest.raises(DuplicateKey) as caught:
        docs.insert_many([{"_id": i, "a": 1} if i % 100 else {"_id": i} for i in range(300)])
    assert caught.value.details["keyValue"] == {"_id": 130}
    assert docs.count_documents({}) == 1


def test_the_document_that_update_many_fails_on_is_named(docs):
    docs.create_index([("k", 1)], name="k", unique=True)
    docs.insert_many([{"_id": i, "k": i} for i in range(10)])
    with pytest.raises(DuplicateKey) as caught:
        docs.update_many({"_id": {"$gte": 8}}, {"$inc": {"k": -8}})
    assert caught.value.details["keyValue"] == {"k": 0}
    assert sorted(d["k"] for d in docs.find()) == list(range(10))


# The language


@pytest.mark.parametrize(
    ("filter", "operator"),
    [
        ({"$where": "true"}, r"\$where"),
        ({"$expr": {}}, r"\$expr"),
        ({"$text": {"$search": "x"}}, r"\$text"),
        ({"$jsonSchema": {}}, r"\$jsonSchema"),
        ({"a": {"$near": [1, 2]}}, r"\$near"),
        ({"a": {"$bitsAllSet": 1}}, r"\$bitsAllSet"),
        ({"a": {"$type": "javascript"}}, r"\$type"),
        ({"a": {"$elemMatch": {"$size": 1, "$foo": 1}}}, r"\$foo"),
        ({"$and": [{"state": "x"}, {"$or": [{"a": {"$foo": 1}}]}]}, r"\$foo"),
        ({"state": {"$foo": 1}}, r"\$foo"),
        ({"$or": [{}, {"a": {"$foo": 1}}]}, r"\$foo"),
        ({"_id": 7, "a": {"$foo": 1}}, r"\$foo"),
        ({"$nor": [{"state": "x", "$or": [{"a": {"$foo": 1}}]}]}, r"\$foo"),
    ],
)
def test_an_unknown_operator_is_named_with_the_known_ones(docs, filter, operator):
    docs.create_index([("state", 1)], name="state")
    for empty in (True, False):
        with pytest.raises(UnsupportedOperation, match=f"{operator}.*Supported"):
            list(docs.find(filter))
        with pytest.raises(UnsupportedOperation):
            docs.count_documents(filter)
        with pytest.raises(UnsupportedOperation):
            docs.delete_many(filter)
        if empty:
            docs.insert_one({"state": "x"})


def test_the_filter_of_a_collection_that_does_not_exist_is_checked(store):
    docs = store.collection("nothing")
    for call in (docs.find_one, docs.count_documents, docs.delete_many, docs.delete_one):
        with pytest.raises(UnsupportedOperation):
            call({"a": {"$foo": 1}})
    with pytest.raises(UnsupportedOperation):
        list(docs.find({"a": {"$foo": 1}}))


@pytest.mark.parametrize(
    "filter",
    [
        {"a": {"$in": 1}},
        {"a": {"$gt": 1, "b": 2}},
        {"$and": []},
        {"$or": {"a": 1}},
        {"$or": [1]},
        {"a": {"$size": "x"}},
        {"a": {"$mod": [0, 1]}},
        {"a": {"$mod": 2}},
        {"a": {"$regex": "("}},
        {"a": {"$regex": "a", "$options": "q"}},
        {"a": {"$options": "i"}},
        {"a": {"$not": 1}},
        {"a": {"$elemMatch": 1}},
        {"a": {"$all": 1}},
    ],
)
def test_a_malformed_filter_is_an_error(docs, filter):
    docs.insert_one({"a": 1})
    with pytest.raises(StoreError):
        docs.find_one(filter)


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ({"a": 1}, r"Write \{'\$set'"),
        ({}, r"Write \{'\$set'"),
        ({"$bit": {"a": 1}}, r"\$bit.*Supported: \$set"),
        ({"$currentDate": {"a": True}}, r"\$currentDate.*Supported"),
        ({"$push": {"a": {"$each": [1], "$sort": 1}}}, r"\$sort within \$push"),
        ({"$set": {"a.$": 1}}, "positional"),
        ({"$set": {"a.$[].b": 1}}, "positional"),
        ({"$set": {"a..b": 1}}, "empty part"),
        ({"$set": {"a": 1}, "$inc": {"a.b": 1}}, "conflicts"),
        ({"$rename": {"a": "b"}, "$set": {"b": 1}}, "conflicts"),
        ({"$rename": {"a": "a"}}, "another name"),
        ({"$set": 1}, "documents? of fields"),
        ({"$pop": {"a": 2}}, r"\$pop needs 1"),
        ({"$inc": {"a": "1"}}, "needs a number"),
    ],
)
def test_an_update_that_is_not_understood(docs, update, message):
    docs.insert_one({"_id": 1, "z": [1]})
    for change in (docs.update_one, docs.update_many, docs.find_one_and_update):
        with pytest.raises(StoreError, match=message):
            change({}, update)
    assert docs.find_one({}) == {"_id": 1, "z": [1]}


@pytest.mark.parametrize(
    "projection",
    [{"a": {"$slice": 1}}, {"a.$": 1}, {"a": "$b"}, {"a": 1, "b": 0}, {"a": 1, "a.b": 1}],
)
def test_a_projection_that_is_not_understood(docs, projection):
    with pytest.raises(StoreError):
        docs.find_one({}, projection)


@pytest.mark.parametrize("sort", ["a", ["a"], [("a", 2)], [("a",)]])
def test_a_sort_that_is_not_understood(docs, sort):
    with pytest.raises(StoreError, match=r"list of"):
        docs.find(sort=sort)


def test_an_index_that_is_not_understood(docs):
    with pytest.raises(StoreError, match=r"list of"):
        docs.create_index([("a", "text")], name="a")
    with pytest.raises(UnsupportedOperation):
        docs.create_index([("a", 1)], name="a", partialFilterExpression={"a": {"$foo": 1}})


def test_a_unique_index_cannot_hold_arrays(docs):
    docs.create_index([("a", 1)], name="a", unique=True)
    with pytest.raises(UnsupportedOperation, match=r"cannot hold arrays"):
        docs.insert_one({"a": [1, 2]})


def test_what_is_stored_is_not_the_callers_object(docs):
    document = {"_id": 1, "list": [1], "at": datetime.now(UTC), "oid": ObjectId()}
    docs.insert_one(document)
    document["list"].append(2)
    assert docs.find_one({})["list"] == [1]


def test_whoever_only_looks_makes_no_file(path):
    store = SqliteStore(f"sqlite:///{path}")
    docs = store.collection("docs")
    assert (docs.find_one({}), list(docs.find()), docs.distinct("a")) == (None, [], [])
    assert (docs.count_documents({}), store.collection_names()) == (0, [])
    assert (store.count_by("docs", "a"), docs.index_information()) == ({}, {})
    assert store.check()["absent"] == f"{path} does not exist: the first write makes it"
    assert not path.exists()
    docs.insert_one({"_id": 1})
    assert docs.find_one({}) == {"_id": 1}
    assert store.check()["problems"] == []


def test_a_look_where_no_file_can_be_made_is_refused(tmp_path):
    store = SqliteStore(f"sqlite:///{tmp_path}/nowhere/jobs.db")
    with pytest.raises(StoreUnavailable, match="nowhere"):
        store.collection("docs").count_documents({})


def test_a_look_is_at_the_file_once_another_process_has_made_it(path):
    looking = SqliteStore(f"sqlite:///{path}")
    assert looking.collection("docs").find_one({}) is None
    SqliteStore(f"sqlite:///{path}").collection("docs").insert_one({"_id": 1})
    assert looking.collection("docs").find_one({}) == {"_id": 1}
