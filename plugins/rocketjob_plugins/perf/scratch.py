"""The store of a run, the server, and what removes all of it."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import attrs
from bson import ObjectId

from rocketjob import application
from rocketjob.application import Application
from rocketjob.base import clock
from rocketjob.base.config import Config
from rocketjob.jobs.claims import COLLECTION
from rocketjob.store import Store
from rocketjob_plugins.demo.own_server import OwnServer, undisturbed
from rocketjob_plugins.metrics.collections import CLASSES, MINUTE, MINUTES

from .jobs import PerfBatchJob, PerfSimpleJob, PerfTimedJob

MEASURED = (PerfSimpleJob, PerfBatchJob, PerfTimedJob)
INCLUDED = f"^({'|'.join(cls.type_name() for cls in MEASURED)})$"
READY_SECONDS = 60


@attrs.define
class Scratch:
    """Where a workload runs.

    Attributes:
        folder: a temporary one, for files.
        is_private: whether the store is in it, and goes with it.
        run: an id, which is stored in the jobs: on a store of others they are told apart by it.
    """

    url: str
    folder: Path
    is_private: bool
    run: str = attrs.field(factory=lambda: str(ObjectId()))
    began: datetime = attrs.field(factory=clock.now)
    server: OwnServer | None = None

    @property
    def store(self) -> Store:
        return application.current().store

    @property
    def collection(self) -> str:
        """A collection that nobody else uses; it is removed in the end."""
        return f"rocket_job.perf_{self.run}"

    def start_server(self, workers: int, processes: int) -> int:
        """Start a server for the jobs of `perf`, and return its process id."""
        name = f"perf-{self.run[-6:]}"
        self.server = OwnServer(
            self.url, self.folder, name, INCLUDED, workers, processes, is_private=self.is_private
        )
        self.server.start()
        assert self.server.process is not None
        return self.server.process.pid

    def check_server(self) -> None:
        """Raise a Failure if the server has ended."""
        if self.server is not None:
            self.server.check()

    def stop_server(self) -> None:
        if self.server is not None:
            self.server.stop()

    def pause(self, seconds: float) -> None:
        """Wait a moment before looking again, and see that the server is still there."""
        threading.Event().wait(seconds)
        self.check_server()

    def clear(self) -> None:
        """Remove what the run has stored, and what the metrics have counted of it.

        Which jobs have completed is noted for ten minutes, and then forgotten by any server.
        """
        PerfBatchJob.where(perf_run=self.run).destroy_all()  # with its slices
        self.store.collection(COLLECTION).delete_many({"perf_run": self.run})
        counted = {f"{CLASSES}.{cls.type_name()}": "" for cls in MEASURED}
        since = {"_id": {"$gte": self.began - MINUTE}}
        self.store.collection(MINUTES).update_many(since, {"$unset": counted})
        if self.collection in self.store.collection_names():
            self.store.collection(self.collection).drop()


@contextlib.contextmanager
def scratch(url: str | None) -> Iterator[Scratch]:
    """Prepare a run, and remove all that it leaves behind.

    Args:
        url: of a store to use, instead of a temporary one.
    """
    folder = Path(tempfile.mkdtemp(prefix="rocketjob-perf-"))
    try:
        disabled = application.current().config.disabled_plugins
        made = Scratch(url or f"sqlite:///{folder}/perf.db", folder, is_private=url is None)
        config = Config(url=made.url, disabled_plugins=disabled)
        with application.using(Application(config)):
            try:
                yield made
            finally:
                made.stop_server()
                if not made.is_private:
                    made.clear()
    finally:
        with undisturbed():
            shutil.rmtree(folder, ignore_errors=True)
