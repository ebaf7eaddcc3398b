"""Start a new instance of a job whenever one ends.

    class Watch(Restart, Job):
        limit: int = field(default=0, copy_on_restart=True)

When a job completes or is aborted, a new one is queued in the same step, with the fields marked
`copy_on_restart`. A job that fails is aborted, and so restarts; override `abort_on_failure` to keep
it failed. A job that has expired is not followed by another. Failures that Retry retries, and
instances that Cron follows with the next, are left to those mixins.
"""

from __future__ import annotations

from rocketjob import Job, before, hookimpl, validate


class Restart(Job, abstract=True):
    """Mixin: see the module."""

    @before("fail")
    def abort_on_failure(self) -> None:
        """Abort a job that fails, so that it restarts; override with `pass` to keep it failed."""
        self.follow_with("abort", otherwise=True)

    @before("complete", "abort")
    def _restart(self) -> None:
        if not self.is_expired and getattr(self, "cron_schedule", None) is None:
            self.create_with(self.restarted())

    @validate
    def _can_be_restarted(self) -> None:
        refuse_uncopied_fields(self)


def refuse_uncopied_fields(job: Job) -> None:
    """Add an error for each required field that would not be copied to the next instance."""
    for name, field in job.fields().items():
        if field.required and not field.copy_on_restart:
            job.errors.add(
                name,
                "would be missing in the next instance: declare it with "
                "field(copy_on_restart=True), or give it a default",
            )


@hookimpl
def register_mixins() -> list[type[Job]]:
    return [Restart]
