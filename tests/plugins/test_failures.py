"""Failures in groups: which there are, all of one again, and what somebody has seen; row P21."""

import json
from datetime import timedelta
from operator import eq

import pytest
from bson import ObjectId
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from rocketjob import Job, Server
from rocketjob.base import clock
from rocketjob.base.acts import acting
from rocketjob.cli import make_cli
from rocketjob.server.checks import Patient
from rocketjob.server.verdict import FAILING, OK, WATCH, judge
from rocketjob_plugins import audit
from rocketjob_plugins.batch import Batch, InputCategory
from rocketjob_plugins.failures import (
    acknowledge,
    acknowledged,
    groups_of,
    look,
    looking,
    plan_for,
    retry,
    retrying,
)
from rocketjob_plugins.failures.acknowledged import COLLECTION, KEPT, remove_old
from rocketjob_plugins.failures.groups import trend
from rocketjob_plugins.failures.pattern import LONGEST, READ, pattern_of


class GroupedJob(Job):
    destroy_on_complete = False
    text: str = "the disk is full"

    def perform(self):
        raise ValueError(self.text)


class OtherGroupedJob(Job):
    destroy_on_complete = False

    def perform(self):
        raise ValueError("the disk is full")


class GroupedBatchJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=1)

    def perform(self, record):
        if record.startswith("bad"):
            raise KeyError(f"state '{record}' is not known")


MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def failed(rocketjob, *texts):
    for text in texts:
        GroupedJob.create(text=text)
    rocketjob.work_off()


def batch(rocketjob, *records):
    job = GroupedBatchJob()
    job.upload(records)
    job.save()
    rocketjob.work_off()
    return job.reload()


def in_state(job, state):
    Job.collection().update_one({"_id": job.id}, {"$set": {"state": state}})
    return job


def only():
    (group,) = groups_of(look())
    return group


# --- patterns ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "pattern"),
    [
        ("state 'ZZ' not known", "state '…' not known"),
        ('no column "a b" in line 44,312', 'no column "…" in line #'),
        ("can't open it: it's gone", "can't open it: it's gone"),
        ("'it's here' is wrong", "'…' is wrong"),
        ("took 30.5 s on acme2.csv", "took # s on acme#.csv"),
        ("job 55aeaf03a26ec0c1bd00008d at 0x7f3a", "job # at #"),
        ("4f7d2f0c-0f5b-4c1e-9d2a-1f6a0c2b9e11 is taken", "# is taken"),
        ("no \u2018a b\u2019, or \u201cc\u201d", "no \u2018…\u2019, or \u201c…\u201d"),
        ("facade decade", "facade decade"),
        ("two\n  lines\tof it", "two lines of it"),
        ("", ""),
    ],
)
def test_numbers_and_what_is_quoted_tell_no_messages_apart(message, pattern):
    assert pattern_of(message) == pattern


@given(st.text())
def test_any_text_has_a_pattern_that_is_short_and_its_own_pattern(text):
    pattern = pattern_of(text)
    assert len(pattern) <= LONGEST
    assert "\n" not in pattern


@pytest.mark.parametrize("part", ["'", '"', "`", "\u2018", "\u201c", "a1", "0x", "1.", "'a "])
def test_no_message_takes_long(part):
    assert len(pattern_of(part * 20_000)) <= LONGEST


# --- groups --------------------------------------------------------------------------------------


def test_P21_two_jobs_with_the_same_error_are_one_group(rocketjob):
    failed(rocketjob, "state 'ZZ' is not known in line 7", "state 'XX' is not known in line 812")
    failed(rocketjob, "the disk is full")
    OtherGroupedJob.create()
    rocketjob.work_off()
    groups = {(g.name, g.error, g.pattern): g.count for g in groups_of(look())}
    assert groups == {
        ("GroupedJob", "ValueError", "state '…' is not known in line #"): 2,
        ("GroupedJob", "ValueError", "the disk is full"): 1,
        ("OtherGroupedJob", "ValueError", "the disk is full"): 1,
    }


def test_P21_a_group_says_when_it_was_first_and_last_seen_and_its_messages(rocketjob):
    rocketjob.freeze()
    begin = clock.now()
    failed(rocketjob, "line 1", "line 1")
    rocketjob.travel(HOUR)
    failed(rocketjob, "line 2")
    group = only()
    assert (group.first, group.last) == (begin, begin + HOUR)
    assert group.messages == [("line 1", 2), ("line 2", 1)]
    assert (group.words, len(group.jobs), group.slices) == ("3 jobs", 3, 0)
    assert trend(group, bars=4) == [2, 0, 0, 1]


