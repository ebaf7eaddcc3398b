"""The supervisor: one server, as a tree of processes.

It registers the server, has its worker processes started (`process_tree`), beats for all of them
(`heartbeat`), obeys what people write into the server's document, and looks for other servers whose
heartbeat has stopped (`recovery`). It runs no job itself.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from importlib import metadata
from typing import Any

from rocketjob.base import clock
from rocketjob.base.backoff import jittered
from rocketjob.base.directory import of_process
from rocketjob.base.errors import ConfigurationError, RocketJobError, StoreError
from rocketjob.base.interrupt import Interrupt
from rocketjob.base.log import Logger, put_back
from rocketjob.base.text import counted
from rocketjob.model.app_modules import import_app
from rocketjob.queue.dispatch import Queue
from rocketjob.queue.eligible import job_filter, unknown_in
from rocketjob.queue.narrowing import Narrowing
from rocketjob.queue.reclaim import requeue_claims
from rocketjob.server import draining, events, lifetime, signals
from rocketjob.server.heartbeat import Heartbeat, heartbeat
from rocketjob.server.looks import Looks
from rocketjob.server.notifying import Notifier
from rocketjob.server.process_tree import ProcessTree, async_workers, process_count
from rocketjob.server.questions import brought_by
from rocketjob.server.recovery import Recovery, sweep_seconds, unserved
from rocketjob.server.registration import Registration
from rocketjob.server.relay import Relay
from rocketjob.server.server import Server
from rocketjob.server.stalled import Stalled
from rocketjob.server.subscribers import QuestionSubscriber, ServerSubscriber
from rocketjob.server.sweeper import Sweeper
from rocketjob.store import context
from rocketjob.store.changes import News
from rocketjob.store.context import Context
from rocketjob.store.port import is_new
from rocketjob.store.written import written

log = Logger("rocketjob.supervisor")

LOOK_SECONDS = 0.1  # the server's own document is read at most this often
STORE_RETRY = 1.0
HUNG_SECONDS = 60.0  # without a turn: a store that is away may hold it up for half of that
UNSERVED_SECONDS = 300.0  # between two looks for jobs that no server can run


class Supervisor:
    """A server, ready to run: its app is imported, its stores are there, its settings are right.

    Args:
        application: settings, plugins and store.
        directory: where worker processes are started, by name; None: where this one is.

    Raises:
        PluginError: a module of `app` cannot be imported.
        ConfigurationError: the store does not take the filter `where`.
    """

    def __init__(self, application: Context, directory: str | None = None) -> None:
        directory = directory or of_process()  # before an app module changes it
        application = _with_app(application)
        application.plugins.collect("register_jobs")
        application.ensure_indexes(application.store)
        quarantined = _checked_queue(application)
        for store in application.stores():
            with store.transaction():  # so that it is there for the processes, which make none
                store.collection_names()
        self.application, self.config = application, application.config
        self.interrupt = Interrupt()
        self._stopping, self._killing = threading.Event(), threading.Event()
        self.server = _document(application, quarantined)
        self._narrowing = Narrowing(application.store, application.plugins, self.config)
        self._narrowing.look()
        self.relay = self._relay()
        self._looks = Looks(self.relay)
        self.sweeper = Sweeper(
            application, self.server, sweep_seconds(self.config), Looks(self.relay)
        )
        self.recovery = Recovery(application, self.server.incarnation, self.sweeper.tell)
        self.registration = Registration(self.config, self.server, self.recovery, self._stopping)
        self.tree = ProcessTree(
            application,
            self.server,
            directory,
            quarantined,
            self._stopping,
            self.interrupt,
            self.sweeper.tell,
        )
        self.heartbeat = Heartbeat(
            self.registration,
            self.tree,
            self.config.heartbeat_seconds,
            lambda: self.state,
            self._stopping,
            lambda: application.plugins.problems,
            lambda: self._narrowing.clauses,
        )
        self.stalled = Stalled(application.store)
        self.drain = draining.Drain(self.server, self.tree.performing)
        self.notifier = Notifier.of(os.environ, os.getpid())
        self.tree.waiting = self._turn
        self._turned = clock.monotonic()
        self._cut_short = 0
        self._next_sweep = 0.0
        self._next_look = 0.0  # for classes that no server has loaded
        self._unserved: set[str] = set()  # those that the log has named

    def _relay(self) -> Relay | None:
        """Return what watches the store for all processes, where that is better."""
        if not self.application.store.capabilities.relayed:
            return None
        queue = Queue(self.application.store, self.application.plugins, self.config, "", "")
        return Relay(self.application, queue, lambda: list(self.tree.processes.values()))

    # --- from other threads ------------------------------------------------------------------

    def stop(self) -> None:
        """Finish what runs and end; called again, end at once."""
        if self._stopping.is_set():
            self._killing.set()
        self._stopping.set()
        self.wake()

    def kill(self) -> None:
        """End at once; what runs is queued again."""
        self._stopping.set()
        self._killing.set()
        self.wake()

    def pause(self) -> None:
        self._move("pause")

    def resume(self) -> None:
        self._move("resume")

    def wake(self) -> None:
        """Look at once at what the store says of this server."""
        self.interrupt.set()

    def dump(self) -> None:
        """Have all processes write the stacks of their threads to standard error."""
        self.tree.tell("dump")

    def _move(self, event: str) -> None:
        with contextlib.suppress(RocketJobError), self.server.knowing():
            getattr(self.server, event)()
        self.wake()

    # --- how it is ---------------------------------------------------------------------------

    @property
    def news(self) -> News:
        """Who tells that something was written."""
        return self.relay or self.application.store

    @property
    def state(self) -> str:
        return "stopping" if self.stopping else "paused" if self.paused else "running"

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    @property
    def killing(self) -> bool:
        """Whether what still runs is to be ended at once."""
        return self._killing.is_set()

    @property
    def paused(self) -> bool:
        return self.tree.paused

    @property
    def worked(self) -> int:
        """How many jobs this server has worked."""
        return self.tree.worked

    @property
    def cut_short(self) -> int:
        """How many jobs were queued again because this server stopped."""
        return self._cut_short + self.tree.cut_short

    # --- life --------------------------------------------------------------------------------

    def run(self) -> int:
        """Serve until stopped.

        Returns:
            0 if all that ran was finished, 1 if some had to be queued again.

        Raises:
            ConfigurationError: another living server has the name.
        """
        with (
            self._answering(),
            signals.answered(self.stop),
            ServerSubscriber.subscribed(self),
            QuestionSubscriber.subscribed(
                self.server.incarnation,
                self.server.name,
                others=self.tree.described,
                brought=brought_by(self.application.plugins),
            ),
            self.application.plugins.watched(),
            lifetime.subscribers(self.application.plugins, lifetime.SUPERVISOR),
        ):
            self.registration.enter()
            with lifetime.told_of(self.application.plugins, lifetime.SUPERVISOR, self.server.name):
                self._serve()
        log.info("server stopped", name=self.server.name, worked=self.worked)
        return 1 if self.cut_short else 0

    def _serve(self) -> None:
        listener = events.Listener(self.relay, self.relay.tell if self.relay else None).start()
        try:
            if self.relay is not None:
                self.relay.start()
            self.tree.start()
            self.sweeper.start()
            self.heartbeat.start()  # only now: the first beat says how many workers there are
            self.server.started()
            log.info("server started", name=self.server.name, **self._shape())
            for problem in unknown_in(self.config.where or {}):
                log.warning(f"the setting where may match nothing: {problem}")
            self.watch()
        finally:
            self._shut_down()
            listener.stop()
            if self.relay is not None:
                self.relay.stop()
            self.heartbeat.join(5)
            self.sweeper.stop(5)
            self.sign_off()

    def _shape(self) -> dict[str, Any]:
        store = self.application.store
        shape = {"processes": len(self.tree.processes), "workers": self.config.workers}
        if number := async_workers(self.config):
            shape["async_workers"] = number
        return {**shape, "store": store.url, **({"store_is": "new"} if is_new(store) else {})}

    # --- watching ----------------------------------------------------------------------------

    def watch(self) -> None:
        """Look after the processes, this server's document and the other servers, until stopped."""
        while not self.stopping:
            self.interrupt.clear()
            self._turn()
            self._say_ready()
            self.tree.handle_exits()
            self.tree.recycle()
            self.tree.restart_due()  # before anything else: the work goes on without a pause
            self.tree.say_who_is_late()
            try:
                mark = self.news.change_mark()
                self.tree.reclaim_ended()
                self.stalled.look(list(self.tree.processes.values()))
                if self.paused or self._looks.is_due("orders"):
                    self.obey()
                self._sweep_if_due()
                if not self.stopping:
                    self._wait(mark)
            except Exception as error:
                log.error("the supervisor cannot work", error=f"{type(error).__name__}: {error}")
                self.interrupt.wait(jittered(STORE_RETRY))

    def _turn(self) -> None:
        """Note that this thread does not hang; tell systemd."""
        self._turned = clock.monotonic()
        self.notifier.alive()

    def _say_ready(self) -> None:
        if workers := self.tree.workers():
            self.notifier.ready(f"{counted(workers, 'worker')} ready")

    def _answering(self) -> contextlib.AbstractContextManager[Any]:
        """Answer how the server is for the length of a block, if it is to."""
        if self.config.health is None:
            return contextlib.nullcontext()
        from rocketjob.server.health import answering  # HTTP and OpenSSL are 5 MiB

        return answering(self.config.health, self)

    def health(self) -> dict[str, Any]:
        """Say how the server is, for `rocketjob.server.health`; called from any thread."""
        workers, hangs = self.tree.workers(), clock.monotonic() - self._turned
        started_at = self.server.started_at
        is_late = bool(self.heartbeat.at) and self.heartbeat.is_late()
        problems = [
            (hangs > HUNG_SECONDS, f"the supervisor has not turned for {hangs:.0f} s"),
            (self.state != "running", f"the server is {self.state}"),
            (not self.heartbeat.at, "no heartbeat was written yet"),
            (is_late, "its heartbeat cannot be written: is the store away?"),
            (not workers, "no worker process is ready"),
        ]
        found = [text for is_so, text in problems if is_so]
        return {
            "live": hangs <= HUNG_SECONDS,
            "ready": not found,
            "problems": found,
            "name": self.server.name,
            "state": self.state,
            "version": metadata.version("rocketjob"),
            "pid": os.getpid(),
            "started_at": None if started_at is None else started_at.isoformat(),
            "processes": len(self.tree.processes),
            "workers": workers,
            "performing": len(self.tree.performing()),
            "worked": self.worked,
            "heartbeat_seconds_ago": round(clock.monotonic() - self.heartbeat.at, 1)
            if self.heartbeat.at
            else None,
        }

    def _wait(self, mark: Any) -> None:
        """Wait for a change, at leisure: quick answers are for the claimers."""
        next_sweep = max(0.0, self._next_sweep - clock.monotonic())  # it is told of no heartbeat
        pause = self.tree.next_restart(min(1.0, next_sweep))
        if not self.interrupt.wait(min(LOOK_SECONDS, pause)):
            left = max(0.0, pause - LOOK_SECONDS)
            self.news.wait_for_change(mark, left, self.interrupt)

    def obey(self) -> None:
        """Do what the server's document says; people change its state there."""
        fields = dict.fromkeys(("state", *draining.KEYS), 1)
        stored = Server.collection().find_one({"_id": self.server.id}, fields)
        if stored is None:
            return  # the next heartbeat will bring it back
        state = stored["state"]
        self.registration.drain = {key: stored[key] for key in draining.KEYS if key in stored}
        if state == "stopping":
            self._stopping.set()
        elif (state == "paused") != self.paused:
            self.tree.pause(state == "paused")
            log.info("server paused" if self.paused else "server resumed", name=self.server.name)
        elif state == "paused":
            self.drain.look(stored)

    def _sweep_if_due(self) -> None:
        now = clock.monotonic()
        if now >= self._next_sweep:
            self._next_sweep = now + self.recovery.interval
            self.sweep()

    def sweep(self) -> None:
        """Look at the other servers, and for what they left behind."""
        if self.heartbeat.is_late():
            # Whoever cannot beat cannot judge others: perhaps nobody can write just now.
            self.recovery.forget()
            return
        self._narrowing.look()  # for the next heartbeat to say; the processes ask for themselves
        if self.recovery.is_watching or self._looks.is_due(
            "what is left", follows=self.config.heartbeat_seconds
        ):
            self.recovery.sweep(self.tree.holders())
            self.tree.start_quarantined()
        elif self.recovery.watch_others():
            self.tree.start_quarantined()
        now = clock.monotonic()
        if now >= self._next_look:
            self._next_look = now + UNSERVED_SECONDS
            self.say_what_is_unserved()
            self.recovery.plan_again()

    def say_what_is_unserved(self) -> None:
        """Log the classes of jobs that wait and that no server has, if there are new ones."""
        missing = unserved(self.application.store, self.server.classes)
        if missing.keys() - self._unserved:
            classes = ", ".join(sorted(missing))
            log.warning("jobs wait whose classes no server has loaded", classes=classes)
        self._unserved = set(missing)

    # --- the end -----------------------------------------------------------------------------

    def _shut_down(self) -> None:
        """Let the processes finish, within the grace period; then end them."""
        self._stopping.set()
        self.notifier.stopping()
        log.info("server stopping", name=self.server.name, grace=self.config.grace_seconds)
        deadline = clock.monotonic() + self.config.grace_seconds
        self.tree.tell("stop")
        with contextlib.suppress(RuntimeError):  # as many threads as there may be
            # Nobody waits for the store here: it may be out of reach.
            threading.Thread(target=self._note_stopping, daemon=True).start()
        self.tree.wait_until_ended(deadline, self._killing)
        self.tree.kill()
        try:
            self.tree.reclaim_ended()
        except Exception:
            log.exception("work of an ended process could not be reclaimed yet")

    def _note_stopping(self) -> None:
        with contextlib.suppress(Exception), self.server.knowing():
            self.server.stop()

    def sign_off(self) -> None:
        """Queue again what is left, and remove the server's document."""
        try:
            reclaimed = requeue_claims(
                self.application.store,
                self.application.plugins,
                self.server.incarnation,
                crash_limit=self.config.crash_limit,
                reason="its server stopped",
            )
            self._cut_short += reclaimed["requeued"]
            self.registration.leave()
        except Exception:
            # The others will find the heartbeat stopped and take back what is left.
            log.exception("could not sign off")


def _with_app(application: Context) -> Context:
    """Import the app's modules; they may have named a store or changed settings."""
    before = context.current()
    import_app(application.config.app)
    put_back()  # the log, if the app has configured logging
    return application if context.current() is before else context.current()


def _checked_queue(application: Context) -> Queue:
    """Return the queue as a process for quarantined jobs sees it; the supervisor claims nothing."""
    config, store = application.config, application.store
    queue = Queue(store, application.plugins, config, "", "", quarantined=True)
    try:
        queue.is_waiting()
    except StoreError as error:
        if config.where is None or store.is_transient(error):
            raise
        raise ConfigurationError(f"where = {config.where!r}: {error}") from error
    return queue


def _document(application: Context, queue: Queue) -> Server:
    config = application.config
    where = job_filter(config)
    return Server(
        name=config.name or f"{socket.gethostname()}:{os.getpid()}",
        max_workers=config.workers + async_workers(config),
        processes=process_count(config),
        heartbeat_seconds=config.heartbeat_seconds,
        classes=queue.eligible.class_names(),
        narrowed_by=None if where is None else written(where),
        heartbeat=heartbeat(0, 0, [], application.plugins.problems),
    )
