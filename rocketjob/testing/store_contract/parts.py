"""The parts of the contract: what each is about, and what a store that breaks it means for users.

`rocketjob doctor --deep` shows this beside what it has tried.
"""

from __future__ import annotations

import attrs

from rocketjob.testing.store_contract.changes import Changes
from rocketjob.testing.store_contract.changing import Changing
from rocketjob.testing.store_contract.collections import Collections
from rocketjob.testing.store_contract.documents import Documents
from rocketjob.testing.store_contract.finding import Finding
from rocketjob.testing.store_contract.groups import Groups
from rocketjob.testing.store_contract.health import Health
from rocketjob.testing.store_contract.sharing import Sharing
from rocketjob.testing.store_contract.transactions import Transactions
from rocketjob.testing.store_contract.uniqueness import Uniqueness
from rocketjob.testing.store_contract.units import Units

NOTHING = "nothing: use another server"


@attrs.frozen
class Part:
    """Tests of the contract that belong together.

    Attributes:
        tests: the class that has them.
        name: what they are about.
        meaning: what it means for users if one of them fails.
        instead: what serves then.
        needed: whether no job can be trusted to a store that fails one.
    """

    tests: type
    name: str
    meaning: str
    instead: str = NOTHING
    needed: bool = True


PARTS = (
    Part(Documents, "documents", "jobs do not come back as they were stored"),
    Part(Changing, "updates and removals", "changes of jobs are lost, or become others"),
    Part(Sharing, "copies", "code that changes a document changes what is stored"),
    Part(Groups, "claims and groups of writes", "a job may run twice, or never"),
    Part(Transactions, "transactions", "of what belongs together a part may be missing"),
    Part(Units, "units of work", "when a process dies, work may be lost or done twice"),
    Part(Uniqueness, "uniqueness", "Singleton and Cron may have two jobs at once"),
    Part(Collections, "indexes and collections", "claims get slow as the queue grows, or fail"),
    Part(Health, "connection", "after a lost connection, processes may have to be restarted"),
    Part(
        Finding,
        "filters and order",
        "lists, searches and your own queries may find other jobs, or in another order",
        "claims do not need it; compare what your own queries find",
        needed=False,
    ),
    Part(
        Changes,
        "waking idle workers",
        "idle workers start a new job late",
        "polling: rocketjobWakeUp=polling in the URL of MongoDB",
        needed=False,
    ),
)

# Tests of needed parts that are about conveniences: what it means if one of them fails.
LESSER = {
    "test_indexes_are_described": "`rocketjob store indexes` may report differences that are none",
    "test_an_index_name_cannot_stand_for_two": "an index that differs is not reported",
    "test_a_unique_index_counts_a_missing_field_as_null": (
        "unique indexes of your own may let documents without the field pass; RocketJob's have it"
    ),
    "test_a_document_of_more_than_16_mb_is_refused": (
        "documents may be larger than MongoDB takes: they cannot be copied there"
    ),
    "test_a_replacement_is_refused": "an update that has no operator replaces the document",
}


def part_of(test: str) -> Part:
    """Return the part to which a test belongs, by the name of its function.

    Raises:
        LookupError: it is no test of the contract.
    """
    for part in PARTS:
        if test in vars(part.tests):
            return part
    raise LookupError(f"{test} is no test of the contract of stores")
