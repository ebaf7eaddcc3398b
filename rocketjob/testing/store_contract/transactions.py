"""The contract of stores: transactions, where a store has them."""

from __future__ import annotations

import threading

import pytest

from rocketjob.store import Store, Write
from rocketjob.testing.store_contract.samples import names


class Transactions:
    """Transactions, where a store has them."""

    @pytest.fixture
    def transactional(self, store: Store) -> Store:
        """The store, if it has transactions."""
        if not store.capabilities.transactions:
            pytest.skip("the store has no transactions")
        store.collection("docs").insert_one({"_id": 0})
        store.collection("other").insert_one({"_id": 0})
        return store

    def test_a_transaction_is_stored_as_a_whole(self, transactional: Store) -> None:
        docs, other = transactional.collection("docs"), transactional.collection("other")
        with transactional.transaction() as session:
            docs.insert_one({"_id": 1}, session=session)
            other.delete_one({"_id": 0}, session=session)
            assert docs.count_documents({}, session=session) == 2
        assert names(docs.find(sort=[("_id", 1)])) == [0, 1]
        assert other.count_documents({}) == 0

    def test_an_error_in_a_transaction_undoes_all_of_it(self, transactional: Store) -> None:
        docs, other = transactional.collection("docs"), transactional.collection("other")
        with pytest.raises(KeyError), transactional.transaction() as session:
            docs.insert_one({"_id": 1}, session=session)
            with transactional.transaction() as inner:
                other.update_one({"_id": 0}, {"$set": {"a": 1}}, session=inner)
                transactional.write_many("other", [Write({"_id": 0}, None)], session=inner)
            raise KeyError
        assert names(docs.find()) == [0]
        assert list(other.find()) == [{"_id": 0}]

    def test_nobody_sees_a_transaction_before_its_end(self, transactional: Store) -> None:
        docs = transactional.collection("docs")
        inside, seen = threading.Event(), threading.Event()
        counts = []

        def look() -> None:
            inside.wait(10)
            seen.set()  # a store of one connection lets us look only afterwards
            counts.append(docs.count_documents({}))

        thread = threading.Thread(target=look)
        thread.start()
        with pytest.raises(KeyError), transactional.transaction() as session:
            docs.insert_one({"_id": 1}, session=session)
            inside.set()
            seen.wait(10)
            raise KeyError
        thread.join()
        assert counts == [1]
