"""The preview of an entry: what servers say of its files, and why some of them yield no job."""

import json
import os
import re
from datetime import timedelta

import pytest
from click.testing import CliRunner

from rocketjob import Job, field, hookimpl, now
from rocketjob.cli import make_cli
from rocketjob.server.server import Server
from rocketjob.server.subscribers import QuestionSubscriber
from rocketjob.testing import sandbox
from rocketjob_contrib.mission_control import Policy
from rocketjob_plugins import audit
from rocketjob_plugins.dirmon import Defer, DirmonEntry, DirmonJob, Refuse, Take, preview
from rocketjob_plugins.dirmon.intake import DirmonFile
from support.questions import answer_at_once, hear_while_waiting
from support.web import as_role, browser, links, tags, text_of


class PreviewedJob(Job):
    upload_file_name: str | None = None

    def perform(self): ...


class PreviewedOtherJob(PreviewedJob):
    """Files that a plugin wants elsewhere."""


@pytest.fixture
def folder(tmp_path, rocketjob):
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


def entry(folder, pattern="*.csv", **values):
    values = {"name": "acme", "job_class_name": "PreviewedJob", **values}
    return DirmonEntry.create(pattern=f"{folder}/{pattern}", **values)


def seen(made):
    """Let a first scan see the files of an entry, and return the monitor that remembers them."""
    if not made.is_enabled:
        made.enable()
    monitor = DirmonJob()
    monitor.perform()
    return monitor.save()


def found(made, most=100):
    """Return what becomes of each file, and why, by its name."""
    said = preview.preview(str(made.id), most)
    assert said["problems"] == []
    return {os.path.basename(row["path"]): (row["action"], row["why"]) for row in said["files"]}


def problems(made):
    return preview.preview(str(made.id))["problems"]


def test_a_file_that_no_scan_has_seen_waits_whatever_the_state_of_the_entry(folder):
    (folder / "a.csv").write_text("x")
    made = entry(folder)
    for step in (lambda: None, made.enable, made.disable):
        step()
        assert found(made) == {"a.csv": ("wait", preview.NEW)}


def test_one_that_has_settled_is_taken_and_one_that_grows_is_not(folder):
    (folder / "done.csv").write_text("x")
    (folder / "grows.csv").write_text("x")
    made = entry(folder)
    seen(made)
    (folder / "grows.csv").write_text("more")
    assert found(made) == {"done.csv": ("start", ""), "grows.csv": ("wait", preview.GROWING)}


def test_what_is_archived_is_named_where_the_pattern_would_find_it(folder):
    archive = folder / "archive"
    archive.mkdir()
    (archive / "1_old.csv").write_text("x")
    (folder / "new.csv").write_text("x")
    archived = ("pass", "it is in the archive")
    assert found(entry(folder, "**/*.csv"))["1_old.csv"] == archived
    made = entry(folder, "*/*.csv", name="absolute", archive_directory=str(archive))
    assert found(made) == {"1_old.csv": archived}


def test_what_is_no_file_is_passed_over(folder):
    os.mkfifo(folder / "pipe.csv")
    (folder / "folder.csv").mkdir()
    assert found(entry(folder)) == {
        "pipe.csv": ("pass", "it is not a regular file"),
        "folder.csv": ("pass", "it is a directory"),
    }


def test_what_would_fail_the_entry_comes_first_with_the_reason(folder, tmp_path):
    (tmp_path / "elsewhere.csv").write_text("x")
    (folder / "a.csv").write_text("x")
    (folder / "link.csv").symlink_to(tmp_path / "elsewhere.csv")
    (folder / "line\nfeed.csv").write_text("x")
    rows = found(entry(folder))
    assert list(rows)[2] == "a.csv"
    assert rows["link.csv"] == ("fail", "it is a link that leads out of the folder")
    assert rows["line\\nfeed.csv"][0] == "fail" and "line feed" in rows["line\\nfeed.csv"][1]


def test_one_that_cannot_be_read_or_is_read_only_is_said_to_be(folder, monkeypatch):
    (folder / "secret.csv").write_text("x")
    (folder / "fixed.csv").write_text("x")
    monkeypatch.setattr(
        "rocketjob_plugins.dirmon.local_folder.os.access",  # root may read and write everything
        lambda path, mode: not ("secret" in path or ("fixed" in path and mode == os.W_OK)),
    )
    assert found(entry(folder)) == {
        "secret.csv": ("fail", "it cannot be read"),
        "fixed.csv": ("pass", "it is read-only here"),
    }


