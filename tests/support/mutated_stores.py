"""Stores that break the contract in one way each; for `test_store_mutants.py`."""

import pytest

from rocketjob.store import packing
from rocketjob.store.documents import Deleted
from rocketjob.store.outbox import Outbox
from rocketjob.testing.store_contract import StoreContract
from support.memory_stores import MemoryCollection, MemoryStore, PlainMemoryStore, memory

# A mutant -> what it does to the classes, the store that has it, and the test that must find it.
MUTANTS = {}


def mutant(finds, store=MemoryStore):
    def add(mutate):
        name = "Test" + "".join(word.capitalize() for word in mutate.__name__.split("_"))
        MUTANTS[name] = (mutate, store, finds)
        return mutate

    return add


def replaced(patch, owner, name):
    """Replace a method by a function that is also given the original; a decorator."""

    def replace(function):
        original = getattr(owner, name)
        patch.setattr(owner, name, lambda *args, **kw: function(original, *args, **kw))

    return replace


# --- waiting --------------------------------------------------------------------------------


@mutant(finds="test_a_claim_that_finds_nothing_wakes_nobody")
def an_idle_claim_changes_the_mark(patch):
    @replaced(patch, MemoryStore, "claim_many")
    def claim_many(original, self, *args, **kwargs):
        claimed = original(self, *args, **kwargs)
        if not claimed:
            self._changes.add()
        return claimed


@mutant(finds="test_a_wait_ends_in_time")
def a_wait_overruns(patch):
    @replaced(patch, MemoryStore, "wait_for_change")
    def wait_for_change(original, self, mark, timeout, interrupt=None):
        return original(self, mark, timeout + 1.5, interrupt)


@mutant(finds="test_a_wait_ends_in_time")
def a_wait_gives_up_at_once(patch):
    @replaced(patch, MemoryStore, "wait_for_change")
    def wait_for_change(original, self, mark, timeout, interrupt=None):
        return original(self, mark, 0, interrupt)


@mutant(finds="test_waiting_can_be_interrupted")
def a_wait_takes_every_interrupt_for_a_change(patch):
    @replaced(patch, MemoryStore, "wait_for_change")
    def wait_for_change(original, self, mark, timeout, interrupt=None):
        return original(self, mark, timeout, interrupt) or (interrupt and interrupt.is_set())


@mutant(finds="test_a_lease_that_nobody_asks_for_wakes_nobody", store=PlainMemoryStore)
def a_lease_is_taken_by_who_does_not_ask(patch):
    @replaced(patch, PlainMemoryStore, "lease")
    def lease(original, self, key):
        self.collection("rocket_job.limits").update_one(
            {"_id": key}, {"$inc": {"asked": 1}}, upsert=True
        )
        return original(self, key)


# --- documents ------------------------------------------------------------------------------


def copied(document):
    return packing.unpack(packing.pack(document))


@mutant(finds="test_a_document_of_more_than_16_mb_is_refused")
def documents_may_have_any_size(patch):
    patch.setattr(memory.documents, "normalise", copied)
    patch.setattr(memory.documents, "encode", packing.pack)


@mutant(finds="test_changing_what_was_handed_out_changes_nothing_stored")
def what_is_found_is_what_is_stored(patch):
    @replaced(patch, MemoryCollection, "find")
    def find(original, self, filter=None, projection=None, *, sort=None, limit=0, **_):
        return iter(self.matching(filter, sort)[: limit or None])


@mutant(finds="test_changing_what_was_handed_out_changes_nothing_stored")
def what_is_claimed_is_what_is_stored(patch):
    @replaced(patch, MemoryStore, "claim_many")
    def claim_many(original, self, collection, filter, update, **kwargs):
        claimed = original(self, collection, filter, update, **kwargs)
        documents = self.tables[collection].documents
        return [documents[memory.documents.sort_key(each["_id"])] for each in claimed]


@mutant(finds="test_changing_what_was_handed_out_changes_nothing_stored")
def what_was_updated_is_what_is_stored(patch):
    @replaced(patch, MemoryCollection, "find_one_and_update")
    def find_one_and_update(original, self, filter, update, **kwargs):
        document = original(self, filter, update, **kwargs)
        return document and self.matching({"_id": document["_id"]})[0]


