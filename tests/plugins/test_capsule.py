"""Replay capsules: a failed job or slice in one file, run again elsewhere."""

import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from click.testing import CliRunner

from rocketjob import Job, field
from rocketjob.base.errors import NotFound
from rocketjob.cli import make_cli
from rocketjob.testing import sandbox
from rocketjob_plugins import audit
from rocketjob_plugins.batch import Batch, InputCategory
from rocketjob_plugins.capsule import CapsuleError, form, making, replaying
from rocketjob_plugins.encryption import keys
from rocketjob_plugins.on_demand import OnDemandJob

CSV = 'id,amount\n1,10\n2,20\n3,"1,250"\n4,40\n'


class CapsuledJob(Job):
    destroy_on_complete = False
    amount: int = 1
    source: str = ""
    api_key: str = ""
    pin: str | None = field(default=None, encrypted=True)

    def perform(self, *args, **kwargs):
        if self.amount < 0:
            raise ValueError(f"{self.amount} is below zero: {object()!r}")
        return {"pin": self.pin, "api_key": self.api_key, "args": list(args)}


class CapsuledQuotingJob(CapsuledJob):
    def perform(self):
        try:
            raise TypeError(f"{self.api_key} is refused")
        except TypeError as error:
            raise ValueError(f"key {self.api_key}, pin {self.pin}") from error


class CapsuledBatchJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=2, format="csv")

    def perform(self, row):
        return int(row["amount"])


class CapsuledRecordsJob(Batch, Job):
    destroy_on_complete = False
    max_rejects = 0
    seen: list | None = None

    def perform(self, record):
        CapsuledRecordsJob.seen_now.append((self.record_number, record))
        raise KeyError(repr(record))


CapsuledRecordsJob.seen_now = []


class CapsuledSecretBatchJob(CapsuledBatchJob):
    input_category = InputCategory(slice_size=2, format="csv", serializer="encrypt")


class CapsuledLoginJob(Job):
    destroy_on_complete = False
    credentials: dict | None = None

    def perform(self):
        (user,), first, second, pin = self.credentials.values()
        raise ValueError(f"{user} with {first}, {second} and {pin} is refused")


def failed(rocketjob, job):
    job.save()
    rocketjob.work_off()
    assert job.reload().is_failed
    return job


def failed_batch(rocketjob, tmp_path, job_class=CapsuledBatchJob, text=CSV):
    file = tmp_path / "amounts.csv"
    file.write_text(text)
    job = job_class()
    job.upload(file)
    return failed(rocketjob, job)


def replayed(capsule, values=None, **options):
    """Write a capsule and read it, as on another machine, and run it."""
    with replaying.private_store():
        return replaying.replay(form.read(capsule.to_bytes()), values, **options)


@pytest.fixture
def cli(rocketjob, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*words, code=0, **options):
        made = CliRunner().invoke(make_cli(), [str(word) for word in words], **options)
        assert made.exit_code == code, made.output
        return made

    return call


# --- the same exception ---------------------------------------------------------------------------


def test_a_slice_of_a_csv_file_replays_to_the_same_exception(rocketjob, tmp_path):
    job = failed_batch(rocketjob, tmp_path)
    capsule = making.capsule_of(job.id)
    found = replayed(capsule)
    assert (found.outcome, found.record_number) == ("same", 3)
    assert found.exception.message == "invalid literal for int() with base 10: '1,250'"
    assert capsule.slice.document["_id"] == capsule.slice.first == 3
    assert capsule.slice.records == ['3,"1,250"', "4,40"]


def test_so_does_the_record_alone_with_its_own_number(rocketjob, tmp_path):
    job = failed_batch(rocketjob, tmp_path, text="id,amount\n1,10\n2,bad\n")
    capsule = making.capsule_of(job.id, record_only=True)
    assert (capsule.slice.first, capsule.slice.records) == (2, ["2,bad"])
    found = replayed(capsule)
    assert (found.outcome, found.record_number) == ("same", 2)


def test_so_does_a_simple_job_although_objects_are_elsewhere_in_each_process(rocketjob):
    job = failed(rocketjob, CapsuledJob(amount=-1))
    found = replayed(making.capsule_of(job.id))
    assert found.outcome == "same" and isinstance(found.error, ValueError)


