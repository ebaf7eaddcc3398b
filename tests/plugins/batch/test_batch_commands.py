"""`rocketjob batch upload|download` and `rocketjob rejects list|download|resubmit`."""

import gzip
import io
import json
import os
import re
import sys

import pytest
from click.testing import CliRunner

from rocketjob import Job, hookimpl
from rocketjob.base.errors import JobRefused, NotFound
from rocketjob.cli import make_cli
from rocketjob.cli.types import Property
from rocketjob.store import context
from rocketjob_plugins import audit
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory, streams
from rocketjob_plugins.batch.commands import files, rejects
from rocketjob_plugins.batch.progress import shown_progress
from rocketjob_plugins.batch.slices import slices_store


class CommandedJob(Batch, Job):
    destroy_on_complete = False
    max_rejects = 10
    account: int = 0
    input_category = InputCategory(slice_size=2, format="auto")
    output_category = OutputCategory(format="auto")

    def perform(self, row):
        return {"name": row["name"].upper(), "amount": int(row["amount"])}


class CommandedSilentJob(Batch, Job):
    destroy_on_complete = False

    def perform(self, record): ...


class CommandedFailingJob(CommandedJob):
    max_rejects = None


class CommandedSimpleJob(Job):
    destroy_on_complete = False

    def perform(self): ...


GOOD = "name,amount\nann,1\nbob,2\ncarl,3\n"
BAD = 'name,amount\r\nann,1\r\n"bob; jr",two\r\ncarl,3\r\ndora,\r\n'


@pytest.fixture
def cli(rocketjob, tmp_path, monkeypatch):
    """Run a command line on the test's own store; return exit code, output and errors."""
    monkeypatch.chdir(tmp_path)

    def run(*args, input=None):
        ran = CliRunner().invoke(make_cli(), [str(each) for each in args], input=input)
        return ran.exit_code, ran.stdout, ran.stderr

    return run


def slice_collections():
    return [name for name in slices_store().collection_names() if ".inputs." in name]


def uploaded(cli, text=GOOD, cls="CommandedJob", name="in.csv"):
    with open(name, "w", newline="") as file:
        file.write(text)
    code, out, err = cli("batch", "upload", name, "--class", cls)
    assert code == 0, err
    return Job.find(out.strip())


@pytest.fixture
def rejected(cli, rocketjob):
    """A job of which two of four records were rejected."""
    job = uploaded(cli, BAD)
    rocketjob.work_off()
    return job.reload()


# --- batch upload ----------------------------------------------------------------------------


def test_a_file_becomes_a_job_with_fields(cli, rocketjob, tmp_path):
    (tmp_path / "in.csv.gz").write_bytes(gzip.compress(GOOD.encode()))
    args = ("in.csv.gz", "--class", "CommandedJob", "account=7", "priority=3")
    code, out, err = cli("batch", "upload", *args)
    assert (code, err.splitlines()[1:]) == (0, ["CommandedJob is queued with 3 records"])
    job = CommandedJob.find(out.strip())
    assert (job.state, job.account, job.priority, job.record_count) == ("queued", 7, 3, 3)
    assert job.upload_file_name == "in.csv.gz"
    rocketjob.work_off()
    assert [row["name"] for row in job.reload().records()] == ["ANN", "BOB", "CARL"]


def test_standard_input_is_named_by_an_option(cli, rocketjob):
    packed = gzip.compress(GOOD.encode())
    args = ("-", "--file-name", "orders.csv.gz", "--class", "CommandedJob", "--json")
    code, out, _ = cli("batch", "upload", *args, input=packed)
    told = json.loads(out)
    assert (code, told["records"], told["class"], told["state"]) == (
        0,
        3,
        "CommandedJob",
        "queued",
    )
    assert Job.find(told["id"]).upload_file_name == "orders.csv.gz"


def test_standard_input_is_not_a_file_to_be_read_again(cli):
    code, out, _ = cli("batch", "upload", "-", "--class", "CommandedJob", input=GOOD)
    assert code == 0
    assert Job.find(out.strip()).upload_file_name is None


