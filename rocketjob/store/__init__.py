"""What a store must be able to do, and what is built on that alone: see `rocketjob.store.port`."""

from rocketjob.store.capabilities import Capabilities
from rocketjob.store.port import (
    ATTEMPTS,
    BACK_OFF,
    MAX_DOCUMENT_BYTES,
    Collection,
    DeleteResult,
    InsertManyResult,
    InsertOneResult,
    Lease,
    Sort,
    Store,
    UpdateResult,
    atomically,
)
from rocketjob.store.unit import (
    Also,
    Committed,
    Filter,
    Insert,
    Stored,
    Unit,
    Units,
    Update,
    Write,
)

__all__ = [
    "ATTEMPTS",
    "BACK_OFF",
    "MAX_DOCUMENT_BYTES",
    "Also",
    "Capabilities",
    "Collection",
    "Committed",
    "DeleteResult",
    "Filter",
    "Insert",
    "InsertManyResult",
    "InsertOneResult",
    "Lease",
    "Sort",
    "Store",
    "Stored",
    "Unit",
    "Units",
    "Update",
    "UpdateResult",
    "Write",
    "atomically",
]
