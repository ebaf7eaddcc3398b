"""Methods of jobs under their old names: both calling and overriding them still work."""

from __future__ import annotations

import functools
from typing import Any

from rocketjob.base.deprecation import warn

RENAMED = {
    "taken_by": "runnable_on",
    "open_places": "free_slots",
    "edited_meanwhile": "edits_by_others",
}
CLASS_STATEMENT = 4  # warn, keep_old_names, Job.__init_subclass__, the class statement


def keep_old_names(cls: type) -> None:
    """Give a class each renamed method under both names, whichever of them it or a mixin has.

    A method with the old name takes effect under the new one, with a warning. One with the new
    name is there under the old one too, so that a subclass can call `super()` by either.
    """
    for old, new in RENAMED.items():
        if len(cls.__bases__) == 1 and not vars(cls).keys() & {old, new}:
            continue  # its base has both
        definer = next(base for base in cls.__mro__ if old in vars(base) or new in vars(base))
        attributes = vars(definer)
        if new not in attributes:
            warn(f"{definer.__qualname__}.{old}", new, stacklevel=CLASS_STATEMENT)
            setattr(cls, new, attributes[old])
        elif old not in attributes:
            setattr(cls, old, _warning(old, new, attributes[new]))


def _warning(old: str, new: str, method: Any) -> Any:
    """Return a method or class method that also warns of the name by which it was called."""
    if isinstance(method, classmethod):
        return classmethod(_warning(old, new, method.__func__))

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        warn(f"Job.{old}", f"Job.{new}")
        if "suspects" in kwargs:
            kwargs["quarantined"] = kwargs.pop("suspects")
        return method(self, *args, **kwargs)

    return call
