import errno
import os
import resource
import signal
from datetime import date, timedelta
from pathlib import Path

import pytest

from rocketjob import ConfigurationError, InvalidTransition, Job, ValidationError, before, field
from rocketjob.base import clock
from rocketjob.testing import sandbox
from rocketjob_plugins.batch import Batch, InputCategory
from rocketjob_plugins.dirmon import DirmonEntry, DirmonError, DirmonJob, local_folder
from rocketjob_plugins.dirmon.folder import FileState
from rocketjob_plugins.dirmon.intake import LEASE, DirmonFile, Intake
from rocketjob_plugins.dirmon.job import memory_key, schedule_of
from rocketjob_plugins.encryption.keys import new_key
from rocketjob_plugins.encryption.rotate import rotate
from rocketjob_plugins.files import UploadFileJob
from support.encryption import reversing


class FileJob(Job):
    destroy_on_complete = False
    collect_output = True

    upload_file_name: str | None = None
    account_id: int = field(default=0, user_editable=True)

    def perform(self):
        return Path(self.upload_file_name).read_text()


class OtherFileJob(Job):
    full_file_name: str | None = None

    def perform(self): ...


class LinesJob(Batch, Job):
    destroy_on_complete = False
    collect_output = True
    input_category = InputCategory(slice_size=2)

    def perform(self, line):
        return line.upper()


class NoFileJob(Job):
    def perform(self): ...


@pytest.fixture
def incoming(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


def entry_for(pattern, cls="FileJob", enabled=True, **values):
    entry = DirmonEntry.create(pattern=str(pattern), job_class_name=cls, **values)
    return entry.enable() if enabled else entry


def drop(folder, name, text="data"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def scan(job=None):
    """Scan with what the scan before remembered; return the job."""
    made = DirmonJob(previous_file_names=job.previous_file_names if job else {})
    made.perform_now()
    return made


def scan_twice():
    return scan(scan())


def names(entry):
    return sorted(Path(file.path).name for file in entry.files() if file.held is None)


# --- entries ---------------------------------------------------------------------------------


def test_an_entry_is_pending_and_its_texts_are_trimmed(rocketjob, incoming):
    entry = DirmonEntry.create(
        name=" acme ",
        pattern=f" {incoming}/*.csv ",
        job_class_name="FileJob",
        archive_directory=" a ",
    )
    assert (entry.name, entry.archive_directory, entry.state) == ("acme", "a", "pending")
    assert entry.pattern == f"{incoming}/*.csv"
    assert DirmonEntry(pattern="x", job_class_name="FileJob").archive_directory == "archive"


@pytest.mark.parametrize("name", ["pattern", "job_class_name", "archive_directory"])
@pytest.mark.parametrize("value", [None, "", "  "])
def test_what_is_required_must_be_given(rocketjob, name, value):
    values = {"pattern": "/x/*", "job_class_name": "FileJob", "archive_directory": "a", name: value}
    with pytest.raises(ValidationError) as error:
        DirmonEntry(**values).validate()
    assert name in error.value.errors


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        ("NowhereJob", "NowhereJob is not loaded here"),
        ("DirmonEntry", "DirmonEntry is not a job class"),
        ("NoFileJob", "NoFileJob cannot be given a file"),
    ],
)
def test_the_class_must_be_a_job_that_can_be_given_a_file(rocketjob, cls, said):
    with pytest.raises(ValidationError, match=said):
        entry_for("/x/*", cls)


@pytest.mark.parametrize(
    ("cls", "properties", "said"),
    [
        ("FileJob", {"acount_id": 1}, "did you mean account_id"),
        ("FileJob", {"state": "failed"}, "set by the system"),
        ("FileJob", {"account_id": "many"}, "must be a whole number"),
        ("FileJob", {"priority": 500}, "priority"),
        ("LinesJob", {"input_categories": [{"name": "main", "slice_sice": 5}]}, "slice_sice"),
        ("LinesJob", {"input_categories": [{"name": "other"}]}, "other"),
        ("LinesJob", {"output_categories": [{"format": 5, "x": 1}]}, ""),
        ("LinesJob", {"slice_size": "many"}, ""),
    ],
)
def test_every_property_must_fit_the_class_and_its_categories(rocketjob, cls, properties, said):
    with pytest.raises(ValidationError) as error:
        entry_for("/x/*", cls, properties=properties)
    assert said in error.value.errors["properties"][0]


def test_properties_that_fit_are_accepted_as_texts_too(rocketjob):
    entry_for("/x/*", properties={"account_id": "42", "priority": "25"})
    settings = [{"name": "main", "slice_size": 5, "format": "csv"}]
    entry_for("/y/*", "LinesJob", properties={"input_categories": settings})


# --- properties of encrypted fields ----------------------------------------------------------


class SecretFileJob(FileJob):
    token: str | None = field(default=None, encrypted=True)
    born: date | None = field(default=None, encrypted=True)

    def perform(self):
        return f"{self.token} {self.born} {self.account_id}"


SECRETS = {"token": "xyzzy", "born": "1999-12-31", "account_id": "7"}
STORES = ("rocket_job.dirmon_entries", "rocket_job.dirmon_files", "rocket_job.jobs")


@pytest.fixture
def encryption(rocketjob):
    return reversing(rocketjob)


def stored_anywhere(rocketjob):
    return repr([list(rocketjob.store.collection(name).find({})) for name in STORES])


