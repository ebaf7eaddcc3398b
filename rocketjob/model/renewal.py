"""Documents that earlier code has stored, as the class of now reads them.

A class says with `formerly`, `field(formerly=...)`, `schema_version` and `upcast` how it was
before. What its documents say of that themselves is in two keys: `_version`, where the class has a
version or a renamed field, and `_renamed`, the present names of its renamed fields. So code that is
older than a document can tell that it must not run it, in place of taking a default for a value.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from rocketjob.model.fields import MISSING, Field

VERSION, RENAMED = "_version", "_renamed"
OF_THE_SYSTEM = frozenset(
    (
        "_id",
        "_type",
        "history",
        "state",
        "claimed_by",
        "claim_number",
        "worker_name",
        VERSION,
        RENAMED,
    )
)
"""Keys that `upcast` cannot change: claims and changes of state go by them."""


class Renewal(NamedTuple):
    """What a document needs to be stored as its class has it now.

    Attributes:
        changed: what to set.
        removed: what to unset.
        guard: the filter by which it is still as it was read.
    """

    changed: dict[str, Any]
    removed: dict[str, Any]
    guard: dict[str, Any]

    def joined(
        self, changed: dict[str, Any], removed: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return other changes with these below them."""
        below = {key: value for key, value in self.changed.items() if key not in removed}
        return {**below, **changed}, {**self.removed, **removed}

    def update(self) -> dict[str, Any]:
        """Return the update that makes it."""
        parts = {"$set": self.changed, "$unset": self.removed}
        return {operator: keys for operator, keys in parts.items() if keys}

    def is_in(self, changed: Mapping[str, Any], removed: Iterable[str]) -> bool:
        """Return whether a write has made it."""
        written = {*changed, *removed}
        return written >= self.changed.keys() | self.removed.keys()


class Renewer:
    """How the documents of one class are renewed; worked out once for the class.

    Attributes:
        marks: what each of its documents has, besides `_type`, for code that is older.
    """

    def __init__(self, cls: Any, fields: Mapping[str, Field]) -> None:
        self.cls, self.name = cls, cls.__name__
        self.version: int = cls.schema_version
        self.old_keys = {field.key: field.formerly for field in fields.values() if field.formerly}
        self.marks: dict[str, Any] = {}
        if self.version > 1 or self.old_keys:
            self.marks[VERSION] = self.version
        if self.old_keys:
            self.marks[RENAMED] = sorted(self.old_keys)
        self.needs = {"_type": self.name, **self.marks}
        self._gone = [key for keys in self.old_keys.values() for key in keys]

    def renew(self, stored: dict[str, Any]) -> tuple[dict[str, Any], Renewal | None]:
        """Return a stored document as it is now, and what that changes; None: nothing.

        Raises:
            Exception: what `upcast` raised.
            TypeError: it did not return a document, or changed what is the system's.
        """
        version = version_of(stored)
        if version > self.version or (
            all(stored.get(key) == value for key, value in self.needs.items())
            and not any(key in stored for key in self._gone)
        ):
            return stored, None
        renewed = self._upcast(stored, version) if version < self.version else dict(stored)
        for key, earlier in self.old_keys.items():
            for old in earlier:
                value = renewed.pop(old, MISSING)
                if value is not MISSING:
                    renewed.setdefault(key, value)
        renewed.update(self.needs)
        return renewed, _difference(stored, renewed)

    def _upcast(self, stored: dict[str, Any], version: int) -> dict[str, Any]:
        given = copy.deepcopy(stored)
        given[VERSION] = version
        result = self.cls.upcast(given)
        if not isinstance(result, dict):
            raise TypeError(
                f"{self.name}.upcast must return the document, a dict, not {result!r:.100}"
            )
        for key in OF_THE_SYSTEM - {VERSION}:
            if result.get(key, MISSING) != stored.get(key, MISSING):
                raise TypeError(f"{self.name}.upcast cannot change {key}, which is the system's")
        return dict(result)


def _difference(stored: Mapping[str, Any], renewed: Mapping[str, Any]) -> Renewal | None:
    changed = {k: v for k, v in renewed.items() if k not in stored or stored[k] != v}
    removed = {key: "" for key in stored if key not in renewed}
    guard = {
        key: {"$eq": stored[key]} if key in stored else {"$exists": False}
        for key in (*changed, *removed)
    }
    return Renewal(changed, removed, guard) if guard else None


def renewer_of(cls: Any, fields: Mapping[str, Field]) -> Renewer | None:
    """Return how documents of a class are renewed; None where they never changed."""
    if cls.schema_version > 1 or cls.__formerly__ or any(f.formerly for f in fields.values()):
        return Renewer(cls, fields)
    return None


def version_of(stored: Mapping[str, Any]) -> int:
    """Return the version that a document was stored with.

    Raises:
        ValueError: it is not a number; people edit documents by hand.
    """
    version = stored.get(VERSION, 1)
    if not isinstance(version, int):
        raise ValueError(f"its {VERSION} must be a whole number, not {version!r}")
    return version


def newer_than(cls: Any, stored: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Say why a document is of newer code than a class, with the filter of such; None if not.

    Raises:
        ValueError: its version is not a number.
    """
    version, name = version_of(stored), cls.__name__
    alike = {"_type": stored.get("_type")}
    if version > cls.schema_version:
        text = (
            f"it was stored as version {version} of {name}, which has version "
            f"{cls.schema_version} here: this code is older"
        )
        return text, alike | {VERSION: {"$gt": cls.schema_version}}
    known = {n for field in cls.__fields__.values() for n in (field.key, *field.formerly)}
    unknown = [key for key in stored.get(RENAMED) or () if key not in known]
    if version < cls.schema_version or not unknown:
        return None
    text = (
        f"it was stored by code that calls a field of {name} {unknown[0]}, and there is none here: "
        "this code is older. If the field was removed on purpose, raise schema_version"
    )
    return text, alike | {RENAMED: unknown[0]}


# --- checks of a class ---------------------------------------------------------------------------


def check_class(cls: Any) -> None:
    """Refuse a class whose version or old names of fields cannot be what is meant.

    Raises:
        TypeError: names the class and what is wrong.
    """
    version, own = cls.schema_version, cls.__dict__.get("upcast")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise TypeError(
            f"{cls.__qualname__}.schema_version must be a whole number from 1, not {version!r}"
        )
    if own is not None and not isinstance(own, classmethod):
        raise TypeError(f"{cls.__qualname__}.upcast must be a @classmethod that takes the document")
    if own is not None and version == 1 and not cls.__abstract__:
        raise TypeError(
            f"{cls.__qualname__}.upcast is never called: give the class schema_version = 2"
        )
    _check_fields(cls)


def _check_fields(cls: Any) -> None:
    had: dict[str, str] = {}
    for name, field in cls.__fields__.items():
        for old in field.formerly:
            if old in cls.__fields__:
                problem = f"the class has a field {old}"
            elif old in had:
                problem = f"so was {had[old]}"
            elif old.startswith("_") or old == "history":
                problem = "no field can have had that name"
            else:
                had[old] = name
                continue
            raise TypeError(f"{cls.__qualname__}.{name} was formerly called {old}: {problem}")
