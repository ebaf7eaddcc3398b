"""What the code at hand could not run of the jobs that are stored, found without running any."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs

from rocketjob.base.errors import ValidationError
from rocketjob.jobs.claims import COLLECTION
from rocketjob.jobs.exception import message_of
from rocketjob.jobs.fit import check_fits
from rocketjob.jobs.job import Job
from rocketjob.jobs.shown import unknown_keys
from rocketjob.model.record import record_of
from rocketjob.model.registry import lookup
from rocketjob.model.renewal import newer_than
from rocketjob.store import Filter, Store, Stored

PAGE = 1000
MOST = 500  # findings that are told apart; more would be of no use, and take memory
FINISHED = ("completed", "aborted")  # nothing of these is run again

UNKNOWN_CLASS, NEWER, MISFIT, BROKEN = "unknown class", "newer", "misfit", "cannot be loaded"
UNKNOWN_FIELD, OLD_KEY = "unknown field", "old key"
Judged = tuple[str, str, str, str]
"""Kind, class, field or "", and a text."""


@attrs.define
class Finding:
    """Jobs of one class with which the same is wrong.

    Attributes:
        kind: one of the constants of this module.
        job_class: its present name, or as it is stored.
        field: that it is about, if it is about one.
        text: what is wrong with the first one.
        count: of how many jobs.
        example: the id of the first one.
    """

    kind: str
    job_class: str
    field: str
    text: str
    example: Any
    count: int = 0


@attrs.define
class Survey:
    """What was found.

    Attributes:
        jobs: how many were looked at.
        findings: in the order in which the first of each was met.
        more: how many things are not among the findings, since those are too many.
    """

    jobs: int = 0
    findings: list[Finding] = attrs.field(factory=list)
    more: int = 0
    _known: dict[tuple[str, str, str], Finding] = attrs.field(factory=dict)

    def look(self, store: Store, told: Callable[[int], None]) -> Survey:
        """Look at all jobs that are not finished, in pages.

        Args:
            told: is called after each page, with the number of jobs that were looked at.
        """
        for page in pages(store, {"state": {"$nin": list(FINISHED)}}):
            for stored in page:
                self.jobs += 1
                for judged in self._judge(stored):
                    self._add(stored["_id"], *judged)
            told(self.jobs)
        return self

    def _add(self, id: Any, kind: str, job_class: str, field: str, text: str) -> None:
        key = (kind, job_class, field)
        finding = self._known.get(key)
        if finding is None:
            if len(self.findings) >= MOST:
                self.more += 1
                return
            finding = self._known[key] = Finding(kind, job_class, field, text, id)
            self.findings.append(finding)
        finding.count += 1

    def _judge(self, stored: Stored) -> Iterator[Judged]:
        name = str(stored.get("_type"))
        cls = lookup(name, Job)
        if cls is None or cls is Job:
            yield UNKNOWN_CLASS, name, "", "no class of this name is loaded here, or had it"
            return
        name = cls.type_name()
        try:
            if newer := newer_than(cls, stored):
                yield NEWER, name, "", newer[0]
                return
            job = Job.from_document(stored)
            check_fits(job)
            left_over = list(self._left_over(job))
        except ValidationError as error:
            for field, messages in error.errors.items():
                yield MISFIT, name, field, "; ".join(messages)
        except TypeError as error:  # of the arguments of perform
            yield MISFIT, name, "arguments", message_of(error)
        except Exception as error:
            yield BROKEN, name, "", f"{type(error).__name__}: {message_of(error)}"
        else:
            yield from left_over

    def _left_over(self, job: Job) -> Iterator[Judged]:
        """Yield what is stored of a job that fits, and that its class does not know."""
        name, stored = type(job).type_name(), record_of(job).stored or {}
        for key in unknown_keys(job):
            text = "is stored, and no field of the class: renamed? field(formerly=...) reads it"
            yield UNKNOWN_FIELD, name, key, text
        for key, value in job.unique_keys().items():
            if stored.get(key) != value:
                text = "is not the class's key any more: `rocketjob jobs migrate` makes it again"
                yield OLD_KEY, name, key, text


def pages(store: Store, filter: Filter) -> Iterator[list[Stored]]:
    """Yield matching jobs by id, so that each is seen once, whatever happens to it meanwhile."""
    jobs, after = store.collection(COLLECTION), dict[str, Any]()
    while page := list(jobs.find({**filter, **after}, sort=[("_id", 1)], limit=PAGE)):
        yield page
        after = {"_id": {"$gt": page[-1]["_id"]}}
