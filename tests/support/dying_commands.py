"""Let a command die at every step, or meet another one there, and look at what comes of it.

    python dying_commands.py DIRECTORY SCENARIO dies|meets

For n = 1, 2, ... a forked process does what a user does and is stopped at its nth point: before
the nth call of the store, or before or after a commit. There it kills itself (SIGKILL), or waits
until another process has done something else in full. Then a user does the first again, and all
must be as it should. It ends with the first n that is never reached.
"""

import contextlib
import csv
import io
import json
import os
import select
import shutil
import signal
import sys
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import ClassVar

from dying import CALLS, Points, check, in_a_process, warming_up

from rocketjob import Job, Server, application, field
from rocketjob.base.acts import acting
from rocketjob.base.errors import ConfigurationError, RocketJobError
from rocketjob.cli import make_cli
from rocketjob.model.renewal import RENAMED, VERSION
from rocketjob.plugins.manager import PluginManager
from rocketjob.queue import survey
from rocketjob.queue.migration import Migration
from rocketjob.queue.reclaim import requeue_claims
from rocketjob.server.recovery import Recovery
from rocketjob.server.supervisor import Supervisor
from rocketjob.store import copying
from rocketjob.testing import sandbox
from rocketjob_plugins import audit
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.batch.commands import files as _batch_files  # noqa: F401
from rocketjob_plugins.batch.commands import rejects as _batch_rejects  # noqa: F401
from rocketjob_plugins.cron import Cron, scheduled
from rocketjob_plugins.cron import command as _cron_command  # noqa: F401 (imported once)
from rocketjob_plugins.cron import schedules as declarations
from rocketjob_plugins.encryption import commands as _encryption_commands  # noqa: F401
from rocketjob_plugins.encryption import keys
from rocketjob_plugins.encryption.rotate import rotate
from rocketjob_plugins.singleton import Singleton
from rocketjob_plugins.store_sqlite.collection import SqliteCollection
from rocketjob_plugins.store_sqlite.store import SqliteStore

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MORE_CALLS = {
    SqliteCollection: (
        "insert_many",
        "find_one_and_update",
        "update_many",
        "delete_many",
        "count_documents",
        "create_index",
        "drop",
    ),
    SqliteStore: ("collection_names",),
}
PLUGINS = PluginManager()  # once: to find them takes longer than what is tried here
KNOWN = PLUGINS.infos()
PLUGINS.infos = lambda: KNOWN
OLD, NEW = "old:" + "A" * 43 + "=", "new:" + "B" * 43 + "="


class Scenario:
    """What there is, what a user does, what another does meanwhile, and what must come of it."""

    settings: dict = {}
    may_refuse = ()  # what the user may be told if another was in the way

    def __init__(self, folder):
        self.folder = Path(folder)

    def create(self): ...

    def act(self): ...

    def other(self):
        self.act()

    def again(self):
        self.act()

    def check(self): ...


# --- rocketjob store copy -------------------------------------------------------------------


class DyingCopiedJob(Job):
    number: int = 0

    def perform(self): ...


class DyingCronJob(Cron, Job):
    cron_schedule = "0 1 * * *"
    destroy_on_complete = False

    def perform(self): ...


class DyingBatchJob(Batch, Job):
    destroy_on_complete = False

    def perform(self, record):
        return record


class Copy(Scenario):
    """A store is copied into an empty one."""

    words: tuple = ()

    def create(self):
        DyingCopiedJob.create_many([{"number": number} for number in range(5)])
        DyingCronJob.create()
        job = DyingBatchJob(slice_size=1)
        job.upload(["a", "b", "c", "d"])
        job.save()

    @property
    def target(self):
        return f"sqlite:///{self.folder}/target.db"

    def act(self):
        copying.GROUP = 3
        command("store", "copy", application.current().store.url, self.target, *self.words)

    other = None

    def check(self):
        with sandbox(self.target) as there:
            there.application._plugins = PLUGINS
            found = picture(there.store)
        assert found == picture(application.current().store)


