"""A deploy within one process: what a class was called before, and is gone."""

from rocketjob import Job
from rocketjob.model import registry
from rocketjob_plugins.cron.schedules import declared_schedules, sync

MADE = []


def forget(cls):
    """Make a class unknown here, as it is to the processes that have the code after the deploy."""
    for names in (registry._registry, registry._renamed):
        for name in [name for name, each in names.items() if each is cls]:
            del names[name]
    registry.note_change()


def forget_all():
    while MADE:
        forget(MADE.pop())


def deploy(name, /, *bases, fields=None, **attributes):
    """Make a class as the code has it from now on; one of the same name is of the code before.

    Args:
        fields: their types by name; their defaults are among the attributes.
    """
    body = {"__module__": __name__, "__annotations__": fields or {}, **attributes}
    MADE.append(type(name, (*bases, Job), body))
    return MADE[-1]


def roll_back(cls):
    """Have the code of a class as it was before: a worker that was not restarted yet."""
    for other in MADE:
        if other is not cls:
            forget(other)
    registry.register(cls)
    registry.note_change()


def sync_made():
    """Bring the schedules of these classes alone: others may be loaded in the process."""
    return sync(each for each in declared_schedules() if each.job_class in MADE)
