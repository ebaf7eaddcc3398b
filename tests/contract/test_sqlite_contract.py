"""The embedded store keeps the contract, in a file and in memory."""

import pytest

from rocketjob.testing.store_contract import StoreContract
from rocketjob_plugins.store_sqlite import SqliteStore


class TestSqliteFile(StoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        store = SqliteStore(f"sqlite:///{tmp_path}/store.db")
        yield store
        store.close()


class TestSqliteMemory(StoreContract):
    @pytest.fixture
    def store(self):
        store = SqliteStore("sqlite://:memory:")
        yield store
        store.close()
