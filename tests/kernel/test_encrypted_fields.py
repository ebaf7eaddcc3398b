"""Encrypted fields: how they are stored, that nobody sees them, and what goes without the key."""

import logging
from datetime import date, timedelta

import pytest

from rocketjob import (
    ConfigurationError,
    Document,
    InvalidTransition,
    Job,
    ValidationError,
    after,
    field,
    validators,
)
from rocketjob.model.record import record_of
from support.encryption import reversing
from support.jobs import stored


class SecretJob(Job):
    destroy_on_complete = False
    ssn: str | None = field(default=None, encrypted=True)
    born: date | None = field(default=None, encrypted=True)
    codes: list[int] = field(default=[], encrypted=True)

    def perform(self): ...


@pytest.fixture
def encryption(rocketjob):
    return reversing(rocketjob)


def test_an_encrypted_field_without_a_plugin_that_encrypts_says_what_to_install(rocketjob):
    with pytest.raises(
        ConfigurationError, match=r"ssn must be stored encrypted.*rocketjob\[crypto\]"
    ):
        SecretJob.create(ssn="123")
    assert SecretJob.count() == 0


def test_an_encrypted_field_without_a_value_needs_no_key(rocketjob):
    class NoSecretJob(Job):
        ssn: str | None = field(default=None, encrypted=True)

        def perform(self): ...

    assert NoSecretJob.find(NoSecretJob.create().id).ssn is None


def test_an_encrypted_field_is_not_stored_in_plain_and_comes_back(encryption):
    job = SecretJob.create(ssn="123-45", born=date(2000, 1, 1), codes=[1])
    document = stored(job)
    assert all(isinstance(document[name], bytes) for name in ("ssn", "born", "codes"))
    assert b"123-45" not in document["ssn"]
    found = SecretJob.find(job.id)
    assert (found.ssn, found.born, found.codes) == ("123-45", date(2000, 1, 1), [1])


def test_an_encrypted_field_is_not_written_again_unless_it_changed(encryption):
    job = SecretJob.find(SecretJob.create(ssn="1", codes=[1]).id)
    assert record_of(job).changes(job) == ({}, {})
    assert job.changed() == {}
    before = stored(job)["codes"]
    job.update(priority=5)
    assert stored(job)["codes"] == before


def test_an_encrypted_field_that_is_changed_in_place_is_saved(encryption):
    job = SecretJob.find(SecretJob.create(codes=[1]).id)
    job.codes.append(2)
    job.save()
    assert SecretJob.find(job.id).codes == [1, 2]


def test_an_encrypted_field_is_encrypted_by_update_all_too_and_pluck_decrypts_it(encryption):
    job = SecretJob.create(ssn="1")
    SecretJob.all().update_all(ssn="2")
    assert isinstance(stored(job)["ssn"], bytes)
    assert SecretJob.all().pluck("ssn") == ["2"]


def test_an_encrypted_field_cannot_be_searched_and_says_so(encryption):
    with pytest.raises(TypeError, match="ssn is stored encrypted"):
        SecretJob.where(ssn="1").first()
    with pytest.raises(TypeError, match="ssn is stored encrypted"):
        SecretJob.where({"ssn": {"$gt": "1"}}).first()
    SecretJob.create()
    assert SecretJob.where(ssn=None).count() == 1


# --- nobody sees them -------------------------------------------------------------------------


class HiddenJob(Job):
    destroy_on_complete = False
    pin: int | None = field(
        default=None, encrypted=True, validator=validators.optional(validators.in_range(1000, 9999))
    )
    token: str | None = field(default=None, encrypted=True)
    tags: list[str] = field(default=[], encrypted=True)

    def perform(self):
        self.pin = 123456789
        return self.token and len(self.token)


