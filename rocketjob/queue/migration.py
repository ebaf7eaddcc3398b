"""Stored jobs of earlier code are rewritten as their classes have them now.

No job needs it to be run. It is for what sees only what is stored: queries by the fields of a new
`schema_version`, and the day on which `formerly` and `upcast` are to go from the code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import attrs

from rocketjob.jobs.claims import COLLECTION
from rocketjob.jobs.exception import message_of
from rocketjob.jobs.job import Job
from rocketjob.model.registry import loaded_classes, lookup
from rocketjob.model.renewal import Renewal, newer_than
from rocketjob.queue.survey import pages
from rocketjob.store import Store, Stored, Write

MOST = 20  # of those that are named


@attrs.define
class Some:
    """How many there were, and the first of them in words."""

    count: int = 0
    named: list[str] = attrs.field(factory=list)

    def add(self, text: str) -> None:
        self.count += 1
        if len(self.named) < MOST:
            self.named.append(text)


@attrs.define
class Migration:
    """What was rewritten, or would be.

    Attributes:
        jobs: how many were looked at.
        rewritten: how many of each class, with the name that they were stored under.
        running: those that were left alone, since a worker has them.
        newer: those that newer code has stored.
        failed: those that cannot be rewritten, and why.
        changed: how many somebody else was changing at the same time.
    """

    store: Store
    writes: bool
    jobs: int = 0
    rewritten: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    running: Some = attrs.field(factory=Some)
    newer: Some = attrs.field(factory=Some)
    failed: Some = attrs.field(factory=Some)
    changed: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether nothing of earlier code is left that could be rewritten."""
        return not (self.running.count or self.failed.count or self.changed)

    def run(self, told: Callable[[int], None]) -> Migration:
        """Go through all jobs of classes that have changed, a page at a time.

        It can be ended at any moment and made again: what was rewritten is then passed over.

        Args:
            told: is called after each page, with the number of jobs that were looked at.
        """
        classes = [cls for cls in loaded_classes(Job) if _may_have_changed(cls)]
        names = [name for cls in classes for name in cls.stored_names()]
        for page in pages(self.store, {"_type": {"$in": names}}) if names else ():
            self.jobs += len(page)
            found = [(stored, renewal) for stored in page if (renewal := self._renewal(stored))]
            self._rewrite(found)
            told(self.jobs)
        return self

    def _renewal(self, stored: Stored) -> Renewal | None:
        cls = lookup(str(stored["_type"]), Job)
        assert cls is not None
        named = f"{cls.type_name()} {stored['_id']}"
        try:
            if newer_than(cls, stored):
                self.newer.add(named)
                return None
            renewal = _renewal_of(cls, stored)
        except Exception as error:
            self.failed.add(f"{named}: {type(error).__name__}: {message_of(error)}")
            return None
        if renewal is not None and stored.get("state") == "running":
            self.running.add(named)
            return None
        return renewal

    def _rewrite(self, found: list[tuple[Stored, Renewal]]) -> None:
        held = self._write(found) if self.writes and found else [True] * len(found)
        for (stored, _), done in zip(found, held, strict=True):
            cls = lookup(str(stored["_type"]), Job)
            if done and cls is not None:
                self.rewritten[cls.type_name(), str(stored["_type"])] += 1
            elif done is False:
                self.changed += 1

    def _write(self, found: list[tuple[Stored, Renewal]]) -> list[bool | None]:
        """Write a page in one go; if the store refuses one of them, each by itself."""
        writes = [_write(*each) for each in found]
        try:
            return list(self.store.write_many(COLLECTION, writes))
        except Exception as error:
            if self.store.is_transient(error):
                raise
        return [self._write_alone(write) for write in writes]

    def _write_alone(self, write: Write) -> bool | None:
        try:
            return self.store.write_many(COLLECTION, [write])[0]
        except Exception as error:
            if self.store.is_transient(error):
                raise
            self.failed.add(f"{write.filter['_id']}: {type(error).__name__}: {message_of(error)}")
            return None


def _may_have_changed(cls: type[Job]) -> bool:
    return cls.__layout__.renewer is not None or cls.unique_keys is not Job.unique_keys


def _renewal_of(cls: type[Job], stored: Stored) -> Renewal | None:
    """Return what a stored job needs, its unique keys among it."""
    renewer = cls.__layout__.renewer
    renewed, renewal = (stored, None) if renewer is None else renewer.renew(stored)
    if cls.unique_keys is Job.unique_keys:
        return renewal
    keys = Job.from_document(stored, strict=False).unique_keys()
    wrong = {key: value for key, value in keys.items() if renewed.get(key) != value}
    if not wrong:
        return renewal
    as_read = {key: stored.get(key) for key in wrong}
    changed, removed, guard = renewal or ({}, {}, {})
    return Renewal({**changed, **wrong}, removed, {**as_read, **guard})


def _write(stored: Stored, renewal: Renewal) -> Write:
    """Return the write that rewrites a job, unless somebody has changed it or started it."""
    as_read = {key: stored.get(key) for key in ("state", "claim_number")}
    return Write({"_id": stored["_id"], **as_read, **renewal.guard}, renewal.update())