@pytest.mark.parametrize("allowed", ["/nowhere", "in/sub"])
def test_a_folder_outside_of_the_allowed_paths_is_a_problem(folder, allowed, tmp_path):
    (folder / "a.csv").write_text("x")
    with sandbox(dirmon_allowed_paths=[str(tmp_path / allowed)]):
        (problem,) = problems(entry(folder))
    assert problem == f"{folder} is outside of dirmon_allowed_paths"


def test_a_link_to_a_place_outside_of_the_allowed_paths_fails_the_entry(folder):
    (folder / "allowed").mkdir()
    (folder / "a.csv").write_text("x")
    (folder / "allowed" / "link.csv").symlink_to(folder / "a.csv")
    with sandbox(dirmon_allowed_paths=[str(folder / "allowed")]):
        assert found(entry(folder / "allowed"))["link.csv"][0] == "fail"


def test_a_folder_that_is_not_there_is_a_problem(folder):
    made = entry(folder)
    folder.rmdir()
    assert problems(made) == [f"there is no directory {folder}"]


def test_a_class_that_is_loaded_nowhere_is_a_problem(folder):
    (folder / "a.csv").write_text("x")
    made = entry(folder)
    DirmonEntry.collection().update_one({"_id": made.id}, {"$set": {"job_class_name": "GoneJob"}})
    (problem,) = problems(made)
    assert "GoneJob" in problem


def test_an_archive_that_cannot_be_used_fails_the_entry(folder, tmp_path):
    (folder / "a.csv").write_text("x")
    (tmp_path / "elsewhere").mkdir()
    made = entry(folder)
    seen(made)
    (folder / "archive").symlink_to(tmp_path / "elsewhere")
    action, why = found(made)["a.csv"]
    assert action == "fail" and "link to another place" in why


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (Refuse("wrong tenant"), ("pass", "a plugin refuses it: wrong tenant")),
        (Defer("no trailer yet"), ("wait", "a plugin defers it: no trailer yet")),
        (Take(job_class_name="PreviewedOtherJob"), ("start", "a plugin wants it for")),
        (None, ("start", "")),
    ],
    ids=["refused", "deferred", "for another job", "left alone"],
)
def test_what_a_plugin_decides_is_said(folder, rocketjob, verdict, expected):
    class Deciding:
        @hookimpl
        def dirmon_file(self, entry, file):
            return verdict

    (folder / "a.csv").write_text("x")
    made = entry(folder)
    monitor = seen(made)
    rocketjob.plugins.register(Deciding(), "deciding")
    action, why = found(made)["a.csv"]
    assert (action, why[: len(expected[1])]) == expected
    if isinstance(verdict, Refuse):  # once a scan has asked, it is known
        monitor.perform()
        monitor.save()
        assert found(made)["a.csv"] == ("pass", preview.REFUSED)


def test_looking_changes_nothing(folder):
    (folder / "a.csv").write_text("x")
    made = entry(folder)
    monitor = seen(made)
    before = (monitor.reload().to_document(), made.reload().to_document())
    assert found(made)["a.csv"] == ("start", "")
    assert (monitor.reload().to_document(), made.reload().to_document()) == before
    assert (folder / "a.csv").exists() and not (folder / "archive").exists()
    assert DirmonFile.count() == 0 and PreviewedJob.count() == 0


def test_of_a_great_many_the_first_are_named_and_all_are_counted(folder):
    for number in range(7):
        (folder / f"{number}.csv").write_text("x")
    (folder / "folder.csv").mkdir()
    said = preview.preview(str(entry(folder).id), 3)
    assert [os.path.basename(row["path"]) for row in said["files"]] == ["0.csv", "1.csv", "2.csv"]
    assert said["counts"] == {"fail": 0, "start": 0, "wait": 7, "pass": 1}
    shown = preview.Preview(
        servers=("a",), files=tuple(said["files"]), counts=said["counts"], problems=()
    )
    assert shown.summary == "the first 3 of 8 files: 7 waiting for a later scan, 1 passed over"


def test_no_password_of_a_url_is_in_what_is_stored_as_an_answer(folder, monkeypatch):
    made = entry(folder)
    stored = {"pattern": "memory://ada:hunter2@bucket/in/*.csv"}
    DirmonEntry.collection().update_one({"_id": made.id}, {"$set": stored})
    assert "hunter2" not in str(preview.preview(str(made.id)))


# --- asked from elsewhere --------------------------------------------------------------------


@pytest.fixture
def asked(rocketjob, monkeypatch):
    answer_at_once(monkeypatch)
    return hear_while_waiting(monkeypatch)


def server(name):
    beat = {"updated_at": now(), "number": 1, "workers": 1, "performing": []}
    return Server.create(name=name, state="running", heartbeat=beat)


def answering(made):
    return QuestionSubscriber.subscribed(made.incarnation, made.name, brought=[preview.question()])


