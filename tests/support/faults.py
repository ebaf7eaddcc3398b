"""Real servers at a mix of jobs, while whatever can fail does: at random, from a seed.

    export ROCKETJOB_FAULTS_SEED=7 ROCKETJOB_FAULTS_SECONDS=300
    python -I -m pytest tests/acceptance/test_faults.py -s -k promise

The seed decides what happens when, and which jobs are made; the machine decides where it hits. So
the same seed shows a failure again often, but not always.
"""

import contextlib
import heapq
import itertools
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from rocketjob import Job
from rocketjob.base.errors import RocketJobError, ValidationError
from rocketjob_plugins.dirmon import DirmonEntry, DirmonJob
from support import fault_jobs, invariants
from support.fault_jobs import (
    BAD,
    FaultsBatchJob,
    FaultsCronJob,
    FaultsPlainJob,
    FaultsRestartJob,
    FaultsResumableJob,
    FaultsRetriedJob,
    FaultsSingletonJob,
    FaultsThrottledJob,
    FaultsTimeoutJob,
)
from support.proxy import GOOD, MODES, Proxy
from support.runtime import eventually

SEED = int(os.environ.get("ROCKETJOB_FAULTS_SEED", "1"))
SECONDS = float(os.environ.get("ROCKETJOB_FAULTS_SECONDS", "4"))
SERVERS, PROCESSES = 2, 1 if SECONDS < 30 else 2
JUMPS = (-7200, -90, -3, 3, 90)  # seconds that a clock may be wrong
AHEAD = max(JUMPS) + 5
BACKLOG = 60  # jobs that wait, at which people create no more
START_SECONDS = 20  # for which a server that starts is left alone, mostly
STUCK = 90 if SECONDS < 30 else 300  # seconds without any job that ends, when nothing fails
IMPATIENT = (
    "serverSelectionTimeoutMS=1000&socketTimeoutMS=5000&connectTimeoutMS=1000&directConnection=true"
)
SMALL_DISK = "64m"  # enough for some minutes


class Embedded:
    """The embedded store; on a small disk of its own, where one may be mounted."""

    look_seconds, every, settings = 0.02, 1, {"heartbeat_seconds": 0.25}

    def __init__(self, folder, dice):
        self._disk = folder / "disk"
        self._disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", str(self._disk)]
        self.is_small = (
            shutil.which("mount") and not subprocess.run(mount, capture_output=True).returncode
        )
        self.url, self._file = f"sqlite:///{self._disk}/jobs.db?timeout=1", self._disk / "jobs.db"
        self._dice, self._locked = dice, None
        self.faults = {"the store is locked": (self._lock, self._unlock)}
        if self.is_small:
            self.faults["the disk is full"] = (self._fill, self._empty)

    def url_for(self, number):
        return self.url

    def _lock(self):
        with contextlib.suppress(sqlite3.Error):
            if self._locked is None:
                self._locked = sqlite3.connect(self._file, 5, isolation_level=None)
                self._locked.execute("BEGIN IMMEDIATE")

    def _unlock(self):
        if self._locked is not None:
            self._locked.close()
            self._locked = None

    def _fill(self):
        with contextlib.suppress(OSError), (self._disk / "filler").open("wb", 0) as file:
            while True:
                file.write(b"x" * 4096)

    def _empty(self):
        (self._disk / "filler").unlink(missing_ok=True)

    def close(self):
        self._unlock()
        if self.is_small:
            subprocess.run(["umount", "-l", str(self._disk)], check=True)


