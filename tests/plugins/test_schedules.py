"""`@scheduled`, `rocketjob schedules`, and `rocketjob cron next`."""

import json
from datetime import UTC, datetime

import pytest

from rocketjob import ConfigurationError, Job, ValidationError, field
from rocketjob.cli import make_cli
from rocketjob_plugins.cron import Cron, Schedule, scheduled
from rocketjob_plugins.cron.schedules import plan, sync, undeclared

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@scheduled
class NightlyScheduledJob(Cron, Job):
    cron_schedule = "0 1 * * * UTC"

    def perform(self): ...


@scheduled("0 6 * * Mon", name="acme", account_id=7)
@scheduled("0 7 * * Mon", name="beta", account_id=9, priority=20)
class AccountScheduledJob(Cron, Job):
    account_id: int | None = field(default=None, copy_on_restart=True, user_editable=True)

    def perform(self): ...


class SecretScheduledJob(Cron, Job):
    secret: str | None = field(default=None, copy_on_restart=True, encrypted=True)

    def perform(self): ...


@pytest.fixture(autouse=True)
def _at_a_fixed_time(rocketjob):
    rocketjob.freeze(NOW)


@pytest.fixture
def ours(monkeypatch):
    """Only the schedules of this module, whatever other tests have declared."""
    from rocketjob_plugins.cron import schedules

    known = [NightlyScheduledJob, AccountScheduledJob]
    monkeypatch.setattr(schedules, "loaded_classes", lambda base: known)


def actions(steps):
    return {step.schedule.name: step.action for step in steps}


def again(cron="0 6 * * Mon", **fields):
    """Return the declaration of one schedule, as a later version of the code has it."""
    return [Schedule(AccountScheduledJob, cron, "acme", fields or {"account_id": 7})]


def acme():
    return AccountScheduledJob.where(schedule_name="acme").first()


def test_the_first_sync_creates_and_the_second_does_nothing(rocketjob, ours):
    names = ("NightlyScheduledJob", "acme", "beta")
    assert actions(sync()) == dict.fromkeys(names, "create")
    assert actions(sync()) == dict.fromkeys(names, "nothing")
    assert Job.count() == 3
    assert (acme().account_id, acme().run_at) == (7, datetime(2026, 3, 2, 6, tzinfo=UTC))


def test_planning_does_nothing(rocketjob, ours):
    assert set(actions(plan()).values()) == {"create"}
    assert Job.count() == 0


def test_a_changed_declaration_updates(rocketjob):
    sync(again())
    assert actions(sync(again("0 8 * * Mon"))) == {"acme": "update"}
    assert (acme().cron_schedule, acme().run_at.hour) == ("0 8 * * Mon", 8)
    assert actions(sync(again("0 8 * * Mon"))) == {"acme": "nothing"}


def test_what_was_edited_in_the_store_is_kept(rocketjob):
    sync(again())
    acme().update(cron_schedule="0 9 * * Mon", account_id=8)
    (step,) = sync(again("0 8 * * Mon"))
    assert (step.action, dict(step.changes)) == ("keep", {})
    assert step.kept == {"cron_schedule": ("0 9 * * Mon", "0 8 * * Mon"), "account_id": (8, 7)}
    assert (acme().cron_schedule, acme().account_id) == ("0 9 * * Mon", 8)
    assert actions(sync(again("0 8 * * Mon"))) == {"acme": "keep"}


def test_what_was_not_edited_is_updated_all_the_same(rocketjob):
    sync(again())
    acme().update(account_id=8)
    (step,) = sync(again("0 8 * * Mon"))
    assert (step.action, acme().cron_schedule, acme().account_id) == ("update", "0 8 * * Mon", 8)


def test_a_field_that_is_declared_for_the_first_time_is_set(rocketjob):
    sync(again(account_id=7))
    (step,) = sync(again(account_id=7, priority=20))
    assert (step.action, dict(step.kept), acme().priority) == ("update", {}, 20)


def test_one_that_was_edited_before_it_is_declared_is_kept(rocketjob):
    sync(again(account_id=7))
    acme().update(priority=30)
    assert actions(sync(again(account_id=7, priority=20))) == {"acme": "keep"}


