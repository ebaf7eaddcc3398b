"""The contract of stores: health, and what a store says of itself."""

from __future__ import annotations

from rocketjob.base.passwords import hide_passwords
from rocketjob.store import Capabilities, Store


class Health:
    """Health, and what a store says of itself."""

    def test_a_closed_store_opens_itself_again(self, store: Store) -> None:
        store.collection("docs").find_one({})
        store.close()
        store.collection("docs").insert_one({"_id": 1})
        assert store.collection("docs").count_documents({}) == 1

    def test_a_check_reports_something(self, store: Store) -> None:
        assert store.check()

    def test_an_error_of_the_caller_is_not_transient(self, store: Store) -> None:
        assert not store.is_transient(KeyError("x"))

    def test_no_password_is_shown(self, store: Store) -> None:
        for shown in (store.url, repr(store), str(store.check())):
            assert hide_passwords(shown) == shown

    def test_it_satisfies_the_port(self, store: Store) -> None:
        assert isinstance(store, Store)
        assert isinstance(store.capabilities, Capabilities)
        assert store.url
        assert store.collection("docs").name == "docs"