@pytest.fixture
def cli(asked):
    def run(*arguments):
        made = CliRunner().invoke(make_cli(), ["dirmon", "preview", *map(str, arguments)])
        return made.exit_code, made.stdout, made.stderr

    return run


def test_the_command_shows_what_servers_answer_those_with_the_same_files_together(cli, folder):
    (folder / "a.csv").write_text("x")
    (folder / "folder.csv").mkdir()
    made = entry(folder)
    with answering(server("web-1:1")), answering(server("web-2:1")):
        code, out, err = cli("acme")
        as_json = json.loads(cli(made.id, "--json")[1])
    assert code == 0
    head = "web-1:1, web-2:1: 2 files: 1 waiting for a later scan, 1 passed over"
    assert head in out
    rows = [" ".join(line.split()) for line in out.splitlines()]
    assert f"wait {folder}/a.csv {preview.NEW}" in rows
    assert f"pass {folder}/folder.csv it is a directory" in rows
    assert "the entry is pending: nothing is taken until it is enabled" in err
    assert as_json["servers"] == ["web-1:1", "web-2:1"] and as_json["counts"]["wait"] == 1


def test_who_does_not_answer_is_named_and_the_code_is_1(cli, folder):
    entry(folder)
    server("silent:1")
    with answering(server("web-1:1")):
        code, out, err = cli("acme")
    assert code == 1 and "web-1:1: no file matches" in out
    assert "silent:1 did not answer within 5 s" in err


def test_a_server_without_the_plugin_says_so(cli, folder):
    entry(folder)
    made = server("web-1:1")
    with QuestionSubscriber.subscribed(made.incarnation, made.name, brought=[]):
        code, _, err = cli("acme")
    assert code == 1
    assert "web-1:1 cannot answer: no plugin that it has loaded answers dirmon_preview" in err


def test_where_no_server_runs_or_no_entry_is_called_so_that_is_said(cli, folder):
    entry(folder)
    Server.create(name="dead:1", state="running")
    code, _, err = cli("acme")
    assert code == 1 and "no server is running, whose files could be looked at" in err
    code, _, err = cli("nothing")
    assert code == 1 and "there is no entry nothing; there are: acme" in err


def test_an_entry_that_is_removed_meanwhile_is_gone(cli, folder, monkeypatch):
    made = entry(folder)
    with answering(server("web-1:1")):
        monkeypatch.setattr(DirmonEntry, "where", classmethod(lambda cls, *a, **k: Nothing()))
        monkeypatch.setattr("rocketjob_plugins.dirmon.command._find", lambda name: made)
        code, _, err = cli("acme")
    assert code == 1 and "web-1:1 cannot answer: NotFound: The entry is gone" in err


class Nothing:
    def first(self):
        return None


def test_the_page_of_an_entry_leads_to_its_preview(asked, folder):
    (folder / "<b>.csv").write_text("x")
    made = entry(folder)
    client = as_role("dirmon", read_only=True)
    path = f"/dirmon_entries/{made.id}/preview"
    assert path in links(client.get(f"/dirmon_entries/{made.id}"))
    server("silent:1")
    with answering(server("web-1:1")):
        page = client.get(path)
    said = text_of(page)
    assert "1 file: 1 waiting for a later scan" in said and preview.NEW in said
    assert "silent:1 did not answer within 2 s" in said
    assert "<b>.csv" not in page.text and "<b>.csv" in said
    assert "data-live" not in page.text and "nor before the entry is enabled" in said


def test_a_page_without_anybody_to_ask_says_so_and_who_may_not_look_is_not_offered_to(folder):
    made = entry(folder)
    path = f"/dirmon_entries/{made.id}/preview"
    assert "No server is running" in text_of(browser().get(path))
    viewer = as_role("view")
    assert path not in links(viewer.get(f"/dirmon_entries/{made.id}"))
    assert viewer.get(path).status_code == 403
    assert re.search("There is no entry", text_of(_followed(browser(), "0" * 24)))


def _followed(client, id):
    client.get(f"/dirmon_entries/{id}/preview")
    return client.get("/dirmon_entries")


# --- before it is stored -------------------------------------------------------------------------


class PreviewedSecretJob(PreviewedJob):
    account: int
    pin: str | None = field(default=None, encrypted=True, user_editable=True)


def drafted(folder, entry_id="", **values):
    values = {"pattern": f"{folder}/*.csv", "job_class_name": "PreviewedJob", **values}
    return preview.preview(entry_id, draft=values)