class CopyAgain(Copy):
    """A store is copied into one that has an earlier copy of it."""

    words = ("--delete",)

    def create(self):
        super().create()
        done = DyingBatchJob(slice_size=1)
        done.upload(["x", "y"])
        done.save()
        Copy(self.folder).act()
        added = DyingBatchJob(slice_size=1)
        added.upload(["p", "q", "r", "s"])
        added.save()
        # The schedule's unique key goes to another document, ahead of the one that had it.
        first = DyingCronJob.first()
        first.abort()
        (second,) = DyingCronJob.queued()
        jobs = DyingCronJob.collection()
        stored = jobs.find_one({"_id": second.id})
        jobs.delete_one({"_id": second.id})
        jobs.insert_one({**stored, "_id": bytes(12)})
        DyingCopiedJob.where(number=1).first().destroy()
        DyingCopiedJob.where(number=2).first().update(priority=7)
        done.destroy()


def picture(store):
    """Return all that a store has, but for the servers and what empty collections there are."""
    return {
        name: (documents, sorted(store.collection(name).index_information()))
        for name in store.collection_names()
        if name != copying.LIVING
        and (documents := list(store.collection(name).find({}, sort=[("_id", 1)])))
    }


# --- rocketjob encryption rotate ------------------------------------------------------------


class DyingSealedJob(Job):
    account: str | None = field(default=None, encrypted=True)
    other: str | None = field(default=None, encrypted=True)

    def perform(self): ...


class DyingSealedBatchJob(Batch, Job):
    def perform(self, record): ...


class Rotate(Scenario):
    """Fields and slices are encrypted under another key."""

    settings = {"encryption_keys": [OLD]}

    def create(self):
        for number in range(2):
            DyingSealedJob.create(account=f"a{number}", other=f"o{number}")
        job = DyingSealedBatchJob(slice_size=1)
        job.input_categories[0].serializer = "encrypt"
        job.upload(["a"])
        job.save()

    def act(self):
        application.current().config.encryption_keys = [NEW, OLD]
        command("encryption", "rotate")

    def check(self):
        application.current().config.encryption_keys = [NEW]
        found = [(job.account, job.other) for job in DyingSealedJob.all()]
        assert found == [(f"a{number}", f"o{number}") for number in range(2)], found
        assert [list(each) for each in DyingSealedBatchJob.first().input] == [["a"]]
        reports = dict(rotate(application.current().store))
        assert sum(report.current for report in reports.values()) == 5
        assert all(report.complete and not report.rotated for report in reports.values())


# --- rocketjob schedules sync ---------------------------------------------------------------


@scheduled
class DyingNightlyJob(Cron, Job):
    cron_schedule = "0 1 * * *"

    def perform(self): ...


@scheduled("0 6 * * *", name="acme", account=7, secret="a")
@scheduled("0 6 * * *", name="beta", account=9)
class DyingAccountJob(Cron, Job):
    cron_singleton = False
    destroy_on_complete = False
    account: int | None = field(default=None, copy_on_restart=True)
    secret: str | None = field(default=None, copy_on_restart=True, encrypted=True)

    def perform(self): ...


class Sync(Scenario):
    """Schedules are brought into an empty store."""

    settings = {"encryption_keys": [NEW]}
    wanted = {
        "DyingNightlyJob": ("0 1 * * *", None, None),
        "acme": ("0 6 * * *", 7, "a"),
        "beta": ("0 6 * * *", 9, None),
    }

    def act(self):
        sync_by_command()

    def check(self):
        found = Cron.where(state={"$in": ["queued", "running", "paused", "failed"]})
        told = {
            job.schedule_name: (
                job.cron_schedule,
                getattr(job, "account", None),
                getattr(job, "secret", None),
            )
            for job in found
        }
        assert found.count() == len(told), list(found)
        assert told == self.wanted, told
        assert {step.action for step in declared_plan()} == {"nothing"}