def test_an_encrypted_field_is_compared_in_clear(rocketjob):
    pytest.importorskip("cryptography")
    rocketjob.application.config.encryption_keys = ["a:" + "A" * 43 + "="]

    def declared(secret):
        return [Schedule(SecretScheduledJob, "@daily", "secret", {"secret": secret})]

    sync(declared("one"))
    assert actions(sync(declared("one"))) == {"secret": "nothing"}
    assert actions(sync(declared("two"))) == {"secret": "update"}
    SecretScheduledJob.first().update(secret="mine")
    assert actions(sync(declared("three"))) == {"secret": "keep"}
    assert SecretScheduledJob.first().secret == "mine"


def test_schedules_of_a_name_are_one_even_if_the_class_may_have_many(rocketjob):
    values = {"cron_singleton": False, "schedule_name": "acme"}
    AccountScheduledJob.create(cron_schedule="@daily", **values)
    with pytest.raises(ValidationError, match="already queued, running, paused or failed as acme"):
        AccountScheduledJob.create(cron_schedule="@hourly", **values)
    AccountScheduledJob.create(cron_schedule="@daily", cron_singleton=False)


def test_edits_are_overwritten_on_request(rocketjob):
    sync(again())
    acme().update(account_id=8)
    (step,) = sync(again(), overwrite=True)
    assert (step.action, acme().account_id) == ("overwrite", 7)


def test_the_series_remembers_what_was_declared(rocketjob):
    sync(again())
    acme().update(account_id=8)
    for _ in range(2):
        acme().run_now()
        rocketjob.work_off()
    assert actions(sync(again())) == {"acme": "keep"}
    assert acme().account_id == 8


def test_an_instance_that_runs_during_the_sync_hands_the_update_on(rocketjob):
    class DeployedJob(AccountScheduledJob):
        def perform(self):
            sync([Schedule(DeployedJob, "0 8 * * Mon", "deployed", {"account_id": 70})])

    sync([Schedule(DeployedJob, "0 6 * * Mon", "deployed", {"account_id": 7})])
    DeployedJob.first().run_now()
    rocketjob.work_off()
    (job,) = DeployedJob.all()
    assert (job.cron_schedule, job.account_id) == ("0 8 * * Mon", 70)


def test_an_instance_made_by_hand_is_taken_over(rocketjob):
    job = AccountScheduledJob.create(cron_schedule="0 6 * * Mon", account_id=5)
    (step,) = sync(again())
    assert (step.action, step.job.id) == ("update", job.id)
    assert (AccountScheduledJob.count(), acme().account_id) == (1, 7)


def test_a_destroyed_instance_is_created_again(rocketjob):
    sync(again())
    acme().destroy()
    assert actions(sync(again())) == {"acme": "create"}


def test_what_is_declared_no_longer_is_named(rocketjob, ours):
    sync(again("0 5 * * Mon", account_id=1))
    gone = AccountScheduledJob.create(cron_schedule="0 4 * * *", schedule_name="old")
    assert [each.id for each in undeclared()] == [gone.id]


def test_a_series_of_a_class_that_was_renamed_is_named(rocketjob):
    sync()
    job = NightlyScheduledJob.first()
    Job.collection().update_one({"_id": job.id}, {"$set": {"_type": "NightlyBefore"}})
    (each,) = undeclared()
    assert (each.id, each.class_name, each.loaded) == (job.id, "NightlyBefore", False)
    assert "waits for the class NightlyBefore, which is not loaded here" in each.advice
    assert f"`rocketjob jobs destroy {job.id}` ends it" in each.advice


@pytest.mark.parametrize(
    ("declare", "said"),
    [
        (lambda: scheduled("blah"), "@scheduled on WrongScheduledJob: .*blah"),
        (lambda: scheduled(), "must be a Cron job with a schedule"),
        (lambda: scheduled("@daily", acount=1), "no field acount that can be set"),
        (lambda: scheduled("@daily", lost=1), "lost would be lost after the first run"),
        (lambda: scheduled("@daily", state="failed"), "no field state that can be set"),
    ],
)
def test_a_bad_declaration_is_an_error_when_the_class_is_made(declare, said):
    class WrongScheduledJob(Cron, Job):
        lost: int = 0

        def perform(self): ...

    with pytest.raises(ConfigurationError, match=said):
        declare()(WrongScheduledJob)


