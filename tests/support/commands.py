"""The commands that a MongoDB store sends, as pymongo tells of them."""

from collections import Counter
from typing import NamedTuple

from pymongo.monitoring import CommandListener

from rocketjob_plugins.store_mongodb.store import MongoStore


class Sent(NamedTuple):
    name: str
    collection: str
    in_transaction: bool


class Commands(CommandListener):
    """Notes each command, until it is asked for them."""

    def __init__(self):
        self.sent = []

    def started(self, event):
        collection = str(event.command.get(event.command_name))
        inside = event.command.get("autocommit") is False
        self.sent.append(Sent(event.command_name, collection, inside))

    def succeeded(self, event): ...

    def failed(self, event): ...

    def taken(self):
        """Return the commands since the last call."""
        sent, self.sent = self.sent, []
        return sent

    def counted(self):
        """Count those by their names."""
        return Counter(each.name for each in self.taken())


def hear(monkeypatch):
    """Have the clients that stores make from now on tell of their commands."""
    commands, own = Commands(), MongoStore._listeners
    monkeypatch.setattr(MongoStore, "_listeners", lambda store: [*own(store), commands])
    return commands
