"""For tests of the runtime: a pool in this process, a store that fails on demand, real servers."""

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

from bson import ObjectId

from rocketjob import application
from rocketjob.base import clock
from rocketjob.base import log as logs
from rocketjob.base.errors import StoreUnavailable
from rocketjob.jobs.claims import COLLECTION
from rocketjob.queue.dispatch import Queue
from rocketjob.worker.pool import WorkerPool

PATIENCE = 30.0  # seconds; the machines are shared, and only a failure ever waits so long


def eventually(condition, within=PATIENCE, every=0.01):
    """Wait until a condition holds, and return what it returned."""
    deadline = time.monotonic() + within
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() >= deadline:
            raise AssertionError(f"{condition!r} did not come true within {within} s: {found!r}")
        time.sleep(every)


class Gate:
    """What a scripted perform waits at, so that a test decides when it ends."""

    def __init__(self):
        self.entered = threading.Semaphore(0)
        self.opened = threading.Event()
        self.passed = 0

    def pass_through(self):
        self.entered.release()
        assert self.opened.wait(PATIENCE), "nobody opened the gate"
        self.passed += 1

    def wait_for_entry(self, count=1):
        for _ in range(count):
            assert self.entered.acquire(timeout=PATIENCE), "nobody came to the gate"

    def open(self):
        self.opened.set()


@contextlib.contextmanager
def bare_root_logger():
    """The root logger without handlers, such as pytest's, for a block; as it was afterwards."""
    logger = logging.getLogger()
    level, handlers = logger.level, list(logger.handlers)
    logger.handlers[:] = []
    yield logger
    for service in list(logs.services):
        service.stop()
    logger.setLevel(level)
    logger.handlers[:] = handlers


class FlakyStore:
    """A store whose methods fail when a test says so; before or after the real call."""

    def __init__(self, store):
        self._store, self._faults, self._lock = store, {}, threading.Lock()

    def fail(self, method, error=None, times=1, after=False, when=lambda *args: True):
        """Let the next `times` calls of a method fail, though made if `after`."""
        error = error or StoreUnavailable("the store is away")
        self._faults[method] = [times, error, after, when]

    def left(self, method):
        return self._faults.get(method, [0])[0]

    def heal(self):
        self._faults.clear()

    def __getattr__(self, name):
        found = getattr(self._store, name)
        if name not in self._faults:
            return found

        def call(*args, **kwargs):
            with self._lock:
                fault = self._faults.get(name)
                fails = fault is not None and fault[0] > 0 and fault[3](*args)
                if fails:
                    fault[0] -= 1
            if fails and not fault[2]:
                raise fault[1]
            result = found(*args, **kwargs)
            if fails:
                raise fault[1]
            return result

        return call


def queue_of(sandbox, claimed_by="here.1", store=None, **options):
    """Return a queue as a worker process of a server has it."""
    worker_name = f"{claimed_by.replace('.', ':')}"
    return Queue(
        store or sandbox.store,
        sandbox.plugins,
        sandbox.application.config,
        claimed_by,
        worker_name,
        **options,
    )


@contextlib.contextmanager
def running_pool(sandbox, threads=2, store=None, end=True, **options):
    """Run a pool in a thread for the length of a block; it must come to its end afterwards."""
    may_claim, watch = options.pop("may_claim", lambda: True), options.pop("watch", None)
    async_workers = options.pop("async_workers", 0)
    queue = queue_of(sandbox, store=store, **options)
    config = sandbox.application.config
    pool = WorkerPool(queue, threads, config, may_claim, watch, async_workers)
    runner = threading.Thread(target=pool.run, daemon=True)
    runner.start()
    try:
        yield pool
    finally:
        if end:
            pool.stop()
            runner.join(PATIENCE)
            assert not runner.is_alive(), "the pool did not end"
            assert pool.join(PATIENCE), "a thread of the pool did not end"


def stop_claiming(pool):
    """Stop a pool, and return when a claim that was under way has come to its end too."""
    pool.stop()
    write, came_round = pool.commits.write, threading.Event()

    def write_and_note(at_once):
        came_round.set()  # it claims no more from here on
        write(at_once)

    pool.commits.write = write_and_note
    pool.wake()
    assert came_round.wait(PATIENCE)


def states(**filter):
    """Return the states of the stored jobs, by id."""
    jobs = application.current().store.collection(COLLECTION).find(filter)
    return {str(each["_id"]): each["state"] for each in jobs}


def count(**filter):
    return application.current().store.collection(COLLECTION).count_documents(filter)