@mutant(finds="test_changing_what_was_handed_out_changes_nothing_stored")
def distinct_values_are_what_is_stored(patch):
    @replaced(patch, MemoryCollection, "distinct")
    def distinct(original, self, key, filter=None, **_):
        return [document[key] for document in self.matching(filter)]


@mutant(finds="test_changing_what_was_handed_in_changes_nothing_stored")
def what_is_inserted_is_what_is_stored(patch):
    patch.setattr(memory.documents, "normalise", lambda document: document)


@mutant(finds="test_count_by_range_counts_what_is_in_each")
def the_last_range_has_no_end(patch):
    @replaced(patch, MemoryStore, "count_by_range")
    def count_by_range(original, self, collection, key, *, start, width, ranges):
        return original(self, collection, key, start=start, width=width, ranges=ranges + 1)


# --- indexes and names ----------------------------------------------------------------------


@mutant(finds="test_an_index_that_was_dropped_refuses_nothing_and_leaves_its_name")
def an_index_cannot_be_dropped(patch):
    patch.setattr(MemoryCollection, "drop_index", lambda self, name: None)


@mutant(finds="test_indexes_are_described")
def no_index_is_described(patch):
    patch.setattr(MemoryCollection, "index_information", lambda self: {})


@mutant(finds="test_indexes_are_described")
def no_index_is_said_to_be_unique(patch):
    @replaced(patch, MemoryCollection, "index_information")
    def index_information(original, self):
        return {name: {"key": each["key"]} for name, each in original(self).items()}


@mutant(finds="test_no_password_is_shown")
def the_url_shows_a_password(patch):
    @replaced(patch, MemoryStore, "__init__")
    def init(original, self):
        original(self, "memory://user:secret@host")


# --- units of work --------------------------------------------------------------------------

TOO_LATE = "test_what_somebody_stores_too_late_is_not_used_a_second_time"


@mutant(finds=TOO_LATE, store=PlainMemoryStore)
def whoever_is_late_leaves_a_second_copy(patch):
    patch.setattr(Outbox, "_discard", lambda self, note, whose: None)


@mutant(finds=TOO_LATE, store=PlainMemoryStore)
def the_sweep_leaves_a_second_copy(patch):
    patch.setattr(Outbox, "_discard_late", lambda self, *_: None)


@mutant(
    finds="test_what_is_stored_too_late_is_not_shown_by_whoever_finishes", store=PlainMemoryStore
)
def a_second_copy_is_shown_too(patch):
    def show(self, entry, token):
        document = entry["document"]
        self.store.collection(entry["collection"]).update_one(
            {"_id": document["_id"]}, {"$unset": {"_held": "", "run_at": ""}}
        )

    patch.setattr(Outbox, "_show", show)


@mutant(finds=TOO_LATE, store=PlainMemoryStore)
def each_one_decides_anew(patch):
    def decide(self, owners, owner, note, held):
        return {**note, "counts": held}

    patch.setattr(Outbox, "_decide", decide)


@mutant(finds="test_an_error_in_a_transaction_undoes_all_of_it")
def nothing_is_undone(patch):
    class Forgetful(list):
        def append(self, step):
            super().append(lambda: None)

    @replaced(patch, MemoryStore, "transaction")
    def transaction(original, self):
        self.undo = Forgetful(self.undo)
        return original(self)


@mutant(finds="test_a_unit_is_stored_as_a_whole")
def a_unit_leaves_out_its_writes(patch):
    @replaced(patch, MemoryCollection, "delete_one")
    def delete_one(original, self, filter, **_):
        return Deleted(0)


# --- the classes ----------------------------------------------------------------------------


def contract(mutate, store_class):
    """Return a class with all tests of the contract, on a store that was mutated."""

    class Mutated(StoreContract):
        @pytest.fixture
        def store(self, monkeypatch):
            mutate(monkeypatch)
            return store_class()

    return Mutated


UNHARMED = {"TestUnharmed": MemoryStore, "TestUnharmedPlain": PlainMemoryStore}
for name, (mutate, store_class, _) in MUTANTS.items():
    globals()[name] = contract(mutate, store_class)
for name, store_class in UNHARMED.items():
    globals()[name] = contract(lambda patch: None, store_class)
