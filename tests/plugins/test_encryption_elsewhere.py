"""Encryption by another plugin, or under a key that one chooses."""

import io

import pytest

from rocketjob import Job, field, hookimpl
from rocketjob.base.encryption import EncryptionContext
from rocketjob.base.errors import ConfigurationError
from rocketjob.testing import sandbox
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory
from rocketjob_plugins.batch.outcome import rejects
from rocketjob_plugins.batch.serializers import Serializer
from rocketjob_plugins.batch.streams import StreamError, open_binary, open_writer
from rocketjob_plugins.encryption import EncryptionError, envelope, keys
from rocketjob_plugins.encryption.files import (
    CHUNK,
    LONGEST_KEY,
    MARK,
    DecryptingReader,
    EncryptingWriter,
)
from rocketjob_plugins.encryption.rotate import rotate

pytest.importorskip("cryptography")

KEYS = [keys.new_key(name) for name in ("first", "second")]


class LedgerJob(Job):
    account: str | None = field(default=None, encrypted=True)
    pin: str | None = field(default=None, encrypted=True)
    destroy_on_complete = False

    def perform(self):
        return None


class LedgerBatchJob(Batch, Job):
    destroy_on_complete = False
    max_rejects = 5
    input_category = InputCategory(serializer="encrypt")
    output_category = OutputCategory(serializer="encrypt")

    def perform(self, record):
        if record == "bad":
            raise ValueError("not this one")
        return record


class Turning:
    """Stands for a key management service: turns bytes, and says so in front of them."""

    def __init__(self, name=b"TURN1"):
        self.name, self.asked = name, []

    @hookimpl
    def encrypt(self, data, context):
        self.asked.append(("encrypt", context))
        return self.name + data[::-1]

    @hookimpl
    def decrypt(self, data, context):
        if not data.startswith(b"TURN"):
            return None
        self.asked.append(("decrypt", context))
        return data[5:][::-1]

    @hookimpl
    def key_of(self, data):
        if data is None:
            return self.name.decode()
        return data[:5].decode() if data.startswith(b"TURN") else None


class OldTurning:
    """A plugin from before hooks were told of a context."""

    @hookimpl
    def encrypt(self, data):
        return b"TURN0" + data[::-1]

    @hookimpl
    def decrypt(self, data):
        return data[5:][::-1] if data.startswith(b"TURN0") else None


class Choosing:
    """Chooses among the keys that there are."""

    def __init__(self, choose):
        self.choose = choose

    @hookimpl
    def key_of(self, data, context):
        return self.choose(context) if data is None else None


def stored(job):
    return type(job).collection().find_one({"_id": job.id})


def test_a_field_is_encrypted_by_a_plugin_that_knows_whose_it_is(rocketjob):
    turning = Turning()
    rocketjob.plugins.register(turning)
    job = LedgerJob.create(account="DE02")
    assert stored(job)["account"].startswith(b"TURN1")
    assert LedgerJob.find(job.id).account == "DE02"
    where = EncryptionContext("LedgerJob", "account", job.id)
    assert turning.asked == [("encrypt", where), ("decrypt", where)]


def test_a_changed_field_a_query_and_update_all_say_whose_it_is(rocketjob):
    turning = Turning()
    rocketjob.plugins.register(turning)
    job = LedgerJob.create()
    job.update(pin="4711")
    assert turning.asked[-1] == ("encrypt", EncryptionContext("LedgerJob", "pin", job.id))
    assert LedgerJob.all().pluck("pin") == ["4711"]
    assert turning.asked[-1] == ("decrypt", EncryptionContext("LedgerJob", "pin"))
    LedgerJob.all().update_all(pin="4712")
    assert turning.asked[-1] == ("encrypt", EncryptionContext("LedgerJob", "pin"))
    assert LedgerJob.find(job.id).pin == "4712"


