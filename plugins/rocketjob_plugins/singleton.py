"""Refuse a second active job of the same class.

    class Nightly(Singleton, Job): ...

    class PerAccount(Singleton, Job):
        unique_by = ("account_id",)
        on_conflict = "return"
        account_id: int

At most one job of the class (with the same values of `unique_by`) is queued, running or paused. A
unique index enforces this: of two processes that create one at the same instant, one succeeds. The
other gets a ValidationError or, with `on_conflict = "return"`, the existing job. That applies to
`create` and `perform_later`; `save` and `create_many` always raise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from rocketjob import Job, before, hookimpl, validate
from rocketjob.base.errors import ConfigurationError, ValidationError
from rocketjob.jobs.state_names import known_states
from rocketjob.model.fields import MISSING, read_only_field
from rocketjob.store.indexes import unique_while
from rocketjob.store.packing import pack

ACTIVE = ("queued", "running", "paused")
INDEX = "active_key"


class Singleton(Job, abstract=True):
    """Mixin: see the module."""

    unique_by: ClassVar[tuple[str, ...]] = ()
    on_conflict: ClassVar[Literal["raise", "return"]] = "raise"

    active_key: str | None = read_only_field()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if not isinstance(cls.unique_by, tuple):
            raise ConfigurationError(f'{cls.__name__}.unique_by must be a tuple: ("name",)')
        for name in cls.unique_by:
            if name not in cls.fields():
                raise ConfigurationError(f"{cls.__name__}.unique_by names no field: {name!r}")
            if cls.fields()[name].encrypted:
                raise ConfigurationError(
                    f"{cls.__name__}.unique_by cannot name {name}: its encrypted form is never "
                    "the same twice"
                )
        if cls.on_conflict not in ("raise", "return"):
            raise ConfigurationError(f'{cls.__name__}.on_conflict must be "raise" or "return"')

    def submit(self) -> Self:
        for _ in range(5):
            try:
                return super().submit()
            except ValidationError as error:
                if self.on_conflict == "raise" or error.errors != {
                    "state": [self._another_is_active()]
                }:
                    raise
            twin = self.active_twin()
            if twin is not None:
                return twin
            # The other job ended in between, so there is room now.
        return super().submit()

    def active_twin(self) -> Self | None:
        """Return the active job that keeps this one from being stored, if there is one."""
        twins = {
            INDEX: {"$in": self._keys()},
            "state": {"$in": list(ACTIVE)},
            "_id": {"$ne": self.id},
        }
        return type(self).where(twins).first()

    @before("save")
    def _keep_active_key(self) -> None:
        self.active_key = self._make_key()

    @validate
    def _only_one_active(self) -> None:
        if self.state not in ACTIVE or any(name in self.errors for name in self.unique_by):
            return
        if self._is_the_active_one() or self.active_twin() is None:
            return
        self.errors.add("state", self._another_is_active(), conflict=True)

    def _is_the_active_one(self) -> bool:
        same = self.stored_value(INDEX) in self._keys()
        return same and self.stored_value("state") in ACTIVE

    def unique_keys(self) -> dict[str, Any]:
        own = {INDEX: self._make_key()} if self.state in ACTIVE else {}
        return {**super().unique_keys(), **own}

    def _make_key(self) -> str:
        return type(self).key_name() + self._key_suffix()

    def _keys(self) -> list[str]:
        """Return the keys that this job's twins may have, under all names of the class."""
        suffix = self._key_suffix()
        names = dict.fromkeys((type(self).key_name(), *type(self).stored_names()))
        return [name + suffix for name in names]

    def _key_suffix(self) -> str:
        if not self.unique_by:
            return ""
        stored = {
            field: self.fields()[field].store(getattr(self, field), self)
            for field in self.unique_by
        }
        plain = {field: None if value is MISSING else value for field, value in stored.items()}
        return f":{hashlib.sha256(pack(plain)).hexdigest()[:32]}"

    def _another_is_active(self) -> str:
        return f"Another instance of {type(self).__name__} is already queued, running or paused"

    def duplicate_key_errors(self, details: Mapping[str, Any]) -> dict[str, list[str]]:
        if INDEX in details.get("keyPattern", {}):
            return {"state": [self._another_is_active()]}
        return super().duplicate_key_errors(details)


@hookimpl
def register_mixins() -> list[type[Job]]:
    return [Singleton]


@hookimpl
def register_indexes() -> dict[str, list[dict[str, Any]]]:
    return {Job.collection_name: [unique_while(INDEX, ACTIVE, known_states(Job))]}
