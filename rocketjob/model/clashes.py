"""Names that would replace one another unseen.

Two mixins have a callback, validation or event of one name: whether they are meant to be one nobody
can tell but their authors, so such a class is refused. A class that defines the method itself has
decided what it does.

A class has a private name that RocketJob or a plugin uses inside a base of it: its author cannot
know, and what calls the method would get another. What is there to be overridden has no underscore.
"""

from __future__ import annotations

import inspect
from typing import Any

from rocketjob.base.errors import NameClash

OURS = "rocketjob"  # how the packages of RocketJob and of its plugins begin
MARKS = "__rocketjob_"  # how the marks of `before`, `validate`, `event` and those of plugins begin


def refuse_clashes(cls: type) -> None:
    """Refuse a class whose bases mark methods of one name and do not know of each other.

    Raises:
        NameClash: names both, and what to do.
    """
    root = next((base for base in reversed(cls.__mro__) if vars(base).get("collection_name")), None)
    common = set(root.__mro__ if root is not None else ())
    nearest: dict[str, type] = {}
    for base in cls.__mro__:
        if base in common:
            continue  # what all documents of the kind have is there to be overridden
        for name, value in vars(base).items():
            winner = nearest.setdefault(name, base)
            if winner is base or issubclass(winner, base):
                continue
            other = vars(winner)[name]
            if value is not other and (_is_marked(value) or _is_marked(other)):
                raise NameClash(_message(cls, name, winner, base))


def refuse_hiding(cls: type) -> None:
    """Refuse a class of an application that has a private name of ours.

    Raises:
        NameClash: names both, and what to do.
    """
    for place, theirs in enumerate(cls.__mro__):
        if _is_ours(theirs):
            continue
        private = [name for name in vars(theirs) if name[0] == "_" and name[:2] != "__"]
        for base in cls.__mro__[place + 1 :] if private else ():
            hidden = next((name for name in private if name in vars(base)), None)
            if hidden is not None and _is_ours(base):
                raise NameClash(
                    f"{theirs.__qualname__}.{hidden} hides {base.__qualname__}.{hidden}, which "
                    f"{base.__module__} itself uses: give it another name"
                )


def _is_ours(cls: type) -> bool:
    package = cls.__module__.partition(".")[0]
    return package == OURS or package.startswith(f"{OURS}_")


def _is_marked(value: Any) -> bool:
    return inspect.isfunction(value) and any(mark.startswith(MARKS) for mark in vars(value))


def _message(cls: type, name: str, winner: type, other: type) -> str:
    one, two = (f"{base.__qualname__}.{name}" for base in (winner, other))
    return (
        f"{cls.__qualname__} inherits {one} (of {winner.__module__}) and {two} (of "
        f"{other.__module__}), and only the first of them would run: rename one, or define {name} "
        f"in {cls.__name__} and call there what is to run, such as {two}(self)"
    )
