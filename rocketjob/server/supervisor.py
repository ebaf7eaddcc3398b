"""The supervisor: one server, as a tree of processes.

It registers the server, starts its worker processes, beats for the whole tree, starts a process
again that died and takes back what that was running, and looks for other servers whose heartbeat
has stopped. It runs no job itself.
"""

from __future__ import annotations

import contextlib
import os
import queue
import random
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any

import attrs

from rocketjob.base import clock
from rocketjob.base.directory import of_process
from rocketjob.base.errors import ConfigurationError, RocketJobError, StoreError
from rocketjob.base.interrupt import Interrupt
from rocketjob.base.log import Logger
from rocketjob.base.signals import name_of
from rocketjob.model.app_modules import import_app
from rocketjob.queue.claim import Queue, requeue_claims, waiting_suspects
from rocketjob.server import events
from rocketjob.server.recovery import Recovery, unserved
from rocketjob.server.registration import Registration
from rocketjob.server.server import Server
from rocketjob.server.subscribers import LoggerSubscriber, ServerSubscriber
from rocketjob.server.worker_process import Exit, Process
from rocketjob.store import context
from rocketjob.store.context import Context
from rocketjob.worker.slots import Slots

log = Logger("rocketjob.supervisor")

BACK_OFF = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)  # seconds before the nth quick restart
QUICK_DEATH = 10.0  # seconds: a process that lived longer starts again without waiting
LOOK_SECONDS = 0.1  # the server's own document is read at most this often
STORE_RETRY = 1.0
SPAWN_RETRY = 5.0
UNSERVED_SECONDS = 300.0  # between two looks for jobs that no server can run
READY_SECONDS = 30.0  # a process that takes longer to import its app is worth a word in the log