def test_P21_failed_slices_count_each_and_their_job_does_not_besides(rocketjob):
    job = batch(rocketjob, "bad 1", "good", "bad 2")
    assert job.is_failed
    group = only()
    assert group.error == "KeyError"
    assert (group.words, group.jobs) == ("2 slices", [job.id])
    assert group.last is not None


@pytest.mark.parametrize("state", ["running", "paused"])
def test_P21_slices_of_a_job_that_is_still_in_work_are_among_them(rocketjob, state):
    in_state(batch(rocketjob, "bad 1", "good"), state)
    assert only().words == "1 slice"


def test_P21_they_can_be_narrowed_to_a_time_and_to_a_class(rocketjob):
    failed(rocketjob, "the disk is full")
    rocketjob.travel(2 * HOUR)
    OtherGroupedJob.create()
    rocketjob.work_off()
    begin = clock.now() - HOUR
    assert [g.name for g in groups_of(look(), since=begin)] == ["OtherGroupedJob"]
    assert [g.name for g in groups_of(look(), name="GroupedJob")] == ["GroupedJob"]


def test_P21_of_very_many_the_newest_are_looked_at_and_it_says_so(rocketjob, monkeypatch):
    monkeypatch.setattr(looking, "MOST", 3)
    for number in range(5):
        failed(rocketjob, f"line {number}")
        rocketjob.travel(MINUTE)
    found = look()
    assert [each.message for each in found.all] == ["line 4", "line 3", "line 2"]
    assert found.is_partial and found.more
    assert found.remarks == ("Only the newest 3 failed jobs were looked at: there are more.",)


def test_P21_a_look_that_takes_too_long_ends_and_says_so(rocketjob, monkeypatch):
    monkeypatch.setattr(looking, "LEAST", (1, 1))
    failed(rocketjob, "line 1", "line 2")
    jobs = [batch(rocketjob, "bad 1"), batch(rocketjob, "bad 1")]
    for job, state in zip(jobs, ("running", "paused"), strict=True):
        in_state(job, state)
    found = look(seconds=-1)
    assert [each.slice is None for each in found.all] == [False, True]
    assert found.remarks == (
        "Only the newest 1 failed jobs were looked at: there are more.",
        "The slices of 1 batch job have not been looked at yet.",
    )


def test_P21_slices_of_a_job_that_has_ended_are_read_once(rocketjob, monkeypatch):
    batch(rocketjob, "bad 1")
    memory = {}
    assert len(look(memory).all) == 1
    monkeypatch.setattr(looking, "failed_slices", lambda *_: pytest.fail("read again"))
    assert len(look(memory).all) == 1


WRONG = [
    {"exception": None},
    {"exception": "it broke"},
    {"exception": {"class_name": 7, "message": ["a"]}},
    {"_type": 5},
    {"completed_at": "yesterday"},
    {"sub_state": "processing"},
]


@pytest.mark.parametrize("wrong", WRONG, ids=[next(iter(each)) for each in WRONG])
def test_what_something_else_has_written_hides_nothing(rocketjob, wrong):
    failed(rocketjob, "the disk is full")
    stored = {"_id": ObjectId(), "_type": "GroupedJob", "state": "failed"}
    Job.collection().insert_one({**stored, "completed_at": clock.now(), **wrong})
    assert sum(group.count for group in groups_of(look())) == 2


# --- again ---------------------------------------------------------------------------------------


def test_P21_all_of_a_group_is_retried_and_nothing_else(rocketjob):
    failed(rocketjob, "line 1", "line 2", "the disk is full")
    group = next(g for g in groups_of(look()) if g.count == 2)
    plan = plan_for(group)
    assert plan.sentences == ["2 failed jobs would be retried."]
    outcome = retry(plan, by="ada")
    assert (outcome.jobs, outcome.skipped) == (2, 0)
    assert outcome.sentence == "2 jobs retried"
    states = sorted((job.text, job.state) for job in GroupedJob.all())
    assert states == [("line 1", "queued"), ("line 2", "queued"), ("the disk is full", "failed")]
    assert {job.history[-1].by for job in GroupedJob.queued()} == {"ada"}


