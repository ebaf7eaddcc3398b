"""Constructors that `@dataclass` or attrs generate: on a document class they have no place."""

from __future__ import annotations


def refuse_generated(cls: type, root: type) -> None:
    """Refuse a document class whose constructor would not be that of `root`.

    A decorator runs when the class is there already: what it has done is seen when an instance is
    used, when the app's modules are imported, or when a class is made from that one.

    Raises:
        TypeError: names the class, the decorator and what to do.
    """
    for base in cls.__mro__:
        decorator = _decorator_of(base)
        if decorator is None:
            continue
        if issubclass(base, root):
            cure = "Remove it: an annotated attribute of such a class is a field without it"
        else:
            cure = (
                f"Make {base.__qualname__} a plain class: what it annotates is a field all the same"
            )
        raise TypeError(
            f"{base.__qualname__} has {decorator}, whose constructor takes the place of the one "
            f"that makes {cls.__qualname__}. {cure}"
        )


def _decorator_of(cls: type) -> str | None:
    if "__dataclass_fields__" in vars(cls):
        return "@dataclass"
    code = getattr(vars(cls).get("__init__"), "__code__", None)
    generated = code is not None and code.co_filename.startswith("<attrs generated")
    return "@attrs.define" if generated else None