def events_of(job):
    """Return the names in a job's stored history, oldest first."""
    stored = job.collection().find_one({"_id": job.id})
    return [each["event"] for each in stored.get("history", ())]


def insert(jobs, name, number=1, **fields):
    """Store jobs of a class that only the servers know; return their ids."""
    ids = [ObjectId() for _ in range(number)]
    common = {
        "_type": name,
        "priority": 50,
        "state": "queued",
        "destroy_on_complete": False,
        "collect_output": False,
        "created_at": clock.now(),
        "failure_count": 0,
        "interruptions": 0,
        "claim_number": 0,
        "percent_complete": 0,
    }
    jobs.insert_many([{"_id": id, **common, **fields} for id in ids])
    return ids


class ServerProcess:
    """A real server: its own process with worker processes below it.

    Args:
        folder: with the app module; the log is written there.
        settings: as in `rocketjob.toml`.
        app: source of the module `app`, written once.
    """

    SCRIPT = """
        import sys
        sys.path.insert(0, {folder!r})
        import rocketjob
        from rocketjob import application
        from rocketjob.base.errors import RocketJobError
        from rocketjob.base.log_service import LogService
        from rocketjob.server.supervisor import Supervisor
        rocketjob.configure(**{settings!r})
        {before}
        service = LogService("debug", {log!r}).start()
        try:
            code = Supervisor(application.current()).run()
        except RocketJobError as error:
            print(f"{{type(error).__name__}}: {{error}}", file=sys.stderr)
            code = 2
        finally:
            service.stop()
        sys.exit(code)
    """

    def __init__(self, folder, name, before="", **settings):
        self.folder, self.name = Path(folder), name
        self.log_file = self.folder / f"{name}.jsonl"
        merged = {
            "url": f"sqlite:///{folder}/jobs.db?timeout=20",
            "app": ["app"],
            "workers": 4,
            "processes": 2,
            "heartbeat_seconds": 0.5,
            "log": str(self.log_file),
            "log_level": "debug",
            "name": name,
        }
        merged.update(settings)
        settings = {key: value for key, value in merged.items() if value is not None}
        self.processes = settings["processes"]
        script = textwrap.dedent(self.SCRIPT).format(
            folder=str(folder), settings=settings, log=str(self.log_file), before=before
        )
        self.errors = open(self.folder / f"{name}.err", "w+")  # noqa: SIM115 (closed by `close`)
        self.process = subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=self.errors,
            stderr=self.errors,
            start_new_session=True,
        )

    @property
    def pid(self):
        return self.process.pid

    def children(self):
        """Return the pids of the worker processes that live now."""
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
            own = [int(pid) for pid in text.split()]
            # Threads start processes too.
            for task in Path(f"/proc/{self.pid}/task").iterdir():
                with contextlib.suppress(OSError):
                    own += [int(pid) for pid in (task / "children").read_text().split()]
            return sorted(set(own))
        return []

    def send(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def send_to_all(self, number):
        """Signal the server and its worker processes, as the end of a machine would."""
        for pid in (self.pid, *self.children()):  # each leads a process group
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, number)

    def wait(self, within=PATIENCE):
        return self.process.wait(within)

    def wait_until_up(self, within=PATIENCE):
        def is_up():
            assert self.process.poll() is None, f"the server ended: {self.said()}"
            return self.is_up()

        eventually(is_up, within)
        return self

    def is_up(self):
        return len(self.logged("ready")) >= self.processes

    def log(self):
        """Return the records of the log, of all its processes."""
        if not self.log_file.exists():
            return []
        found = []
        for line in self.log_file.read_text().splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found

    def logged(self, message):
        return [record for record in self.log() if record["message"] == message]

    def said(self):
        self.errors.flush()
        return Path(self.errors.name).read_text() + "\n".join(map(str, self.log()[-20:]))

    def close(self):
        """End whatever still lives of it."""
        if self.process.poll() is None:
            self.send_to_all(signal.SIGCONT)
            self.send_to_all(signal.SIGKILL)
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)
        self.errors.close()


@contextlib.contextmanager
def servers(folder, app):
    """Start real servers in a folder; all are ended at the end of the block.

    Yields:
        a function that starts one: `start(name, **settings)`.
    """
    (Path(folder) / "app.py").write_text(textwrap.dedent(app))
    started = []

    def start(name="one", **settings):
        started.append(ServerProcess(folder, name, **settings))
        return started[-1]

    try:
        yield start
    finally:
        for server in started:
            server.close()
