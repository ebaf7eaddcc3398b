"""What is done while writes are interrupted: a scenario for each kind of job, and what must hold.

A scenario is a generator: up to its first `yield` it makes what a pool then performs, after that it
says what must be so.
"""

import contextlib
import threading
from collections import Counter
from datetime import timedelta

from rocketjob import Job
from rocketjob.base import clock
from rocketjob.plugins.manager import PluginManager
from rocketjob.server.recovery import Recovery
from rocketjob.server.registration import Registration
from rocketjob.server.server import Server
from rocketjob.store import notes
from rocketjob.store.away import is_away
from rocketjob.store.lease import Turns
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory, Statistics
from rocketjob_plugins.batch.outcome import rejects
from rocketjob_plugins.cron import Cron
from rocketjob_plugins.dirmon import DirmonEntry, DirmonJob
from rocketjob_plugins.dirmon.intake import DROPPED, DirmonFile
from rocketjob_plugins.resumable import Resumable
from rocketjob_plugins.retry import Retry
from rocketjob_plugins.singleton import Singleton
from rocketjob_plugins.throttle import Throttle
from support.runtime import eventually, queue_of, running_pool

PLUGINS = PluginManager()  # once: to find them takes longer than what is tried here
ACTIVE = ["queued", "running", "paused"]
OVERDUE = timedelta(seconds=61)  # what was left half done is finished by others then
BEAT = {"number": 1, "workers": 1, "performing": []}
delivered = 0  # writes that came when all was over
performed = []  # what, under which claim


class InterruptedJob(Job, abstract=True):
    destroy_on_complete = False

    def perform(self):
        performed.append((self.id, self.claim_number))


class InterruptedPlainJob(InterruptedJob):
    number: int = 0


class InterruptedRemovedJob(InterruptedJob):
    destroy_on_complete = True


class InterruptedFailingJob(InterruptedJob):
    def perform(self):
        super().perform()
        raise ValueError("broken")


class InterruptedRetriedJob(Retry, InterruptedFailingJob):
    retry_limit = 2

    def retry_delay(self, attempt):
        return 0


class InterruptedCronJob(Cron, InterruptedJob):
    cron_schedule = "0 1 1 1 * UTC"


class InterruptedSingletonJob(Singleton, InterruptedJob):
    pass


class InterruptedThrottledJob(Throttle, InterruptedJob):
    throttle_running_jobs = 1


class InterruptedRateJob(Throttle, InterruptedJob):
    rate_limit = "100/hour"


class InterruptedResumableJob(Resumable, InterruptedJob):
    def perform(self):
        for row in self.resumable(range(4), every=2):
            performed.append((self.id, self.claim_number, row))


class InterruptedLinesJob(Statistics, Batch, Job):
    destroy_on_complete = False
    max_rejects = 10
    input_category = InputCategory(slice_size=2)
    output_category = OutputCategory()

    def perform(self, line):
        slice_ = self.current_slice
        performed.append((self.id, slice_.id, slice_.claim_number, self.record_number))
        self.statistics_inc("seen")
        if line == "bad":
            raise ValueError("bad line")
        return line.upper()


class InterruptedSlowLinesJob(InterruptedLinesJob):
    throttle_running_workers = 1


class InterruptedFileJob(InterruptedLinesJob):
    """What the directory monitor makes of a file."""


def patiently(step):
    """Take a step again where the store was away, as everybody does."""
    for _ in range(3):
        with away():
            return step()
    raise AssertionError("a write was interrupted more than once")


@contextlib.contextmanager
def away():
    """Have the store be away in the block, and nothing else."""
    try:
        yield
    except Exception as error:
        if not is_away(error):
            raise


# --- what is done, and what must be so in the end -----------------------------------------------


def one_is_created(made, folder):
    job = InterruptedPlainJob()
    patiently(job.save)
    yield
    assert InterruptedPlainJob.count() == 1
    assert_ended(job, "completed")


def many_are_created(made, folder):
    jobs = [InterruptedPlainJob(number=number) for number in range(3)]
    patiently(lambda: InterruptedPlainJob.create_many(jobs))
    yield
    assert sorted(job.number for job in InterruptedPlainJob.all()) == [0, 1, 2]
    for job in jobs:
        assert_ended(job, "completed")


def one_is_removed_at_its_end(made, folder):
    patiently(InterruptedRemovedJob().save)
    yield
    assert InterruptedRemovedJob.count() <= delivered  # as below
    assert len(performed) >= 1


def one_fails(made, folder):
    job = InterruptedFailingJob()
    patiently(job.save)
    yield
    assert_ended(job, "failed")
    assert job.failure_count == 1
    assert job.exception.class_name == "ValueError"