def test_a_file_of_another_encoding_and_separator(cli, rocketjob, tmp_path):
    (tmp_path / "in.csv").write_bytes("name;amount\nZoë;1\n".encode("cp1252"))
    change = 'input_categories={"format": "csv", "format_options": {"separator": ";"}}'
    args = ("in.csv", change, "--class", "CommandedJob", "--encoding", "cp1252")
    _, out, _ = cli("batch", "upload", *args)
    rocketjob.work_off()
    assert list(Job.find(out.strip()).records()) == [{"name": "ZOË", "amount": 1}]


def test_an_upload_says_that_a_table_is_read_as_lines_and_how_it_is_not(cli, tmp_path):
    (tmp_path / "in.csv").write_text(GOOD)
    code, _, err = cli("batch", "upload", "in.csv", "--class", "CommandedSilentJob")
    assert code == 0
    (change,) = re.findall("each is a line as it stands; for its columns: '(.*)'", err)
    _, out, err = cli("batch", "upload", "in.csv", change, "--class", "CommandedSilentJob")
    assert Job.find(out.strip()).record_count == 3
    assert "as it stands" not in err
    (tmp_path / "in.txt").write_text(GOOD)
    assert (
        "as it stands" not in cli("batch", "upload", "in.txt", "--class", "CommandedSilentJob")[2]
    )


def test_an_upload_says_that_a_file_has_no_records(cli):
    code, _, err = cli("batch", "upload", "-", "--class", "CommandedJob", input="")
    assert code == 0
    assert "warning: the file has no records" in err


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("no.csv", "--class", "CommandedJob"), 1, "no.csv: does not exist on"),
        ((".", "--class", "CommandedJob"), 1, ".: is a directory"),
        (("cut.csv.gz", "--class", "CommandedJob"), 1, "cut.csv.gz: ends in the middle"),
        (("latin.csv", "--class", "CommandedJob"), 1, "latin.csv, line 3, column"),
        (("in.csv", "--class", "CommandedSimpleJob"), 2, "is not a batch job"),
        (("in.csv", "--class", "CommandedJbo"), 2, "did you mean Commanded"),
        (("in.csv", "--class", "CommandedJob", "acount=3"), 2, "did you mean account?"),
        (("in.csv", "--class", "CommandedJob", "account=x"), 2, "account"),
        (("in.csv", "--class", "CommandedJob", "--category", "extra"), 2, "Unknown Input Category"),
        (("in.csv", "--class", "CommandedJob", "--encoding", "klingon"), 2, "no encoding"),
        (("in.csv", "--class", "CommandedJob", "--streams", "zip7"), 1, "zip7"),
        (("in.csv",), 2, "--class"),
    ],
)
def test_an_upload_that_is_refused_leaves_nothing(cli, tmp_path, args, code, said):
    (tmp_path / "in.csv").write_text(GOOD)
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(GOOD.encode())[:-9])
    (tmp_path / "latin.csv").write_bytes(b"name,amount\nann,1\nZo\xeb,2\n")
    found, out, err = cli("batch", "upload", *args)
    assert (found, out) == (code, "")
    assert said in err
    assert not Job.all().exists()
    assert slice_collections() == []


def test_what_was_uploaded_is_removed_if_the_job_is_refused(cli, rocketjob, tmp_path):
    class Doorkeeper:
        @hookimpl
        def before_enqueue(self, job):
            raise JobRefused("not today")

    (tmp_path / "in.csv").write_text(GOOD)
    rocketjob.application.plugins.register(Doorkeeper(), "doorkeeper")
    code, _, err = cli("batch", "upload", "in.csv", "--class", "CommandedJob")
    assert code == 1
    assert "not today" in err
    assert slice_collections() == []


def test_what_was_uploaded_stays_if_the_job_is_stored_all_the_same(cli, monkeypatch, tmp_path):
    (tmp_path / "in.csv").write_text(GOOD)
    submit = CommandedJob.submit

    def and_fail(job):
        submit(job)
        raise KeyboardInterrupt

    monkeypatch.setattr(CommandedJob, "submit", and_fail)
    code, _, _ = cli("batch", "upload", "in.csv", "--class", "CommandedJob")
    assert code == 130
    assert len(CommandedJob.first().input) == 2


def test_an_interrupted_upload_leaves_nothing(cli, monkeypatch, tmp_path):
    (tmp_path / "in.csv").write_text(GOOD)

    def interrupted(job):
        raise KeyboardInterrupt

    monkeypatch.setattr(CommandedJob, "submit", interrupted)
    code, _, _ = cli("batch", "upload", "in.csv", "--class", "CommandedJob")
    assert (code, Job.count(), slice_collections()) == (130, 0, [])


