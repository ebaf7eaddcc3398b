"""What a store must be able to do, and what is built on that alone: see `rocketjob.store.port`."""

from rocketjob.store.port import (
    ATTEMPTS,
    BACK_OFF,
    MAX_DOCUMENT_BYTES,
    Collection,
    DeleteResult,
    Filter,
    InsertManyResult,
    InsertOneResult,
    Sort,
    Store,
    Stored,
    Update,
    UpdateResult,
    Write,
    atomically,
)

__all__ = [
    "ATTEMPTS",
    "BACK_OFF",
    "MAX_DOCUMENT_BYTES",
    "Collection",
    "DeleteResult",
    "Filter",
    "InsertManyResult",
    "InsertOneResult",
    "Sort",
    "Store",
    "Stored",
    "Update",
    "UpdateResult",
    "Write",
    "atomically",
]