def test_secret_properties_are_stored_sealed_and_reach_the_job(rocketjob, incoming, encryption):
    entry = entry_for(f"{incoming}/*", "SecretFileJob", properties=SECRETS)
    assert repr(entry.properties) == (
        "{'token': (encrypted), 'born': (encrypted), 'account_id': '7'}"
    )
    drop(incoming, "a.csv")
    scan_twice()
    assert "xyzzy" not in stored_anywhere(rocketjob)
    assert "1999" not in stored_anywhere(rocketjob)
    encryption.lost = True  # who hands the file over need not know it
    rocketjob.work_off(limit=1)
    encryption.lost = False
    rocketjob.work_off()
    assert SecretFileJob.first().result == {"result": "xyzzy 1999-12-31 7"}


def test_sealed_properties_stay_as_they_are_until_they_are_given_anew(rocketjob, encryption):
    entry = entry_for("/x/*", "SecretFileJob", enabled=False, properties=SECRETS)
    before = entry.collection().find_one({})["properties"]
    encryption.lost = True
    entry = DirmonEntry.first()
    entry.archive_directory = "other"
    entry.save().enable()
    assert entry.collection().find_one({})["properties"] == before
    encryption.lost = False
    entry.properties = {**entry.properties, "token": "plugh"}
    entry.save()
    after = entry.collection().find_one({})["properties"]
    assert after["born"] == before["born"]
    assert after["token"] != before["token"]
    assert SecretFileJob.from_properties(entry.properties).token == "plugh"


def test_secret_properties_without_a_key_are_refused(rocketjob, incoming):
    with pytest.raises(ConfigurationError, match="token must be stored encrypted"):
        entry_for(f"{incoming}/*", "SecretFileJob", properties=SECRETS)
    assert DirmonEntry.count() == 0
    file = str(drop(incoming, "a.csv"))
    with pytest.raises(ConfigurationError, match="token must be stored encrypted"):
        UploadFileJob.create(
            job_class_name="SecretFileJob", properties=SECRETS, upload_file_name=file
        )
    assert "xyzzy" not in stored_anywhere(rocketjob)


def test_a_secret_property_that_does_not_fit_is_not_told(rocketjob, encryption):
    with pytest.raises(ValidationError, match="the value is not shown") as error:
        entry_for("/x/*", "SecretFileJob", properties={"born": "xyzzy"})
    assert "xyzzy" not in str(error.value)


def test_an_entry_with_secrets_in_plain_works_and_seals_them_for_the_job(
    rocketjob, incoming, encryption
):
    entry = entry_for(f"{incoming}/*", "SecretFileJob")
    entry.collection().update_one({}, {"$set": {"properties": SECRETS}})
    drop(incoming, "a.csv")
    scan_twice()
    assert "xyzzy" not in repr(list(rocketjob.store.collection("rocket_job.jobs").find({})))
    assert UploadFileJob.first().status()["properties"]["account_id"] == "7"
    assert "xyzzy" not in repr(UploadFileJob.first().status())
    rocketjob.work_off()
    assert SecretFileJob.first().result == {"result": "xyzzy 1999-12-31 7"}
    DirmonEntry.first().save()
    assert "xyzzy" not in stored_anywhere(rocketjob).replace("xyzzy 1999-12-31 7", "")


def test_a_property_that_is_no_secret_any_more_is_opened(rocketjob, encryption):
    sealed = SecretFileJob.seal_properties({"token": "xyzzy", "born": None})
    assert sealed["born"] is None

    class OpenFileJob(FileJob):
        token: str | None = None

    assert OpenFileJob.from_properties({"token": sealed["token"]}).token == "xyzzy"


def test_sealed_properties_are_under_the_new_key_after_a_rotation(tmp_path):
    old, new = new_key("old"), new_key("new")
    with sandbox(encryption_keys=[old]) as rocketjob:
        entry = entry_for("/x/*", "SecretFileJob", properties=SECRETS)
        rocketjob.application.config.encryption_keys = [new, old]
        reports = dict(rotate(rocketjob.store))
        assert reports["rocket_job.dirmon_entries"].rotated == {"old": 2}
        rocketjob.application.config.encryption_keys = [new]
        job = SecretFileJob.from_properties(entry.reload().properties)
        assert (job.token, job.born) == ("xyzzy", date(1999, 12, 31))


def test_patterns_and_given_names_are_unique(rocketjob):
    entry_for("/x/*", name="one")
    for values in ({"pattern": "/x/*"}, {"pattern": "/y/*", "name": "one"}):
        with pytest.raises(ValidationError, match="of another entry"):
            DirmonEntry.create(job_class_name="FileJob", **values)
    for number in (1, 2):  # several without a name
        entry_for(f"/n{number}/*")


def test_an_index_keeps_them_unique_where_two_are_made_at_once(rocketjob, monkeypatch):
    entry_for("/x/*", name="one")
    monkeypatch.setattr(DirmonEntry, "__validations__", ())
    with pytest.raises(ValidationError, match="is the pattern of another entry"):
        DirmonEntry.create(job_class_name="FileJob", pattern="/x/*")
    with pytest.raises(ValidationError, match="is the name of another entry"):
        DirmonEntry.create(job_class_name="FileJob", pattern="/y/*", name="one")


@pytest.mark.parametrize(
    ("state", "event", "target"),
    [
        ("pending", "enable", "enabled"),
        ("pending", "disable", None),
        ("pending", "fail", None),
        ("enabled", "enable", None),
        ("enabled", "disable", "disabled"),
        ("enabled", "fail", "failed"),
        ("disabled", "enable", "enabled"),
        ("disabled", "disable", None),
        ("disabled", "fail", None),
        ("failed", "enable", "enabled"),
        ("failed", "disable", "disabled"),
        ("failed", "fail", None),
    ],
)
def test_every_event_from_every_state(rocketjob, state, event, target):
    entry = entry_for("/x/*", enabled=False)
    entry.collection().update_one({"_id": entry.id}, {"$set": {"state": state}})
    entry.reload()
    arguments = ("broken",) if event == "fail" else ()
    assert entry.may(event) is (target is not None)
    if target is None:
        with pytest.raises(InvalidTransition):
            getattr(entry, event)(*arguments)
    getattr(entry, event)(*arguments) if target else None
    assert entry.reload().state == target or state