def test_no_server_sees_a_job_before_all_of_its_file_is_uploaded(cli, monkeypatch, tmp_path):
    (tmp_path / "in.csv").write_text(GOOD)
    seen = []
    submit = CommandedJob.submit

    def look_first(job):
        seen.append((Job.count(), job.record_count, len(job.input)))
        return submit(job)

    monkeypatch.setattr(CommandedJob, "submit", look_first)
    assert cli("batch", "upload", "in.csv", "--class", "CommandedJob")[0] == 0
    assert seen == [(0, 3, 2)]


def test_a_store_of_one_process_is_refused(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(context, "_current", None)
    (tmp_path / "in.csv").write_text(GOOD)
    args = ["batch", "upload", "in.csv", "--class", "CommandedJob", "--url", "sqlite://:memory:"]
    ran = CliRunner().invoke(make_cli(), args)
    assert ran.exit_code in (1, 2)
    assert "would end with it" in ran.stderr


def test_a_creation_by_upload_is_in_the_audit(cli, tmp_path):
    (tmp_path / "in.csv").write_text(GOOD)
    cli("batch", "upload", "in.csv", "--class", "CommandedJob", "--reason", "late file")
    (record,) = audit.records()
    assert (record.event, record.reason, record.how) == (
        "create",
        "late file",
        "rocketjob batch upload",
    )


def test_the_shell_completes_the_fields_of_the_class(rocketjob):
    upload = files.batch.get_command(None, "upload")
    args = ["in.csv", "--class", "CommandedJob"]
    ctx = upload.make_context("upload", args, resilient_parsing=True)
    (properties,) = [each for each in upload.params if isinstance(each.type, Property)]
    found = [item.value for item in properties.shell_complete(ctx, "acc")]
    assert found == ["account="]


# --- batch download --------------------------------------------------------------------------


def test_an_output_is_written_in_the_format_of_the_file(cli, rocketjob, tmp_path):
    job = uploaded(cli)
    rocketjob.work_off()
    code, out, err = cli("batch", "download", job.id, "out.csv.gz")
    assert (code, out, err) == (0, "3 records written to out.csv.gz\n", "")
    text = gzip.decompress((tmp_path / "out.csv.gz").read_bytes()).decode()
    assert text == "name,amount\nANN,1\nBOB,2\nCARL,3\n"
    code, out, err = cli("batch", "download", job.id, "-")
    assert (code, out, err) == (0, text, "3 records written to standard output\n")


def test_a_download_is_told_as_json(cli, rocketjob):
    job = uploaded(cli)
    rocketjob.work_off()
    _, out, _ = cli("batch", "download", job.id, "out.psv", "--json")
    assert json.loads(out) == {
        "id": str(job.id),
        "class": "CommandedJob",
        "state": "completed",
        "category": "main",
        "file": "out.psv",
        "records": 3,
    }


@pytest.mark.parametrize("command", [("batch", "download"), ("rejects", "download")])
def test_a_file_that_is_there_is_only_replaced_when_asked(cli, rejected, tmp_path, command):
    (tmp_path / "mine.csv").write_text("mine")
    os.symlink("nowhere.csv", tmp_path / "link.csv")
    for name in ("mine.csv", "link.csv"):
        code, out, err = cli(*command, rejected.id, name)
        assert (code, out) == (1, "")
        assert err == f"error: {name} is there already: --force replaces it\n"
    assert (tmp_path / "mine.csv").read_text() == "mine"
    assert cli(*command, rejected.id, "mine.csv", "--force")[0] == 0
    assert (tmp_path / "mine.csv").read_text().startswith("name,amount")
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".part")]


def test_a_remote_file_that_is_there_is_only_replaced_when_asked(cli, rejected):
    pytest.importorskip("fsspec")
    url = "memory://test_batch_commands/out.csv"
    assert cli("batch", "download", rejected.id, url)[0] == 0
    code, _, err = cli("batch", "download", rejected.id, url)
    assert code == 1
    assert "is there already" in err
    assert cli("batch", "download", rejected.id, url, "--force")[0] == 0