def test_what_is_mended_raises_nothing_and_what_is_not_so_another_exception(rocketjob):
    job = failed(rocketjob, CapsuledJob(amount=-1))
    capsule = making.capsule_of(job.id)
    assert replayed(capsule, {"amount": "2"}).outcome == "passed"
    assert replayed(capsule, {"amount": "-2"}).outcome == "other"


RECORDS = (
    "a\x00\u2028\\ é",
    b"\xff\x00",
    {"$date": "no time", "a.b": [1, 1.0, "1", None, True]},
    [Decimal("1.10"), datetime(2026, 1, 31, 8, 30, tzinfo=UTC), timedelta(hours=1)],
    {"tuple": (1, 2), "set": {1}},
    2**60,
    float("inf"),
)


@pytest.mark.parametrize("record", RECORDS, ids=[str(n) for n in range(len(RECORDS))])
def test_any_record_comes_back_as_it_was_with_its_type(rocketjob, record):
    job = CapsuledRecordsJob()
    job.upload([record])
    failed(rocketjob, job)
    capsule = making.capsule_of(job.id)
    CapsuledRecordsJob.seen_now.clear()
    assert replayed(capsule).outcome == "same"
    ((number, seen),) = CapsuledRecordsJob.seen_now
    assert (number, type(seen), seen) == (1, type(record), record)


def test_a_slice_is_replayed_from_the_record_that_failed_on(rocketjob):
    job = CapsuledRecordsJob(slice_size=3)
    job.upload(["a", "b", "c"])
    failed(rocketjob, job)
    job.input.collection.update_one({"_id": 1}, {"$set": {"processing_record_number": 2}})
    CapsuledRecordsJob.seen_now.clear()
    assert replayed(making.capsule_of(job.id)).outcome == "other"
    assert CapsuledRecordsJob.seen_now == [(2, "b")]


def test_which_slice_can_be_said_by_its_number(rocketjob):
    job = CapsuledRecordsJob(slice_size=1)
    job.upload(["a", "b"])
    failed(rocketjob, job)
    assert making.capsule_of(job.id, 2).slice.records == ["b"]
    assert making.capsule_of(job.id, making.FIRST).slice.records == ["a"]
    with pytest.raises(NotFound, match=r"no slice 7 any more.*failed: 1, 2"):
        making.capsule_of(job.id, 7)


@pytest.mark.parametrize("job_class", [CapsuledJob, CapsuledBatchJob])
def test_a_job_without_a_failed_slice_has_none_in_its_capsule(rocketjob, job_class):
    job = job_class.create()
    capsule = making.capsule_of(job.id)
    assert capsule.slice is None and capsule.exception is None
    with pytest.raises(CapsuleError, match="no slice"):
        making.capsule_of(job.id, making.FIRST)
    with pytest.raises(CapsuleError, match="no record that failed"):
        making.capsule_of(job.id, record_only=True)


def test_a_replay_leaves_the_store_of_the_process_alone(rocketjob):
    job = failed(rocketjob, CapsuledJob(amount=-1))
    before = [job.collection().find_one({"_id": job.id}), Job.count()]
    replayed(making.capsule_of(job.id))
    assert [job.collection().find_one({"_id": job.id}), Job.count()] == before


# --- secrets --------------------------------------------------------------------------------------

SECRETS = ("s3cret", "4711", "pw123", "t0k3n")


def secret_job():
    job = CapsuledJob(api_key="s3cret", pin="4711", source="ftp://ann:pw123@example.com/a.csv")
    job.arguments = {"args": ["x"], "kwargs": {"token": "t0k3n", "deep": [{"password": "pw123"}]}}
    return job.save()


def test_what_is_secret_is_left_out_and_named():
    with sandbox(encryption_keys=[keys.new_key("k")]):
        capsule = making.capsule_of(secret_job().id)
    text = capsule.to_bytes().decode()
    assert not [secret for secret in SECRETS if secret in text]
    assert set(capsule.left_out) == {
        "pin: it is encrypted",
        "api_key: it looks like a password or a key",
        "source: it looks like a password or a key",
        "arguments.kwargs.token: it looks like a password or a key",
        "arguments.kwargs.deep[0].password: it looks like a password or a key",
    }
    found = replayed(capsule, {"pin": "0000"})
    assert found.value == {"pin": "0000", "api_key": "", "args": ["x"]}


