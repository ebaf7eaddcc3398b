"""Start a new instance of a job whenever one ends.

    class Watch(Restart, Job):
        limit: int = field(default=0, copy_on_restart=True)

When a job completes or is aborted, a new one is queued with the fields that are marked
`copy_on_restart`, in the same step. A job that fails is aborted, and so starts anew; override
`abort_on_failure` to keep it failed. A job that has expired is not followed by another.
"""

from __future__ import annotations

from rocketjob import Job, before, hookimpl


class Restart(Job, abstract=True):
    """Mixin: see the module."""

    @before("fail")
    def abort_on_failure(self) -> None:
        """Abort a job that fails, so that it restarts; override with `pass` to keep it failed."""
        self.follow_with("abort")

    @before("complete", "abort")
    def _restart(self) -> None:
        if not self.is_expired:
            self.create_with(self.restarted())


@hookimpl
def register_mixins() -> list[type[Job]]:
    return [Restart]