def test_a_failure_keeps_its_reason_also_after_the_entry_is_enabled_again(rocketjob):
    entry = entry_for("/x/*").fail("disk on fire", worker_name="me")
    assert entry.exception.class_name == "DirmonEntryException"
    assert entry.exception.message == "disk on fire"
    assert entry.enable().exception.worker_name == "me"
    entry.fail(OSError("gone"))
    assert DirmonEntry.find(entry.id).exception.class_name == "OSError"
    assert DirmonEntry.counts_by_state() == {"failed": 1}


def test_an_event_that_somebody_else_made_first_is_refused(rocketjob):
    entry = entry_for("/x/*")
    DirmonEntry.find(entry.id).disable()
    with pytest.raises(InvalidTransition):
        entry.fail("too late")
    assert entry.reload().exception is None


def test_the_job_class_of_an_entry(rocketjob):
    assert DirmonEntry(pattern="x", job_class_name="FileJob").job_class is FileJob
    assert DirmonEntry(pattern="x", job_class_name="Nowhere").job_class is None
    assert DirmonEntry(pattern="x", job_class_name=None).job_class is None


# --- which files -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.csv", ["One.CSV", "two.csv"]),
        ("ONE.*", ["One.CSV"]),
        ("{one,two}.csv", ["One.CSV", "two.csv"]),
        ("**/*.{csv,t{x,z}t}", ["One.CSV", "four.csv", "three.txt", "two.csv"]),
        ("**", ["One.CSV", "five", "four.csv", "three.txt", "two.csv"]),
        ("a/*/*", ["four.csv"]),
        ("{A,x}/B/*", ["four.csv"]),
        ("a/?hree.txt", ["three.txt"]),
        ("[o-t]*.csv", ["One.CSV", "two.csv"]),
        ("two.csv", ["two.csv"]),
        ("Two.csv", []),
        ("missing.csv", []),
        (".hidden.csv", []),
    ],
)
def test_a_pattern_means_these_files(rocketjob, incoming, pattern, expected):
    for name in ("One.CSV", "two.csv", "a/three.txt", "a/b/four.csv", "a/five"):
        drop(incoming, name)
    for name in (".hidden.csv", ".dir/six.csv", "archive/x.csv", "a/archive/y.csv"):
        drop(incoming, name)
    (incoming / "folder.csv").mkdir()
    os.mkfifo(incoming / "pipe.csv")
    assert names(entry_for(f"{incoming}/{pattern}")) == sorted(expected)


def test_the_archive_is_excluded_by_whole_components(rocketjob, incoming):
    for name in ("archived_orders.csv", "archive.csv", "old/archive/x.csv", "archive2/y.csv"):
        drop(incoming, name)
    found = ["archive.csv", "archived_orders.csv", "y.csv"]
    assert names(entry_for(f"{incoming}/**/*.csv")) == found
    absolute = str(incoming / "archive2")
    entry = entry_for(f"{incoming}/**/*", archive_directory=absolute)
    assert names(entry) == ["archive.csv", "archived_orders.csv", "x.csv"]


def test_a_base_that_is_called_like_the_archive_is_no_archive(rocketjob, incoming):
    drop(incoming, "archive/in/a.csv")
    assert names(entry_for(f"{incoming}/archive/in/*.csv")) == ["a.csv"]


def test_paths_are_real_and_come_once(rocketjob, incoming, tmp_path):
    drop(incoming, "a.csv")
    (incoming / "b.csv").symlink_to(incoming / "a.csv")
    (tmp_path / "link").symlink_to(incoming)
    (found,) = entry_for(f"{tmp_path}/link/{{*.csv,a.*}}").files()
    assert found.path == str(incoming / "a.csv")


# --- settling --------------------------------------------------------------------------------


def state(path, size):
    return FileState(str(path), str(path.parent), size, 7)


def test_a_file_is_started_only_once_it_is_as_it_was_before(rocketjob, incoming):
    path = drop(incoming, "a.csv", "1234567890")
    entry, intake = entry_for(f"{incoming}/*"), Intake("test")
    (found,) = entry.files()
    wrong = [[*found.settled[:n], 1, *found.settled[n + 1 :]] for n in range(4)]
    for known, starts in (*((each, False) for each in wrong), (found.settled, True)):
        memory = {}
        job = DirmonJob(previous_file_names={memory_key(str(path)): known})
        assert job.check_file(entry, found, intake, memory) is starts
        assert memory == ({} if starts else {memory_key(str(path)): found.settled})


def test_a_file_that_vanished_cannot_be_taken_later(rocketjob, incoming):
    entry = entry_for(f"{incoming}/*")
    with pytest.raises(FileNotFoundError):
        entry.later(str(incoming / "gone.csv"))


def test_growing_files_are_remembered_and_settled_ones_are_started(rocketjob, incoming):
    entry_for(f"{incoming}/*")
    still, grows = drop(incoming, "still.csv"), drop(incoming, "grows.csv")
    job = scan()
    assert len(job.previous_file_names) == 2
    grows.write_text("data, and more")
    job = scan(job)
    assert list(job.previous_file_names) == [memory_key(str(grows))]
    assert not still.exists()
    assert grows.exists()
    job = scan(job)
    assert job.previous_file_names == {}
    assert not grows.exists()
    assert UploadFileJob.count() == 2


