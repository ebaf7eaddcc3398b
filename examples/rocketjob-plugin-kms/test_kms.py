import os

import pytest
import rocketjob_plugin_kms as plugin

from rocketjob import Job, field
from rocketjob.base.errors import ConfigurationError
from rocketjob.testing import sandbox
from rocketjob.testing.encryption_contract import EncryptionContract
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory
from rocketjob_plugins.batch.streams import StreamError, open_lines, open_writer
from rocketjob_plugins.encryption import keys
from rocketjob_plugins.encryption.rotate import rotate


class PayJob(Job):
    account: str | None = field(default=None, encrypted=True)
    destroy_on_complete = False

    def perform(self):
        return None


class PayBatchJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(serializer="encrypt")
    output_category = OutputCategory(serializer="encrypt")

    def perform(self, record):
        return record


def using(**settings):
    return sandbox(plugins=["batch", "encryption", plugin], **settings)


@pytest.fixture
def master():
    return os.urandom(32).hex()


@pytest.fixture
def rocketjob(master):
    with using() as rocketjob:
        rocketjob.application.config.kms_master = master
        yield rocketjob


class TestContract(EncryptionContract):
    @pytest.fixture
    def plugin(self, rocketjob):
        return plugin


def stored(job):
    return PayJob.collection().find_one({"_id": job.id})["account"]


def test_a_field_is_under_a_data_key_that_is_asked_for_once(rocketjob):
    job = PayJob.create(account="DE02")
    assert stored(job)[:4] == b"KMS1"
    assert PayJob.find(job.id).account == "DE02"
    for _ in range(50):
        assert PayJob.find(PayJob.create(account="x").id).account == "x"
    assert plugin.service().calls == 2


def test_slices_go_through_it(rocketjob):
    job = PayBatchJob()
    job.upload(["a", "b"])
    job.save()
    assert job.input.collection.find_one({})["records"][:4] == b"KMS1"
    rocketjob.work_off()
    assert list(job.reload().records()) == ["a", "b"]


def test_files_go_through_it(rocketjob, tmp_path):
    with open_writer(tmp_path / "x.enc") as writer:
        writer.write_lines(["a"])
    assert (tmp_path / "x.enc").read_bytes()[:4] == b"KMS1"
    assert list(open_lines(tmp_path / "x.enc")) == ["a"]


def test_both_ways_of_encryption_at_once_and_rotation_to_this_one(master):
    with using(encryption_keys=[keys.new_key("2025")]) as rocketjob:
        old = PayJob.create(account="old")
        assert stored(old)[:3] == b"RJE"
        rocketjob.application.config.kms_master = master
        new = PayJob.create(account="new")
        assert stored(new)[:4] == b"KMS1"
        assert [PayJob.find(job.id).account for job in (old, new)] == ["old", "new"]
        report = dict(rotate(rocketjob.store))[PayJob.collection_name]
        assert (report.current, report.rotated) == (1, {"2025": 1})
        assert stored(old)[:4] == b"KMS1"
        assert PayJob.find(old.id).account == "old"


def test_without_the_service_it_says_what_is_missing(rocketjob, tmp_path):
    job = PayJob.create(account="DE02")
    with open_writer(tmp_path / "x.enc") as writer:
        writer.write_lines(["a"])
    rocketjob.application.config.kms_master = None
    with pytest.raises(ConfigurationError, match=r"account cannot be decrypted.*set kms_master"):
        _ = PayJob.find(job.id).account
    with pytest.raises(ConfigurationError, match="must be stored encrypted"):
        PayJob.create(account="x")
    with open_lines(tmp_path / "x.enc") as lines, pytest.raises(StreamError, match="kms_master"):
        next(lines)


def test_another_master_key_is_an_error(rocketjob):
    job = PayJob.create(account="DE02")
    rocketjob.application.config.kms_master = os.urandom(32).hex()
    with pytest.raises(ConfigurationError, match="damaged, or kms_master is another one"):
        _ = PayJob.find(job.id).account