class Mongo:
    """A MongoDB server; each of our servers comes to it through a network of its own."""

    # The test server is slow, and each write wakes all who are idle, the heartbeats too.
    look_seconds, every, settings = 0.3, 3, {"heartbeat_seconds": 1.0}

    def __init__(self, url, dice):
        parts = urlsplit(url)
        self.url, self._dice = url, dice
        to = parts.hostname, parts.port or 27017
        self._proxies = [Proxy(to, number) for number in range(SERVERS)]
        user, at, _ = parts.netloc.rpartition("@")
        query = "&".join(filter(None, [parts.query, IMPATIENT]))
        self._urls = [
            urlunsplit(parts._replace(netloc=f"{user}{at}127.0.0.1:{proxy.port}", query=query))
            for proxy in self._proxies
        ]
        self.faults = {
            f"the network {mode}": (
                lambda mode=mode: self._dice.choice(self._proxies).become(mode),
                lambda: [proxy.become(GOOD) for proxy in self._proxies],
            )
            for mode in MODES
        }

    def url_for(self, number):
        return self._urls[number]

    def close(self):
        for proxy in self._proxies:
            proxy.close()


class Fleet:
    """Servers that are killed, stopped, cut off and started again, and people who create jobs.

    Args:
        place: the store, how it can fail, and how much it bears: there is more to do at every
            so-manieth fault.
        start: starts a server; see `support.runtime.servers`.
    """

    def __init__(self, folder, place, start, dice):
        self.folder, self.place, self._start, self._dice = Path(folder), place, start, dice
        self._count = itertools.count()
        self._undo, self._order = [], itertools.count()
        self.stored, self.inputs, self.orderly, self.trace = {}, {}, set(), []
        self._began = time.monotonic()
        (self.folder / "in").mkdir()
        self.servers = [self._new(number) for number in range(SERVERS)]

    def say(self, what):
        self.trace.append(f"{time.monotonic() - self._began:6.2f} {what}")

    def _new(self, number):
        name = f"server{number}-{next(self._count)}"
        return self._start(
            name,
            url=self.place.url_for(number),
            crash_limit=1000,  # whoever is killed is not to blame
            workers=3,
            processes=PROCESSES,
            metrics={"write_seconds": 2 * self.place.settings["heartbeat_seconds"]},
            **self.place.settings,
        )

    # --- what fails --------------------------------------------------------------------------

    def storm(self, seconds):
        """Let things fail for a while; at the end nothing does any more."""
        end = time.monotonic() + seconds
        for step, fail in enumerate(self._faults()):
            if time.monotonic() >= end:
                break
            if step % self.place.every == 0:
                self._work()
            number = self._dice.randrange(SERVERS)
            end += self._let_it_work(number)
            fail(number)
            self._pause(time.monotonic() + self._dice.uniform(0.1, 0.8))
        self._pause(end + 3600, all_at_once=True)

    def _let_it_work(self, number):
        """Mostly wait until a server is at work: on a busy machine it would only ever start.

        Returns:
            for how long, in seconds: a storm is not to be the milder for it.
        """
        began, server = time.monotonic(), self.servers[number]
        end = began + (START_SECONDS if self._dice.random() < 0.8 else 0)
        while time.monotonic() < end and server.process.poll() is None and not server.is_up():
            self._pause(time.monotonic() + 0.2)
        return time.monotonic() - began

    def _faults(self):
        """Yield what fails next: as cards are dealt, so that all kinds soon have their turn."""
        cards = [self._kill_a_worker, self._stop_a_worker, self._stop_a_server, self._jump] * 2
        cards += [self._kill_a_server, self._kill_a_supervisor, self._restart_a_server]
        cards += [self._fail_the_store] * 4
        while True:
            self._dice.shuffle(cards)
            yield from cards

    def _pause(self, until, all_at_once=False):
        while self._undo and (all_at_once or self._undo[0][0] <= until):
            at, _, what, undo = heapq.heappop(self._undo)
            if not all_at_once:
                time.sleep(max(0, at - time.monotonic()))
            undo()
            self.say(f"... {what} no more")
        if not all_at_once:
            time.sleep(max(0, until - time.monotonic()))

    def _later(self, seconds, what, undo):
        heapq.heappush(self._undo, (time.monotonic() + seconds, next(self._order), what, undo))

    def _how_long(self):
        """Return a time that is shorter or longer than what a server is taken for dead after."""
        dead = 4 * self.place.settings["heartbeat_seconds"]
        return self._dice.choice([0.2, 0.5, 1.5, 2.5]) * dead

    def _kill_a_worker(self, number):
        children, which = self.servers[number].children(), self._dice.random()
        if children:
            pid = children[int(which * len(children))]
            self.say(f"kill -9 of a worker of {self.servers[number].name}, {pid}")
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _kill_a_server(self, number):
        self.say(f"kill -9 of all of {self.servers[number].name}")
        self.servers[number].send_to_all(signal.SIGKILL)
        self._replace(number)

    def _kill_a_supervisor(self, number):
        self.say(f"kill -9 of the supervisor of {self.servers[number].name}")
        self.servers[number].send(signal.SIGKILL)
        self._replace(number)

    def _replace(self, number):
        self.servers[number].process.wait(60)
        self.servers[number] = self._new(number)

    def _restart_a_server(self, number):
        """Deploy: the next one begins while the last one ends."""
        self._end_orderly(number)
        self.servers[number] = self._new(number)

    def _end_orderly(self, number):
        server = self.servers[number]
        self.say(f"SIGTERM to {server.name}")
        if server.logged("server started"):
            self.orderly |= {(server, pid) for pid in server.children()}
        server.send(signal.SIGTERM)

    def _stop_a_worker(self, number):
        children, which = self.servers[number].children(), self._dice.random()
        seconds = self._how_long()
        if children:
            self._suspend([children[int(which * len(children))]], seconds, "a worker")

    def _stop_a_server(self, number):
        server, seconds = self.servers[number], self._how_long()
        self._suspend([server.pid, *server.children()], seconds, server.name)

    def _suspend(self, pids, seconds, what):
        self.say(f"SIGSTOP of {what} for {seconds:.2f} s, {pids}")
        _send(pids, signal.SIGSTOP)
        self._later(seconds, f"SIGSTOP of {what}", lambda: _send(pids, signal.SIGCONT))

    def _jump(self, number):
        wrong = self._dice.choice(JUMPS)
        self.say(f"the clock of {self.servers[number].name} is wrong by {wrong} s")
        self._set_clock(self.servers[number], wrong)

    def _set_clock(self, server, wrong):
        (self.folder / f"clock.{server.name}").write_text(str(wrong))

    def _fail_the_store(self, _):
        what = self._dice.choice(sorted(self.place.faults))
        begin, end = self.place.faults[what]
        self.say(what)
        begin()
        self._later(self._how_long(), what, end)

    # --- what is to be done ------------------------------------------------------------------

    def _work(self):
        """Do what people do: create jobs of all kinds, drop a file, have a schedule run now."""
        number, dice = len(self.inputs), self._dice
        with contextlib.suppress(RocketJobError):
            if Job.queued().count() > BACKLOG:
                return
        fails = dice.randrange(1, 4)
        made = [FaultsPlainJob(priority=dice.choice([1, 50, 100])) for _ in range(4)]
        made += [FaultsThrottledJob() for _ in range(3)]
        made += [FaultsRetriedJob(fails=fails), FaultsTimeoutJob(), FaultsResumableJob()]
        made += [FaultsSingletonJob(), FaultsSingletonJob()]
        for job in made:
            if not self._store(job):
                break  # for the time being
            self._pause(time.monotonic())  # where storing takes long, what fails must end in time
        records = [f"{number} {each} {BAD if dice.random() < 0.1 else ''}" for each in range(30)]
        batch = FaultsBatchJob()
        with contextlib.suppress(RocketJobError):
            batch.upload(records)
            self.inputs[str(batch.id)] = records
            self._store(batch)
        path = self.folder / "in" / f"file-{number}.txt"
        self.inputs[path.name] = [record.strip() for record in records]
        path.write_text("".join(f"{record}\n" for record in self.inputs[path.name]))
        with contextlib.suppress(RocketJobError):
            for cls in (FaultsCronJob, DirmonJob):
                for job in cls.where(state="queued", run_at={"$gt": _long_ago()}):
                    job.run_now()

    def _store(self, job):
        """Store a job; where that fails it may be there all the same, or not."""
        try:
            job.save()
            self.stored[job.id] = type(job).__name__
        except ValidationError:
            assert isinstance(job, FaultsSingletonJob)
        except RocketJobError as error:
            self.say(f"{type(job).__name__} cannot be stored: {str(error)[-60:]}")
            return False
        return True

    def begin(self):
        for job in (FaultsRestartJob(), FaultsCronJob(), DirmonJob()):
            job.save()
        entry = DirmonEntry(pattern=f"{self.folder}/in/*.txt", job_class_name="FaultsFileJob")
        entry.properties = {}
        entry.save()
        entry.enable()

    # --- the end -----------------------------------------------------------------------------

    def settle(self):
        """Wait until all is done, and end the servers in order; return what is wrong with that."""
        for number in range(SERVERS):
            self._bring_up(number)
        wrong = []
        if not self._comes_to_an_end():
            wrong.append(f"stuck: {list(self._waiting().limit(5))}, files {self._files()}")
        for number in range(SERVERS):
            self._end_orderly(number)
        for server in self.servers:
            if (code := server.wait(60)) != 0:
                wrong.append(f"{server.name} has ended with {code}: {server.said()[-2000:]}")
        return wrong

    def _bring_up(self, number):
        """Wait until a server is up; one that did not reach the store at its start has ended."""
        while True:
            server = self.servers[number]
            self._set_clock(server, AHEAD)  # what a clock that was ahead has planned is due now
            ended = server.process.poll
            eventually(lambda s=server, e=ended: s.is_up() or e() is not None, within=STUCK)
            if ended() is None:
                return
            self._replace(number)

    def _comes_to_an_end(self):
        """Wait until all is done; return whether it is, or nothing has happened for a while."""
        last, since = None, time.monotonic()
        while time.monotonic() - since < STUCK:
            with contextlib.suppress(RocketJobError):  # such as a lock that was held for long
                self._scan()
                left = self._waiting().count(), len(self._files())
                if left == (0, 0):
                    return True
                if left != last:
                    last, since = left, time.monotonic()
            time.sleep(0.5)
        return False

    def _scan(self):
        """Have the directory monitor look now, if there are files."""
        if self._files():
            for job in DirmonJob.where(state="queued", run_at={"$gt": _long_ago()}):
                job.run_now()

    def _waiting(self):
        some = {"_type": {"$nin": [*invariants.SERIES, "DirmonJob"]}}
        return Job.where({"state": {"$in": list(invariants.ACTIVE)}, **some})

    def _files(self):
        return sorted(path.name for path in (self.folder / "in").glob("*.txt"))

    def names_of_orderly(self):
        """Return the names of the workers that had the time to write what they have counted."""
        names = {}
        for server in {server for server, _ in self.orderly}:
            ready = server.logged("ready")
            names |= {(server, each["pid"]): each["worker"] for each in ready}
        return {names[key] for key in self.orderly if key in names}


def _long_ago():
    return Job().created_at.subtract(years=1)


def _send(pids, number):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def run(folder, place, start, store, seed, seconds):
    """Run a fleet through faults; return the picture that is left, and the trace."""
    dice = random.Random(seed)
    fleet = Fleet(folder, place, start, dice)
    with invariants.Watcher(store, place.look_seconds) as watcher:
        fleet.begin()
        fleet.servers[0].wait_until_up(STUCK)
        fleet.storm(seconds)
        wrong = fleet.settle()
    noticed = [*wrong, *watcher.noticed]
    stored, inputs = fleet.stored, fleet.inputs
    orderly = fleet.names_of_orderly()
    return invariants.take(store, folder, stored, inputs, orderly, noticed), fleet.trace


def app():
    """Return the source of the module `app` of the servers."""
    return Path(fault_jobs.__file__).read_text()
