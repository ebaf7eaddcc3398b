"""The demo's store, and its server in its own process."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import attrs
from bson import ObjectId

from rocketjob import application
from rocketjob.application import Application
from rocketjob.base.config import Config
from rocketjob.jobs.claims import COLLECTION

from .batch import DemoBatchJob
from .files import TextFiles
from .job import DemoFileJob
from .own_server import OwnServer, undisturbed

LARGE_BYTES = 64 * 1024  # larger files are more urgent, so that the last job is a small one
GROUP = 500  # jobs stored in one go
LOOK_SECONDS = 0.15


@attrs.define
class Counts:
    """How far the jobs of a run have come."""

    total: int
    done: int = 0
    failed: int = 0
    running: int = 0

    @property
    def ended(self) -> int:
        return self.done + self.failed


@attrs.define
class Stage:
    """One run of the demo.

    Attributes:
        run: its id, which is stored in its jobs.
        folder: a temporary one for the store and the server's log.
    """

    sources: TextFiles
    url: str
    folder: Path
    workers: int
    processes: int
    own_store: bool = True
    run: str = attrs.field(factory=lambda: str(ObjectId()))
    server: OwnServer | None = None

    # --- the server --------------------------------------------------------------------------

    def start_server(self) -> None:
        """Start a server for the demo's jobs alone."""
        self.server = OwnServer(
            self.url,
            self.folder,
            f"demo-{self.run[-6:]}",
            "^Demo(File|Batch)Job$",
            self.workers,
            self.processes,
            is_private=self.own_store,
        )
        self.server.start()

    def check_server(self) -> None:
        """Raise a Failure with the end of the server's log if the server has ended."""
        if self.server is not None:
            self.server.check()

    def stop_server(self) -> None:
        """Let the server finish what it runs."""
        if self.server is not None:
            self.server.stop()

    # --- the jobs ----------------------------------------------------------------------------

    def store_jobs(self) -> None:
        """Store one job for each file."""
        rows = [
            {
                "demo_run": self.run,
                "path": str(path),
                "description": self.brief(path),
                "priority": 30 if size > LARGE_BYTES else 50,
            }
            for path, size in self.sources.files
        ]
        for start in range(0, len(rows), GROUP):
            DemoFileJob.create_many(rows[start : start + GROUP])

    def brief(self, path: Path | str) -> str:
        """Return a file's path below the folder."""
        return os.path.relpath(path, self.sources.folder)

    def counts(self) -> Counts:
        """Count the run's jobs by state."""
        by_state = application.current().store.count_by(COLLECTION, "state", {"demo_run": self.run})
        return Counts(
            total=len(self.sources.files),
            done=by_state.get("completed", 0),
            failed=by_state.get("failed", 0) + by_state.get("aborted", 0),
            running=by_state.get("running", 0),
        )

    def running_files(self, limit: int) -> list[str]:
        """Return the files that are being read now, those started first."""
        running = DemoFileJob.where(demo_run=self.run).running()
        return [
            self.brief(path) for path in running.order_by("started_at").limit(limit).pluck("path")
        ]

    def remove_jobs(self) -> None:
        DemoFileJob.where(demo_run=self.run).delete_all()
        DemoBatchJob.where(demo_run=self.run).destroy_all()

    def pause(self) -> None:
        """Wait a moment before looking at a job again."""
        threading.Event().wait(LOOK_SECONDS)


@contextlib.contextmanager
def set_up(
    sources: TextFiles, url: str | None, workers: int, processes: int, keep: bool
) -> Iterator[Stage]:
    """Prepare a run, and clean up whatever should not be kept.

    Args:
        url: of a store to use, instead of a temporary one.
    """
    folder = Path(tempfile.mkdtemp(prefix="rocketjob-demo-"))
    address = url or f"sqlite:///{folder}/demo.db"
    disabled = application.current().config.disabled_plugins
    stage = Stage(sources, address, folder, workers, processes, own_store=not url)
    try:
        with application.using(Application(Config(url=address, disabled_plugins=disabled))):
            try:
                yield stage
            finally:
                stage.stop_server()
                if url and not keep:
                    stage.remove_jobs()
    finally:
        if url or not keep:
            with undisturbed():
                shutil.rmtree(folder, ignore_errors=True)
