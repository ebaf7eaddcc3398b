"""Refuse a second active job of the same class.

    class Nightly(Singleton, Job): ...

    class PerAccount(Singleton, Job):
        unique_by = ("account_id",)
        on_conflict = "return"
        account_id: int

At most one job of the class (with the same values of `unique_by`) is queued, running or paused. It
is kept by a unique index: of two processes that create one at the same instant, one succeeds. The
other gets a ValidationError, or with `on_conflict = "return"` the job that is there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import bson

from rocketjob import Job, before, hookimpl, validate
from rocketjob.errors import ConfigurationError, ValidationError
from rocketjob.fields import read_only_field

ACTIVE = ("queued", "running", "paused")
INDEX = "active_key"


class Singleton(Job, abstract=True):
    """Mixin: see the module."""

    unique_by: ClassVar[tuple[str, ...]] = ()
    on_conflict: ClassVar[Literal["raise", "return"]] = "raise"

    active_key: str | None = read_only_field()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if isinstance(cls.unique_by, str):
            raise ConfigurationError(f'{cls.__name__}.unique_by must be a tuple: ("name",)')
        unknown = [name for name in cls.unique_by if name not in cls.fields()]
        if unknown:
            raise ConfigurationError(f"{cls.__name__}.unique_by names no field: {unknown[0]}")
        if cls.on_conflict not in ("raise", "return"):
            raise ConfigurationError(f'{cls.__name__}.on_conflict must be "raise" or "return"')

    @classmethod
    def create(cls, **values: Any) -> Self:
        made = cls(**values)
        try:
            return made.save()
        except ValidationError:
            there = made.active_twin() if cls.on_conflict == "return" else None
            if there is None:
                raise
            return there

    def active_twin(self) -> Self | None:
        """Return the other active job that keeps this one from being stored, if there is one."""
        twins = type(self).where({"state": {"$in": list(ACTIVE)}, "_id": {"$ne": self.id}})
        if self.unique_by:
            twins = twins.where(active_key=self._make_key())
        return twins.first()

    @before("save")
    def _keep_active_key(self) -> None:
        key = self._make_key() if self.state in ACTIVE else None
        if key != self.active_key:
            self.active_key = key

    @validate
    def _only_one_active(self) -> None:
        if self.state not in ACTIVE or (self._stored or {}).get(INDEX) == self._make_key():
            return
        if self.active_twin() is not None:
            self.errors.add("state", self._another())

    def _make_key(self) -> str:
        name = type(self).type_name()
        if not self.unique_by:
            return name
        values = bson.encode({field: self._encode(field) for field in self.unique_by})
        return f"{name}:{hashlib.sha256(values).hexdigest()[:32]}"

    def _another(self) -> str:
        return (
            f"Another instance of {type(self).__name__} is already queued, running or paused"
        )

    def duplicate_key_errors(self, details: Mapping[str, Any]) -> dict[str, list[str]]:
        if INDEX in details.get("keyPattern", {}):
            return {"state": [self._another()]}
        return super().duplicate_key_errors(details)


@hookimpl
def register_mixins() -> list[type[Job]]:
    return [Singleton]


@hookimpl
def register_indexes() -> dict[str, list[dict[str, Any]]]:
    there = {INDEX: {"$exists": True}}
    index = {
        "keys": [(INDEX, 1)],
        "name": INDEX,
        "unique": True,
        "partialFilterExpression": there,
    }
    return {Job.collection_name: [index]}
