"""The contract of stores: units of work, with a store that dies at every write."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from rocketjob.base import clock
from rocketjob.base.errors import is_duplicate_key
from rocketjob.store import Also, Collection, Committed, Insert, Store, Stored, Unit, Write
from rocketjob.store.unit import NEVER
from rocketjob.testing.store_contract.mortal import Mortal
from rocketjob.testing.store_contract.quiet import wakes

JOBS = "rocket_job.jobs"
LONG_AFTER = timedelta(hours=1)


def held(number: int) -> Stored:
    """Return a document that somebody holds."""
    return {"_id": number, "state": "running", "by": "me", "run_at": None}


def guard(number: int) -> dict[str, Any]:
    return {"_id": number, "state": "running", "by": "me"}


def ending(number: int = 1, **more: Any) -> Unit:
    """Return a unit that ends a document, and stores what follows."""
    update = {"$set": {"state": "completed"}, "$unset": {"by": ""}, "$push": {"log": "end"}}
    given = {
        "collection": JOBS,
        "write": Write(guard(number), update),
        "inserts": [
            Insert(JOBS, {"_id": 10, "state": "queued", "run_at": None}, hidden={"run_at": NEVER}),
            Insert("docs", {"_id": 11, "a": 1}),
        ],
        "also": [
            ("counts", Write({"_id": "all"}, {"$inc": {"n": 2}})),
            ("docs", Write({"_id": "old"}, None)),
        ],
    }
    return Unit(**{**given, **more})


def replacing() -> Unit:
    """Return a unit that shows what it stores before it removes the document."""
    return ending(write=Write(guard(1), None), interim={"$unset": {"records": ""}})


def updating() -> Unit:
    """Return a unit whose update is visible last."""
    return ending(interim={}, undo={})


class Units:
    """Units of work, which are stored as a whole or not at all."""

    @pytest.fixture
    def held_jobs(self, store: Store) -> Iterator[Collection]:
        """A collection of jobs with one that is held, and others beside it."""
        store.collection(JOBS).create_index(
            [("key", 1)],
            name="key",
            unique=True,
            partialFilterExpression={"key": {"$exists": True}},
        )
        refill(store)
        yield store.collection(JOBS)
        clock.reset()

    # What is stored

    def test_a_unit_of_one_write_is_one_guarded_write(
        self, store: Store, held_jobs: Collection
    ) -> None:
        mortal = Mortal(store)
        unit = Unit(collection=JOBS, write=Write(guard(1), {"$set": {"state": "completed"}}))
        mortal.left = 0
        with mortal.dies_at(3):  # one through `write_many`, and the collection that it may use
            assert store.commit([unit]) == [Committed(True)]
            assert store.commit([]) == []
        assert not mortal.died
        assert store.commit([unit]) == [Committed(False)]

    @pytest.mark.parametrize("make", [ending, replacing, updating])
    def test_a_unit_is_stored_as_a_whole(
        self, store: Store, held_jobs: Collection, make: Callable[[], Unit]
    ) -> None:
        assert store.commit([make()]) == [Committed(True)]
        assert is_made(store, deleted=make is replacing)

    @pytest.mark.parametrize("make", [ending, replacing, updating])
    def test_of_a_unit_whose_guard_does_not_hold_nothing_is_stored(
        self, store: Store, held_jobs: Collection, make: Callable[[], Unit]
    ) -> None:
        held_jobs.update_one({"_id": 1}, {"$set": {"by": "another"}})
        before = contents(store)
        assert store.commit([make()]) == [Committed(False)]
        assert contents(store) == before

    def test_each_unit_of_a_call_has_its_own_guard(
        self, store: Store, held_jobs: Collection
    ) -> None:
        held_jobs.insert_one(held(2))
        held_jobs.insert_one({**held(3), "by": "another"})
        units = [
            ending(number, inserts=[Insert("docs", {"_id": 20 + number})]) for number in (1, 3, 2)
        ]
        assert [done.held for done in store.commit(lambda: units)] == [True, False, True]
        ids = store.collection("docs").distinct("_id", {"_id": {"$in": [21, 22, 23]}})
        assert sorted(ids) == [21, 22]
        assert store.collection("counts").find_one({}) == counted(4)

    # What unique indexes refuse

    def test_an_optional_insert_that_is_refused_is_left_out(
        self, store: Store, held_jobs: Collection
    ) -> None:
        held_jobs.insert_one({"_id": 5, "key": "taken"})
        more = Insert(JOBS, {"_id": 12, "key": "taken"}, optional=True)
        free = Insert(JOBS, {"_id": 13, "key": "free"}, optional=True)
        unit = ending(inserts=[*ending().inserts, more, free])
        (done,) = store.commit([unit])
        assert done.held
        assert list(done.refused) == [12]
        assert is_duplicate_key(done.refused[12])
        assert is_made(store)
        assert held_jobs.count_documents({"_id": 12}) == 0
        assert held_jobs.find_one({"_id": 13}) == {"_id": 13, "key": "free"}

    @pytest.mark.parametrize("last", [False, True])
    def test_an_insert_that_is_refused_undoes_the_unit(
        self, store: Store, held_jobs: Collection, last: bool
    ) -> None:
        held_jobs.insert_one({"_id": 5, "key": "taken"})
        before = contents(store)
        inserts = [*ending().inserts, Insert(JOBS, {"_id": 12, "key": "taken"})]
        with pytest.raises(Exception, match="key") as raised:
            store.commit([undoable(inserts=inserts, interim={} if last else None)])
        assert is_duplicate_key(raised.value)
        assert contents(store) == before

    def test_a_check_that_fails_undoes_the_unit(self, store: Store, held_jobs: Collection) -> None:
        before = contents(store)

        def check() -> None:
            raise KeyError("not valid")

        with pytest.raises(KeyError, match="not valid"):
            store.commit([undoable(check=check)])
        assert contents(store) == before

    def test_inserts_alone_are_stored_together(self, store: Store, held_jobs: Collection) -> None:
        held_jobs.insert_one({"_id": 5, "key": "taken"})
        before = contents(store)
        inserts = [
            Insert("docs", {"_id": 30}),
            *(Insert(JOBS, {"_id": 31 + n, "key": key}) for n, key in enumerate(["free", "taken"])),
        ]
        with pytest.raises(Exception, match="key"):
            store.commit([Unit(collection=JOBS, write=None, inserts=inserts)])
        assert contents(store) == before
        assert store.commit([Unit(collection=JOBS, write=None, inserts=inserts[:2])])[0].held
        assert held_jobs.count_documents({"_id": 31}) == 1

    def test_an_insert_can_take_the_place_of_another(
        self, store: Store, held_jobs: Collection
    ) -> None:
        store.collection("docs").insert_one({"_id": 11, "a": 0})
        inserts = [Insert("docs", {"_id": 11, "a": 2}, replaces=True)]
        assert store.commit([ending(inserts=inserts)])[0].held
        assert store.collection("docs").find_one({"_id": 11}) == {"_id": 11, "a": 2}

    # What is written along

    def test_a_write_along_can_be_of_all_that_match(
        self, store: Store, held_jobs: Collection
    ) -> None:
        docs = store.collection("docs")
        docs.insert_many([{"_id": n, "waits": n < 23} for n in (21, 22, 23)])
        release = Write({"waits": True}, {"$set": {"waits": False}})
        remove = Write({"waits": False}, None)
        assert store.commit([ending(also=[Also("docs", release, many=True)])])[0].held
        assert docs.count_documents({"waits": False}) == 3
        refill(store)
        docs.insert_many([{"_id": n, "waits": n < 23} for n in (21, 22, 23)])
        both = [Also("docs", release), Also("docs", remove, many=True)]
        assert store.commit([ending(also=both)])[0].held
        assert docs.count_documents({"waits": True}) == 1
        assert docs.count_documents({"waits": False}) == 0

    def test_a_write_along_that_is_refused_is_left_out_if_it_says_whose_it_is(
        self, store: Store, held_jobs: Collection
    ) -> None:
        wrong = Write({"_id": "old"}, {"$inc": {"text": 1}})
        right = Also("counts", Write({"_id": "all"}, {"$inc": {"n": 3}}), whose="somebody")
        for make in (ending, replacing, updating):
            refill(store)
            store.collection("docs").update_one({"_id": "old"}, {"$set": {"text": "a"}})
            unit = Unit.of(
                JOBS,
                make().write,
                [*make().inserts, Also("docs", wrong, whose="somebody"), right],
                interim=make().interim,
            )
            assert store.commit([unit])[0].held
            assert store.collection("docs").find_one({"_id": "old"}, {"text": 1}) == {
                "_id": "old",
                "text": "a",
            }
            assert store.collection("docs").count_documents({"_id": 11}) == 1
            assert store.collection("counts").find_one({}) == counted(3)
            assert recover_late(store) == 0

    def test_whoever_dies_leaves_a_write_of_many_made_once_or_not_at_all(
        self, store: Store, held_jobs: Collection
    ) -> None:
        mortal, more = Mortal(store), Also("docs", Write({}, {"$inc": {"n": 1}}), many=True)
        for number in itertools.count(1):
            refill(store)
            store.collection("docs").insert_many([{"_id": n} for n in (21, 22)])
            with mortal.dies_at(number):
                store.commit([ending(inserts=[], also=[more])])
            recover_late(store)
            recover_late(store)
            made = held_jobs.find_one(guard(1)) is None
            found = store.collection("docs").find({}, {"n": 1})
            assert [document.get("n") for document in found] == 3 * [1 if made else None], number
            if not mortal.died:
                break
        assert made

    def test_whoever_dies_leaves_a_new_document_with_what_goes_along_or_neither(
        self, store: Store, held_jobs: Collection
    ) -> None:
        mortal, more = Mortal(store), Also("docs", Write({"_id": "old"}, {"$inc": {"n": 1}}))
        optional = Insert("docs", {"_id": 31}, True)
        for number in itertools.count(1):
            refill(store)
            store.collection("docs").delete_many({"_id": 31})
            held_jobs.delete_many({"_id": "new"})
            new = Insert(JOBS, {"_id": "new", "state": "queued"})
            with mortal.dies_at(number):
                assert store.commit([Unit.of(JOBS, None, [new, optional, more])])[0].held
            recover_late(store)
            recover_late(store)
            made = held_jobs.find_one({"_id": "new"})
            assert made in (None, {"_id": "new", "state": "queued"}), number
            old = store.collection("docs").find_one({"_id": "old"}, {"n": 1}) or {}
            assert old.get("n") == (1 if made else None), number
            assert store.collection("docs").count_documents({"_id": 31}) == bool(made), number
            if not mortal.died:
                break
        assert made

    # What the dead leave

    @pytest.mark.parametrize("make", [ending, replacing, updating])
    def test_whoever_dies_leaves_all_of_a_unit_or_nothing(
        self, store: Store, held_jobs: Collection, make: Callable[[], Unit]
    ) -> None:
        mortal = Mortal(store)
        for number in itertools.count(1):
            refill(store)
            before = contents(store)
            with mortal.dies_at(number):
                store.commit([make()])
            recover_late(store)
            whole = is_made(store, deleted=make is replacing)
            assert whole or contents(store) == before, number
            if not mortal.died:
                break
        assert whole
        assert number > 1, "it was meant to die in between"

    def test_whoever_dies_while_recovering_leaves_it_to_the_next(
        self, store: Store, held_jobs: Collection
    ) -> None:
        mortal = Mortal(store)
        for number, other in itertools.product(range(1, 12), range(1, 12)):
            refill(store)
            before = contents(store)
            with mortal.dies_at(number):
                store.commit([ending()])
            with mortal.dies_at(other):
                recover_late(store)
            recover_late(store)
            assert is_made(store) or contents(store) == before, (number, other)

    @pytest.mark.parametrize("more", [1, 2, 100])
    @pytest.mark.parametrize("make", [ending, replacing, updating])
    def test_what_somebody_stores_too_late_is_not_used_a_second_time(
        self, store: Store, held_jobs: Collection, make: Callable[[], Unit], more: int
    ) -> None:
        """Others finish the unit and use up what it stored, before the one who began goes on."""
        if store.capabilities.transactions:
            pytest.skip("a transaction keeps the others out")
        mortal, used = Mortal(store), list[int]()

        def finish_and_use() -> None:
            recover_late(store)
            used.append(held_jobs.delete_one({"_id": 10, "run_at": None}).deleted_count)

        for number in range(1, 12):
            refill(store)
            used.clear()
            with mortal.stands_still_at(number, finish_and_use, then_dies_after=more):
                store.commit([make()])
            if not mortal.died:
                assert held_jobs.count_documents({"_id": 10, "run_at": NEVER}) == 0, number
            recover_late(store)
            copies = held_jobs.count_documents({"_id": 10})
            assert copies == 0 if used == [1] else copies <= 1, number
            assert held_jobs.count_documents({"_id": 10, "run_at": NEVER}) == 0, number

    def test_what_is_stored_too_late_is_not_shown_by_whoever_finishes(
        self, store: Store, held_jobs: Collection
    ) -> None:
        """Whoever finishes the unit dies, when what it stored is shown and has been used."""
        if store.capabilities.transactions:
            pytest.skip("a transaction keeps the others out")
        mortal, other, used = Mortal(store), Mortal(store), list[int]()

        def finish_in_part_and_use(writes: int) -> None:
            with other.dies_at(writes):
                recover_late(store)
            used.append(held_jobs.delete_one({"_id": 10, "run_at": None}).deleted_count)

        for number, writes in itertools.product(range(2, 6), range(5, 8)):
            refill(store)
            used.clear()
            meanwhile = functools.partial(finish_in_part_and_use, writes)
            with mortal.stands_still_at(number, meanwhile, then_dies_after=1):
                store.commit([ending()])
            recover_late(store)
            copies = held_jobs.count_documents({"_id": 10})
            assert copies == 0 if used == [1] else copies <= 1, (number, writes)

    def test_units_of_the_dead_are_finished_at_once_where_that_is_known(
        self, store: Store, held_jobs: Collection
    ) -> None:
        mortal = Mortal(store)
        for number in range(1, 12):
            refill(store)
            before = contents(store)
            with mortal.dies_at(number):
                store.commit([replacing()])
            store.recover(JOBS, {"by": "another"})
            store.recover(JOBS, guard(1))
            assert is_made(store, deleted=True) or visible(store) == before, number

    def test_a_unit_that_is_tried_again_is_made_once(
        self, store: Store, held_jobs: Collection
    ) -> None:
        mortal = Mortal(store)
        for number in itertools.count(1):
            refill(store)
            unit = ending(id="the first claim")
            with mortal.dies_at(number):
                store.commit([unit])
            died = mortal.died
            store.commit([unit])
            recover_late(store)
            assert is_made(store), number
            if not died:
                break

    def test_what_is_not_finished_yet_keeps_no_other_unit_out(
        self, store: Store, held_jobs: Collection
    ) -> None:
        mortal = Mortal(store)
        for number in range(1, 12):
            refill(store)
            with mortal.dies_at(number):
                store.commit([ending()])
            if held_jobs.find_one(guard(1)) is not None:
                continue  # it had not begun
            again = Write({"_id": 1, "state": "completed"}, {"$set": {"state": "queued"}})
            unit = Unit(
                collection=JOBS, write=again, inserts=[Insert("docs", {"_id": 40, "again": True})]
            )
            assert store.commit([unit])[0].held
            recover_late(store)
            assert store.collection("docs").count_documents({"_id": {"$in": [11, 40]}}) == 2
            document = held_jobs.find_one({"_id": 1})
            assert document is not None
            assert document["state"] == "queued"
            assert store.collection("counts").find_one({}) == counted(2)

    def test_recovering_a_store_that_lacks_nothing_changes_nothing(
        self, store: Store, held_jobs: Collection
    ) -> None:
        store.commit([ending()])
        before = contents(store)
        assert recover_late(store) == 0
        assert store.recover(JOBS, {}) == 0
        assert contents(store) == before

    # Being the only one

    def test_a_lease_lasts_as_long_as_its_block(self, store: Store) -> None:
        for _ in range(2):
            with store.lease("key") as lease:
                assert lease.mine
                assert lease.lasts()

    def test_a_lease_that_nobody_asks_for_wakes_nobody(self, store: Store) -> None:
        def come_and_go() -> None:
            with store.lease("key"):
                pass

        assert not wakes(store, come_and_go)

    def test_the_stores_own_indexes_can_be_made(self, store: Store) -> None:
        for collection, specs in store.indexes().items():
            for spec in specs:
                store.collection(collection).create_index(**spec)
                assert spec["name"] in store.collection(collection).index_information()


def refill(store: Store) -> None:
    """Store what is there before each unit."""
    for name in (JOBS, "docs", "counts"):
        store.collection(name).delete_many({})
    store.collection(JOBS).insert_one({**held(1), "records": [1, 2]})
    store.collection("docs").insert_one({"_id": "old"})
    store.collection("counts").insert_one({"_id": "all", "n": 0})


def undoable(**more: Any) -> Unit:
    """Return a unit that is to be undone if something refuses."""
    undo = {"$set": {"state": "running", "by": "me"}, "$unset": {"log": ""}}
    given = {"undo": {} if more.get("interim") is not None else undo, **more}
    return ending(**given)


def recover_late(store: Store) -> int:
    """Recover, when whoever had begun must be done or dead."""
    clock.travel(clock.now() + LONG_AFTER)
    return store.recover()


def counted(number: int) -> Any:
    """Return what equals the document of counts, whatever the store notes there for itself."""

    class Counted:
        def __eq__(self, other: object) -> bool:
            return isinstance(other, dict) and (other["_id"], other["n"]) == ("all", number)

        __hash__ = None  # type: ignore[assignment]

    return Counted()


def contents(store: Store) -> dict[str, list[Stored]]:
    """Return all documents."""
    names = (JOBS, "docs", "counts")
    return {name: list(store.collection(name).find({}, sort=[("_id", 1)])) for name in names}


def visible(store: Store) -> dict[str, list[Stored]]:
    """Return all documents that are not hidden."""
    shown = contents(store)
    shown[JOBS] = [job for job in shown[JOBS] if job.get("run_at") != NEVER]
    return shown


def is_made(store: Store, deleted: bool = False) -> bool:
    """Return whether all of the unit is stored, once, and nothing is left beside it."""
    jobs = {document["_id"]: document for document in contents(store)[JOBS]}
    if deleted:
        ended = 1 not in jobs
    else:
        job = jobs.get(1, {})
        ended = job.get("state") == "completed" and job["log"] == ["end"] and "by" not in job
        ended = ended and set(job) <= {"_id", "state", "log", "run_at", "records"}
    follower = jobs.get(10, {})
    docs = {document["_id"] for document in contents(store)["docs"]}
    return (
        ended
        and follower.get("state") == "queued"
        and set(follower) <= {"_id", "state", "run_at"}
        and follower.get("run_at") is None
        and docs == {11}
        and store.collection("counts").find_one({}) == counted(2)
    )
