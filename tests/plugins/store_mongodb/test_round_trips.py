"""How many messages go to the server for a job, for a slice and for a command.

Where one of these numbers grows, everybody's jobs are slower by a round trip. What is listed in
docs/stores/mongodb.md comes from here.
"""

import math
import re

import pytest
from click.testing import CliRunner

from rocketjob import Job
from rocketjob.cli import make_cli
from rocketjob.store import Write, context
from rocketjob.testing import sandbox
from rocketjob.worker.committer import Committer
from rocketjob.worker.runner import Worker, work_claimed_job
from rocketjob_plugins.batch import Batch, OutputCategory
from support.commands import hear
from support.runtime import queue_of


class TripsJob(Job):
    def perform(self): ...


class TripsKeptJob(TripsJob):
    destroy_on_complete = False


class TripsBatchJob(Batch, Job):
    destroy_on_complete = False
    slice_size = 1
    output_category = OutputCategory()

    def perform(self, record):
        return record


@pytest.fixture
def commands(monkeypatch):
    return hear(monkeypatch)


@pytest.fixture(params=["true", "false"], ids=["transactions", "without"])
def made(request, commands, mongo_url):
    """A sandbox for the simple jobs here, with transactions and without."""
    options = f"rocketjobTransactions={request.param}&rocketjobWakeUp=polling"
    with sandbox(f"{mongo_url}?{options}", include="^Trips(Kept)?Job$") as made:
        TripsKeptJob.create().destroy()  # what is done once for a process is not counted
        made.work_off()
        commands.taken()
        yield made


@pytest.fixture
def with_transactions(commands, mongo_url):
    with sandbox(f"{mongo_url}?rocketjobWakeUp=polling", include="^Trips") as made:
        TripsBatchJob.create().destroy()
        made.work_off()
        commands.taken()
        yield made


class GroupWorker(Worker):
    """Leaves the ends of its jobs to a group, as the threads of a worker process do."""

    group: Committer

    def commit(self, change):
        self.group.add(change)


def worked_in_a_group(made, number):
    """Claim jobs in one step, perform them, and have their ends written in one."""
    queue = queue_of(made)
    worker = GroupWorker("here:1", queue=queue)
    worker.group = Committer(made.store, ended=lambda *_: None, follow=lambda _: None)
    jobs = queue.claim(number)
    for job in jobs:
        assert work_claimed_job(job, worker)
    for _ in range(math.ceil(number / 100)):
        worker.group.write(at_once=True)
    return jobs


# --- a job ---------------------------------------------------------------------------------------


def test_a_job_alone_takes_three_messages(made, commands):
    TripsKeptJob.create()
    assert made.work_off(limit=1) == 1
    assert commands.counted() == {"insert": 1, "findAndModify": 1, "update": 1}


def test_a_job_alone_that_is_removed_takes_three_and_the_note_of_it(made, commands):
    TripsJob.create()
    assert made.work_off(limit=1) == 1
    sent = commands.taken()
    assert [each.name for each in sent if each.collection == TripsJob.collection_name] == [
        "insert",
        "findAndModify",
        "delete",
    ]
    assert len(sent) <= 4


@pytest.mark.parametrize("cls", [TripsJob, TripsKeptJob])
def test_jobs_in_groups_take_fewer_than_one_and_a_half_messages_each(made, commands, cls):
    cls.create_many([{} for _ in range(40)])
    assert len(worked_in_a_group(made, 40)) == 40
    sent = commands.counted()
    kept_alone = cls is TripsKeptJob and not made.store.supports_transactions
    assert sum(sent.values()) < (1.5 * 40 if kept_alone else 0.4 * 40)
    looked_at = cls is TripsJob and not made.store.supports_transactions  # before their removal
    assert sent["find"] + sent["findAndModify"] + sent["getMore"] == 2 + looked_at  # of their claim


def test_with_transactions_a_group_takes_as_many_messages_however_large_it_is(
    with_transactions, commands
):
    for number in (5, 50):
        TripsJob.create_many([{} for _ in range(number)])
        assert len(worked_in_a_group(with_transactions, number)) == number
    few_and_many = commands.taken()
    half = len(few_and_many) // 2
    assert [each.name for each in few_and_many[:half]] == [
        each.name for each in few_and_many[half:]
    ]
    assert half <= 9  # created 2, looked for running ones 1, claimed 3, ended 2, noted 1


def test_a_group_of_removed_and_kept_jobs_is_ended_in_one_message_of_each_kind(
    with_transactions, commands
):
    for _ in range(5):
        TripsJob.create()
        TripsKeptJob.create()
    commands.taken()
    assert len(worked_in_a_group(with_transactions, 10)) == 10
    sent = commands.counted()
    assert sent["delete"] == 1
    assert sent["update"] == 2  # and the claim
    assert TripsKeptJob.completed().count() == 5


