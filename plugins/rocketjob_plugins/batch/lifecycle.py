"""The events of a batch job: most of them leave a job in the midst of its slices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rocketjob import Job, Transition, after, before, event
from rocketjob.base import clock
from rocketjob.jobs import claims
from rocketjob.model.fields import read_only_field

if TYPE_CHECKING:
    from rocketjob_plugins.batch.slices import InputSlices


class BatchLifecycle(Job, abstract=True):
    """What a batch job has of states: events that take its slices into account."""

    if TYPE_CHECKING:  # of `BatchModel`
        sub_state: str | None = read_only_field()

        @property
        def input(self) -> InputSlices: ...

        def cleanup(self) -> None: ...

    @event(
        Transition(("failed",), "queued", "_starts_over"),
        Transition(("failed",), "running", "_goes_on"),
    )
    def retry(self, *, keep_exception: bool = False, save: bool = True) -> None:
        """Let a failed job go on with its failed slices, or start over if it had not begun."""
        claims.clear(self)
        self.completed_at = None
        if not keep_exception:
            self.exception = None
        if self._starts_over():
            self.sub_state = self.started_at = None
        else:
            self.sub_state = "processing"

    @event(
        Transition(("queued",), "paused"),
        Transition(("running",), "paused", "_can_pause", "only while it processes slices"),
    )
    def pause(self, *, save: bool = True) -> None:
        """Hold a job back; workers stop at the next record."""
        claims.clear(self)
        self.completed_at = clock.now()

    @event(
        Transition(("paused",), "running", "_goes_on"),
        Transition(("paused",), "queued"),
    )
    def resume(self, *, save: bool = True) -> None:
        """Let a paused job go on where it was."""
        self.completed_at = None

    @event(
        Transition(("running",), "running", "_can_requeue", "its worker is on another server"),
        Transition(("running",), "queued", "_can_start_again", "its worker is on another server"),
        validates=False,
    )
    def requeue(
        self, server_name: str | None = None, *, reason: str | None = None, save: bool = True
    ) -> None:
        """Take the job, or its slices, back from workers; with a name from that server's only."""
        claims.clear(self)
        if self._was_processing():
            self.sub_state = "processing"
            self.input.requeue_running(server_name)
        else:
            self.sub_state = self.started_at = None

    @event(Transition(("completed", "failed", "running", "paused"), "running"))
    def reopen(self, *, save: bool = True) -> None:
        """Process again: input was added to a job that had ended."""
        claims.clear(self)
        self.completed_at = self.exception = None
        self.sub_state = "processing"
        self.percent_complete = 0

    def _starts_over(self, **_: Any) -> bool:
        return self.sub_state in (None, "before")

    def _goes_on(self, **_: Any) -> bool:
        return self.sub_state in ("processing", "after")

    def _can_pause(self, **_: Any) -> bool:
        return self.sub_state == "processing"

    def _was_processing(self) -> bool:
        return self.sub_state in ("processing", "after")

    def _can_requeue(self, server_name: str | None = None, **_: Any) -> bool:
        if self.sub_state == "after":
            return self.worker_on_server(server_name)
        return self.sub_state == "processing"

    def _can_start_again(self, server_name: str | None = None, **_: Any) -> bool:
        return not self._was_processing() and self.worker_on_server(server_name)

    @before("retry")
    def _requeue_failed_slices(self) -> None:
        # Before the job's own write: if this process dies between the two, a retry still helps.
        self.input.requeue_failed()

    @before("complete")
    def _leave_sub_state(self) -> None:
        self.sub_state = None

    @after("abort", "destroy")
    def _drop_slices(self) -> None:
        self.cleanup()
