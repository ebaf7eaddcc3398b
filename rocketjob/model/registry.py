"""Which document classes are loaded here: a stored document names its class.

A class that was renamed says so with `formerly`: it is found by its old names too.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Mapping
from typing import Any, TypeVar

D = TypeVar("D")
_registry: weakref.WeakValueDictionary[str, type[Any]] = weakref.WeakValueDictionary()
_renamed: weakref.WeakValueDictionary[str, type[Any]] = weakref.WeakValueDictionary()  # by old name
_made = [0]  # how many classes were made: what is cached per class hierarchy is then stale


def note_change() -> None:
    """Note that a class was made, or changed from outside: see `classes_made`."""
    _made[0] += 1


def class_called(name: str) -> type[Any] | None:
    """Return the class that has this name, or had it, whichever collection it is of."""
    known = _registry.get(name)
    return known if known is not None else _renamed.get(name)


def lookup(name: str, base: type[D]) -> type[D] | None:
    """Return the class that has this name, or had it, if it is one of `base`."""
    known = class_called(name)
    return known if known is not None and issubclass(known, base) else None


def stored_names(name: str) -> list[str]:
    """Return all the names under which documents of the class of this name may be stored."""
    known = class_called(name)
    return [name] if known is None else [known.__name__, *known.__formerly__]


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
        TypeError: another one has that name, or had it.
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
    _refuse_names_of_others(cls)
    for name, other in list(_renamed.items()):
        if _is_again(other, cls):  # it may not say so any more
            del _renamed[name]
    _renamed.update(dict.fromkeys(cls.__formerly__, cls))
    _registry[cls.__name__] = cls


def old_names(cls: type[Any]) -> tuple[str, ...]:
    """Return the names that a class says it had; each last part of a dotted one is a name too.

    Raises:
        TypeError: they are not names.
    """
    given = cls.__dict__.get("formerly", ())
    if not isinstance(given, list | tuple) or not all(map(_is_name, given)):
        raise TypeError(
            f'{cls.__qualname__}.formerly must be a list of names, such as ["OldName"], '
            f"not {given!r}"
        )
    names = dict.fromkeys(name for each in given for name in (each.rpartition(".")[2], each))
    names.pop(cls.__name__, None)
    return tuple(names)


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and all(part.isidentifier() for part in name.split("."))


def _refuse_names_of_others(cls: type[Any]) -> None:
    """Refuse an old name that another class has or had, and a name that another class had."""
    name = cls.__name__
    if (other := _in_use(_renamed, name, cls)) is not None:
        raise TypeError(
            f"{_shown(cls)} has a name that {_shown(other)} says it had (formerly): documents "
            f"stored under {name} would be of either. Choose another name, or remove {name} from "
            f"{other.__name__}.formerly once `rocketjob jobs migrate` has renamed what is stored"
        )
    for name in cls.__formerly__:
        if (other := _in_use(_registry, name, cls)) is not None:
            raise TypeError(
                f"{_shown(cls)} was formerly called {name}, by its `formerly`, and there is a "
                f"class of that name: {_shown(other)}. Remove that class, or the name (and start "
                "Python again, where both were made in one session)"
            )
        if (other := _in_use(_renamed, name, cls)) is not None:
            raise TypeError(
                f"Two classes were formerly called {name}: {_shown(other)} and {_shown(cls)}. "
                "Remove the name from one"
            )


def _in_use(names: Mapping[str, type[Any]], name: str, cls: type[Any]) -> type[Any] | None:
    """Return the other class that has, or had, a name."""
    other = names.get(name)
    return None if other is None or _is_again(other, cls) else other


def _is_again(present: type, new: type) -> bool:
    return present.__name__ == new.__name__ and _same_place(present, new)


def _shown(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _file_of(cls: type) -> str | None:
    """Return the file of a class that is on its module's top level."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return os.path.realpath(file) if file and "." not in cls.__qualname__ else None


def _same_place(present: type, new: type) -> bool:
    """Tell a class that is defined again, by a reload, a shell or a test, from another one."""
    if "<locals>" in present.__qualname__ and "<locals>" in new.__qualname__:
        return True
    return (present.__module__, present.__qualname__) == (new.__module__, new.__qualname__)