def one_is_retried(made, folder):
    job = InterruptedRetriedJob()
    patiently(job.save)
    yield
    assert_ended(job, "failed")
    assert job.failure_count == 3
    assert events(job)["retry"] == 2


def a_schedule_goes_on(made, folder):
    job = InterruptedCronJob()
    patiently(job.save)
    patiently(lambda: job.reload().is_queued and job.run_at and job.run_now())
    yield
    assert_ended(job, "completed")
    assert InterruptedCronJob.count() == 2
    assert InterruptedCronJob.where(state="queued").count() == 1


def one_is_the_only_one(made, folder):
    job = InterruptedSingletonJob()
    patiently(job.save)
    yield
    assert_ended(job, "completed")
    InterruptedSingletonJob.create()


def one_at_a_time(made, folder):
    jobs = [InterruptedThrottledJob() for _ in range(3)]
    for job in jobs:
        patiently(job.save)
    yield
    for job in jobs:
        assert_ended(job, "completed")


def some_in_an_hour(made, folder):
    jobs = [InterruptedRateJob() for _ in range(2)]
    for job in jobs:
        patiently(job.save)
    yield
    for job in jobs:
        assert_ended(job, "completed")


def one_goes_on_where_it_was(made, folder):
    job = InterruptedResumableJob()
    patiently(job.save)
    yield
    assert_ended(job, "completed")
    assert {row for *_, row in performed} == set(range(4))


LINES = ["a", "b", "bad", "c", "d"]


def a_file_is_uploaded(made, folder):
    job = InterruptedLinesJob()
    patiently(lambda: job.record_count or job.upload(LINES))
    patiently(job.save)
    yield
    assert_lines_are_done(job)


def a_slice_at_a_time(made, folder):
    job = InterruptedSlowLinesJob()
    patiently(lambda: job.record_count or job.upload(LINES))
    patiently(job.save)
    yield
    assert_lines_are_done(job)


def a_stored_job_is_uploaded_to(made, folder):
    job = InterruptedLinesJob()
    job.pause(save=False)
    patiently(job.save)
    patiently(lambda: job.reload().record_count or job.upload(LINES))
    patiently(lambda: job.reload().is_paused and job.resume())
    yield
    assert_lines_are_done(job)


def a_file_is_dropped(made, folder):
    (folder / "in").mkdir(parents=True)
    (folder / "in" / "a.txt").write_text("".join(f"{line}\n" for line in LINES))
    entry = DirmonEntry(pattern=f"{folder}/in/*.txt", job_class_name="InterruptedFileJob")
    patiently(entry.save)
    patiently(lambda: entry.reload().is_enabled or entry.enable())
    memory = {}
    for _ in range(6):
        made.travel(timedelta(minutes=3))  # of what was interrupted the lease is over
        job = DirmonJob(previous_file_names=memory)
        with away():
            job.perform()
        memory = job.previous_file_names
    yield
    assert entry.reload().is_enabled, entry.exception
    (job,) = InterruptedFileJob.all()
    assert_lines_are_done(job)
    assert not DirmonFile.where({"by": {"$ne": DROPPED}}).exists()


def a_server_dies(made, folder):
    plain, lines = InterruptedPlainJob(), InterruptedLinesJob()
    plain.priority = 1
    patiently(plain.save)
    patiently(lambda: lines.record_count or lines.upload(LINES))
    patiently(lines.save)
    dead = Server(name="dead", state="running", heartbeat_seconds=1, heartbeat=BEAT)
    patiently(dead.save)
    owner = f"{dead.incarnation}.1"
    patiently(lambda: queue_of(made, owner).claim(1))
    work = {"state": "running", "sub_state": "processing"}
    jobs = made.store.collection("rocket_job.jobs")
    # Guarded, as all such writes are: one that arrives late must find nothing any more.
    guard = {"_id": lines.id, "state": {"$in": ["queued", "running"]}}
    patiently(lambda: jobs.update_one(guard, {"$set": work}))
    patiently(lambda: lines.input.claim(owner, "dead:1:1", 1))
    patiently(lambda: Recovery(made.application, "heir").bury(dead.to_document()))
    yield
    assert Server.count() == 0
    assert_ended(plain, "completed")
    assert_lines_are_done(lines)