def test_two_schedules_of_a_class_need_names():
    class TwiceScheduledJob(Cron, Job):
        def perform(self): ...

    scheduled("@daily")(TwiceScheduledJob)
    with pytest.raises(ConfigurationError, match="has two schedules called TwiceScheduledJob"):
        scheduled("@hourly")(TwiceScheduledJob)


def test_only_cron_jobs_can_be_scheduled():
    class NoCronJob(Job):
        def perform(self): ...

    with pytest.raises(ConfigurationError, match="NoCronJob must be a Cron job"):
        scheduled("@daily")(NoCronJob)


# --- the commands -----------------------------------------------------------------------------


@pytest.fixture
def command(rocketjob, capsys):
    def call(*words):
        with pytest.raises(SystemExit) as stopped:
            make_cli().main(list(words))
        return stopped.value.code, capsys.readouterr()

    return call


def test_schedules_sync_says_what_it_does(command, ours):
    code, said = command("schedules", "sync", "--dry-run")
    assert code == 0
    assert "would create acme: cron_schedule='0 6 * * Mon', account_id=7" in said.out
    assert Job.count() == 0
    command("schedules", "sync")
    acme().update(account_id=8)
    _, said = command("schedules", "sync")
    assert "leave acme as it is; edited in the store, kept: account_id=8 (code: 7)" in said.out
    _, said = command("schedules", "sync", "--force")
    assert "overwrite acme: account_id=7" in said.out
    AccountScheduledJob.create(cron_schedule="0 4 * * *", schedule_name="old")
    _, said = command("schedules", "sync")
    assert "old is no longer declared" in said.err


def test_schedules_list_compares(command, ours):
    _, said = command("schedules", "list")
    assert said.out.count("missing") == 3
    sync()
    acme().update(account_id=8)
    _, said = command("schedules", "list", "--json")
    rows = {row["name"]: row for row in map(json.loads, said.out.splitlines())}
    assert rows["acme"]["kept"] == {"account_id": 8}
    assert rows["beta"]["action"] == "nothing"
    assert rows["beta"]["run_at"] == "2026-03-02T07:00:00.000Z"


def test_a_schedule_that_cannot_be_made_does_not_stop_the_others(command, ours):
    AccountScheduledJob.create(cron_schedule="0 7 * * Mon", schedule_name="in the way")
    code, said = command("schedules", "sync")
    assert code == 1
    assert "error: beta: " in said.err
    assert acme() is not None


def test_cron_next_prints_words_local_time_and_utc(command):
    code, said = command(
        "cron", "next", "30 2 * * * America/New_York", "--from", "2026-03-06", "--count", "3"
    )
    lines = said.out.splitlines()
    assert code == 0
    assert lines[0] == "At 02:30 every day, New York time (America/New_York)"
    assert lines[2].startswith("Fri 2026-03-06 02:30:00 EST (-0500)  2026-03-06 07:30:00 UTC")
    assert lines[4].startswith("Sun 2026-03-08 03:00:00 EDT (-0400)  2026-03-08 07:00:00 UTC")


def test_cron_next_for_programs(command):
    words = ("cron", "next", "30 2 * * *", "--zone", "America/New_York", "--dst", "literal")
    _, said = command(*words, "--from", "2026-03-07T12:00:00Z", "--count", "1", "--json")
    assert json.loads(said.out) == {
        "utc": "2026-03-09T06:30:00.000Z",
        "local": "2026-03-09T02:30:00-04:00",
        "zone": "America/New_York",
    }


@pytest.mark.parametrize(
    "words",
    [("blah",), ("@daily", "--zone", "Mars"), ("@daily", "--from", "soon"), ("@daily", "-n", "0")],
)
def test_cron_next_refuses_what_is_wrong(command, words):
    code, said = command("cron", "next", *words)
    assert (code, said.out) == (2, "")
    assert said.err.startswith("error: ")