class SyncChanged(Sync):
    """Schedules have changed since the last time, while an instance runs."""

    def create(self):
        old = [
            declarations.Schedule(DyingNightlyJob, "0 2 * * *", "DyingNightlyJob"),
            declarations.Schedule(DyingAccountJob, "0 5 * * *", "acme", {"account": 1}),
            declarations.Schedule(DyingAccountJob, "0 6 * * *", "beta", {"account": 9}),
        ]
        declarations.sync(old)
        for job in Cron.all():
            job.run_now()


class SyncWhileRunning(SyncChanged):
    """The same, and meanwhile the instances are run."""

    def other(self):
        with_worker().work_off()


class RunWhileSynced(SyncChanged):
    """The other way round: the instances are run, and meanwhile their schedules are synced."""

    def act(self):
        with_worker().work_off()

    def other(self):
        sync_by_command()

    def again(self): ...


def declared_plan():
    ours = [*DyingNightlyJob.__rocketjob_schedules__, *DyingAccountJob.__rocketjob_schedules__]
    return declarations.plan(ours)


def sync_by_command():
    """Sync the schedules of this module alone."""
    declarations.loaded_classes = lambda base: [DyingNightlyJob, DyingAccountJob]
    command("schedules", "sync")


# --- resubmit -------------------------------------------------------------------------------


class DyingRejectJob(Batch, Job):
    destroy_on_complete = False
    collect_output = True

    def perform(self, record):
        if not record.isupper():
            raise ValueError("small")
        return record


class Resubmit(Scenario):
    """Two bad records were corrected; the job has ended."""

    may_refuse = (ValueError, RocketJobError)

    def create(self):
        job = DyingRejectJob(slice_size=2, max_rejects=9)
        job.upload(list("AbCDe"))
        job.save()
        with_worker().work_off()
        job.reload().download_rejects(self.folder / "bad.csv")

    @property
    def mended(self):
        """Return the file as a person corrects it."""
        rows = list(csv.DictReader(io.StringIO((self.folder / "bad.csv").read_text())))
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "record": row["record"].upper()} for row in rows)
        return io.BytesIO(text.getvalue().encode())

    def act(self):
        with acting("ada"):
            DyingRejectJob.first().resubmit(self.mended)

    def check(self):
        with_worker().work_off()
        assert [each.event for each in audit.records()].count("resubmit") == 1
        job = DyingRejectJob.first()
        assert job.is_completed, job
        assert job.reject_count == 0
        assert [list(each) for each in job.input] == []
        found = [record for each in job.output for record in each]
        assert found == list("ABCDE"), found


class ResubmitWhileRunning(Resubmit):
    """The same, and meanwhile what was resubmitted is processed."""

    def other(self):
        with_worker().work_off()

    def again(self): ...


# --- rocketjob batch upload ----------------------------------------------------------------


class BatchUpload(Scenario):
    """A file becomes a job, to an empty store: with all of its records, or not at all."""

    def act(self):
        file = self.folder / "in.txt"
        file.write_text("".join(f"{letter}\n" for letter in "ABCDE"))
        command("batch", "upload", str(file), "slice_size=1", "--class", "DyingRejectJob")

    def check(self):
        with_worker().work_off()
        jobs = list(DyingRejectJob.all())
        assert 1 <= len(jobs) <= 2, jobs  # who was killed after the job was stored stored another
        for job in jobs:
            assert job.is_completed, job
            assert [record for each in job.output for record in each] == list("ABCDE")


# --- a batch job that is held ---------------------------------------------------------------


class DyingHeldBatchJob(Batch, Job):
    destroy_on_complete = False
    collect_output = True
    canary_slices = 2
    failure_budget = 0.2
    max_rejects = 9

    def perform(self, record):
        if record == "x":
            raise ValueError(record)
        return record