def a_server_lives(made, folder):
    server = Server(name="alive", state="running", heartbeat_seconds=1, heartbeat=BEAT)
    recovery = Recovery(made.application, server.incarnation)
    own = Registration(made.application.config, server, recovery, threading.Event())
    patiently(own.enter)
    patiently(lambda: own.beat({**BEAT, "number": 2}, "running"))
    patiently(
        lambda: Server.collection().delete_one({"_id": server.id})
    )  # others have taken it for dead
    patiently(lambda: own.beat({**BEAT, "number": 3}, "running"))
    patiently(lambda: own.beat({**BEAT, "number": 4}, "running"))
    yield
    own.beat({**BEAT, "number": 5}, "running")  # a late one may have put the number back
    (stored,) = Server.collection().find({})
    assert (stored["_id"], stored["heartbeat"]["number"]) == (server.id, 5)


def somebody_steers(made, folder):
    first, second = InterruptedPlainJob(), InterruptedPlainJob()
    for job in (first, second):
        job.pause(save=False)
        patiently(job.save)
    patiently(lambda: InterruptedPlainJob.where(state="paused").update_all(number=7))
    patiently(lambda: first.reload().is_queued or first.resume())
    patiently(lambda: second.reload().is_failed or second.fail("seen by somebody"))
    patiently(lambda: second.reload().is_queued or second.retry())
    third = InterruptedPlainJob()
    third.pause(save=False)
    patiently(third.save)
    patiently(lambda: InterruptedPlainJob.where(number=0).delete_all())
    fourth = InterruptedPlainJob()
    fourth.pause(save=False)
    patiently(fourth.save)
    patiently(fourth.destroy)
    schedule = InterruptedCronJob()
    patiently(schedule.save)
    patiently(lambda: schedule.reload().is_aborted or schedule.abort())
    yield
    assert InterruptedCronJob.where(state="aborted").count() == 1
    assert InterruptedCronJob.where(state="queued").count() == 1
    # An insert that arrives after the document was removed brings it back: docs/stores/mongodb.md.
    numbers = [job.number for job in InterruptedPlainJob.all()]
    assert numbers[:2] == [7, 7]
    assert len(numbers) <= 2 + delivered
    assert_ended(first, "completed")
    assert_ended(second, "completed")
    assert events(second)["fail"] == events(second)["retry"] == 1


def turns_are_taken(made, folder):
    turns = Turns(made.store.collection("rocket_job.limits"), "turn", timedelta(seconds=10))
    taken = 0
    for _ in range(4):
        with away():
            taken += turns.take()
        with away():
            turns.end()
        made.travel(timedelta(minutes=6))  # whoever died at it is taken for dead
    yield
    assert taken >= 2


def events(job):
    return Counter(entry.event for entry in job.history)


def assert_ended(job, state):
    assert job.reload().state == state
    assert job.claimed_by is None
    ends = events(job)["complete"], events(job)["fail"] - events(job)["retry"]
    assert ends == ((1, 0) if state == "completed" else (0, 1)), job.history


def assert_lines_are_done(job):
    assert_ended(job, "completed")
    assert [record for slice_ in job.output for record in slice_] == ["A", "B", "C", "D"]
    assert [record for _, record, _ in rejects.each(job)] == ["bad"]
    assert job.record_count == len(LINES)
    assert job.statistics == {"seen": len(LINES) - 1}
    # What arrives when all is over is performed by nobody, and goes with the job.
    assert delivered or not job.input.collection.count_documents({})


SCENARIOS = [
    one_is_created,
    many_are_created,
    one_is_removed_at_its_end,
    one_fails,
    one_is_retried,
    a_schedule_goes_on,
    one_is_the_only_one,
    one_at_a_time,
    some_in_an_hour,
    one_goes_on_where_it_was,
    a_slice_at_a_time,
    a_file_is_uploaded,
    a_stored_job_is_uploaded_to,
    a_file_is_dropped,
    a_server_dies,
    a_server_lives,
    somebody_steers,
    turns_are_taken,
]


def run(made, steps, writes):
    global delivered
    next(steps)
    with running_pool(made, threads=1) as workers:
        eventually(lambda: has_ended(made, workers))
    delivered = writes.stop()
    made.travel(OVERDUE)
    made.store.recover()
    for document in made.store.collection("rocket_job.jobs").find({}):
        assert not {notes.FIELD, notes.HELD} & document.keys()
    assert max(Counter(performed).values(), default=1) == 1
    assert next(steps, None) is None


def has_ended(made, workers):
    """Return whether all jobs have that are due; time passes meanwhile, as for leases."""
    made.travel(timedelta(seconds=0.5))
    workers.wake()
    due = {"$or": [{"run_at": None}, {"run_at": {"$lt": clock.now() + timedelta(days=1)}}]}
    return not Job.where({"$and": [{"state": {"$in": ACTIVE}}, due]}).exists()
