"""The states of jobs by name: the kernel's six, those of plugins, and those of an app's classes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rocketjob.base.text import did_you_mean
from rocketjob.jobs.claims import COLLECTION
from rocketjob.model.registry import loaded_classes
from rocketjob.states.transitions import KERNEL_STATES, states_of
from rocketjob.store import context


def known_states(root: type[Any]) -> list[str]:
    """Return the kernel's states, those that plugins register, and those of the loaded classes.

    Args:
        root: the class below which all jobs are.
    """
    of_classes = {
        name for cls in loaded_classes(root) for name in states_of(cls.__events__.values())
    }
    names = (*KERNEL_STATES, *context.current().plugins.states, *sorted(of_classes))
    return list(dict.fromkeys(names))


def check_states(root: type[Any], names: Iterable[str]) -> None:
    """Refuse the name of a state that nobody knows, and in which no stored job is.

    Raises:
        ValueError: says which, and what was probably meant.
    """
    unknown = [name for name in names if name not in KERNEL_STATES]
    if not unknown:
        return
    # A stored job may be in a state whose plugin is not here any more.
    stored = [str(state) for state in context.current().store.count_by(COLLECTION, "state")]
    known = list(dict.fromkeys([*known_states(root), *stored]))
    for name in unknown:
        if name not in known:
            hint = did_you_mean(name, known, f"known are {' '.join(known)}")
            raise ValueError(f"there is no state {name}; {hint}")


def name_states(cls: type[Any]) -> None:
    """Give a class that declares events what `Job` has for the kernel's states.

    For a state `approval` these are `job.is_approval`, and `SomeJob.approval()`, a query. What the
    class has under such a name already stays.
    """
    own = [event for event in cls.__events__.values() if event.effect.__name__ in vars(cls)]
    for name in states_of(own) - set(KERNEL_STATES):
        if not hasattr(cls, f"is_{name}"):
            setattr(cls, f"is_{name}", property(_is_in(name)))
        if not hasattr(cls, name):
            setattr(cls, name, classmethod(_query_of(name)))


def _is_in(name: str) -> Any:
    def is_in(job: Any) -> bool:
        return bool(job.state == name)

    is_in.__doc__ = f"Whether the job is in the state {name}."
    return is_in


def _query_of(name: str) -> Any:
    def jobs_in(cls: Any) -> Any:
        return cls.where({"state": name})

    jobs_in.__doc__ = f"Return the jobs of the class that are in the state {name}."
    return jobs_in