class Canary(Scenario):
    """The first slices are processed, and then the job is held."""

    records = "ABCDE"

    def create(self):
        job = DyingHeldBatchJob(slice_size=1)
        job.upload(list(self.records))
        job.save()

    def act(self):
        with_worker().work_off()

    def again(self):
        made = with_worker()
        requeue_claims(made.store, made.plugins, "test.1", crash_limit=3)
        made.work_off()

    def check(self):
        self.again()
        job = DyingHeldBatchJob.first()
        assert (job.state, job.held_by) == ("paused", "canary"), job
        assert [entry.event for entry in job.history].count("hold_for_approval") == 1
        found = [slice_.id for slice_ in job.input]
        assert found == [3, 4, 5], found
        job.approve()
        with_worker().work_off()
        job.reload()
        assert job.is_completed, job
        assert list(job.records()) == list("ABCDE"), list(job.records())


class Approve(Scenario):
    """A job that is held is approved by command, with another budget."""

    records = Canary.records

    def create(self):
        Canary.create(self)
        with_worker().work_off()

    def act(self):
        command("batch", "approve", str(DyingHeldBatchJob.first().id), "--failure-budget", "0.5")

    def again(self):
        if DyingHeldBatchJob.first().is_held:
            self.act()

    def check(self):
        job = DyingHeldBatchJob.first()
        assert (job.state, job.canary_over, job.failure_budget) == ("running", True, 0.5), job
        assert [each.event for each in audit.records()].count("approve") == 1
        with_worker().work_off()
        assert list(job.reload().records()) == list("ABCDE")


# --- a server's registration ----------------------------------------------------------------


class DyingHeldJob(Job):
    destroy_on_complete = False

    def perform(self): ...


def supervisor(name="phoenix"):
    current = application.current()
    current.config.name, current.config.heartbeat_seconds = name, 0.2
    return Supervisor(current)


def claim_for(made):
    """Let a server have a job, and say by its heartbeat that it performs it."""
    job = DyingHeldJob.create()
    current = application.current()
    from rocketjob.queue.dispatch import Queue

    holder = f"{made.server.incarnation}.1"
    assert Queue(current.store, current.plugins, current.config, holder, "x:1").claim(1)
    performing = {"$set": {"heartbeat.performing": [str(job.id)]}}
    Server.collection().update_one({"_id": made.server.id}, performing)


class Register(Scenario):
    """The last server of the name was killed while it worked."""

    def create(self):
        made = supervisor()
        made.registration.enter()
        claim_for(made)

    def act(self):
        self.made = supervisor()
        self.made.registration.enter()
        self.made.heartbeat.beat(1)

    def check(self):
        (server,) = Server.all()
        assert server.name == "phoenix"
        self.made.recovery.sweep(set())
        assert_one_crash()


class RegisterTwice(Register):
    """The same, and two start under the name at the same moment."""

    may_refuse = (ConfigurationError,)

    def other(self):
        try:
            self.act()
        except ConfigurationError:
            return
        yield  # and here it lives on
        for number in count(2):
            self.made.heartbeat.beat(number)
            yield

    def again(self): ...

    def check(self):
        names = sorted(server.name for server in Server.all())
        assert names[0] == "phoenix", names
        assert all(name.startswith("phoenix:") for name in names[1:]), names  # it came too late
        assert_one_crash()


class Bury(Register):
    """The same, and a server of another name finds it dead."""

    def act(self):
        self.made = supervisor("next")
        self.made.server = Server(name="next", incarnation="next")
        self.made.recovery = Recovery(application.current(), "next")
        sweep_until_quiet(self.made)

    def check(self):
        assert not Server.all().exists()
        assert_one_crash()


class Unregister(Scenario):
    """A server that is told to stop signs off, with work that it could not finish."""

    def act(self):
        made = supervisor()
        made.registration.enter()
        claim_for(made)
        made.sign_off()

    def again(self):
        made = supervisor("next")
        made.registration.enter()
        made.heartbeat.beat(1)
        sweep_until_quiet(made)

    def check(self):
        assert [server.name for server in Server.all()] == ["next"]
        assert not DyingHeldJob.running().exists()