def test_slices_and_rejects_are_encrypted_by_it_too(rocketjob):
    turning = Turning()
    rocketjob.plugins.register(turning)
    job = LedgerBatchJob()
    job.upload(["a", "bad"])
    job.save()
    assert job.input.collection.find_one({})["records"].startswith(b"TURN1")
    rocketjob.work_off()
    job.reload()
    assert list(job.records()) == ["a"]
    assert rejects.slices_of(job).collection.find_one({})["record"].startswith(b"TURN1")
    assert [record for _, record, _ in rejects.each(job)] == ["bad"]
    places = {context.field for _, context in turning.asked}
    assert places == {"inputs.main", "outputs.main", "outputs.rejects"}
    assert {(c.class_name, c.id) for _, c in turning.asked} == {("LedgerBatchJob", job.id)}


@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7])
def test_a_file_has_its_own_key_which_the_plugin_encrypts(rocketjob, tmp_path, size):
    turning = Turning()
    rocketjob.plugins.register(turning)
    path, data = tmp_path / "a.enc", b"x" * size
    with open_writer(path) as writer:
        writer.write(data)
    assert path.read_bytes().startswith(b"TURN1")
    with open_binary(path) as file:
        assert file.read() == data
    where = EncryptionContext(file=str(path))
    assert turning.asked == [("encrypt", where), ("decrypt", where)]


def test_a_file_that_was_changed_or_cut_off_is_an_error_wherever(rocketjob):
    rocketjob.plugins.register(Turning())
    sealed = encrypted(b"x" * 100)
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        for wrong in (bytes(changed), sealed[:place]):
            with pytest.raises(EncryptionError):
                decrypted(wrong)


def test_a_key_that_holds_the_mark_itself_is_found(rocketjob):
    class Marked(OldTurning):
        @hookimpl
        def encrypt(self, data):
            return b"TURN0" + MARK + b"\0\0\0\0" + data

        @hookimpl
        def decrypt(self, data):
            return data[9 + len(MARK) :]

    rocketjob.plugins.register(Marked())
    assert decrypted(encrypted(b"text")) == b"text"


def test_a_key_of_a_file_that_is_encrypted_to_too_much_is_refused(rocketjob):
    class Wordy:
        @hookimpl
        def encrypt(self, data):
            return b"y" * (LONGEST_KEY + 1)

    rocketjob.plugins.register(Wordy())
    with pytest.raises(EncryptionError, match="65,537 bytes of the 32"):
        encrypted(b"x")


def test_a_file_whose_plugin_is_not_here_says_so(tmp_path):
    with sandbox() as rocketjob:
        rocketjob.plugins.register(Turning())
        with open_writer(tmp_path / "a.enc") as writer:
            writer.write("text")
    problem = r"a\.enc: The key .* a plugin that is not here"
    path = tmp_path / "a.enc"
    with sandbox(), open_binary(path) as file, pytest.raises(StreamError, match=problem):
        file.read()


def test_an_implementation_that_takes_only_the_data_still_works(rocketjob, tmp_path):
    rocketjob.plugins.register(OldTurning())
    job = LedgerJob.create(account="DE02")
    assert stored(job)["account"].startswith(b"TURN0")
    assert LedgerJob.find(job.id).account == "DE02"
    batch = LedgerBatchJob()
    batch.upload(["a"])
    batch.save()
    rocketjob.work_off()
    assert list(batch.reload().records()) == ["a"]
    assert decrypted(encrypted(b"text")) == b"text"


def test_a_plugin_chooses_among_the_keys_there_are():
    with sandbox(encryption_keys=KEYS) as rocketjob:
        by_field = {"pin": "second", "inputs.main": "second"}
        rocketjob.plugins.register(Choosing(lambda context: by_field.get(context.field)))
        job = LedgerJob.create(account="DE02", pin="4711")
        ids = {name: envelope.key_id(stored(job)[name]) for name in ("account", "pin")}
        assert ids == {"account": "first", "pin": "second"}
        assert (LedgerJob.find(job.id).account, LedgerJob.find(job.id).pin) == ("DE02", "4711")
        batch = LedgerBatchJob()
        batch.upload(["a"])
        assert envelope.key_id(batch.input.collection.find_one({})["records"]) == "second"