def test_status_hides_what_is_encrypted(encryption):
    job = HiddenJob.create(token="s3cret", tags=["s3cret"])
    for each in (job, HiddenJob.find(job.id)):
        shown = each.status()
        assert (shown["token"], shown["tags"], shown["pin"]) == ("(encrypted)", "(encrypted)", None)
        assert each.as_dict()["token"] == "(encrypted)"
        assert "s3cret" not in f"{each!r} {each.status()} {each.as_dict()} {each.explain()}"


def test_a_message_does_not_tell_what_is_encrypted(rocketjob):
    job = HiddenJob(pin=123456789, token=["s3cret"], tags={"s3cret": 1})
    with pytest.raises(ValidationError) as refused:
        job.validate()
    assert "s3cret" not in str(refused.value) and "123456789" not in str(refused.value)
    assert refused.value.errors["token"] == ["must be str; the value is not shown"]
    assert refused.value.errors["pin"] == [
        "is refused by its validator; why is not shown, since that may tell the value"
    ]


def test_a_text_that_cannot_be_parsed_is_not_told(rocketjob):
    with pytest.raises(ValidationError, match="pin: must be int; the value is not shown"):
        HiddenJob.from_properties({"pin": "s3cret"})
    with pytest.raises(ValueError, match="pin: is refused by its validator") as refused:
        HiddenJob.all().update_all(pin=123456789)
    assert "123456789" not in str(refused.value)


def test_what_perform_leaves_in_an_encrypted_field_is_in_no_exception_history_or_log(
    encryption, rocketjob, caplog
):
    job = HiddenJob.create(token="s3cret")
    with caplog.at_level(logging.DEBUG):
        rocketjob.work_off()
    job.reload()
    assert job.is_failed and "pin: is refused" in job.exception.message
    written = f"{stored(job)} {job.history} {caplog.text} {job.explain()}"
    assert "123456789" not in written and "s3cret" not in written


def test_what_cannot_be_encoded_is_not_told(encryption):
    job = HiddenJob(token="s3cret")
    job.token = {"s3cret": object()}
    with pytest.raises(ValueError, match="The field token cannot be stored") as refused:
        job.save(validate=False)
    assert "s3cret" not in str(refused.value)
    assert refused.value.__cause__ is None


# --- without the key --------------------------------------------------------------------------


def test_without_the_key_only_what_reads_the_field_fails(encryption):
    job, plain = HiddenJob.create(token="s3cret"), HiddenJob.create()
    encryption.lost = True
    found = {each.id: each for each in Job.all()}
    assert found.keys() == {job.id, plain.id}
    assert found[job.id].priority == 50
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="token is stored encrypted, and no key here"):
            _ = found[job.id].token
    assert "token" in str(found[job.id].status())
    assert found[plain.id].token is None
    encryption.lost = False
    assert found[job.id].token == "s3cret"


def test_without_the_key_a_job_can_be_changed_and_its_secret_stays(encryption):
    job = HiddenJob.create(token="s3cret", tags=["a"], run_at=timedelta(hours=1))
    before = stored(job)["token"]
    encryption.lost = True
    for event in ("run_now", "pause", "resume", "fail", "retry", "abort"):
        getattr(HiddenJob.find(job.id), event)()
    found = HiddenJob.find(job.id)
    found.update(priority=3)
    assert found.changed() == {}
    assert stored(job)["token"] == before
    encryption.lost = False
    assert (found.reload().token, found.tags, found.priority) == ("s3cret", ["a"], 3)


def test_without_the_key_a_secret_can_be_removed_but_not_set(encryption):
    job = HiddenJob.create(token="s3cret")
    encryption.lost = True
    with pytest.raises(ConfigurationError, match=r"nothing here encrypts|no key here decrypts"):
        HiddenJob.find(job.id).update(token="other")
    HiddenJob.find(job.id).update(token=None)
    assert "token" not in stored(job)


def test_a_worker_without_the_key_fails_the_job_that_reads_the_field(encryption, rocketjob):
    class ReaderJob(HiddenJob):
        def perform(self):
            return self.token

    class IdlerJob(HiddenJob):
        def perform(self):
            return 1

    reader, idler = ReaderJob.create(token="s3cret"), IdlerJob.create(token="s3cret")
    encryption.lost = True
    assert rocketjob.work_off() == 2
    assert idler.reload().is_completed
    assert "no key here decrypts it" in reader.reload().exception.message


