"""The contract that every store keeps: run it over yours.

Derive a class whose name begins with `Test` and give it a fixture `store` that is empty::

    from rocketjob.testing.store_contract import StoreContract

    class TestMyStore(StoreContract):
        @pytest.fixture
        def store(self, tmp_path):
            store = MyStore(...)
            yield store
            store.close()

What each test says is what MongoDB does, as far as the kernel and the plugins depend on it.
"""

from __future__ import annotations

from rocketjob.testing.store_contract.changes import Changes
from rocketjob.testing.store_contract.changing import Changing
from rocketjob.testing.store_contract.collections import Collections
from rocketjob.testing.store_contract.documents import Documents
from rocketjob.testing.store_contract.finding import Finding
from rocketjob.testing.store_contract.groups import Groups
from rocketjob.testing.store_contract.health import Health
from rocketjob.testing.store_contract.samples import declare_indexes
from rocketjob.testing.store_contract.sharing import Sharing
from rocketjob.testing.store_contract.transactions import Transactions
from rocketjob.testing.store_contract.uniqueness import Uniqueness
from rocketjob.testing.store_contract.units import Units

__all__ = ["StoreContract", "declare_indexes"]


class StoreContract(
    Documents,
    Finding,
    Changing,
    Sharing,
    Collections,
    Uniqueness,
    Groups,
    Transactions,
    Units,
    Changes,
    Health,
):
    """Every test of the contract; a fixture `store` gives an empty store."""