class RegisterAgain(Unregister):
    """A server was taken for dead while it slept, its work went to others, its name to another."""

    taken = True

    def act(self):
        made = supervisor()
        made.registration.enter()
        claim_for(made)
        Recovery(application.current(), "judge").bury(Server.first().to_document())
        if self.taken:
            Server.create(name="phoenix", incarnation="successor", heartbeat={"number": 1})
        made.heartbeat.beat(5)
        made.heartbeat.beat(6)
        names = sorted(server.name for server in Server.where(incarnation=made.server.incarnation))
        assert len(names) == 1
        assert made.server.name == names[0]


class RegisterAgainFree(RegisterAgain):
    """The same, and nobody has the name."""

    taken = False


def assert_one_crash():
    (job,) = DyingHeldJob.all()
    assert job.is_queued
    assert job.interruptions == 1, job.interruptions


def sweep_until_quiet(made):
    """Judge the others by beats that are seen at once, not after four intervals."""
    recovery = made.recovery
    recovery._is_dead = lambda server, now: server["_id"] != made.server.id
    recovery.sweep(set())


# --- rocketjob jobs migrate -----------------------------------------------------------------


class DyingMigratedJob(Singleton, Job):
    """Was called DyingOldJob, and its field was called path, without a folder."""

    formerly: ClassVar[list[str]] = ["DyingOldJob"]
    schema_version: ClassVar[int] = 2
    unique_by: ClassVar[tuple[str, ...]] = ("file_name",)
    file_name: str = field(default="", formerly="path")

    @classmethod
    def upcast(cls, document):
        return {**document, "path": f"in/{document['path']}"}

    def perform(self): ...


class Migrate(Scenario):
    """Jobs of earlier code are rewritten, a page at a time, with their unique keys."""

    def create(self):
        jobs, new = Job.collection(), DyingMigratedJob().to_document()
        old = {key: new[key] for key in new.keys() - {"_id", "file_name", VERSION, RENAMED}}
        for number in range(5):
            document = {"_id": Job().id, "_type": "DyingOldJob", "path": f"{number}.csv"}
            jobs.insert_one({**old, **document})

    def act(self):
        survey.PAGE = 2
        command("jobs", "migrate", "--yes")

    def check(self):
        stored = Job.collection().find({}, sort=[("_id", 1)])
        found = [[job.get(key) for key in ("_type", "file_name", "path")] for job in stored]
        assert found == [["DyingMigratedJob", f"in/{n}.csv", None] for n in range(5)], found
        keys = {job["active_key"] for job in Job.collection().find({})}
        assert keys == {
            DyingMigratedJob(file_name=name).unique_keys()["active_key"] for _, name, _ in found
        }
        assert Migration(application.current().store, writes=False).run(bool).rewritten.total() == 0


# --- how it is done -------------------------------------------------------------------------

SCENARIOS = {
    "copy_again": CopyAgain,
    "rotate": Rotate,
    "sync": Sync,
    "sync_changed": SyncChanged,
    "sync_while_running": SyncWhileRunning,
    "run_while_synced": RunWhileSynced,
    "resubmit": Resubmit,
    "resubmit_while_running": ResubmitWhileRunning,
    "batch_upload": BatchUpload,
    "canary": Canary,
    "approve": Approve,
    "migrate": Migrate,
    "register": Register,
    "register_twice": RegisterTwice,
    "bury": Bury,
    "unregister": Unregister,
    "register_again": RegisterAgain,
    "register_again_free": RegisterAgainFree,
}


