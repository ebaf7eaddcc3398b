"""A deploy within one process: what a class was called before, and is gone."""

from rocketjob.model import registry


def forget(cls):
    """Make a class unknown here, as it is to the processes that have the code after the deploy."""
    for names in (registry._registry, registry._renamed):
        for name in [name for name, each in names.items() if each is cls]:
            del names[name]
    registry.note_change()