# --- guarded writes in a transaction -------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2, 3, 30])
def test_writes_within_a_transaction_say_which_matched_in_a_few_messages(
    with_transactions, commands, number
):
    store = with_transactions.store
    docs = store.collection("docs")
    docs.insert_many([{"_id": n, "kept": n % 2} for n in range(number)])
    commands.taken()
    update = {"$set": {"seen": True}}
    with store.transaction() as session:
        writes = [Write({"_id": n, "kept": 1}, None if n % 3 else update) for n in range(number)]
        held = store.write_many("docs", writes, session=session)
    assert held == [bool(n % 2) for n in range(number)]
    assert len(commands.taken()) <= 4
    left = {each["_id"]: each for each in docs.find()}
    assert set(left) == {n for n in range(number) if n % 2 == 0 or n % 3 == 0}
    assert {n for n, each in left.items() if "seen" in each} == {
        n for n in range(number) if n % 2 and n % 3 == 0
    }


def test_writes_of_one_document_within_a_transaction_are_made_in_their_order(with_transactions):
    store = with_transactions.store
    store.collection("docs").insert_one({"_id": 1, "n": 0})
    steps = [Write({"_id": 1, "n": n}, {"$inc": {"n": 1}}) for n in (0, 1, 1, 2)]
    with store.transaction() as session:
        assert store.write_many("docs", steps, session=session) == [True, True, False, True]


# --- slices --------------------------------------------------------------------------------------


def per_slice(made, commands, records):
    """Return the messages that are sent for the slices of a job, without those for the job."""
    job = TripsBatchJob()
    job.upload([str(number) for number in range(records)])
    job.save()
    commands.taken()
    made.work_off()
    assert len(list(job.reload().records())) == records
    return len(commands.taken())


def test_a_slice_takes_a_few_messages(with_transactions, commands, monkeypatch):
    monkeypatch.setattr("rocketjob_plugins.batch.work.slices.GROUP_LIMIT", 1)
    few, many = (per_slice(with_transactions, commands, records) for records in (5, 25))
    assert many - few <= 20 * 5  # looked at the job, claimed; its output, end and commit


def test_slices_in_groups_take_fewer(with_transactions, commands, monkeypatch):
    monkeypatch.setattr("rocketjob_plugins.batch.work.slices.GROUP_SECONDS", 1e6)
    few, many = (per_slice(with_transactions, commands, records) for records in (5, 200))
    assert many - few <= 20


# --- commands ------------------------------------------------------------------------------------


def test_a_list_of_jobs_takes_as_many_messages_however_long_it_is(with_transactions, commands):
    counts = []
    for number in (2, 30):
        TripsKeptJob.create_many([{} for _ in range(number)])
        commands.taken()
        made = CliRunner().invoke(make_cli(), ["jobs", "list", "--limit", "50"])
        assert made.exit_code == 0, made.output
        assert made.output.count("TripsKeptJob") >= number
        counts.append(len(commands.taken()))
    assert counts[0] == counts[1]
    assert counts[1] <= 2


# What a command sends from its start to its end, with what the store asks to connect: the version
# of the server, the rights, and what is known of it; and the end of its session.
CONNECTS = 4
LOOKS = {
    "jobs list": 1,
    "jobs show ID": 3,
    "servers list": 2,
    "metrics": 1,
    "audit": 1,
    "failures": 3,
    "webhooks list": 1,
    "schedule": 3,
    "dirmon list": 2,
    "plugins": -CONNECTS,
}
CHANGES = {
    "enqueue trips_app:TripsAppJob": 4,  # the indexes are there, the job, its record, the commit
    "jobs pause ID -y": 6,
    "jobs destroy ID -y": 6,
}
APP = """
from rocketjob import Job

class TripsAppJob(Job):
    destroy_on_complete = False

    def perform(self): ...
"""


@pytest.mark.parametrize("line", [*LOOKS, *CHANGES])
def test_a_command_connects_and_asks_for_what_it_needs(
    commands, mongo_url, monkeypatch, tmp_path, line
):
    (tmp_path / "trips_app.py").write_text(APP)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROCKETJOB_URL", mongo_url)

    def run(line):
        context.replace(None)  # as in a process of its own
        commands.taken()
        made = CliRunner().invoke(make_cli(), line.split())
        assert made.exit_code == 0, made.output
        context.current().close()
        return made.output

    run("enqueue trips_app:TripsAppJob")  # makes what a new database lacks
    id = re.search(r'"id": "(\w{24})"', run("jobs list --json"))[1]
    run(line.replace("ID", id))
    sent = commands.taken()
    assert len(sent) <= CONNECTS + {**LOOKS, **CHANGES}[line], [each[:2] for each in sent]