def test_a_file_that_is_written_again_with_the_same_size_waits(rocketjob, incoming):
    entry_for(f"{incoming}/*")
    path = drop(incoming, "a.csv", "1234")
    job = scan()
    path.write_text("4321")
    os.utime(path, ns=(1, 1))
    job = scan(job)
    assert path.exists()
    scan(job)
    assert not path.exists()


def test_files_that_vanish_are_forgotten(rocketjob, incoming):
    entry_for(f"{incoming}/*")
    path = drop(incoming, "a.csv")
    job = scan()
    path.unlink()
    assert scan(job).previous_file_names == {}


def test_a_file_that_vanishes_while_it_is_looked_at_is_no_problem(rocketjob, incoming, monkeypatch):
    entry = entry_for(f"{incoming}/*")
    path, access = drop(incoming, "a.csv"), os.access

    def taken_by_another_scan(name, mode):
        path.unlink(missing_ok=True)
        return access(name, mode)

    monkeypatch.setattr(os, "access", taken_by_another_scan)
    problems = []
    assert list(entry.files(problems)) == []
    assert problems == []


def test_paths_that_differ_in_a_dot_do_not_share_their_memory():
    keys = {memory_key(path) for path in ("/a.b", "/a_b", "/a%2Eb", "/$a", "/%24a")}
    assert len(keys) == 5
    assert not [key for key in keys if "." in key or "$" in key]


def test_a_file_replaced_by_one_of_the_same_name_is_processed_again(rocketjob, incoming):
    entry_for(f"{incoming}/*")
    for text in ("first", "second"):
        drop(incoming, "a.csv", text)
        scan_twice()
    rocketjob.work_off()
    assert [job.result["result"] for job in FileJob.all().order_by("id")] == ["first", "second"]
    assert len(list((incoming / "archive").iterdir())) == 2


# --- the job ---------------------------------------------------------------------------------


def test_the_next_scan_is_queued_with_the_memory_and_settings_of_this_one(rocketjob, incoming):
    entry_for(f"{incoming}/*")
    drop(incoming, "a.csv")
    DirmonJob.create(priority=11, cron_schedule="*/1 * * * * UTC").run_now()
    assert rocketjob.work_off() == 1
    (job,) = DirmonJob.all()
    assert job.is_scheduled
    assert (job.priority, job.cron_schedule) == (11, "*/1 * * * * UTC")
    assert len(job.previous_file_names) == 1
    rocketjob.travel(timedelta(minutes=1))
    assert rocketjob.work_off() == 3
    assert FileJob.completed().count() == 1


def test_a_scan_that_fails_is_followed_by_the_next_all_the_same(rocketjob, monkeypatch):
    monkeypatch.setattr(Intake, "finish_others", lambda self: 1 / 0)
    DirmonJob.create().run_now()
    rocketjob.work_off()
    assert DirmonJob.failed().count() == 1
    assert DirmonJob.scheduled().count() == 1


def test_the_defaults_and_check_seconds(rocketjob):
    job = DirmonJob()
    assert (job.cron_schedule, job.priority) == ("*/5 * * * * UTC", 30)
    assert DirmonJob(check_seconds=60).cron_schedule == "*/1 * * * * UTC"
    assert DirmonJob.from_properties({"check_seconds": "300"}).cron_schedule == "*/5 * * * * UTC"
    for seconds, schedule in ((119, "*/1"), (420, "*/6"), (3600, "0 */1"), (86400, "0 0")):
        assert schedule_of(seconds).startswith(schedule)
        DirmonJob(cron_schedule=schedule_of(seconds)).validate()
    with pytest.raises(ValueError, match="from 60"):
        DirmonJob(check_seconds=5)
    with pytest.raises(TypeError, match="not both"):
        DirmonJob(check_seconds=60, cron_schedule="@hourly")


def test_only_enabled_entries_are_looked_at(rocketjob, incoming):
    drop(incoming, "a.csv")
    entry = entry_for(f"{incoming}/*", enabled=False)
    assert scan().previous_file_names == {}
    entry.enable().disable()
    assert scan().previous_file_names == {}


# --- archive, then start ---------------------------------------------------------------------


def test_a_file_is_archived_under_the_id_of_its_job_and_handed_over(rocketjob, incoming):
    path = drop(incoming, "a.csv", "hello")
    entry = entry_for(f"{incoming}/*", name="ACME", properties={"account_id": 42, "priority": 7})
    upload = entry.later(str(path))
    archived = incoming / "archive" / f"{upload.job_id}_a.csv"
    assert upload.is_queued
    assert upload.job_class_name == "FileJob"
    assert upload.properties == {"account_id": 42, "priority": 7}
    assert upload.upload_file_name == str(archived)
    assert upload.original_file_name == str(path)
    assert upload.description == "ACME: a.csv"
    assert archived.read_text() == "hello"
    assert not path.exists()
    assert rocketjob.work_off() == 2
    job = FileJob.find(upload.job_id)
    assert job.result == {"result": "hello"}
    assert (job.account_id, job.priority) == (42, 7)
    assert DirmonFile.count() == 0


def test_an_absolute_archive_is_made_if_it_is_missing(rocketjob, incoming, tmp_path):
    drop(incoming, "sub/a.csv")
    entry_for(f"{incoming}/**/*.csv", archive_directory=str(tmp_path / "done" / "2026"))
    scan_twice()
    (archived,) = (tmp_path / "done" / "2026").iterdir()
    assert archived.name.endswith("_a.csv")


def test_a_batch_job_gets_the_file_uploaded_under_its_first_name(rocketjob, incoming):
    drop(incoming, "words.txt", "one\ntwo\nthree\n")
    settings = [{"name": "main", "slice_size": 1}]
    entry_for(f"{incoming}/*.txt", "LinesJob", properties={"input_categories": settings})
    scan_twice()
    rocketjob.work_off()
    (job,) = LinesJob.completed()
    assert [record for slice_ in job.output for record in slice_] == ["ONE", "TWO", "THREE"]
    assert job.upload_file_name == str(incoming / "words.txt")