def test_P21_a_job_is_retried_once_however_often_it_is_asked_for(rocketjob):
    rocketjob.freeze()
    failed(rocketjob, "line 1", "line 2")
    plan = plan_for(only())
    rocketjob.travel(MINUTE)
    retry(plan)
    again = retry(plan)
    assert (again.jobs, again.skipped) == (0, 2)
    rocketjob.work_off()  # both fail anew, with the same
    again = retry(plan)
    assert (again.jobs, again.skipped) == (0, 2)
    assert again.sentence == "0 jobs retried, 2 skipped, as they have changed"


def test_P21_what_has_failed_since_it_was_shown_is_left_alone(rocketjob):
    rocketjob.freeze()
    failed(rocketjob, "line 1")
    shown = only().last
    rocketjob.travel(MINUTE)
    failed(rocketjob, "line 2")
    assert retry(plan_for(only(), shown)).jobs == 1
    assert [job.text for job in GroupedJob.failed()] == ["line 2"]


def test_P21_a_batch_job_goes_on_with_its_failed_slices_which_is_said_before(rocketjob):
    job = batch(rocketjob, "bad 1", "good")
    plan = plan_for(only())
    assert plan.sentences == [
        "1 failed job would be retried.",
        "1 of them is a batch job, and goes on with all its failed slices.",
    ]
    assert retry(plan).jobs == 1
    assert job.reload().is_running and job.input.count("queued") == 1


def test_P21_of_a_job_in_work_only_the_slices_of_the_group_are_queued_again(rocketjob):
    job = in_state(batch(rocketjob, "bad 1", "bad 2"), "running")
    slices = job.input.collection
    slices.update_one({"_id": 1}, {"$set": {"exception.message": "something else"}})
    group = next(g for g in groups_of(look()) if "something else" not in g.pattern)
    plan = plan_for(group)
    assert plan.sentences == ["1 failed slice of 1 job would be queued again, and no others."]
    assert retry(plan).sentence == "1 slice queued again"
    assert [(s.id, s.state) for s in job.input] == [(1, "failed"), (2, "queued")]
    assert retry(plan).skipped == 1


def test_P21_of_a_job_that_has_failed_slices_of_other_groups_stay_failed(rocketjob):
    job = batch(rocketjob, "bad 1", "bad 2", "bad 3")
    slices = job.input.collection
    slices.update_one({"_id": 1}, {"$set": {"exception.message": "something else"}})
    group = next(g for g in groups_of(look()) if "something else" not in g.pattern)
    plan = plan_for(group)
    assert plan.sentences == [
        "2 failed slices of 1 job would be queued again, and no others.",
        "1 of these jobs has failed, and goes on with them.",
    ]
    with acting(by="ada"):
        assert retry(plan).sentence == "2 slices queued again"
    assert [(s.id, s.state) for s in job.input] == [(1, "failed"), (2, "queued"), (3, "queued")]
    assert job.reload().is_running
    assert {record.by for record in audit.records()} == {"ada"}
    again = retry(plan)
    assert (again.slices, again.skipped) == (0, 2)


@pytest.mark.parametrize("most", ["MOST_SLICES", "MOST_IN_ALL"])
def test_P21_a_job_whose_slices_were_not_all_looked_at_is_not_retried_as_a_whole(
    rocketjob, monkeypatch, most
):
    job = batch(rocketjob, "bad 1", "bad 2")
    job.input.collection.update_one({"_id": 2}, {"$set": {"exception.message": "something else"}})
    monkeypatch.setattr(looking, most, {"MOST_SLICES": 1, "MOST_IN_ALL": 0}[most])
    memory = {}
    for _ in range(2):  # what is remembered of a look says so, too
        found = look(memory)
        assert found.partial == {job.id} and found.is_partial
    (group,) = groups_of(found)
    plan = plan_for(group)
    assert not plan.jobs
    outcome = retry(plan)
    if most == "MOST_SLICES":
        assert (outcome.jobs, outcome.slices) == (0, 1)
        assert [s.state for s in job.input] == ["queued", "failed"]
    else:
        why = "its failed slices have not been looked at"
        assert plan.sentences == [f"1 job cannot be retried now: {why}."]
        assert outcome.failed == {job.id: why}
        assert job.reload().is_failed and job.input.count("failed") == 2


def test_P21_a_job_that_has_slices_of_another_group_after_all_is_left_alone(rocketjob):
    job = batch(rocketjob, "bad 1", "bad 2")
    plan = plan_for(only())
    job.input.collection.update_one({"_id": 1}, {"$set": {"exception.message": "something else"}})
    assert (len(plan.jobs), retry(plan).skipped) == (1, 1)
    assert job.reload().is_failed and job.input.count("failed") == 2