def test_it_is_all_there_if_it_is_asked_for():
    with sandbox(encryption_keys=[keys.new_key("k")]):
        capsule = making.capsule_of(secret_job().id, secrets=True)
    assert all(secret in capsule.to_bytes().decode() for secret in SECRETS)
    assert capsule.has_secrets and not capsule.left_out
    assert replayed(capsule).value == {"pin": "4711", "api_key": "s3cret", "args": ["x"]}


def test_neither_is_it_in_the_message_of_the_exception():
    with sandbox(encryption_keys=[keys.new_key("k")]) as rocketjob:
        quoting = CapsuledQuotingJob(api_key="s3cret")
        capsule = making.capsule_of(failed(rocketjob, quoting).id)
        sealed = CapsuledQuotingJob(pin="4711")
        without = making.capsule_of(failed(rocketjob, sealed).id)
    assert capsule.exception["message"] == "key ***, pin None"
    assert capsule.exception["cause"]["message"] == "*** is refused"
    assert without.exception["message"] is None and "4711" not in without.to_bytes().decode()
    assert replayed(without, {"pin": "0815"}).outcome == "same"


def test_neither_is_any_part_of_what_is_hidden_as_a_whole(rocketjob):
    job = CapsuledLoginJob()
    job.credentials = {"user": ["ann0"], "pw": "hunter22", "longer": "hunter22x", "pin": 471100}
    capsule = making.capsule_of(failed(rocketjob, job).id)
    assert "credentials: it looks like a password or a key" in capsule.left_out
    assert capsule.exception["message"] == "*** with ***, *** and *** is refused"


def test_records_that_are_stored_encrypted_are_left_out_too(tmp_path):
    with sandbox(encryption_keys=[keys.new_key("k")]) as rocketjob:
        job = failed_batch(rocketjob, tmp_path, CapsuledSecretBatchJob)
        without, with_them = (making.capsule_of(job.id, secrets=each) for each in (False, True))
    assert without.slice.records is None and without.exception["message"] is None
    assert "1,250" not in without.to_bytes().decode()
    with pytest.raises(CapsuleError, match=r"were left out.*--secrets"):
        replayed(without)
    assert replayed(with_them).outcome == "same"


def test_nobody_can_say_what_is_secret_of_a_class_that_is_not_there(rocketjob):
    job = CapsuledJob.create()
    Job.collection().update_one({"_id": job.id}, {"$set": {"_type": "GoneJob"}})
    with pytest.raises(CapsuleError, match="its class GoneJob is not loaded here, so nobody can"):
        making.capsule_of(job.id)


def test_bytes_of_no_field_are_left_out_also_with_secrets(rocketjob):
    job = CapsuledJob.create()
    Job.collection().update_one({"_id": job.id}, {"$set": {"old_pin": b"sealed"}})
    for secrets in (False, True):
        capsule = making.capsule_of(job.id, secrets=secrets)
        assert "old_pin" not in capsule.document and "old_pin" in capsule.left_out[0]


# --- files that are refused -----------------------------------------------------------------------


@pytest.fixture
def whole(rocketjob, tmp_path):
    """A capsule as it stands in its file, parsed."""
    job = failed_batch(rocketjob, tmp_path)
    return json.loads(making.capsule_of(job.id).to_bytes())


def in_file(whole, *, sealed=False):
    """Return the bytes of a changed capsule; `sealed`: by somebody who made a checksum for it."""
    if sealed:
        del whole["checksum"]
        whole = {**whole, "checksum": form._checksum(whole)}
    return json.dumps(whole).encode()


def test_it_may_be_written_otherwise_but_not_say_anything_else(whole):
    assert form.read(in_file(whole)).slice.records == ['3,"1,250"', "4,40"]
    whole["slice"]["records"][0] = "3,125"
    with pytest.raises(CapsuleError, match="its checksum is not that of its content"):
        form.read(in_file(whole))