def test_a_class_with_a_full_file_name_gets_that(rocketjob, incoming):
    drop(incoming, "a.csv")
    entry_for(f"{incoming}/*", "OtherFileJob")
    scan_twice()
    rocketjob.work_off(limit=1)
    (job,) = OtherFileJob.all()
    assert job.full_file_name.endswith(f"{job.id}_a.csv")


def test_an_object_store_needs_no_second_look(rocketjob):
    import fsspec

    system = fsspec.filesystem("memory")
    system.pipe("/bucket/in/deep/A.CSV", b"hello")
    system.pipe("/bucket/in/archive/old.csv", b"old")
    try:
        entry = entry_for("memory://bucket/in/**/*.csv", "LinesJob")
        scan()
        assert entry.reload().is_enabled
        (archived,) = system.ls("/bucket/in/deep/archive", detail=False)
        assert not system.exists("/bucket/in/deep/A.CSV")
        rocketjob.work_off()
        (job,) = LinesJob.completed()
        assert archived == f"/bucket/in/deep/archive/{job.id}_A.CSV"
        assert [record for slice_ in job.output for record in slice_] == ["HELLO"]
    finally:
        system.rm("/bucket", recursive=True)


def test_thousands_of_files_are_taken_in_one_scan(rocketjob, incoming):
    for number in range(2000):
        (incoming / f"{number}.csv").write_text(str(number))
    entry_for(f"{incoming}/*.csv")
    scan_twice()
    assert UploadFileJob.count() == 2000
    assert names(entry_for(f"{incoming}/**")) == []


# --- other file systems ----------------------------------------------------------------------


def other_device(monkeypatch):
    """Let a rename into the archive be one to another file system."""
    rename = os.rename

    def refuse(source, target):
        if not os.path.basename(source).startswith("."):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(source, target)

    monkeypatch.setattr(local_folder.os, "rename", refuse)


def test_an_archive_on_another_file_system_gets_a_whole_copy(rocketjob, incoming, monkeypatch):
    path = drop(incoming, "a.csv", "x" * 3_000_000)
    os.utime(path, ns=(5_000_000_000, 5_000_000_000))
    entry_for(f"{incoming}/*")
    other_device(monkeypatch)
    scan_twice()
    (archived,) = (incoming / "archive").iterdir()
    assert archived.stat().st_size == 3_000_000
    assert archived.stat().st_mtime == 5
    assert not path.exists()


def test_a_full_archive_disk_fails_the_entry_and_leaves_the_file(rocketjob, incoming, monkeypatch):
    path = drop(incoming, "a.csv", "x" * 300_000)
    entry = entry_for(f"{incoming}/*")
    other_device(monkeypatch)
    job = scan()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        scan(job)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert entry.reload().is_failed
    assert "cannot be archived: File too large" in entry.exception.message
    assert path.stat().st_size == 300_000
    assert list((incoming / "archive").iterdir()) == []
    assert (UploadFileJob.count(), DirmonFile.count()) == (0, 0)


# --- bad input -------------------------------------------------------------------------------


def assert_fails_alone(entry, path, said, memory=None):
    """Scan twice; the entry fails with its reason, its file stays, another entry goes on."""
    good = Path(entry.pattern).parent.parent / "good"
    other = drop(good, "fine.csv")
    well = entry_for(f"{good}/*.csv")
    scan_twice()
    assert entry.reload().is_failed
    assert said in entry.exception.message
    if path is not None:
        assert os.path.lexists(path)
    assert well.reload().is_enabled
    assert not other.exists()
    assert DirmonFile.count() == 0


def test_a_folder_that_cannot_be_read(rocketjob, incoming, monkeypatch):
    scandir = os.scandir

    def refuse(path):
        if str(path).startswith(str(incoming)):
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(local_folder.os, "scandir", refuse)
    path = drop(incoming, "a.csv")
    assert_fails_alone(entry_for(f"{incoming}/*.csv"), path, "cannot be read: Permission denied")


def test_a_folder_that_is_not_there(rocketjob, incoming):
    entry = entry_for(f"{incoming}/sub/*.csv")
    scan()
    assert "there is no directory" in entry.reload().exception.message


def test_a_pattern_outside_of_the_allowed_paths(incoming, tmp_path):
    # A directory whose name merely begins like an allowed one is not allowed.
    for allowed in (tmp_path / "good", tmp_path / "i"):
        allowed.mkdir(exist_ok=True)
    roots = [str(tmp_path / "good"), str(tmp_path / "i")]
    with sandbox(dirmon_allowed_paths=roots):
        path = drop(incoming, "a.csv")
        assert_fails_alone(entry_for(f"{incoming}/*.csv"), path, "outside of dirmon_allowed_paths")


def test_dots_do_not_lead_out_of_the_allowed_paths(incoming, tmp_path):
    (tmp_path / "good").mkdir()
    with sandbox(dirmon_allowed_paths=[str(tmp_path / "good")]):
        path = drop(incoming, "a.csv")
        entry = entry_for(f"{tmp_path}/good/../in/*.csv")
        scan_twice()
        assert entry.reload().is_failed
        assert path.exists()


def test_an_archive_outside_of_the_allowed_paths(incoming, tmp_path):
    with sandbox(dirmon_allowed_paths=[str(incoming), str(tmp_path / "good")]):
        path = drop(incoming, "a.csv")
        entry = entry_for(f"{incoming}/*.csv", archive_directory=str(tmp_path / "elsewhere"))
        assert_fails_alone(entry, path, "elsewhere is outside of dirmon_allowed_paths")
        assert not (tmp_path / "elsewhere").exists()


