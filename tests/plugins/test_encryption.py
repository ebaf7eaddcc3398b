"""Encryption: fields, values, files, keys, rotation; and that no key is ever shown."""

import importlib
import io
import logging
import sys

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from rocketjob import Job, application, field
from rocketjob.base import config
from rocketjob.base.encryption import EncryptionContext
from rocketjob.base.errors import ConfigurationError
from rocketjob.cli import make_cli
from rocketjob.store import context
from rocketjob_plugins import encryption
from rocketjob_plugins.encryption import EncryptionError, envelope, keys
from rocketjob_plugins.encryption.files import CHUNK, DecryptingReader, EncryptingWriter
from rocketjob_plugins.encryption.rotate import rotate

pytest.importorskip("cryptography")

OLD, NEW = "old:" + "A" * 43 + "=", "new:" + "B" * 43 + "="
RING = keys.parse_keys((NEW, OLD))


class SealedPaymentJob(Job):
    account: str | None = field(default=None, encrypted=True)
    other: str | None = None

    def perform(self):
        return None


def use(*texts):
    """Change the keys, and keep the store."""
    application.current().config.encryption_keys = list(texts)


@pytest.fixture
def store(rocketjob):
    use(OLD)
    return application.current().store


# --- values -----------------------------------------------------------------------------------


@settings(max_examples=50)
@given(data=st.binary())
def test_what_is_sealed_comes_back(data):
    sealed = envelope.seal(data, RING)
    assert envelope.unseal(sealed, RING) == data
    assert envelope.key_id(sealed) == "new"
    assert sealed != envelope.seal(data, RING)
    assert len(data) < 4 or data not in sealed


def test_every_byte_is_authenticated():
    sealed = envelope.seal(b"secret", RING)
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(EncryptionError):
            envelope.unseal(bytes(changed), RING)
    for size in range(len(sealed)):
        with pytest.raises(EncryptionError):
            envelope.unseal(sealed[:size], RING)


def test_all_keys_decrypt_and_an_unknown_one_is_named():
    sealed = envelope.seal(b"x", keys.parse_keys((OLD,)))
    assert envelope.unseal(sealed, RING) == b"x"
    message = r"encrypted with the key old, which is not among encryption_keys \(there: new\)"
    with pytest.raises(EncryptionError, match=message):
        envelope.unseal(sealed, keys.parse_keys((NEW,)))
    with pytest.raises(EncryptionError, match=r"there: none"):
        envelope.unseal(sealed, keys.parse_keys(()))


def test_another_key_of_the_same_id_is_told_from_damage():
    sealed = envelope.seal(b"x", RING)
    with pytest.raises(EncryptionError, match="damaged, or the key new is not the one"):
        envelope.unseal(sealed, keys.parse_keys(("new:" + "C" * 43 + "=",)))


def test_a_later_version_is_told_from_damage():
    sealed = bytearray(envelope.seal(b"x", RING))
    sealed[3] = 9
    with pytest.raises(EncryptionError, match=r"version 9, algorithm 1.*later release"):
        envelope.unseal(bytes(sealed), RING)


# --- keys -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["", "x", "x:", ":" + "A" * 43 + "=", "x:SECRET", "x y:" + "A" * 43 + "=", "x:" + "A" * 40],
)
def test_a_key_that_is_not_well_formed_is_refused_and_not_shown(text):
    with pytest.raises(ConfigurationError, match="key 2 is not well formed") as raised:
        keys.parse_keys((OLD, text))
    assert "SECRET" not in str(raised.value)
    assert "AAAA" not in str(raised.value)


def test_two_keys_with_one_id_are_refused():
    with pytest.raises(ConfigurationError, match="two keys have the id old"):
        keys.parse_keys((OLD, "old:" + "C" * 43 + "="))


def test_keys_may_be_written_with_the_alphabet_of_urls():
    secret = "-_" + "A" * 41 + "="
    standard = keys.parse_keys(("x:" + secret.replace("-", "+").replace("_", "/"),))
    assert keys.parse_keys(("x:" + secret,)).first.secret == standard.first.secret


def test_no_key_is_in_a_repr():
    made = config.load({"encryption_keys": [OLD, NEW]}, environ={})
    for shown in (repr(made), str(made), repr(RING), repr(RING.first), repr(keys.key_ring())):
        assert "AAAA" not in shown
        assert "BBBB" not in shown
        assert RING.first.secret.hex() not in shown
        assert repr(RING.first.secret) not in shown


def test_a_new_key_is_different_each_time():
    first, second = keys.new_key(), keys.new_key("mine.1")
    assert first != second
    assert keys.parse_keys((first, second)).keys[1].id == "mine.1"
    with pytest.raises(ConfigurationError, match="id of a key"):
        keys.new_key("no colon:")


# --- hooks and fields -------------------------------------------------------------------------