def test_P41_what_was_typed_is_looked_at_and_not_stored(folder):
    (folder / "a.csv").write_text("x")
    (folder / "b.txt").write_text("xyz")
    said = drafted(folder)
    (row,) = said["files"]
    assert (os.path.basename(row["path"]), row["size"], row["action"]) == ("a.csv", 1, "wait")
    assert abs(now() - row["changed_at"]) < timedelta(minutes=5)
    made = entry(folder)
    said = drafted(folder, str(made.id), pattern=f"{folder}/*.txt")
    assert [os.path.basename(row["path"]) for row in said["files"]] == ["b.txt"]
    assert said["problems"] == [] and DirmonEntry.count() == 1
    assert made.reload().pattern.endswith("*.csv")


def test_P41_what_is_wrong_with_it_is_said_as_a_scan_would(folder, tmp_path):
    said = drafted(folder, job_class_name="NoSuchClass", archive_directory="", state="enabled")
    assert any("NoSuchClass" in each for each in said["problems"])
    assert "archive_directory: is required" in str(said["problems"])
    assert "nowhere" in str(drafted(tmp_path / "nowhere")["problems"])
    assert drafted(folder, pattern="")["files"] == []


def test_P41_what_is_encrypted_is_sent_so(folder):
    from rocketjob_plugins.encryption import keys

    with sandbox(encryption_keys=[keys.new_key("k")]):
        typed = {"account": 7, "pin": "4711"}
        draft = {"job_class_name": "PreviewedSecretJob", "properties": typed, "name": "acme"}
        sent = preview._sent(DirmonEntry(pattern="", job_class_name=""), draft)
        assert "4711" not in str(sent) and "name" not in sent
        assert preview.preview("", draft={**sent, "pattern": f"{folder}/*"})["problems"] == []


def form_values(folder, pattern="*.csv", **values):
    values = {"pattern": f"{folder}/{pattern}", "job_class_name": "PreviewedJob", **values}
    return {f"field.{name}": text for name, text in values.items()}


def test_P41_the_form_that_creates_an_entry_shows_what_matches_before_anything_is_stored(
    asked, folder
):
    (folder / "<b>.csv").write_text("x")
    (folder / "folder.csv").mkdir()
    client = as_role("dirmon")
    assert tags(client.get("/dirmon_entries/new"), "button", name="preview")
    with answering(server("web-1:1")):
        page = client.post("/dirmon_entries", data=form_values(folder) | {"preview": "files"})
    said = text_of(page)
    assert page.status_code == 200 and "Matches now" in said and "web-1:1" in said
    assert "2 files: 1 waiting for a later scan, 1 passed over" in said
    assert preview.NEW in said and "it is a directory" in said
    assert "<b>.csv" not in page.text and "<b>.csv" in said
    assert tags(page, "input", value=f"{folder}/*.csv")  # what was typed is still there
    assert DirmonEntry.count() == 0 and list(audit.records()) == []


def test_P41_so_does_the_form_that_changes_one(asked, folder):
    (folder / "a.csv").write_text("x")
    (folder / "b.txt").write_text("x")
    made = entry(folder)
    data = form_values(folder, "*.txt") | {"preview": "files"}
    data |= {a["name"]: a["value"] for a in tags(opened(made), "input", type="hidden")}
    del data["field.job_class_name"]
    with answering(server("web-1:1")):
        page = as_role("dirmon").post(f"/dirmon_entries/{made.id}", data=data)
    assert page.status_code == 200 and "b.txt" in text_of(page) and "a.csv" not in text_of(page)
    assert made.reload().pattern.endswith("*.csv") and list(audit.records()) == []


def opened(made):
    return as_role("dirmon").get(f"/dirmon_entries/{made.id}/edit")


def test_P41_a_form_that_is_not_filled_in_is_previewed_with_what_is_missing(asked, folder):
    client = as_role("dirmon")
    with answering(server("web-1:1")):
        page = client.post("/dirmon_entries", data={"preview": "files"})
    assert page.status_code == 200 and "no file matches" in text_of(page).lower()
    assert "is required" in text_of(page)
    assert "No server is running" not in text_of(page)
    Server.delete_all()
    page = client.post("/dirmon_entries", data=form_values(folder) | {"preview": "files"})
    assert "No server is running" in text_of(page)


def test_P41_whoever_may_not_preview_is_not_offered_it(asked, folder):
    client = as_role("dirmon", policy=NoPreviews)
    assert not tags(client.get("/dirmon_entries/new"), "button", name="preview")
    page = client.post("/dirmon_entries", data=form_values(folder) | {"preview": "files"})
    assert page.status_code == 403


class NoPreviews(Policy):
    """Nobody looks into folders."""

    def may(self, identity, permission, target=None):
        return permission != "entries.preview" and super().may(identity, permission, target)