def main(directory, name, mode):
    made, n, met = SCENARIOS[name], 0, 0
    keys.aesgcm(), keys.invalid_tag()  # imported once, not in each process
    template = Path(directory, "new")
    template.mkdir()
    check(in_a_process(prepare, made(template)) == 0, "cannot create", n)
    scenario = made(shutil.copytree(template, Path(directory, "0")))
    with warming_up(), application_of(scenario):
        scenario.act()
    while True:
        n += 1
        folder = Path(directory, str(n))
        shutil.copytree(template, folder)
        scenario = made(folder)
        reached = {"dies": dies, "meets": meets}[mode](scenario, n)
        if reached != "inside":
            check(in_a_process(finish, scenario) == 0, "wrong afterwards", n)
        shutil.rmtree(folder)
        if not reached:
            print(json.dumps({"points": n - 1, "met": met}))
            return
        met += reached == "met"


def dies(scenario, n):
    code = in_a_process(act, scenario, lambda: Points(n))
    check(code in (0, -signal.SIGKILL), f"ended otherwise: {code}", n)
    return code != 0


def meets(scenario, n):
    """Let another act while the first is at its nth point; return whether it got there."""
    first, asked, answer = start(lambda *pipes: act(scenario, lambda: Meeting(n, *pipes)))
    reached = os.read(asked, 1)
    other = None
    if reached != b"i":
        other, acted, end = start(lambda *pipes: act_as_other(scenario, *pipes))
        check(os.read(acted, 1) == b"a", "the other one failed", n)
    check(ended(first, asked, answer) == 0, "failed", n)
    check(other is None or ended(other, acted, end) == 0, "the other one failed later", n)
    return {b"m": "met", b"i": "inside", b"": ""}[reached]


def start(function):
    """Start a process that can say something, and wait for an answer; return both pipes' ends."""
    (heard, say), (wait, answer) = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(heard)
        os.close(answer)
        os._exit(in_a_process(function, say, wait) & 1)
    os.close(say)
    os.close(wait)
    return pid, heard, answer


def ended(pid, heard, answer):
    """Let a process go on; return its exit code."""
    with contextlib.suppress(BrokenPipeError):
        os.write(answer, b".")
    os.close(answer)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(heard)
    return code


class Meeting(Points):
    """Counts, and waits at the nth point until the other has acted, unless it holds a lock."""

    def __init__(self, last, ask, answered):
        super().__init__(last)
        self.ask, self.answered = ask, answered

    def pass_one(self):
        self.left -= 1
        if self.left == 0:
            inside = application.current().store._database.in_transaction()
            os.write(self.ask, b"i" if inside else b"m")
            os.read(self.answered, 1)

    def around(self, function):
        def call(*arguments, **keywords):
            self.pass_one()
            value = function(*arguments, **keywords)
            self.pass_one()  # what was read may be old by now
            return value

        return call


@contextlib.contextmanager
def application_of(scenario):
    with sandbox(f"sqlite:///{scenario.folder}/jobs.db", **scenario.settings) as made:
        made.freeze(NOW)
        made.application._plugins, made.application.sandbox = PLUGINS, made
        yield made


def with_worker():
    return application.current().sandbox


def prepare(scenario):
    with application_of(scenario):
        scenario.create()


def act(scenario, make_points):
    with application_of(scenario):
        _ = application.current().store
        points = make_points()
        for calls in (CALLS, MORE_CALLS):
            for owner, names in calls.items():
                for name in names:
                    setattr(owner, name, points.around(getattr(owner, name)))
        try:
            scenario.act()
        except scenario.may_refuse as error:
            assert points.left <= 0, error
        finally:
            points.left = 0  # what comes now is no part of it


def act_as_other(scenario, say, wait):
    """Act, and live on until nobody waits any more, if there is more to do."""
    with application_of(scenario):
        more = scenario.other()
        steps = more if more is not None else iter(())
        next(steps, None)
        os.write(say, b"a")
        while not select.select([wait], [], [], 0.01)[0]:
            next(steps, None)


def finish(scenario):
    with application_of(scenario):
        scenario.again()
        scenario.check()


def command(*words):
    """Run a command line, which must succeed."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            make_cli(plugins=PLUGINS).main(list(words))
        except SystemExit as end:
            code = end.code
    assert code == 0, said.getvalue()


if __name__ == "__main__":
    main(*sys.argv[1:])