def test_a_chosen_key_that_is_not_there_is_named():
    with sandbox(encryption_keys=KEYS) as rocketjob:
        rocketjob.plugins.register(Choosing(lambda context: "third"))
        with pytest.raises(
            ConfigurationError, match="the key third for pin of LedgerJob, which is not among"
        ):
            LedgerJob.create(pin="4711")
        with pytest.raises(ConfigurationError, match=r"third for the file a\.enc"):
            EncryptingWriter(print, "a.enc")


def test_rotation_moves_each_value_to_the_key_that_is_chosen_for_it():
    with sandbox(encryption_keys=KEYS) as rocketjob:
        job, batch = LedgerJob.create(account="DE02", pin="4711"), LedgerBatchJob()
        batch.upload(["a", "bad"])
        batch.save()
        rocketjob.work_off()
        asked = []

        def choose(context):
            asked.append(context)
            return "second" if context.field in ("pin", "outputs.main") else None

        rocketjob.plugins.register(Choosing(choose))
        found = dict(rotate(rocketjob.store))
        assert sum(report.rotated["first"] for report in found.values()) == 2
        assert sum(report.current for report in found.values()) == 2
        assert envelope.key_id(stored(job)["pin"]) == "second"
        assert LedgerJob.find(job.id).pin == "4711"
        assert list(batch.reload().records()) == ["a"]
        assert EncryptionContext("LedgerBatchJob", "outputs.rejects", batch.id) in asked
        assert EncryptionContext("LedgerBatchJob", "outputs.main", batch.id) in asked
        assert EncryptionContext("LedgerJob", "pin", job.id) in asked
        again = dict(rotate(rocketjob.store))
        assert not any(report.rotated for report in again.values())


def test_rotation_moves_what_was_under_a_key_of_ours_to_a_plugins_and_on():
    with sandbox(encryption_keys=KEYS) as rocketjob:
        job = LedgerJob.create(account="DE02")
        turning = Turning(b"TURN1")
        rocketjob.plugins.register(turning)
        moved = dict(rotate(rocketjob.store))[LedgerJob.collection_name]
        assert moved.rotated == {"first": 1}
        assert stored(job)["account"].startswith(b"TURN1")
        turning.name = b"TURN2"
        moved = dict(rotate(rocketjob.store))[LedgerJob.collection_name]
        assert moved.rotated == {"TURN1": 1}
        assert LedgerJob.find(job.id).account == "DE02"


def test_a_plugins_serializer_may_leave_the_encryption_to_whoever_does_it(rocketjob):
    upside_down = Serializer.packed("upside", reverse, reverse, encrypts=True)

    class Bringing:
        @hookimpl
        def register_serializers(self):
            return [upside_down]

    rocketjob.plugins.register(Bringing())
    rocketjob.plugins.register(Turning())
    job = LedgerBatchJob(
        input_categories=[InputCategory(serializer="upside")],
        output_categories=[OutputCategory(serializer="upside")],
    )
    job.upload(["a", "bad"])
    job.save()
    assert job.input.collection.find_one({})["records"] == b"TURN1La\nbad"
    rocketjob.work_off()
    assert list(job.reload().records()) == ["a"]
    assert rejects.slices_of(job).collection.find_one({})["record"] == b"TURN1Lbad"


def reverse(data):
    return data[::-1]


def encrypted(data):
    parts = []
    writer = EncryptingWriter(parts.append)
    writer.write(data)
    writer.finish()
    return b"".join(parts)


def decrypted(data):
    source = io.BytesIO(data)
    reader = DecryptingReader(source.read, source.close)
    return b"".join(iter(lambda: reader.read(1 << 18), b""))
