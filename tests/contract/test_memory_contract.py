"""The outbox and the leases keep the contract, on a store that has no server to wait for."""

import pytest

from rocketjob.testing.store_contract import StoreContract
from support.memory_stores import PlainMemoryStore


class TestMemoryWithoutTransactions(StoreContract):
    @pytest.fixture
    def store(self):
        return PlainMemoryStore()