def test_the_next_instance_takes_a_secret_over_as_it_is_stored(encryption):
    class HeirJob(Job):
        heirloom: str | None = field(default=None, encrypted=True, copy_on_restart=True)

        def perform(self): ...

    job = HeirJob.create(heirloom="s3cret")
    encryption.lost = True
    heir = HeirJob.find(job.id).restarted()
    heir.save()
    assert stored(heir)["heirloom"] == stored(job)["heirloom"]
    encryption.lost = False
    assert heir.heirloom == HeirJob.find(heir.id).heirloom == "s3cret"


def test_pluck_needs_the_key(encryption):
    HiddenJob.create(token="s3cret")
    encryption.lost = True
    assert HiddenJob.all().pluck("priority") == [50]
    with pytest.raises(ConfigurationError, match="token"):
        HiddenJob.all().pluck("token")


# --- on the class -----------------------------------------------------------------------------


def test_a_default_of_an_encrypted_field_can_be_overridden(encryption):
    class OverridingJob(HiddenJob):
        token = "other"

    class BelowJob(OverridingJob):
        pass

    assert (OverridingJob().token, BelowJob().token, HiddenJob().token) == ("other", "other", None)
    BelowJob.set_default("token", "third")
    assert BelowJob().token == "third"
    job = BelowJob.create(token="s3cret")
    encryption.lost = True
    with pytest.raises(ConfigurationError):
        _ = BelowJob.find(job.id).token


def test_an_encrypted_field_takes_no_name_of_a_helper():
    with pytest.raises(TypeError, match=r"count cannot be encrypted.*choose another"):

        class CountSecretJob(Job):
            count: int = field(default=1, encrypted=True)

            def perform(self): ...


def test_what_was_stored_before_the_field_was_encrypted_is_read(encryption):
    job = SecretJob.create()
    SecretJob.collection().update_one({"_id": job.id}, {"$set": {"born": "2000-01-31"}})
    assert SecretJob.find(job.id).born == date(2000, 1, 31)


def test_other_documents_have_encrypted_fields_too(encryption):
    class SecretNote(Document):
        collection_name = "tests.secret_notes"
        text: str = field(encrypted=True)

    note = SecretNote.create(text="s3cret")
    assert SecretNote.find(note.id).text == "s3cret"


# --- documents that their class cannot load ---------------------------------------------------


class FussyJob(Job):
    token: str | None = field(default=None, encrypted=True)

    @after("initialize")
    def look(self):
        if self.token == "fussy":
            raise ZeroDivisionError("fussy")

    def perform(self): ...


def test_a_class_that_raises_does_not_keep_the_others_back(encryption):
    job, other = FussyJob.create(token="x"), FussyJob.create()
    FussyJob.where(id=job.id).update_all(token="fussy")
    stand_in, found = FussyJob.all().order_by("id")
    assert found.id == other.id
    assert (stand_in.id, stand_in.class_name) == (job.id, "FussyJob")
    assert repr(stand_in) == f"<UnknownJob FussyJob {job.id} queued: ZeroDivisionError: fussy>"
    with pytest.raises(InvalidTransition, match="ZeroDivisionError: fussy"):
        stand_in.run_now()
    with pytest.raises(ZeroDivisionError):
        stand_in.perform_now()
    with pytest.raises(ZeroDivisionError):
        FussyJob.find(job.id)
    stand_in.abort()
    assert stored(job)["state"] == "aborted"


def test_a_callback_that_needs_the_key_does_not_keep_the_others_back(encryption):
    FussyJob.create(token="x"), FussyJob.create()
    encryption.lost = True
    first, second = FussyJob.all().order_by("id")
    assert "no key here decrypts it" in first.problem
    assert isinstance(second, FussyJob)
