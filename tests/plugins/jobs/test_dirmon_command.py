import json

import pytest
from click.testing import CliRunner

from rocketjob import Job, field
from rocketjob.cli import make_cli
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.dirmon import DirmonEntry, DirmonJob
from support.encryption import reversing


class CliFileJob(Job):
    upload_file_name: str | None = None
    account_id: int = field(default=0)

    def perform(self): ...


class CliRowsJob(Batch, Job):
    def perform(self, row): ...


class CliSecretFileJob(CliFileJob):
    token: str | None = field(default=None, encrypted=True)


@pytest.fixture
def cli(rocketjob):
    def run(*arguments):
        made = CliRunner().invoke(make_cli(), ["dirmon", *map(str, arguments)])
        return made.exit_code, made.output

    return run


@pytest.fixture
def incoming(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text("data")
    return tmp_path / "in"


def test_an_entry_is_added_listed_disabled_enabled_and_removed(cli, incoming):
    code, said = cli("add", f"{incoming}/*.csv", "CliFileJob", "account_id=42", "--name", "acme")
    assert (code, said) == (0, "acme is pending\n")
    entry = DirmonEntry.first()
    assert entry.properties == {"account_id": "42"}
    assert cli("enable", "acme")[1].startswith("acme is enabled\nnothing scans yet")
    assert cli("disable", entry.pattern) == (0, "acme is disabled\n")
    entry.reload().enable().fail("no such thing")
    code, said = cli("list", "--state", "failed")
    assert "DirmonEntryException: no such thing" in said
    assert json.loads(cli("list", "--json")[1])["failure"].endswith("no such thing")
    assert cli("remove", entry.id) == (0, "removed acme\n")
    assert DirmonEntry.count() == 0


def test_secret_properties_are_shown_nowhere(cli, rocketjob, incoming):
    reversing(rocketjob)
    add = ("add", f"{incoming}/*", "CliSecretFileJob", "account_id=42", "token=xyzzy", "--json")
    shown = {"account_id": "42", "token": "(encrypted)"}
    assert json.loads(cli(*add)[1])["properties"] == shown
    assert json.loads(cli("list", "--json")[1])["properties"] == shown
    job = DirmonEntry.first().later(f"{incoming}/a.csv")
    for option in ("--json", "--reveal"):
        said = CliRunner().invoke(make_cli(), ["jobs", "show", str(job.id), option]).output
        assert "(encrypted)" in said
        assert "xyzzy" not in said


def test_what_is_wrong_is_said(cli, incoming):
    for arguments in (("/x/*", "Nowhere"), ("/x/*", "CliFileJob", "acount_id=1")):
        code, said = cli("add", *arguments)
        assert code in (1, 2)
        assert said.startswith("error: ")
    code, said = cli("enable", "nobody")
    assert (code, said) == (1, "error: there is no entry nobody; there are: none\n")
    cli("add", "/x/*", "CliFileJob")
    code, said = cli("disable", "/x/*")
    assert code == 1
    assert "Cannot disable" in said


def test_an_encoding_is_given_and_checked_when_an_entry_is_added(cli, rocketjob, incoming):
    code, said = cli("add", f"{incoming}/*", "CliRowsJob", "--encoding", "cp1253x")
    assert code == 1
    assert "encoding: There is no encoding 'cp1253x'" in said
    entry = json.loads(
        cli("add", f"{incoming}/*", "CliRowsJob", "--encoding", "cp1252", "--json")[1]
    )
    assert entry["encoding"] == "cp1252"
    code, said = cli("add", f"{incoming}/b", "CliFileJob", "--encoding", "cp1252")
    assert code == 1
    assert "is for batch jobs" in said


def test_a_dry_run_says_what_the_next_scan_would_do(cli, incoming):
    cli("add", f"{incoming}/*.csv", "CliFileJob", "--enable", "--name", "acme")
    path = incoming / "a.csv"
    assert cli("scan", "--dry-run") == (0, f"wait   {path}  CliFileJob\n")
    job = DirmonJob()
    job.perform_now()
    DirmonJob.create(previous_file_names=job.previous_file_names)
    code, said = cli("scan", "acme", "--dry-run", "--json")
    assert json.loads(said) == {"entry": "acme", "file": str(path), "action": "start"}
    assert path.exists()
    path.rename(incoming / "bad\n.csv")
    code, said = cli("scan", "--dry-run")
    assert code == 1
    assert "error: acme: " in said


def test_a_scan_is_made_by_a_server_and_its_job_is_made_if_there_is_none(cli, rocketjob, incoming):
    cli("add", f"{incoming}/*.csv", "CliFileJob", "--enable")
    for _ in range(2):
        code, said = cli("scan")
        assert (code, said.endswith("scans as soon as a server is free\n")) == (0, True)
        rocketjob.work_off()
    assert DirmonJob.count() == 1
    assert not (incoming / "a.csv").exists()