class Supervisor:
    """A running server.

    Args:
        application: settings, plugins and store.
        directory: where worker processes are started, by name; None: where this one is.
    """

    def __init__(self, application: Context, directory: str | None = None) -> None:
        self.application, self.config = application, application.config
        self.directory = directory or of_process()
        self.processes: dict[int, Process] = {}
        self.paused = False
        self.worked_before = 0  # by processes that have ended
        self.server: Server = None  # type: ignore[assignment]
        self._exits: queue.SimpleQueue[Exit] = queue.SimpleQueue()
        self._signalled: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._to_take_back: list[tuple[Process, dict[str, str]]] = []  # of processes that ended
        self._suspects: Queue = None  # type: ignore[assignment]
        self._suspects_after = 0.0
        self._wake = Interrupt()
        self._stopping = threading.Event()
        self._killing = threading.Event()
        self._numbers = 0
        self._restarts: list[tuple[float, int, bool]] = []  # when, threads, suspects
        self._quick_deaths = 0
        self._cut_short = 0
        self._beat_at = 0.0
        self._next_sweep = 0.0
        self._next_look = 0.0  # for classes that no server has loaded
        self._unserved: set[str] = set()  # those that the log has named
        self._recovery: Recovery = None  # type: ignore[assignment]
        self._registration: Registration = None  # type: ignore[assignment]

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

    def _state(self) -> str:
        return "stopping" if self.stopping else "paused" if self.paused else "running"

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
        self._import_app()
        self.application.plugins.collect("register_jobs")
        self._suspects = self._queue()
        self._check_filter()
        for store in self.application.stores():
            store.collection_names()  # so that it is there for the processes, which make none
        heart = threading.Thread(target=self._beat_for_ever, name="heartbeat", daemon=True)
        with self._signals(), ServerSubscriber.subscribed(self), LoggerSubscriber.subscribed():
            self._register()
            listener = events.Listener().start()
            try:
                self._start_processes()
                heart.start()  # only now: the first beat says how many workers there are
                self.server.started()
                log.info("server started", name=self.server.name, **self._shape())
                self._watch()
            finally:
                self._shut_down()
                listener.stop()
                if heart.ident is not None:
                    heart.join(5)
                self._unregister()
        log.info("server stopped", name=self.server.name, worked=self.worked)
        return 1 if self._cut_short else 0

    def _import_app(self) -> None:
        """Import the app's modules; they may have named a store or changed settings."""
        before = context.current()
        import_app(self.config.app)
        if context.current() is not before:
            self.application = context.current()
            self.config = self.application.config

    def _shape(self) -> dict[str, Any]:
        return {"processes": len(self.processes), "workers": self.config.workers}

    def _queue(self) -> Queue:
        """Return the queue as a process for suspects sees it; the supervisor claims nothing."""
        store, plugins = self.application.store, self.application.plugins
        return Queue(store, plugins, self.config, "", "", suspects=True)

    def _check_filter(self) -> None:
        try:
            self._suspects.is_waiting()
        except StoreError as error:
            if self.config.where is None or self.application.store.is_transient(error):
                raise
            raise ConfigurationError(f"where = {self.config.where!r}: {error}") from error

    def _register(self) -> None:
        name = self.config.name or f"{socket.gethostname()}:{os.getpid()}"
        self.server = Server(
            name=name,
            max_workers=self.config.workers,
            processes=self._process_count(),
            heartbeat_seconds=self.config.heartbeat_seconds,
            classes=self._suspects.class_names(),
            heartbeat=_heartbeat(0, 0, []),
        )
        self._recovery = Recovery(self.application, self.server.incarnation)
        self._registration = Registration(self.config, self.server, self._recovery, self._stopping)
        self._registration.enter()

    def _unregister(self) -> None:
        try:
            taken = requeue_claims(
                self.application.store,
                self.application.plugins,
                self.server.incarnation,
                crash_limit=self.config.crash_limit,
                reason="its server stopped",
            )
            self._cut_short += taken["requeued"]
            self._registration.leave()
        except Exception:
            # The others will find the heartbeat stopped and take back what is left.
            log.exception("could not sign off")

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGTERM, signal.SIGINT)
        threading.Thread(target=self._answer_signals, name="signals", daemon=True).start()
        before = {number: signal.signal(number, self._on_signal) for number in numbers}
        # An app that waits for "any child" would take the end of worker processes for itself.
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler or signal.SIG_DFL)
            self._signalled.put(None)

    def _on_signal(self, number: int, frame: Any) -> None:
        # Nothing else is safe here: the main thread may hold the lock of any event or logger.
        self._signalled.put(number)

    def _answer_signals(self) -> None:
        while (number := self._signalled.get()) is not None:
            log.info("received a signal", signal=name_of(number))
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
        try:
            process = self._start(number, threads, suspects, slots)
        except BaseException:
            slots.close()
            raise
        self.processes[number] = process
        try:
            threading.Thread(target=self._wait_for, args=(process,), daemon=True).start()
        except RuntimeError as error:  # as many threads as there may be
            log.error("a worker process cannot be waited for: it is ended", error=str(error))
            process.popen.kill()
            self._wait_for(process)

    def _start(self, number: int, threads: int, suspects: bool, slots: Slots) -> Process:
        orders = {
            "number": number,
            # If the store is away for a while, nobody must begin with an empty one.
            "config": {**attrs.asdict(self.config), "create_store": False},
            "claimed_by": f"{self.server.incarnation}.{number}",
            "worker_name": f"{self.server.name}:{number}",
            "threads": threads,
            "suspects": suspects,
            "paused": self.paused,
            "urls_from": self.application.directory,
        }
        return Process.start(orders, slots, self.directory)

    def _wait_for(self, process: Process) -> None:
        self._exits.put(process.wait())
        self._wake.set()

    def _handle_exits(self) -> None:
        while True:
            try:
                ended = self._exits.get_nowait()
            except queue.Empty:
                return
            self._handle_exit(ended)

    def _handle_exit(self, ended: Exit) -> None:
        """Note what an ended process leaves behind, without the store, which may be away."""
        process = self.processes.pop(ended.process.number)
        slots = process.slots
        worked, performed, was_ready = slots.worked, slots.performed(), slots.ready
        self.worked_before += worked
        process.close()
        # One that was performing has crashed, whatever its exit code: user code may call _exit(0).
        has_crashed = not process.stopping and bool(ended.status or performed)
        if has_crashed:
            message = "a worker process died" if was_ready else "a worker process did not start"
            log.error(message, how=ended.describe(), performing=len(performed))
        if process.suspects and not worked and not performed:
            # It did not get to its work.
            self._suspects_after = clock.monotonic() + jittered(STORE_RETRY)
        if not self.stopping and not process.suspects:
            self._schedule_restart(process)
        crashed = dict.fromkeys(performed, ended.describe()) if has_crashed else {}
        self._to_take_back.append((process, crashed))

    def _take_back_ended(self) -> None:
        """Queue again what ended processes held; what cannot be done now is done later."""
        while self._to_take_back:
            process, crashed = self._to_take_back[0]
            taken = requeue_claims(
                self.application.store,
                self.application.plugins,
                process.claimed_by,
                crash_limit=self.config.crash_limit,
                crashed=crashed,
                reason="its worker process ended",
            )
            del self._to_take_back[0]
            self._cut_short += taken["requeued"] if self.stopping else 0
            if taken["requeued"] or taken["failed"]:
                log.warning("work taken back", process=process.number, **taken)
            self._start_suspects()

    def _schedule_restart(self, process: Process) -> None:
        lived = clock.monotonic() - process.started
        self._quick_deaths = 0 if lived > QUICK_DEATH else self._quick_deaths + 1
        delay = BACK_OFF[min(max(0, self._quick_deaths - 1), len(BACK_OFF) - 1)]
        if delay >= 1:
            log.warning("worker processes die again and again: waiting", seconds=delay)
        due = clock.monotonic() + jittered(delay)
        self._restarts.append((due, process.threads, process.suspects))

    def _restart_due(self) -> None:
        now = clock.monotonic()
        for restart in [each for each in self._restarts if each[0] <= now]:
            self._restarts.remove(restart)
            try:
                self._spawn(restart[1], restart[2])
            except OSError as error:  # no memory, or too many processes or files
                log.error("a worker process cannot be started", error=str(error))
                self._restarts.append((now + jittered(SPAWN_RETRY), *restart[1:]))

    def _say_who_is_late(self) -> None:
        for process in self.processes.values():
            waited = clock.monotonic() - process.started
            if waited > READY_SECONDS and not process.is_late and not process.slots.ready:
                process.is_late = True
                log.warning(
                    "a worker process is not ready yet: do the app's modules wait for something?",
                    process=process.number,
                    pid=process.popen.pid,
                    seconds=round(waited),
                )

    def _start_suspects(self) -> None:
        """Give jobs whose worker has crashed a process of their own, one job at a time.

        So the next crash shows which of them it was, and takes nobody else down with it.
        """
        if self.stopping or self.paused or any(p.suspects for p in self.processes.values()):
            return
        if clock.monotonic() >= self._suspects_after and waiting_suspects(self._suspects):
            self._spawn(1, suspects=True)

    # --- watching ----------------------------------------------------------------------------

    def _watch(self) -> None:
        store = self.application.store
        while not self.stopping:
            self._wake.clear()
            self._handle_exits()
            self._restart_due()  # before anything else: the work goes on without a pause
            self._say_who_is_late()
            try:
                mark = store.change_mark()
                self._take_back_ended()
                self._obey()
                self._sweep_if_due()
                if not self.stopping:
                    self._wait(mark)
            except Exception as error:
                log.error("the supervisor cannot work", error=f"{type(error).__name__}: {error}")
                self._wake.wait(jittered(STORE_RETRY))

    def _wait(self, mark: Any) -> None:
        """Wait for a change, at leisure: quick answers are for the claimers."""
        pause = self._pause_length()
        if not self._wake.wait(min(LOOK_SECONDS, pause)):
            left = max(0.0, pause - LOOK_SECONDS)
            self.application.store.wait_for_change(mark, left, self._wake)

    def _pause_length(self) -> float:
        due = [when - clock.monotonic() for when, *_ in self._restarts]
        return max(0.0, min([1.0, *due]))

    def _obey(self) -> None:
        """Do what the server's document says; people change its state there."""
        stored = Server.collection().find_one({"_id": self.server.id}, {"state": 1})
        if stored is None:
            return  # the next heartbeat will bring it back
        state = stored["state"]
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
        if now - self._beat_at > 2 * self.config.heartbeat_seconds:
            # Who cannot beat itself is no judge of the others: perhaps nobody can write just now.
            self._recovery.forget()
            return
        own = {process.claimed_by for process in list(self.processes.values())}
        self._recovery.sweep(own)
        self._start_suspects()
        if now >= self._next_look:
            self._next_look = now + UNSERVED_SECONDS
            self._say_what_is_unserved()

    def _say_what_is_unserved(self) -> None:
        missing = unserved(self.application.store, self.server.classes)
        if missing.keys() - self._unserved:
            classes = ", ".join(sorted(missing))
            log.warning("queued jobs of classes that no server has loaded", classes=classes)
        self._unserved = set(missing)

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
                wait = jittered(min(STORE_RETRY, self.config.heartbeat_seconds))

    def _sleep_between_beats(self, seconds: float) -> None:
        """Wait, in short steps, so that the end of the last process ends the waiting too."""
        end = clock.monotonic() + seconds
        while clock.monotonic() < end and (not self._stopping.is_set() or self.processes):
            threading.Event().wait(min(0.25, max(0.0, end - clock.monotonic())))

    def _beat(self, number: int) -> None:
        processes = list(self.processes.values())
        performing = [id for process in processes for id in process.performed()]
        # If this process dies as well, the crashes that it could not note yet are not forgotten.
        performing += [id for _, crashed in list(self._to_take_back) for id in crashed]
        # One for suspects comes and goes besides those that are configured.
        workers = sum(process.threads for process in processes if not process.suspects)
        beat = _heartbeat(number, workers, performing)
        late = clock.monotonic() - self._beat_at if self._beat_at else 0.0
        if late > 2 * self.config.heartbeat_seconds:
            log.warning("the heartbeat was late", seconds=round(late, 1))
        self._registration.beat(beat, self._state())
        # Only now may the processes claim again, if they had stopped because this was late.
        self._beat_at = clock.monotonic()
        for process in processes:
            with contextlib.suppress(ValueError, TypeError):  # it ended, its memory is closed
                process.slots.set_beat(self._beat_at)

    # --- the end -----------------------------------------------------------------------------

    def _shut_down(self) -> None:
        """Let the processes finish, within the grace period; then end them."""
        self._stopping.set()
        log.info("server stopping", name=self.server.name, grace=self.config.grace_seconds)
        deadline = clock.monotonic() + self.config.grace_seconds
        for process in list(self.processes.values()):
            process.tell("stop")
        with contextlib.suppress(RuntimeError):  # as many threads as there may be
            # Nobody waits for the store here: it may be out of reach.
            threading.Thread(target=self._note_stopping, daemon=True).start()
        while self.processes and clock.monotonic() < deadline and not self._killing.is_set():
            self._wake.clear()
            self._handle_exits()
            if self.processes:
                self._wake.wait(0.1)
        for process in list(self.processes.values()):
            process.stopping = True
            process.popen.kill()
        while self.processes:
            self._wake.clear()
            self._handle_exits()
            if self.processes:
                self._wake.wait(0.1)
        try:
            self._take_back_ended()
        except Exception:
            log.exception("work of an ended process could not be taken back yet")

    def _note_stopping(self) -> None:
        with contextlib.suppress(Exception):
            self.server.stop()


def jittered(seconds: float) -> float:
    """Return a little less, at random: what failed together is not to try again together."""
    return seconds * random.uniform(0.5, 1.0)


def _heartbeat(number: int, workers: int, performing: list[str]) -> dict[str, Any]:
    return {
        "updated_at": clock.now(),
        "number": number,
        "workers": workers,
        "performing": performing,
    }