def test_a_download_names_the_rejects_that_the_output_lacks(cli, rejected):
    _, _, err = cli("batch", "download", rejected.id, "out.csv")
    assert "the output lacks 2 rejected records: rocketjob rejects list" in err


def test_the_output_of_a_failed_job_is_written_only_as_a_part(cli, rocketjob, tmp_path):
    job = uploaded(cli, BAD, "CommandedFailingJob")
    rocketjob.work_off()
    code, _, err = cli("batch", "download", job.id, "out.csv")
    assert code == 1
    assert "is failed, so that its output is not complete: --partial" in err
    assert not (tmp_path / "out.csv").exists()
    assert cli("batch", "download", job.id, "out.csv", "--partial")[0] == 0
    assert (tmp_path / "out.csv").read_text() == "name,amount\nANN,1\nCARL,3\n"


def test_a_running_or_aborted_job_has_no_output_to_be_written(cli, rocketjob, tmp_path):
    job = uploaded(cli, BAD)
    Job.collection().update_one({"_id": job.id}, {"$set": {"state": "running"}})
    code, _, err = cli("batch", "download", job.id, "out.csv", "--partial")
    assert code == 1
    assert "is running, so that its output is not complete" in err
    Job.collection().update_one({"_id": job.id}, {"$set": {"state": "queued"}})
    job.reload().abort()
    code, _, err = cli("batch", "download", job.id, "out.csv", "--partial")
    assert code == 1
    assert "was aborted: its output was removed then" in err
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("reads", ["download", "download_rejects"])
def test_a_job_that_is_removed_while_it_is_read_leaves_no_short_file(
    cli, rejected, tmp_path, monkeypatch, reads
):
    (tmp_path / "out.csv").write_text("mine")
    write_lines = streams.Writer.write_lines

    def write_and_remove(writer, lines):
        write_lines(writer, lines)
        if Job.find(rejected.id).state == "failed":
            Job.find(rejected.id).abort()

    Job.collection().update_one({"_id": rejected.id}, {"$set": {"state": "failed"}})
    job = Job.find(rejected.id)
    monkeypatch.setattr(streams.Writer, "write_lines", write_and_remove)
    with pytest.raises(NotFound, match="was removed or aborted"):
        getattr(job, reads)(tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "mine"


@pytest.mark.parametrize(
    ("cls", "args", "code", "said"),
    [
        ("CommandedJob", ("out.csv", "--category", "extra"), 2, "Unknown Output Category"),
        ("CommandedJob", ("no/out.csv",), 1, "there is no directory"),
        ("CommandedJob", (".",), 1, "is a directory"),
        ("CommandedJob", ("out.json", "--header-line", "a,b"), 2, "has no header line"),
        ("CommandedJob", ("-", "--json"), 2, "both be on standard output"),
        ("CommandedJob", ("out.csv.gz", "--streams", "zip7"), 1, "zip7"),
        ("CommandedSilentJob", ("out.csv",), 1, "has no output"),
    ],
)
def test_a_download_that_is_refused_says_why(cli, rocketjob, cls, args, code, said):
    job = uploaded(cli, GOOD, cls)
    rocketjob.work_off()
    found, _, err = cli("batch", "download", job.id, *args)
    assert (found, said in err) == (code, True), err


@pytest.mark.parametrize(
    "args", [("batch", "download"), ("rejects", "download"), ("rejects", "resubmit")]
)
def test_what_is_no_batch_job_here_is_named(cli, args):
    simple = CommandedSimpleJob.create()
    code, _, err = cli(*args, simple.id, "x.csv")
    assert (code, err) == (1, f"error: CommandedSimpleJob {simple.id} is not a batch job\n")
    code, _, err = cli(*args, "55aeaf03a26ec0c1bd00008d", "x.csv")
    assert code == 1
    assert "there is no job with the id 55aeaf03a26ec0c1bd00008d" in err
    Job.collection().update_one({"_id": simple.id}, {"$set": {"_type": "CommandedElsewhereJob"}})
    code, _, err = cli(*args, simple.id, "x.csv")
    assert code == 1
    assert "CommandedElsewhereJob is not loaded here: --app MODULE loads it" in err


# --- rejects ---------------------------------------------------------------------------------


def test_jobs_with_rejects_are_listed_with_their_first_reasons(cli, rejected):
    uploaded(cli)
    code, out, err = cli("rejects", "list")
    assert (code, err) == (0, "")
    head, first, second = out.splitlines()
    assert head.split() == ["ID", "CLASS", "STATE", "REJECTS", "ROW", "REASON"]
    assert first.split()[:5] == [str(rejected.id), "CommandedJob", "completed", "2", "2"]
    assert first.endswith("ValueError: invalid literal for int() with base 10: 'two'")
    assert second.split()[0] == "4"
    assert first.index("ValueError") == second.index("ValueError") == head.index("REASON")


def test_the_list_is_for_programs_too_and_can_be_narrowed(cli, rejected):
    _, out, _ = cli("rejects", "list", "--json", "--reasons", "1", "--class", "CommandedJob")
    assert json.loads(out) == {
        "id": str(rejected.id),
        "class": "CommandedJob",
        "state": "completed",
        "rejects": 2,
        "reasons": [
            {"row": 2, "reason": "ValueError: invalid literal for int() with base 10: 'two'"}
        ],
    }
    code, out, err = cli("rejects", "list", "--state", "failed")
    assert (code, out, err) == (0, "", "no job has rejects\n")


def test_the_newest_are_listed_up_to_a_limit(cli, rocketjob, rejected):
    newer = uploaded(cli, BAD)
    rocketjob.work_off()
    _, out, err = cli("rejects", "list", "--limit", "1", "--json")
    assert json.loads(out)["id"] == str(newer.id)
    assert err == "the newest 1 jobs; --limit 0 shows all\n"
    code, out, _ = cli("rejects", "list", rejected.id, "--reasons", "0", "--json")
    assert (code, json.loads(out)["reasons"]) == (0, [])


def test_a_filter_that_the_store_refuses_is_wrong_usage(cli, rejected):
    code, _, err = cli("rejects", "list", "--where", '{"priority": {"$nothing": 1}}')
    assert code == 2
    assert "$nothing" in err


def test_a_job_that_was_asked_for_and_has_none_makes_the_exit_code_1(cli, rejected):
    other = CommandedSimpleJob.create()
    code, out, err = cli("rejects", "list", rejected.id, other.id, "55aeaf03a26ec0c1bd00008d")
    assert (code, str(rejected.id) in out) == (1, True)
    assert f"the job {other.id} has no rejects" in err
    assert "there is no job with the id 55aeaf03a26ec0c1bd00008d" in err


def test_rejects_of_a_class_that_is_not_loaded_are_listed(cli, rejected):
    Job.collection().update_one({"_id": rejected.id}, {"$set": {"_type": "CommandedElsewhereJob"}})
    code, out, _ = cli("rejects", "list")
    assert code == 0
    assert "CommandedElsewhereJob" in out


def test_rejects_are_written_corrected_and_run_again(cli, rocketjob, rejected, tmp_path):
    code, out, _ = cli("rejects", "download", rejected.id, "bad.csv")
    assert (code, out) == (0, "2 rejects written to bad.csv\n")
    text = (tmp_path / "bad.csv").read_text()
    assert text.splitlines()[:2] == [
        "name,amount,_row,_error",
        "bob; jr,two,2,ValueError: invalid literal for int() with base 10: 'two'",
    ]
    (tmp_path / "bad.csv").write_text(text.replace("two,2", "2,2").replace("dora,", "dora,4"))
    args = ("rejects", "resubmit", rejected.id, "bad.csv", "--reason", "mended")
    code, out, _ = cli(*args)
    told = f"2 records resubmitted; CommandedJob {rejected.id} is running\n"
    assert (code, out) == (0, told)
    assert cli(*args)[:2] == (0, told), "it may be done again until they are processed"
    rocketjob.work_off()
    assert [row["name"] for row in rejected.reload().records()] == [
        "ANN",
        "BOB; JR",
        "CARL",
        "DORA",
    ]
    code, _, err = cli(*args)
    assert code == 1
    assert "it was resubmitted already" in err
    done = [(each.event, each.change) for each in audit.records() if each.reason == "mended"]
    assert sorted(done) == [("reopen", "state completed -> running"), ("resubmit", "records=2")]


def test_rejects_without_their_reasons_can_be_resubmitted_as_well(cli, rocketjob, rejected):
    code, out, _ = cli("rejects", "download", rejected.id, "-", "--plain")
    assert (code, out) == (0, "name,amount,_row\nbob; jr,two,2\ndora,,4\n")
    mended = 'name;amount;_row\n"bob; jr";2;2\n'.encode("utf-16")
    options = ("--separator", ";", "--encoding", "utf-16", "--json")
    code, out, _ = cli("rejects", "resubmit", rejected.id, "-", *options, input=mended)
    assert code == 0
    assert json.loads(out) == {
        "id": str(rejected.id),
        "class": "CommandedJob",
        "state": "running",
        "resubmitted": 1,
        "rejects": 1,
    }
    rocketjob.work_off()
    assert [row["name"] for row in rejected.reload().records()] == ["ANN", "BOB; JR", "CARL"]


def test_a_corrected_file_may_be_separated_by_tabs(cli, rejected):
    text = "name\tamount\t_row\nb\t2\t2\n"
    for separator in ("\\t", "\t"):
        args = ("rejects", "resubmit", rejected.id, "-", "--separator", separator)
        assert cli(*args, input=text)[0] == 0
    assert rejected.reject_count == 1


def test_a_paused_job_is_told_to_be_resumed(cli, rejected):
    Job.collection().update_one({"_id": rejected.id}, {"$set": {"state": "paused"}})
    _, out, _ = cli("rejects", "resubmit", rejected.id, "-", input="name,amount,_row\nb,2,2\n")
    assert out == (
        f"1 record resubmitted; CommandedJob {rejected.id} is paused: resume it to process them; "
        "1 reject left\n"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,amount,_row\nbob,2,2\ndora,4,3\n", "line 3, column _row: row 3 is not among"),
        ("name,amount,_row\nbob,2,2\nbob,2,2\n", "line 3, column _row: row 2 is there twice"),
        ("name,amount\nbob,2\n", "the file has no column _row"),
        ("name;amount;_row\nbob;2;2\n", "pass separator=';'"),
        ("name,amount,_row\nbob,2,2,9\n", "line 2, column 4: has 4 values"),
        ("", "is empty"),
    ],
)
def test_a_wrong_file_of_rejects_changes_nothing(cli, rejected, text, said):
    code, out, err = cli("rejects", "resubmit", rejected.id, "-", input=text)
    assert (code, out) == (1, "")
    assert said in err
    assert (rejected.reload().state, rejected.reject_count) == ("completed", 2)
    assert not [each for each in audit.records() if each.event == "resubmit"]