def test_P21_a_job_whose_end_is_no_time_cannot_be_retried_which_is_said_before(rocketjob):
    failed(rocketjob, "line 1")
    job = GroupedJob.first()
    Job.collection().update_one({"_id": job.id}, {"$set": {"completed_at": "yesterday"}})
    plan = plan_for(only())
    assert plan.sentences == ["1 job cannot be retried now: its end is no time."]
    assert retry(plan).sentence == "0 jobs retried, 1 not possible"


def test_of_a_very_long_message_the_beginning_is_kept(rocketjob):
    failed(rocketjob, "long " * 2_000)
    (failure,) = look().all
    assert eq(len(failure.message), READ)


def test_P21_slices_of_a_job_that_has_failed_anew_are_left_alone(rocketjob):
    rocketjob.freeze()
    job = batch(rocketjob, "bad 1", "bad 2")
    job.input.collection.update_one({"_id": 1}, {"$set": {"exception.message": "something else"}})
    group = next(g for g in groups_of(look()) if "something else" not in g.pattern)
    plan = plan_for(group)
    rocketjob.travel(MINUTE)
    job.retry()
    rocketjob.work_off()
    assert job.reload().is_failed
    assert retry(plan).skipped == 1


@pytest.mark.parametrize(
    ("is_batch", "when"),
    [
        (False, "before it is read"),
        (False, "after it was read"),
        (True, "before it is read"),
        (True, "after it was read"),
        (True, "after its slices"),
    ],
)
def test_P26_of_two_who_retry_a_group_at_once_the_later_does_not_retry_what_failed_anew(
    rocketjob, monkeypatch, is_batch, when
):
    if is_batch:
        batch(rocketjob, "bad 1", "bad 2")
    else:
        failed(rocketjob, "bad 1")
    job = Job.last()
    plan, looked = plan_for(only()), retrying.failed_slices

    def other():
        Job.find(job.id).retry()
        rocketjob.work_off()
        assert Job.find(job.id).is_failed

    def looks(*arguments):
        found = list(looked(*arguments))
        other()
        return found

    def may(seen):
        if when == "after it was read":
            other()
        return True

    if when == "before it is read":
        other()
    if when == "after its slices":
        monkeypatch.setattr(retrying, "failed_slices", looks)
    outcome = retry(plan, may=may)
    assert (outcome.jobs, outcome.skipped, outcome.failed) == (0, 1, {})
    assert job.reload().is_failed


def test_P26_a_slice_that_has_failed_anew_while_its_job_goes_on_is_left_alone(rocketjob):
    rocketjob.freeze()
    job = batch(rocketjob, "bad 1", "bad 2")
    in_state(job, "running")
    plan = plan_for(only())
    rocketjob.travel(MINUTE)
    job.input.collection.update_one({"_id": 1}, {"$set": {"failed_at": clock.now()}})
    outcome = retry(plan)
    assert (outcome.slices, outcome.skipped) == (1, 1)


def test_P48_what_is_to_stop_between_two_stops_and_says_so(rocketjob):
    failed(rocketjob, "line 1", "line 2", "line 3")

    def steps(items):
        yield items[0]
        raise PermissionError("revoked")

    with pytest.raises(PermissionError, match="revoked"):
        retry(plan_for(only()), steps=steps)
    assert Job.failed().count() == 2


def test_P21_what_somebody_may_not_do_is_counted_as_refused(rocketjob):
    failed(rocketjob, "line 1", "line 2")
    outcome = retry(plan_for(only()), may=lambda job: job.text == "line 1")
    assert (outcome.jobs, outcome.refused) == (1, 1)
    assert GroupedJob.failed().count() == 1


def test_P21_one_that_cannot_be_retried_does_not_keep_back_the_others(rocketjob):
    failed(rocketjob, "line 1", "line 2")
    broken = GroupedJob.first()
    Job.collection().update_one({"_id": broken.id}, {"$set": {"priority": "high"}})
    outcome = retry(plan_for(only()))
    assert outcome.jobs == 1
    assert list(outcome.failed) == [broken.id]


def test_P21_there_is_a_most_at_once_and_the_rest_is_told(rocketjob, monkeypatch):
    monkeypatch.setattr("rocketjob_plugins.failures.retrying.AT_ONCE", 2)
    failed(rocketjob, "line 1", "line 2", "line 3")
    plan = plan_for(only())
    assert plan.later == 1
    assert plan.sentences[-1] == "That is the most at once: 1 are left for the next time."
    assert retry(plan).jobs == 2
    assert plan_for(only()).later == 0


