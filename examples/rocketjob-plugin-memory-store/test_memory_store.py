import threading

import pytest
import rocketjob_plugin_memory_store
from rocketjob_plugin_memory_store import MemoryStore

from rocketjob import Job
from rocketjob.base.errors import ConfigurationError
from rocketjob.store.capabilities import refuse_one_process
from rocketjob.testing import sandbox
from rocketjob.testing.store_contract import StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self):
        return MemoryStore()


class GreetJob(Job):
    name: str
    destroy_on_complete = False
    collect_output = True

    def perform(self):
        return {"said": f"hello {self.name}"}


def test_jobs_are_stored_claimed_and_performed():
    with sandbox("memory:", plugins=[rocketjob_plugin_memory_store]) as rocketjob:
        job = GreetJob.create(name="Ann")
        assert rocketjob.work_off() == 1
        assert job.reload().result == {"said": "hello Ann"}
        assert isinstance(rocketjob.store, MemoryStore)


def test_a_server_refuses_it():
    with pytest.raises(ConfigurationError, match="memory: can be seen by the process alone"):
        refuse_one_process(MemoryStore(), "a server has several")


def test_an_inner_block_that_fails_is_undone_alone():
    store = MemoryStore()
    docs = store.collection("docs")
    docs.create_index([("a", 1)], name="a", unique=True)
    with store.transaction():
        docs.insert_one({"_id": 1, "a": 1})
        with pytest.raises(Exception, match="already has"):
            docs.insert_many([{"_id": 2, "a": 2}, {"_id": 3, "a": 1}])
        docs.insert_one({"_id": 4, "a": 2})
    assert docs.distinct("_id") == [1, 4]


def test_collections_and_indexes_that_a_transaction_made_or_dropped_are_undone():
    store = MemoryStore()
    docs = store.collection("docs")
    docs.create_index([("a", 1)], name="a", unique=True)
    docs.insert_one({"_id": 1, "a": 1})
    for act in (
        lambda: docs.drop_index("a"),
        docs.drop,
        lambda: docs.create_index([("b", 1)], name="b"),
        lambda: store.collection("new").insert_one({}),
        lambda: docs.update_one({"_id": 1}, {"$set": {"a": 2}}),
    ):
        with pytest.raises(KeyError), store.transaction():
            act()
            raise KeyError
        assert store.collection_names() == ["docs"]
        assert list(docs.index_information()) == ["a"]
        with pytest.raises(Exception, match="already has"):
            docs.insert_one({"_id": 2, "a": 1})


def test_threads_count_without_losing_one():
    store = MemoryStore()
    docs = store.collection("docs")
    add = [
        threading.Thread(
            target=lambda: [
                docs.update_one({"_id": 1}, {"$inc": {"n": 1}}, True) for _ in range(50)
            ]
        )
        for _ in range(4)
    ]
    for thread in add:
        thread.start()
    for thread in add:
        thread.join()
    assert docs.find_one({}) == {"_id": 1, "n": 200}