CHANGES = {
    "records": lambda whole: whole["slice"]["records"].pop(),
    "class": lambda whole: whole["class"].update(name="OtherJob"),
    "document": lambda whole: whole["job"]["json"].update(priority=1),
    "left out": lambda whole: whole["left_out"].append("x"),
    "one more name": lambda whole: whole.update(more=1),
    "no checksum": lambda whole: whole.pop("checksum"),
    "another kind of checksum": lambda whole: whole.update(checksum=1),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_capsule_that_was_tampered_with_is_refused(whole, change):
    change(whole)
    with pytest.raises(CapsuleError, match="its checksum is not that of its content"):
        form.read(in_file(whole))


WRONG = {
    "newer": (dict(version=2), "is of version 2, made by RocketJob .*: upgrade it here"),
    "no version": (dict(version="1"), "version must be a whole number"),
    "version true": (dict(version=True), "version must be a whole number"),
    "another format": (dict(format="zip"), "it is no capsule"),
    "job": (dict(job=None), "its job is missing"),
    "no document": (dict(job={"json": [1]}), "its job is not a document"),
    "no value": (dict(job={"pickle": "gASVAAAA"}), "holds something that is no value"),
    "no time": (dict(job={"json": {"_id": {"$date": "x"}}}), "a value that cannot be read"),
    "no BSON": (dict(job={"bson": "AAAA"}), "a value that cannot be read"),
    "no base64": (dict(job={"bson": "%"}), "bytes that are not base64"),
    "slice": (dict(slice={"document": {"json": {}}}), "its slice is not what it must be"),
    "slice of text": (dict(slice="x"), "its slice is missing"),
}


@pytest.mark.parametrize(("values", "why"), WRONG.values(), ids=WRONG)
def test_what_is_no_capsule_of_ours_is_refused_whoever_has_made_the_checksum(whole, values, why):
    with pytest.raises(CapsuleError, match=why):
        form.read(in_file({**whole, **values}, sealed=True))


@pytest.mark.parametrize(
    "data",
    [b"", b"\x80\x04", b"{", b"[]", b'{"version": 1, "version": 1}', b"[" * 200_000, b"NaN"],
    ids=["empty", "pickle", "cut short", "list", "twice", "deep", "no JSON"],
)
def test_what_is_no_capsule_at_all_is_refused(data):
    with pytest.raises(CapsuleError, match="it is no capsule"):
        form.read(data)


def test_a_job_of_a_newer_version_of_its_class_is_refused(whole):
    whole["job"]["json"]["_version"] = 7
    with pytest.raises(CapsuleError, match="version 7 of CapsuledBatchJob"):
        replayed(form.read(in_file(whole, sealed=True)))


def test_a_class_that_is_not_loaded_is_never_imported(whole):
    whole["class"].update(name="NeverJob", module="antigravity")
    with pytest.raises(CapsuleError, match="NeverJob is not loaded here: --app MODULE"):
        replayed(form.read(in_file(whole, sealed=True)))


def test_a_document_that_does_not_fit_the_class_is_refused_with_the_field(rocketjob):
    job = failed(rocketjob, CapsuledJob(amount=-1))
    Job.collection().update_one({"_id": job.id}, {"$set": {"amount": "many"}})
    with pytest.raises(CapsuleError, match="amount"):
        replayed(making.capsule_of(job.id))
    with pytest.raises(CapsuleError, match="CapsuledJob has no field amuont; did you mean amount"):
        replayed(making.capsule_of(job.id), {"amuont": "1"})


def test_code_that_the_capsule_holds_is_run_only_if_that_is_said(rocketjob):
    capsule = making.capsule_of(OnDemandJob.create(code="return 6 * 7").id)
    with pytest.raises(CapsuleError, match="it holds code that would be run, in code"):
        replayed(capsule)
    assert replayed(capsule, run_code=True).value == 42


# --- commands -------------------------------------------------------------------------------------


def test_the_commands_write_a_file_and_run_it(rocketjob, tmp_path, cli):
    job = failed_batch(rocketjob, tmp_path)
    made = cli("jobs", "capsule", job.id, "--slice", "--reason", "bug 12")
    name = f"CapsuledBatchJob-{job.id}-slice-3.rjc"
    assert f"slice 3 with 2 records written to {name}" in made.stderr
    assert stat.S_IMODE(os.stat(name).st_mode) == 0o600
    (record,) = audit.records()
    assert (record.event, record.id, record.reason) == ("capsule", job.id, "bug 12")
    assert record.after == {"slice": 3, "records": 2}
    found = cli("replay", name, code=1)
    assert "the same exception as in the capsule" in found.stdout
    assert "ValueError: invalid literal" in found.stderr and "in perform" in found.stderr
    assert "slices.py" not in found.stderr and "runner.py" not in found.stderr
    assert Job.count() == 1  # in the store of this process nothing has changed


def test_a_file_that_is_there_is_not_replaced_without_being_asked(rocketjob, cli):
    job = failed(rocketjob, CapsuledJob(amount=-1))
    cli("jobs", "capsule", job.id, "-o", "a.rjc")
    assert (
        "a.rjc is there already: --force replaces it"
        in cli(*("jobs", "capsule", job.id, "-o", "a.rjc"), code=1).stderr
    )
    cli("jobs", "capsule", job.id, "-o", "a.rjc", "--force")
    assert os.listdir() == ["a.rjc"]
    assert "cannot be written" in cli("jobs", "capsule", job.id, "-o", "no/a", code=1).stderr
    printed = cli("jobs", "capsule", job.id, "-o", "-").stdout
    assert json.loads(printed)["format"] == "rocketjob-capsule"
    assert cli("replay", "-", code=1, input=printed).exit_code == 1


def test_programs_are_told_what_came_of_it(rocketjob, cli):
    job = failed(rocketjob, CapsuledJob(amount=-1))
    said = json.loads(cli("jobs", "capsule", job.id, "--json", "-o", "a.rjc").stdout)
    assert (said["file"], said["class"], said["left_out"]) == ("a.rjc", "CapsuledJob", [])
    said = json.loads(cli("replay", "a.rjc", "--json", code=1).stdout)
    assert (said["outcome"], said["exception"]["class_name"]) == ("same", "ValueError")
    assert said["same_source"] is True
    assert json.loads(cli("replay", "a.rjc", "--json", "amount=1").stdout)["outcome"] == ("passed")


def test_the_debugger_is_opened_where_it_was_raised(rocketjob, cli, monkeypatch):
    job = failed(rocketjob, CapsuledJob(amount=-5))
    cli("jobs", "capsule", job.id, "-o", "a.rjc")
    seen = []

    def look(traceback):
        while traceback.tb_next is not None:
            traceback = traceback.tb_next
        seen.append((traceback.tb_frame.f_locals["self"].amount, Job.count(), Job.first().state))

    monkeypatch.setattr("pdb.post_mortem", look)
    cli("replay", "a.rjc", "--pdb", code=1)
    assert seen == [(-5, 1, "failed")]
    cli("replay", "a.rjc", "--pdb", "amount=5")
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("replay", "none.rjc"), "none.rjc cannot be read: No such file"),
        (("replay", "torn.rjc"), "torn.rjc: it is no capsule, or was cut short"),
    ],
)
def test_what_cannot_be_replayed_is_wrong_usage(cli, words, why):
    with open("torn.rjc", "w") as file:
        file.write('{"format": "rocketjob-capsule"')
    assert why in cli(*words, code=2).stderr


CHECKOUT = """
from rocketjob import Job
from rocketjob_plugins.batch import Batch

class CapsuledBatchJob(Batch, Job):
    def perform(self, row):
        return int(row["amount"])
"""


def test_another_checkout_raises_it_in_another_process_and_touches_no_store(
    rocketjob, tmp_path, cli
):
    cli("jobs", "capsule", failed_batch(rocketjob, tmp_path).id, "-o", "a.rjc")
    other = tmp_path / "other"
    other.mkdir()
    (other / "bank.py").write_text(CHECKOUT)
    words = ["-m", "rocketjob.cli", "replay", "../a.rjc", "--app", "bank", "--json"]
    variables = {**os.environ, "ROCKETJOB_URL": "sqlite:///prod.db", "PYTHONPATH": str(other)}
    done = subprocess.run(
        [sys.executable, *words], cwd=other, env=variables, capture_output=True, check=False
    )
    assert done.returncode == 1, done.stderr
    said = json.loads(done.stdout)
    assert (said["outcome"], said["record_number"], said["same_source"]) == ("same", 3, False)
    assert not [name for name in os.listdir(other) if "prod" in name]
