"""The contract, for `rocketjob doctor --deep`: its runner brings the fixture `store`."""

from __future__ import annotations

from rocketjob.testing.store_contract import StoreContract


class TestStore(StoreContract):
    """Every test of the contract."""