def test_a_link_that_leads_out(rocketjob, incoming, tmp_path):
    secret = drop(tmp_path / "secret", "passwd.csv")
    (incoming / "a.csv").symlink_to(secret)
    assert_fails_alone(entry_for(f"{incoming}/*.csv"), incoming / "a.csv", "leads out")
    assert secret.exists()


def test_a_linked_directory_is_not_entered(rocketjob, incoming, tmp_path):
    drop(tmp_path / "secret", "passwd.csv")
    (incoming / "sub").symlink_to(tmp_path / "secret")
    assert names(entry_for(f"{incoming}/*/*.csv")) == []
    assert names(entry_for(f"{incoming}/**/*.csv")) == []


def test_an_archive_that_is_a_link(rocketjob, incoming, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (incoming / "archive").symlink_to(tmp_path / "elsewhere")
    path = drop(incoming, "a.csv")
    assert_fails_alone(entry_for(f"{incoming}/*.csv"), path, "a link to another place")


@pytest.mark.parametrize("name", [b"a\nb.csv", b"caf\xe9.csv"])
def test_a_name_that_cannot_be_handled(rocketjob, incoming, name):
    path = os.path.join(os.fsencode(incoming), name)
    with open(path, "w"):
        pass
    fine = drop(incoming, "fine.csv")
    assert_fails_alone(entry_for(f"{incoming}/*.csv"), path, "its name")
    assert fine.exists()  # the first scan failed the entry: nothing of it was started


def test_a_source_that_is_read_only(rocketjob, incoming, monkeypatch):
    rename = os.rename

    def refuse(source, target):
        if str(source).startswith(str(incoming)):
            raise OSError(errno.EROFS, "Read-only file system")
        rename(source, target)

    monkeypatch.setattr(local_folder.os, "rename", refuse)
    path = drop(incoming, "a.csv")
    entry = entry_for(f"{incoming}/*.csv")
    assert_fails_alone(entry, path, "cannot be archived: Read-only file system")


def test_a_source_that_is_read_only_with_an_archive_elsewhere(rocketjob, incoming, monkeypatch):
    unlink = os.unlink

    def refuse(path):
        if str(path).endswith("in/a.csv"):
            raise OSError(errno.EROFS, "Read-only file system")
        unlink(path)

    path = drop(incoming, "a.csv")
    entry = entry_for(f"{incoming}/*.csv")
    job = scan()
    other_device(monkeypatch)
    monkeypatch.setattr(local_folder.os, "unlink", refuse)
    scan(job)
    assert entry.reload().is_failed
    assert path.exists()
    assert list((incoming / "archive").iterdir()) == []


def test_a_class_that_vanished(rocketjob, incoming):
    path = drop(incoming, "a.csv")
    entry = entry_for(f"{incoming}/*.csv")
    entry.collection().update_one({"_id": entry.id}, {"$set": {"job_class_name": "GoneJob"}})
    assert_fails_alone(entry, path, "GoneJob is not loaded here")


def test_a_property_that_the_class_lost(rocketjob, incoming):
    path = drop(incoming, "a.csv")
    entry = entry_for(f"{incoming}/*.csv")
    entry.collection().update_one({"_id": entry.id}, {"$set": {"properties": {"lost": 1}}})
    assert_fails_alone(entry, path, "lost: there is no such field")


def test_a_start_that_is_refused_puts_the_file_back(rocketjob, incoming, monkeypatch):
    path = drop(incoming, "a.csv")
    entry = entry_for(f"{incoming}/*.csv")

    def refuse(self):
        raise DirmonError("not today")

    monkeypatch.setattr(UploadFileJob, "validate", refuse)
    scan_twice()
    assert entry.reload().is_failed
    assert path.read_text() == "data"
    assert DirmonFile.count() == 0


# --- scans that die, and scans at the same time ----------------------------------------------


class Died(BaseException):
    pass


def die(*args, **kwargs):
    raise Died


def scan_and_die(monkeypatch, where, name):
    job = scan()
    with monkeypatch.context() as patch:
        patch.setattr(where, name, die)
        patch.setattr(Intake, "_drop", lambda self, claim: None)  # the dead drop nothing
        with pytest.raises(Died):
            scan(job)
    return job


def test_a_file_that_was_archived_when_the_scan_died_is_started_by_the_next(
    rocketjob, incoming, monkeypatch
):
    drop(incoming, "a.csv", "hello")
    entry = entry_for(f"{incoming}/*.csv")
    scan_and_die(monkeypatch, Intake, "_start")
    assert UploadFileJob.count() == 0
    entry.disable()  # what was archived is started all the same
    rocketjob.travel(LEASE * 2)
    scan()
    rocketjob.work_off()
    assert [job.result["result"] for job in FileJob.all()] == ["hello"]
    assert DirmonFile.count() == 0


def test_a_claim_whose_file_was_not_moved_is_given_up_and_the_file_is_found_again(
    rocketjob, incoming, monkeypatch
):
    drop(incoming, "a.csv", "hello")
    entry_for(f"{incoming}/*.csv")
    job = scan_and_die(monkeypatch, local_folder.LocalFolder, "move")
    scan(job)
    assert UploadFileJob.count() == 0  # it is claimed still
    rocketjob.travel(LEASE * 2)
    scan(job)
    assert UploadFileJob.count() == 1
    rocketjob.travel(timedelta(days=3))
    scan()
    assert DirmonFile.count() == 0


def test_a_copy_that_was_whole_when_the_scan_died_is_no_second_file(
    rocketjob, incoming, monkeypatch
):
    path = drop(incoming, "a.csv", "hello")
    entry_for(f"{incoming}/*.csv")
    with monkeypatch.context() as patch:
        other_device(patch)
        job = scan()
        patch.setattr(local_folder.os, "unlink", die)
        patch.setattr(local_folder.LocalFolder, "discard_part", lambda self, target: None)
        patch.setattr(Intake, "_drop", lambda self, claim: None)
        with pytest.raises(Died):
            scan(job)
    assert path.exists()
    rocketjob.travel(LEASE * 2)
    scan(job)
    assert not path.exists()
    assert UploadFileJob.count() == 1


def test_a_job_that_is_claimed_again_goes_on_at_once(rocketjob, incoming):
    path = drop(incoming, "a.csv")
    entry = entry_for(f"{incoming}/*.csv")
    (found,) = entry.files()
    dead, living, stranger = Intake("5e:1"), Intake("5e:2"), Intake("5f:1")
    claim = dead._claim(entry, found)
    os.makedirs(incoming / "archive")
    os.rename(path, claim.archived)
    assert stranger.finish_others() == 0
    assert living.finish_others() == 1
    assert UploadFileJob.count() == 1


def test_of_two_scans_that_found_the_same_file_one_starts_it(rocketjob, incoming):
    drop(incoming, "a.csv")
    entry = entry_for(f"{incoming}/*.csv")
    (found,) = entry.files()
    for _ in range(2):
        memory = {}
        job = DirmonJob(previous_file_names={memory_key(found.path): found.settled})
        job.check_file(entry, found, Intake("inline"), memory)
    assert UploadFileJob.count() == 1
    assert entry.reload().is_enabled


def test_a_new_file_under_the_name_of_one_that_another_scan_took_is_left(rocketjob, incoming):
    path = drop(incoming, "a.csv")
    entry = entry_for(f"{incoming}/*.csv")
    (found,) = entry.files()
    path.rename(incoming / "elsewhere")
    drop(incoming, "a.csv")
    job = DirmonJob(previous_file_names={memory_key(found.path): found.settled})
    assert not job.check_file(entry, found, Intake("inline"), {})
    assert path.exists()


def test_a_scan_that_was_only_very_slow_leaves_what_was_started_alone(
    rocketjob, incoming, monkeypatch
):
    drop(incoming, "a.csv", "hello")
    entry = entry_for(f"{incoming}/*.csv")
    (found,) = entry.files()
    start = Intake._start

    def slow(self, claim):
        monkeypatch.setattr(Intake, "_start", start)
        clock.travel(LEASE * 2)
        assert Intake("other").finish_others() == 1
        return start(self, claim)

    monkeypatch.setattr(Intake, "_start", slow)
    job = DirmonJob(previous_file_names={memory_key(found.path): found.settled})
    assert not job.check_file(entry, found, Intake("slow"), {})
    rocketjob.work_off()
    assert [job.result["result"] for job in FileJob.all()] == ["hello"]


def test_a_scan_whose_claim_was_given_up_before_it_moved_the_file_puts_it_back(
    rocketjob, incoming, monkeypatch
):
    path = drop(incoming, "a.csv", "hello")
    entry = entry_for(f"{incoming}/*.csv")
    (found,) = entry.files()
    move = local_folder.LocalFolder.move

    def slow(self, *arguments):
        monkeypatch.setattr(local_folder.LocalFolder, "move", move)
        clock.travel(LEASE * 2)
        assert Intake("other").finish_others() == 0
        move(self, *arguments)

    monkeypatch.setattr(local_folder.LocalFolder, "move", slow)
    job = DirmonJob(previous_file_names={memory_key(found.path): found.settled})
    assert not job.check_file(entry, found, Intake("slow"), {})
    assert path.read_text() == "hello"
    scan_twice()
    assert UploadFileJob.count() == 1


# --- what must not go wrong in silence -------------------------------------------------------


class NeedsCustomerJob(FileJob):
    customer: str


class FillsCustomerJob(NeedsCustomerJob):
    @before("validation")
    def _fill(self):
        self.customer = self.customer or "somebody"


def test_a_required_field_that_the_job_would_lack_refuses_the_entry(rocketjob, incoming):
    with pytest.raises(ValidationError, match="customer: is required"):
        entry_for(f"{incoming}/*", "NeedsCustomerJob")
    entry_for(f"{incoming}/*", "NeedsCustomerJob", properties={"customer": "x"})
    with pytest.raises(ValidationError, match="customer: is required"):
        UploadFileJob.create(job_class_name="NeedsCustomerJob", upload_file_name=__file__)


def test_a_required_field_that_a_callback_gives_may_be_left_out(rocketjob, incoming):
    entry_for(f"{incoming}/*", "FillsCustomerJob")


@pytest.mark.parametrize(
    ("pattern", "archive"),
    [("*.csv", "."), ("*.csv", "../in"), ("**/*.csv", ".."), ("**/*.csv", "x/.."), ("*.csv", "/")],
)
def test_an_archive_that_is_the_folder_itself_is_refused(rocketjob, incoming, pattern, archive):
    with pytest.raises(ValidationError, match="is, or is above, the folder itself"):
        entry_for(f"{incoming}/{pattern}", archive_directory=archive)


@pytest.mark.parametrize("archive", ["../archive", "x/../done", "./a/b", "../../a/b"])
def test_no_file_is_started_again_from_an_archive_that_is_given_with_dots(
    rocketjob, incoming, archive
):
    entry_for(f"{incoming}/**/*.csv", archive_directory=archive)
    drop(incoming, "a.csv")
    drop(incoming / "s", "b.csv")
    job = None
    for _ in range(6):
        job = scan(job) if job else scan()
    assert UploadFileJob.count() == 2


@pytest.mark.parametrize("number", [None, errno.ESTALE, errno.EHOSTDOWN])
def test_the_watching_goes_on_after_an_outage(rocketjob, incoming, monkeypatch, number):
    entry = entry_for(f"{incoming}/*.csv")
    path = drop(incoming, "a.csv")
    with monkeypatch.context() as patch:
        if number is None:
            incoming.rename(incoming.parent / "away")
        else:
            patch.setattr(
                local_folder.os, "scandir", lambda path: (_ for _ in ()).throw(OSError(number, "x"))
            )
        scan()
    if number is None:
        (incoming.parent / "away").rename(incoming)
    assert entry.reload().is_enabled
    assert str(incoming) in entry.exception.message
    scan_twice()
    assert not path.exists()
    assert entry.reload().exception is None


def test_an_outage_is_logged_when_it_begins_and_not_by_each_scan(rocketjob, incoming, caplog):
    entry = entry_for(f"{incoming}/*.csv")
    away = incoming.parent / "away"
    for outages in (1, 2):
        incoming.rename(away)
        for _ in range(3):
            scan()
        assert caplog.text.count("folder away") == outages
        assert "there is no directory" in entry.reload().exception.message
        away.rename(incoming)
        scan()
        assert entry.reload().exception is None


def test_a_file_that_is_read_only_waits_and_is_said_once(rocketjob, incoming, monkeypatch, caplog):
    entry_for(f"{incoming}/*.csv")
    path = drop(incoming, "a.csv")
    access = os.access
    with monkeypatch.context() as patch:
        patch.setattr(
            local_folder.os, "access", lambda path, mode: mode != os.W_OK and access(path, mode)
        )
        job = DirmonJob()
        for _ in range(3):
            assert job.perform() == {"started": 0, "waiting": 1}
    assert caplog.text.count("passed over") == 1
    job.perform()
    assert not path.exists()


def test_a_read_only_file_that_still_grows_is_logged_once(rocketjob, incoming, monkeypatch, caplog):
    entry_for(f"{incoming}/*.csv")
    path = drop(incoming, "a.csv")
    access = os.access
    monkeypatch.setattr(
        local_folder.os, "access", lambda path, mode: mode != os.W_OK and access(path, mode)
    )
    job = DirmonJob()
    for size in range(3):
        path.write_text("x" * size)
        assert job.perform() == {"started": 0, "waiting": 1}
    assert caplog.text.count("passed over") == 1


def test_what_is_not_a_regular_file_is_logged_once_and_never_taken(rocketjob, incoming, caplog):
    entry_for(f"{incoming}/*")
    os.mkfifo(incoming / "pipe.csv")
    job = DirmonJob()
    for _ in range(3):
        assert job.perform()["started"] == 0
    assert caplog.text.count("passed over") == 1


def test_a_file_that_no_scan_can_finish_is_logged_once(rocketjob, incoming, monkeypatch, caplog):
    entry = entry_for(f"{incoming}/*.csv")
    drop(incoming, "a.csv")
    with monkeypatch.context() as patch:
        patch.setattr(Intake, "_start_or_put_back", lambda *_: (_ for _ in ()).throw(SystemExit))
        (file,) = entry.files()
        with pytest.raises(SystemExit):
            Intake("one").take(entry, file)
    monkeypatch.setattr(
        Intake, "_start_or_put_back", lambda *_: (_ for _ in ()).throw(DirmonError("no such class"))
    )
    for _ in range(3):
        rocketjob.travel(LEASE * 2)
        scan()
    assert caplog.text.count("cannot be finished") == 1


# --- encodings -------------------------------------------------------------------------------


def test_the_encoding_of_an_entry_is_that_of_its_files(rocketjob, incoming):
    entry_for(f"{incoming}/*.txt", "LinesJob", encoding=" cp1252 ")
    (incoming / "a.txt").write_bytes("café\n".encode("cp1252"))
    scan_twice()
    rocketjob.work_off()
    assert list(LinesJob.first().records()) == ["CAFÉ"]


def test_an_entry_without_one_leaves_the_encoding_to_the_category(rocketjob, incoming):
    properties = {"input_categories": [{"name": "main", "encoding": "cp1252"}]}
    entry_for(f"{incoming}/*.txt", "LinesJob", properties=properties)
    (incoming / "a.txt").write_bytes("café\n".encode("cp1252"))
    scan_twice()
    rocketjob.work_off()
    assert list(LinesJob.first().records()) == ["CAFÉ"]


@pytest.mark.parametrize(
    ("cls", "encoding", "said"),
    [
        ("LinesJob", "cp1253x", "There is no encoding 'cp1253x'"),
        ("LinesJob", "base64", "is not an encoding of text"),
        ("FileJob", "cp1252", "is for batch jobs: FileJob is given the file's name"),
        ("LinesJob", 5, "must be"),
    ],
)
def test_an_encoding_that_cannot_be_used_is_refused(rocketjob, incoming, cls, encoding, said):
    with pytest.raises(ValidationError, match=said) as error:
        entry_for(f"{incoming}/*.txt", cls, encoding=encoding)
    assert list(error.value.errors) == ["encoding"]
    path = drop(incoming, "a.txt")
    with pytest.raises(ValidationError, match=said):
        UploadFileJob.create(job_class_name=cls, upload_file_name=str(path), encoding=encoding)


def test_a_copy_that_has_its_size_and_time_from_the_start_is_not_taken(rocketjob, incoming):
    entry_for(f"{incoming}/*")
    path = drop(incoming, "a.csv", "\0" * 100)
    os.utime(path, ns=(1, 1))
    job = scan()
    with path.open("r+") as file:
        file.write("half")
    os.utime(path, ns=(1, 1))
    scan(job)
    assert path.exists()