# --- what somebody has seen ----------------------------------------------------------------------


@pytest.fixture
def verdict(rocketjob):
    """Return how it is, and why; a server lives, and there is a sign for nothing else."""
    rocketjob.freeze()
    memory = {}

    def judged():
        Server.delete_all()
        beat = {"updated_at": clock.now(), "number": 1, "workers": 2, "performing": []}
        Server.create(name="host:1", state="running", heartbeat=beat)
        memory.clear()
        found = judge(Patient(rocketjob.application, memory=memory))
        causes = [each.message for each in found.causes if each.area == "jobs"]
        return found.level, causes

    return judged


def test_a_group_that_is_acknowledged_is_failing_again_only_with_a_new_failure(rocketjob, verdict):
    at = clock.now()
    failed(rocketjob, "line 1", "line 2")
    assert verdict() == (FAILING, [f"2 jobs have failed since {at:%H:%M} UTC"])
    acknowledge(only(), by="ada")
    assert verdict() == (OK, [])
    rocketjob.travel(MINUTE)
    failed(rocketjob, "line 3")
    assert verdict() == (FAILING, [f"1 job has failed since {clock.now():%H:%M} UTC"])
    assert len(only().unseen) == 1


def test_another_group_is_not_acknowledged_with_it(rocketjob, verdict):
    failed(rocketjob, "line 1")
    acknowledge(only())
    OtherGroupedJob.create()
    rocketjob.work_off()
    assert verdict()[0] is FAILING


def test_what_was_not_shown_is_not_acknowledged(rocketjob):
    rocketjob.freeze()
    failed(rocketjob, "line 1")
    shown = only().last
    rocketjob.travel(MINUTE)
    failed(rocketjob, "line 2")
    acknowledge(only(), until=shown)
    assert [each.message for each in only().unseen] == ["line 2"]
    acknowledge(only(), until=clock.now() + HOUR)
    rocketjob.travel(MINUTE)
    failed(rocketjob, "line 3")  # nobody acknowledges what has not failed yet
    assert [each.message for each in only().unseen] == ["line 3"]


def test_an_older_page_takes_back_no_newer_acknowledgement(rocketjob):
    rocketjob.freeze()
    failed(rocketjob, "line 1")
    old = only()
    rocketjob.travel(MINUTE)
    failed(rocketjob, "line 2")
    newer = acknowledge(only(), by="ada")
    assert acknowledge(old, until=old.last, by="bob").until == newer.until
    assert not only().unseen


def test_of_two_who_acknowledge_at_once_the_later_time_counts(rocketjob, monkeypatch):
    rocketjob.freeze()
    failed(rocketjob, "line 1")
    old = only()
    rocketjob.travel(MINUTE)
    failed(rocketjob, "line 2")
    new, noted, others = only(), acknowledged._noted, [True, True]

    def late(*args):
        if others:  # somebody else is first, after this one has read: with an insert, an update
            others.pop()
            monkeypatch.setattr(acknowledged, "_noted", noted)
            acknowledge(new if not others else old)
            monkeypatch.setattr(acknowledged, "_noted", late)
        return noted(*args)

    monkeypatch.setattr(acknowledged, "_noted", late)
    acknowledge(old)
    assert only().acknowledged.until == new.last
    assert not only().unseen


def test_an_old_failure_is_to_be_watched_until_it_is_acknowledged(rocketjob, verdict):
    failed(rocketjob, "line 1")
    rocketjob.travel(61 * MINUTE)
    assert verdict() == (WATCH, ["1 job has failed more than an hour ago"])
    acknowledge(only())
    assert verdict() == (OK, [])


def test_the_verdict_names_slices_and_in_how_many_groups(rocketjob, verdict):
    at = clock.now()
    failed(rocketjob, "line 1")
    in_state(batch(rocketjob, "bad 1", "bad 2"), "paused")
    assert verdict()[1] == [
        f"1 job and 2 slices have failed in 2 groups since {at:%H:%M} UTC",
    ]


def test_the_number_of_very_many_does_not_depend_on_how_far_a_look_comes(
    rocketjob, verdict, monkeypatch
):
    at = clock.now()
    failed(rocketjob, *(f"line {number}" for number in range(5)))
    for most in (2, 3):
        monkeypatch.setattr(looking, "MOST", most)
        assert verdict()[1] == [f"5 jobs have failed since {at:%H:%M} UTC"]


