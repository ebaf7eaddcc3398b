"""Which document classes are loaded here: a stored document names its class."""

from __future__ import annotations

import os
import sys
import weakref
from typing import Any, TypeVar

D = TypeVar("D")
_registry: weakref.WeakValueDictionary[str, type[Any]] = weakref.WeakValueDictionary()
_made = [0]  # how many classes were made: what is cached per class hierarchy is then stale


def note_change() -> None:
    """Note that a class was made, or changed from outside: see `classes_made`."""
    _made[0] += 1


def class_called(name: str) -> type[Any] | None:
    """Return the class of this name that is loaded here, whichever collection it is of."""
    return _registry.get(name)


def lookup(name: str, base: type[D]) -> type[D] | None:
    """Return the class of this name that is loaded here, if it is one of `base`."""
    known = _registry.get(name)
    return known if known is not None and issubclass(known, base) else None


def loaded_classes(base: type[D]) -> list[type[D]]:
    """Return every loaded class at or below `base`, itself first."""
    classes: dict[type[D], None] = {base: None}
    for child in base.__subclasses__():
        if _registry.get(child.__name__) is child or child.__subclasses__():
            classes.update(dict.fromkeys(loaded_classes(child)))
    return list(classes)


def classes_made() -> int:
    """Return a number that changes whenever a document class is made."""
    return _made[0]


def register(cls: type[Any]) -> None:
    """Make a class known by its name.

    Raises:
        TypeError: another one has that name.
    """
    present = _registry.get(cls.__name__)
    if present is not None and not _same_place(present, cls):
        if (file := _file_of(present)) is not None and file == _file_of(cls):
            raise TypeError(
                f"The file {file} is imported under two names, {present.__module__} and "
                f"{cls.__module__}, so {cls.__name__} is made twice: import it "
                "by one name everywhere"
            )
        raise TypeError(
            f"Two classes are called {cls.__name__}: {present.__module__}.{present.__qualname__} "
            f"and {cls.__module__}.{cls.__qualname__}. Documents are stored under the class's "
            "name: rename one"
        )
    _registry[cls.__name__] = cls


def _file_of(cls: type) -> str | None:
    """Return the file of a class that is on its module's top level."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return os.path.realpath(file) if file and "." not in cls.__qualname__ else None


def _same_place(present: type, new: type) -> bool:
    """Tell a class that is defined again, by a reload, a shell or a test, from another one."""
    if "<locals>" in present.__qualname__ and "<locals>" in new.__qualname__:
        return True
    return (present.__module__, present.__qualname__) == (new.__module__, new.__qualname__)
