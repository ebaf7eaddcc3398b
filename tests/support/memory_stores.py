"""The example's store in memory, as it is and without transactions."""

import contextlib
import importlib.util
import sys
from pathlib import Path

from rocketjob.store import Capabilities
from rocketjob.store.lease import lease
from rocketjob.store.outbox import Outbox

NAME = "rocketjob_plugin_memory_store"
FILE = Path(__file__).parents[2] / "examples" / "rocketjob-plugin-memory-store" / f"{NAME}.py"


def load():
    """Import the example's module; it is not installed here."""
    if NAME not in sys.modules:
        spec = importlib.util.spec_from_file_location(NAME, FILE)
        sys.modules[NAME] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[NAME])
    return sys.modules[NAME]


memory = load()
MemoryStore, MemoryCollection = memory.MemoryStore, memory.MemoryCollection


class PlainMemoryStore(MemoryStore):
    """A store whose single writes are atomic, and nothing more: it has an outbox and leases."""

    def __init__(self):
        super().__init__()
        self.capabilities = Capabilities(several_processes=False, transactions=False, wake_up=True)
        self.outbox = Outbox(self)

    def transaction(self):
        return contextlib.nullcontext()

    def write_many(self, collection, writes, *, session=None):
        return [
            self.outbox.remove(collection, each.filter)
            if each.update is None
            else super(PlainMemoryStore, self).write_many(collection, [each])[0]
            for each in writes
        ]

    def commit(self, units):
        return self.outbox.commit(units)

    def recover(self, collection=None, filter=None):
        return self.outbox.recover(collection, filter)

    def lease(self, key):
        return lease(self.collection("rocket_job.limits"), key)

    def indexes(self):
        return self.outbox.indexes()