def test_where_not_all_were_looked_at_what_is_acknowledged_is_not_counted(
    rocketjob, verdict, monkeypatch
):
    failed(rocketjob, *(f"line {number}" for number in range(5)))
    acknowledge(only())
    rocketjob.travel(MINUTE)
    at = clock.now()
    failed(rocketjob, "line 6")
    monkeypatch.setattr(looking, "MOST", 3)
    assert verdict()[1] == [f"over 1 job has failed since {at:%H:%M} UTC"]


def test_the_audit_has_who_has_seen_what(rocketjob):
    failed(rocketjob, "line 1", "line 2")
    group = only()
    with acting(by="ada", how="a test", reason="known"):
        acknowledge(group)
    (record,) = audit.records()
    assert (record.event, record.by, record.reason) == ("acknowledge", "ada", "known")
    assert (record.id, record.name, record.after["count"]) == (group.key, "GroupedJob", 2)
    seen = only().acknowledged
    assert (seen.by, seen.reason) == ("ada", "known")


def test_what_was_acknowledged_long_ago_is_forgotten(rocketjob):
    failed(rocketjob, "line 1")
    acknowledge(only())
    assert remove_old() == 0
    rocketjob.travel(KEPT + HOUR)
    assert remove_old() == 1


def test_a_mark_that_something_else_has_written_marks_nothing(rocketjob):
    failed(rocketjob, "line 1")
    group = only()
    rocketjob.store.collection(COLLECTION).insert_one({"_id": group.key, "until": "tomorrow"})
    assert only().unseen
    acknowledge(only())
    assert not only().unseen


# --- the command ---------------------------------------------------------------------------------


class Ran:
    """What a command printed, and its exit code."""

    def __init__(self, made):
        self.code, self.out, self.err = made.exit_code, made.stdout, made.stderr

    @property
    def objects(self):
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def cli(rocketjob):
    """Run a command on the test's own store."""
    return lambda *words: Ran(CliRunner().invoke(make_cli(), [str(word) for word in words]))


def test_P21_the_command_shows_the_groups(rocketjob, cli):
    failed(rocketjob, "state 'ZZ' in line 1", "state 'XX' in line 2")
    out = cli("failures").out
    assert "GroupedJob ValueError: state '…' in line #" in out
    (row,) = cli("failures", "--json").objects
    assert (row["class"], row["count"], row["distinct"]) == ("GroupedJob", 2, 2)
    assert eq(sum(row["trend"]), 2)
    (narrowed,) = cli("failures", "--since", "1h", "--class", "GroupedJob", "--json").objects
    assert (narrowed["group"], narrowed["count"]) == (row["group"], 2)


def test_P21_the_command_shows_one_group_by_the_beginning_of_its_key(rocketjob, cli):
    failed(rocketjob, "line 1", "line 2")
    key = only().key
    out = cli("failures", key[:6]).out
    assert "2 jobs, of 2 jobs" in out and "line 2" in out and str(GroupedJob.first().id) in out
    wrong = cli("failures", "zzzz")
    assert (wrong.code, "there is no group zzzz" in wrong.err) == (1, True)
    assert cli("failures", "--retry").code == 2
    assert cli("failures", key, "--retry", "--acknowledge").code == 2


def test_P21_the_command_retries_a_group_once_it_is_told_so(rocketjob, cli):
    failed(rocketjob, "line 1", "line 2")
    key = only().key
    asked = cli("failures", key, "--retry")
    assert (asked.code, "2 failed jobs would be retried." in asked.err) == (2, True)
    assert GroupedJob.failed().count() == 2
    done = cli("failures", key, "--retry", "--yes", "--reason", "fixed")
    assert (done.code, done.out) == (0, "2 jobs retried\n")
    assert {(r.event, r.reason) for r in audit.records()} == {("retry", "fixed")}
    assert "nothing has failed" in cli("failures").err


def test_the_command_acknowledges_a_group(rocketjob, cli):
    failed(rocketjob, "line 1")
    done = cli("failures", only().key, "--acknowledge", "--reason", "known")
    assert done.out == "acknowledged: GroupedJob ValueError: line #, 1 job\n"
    assert "(acknowledged)" in cli("failures").out
    (record,) = audit.records()
    assert (record.event, record.reason) == ("acknowledge", "known")
