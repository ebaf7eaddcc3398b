"""The supervisor: one server, as a tree of processes.

It registers the server, starts its worker processes, beats for the whole tree, starts a process
again that died and takes back what that was running, and looks for other servers whose heartbeat
has stopped. It runs no job itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import attrs

from rocketjob import clock, events
from rocketjob.application import Application
from rocketjob.errors import ConfigurationError, NotFound, RocketJobError, is_duplicate_key
from rocketjob.log import Logger
from rocketjob.plugin_manager import import_app
from rocketjob.queue import Queue, requeue_claims, waiting_suspects
from rocketjob.recovery import Recovery
from rocketjob.server import Server
from rocketjob.slots import Slots
from rocketjob.subscribers import LoggerSubscriber, ServerSubscriber

log = Logger("rocketjob.supervisor")

BACK_OFF = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)  # seconds before the nth quick restart
QUICK_DEATH = 10.0  # seconds: a process that lived longer starts again without waiting
LOOK_SECONDS = 0.1  # the server's own document is read at most this often
STORE_RETRY = 1.0


@attrs.define(eq=False)
class Process:
    """One worker process, as its supervisor sees it."""

    number: int
    claimed_by: str
    threads: int
    suspects: bool
    slots: Slots
    popen: subprocess.Popen[str]
    started: float
    stopping: bool = False

    def tell(self, command: str) -> None:
        """Send a command; a process that has died meanwhile is no error."""
        with contextlib.suppress(OSError, ValueError):
            if self.popen.stdin is not None:
                self.popen.stdin.write(command + "\n")
                self.popen.stdin.flush()


@attrs.frozen
class Exit:
    """How a worker process ended."""

    process: Process
    status: int
    memory: int  # the most it used, in MB

    @property
    def is_clean(self) -> bool:
        return self.status == 0

    def describe(self) -> str:
        if self.status < 0:
            name = signal.Signals(-self.status).name
            how = f"its worker process was ended by {name} (signal {-self.status})"
        else:
            how = f"its worker process ended with exit code {self.status}"
        return f"{how}, having used up to {self.memory} MB"


class Supervisor:
    """A running server.

    Args:
        application: settings, plugins and store.
    """

    def __init__(self, application: Application) -> None:
        self.application, self.config = application, application.config
        self.processes: dict[int, Process] = {}
        self.paused = False
        self.worked_before = 0  # by processes that have ended
        self.server: Server = None  # type: ignore[assignment]
        self._exits: queue.SimpleQueue[Exit] = queue.SimpleQueue()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._killing = threading.Event()
        self._numbers = 0
        self._restarts: list[tuple[float, int, bool]] = []  # when, threads, suspects
        self._quick_deaths = 0
        self._cut_short = 0
        self._beat_at = 0.0
        self._next_sweep = 0.0
        self._recovery: Recovery = None  # type: ignore[assignment]

    # --- from other threads and signal handlers ----------------------------------------------

    def stop(self) -> None:
        """Finish what runs and end; called again, end at once."""
        if self._stopping.is_set():
            self._killing.set()
        self._stopping.set()
        self._wake.set()

    def kill(self) -> None:
        """End at once; what runs is queued again."""
        self._stopping.set()
        self._killing.set()
        self._wake.set()

    def pause(self) -> None:
        self._move("pause")

    def resume(self) -> None:
        self._move("resume")

    def wake(self) -> None:
        """Look at once at what the store says of this server."""
        self._wake.set()

    def dump(self) -> None:
        """Have all processes write the stacks of their threads to standard error."""
        for process in list(self.processes.values()):
            process.tell("dump")

    def _move(self, event: str) -> None:
        with contextlib.suppress(RocketJobError):
            getattr(self.server, event)()
        self._wake.set()

    @property
    def worked(self) -> int:
        """How many jobs this server has worked."""
        return self.worked_before + sum(p.slots.worked for p in list(self.processes.values()))

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    # --- life --------------------------------------------------------------------------------

    def run(self) -> int:
        """Serve until stopped.

        Returns:
            0 if all that ran was finished, 1 if some had to be queued again.

        Raises:
            PluginError: a module of `app` cannot be imported.
            ConfigurationError: another living server has the name.
        """
        import_app(self.config.app)
        self.application.plugins.collect("register_jobs")
        self._register()
        self._recovery = Recovery(self.application.store, self.config, self.server.incarnation)
        heart = threading.Thread(target=self._beat_for_ever, name="heartbeat", daemon=True)
        with self._signals(), ServerSubscriber.subscribed(self), LoggerSubscriber.subscribed():
            listener = events.Listener().start()
            heart.start()
            try:
                self._start_processes()
                self.server.started()
                log.info("server started", name=self.server.name, **self._shape())
                self._watch()
            finally:
                self._shut_down()
                listener.stop()
                heart.join(5)
                self._unregister()
        log.info("server stopped", name=self.server.name, worked=self.worked)
        return 1 if self._cut_short else 0

    def _shape(self) -> dict[str, Any]:
        return {"processes": len(self.processes), "workers": self.config.workers}

    def _register(self) -> None:
        queue = Queue(self.application.store, self.application.plugins, self.config, "", "")
        name = self.config.name or f"{_host()}:{os.getpid()}"
        self.server = Server(
            name=name,
            max_workers=self.config.workers,
            processes=self._process_count(),
            heartbeat_seconds=self.config.heartbeat_seconds,
            classes=queue.class_names(),
            heartbeat=_heartbeat(0, 0, []),
        )
        try:
            self.server.save()
        except Exception as error:
            if not is_duplicate_key(error):
                raise
            self._take_over_name(name)

    def _take_over_name(self, name: str) -> None:
        """Use a name that is taken: by a dead server on this machine, or refuse it."""
        for other in Server.where(name=name):
            if other.host == self.server.host and not _is_alive(other.pid):
                log.warning("the last server of this name died", name=name, pid=other.pid)
                other.delete()
            elif not self.config.name:
                self.server.name = f"{name}:{self.server.incarnation[:4]}"
            else:
                raise ConfigurationError(
                    f"A server called {name} is registered already (process {other.pid} on "
                    f"{other.host}, last heartbeat {other.heartbeat_at}). Choose another --name, "
                    f"or end that one: rocketjob servers stop {name}. If it is dead, its name is "
                    f"free {int(4 * other.heartbeat_seconds)} seconds after its last heartbeat "
                    "while any server runs"
                )
        self.server.save()

    def _unregister(self) -> None:
        try:
            requeue_claims(
                self.application.store,
                self.server.incarnation,
                crash_limit=self.config.crash_limit,
                reason="its server stopped",
            )
            self.server.delete()
        except Exception:
            # The others will find the heartbeat stopped and take back what is left.
            log.exception("could not sign off")

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, self._on_signal) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: Any) -> None:
        self.stop()

    # --- processes ---------------------------------------------------------------------------

    def _process_count(self) -> int:
        wanted = self.config.processes or os.cpu_count() or 1
        return min(wanted, self.config.workers)

    def _start_processes(self) -> None:
        count = self._process_count()
        share, rest = divmod(self.config.workers, count)
        for index in range(count):
            self._spawn(share + (index < rest))

    def _spawn(self, threads: int, suspects: bool = False) -> None:
        self._numbers += 1
        number = self._numbers
        slots = Slots(threads)
        slots.set_beat(self._beat_at or clock.monotonic())
        orders = {
            "config": attrs.asdict(self.config),
            "claimed_by": f"{self.server.incarnation}.{number}",
            "worker_name": f"{self.server.name}:{number}",
            "threads": threads,
            "suspects": suspects,
            "paused": self.paused,
            "descriptor": slots.descriptor,
            "path": sys.path,
        }
        popen = subprocess.Popen(
            [sys.executable, "-m", "rocketjob.child"],
            stdin=subprocess.PIPE,
            pass_fds=[slots.descriptor],
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )
        process = Process(
            number, orders["claimed_by"], threads, suspects, slots, popen, clock.monotonic()
        )
        self.processes[number] = process
        process.tell(json.dumps(orders))
        threading.Thread(target=self._wait_for, args=(process,), daemon=True).start()

    def _wait_for(self, process: Process) -> None:
        _, status, usage = os.wait4(process.popen.pid, 0)
        process.popen.returncode = os.waitstatus_to_exitcode(status)
        self._exits.put(Exit(process, process.popen.returncode, usage.ru_maxrss // 1024))
        self._wake.set()

    def _handle_exits(self) -> None:
        while True:
            try:
                ended = self._exits.get_nowait()
            except queue.Empty:
                return
            self._handle_exit(ended)

    def _handle_exit(self, ended: Exit) -> None:
        process = self.processes.pop(ended.process.number)
        self.worked_before += process.slots.worked
        performed = process.slots.performed()
        process.slots.close()
        if process.popen.stdin is not None:
            with contextlib.suppress(OSError):
                process.popen.stdin.close()
        if not ended.is_clean and not process.stopping:
            log.error("a worker process died", how=ended.describe(), performing=len(performed))
        if not self.stopping and not process.suspects:
            self._schedule_restart(process, ended)
            self._restart_due()  # before anything else: the work goes on without a pause
        counts_as_crash = not ended.is_clean and not process.stopping
        crashed = dict.fromkeys(performed, ended.describe()) if counts_as_crash else {}
        taken = requeue_claims(
            self.application.store,
            process.claimed_by,
            crash_limit=self.config.crash_limit,
            crashed=crashed,
            reason="its worker process ended",
        )
        self._cut_short += taken["requeued"] if process.stopping else 0
        if taken["requeued"] or taken["failed"]:
            log.warning("work taken back", process=process.number, **taken)
        self._start_suspects()

    def _schedule_restart(self, process: Process, ended: Exit) -> None:
        lived = clock.monotonic() - process.started
        self._quick_deaths = 0 if lived > QUICK_DEATH else self._quick_deaths + 1
        delay = BACK_OFF[min(max(0, self._quick_deaths - 1), len(BACK_OFF) - 1)]
        self._restarts.append((clock.monotonic() + delay, process.threads, process.suspects))

    def _restart_due(self) -> None:
        now = clock.monotonic()
        for restart in [each for each in self._restarts if each[0] <= now]:
            self._restarts.remove(restart)
            self._spawn(restart[1], restart[2])

    def _start_suspects(self) -> None:
        """Give jobs whose worker has crashed a process of their own, one job at a time.

        So the next crash shows which of them it was, and takes nobody else down with it.
        """
        if self.stopping or self.paused or any(p.suspects for p in self.processes.values()):
            return
        if waiting_suspects(self.application.store, self.server.classes):
            self._spawn(1, suspects=True)

    # --- watching ----------------------------------------------------------------------------

    def _watch(self) -> None:
        store = self.application.store
        while not self.stopping:
            self._wake.clear()
            try:
                mark = store.change_mark()
                self._handle_exits()
                self._restart_due()
                self._obey()
                self._sweep_if_due()
                if not self.stopping:
                    store.wait_for_change(mark, self._pause_length(), self._wake)
                    self._wake.wait(LOOK_SECONDS)
            except Exception as error:
                log.error("the supervisor cannot work", error=f"{type(error).__name__}: {error}")
                self._wake.wait(STORE_RETRY)

    def _pause_length(self) -> float:
        due = [when - clock.monotonic() for when, *_ in self._restarts]
        return max(0.0, min([1.0, *due]))

    def _obey(self) -> None:
        """Do what the server's document says; people change its state there."""
        stored = Server.collection().find_one({"_id": self.server.id}, {"state": 1})
        state = stored["state"] if stored else "running"
        if state == "stopping":
            self._stopping.set()
        elif (state == "paused") != self.paused:
            self.paused = state == "paused"
            log.info("server paused" if self.paused else "server resumed", name=self.server.name)
            for process in self.processes.values():
                process.tell("pause" if self.paused else "resume")

    def _sweep_if_due(self) -> None:
        now = clock.monotonic()
        if now < self._next_sweep:
            return
        self._next_sweep = now + self._recovery.interval
        own = {process.claimed_by for process in list(self.processes.values())}
        self._recovery.sweep(own)
        self._start_suspects()

    # --- heartbeat ---------------------------------------------------------------------------

    def _beat_for_ever(self) -> None:
        number, wait = 0, 0.0
        while not self._stopping.is_set() or self.processes:
            self._sleep_between_beats(wait)
            number += 1
            try:
                self._beat(number)
                wait = self.config.heartbeat_seconds
            except Exception as error:
                log.error("the heartbeat failed", error=f"{type(error).__name__}: {error}")
                wait = min(STORE_RETRY, self.config.heartbeat_seconds)

    def _sleep_between_beats(self, seconds: float) -> None:
        """Wait, in short steps, so that the end of the last process ends the waiting too."""
        end = clock.monotonic() + seconds
        while clock.monotonic() < end and (not self._stopping.is_set() or self.processes):
            threading.Event().wait(min(0.25, max(0.0, end - clock.monotonic())))

    def _beat(self, number: int) -> None:
        processes = list(self.processes.values())
        performing = [id for process in processes for id in _performed(process)]
        beat = _heartbeat(number, sum(p.threads for p in processes), performing)
        late = clock.monotonic() - self._beat_at if self._beat_at else 0.0
        if late > 2 * self.config.heartbeat_seconds:
            log.warning("the heartbeat was late", seconds=round(late, 1))
        result = Server.collection().update_one(
            {"_id": self.server.id}, {"$set": {"heartbeat": beat}}
        )
        if not result.matched_count:
            self._register_again(beat)
        # Only now may the processes claim again, if they had stopped because this was late.
        self._beat_at = clock.monotonic()
        for process in processes:
            with contextlib.suppress(ValueError):
                process.slots.set_beat(self._beat_at)

    def _register_again(self, beat: dict[str, Any]) -> None:
        """Come back after the others took this server for dead and its work away.

        Its old claims are lost for good, since every write names the claim's number.
        """
        log.error("this server was taken for dead; its work went to others", name=self.server.name)
        state = "paused" if self.paused else "running"
        stored = {**self.server.to_document(), "heartbeat": beat, "state": state}
        stored["started_at"] = clock.now()
        Server.collection().insert_one(stored)

    # --- the end -----------------------------------------------------------------------------

    def _shut_down(self) -> None:
        """Let the processes finish, within the grace period; then end them."""
        self._stopping.set()
        log.info("server stopping", name=self.server.name, grace=self.config.grace_seconds)
        with contextlib.suppress(RocketJobError, NotFound):
            self.server.stop()
        deadline = clock.monotonic() + self.config.grace_seconds
        for process in list(self.processes.values()):
            process.tell("stop")
        while self.processes and clock.monotonic() < deadline and not self._killing.is_set():
            self._wake.clear()
            self._handle_exits_safely()
            if self.processes:
                self._wake.wait(0.1)
        for process in list(self.processes.values()):
            process.stopping = True
            process.popen.kill()
        while self.processes:
            self._wake.clear()
            self._handle_exits_safely()
            if self.processes:
                self._wake.wait(0.1)

    def _handle_exits_safely(self) -> None:
        try:
            self._handle_exits()
        except Exception:
            log.exception("work of an ended process could not be taken back yet")


def _heartbeat(number: int, workers: int, performing: list[str]) -> dict[str, Any]:
    return {
        "updated_at": clock.now(),
        "number": number,
        "workers": workers,
        "performing": performing,
    }


def _performed(process: Process) -> list[str]:
    try:
        return process.slots.performed()
    except ValueError:
        return []  # it ended this moment, and its memory was given back


def _host() -> str:
    import socket

    return socket.gethostname()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