def test_a_job_without_rejects_writes_no_file(cli, rocketjob, tmp_path):
    job = uploaded(cli)
    rocketjob.work_off()
    code, _, err = cli("rejects", "download", job.id, "bad.csv")
    assert (code, err) == (1, f"error: CommandedJob {job.id} has no rejects\n")
    assert not (tmp_path / "bad.csv").exists()


@pytest.mark.parametrize("command", [("batch", "download"), ("rejects", "download")])
def test_a_reader_that_has_had_enough_is_no_failure(cli, rejected, monkeypatch, command):
    class Gone(io.BytesIO):
        def write(self, data):
            raise BrokenPipeError

    for module in (files, rejects):
        monkeypatch.setattr(module, "target_of", lambda *_: Gone())
    code, _, err = cli(*command, rejected.id, "-")
    assert code == 0, err
    assert "error" not in err


# --- how far it is ---------------------------------------------------------------------------


def test_on_a_terminal_it_is_shown_how_much_of_the_file_is_read(monkeypatch, tmp_path):
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", screen)
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "in.txt").write_bytes(b"x" * 100)
    with (tmp_path / "in.txt").open("rb", buffering=0) as file, shown_progress(True, file) as show:
        file.read(50)
        show(1234)
    assert "50%" in screen.getvalue()
    assert "1,234 records" in screen.getvalue()


def test_a_download_tells_how_many_records_it_has_written(cli, rocketjob):
    job = uploaded(cli)
    rocketjob.work_off()
    told = []
    job.reload().download(io.BytesIO(), progress=told.append)
    assert told[-1] == 3


def test_a_download_tells_nothing_of_a_look_before_the_first_line(cli, rocketjob, tmp_path):
    job = uploaded(cli)
    rocketjob.work_off()
    told = []
    job.reload().download(tmp_path / "out.csv", progress=told.append)  # whose columns come first
    assert told == [2, 3]
