"""The MongoDB store keeps the contract, with transactions and without."""

import pytest

from rocketjob.testing.store_contract import StoreContract


class MongoContract(StoreContract):
    transactions: bool

    @pytest.fixture
    def store(self, mongo_url):
        from rocketjob_plugins.store_mongodb import MongoStore

        streams = self.transactions  # the one goes with the other on real deployments
        store = MongoStore(mongo_url, transactions=self.transactions, change_streams=streams)
        yield store
        store.close()


class TestMongoReplicaSet(MongoContract):
    transactions = True


class TestMongoWithoutTransactions(MongoContract):
    transactions = False