def test_a_field_is_stored_encrypted(store):
    job = SealedPaymentJob(account="DE-12345", other="plain").save()
    stored = store.collection(SealedPaymentJob.collection_name).find_one({"_id": job.id})
    assert envelope.key_id(stored["account"]) == "old"
    assert b"DE-12345" not in stored["account"]
    assert SealedPaymentJob.find(job.id).account == "DE-12345"
    use(NEW, OLD)
    assert SealedPaymentJob.find(job.id).account == "DE-12345"
    use(NEW)
    found = SealedPaymentJob.find(job.id)
    with pytest.raises(
        EncryptionError, match=r"account cannot be decrypted.* key old, which is not"
    ):
        _ = found.account


def test_without_keys_the_field_is_named(rocketjob):
    with pytest.raises(ConfigurationError, match=r"account must be stored encrypted.*new-key"):
        SealedPaymentJob(account="x").save()


def test_what_others_encrypted_is_left_to_them(store):
    assert encryption.decrypt(b"something else") is None
    assert encryption.decrypt(b"") is None
    use()
    assert encryption.encrypt(b"x", EncryptionContext()) is None


def test_a_missing_library_is_asked_for(store, monkeypatch):
    name = "cryptography.hazmat.primitives.ciphers.aead"
    importlib.import_module(name)
    monkeypatch.setitem(sys.modules, name, None)
    use("fresh:" + "D" * 43 + "=")
    with pytest.raises(ConfigurationError, match=r"pip install 'rocketjob\[crypto\]'"):
        SealedPaymentJob(account="x").save()


def test_nothing_of_it_is_logged(store, caplog):
    caplog.set_level(logging.DEBUG)
    job = SealedPaymentJob(account="DE-12345").save()
    SealedPaymentJob.find(job.id)
    assert "AAAA" not in caplog.text
    assert "DE-12345" not in caplog.text


# --- files ------------------------------------------------------------------------------------


def encrypted(data, piece=10_000):
    parts = []
    writer = EncryptingWriter(parts.append)
    for start in range(0, len(data), piece):
        writer.write(data[start : start + piece])
    writer.finish()
    return b"".join(parts)


def decrypted(data, size=1 << 18):
    source = io.BytesIO(data)
    reader = DecryptingReader(source.read, source.close)
    return b"".join(iter(lambda: reader.read(size), b""))


SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7]


