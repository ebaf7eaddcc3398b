"""Give a large upload a lower priority, so that small ones are not kept waiting behind it.

    class Import(LowerPriority, Batch, Job):
        lower_priority_count = 50_000

        @before("batch")
        def fetch(self):
            self.upload(...)
            self.lower_priority()

The priority's number grows by one for every `lower_priority_count` records (100,000), up to 100.
"""

from __future__ import annotations

from typing import Any, ClassVar

from rocketjob import Job
from rocketjob.base.errors import ConfigurationError
from rocketjob.model.record import values_of


class LowerPriority(Job, abstract=True):
    """Mixin: see the module."""

    lower_priority_count: ClassVar[int] = 100_000

    def __init_subclass__(cls, abstract: bool = False, **options: Any) -> None:
        super().__init_subclass__(abstract=abstract, **options)
        if not abstract and "record_count" not in cls.fields():
            raise ConfigurationError(f"{cls.__name__}: LowerPriority is for batch jobs: add Batch")

    def lower_priority(self) -> None:
        """Lower the priority by the size of the upload; nothing, before there is one."""
        count: int | None = values_of(self).get("record_count")
        if count:
            self.priority = min(100, self.priority + count // self.lower_priority_count)
