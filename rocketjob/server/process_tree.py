"""The worker processes of a server: started, started again when they die, ended.

What a process leaves behind is noted without the store, which may be away, and reclaimed as soon
as that can be reached.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Callable
from typing import Any

import attrs

from rocketjob.base import clock
from rocketjob.base.backoff import Backoff, jittered
from rocketjob.base.config import Config
from rocketjob.base.interrupt import Interrupt
from rocketjob.base.log import Logger
from rocketjob.base.memory import resident
from rocketjob.base.text import counted, megabytes
from rocketjob.jobs.job import Job
from rocketjob.model.registry import loaded_classes
from rocketjob.queue.dispatch import Queue
from rocketjob.queue.eligible import takes
from rocketjob.queue.reclaim import requeue_claims
from rocketjob.server.server import Server
from rocketjob.server.stalled import fail_overdue
from rocketjob.server.worker_process import Exit, Process
from rocketjob.store.context import Context
from rocketjob.worker.bell import Bell
from rocketjob.worker.slots import Slots
from rocketjob.worker.steps import runs_on_loop

log = Logger("rocketjob.supervisor")

BACK_OFF = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)  # seconds before the nth quick restart
QUICK_DEATH = 10.0  # seconds: a process that lived longer starts again without waiting
QUARANTINE_RETRY = 1.0
GROUP = 10  # async jobs that are performed at once in quarantine: as many are alone if it crashes
SPAWN_RETRY = 5.0
RECYCLE_SECONDS = 0.5  # between two looks at how much processes have worked, and use
OVERDUE = "its worker process was ended, since a job in it held the interpreter past its timeout"
READY_SECONDS = 30.0  # a process that takes longer to import its app is worth a word in the log


def process_count(config: Config) -> int:
    """Return how many worker processes a server has."""
    count = config.processes or os.cpu_count() or 1
    return min(count, config.workers)


def async_workers(config: Config) -> int:
    """Return how many async jobs a server performs at once besides; 0 if it has no such class."""
    return config.async_workers if async_classes(config) else 0


def async_classes(config: Config) -> list[str]:
    """Name the classes whose jobs a server can perform on event loops."""
    found = (cls for cls in loaded_classes(Job) if takes(config, cls))
    return sorted(cls.type_name() for cls in found if runs_on_loop(cls))


class ProcessTree:
    """The worker processes of one server.

    Args:
        server: whose they are.
        directory: where they are started, by name.
        quarantined: the queue as a process for quarantined jobs sees it.
        stopping: set when the server stops: then nothing is started any more.
        wake: is set when a process has ended.
        tell: tells the plugins of something, instead of calling them at once.

    Attributes:
        processes: those that live, by number.
        exits: how processes ended; what has not been handled yet.
        restarts: what is to be started again: when, with how many threads, whether for
            quarantined jobs.
        to_reclaim: processes that have ended and held something, with what crashed with them.
        paused: whether they are told to start nothing.
        cut_short: how many jobs were queued again because the server stops.
        worked_before: how many jobs were run by processes that have ended.
        quick_deaths: how many processes died soon after their start, one after the other.
    """

    def __init__(
        self,
        application: Context,
        server: Server,
        directory: str,
        quarantined: Queue,
        stopping: threading.Event,
        wake: Interrupt,
        tell: Callable[..., None],
    ) -> None:
        self.application, self.config = application, application.config
        self.server, self.directory = server, directory
        self.processes: dict[int, Process] = {}
        self.exits: queue.SimpleQueue[Exit] = queue.SimpleQueue()
        self.restarts: list[tuple[float, int, bool]] = []
        self.to_reclaim: list[tuple[Process, dict[str, str]]] = []
        self.paused = False
        self.cut_short = self.worked_before = self.quick_deaths = 0
        self._quarantined, self._quarantined_after = quarantined, 0.0
        self._quarantined_pauses = Backoff(QUARANTINE_RETRY, self.config.re_check_seconds)
        self._stopping, self._wake, self._tell = stopping, wake, tell
        self.waiting: Callable[[], None] = lambda: None  # called while it waits for their end
        self._numbers = self._async_share = 0
        self._next_look = 0.0  # for processes that are to be replaced
        self._beat_at = 0.0

    # --- what there is -----------------------------------------------------------------------

    @property
    def worked(self) -> int:
        """How many jobs have been worked."""
        return self.worked_before + sum(p.slots.worked for p in list(self.processes.values()))

    def workers(self) -> int:
        """Count the workers that are ready, less that for quarantined jobs: it comes and goes."""
        living = list(self.processes.values())
        ready = [each for each in living if each.is_ready() and not each.is_retired]
        return sum(process.workers for process in ready if not process.quarantined)

    def on_loops(self) -> dict[str, Any] | None:
        """Return how many places there are on event loops, how many are taken, and for which jobs.

        None: there are none.
        """
        living = [
            p for p in list(self.processes.values()) if not p.quarantined and not p.is_retired
        ]
        places = sum(process.async_workers for process in living if process.is_ready())
        if not places:
            return None
        taken = sum(len(process.performed(process.threads)) for process in living)
        return {"places": places, "taken": taken, "classes": async_classes(self.config)}

    def performing(self) -> list[str]:
        """Return the ids of what is performed.

        Crashes that could not be noted yet are among them: they are not forgotten, if this process
        dies as well.
        """
        performed = [id for process in list(self.processes.values()) for id in process.performed()]
        return performed + [id for _, crashed in list(self.to_reclaim) for id in crashed]

    def memory(self) -> int:
        """Return how many bytes this process and those that live have in use."""
        living = [process.popen.pid for process in list(self.processes.values())]
        return sum(resident(pid) for pid in (os.getpid(), *living))

    def holders(self) -> set[str]:
        """Return under which names the living processes claim."""
        return {process.claimed_by for process in list(self.processes.values())}

    def described(self) -> dict[str, Any]:
        """Return what is known of the living processes without asking them, by those names."""
        return {
            process.claimed_by: {"pid": process.popen.pid, "performing": process.performed()}
            for process in list(self.processes.values())
        }

    def next_restart(self, longest: float) -> float:
        """Return the seconds until a process is to be started again, at most `longest`."""
        due = [when - clock.monotonic() for when, *_ in self.restarts]
        return max(0.0, min([longest, *due]))

    # --- what they are told ------------------------------------------------------------------

    def tell(self, command: str) -> None:
        """Send a command to every process."""
        for process in list(self.processes.values()):
            process.tell(command)

    def pause(self, paused: bool) -> None:
        """Have the processes start nothing more, or go on."""
        self.paused = paused
        self.tell("pause" if paused else "resume")

    def set_beat(self, at: float) -> None:
        """Let the processes know that the server's heartbeat was written."""
        self._beat_at = at
        for process in list(self.processes.values()):
            with contextlib.suppress(ValueError, TypeError):  # it ended, its memory is closed
                process.slots.set_beat(at)

    # --- starting ----------------------------------------------------------------------------

    def start(self) -> None:
        """Start all processes that the settings ask for."""
        count = process_count(self.config)
        share, rest = divmod(self.config.workers, count)
        # Rounded up: in a process without a place for them async jobs would take its threads.
        self._async_share = -(-async_workers(self.config) // count)
        for index in range(count):
            self.spawn(share + (index < rest))

    def spawn(self, threads: int, quarantined: bool = False) -> None:
        """Start one process.

        Raises:
            OSError: no memory, or too many processes or files.
        """
        self._numbers += 1
        number = self._numbers
        places = min(GROUP, self._async_share) if quarantined else self._async_share
        slots = Slots(threads + places)
        slots.set_beat(self._beat_at or clock.monotonic())
        bell: Bell | None = None
        try:
            bell = Bell() if self.application.store.capabilities.relayed else None
            process = self._start(number, threads, quarantined, slots, bell)
        except BaseException:
            slots.close()
            if bell is not None:
                bell.close()
            raise
        self.processes[number] = process
        try:
            threading.Thread(target=self.wait_for, args=(process,), daemon=True).start()
        except RuntimeError as error:  # as many threads as there may be
            log.error("a worker process cannot be waited for: it is ended", error=str(error))
            process.popen.kill()
            self.wait_for(process)

    def _start(
        self, number: int, threads: int, quarantined: bool, slots: Slots, bell: Bell | None
    ) -> Process:
        orders = {
            "number": number,
            # If the store is away for a while, nobody must begin with an empty one.
            "config": {**attrs.asdict(self.config), "create_store": False},
            "claimed_by": f"{self.server.incarnation}.{number}",
            "worker_name": self._name_of(number),
            "threads": threads,
            "async_workers": slots.workers - threads,
            "quarantined": quarantined,
            "slots": slots.workers,
            "paused": self.paused,
            "urls_from": self.application.directory,
        }
        return Process.start(orders, slots, self.directory, bell)

    def _name_of(self, number: int) -> str:
        return f"{self.server.name}:{number}"

    def start_quarantined(self) -> None:
        """Give jobs whose worker has crashed a process of their own, one job at a time.

        So the next crash shows which of them it was, and takes nobody else down with it. Of the
        hundreds that were on one event loop, a few are performed at once.
        """
        if self._stopping.is_set() or self.paused:
            return
        if any(process.quarantined for process in self.processes.values()):
            return
        if clock.monotonic() >= self._quarantined_after and self._quarantined.has_quarantined():
            self.spawn(1, quarantined=True)

    def restart_due(self) -> None:
        """Start again what is due."""
        now = clock.monotonic()
        for restart in [planned for planned in self.restarts if planned[0] <= now]:
            self.restarts.remove(restart)
            try:
                self.spawn(restart[1], restart[2])
            except OSError as error:  # no memory, or too many processes or files
                log.error("a worker process cannot be started", error=str(error))
                self.restarts.append((now + jittered(SPAWN_RETRY), *restart[1:]))

    def recycle(self) -> None:
        """Replace the processes that have had their time: the new one is ready before they end.

        One that is retired claims nothing more, and finishes what it is at.
        """
        if self._next_look > clock.monotonic() or self._stopping.is_set() or not self._recycles():
            return
        self._next_look = clock.monotonic() + RECYCLE_SECONDS
        for process in [*self.processes.values()]:
            if process.is_retired or process.quarantined or not process.is_ready():
                continue
            successor = self.processes.get(process.successor)
            if successor is None:
                if (why := self._is_worn(process)) and clock.monotonic() >= process.replace_after:
                    self._start_successor(process, why)
            elif successor.is_ready():
                process.is_retired = True
                process.tell("retire")

    def _recycles(self) -> bool:
        config = self.config
        return bool(config.max_jobs_per_process or config.max_memory_per_process)

    def _is_worn(self, process: Process) -> str | None:
        """Return why a process is to be replaced, if it is."""
        jobs, memory = self.config.max_jobs_per_process, self.config.max_memory_per_process
        if jobs is not None and process.slots.worked >= jobs:
            return f"it has worked {counted(process.slots.worked, 'job')}"
        if memory is not None and (used := resident(process.popen.pid)) >= memory:
            return f"it uses {megabytes(used)}"
        return None

    def _start_successor(self, process: Process, why: str) -> None:
        process.replace_after = clock.monotonic() + SPAWN_RETRY
        try:
            self.spawn(process.threads)
        except OSError as error:  # no memory, or too many processes or files
            log.error("a worker process cannot be replaced yet", error=str(error))
            return
        process.successor = self._numbers
        log.info("a worker process is replaced", process=process.number, why=why)

    def say_who_is_late(self) -> None:
        """Log which processes take long to import their app."""
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

    # --- ended ones --------------------------------------------------------------------------

    def wait_for(self, process: Process) -> None:
        """Wait for the end of a process; each has a thread that does."""
        self.exits.put(process.wait())
        self._wake.set()

    def handle_exits(self) -> None:
        """Note what ended processes leave behind, and when they are started again."""
        while True:
            try:
                ended = self.exits.get_nowait()
            except queue.Empty:
                return
            self._handle_exit(ended)

    def _handle_exit(self, ended: Exit) -> None:
        process = self.processes.pop(ended.process.number)
        slots = process.slots
        worked, performed, was_ready = slots.worked, slots.performed(), slots.ready
        self.worked_before += worked
        self.cut_short += slots.cut_short
        process.close()
        # One that was performing has crashed, whatever its exit code: user code may call _exit(0).
        has_crashed = not process.stopping and bool(ended.status or performed)
        if has_crashed:
            message = "a worker process died" if was_ready else "a worker process did not start"
            log.error(message, how=ended.describe(), performing=len(performed))
            name, how = self._name_of(process.number), ended.describe()
            self._tell(
                "worker_died", server=self.server, worker=name, how=how, performing=performed
            )
        if process.quarantined:
            self._put_off_quarantined(bool(worked or performed))
        if not self._stopping.is_set() and not process.quarantined and self._is_missed(process):
            self._schedule_restart(process)
        crashed = dict.fromkeys(performed, ended.describe()) if has_crashed else {}
        crashed |= dict.fromkeys(process.overdue, OVERDUE)
        self.to_reclaim.append((process, crashed))

    def _is_missed(self, process: Process) -> bool:
        """Return whether no other process is, or stays, in the place of one that has ended."""
        others = self.processes.values()
        is_spare = any(p.successor == process.number and not p.is_retired for p in others)
        return not (process.is_retired or is_spare or process.successor in self.processes)

    def _put_off_quarantined(self, got_to_work: bool) -> None:
        """Wait longer and longer for one that finds nothing to do, as where all are deferred."""
        if got_to_work:
            self._quarantined_pauses.reset()
        else:
            self._quarantined_after = clock.monotonic() + self._quarantined_pauses.next()

    def _schedule_restart(self, process: Process) -> None:
        lived = clock.monotonic() - process.started
        self.quick_deaths = 0 if lived > QUICK_DEATH else self.quick_deaths + 1
        delay = BACK_OFF[min(max(0, self.quick_deaths - 1), len(BACK_OFF) - 1)]
        if delay >= 1:
            log.warning("worker processes die again and again: waiting", seconds=delay)
        due = clock.monotonic() + jittered(delay)
        self.restarts.append((due, process.threads, process.quarantined))

    def reclaim_ended(self) -> None:
        """Queue again what ended processes held; what cannot be done now is done later.

        Raises:
            Exception: the store cannot be reached.
        """
        while self.to_reclaim:
            process, crashed = self.to_reclaim[0]
            fail_overdue(process.overdue, process.claimed_by)
            reclaimed = requeue_claims(
                self.application.store,
                self.application.plugins,
                process.claimed_by,
                crash_limit=self.config.crash_limit,
                crashed=crashed,
                reason="its worker process ended",
                on_loop=runs_on_loop,
            )
            del self.to_reclaim[0]
            self.cut_short += reclaimed["requeued"] if self._stopping.is_set() else 0
            if reclaimed["requeued"] or reclaimed["failed"]:
                log.warning("work reclaimed", process=process.number, **reclaimed)
            self.start_quarantined()

    # --- the end -----------------------------------------------------------------------------

    def wait_until_ended(self, deadline: float, killing: threading.Event) -> None:
        """Wait for the end of all processes, until a time or until they are to be killed."""
        while self.processes and clock.monotonic() < deadline and not killing.is_set():
            self._wait_a_moment()

    def kill(self) -> None:
        """End all processes at once; what they held is theirs no more."""
        for process in list(self.processes.values()):
            process.stopping = True
            process.popen.kill()
        while self.processes:
            self._wait_a_moment()

    def _wait_a_moment(self) -> None:
        self._wake.clear()
        self.waiting()
        self.handle_exits()
        if self.processes:
            self._wake.wait(0.1)