@pytest.mark.parametrize("size", SIZES)
def test_files_of_any_size_come_back(store, size):
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    sealed = encrypted(data)
    chunks = max(1, -(-size // CHUNK))
    assert len(sealed) == 3 + 3 + len("old") + 16 + size + 16 * chunks
    assert decrypted(sealed) == data
    assert decrypted(sealed, 1000) == data
    assert decrypted(encrypted(data, 1 << 20)) == data


@pytest.mark.parametrize("size", SIZES)
def test_a_file_that_was_cut_off_is_an_error_wherever(store, size):
    sealed = encrypted(b"x" * size)
    head = len(sealed) - size - 16 * max(1, -(-size // CHUNK))
    ends = {0, 2, head - 1, head, head + 1, head + 15, head + CHUNK + 16, head + 2 * (CHUNK + 16)}
    for end in sorted(each for each in {*ends, len(sealed) - 1} if each < len(sealed)):
        with pytest.raises(EncryptionError, match=r"cut off|damaged|not complete"):
            decrypted(sealed[:end])


def test_a_file_that_was_cut_off_between_chunks_says_so(store):
    sealed = encrypted(b"x" * 3 * CHUNK)
    with pytest.raises(EncryptionError, match="ends in the middle: it was cut off"):
        decrypted(sealed[: -(CHUNK + 16)])


def test_chunks_cannot_be_changed_exchanged_repeated_or_added(store):
    sealed = encrypted(b"x" * (2 * CHUNK + 5))
    head = len(sealed) - 5 - 2 * CHUNK - 3 * 16
    start, full = sealed[:head], CHUNK + 16
    first, second, last = (sealed[head + full * n : head + full * (n + 1)] for n in range(3))
    for forged in (
        start + second + first + last,
        start + first + last,
        start + first + first + second + last,
        start + first + second + last + b"x",
        start + first + second + last + last,
        encrypted(b"")[:head] + first + second + last,
    ):
        with pytest.raises(EncryptionError):
            decrypted(forged)
    for place in (4, 7, head - 1, head, len(sealed) - 1):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(EncryptionError):
            decrypted(bytes(changed))


def test_a_file_needs_a_key(store):
    sealed = encrypted(b"x")
    use()
    with pytest.raises(ConfigurationError, match="no key to encrypt with: make one"):
        EncryptingWriter(print)
    with pytest.raises(EncryptionError, match="encrypted with the key old"):
        decrypted(sealed)
    with pytest.raises(EncryptionError, match="not encrypted by RocketJob"):
        decrypted(b"plain text")


# --- rotation ---------------------------------------------------------------------------------


def stored_ids(store):
    return [
        envelope.key_id(each["account"])
        for each in store.collection(SealedPaymentJob.collection_name).find({}, sort=[("_id", 1)])
        if "account" in each
    ]


def test_rotation_encrypts_anew_what_is_under_other_keys(store):
    jobs = [SealedPaymentJob(account=str(number)).save() for number in range(45)]
    SealedPaymentJob().save()
    use(NEW, OLD)
    jobs += [SealedPaymentJob(account="new").save()]
    slices = store.collection("rocket_job.inputs.1")
    slices.insert_one({"_id": 1, "r": {"data": envelope.seal(b"s", keys.parse_keys((OLD,)))}})

    reports = dict(rotate(store, dry_run=True))
    assert sum(report.rotated["old"] for report in reports.values()) == 46
    assert stored_ids(store).count("old") == 45

    reports = dict(rotate(store))
    assert sum(report.rotated["old"] for report in reports.values()) == 46
    assert all(report.complete for report in reports.values())
    use(NEW)
    assert [SealedPaymentJob.find(job.id).account for job in jobs] == [*map(str, range(45)), "new"]
    assert envelope.unseal(slices.find_one({"_id": 1})["r"]["data"], keys.key_ring()) == b"s"
    again = dict(rotate(store))
    assert sum(report.current for report in again.values()) == 47
    assert not any(report.rotated for report in again.values())


def test_rotation_finds_what_a_process_has_noted_in_a_list(store):
    sealed = envelope.seal(b"s", keys.parse_keys((OLD,)))
    slices = store.collection("rocket_job.inputs.1")
    noted = [{"document": {"a": 1}}, {"document": {"records": sealed, "more": [sealed]}}]
    slices.insert_one({"_id": 1, "outcome": {"documents": noted}})
    use(NEW, OLD)
    report = dict(rotate(store))["rocket_job.inputs.1"]
    assert report.rotated == {"old": 2}
    found = slices.find_one({"_id": 1})["outcome"]["documents"][1]["document"]
    assert [envelope.key_id(each) for each in (found["records"], *found["more"])] == ["new"] * 2
    assert envelope.unseal(found["records"], RING) == b"s"


def test_rotation_loses_nothing_that_is_written_meanwhile(store):
    job = SealedPaymentJob(account="before").save()
    use(NEW, OLD)
    collection = store.collection(SealedPaymentJob.collection_name)

    class Racing:
        """A collection in which somebody else is quicker, once."""

        name = collection.name
        raced = False

        def find(self, *arguments, **options):
            return collection.find(*arguments, **options)

        def find_one(self, *arguments, **options):
            return collection.find_one(*arguments, **options)

        def update_one(self, *arguments, **options):
            if not self.raced:
                self.raced = True
                value = envelope.seal(b"meanwhile", keys.parse_keys((OLD,)))
                collection.update_one({"_id": job.id}, {"$set": {"account": value}})
            return collection.update_one(*arguments, **options)

    class Store:
        def collection_names(self):
            return [collection.name]

        def collection(self, name):
            return racing

    racing = Racing()
    ((_, report),) = rotate(Store())
    assert report.rotated == {"old": 1}
    found = collection.find_one({"_id": job.id})["account"]
    assert envelope.key_id(found) == "new"
    assert envelope.unseal(found, keys.key_ring()) == b"meanwhile"


# --- commands ---------------------------------------------------------------------------------


def run(*words):
    application.reload()  # as a process of its own would
    return CliRunner().invoke(make_cli(), ["encryption", *words], catch_exceptions=False)


@pytest.fixture
def by_environment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROCKETJOB_URL", f"sqlite:///{tmp_path}/jobs.db")
    monkeypatch.setenv("ROCKETJOB_ENCRYPTION_KEYS", OLD)
    monkeypatch.setattr(context, "_current", None)  # as in a process that begins
    application.reload()
    return monkeypatch


def test_new_key_prints_a_key_and_how_to_use_it(by_environment):
    ran = run("new-key")
    assert ran.exit_code == 0
    key = ran.stdout.splitlines()[0]
    assert keys.parse_keys((key,)).first.id
    assert "ROCKETJOB_ENCRYPTION_KEYS=" in ran.stderr
    assert "rocketjob encryption rotate" in ran.stderr
    ran = run("new-key", "--id", "2025", "--quiet")
    assert ran.stdout.startswith("2025:")
    assert ran.stderr == ""


def test_rotate_by_command(by_environment):
    SealedPaymentJob(account="x").save()
    by_environment.setenv("ROCKETJOB_ENCRYPTION_KEYS", f"{NEW},{OLD}")
    ran = run("rotate", "--dry-run")
    assert "In all: 1 to re-encrypt (1 of old), 0 already under the first key" in ran.stdout
    ran = run("rotate", "--json")
    assert '"rotated": 1' in ran.stdout
    ran = run("rotate")
    assert "In all: 0 re-encrypted, 1 already under the first key" in ran.stdout
    by_environment.setenv("ROCKETJOB_ENCRYPTION_KEYS", OLD)
    ran = run("rotate")
    assert ran.exit_code == 1
    assert "1 values cannot be decrypted" in ran.output
    assert "the key new" in ran.output
    by_environment.delenv("ROCKETJOB_ENCRYPTION_KEYS")
    ran = run("rotate")
    assert ran.exit_code == 1
    assert "no key to encrypt with" in ran.output
    assert "AAAA" not in ran.output
