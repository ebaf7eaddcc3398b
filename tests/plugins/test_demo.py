"""The demo: real jobs on a real server, whatever the folder holds."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from rocketjob import Job
from rocketjob.cli import make_cli
from rocketjob_plugins.demo import DemoFileJob
from rocketjob_plugins.demo.batch_screen import BatchScreen
from rocketjob_plugins.demo.files import find, size_text, standard_library
from rocketjob_plugins.demo.job import survey
from support.servers import eventually


def environment(tmp_path):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ROCKETJOB_", "COLUMNS"))}
    (tmp_path / "tmp").mkdir(exist_ok=True)
    # No process of it may rest on what Python, or a library, is about to change.
    return {**kept, "TMPDIR": str(tmp_path / "tmp"), "PYTHONWARNINGS": "error"}


def start(tmp_path, *args, **more):
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "rocketjob", "demo", *map(str, args)],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


def run(tmp_path, *args):
    process = start(tmp_path, *args)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "texts"
    made.mkdir()
    return made


def left_behind(tmp_path):
    return [path.name for path in (tmp_path / "tmp").glob("rocketjob-demo-*")]


# --- the job ---------------------------------------------------------------------------------


def test_a_job_counts_what_is_in_a_file(folder):
    (folder / "a.txt").write_text("The cat and the dog\n\nthe END, it was 42 café's\n")
    counted = survey(folder / "a.txt")
    assert counted.pop("seconds") >= 0
    assert counted == {
        "lines": 3,
        "bytes": 48,
        "longest_line": 25,
        "words": 9,
        "different_words": 7,
        "frequent": [
            ["the", 3],
            ["cat", 1],
            ["and", 1],
            ["dog", 1],
            ["end", 1],
            ["was", 1],
            ["café", 1],
        ],
    }


def test_a_file_without_a_line_has_no_words(folder):
    (folder / "empty.txt").touch()
    counted = survey(folder / "empty.txt")
    assert (counted["lines"], counted["words"], counted["longest_line"]) == (0, 0, 0)


def test_bytes_that_are_no_utf_8_do_not_stop_a_job(folder):
    (folder / "latin.txt").write_bytes(b"caf\xe9 caf\xe9 terrace\n")
    assert survey(folder / "latin.txt")["frequent"] == [["caf", 2], ["terrace", 1]]


def test_a_large_file_is_read_in_parts_that_add_up(folder, monkeypatch):
    (folder / "large.txt").write_text("one two three\n" * 1000)
    whole = survey(folder / "large.txt")
    monkeypatch.setattr("rocketjob_plugins.demo.job.CHUNK_BYTES", 100)
    parts = survey(folder / "large.txt")
    assert {**parts, "seconds": 0} == {**whole, "seconds": 0}


def test_the_result_is_kept_on_the_job(rocketjob, folder):
    (folder / "a.txt").write_text("some words\n")
    job = DemoFileJob.create(demo_run="1", path=str(folder / "a.txt"))
    rocketjob.work_off()
    assert job.reload().is_completed
    assert job.result["lines"] == 1


def test_a_job_whose_file_cannot_be_read_is_failed_with_the_reason(rocketjob, folder):
    (folder / "late.txt").write_bytes(b"x" * 5000 + b"\0")
    gone = DemoFileJob.create(demo_run="1", path=str(folder / "gone.txt"))
    binary = DemoFileJob.create(demo_run="1", path=str(folder / "late.txt"))
    rocketjob.work_off()
    assert gone.reload().exception.class_name == "FileNotFoundError"
    assert "is not text" in binary.reload().exception.message


# --- which files -----------------------------------------------------------------------------


def test_text_files_are_found_at_any_depth_and_others_are_counted(folder):
    (folder / "b" / "c").mkdir(parents=True)
    (folder / "b" / "c" / "deep.txt").write_text("x")
    (folder / "a.txt").write_text("x")
    (folder / "picture.png").write_bytes(b"\x89PNG\0")
    found = find(folder)
    assert [str(path.relative_to(folder)) for path, _ in found.files] == ["a.txt", "b/c/deep.txt"]
    assert (found.skipped, found.bytes) == (1, 2)


def test_what_is_hidden_broken_or_no_file_is_left_out(folder):
    for name in (".git", "__pycache__", "node_modules"):
        (folder / name).mkdir()
        (folder / name / "x.txt").write_text("x")
    (folder / ".hidden").write_text("x")
    (folder / "link").symlink_to("/nonexistent")
    os.mkfifo(folder / "pipe")
    found = find(folder)
    assert (found.files, found.skipped) == ([], 0)


def test_a_file_that_cannot_be_opened_counts_so_that_its_job_says_why(folder, monkeypatch):
    (folder / "secret.txt").write_text("x")

    def refuse(self, *args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert len(find(folder).files) == 1


def test_the_number_of_files_can_be_limited(folder):
    for number in range(5):
        (folder / f"{number}.txt").write_text("x")
    assert len(find(folder, limit=3).files) == 3


def test_the_standard_library_has_text_on_every_machine():
    assert len(find(standard_library(), limit=100).files) == 100


# --- the command -----------------------------------------------------------------------------


def test_the_demo_runs_one_job_for_each_file_and_adds_the_results_up(tmp_path, folder):
    for number in range(30):
        (folder / f"{number}.txt").write_text("alpha beta beta\n" * (number + 1))
    (folder / "picture.png").write_bytes(b"\x89PNG\0")
    (folder / "late.bin").write_bytes(b"x" * 5000 + b"\0")
    code, out, err = run(tmp_path, "--folder", folder, "-w", 4, "-p", 2)
    assert (code, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "31 jobs: one for each text file in" in lines[0]
    assert "Starting a server with 4 workers in 2 processes ..." in lines
    assert "Files 30 besides 1 that are not text" in lines
    assert "Failed 1" in lines
    assert "Lines 465" in lines
    assert "Run once 30" in lines
    assert "beta 930" in lines
    assert "alpha 465" in lines
    assert any(line.startswith("failed: late.bin: ValueError:") for line in lines)
    assert "Try next:" in lines
    assert "\x1b" not in out
    assert left_behind(tmp_path) == []
    assert not (tmp_path / "rocketjob.db").exists()


def test_without_a_folder_it_reads_the_standard_library(tmp_path):
    code, out, _ = run(tmp_path, "--limit", 20, "-p", 1)
    assert code == 0
    assert str(standard_library()) in out
    assert re.search(r"Files +20", out)


def test_settings_of_the_user_do_not_disturb_the_demo(tmp_path, folder):
    (folder / "a.txt").write_text("word\n")
    (tmp_path / "rocketjob.toml").write_text('app = ["nonsense"]\nexclude = "Demo"\nworkers = 1\n')
    (tmp_path / "queue.py").write_text("raise SystemExit('this is not the standard library')\n")
    code, out, err = run(tmp_path, "--folder", folder)
    assert (code, err) == (0, "")
    assert re.search(r"Files +1", out)


def test_kept_jobs_can_be_looked_at_as_the_last_lines_say(tmp_path, folder):
    (folder / "a.txt").write_text("word\n")
    _, out, _ = run(tmp_path, "--folder", folder, "--keep")
    url = re.search(r"rocketjob jobs list --url (\S+)", out)[1]
    result = CliRunner().invoke(make_cli(), ["jobs", "list", "--url", url])
    assert "DemoFileJob" in result.output
    assert len(left_behind(tmp_path)) == 1


def test_with_a_url_the_store_is_used_and_only_the_demos_jobs_are_removed(
    tmp_path, folder, file_store
):
    (folder / "a.txt").write_text("word\n")
    other = Job(destroy_on_complete=False).save()
    code, out, _ = run(tmp_path, "--folder", folder, "--url", file_store.store.url)
    assert code == 0
    assert re.search(r"Files +1", out)
    assert [job.id for job in Job.all()] == [other.id]
    run(tmp_path, "--folder", folder, "--url", file_store.store.url, "--keep")
    assert DemoFileJob.completed().count() == 1


def test_a_folder_without_text_is_an_error_that_says_what_to_do(tmp_path, folder):
    code, out, err = run(tmp_path, "--folder", folder)
    assert (code, out) == (1, "")
    assert "there is no text file in" in err
    assert "--folder" in err


def test_a_folder_that_does_not_exist_is_a_wrong_use(tmp_path):
    assert run(tmp_path, "--folder", "nowhere")[0] == 2


def test_a_server_that_does_not_start_is_an_error_with_its_last_words(tmp_path, folder):
    (folder / "a.txt").write_text("word\n")
    code, _, err = run(tmp_path, "--folder", folder, "--url", "carrier-pigeon://x")
    assert code == 1
    assert "carrier-pigeon" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_shows_what_was_done_and_leaves_nothing_behind(
    tmp_path, folder, number
):
    for name in range(200):
        (folder / f"{name}.txt").write_text("some words in a line\n" * 40_000)
    process = start(tmp_path, "--folder", folder, "-w", 2, "-p", 1)
    servers = []

    def log():
        found = [*(tmp_path / "tmp").glob("rocketjob-demo-*/server.log")]
        return found[0].read_text() if found else ""

    eventually(lambda: "server started" in log())
    servers.append(int(log().split("[")[1].split("]")[0]))
    process.send_signal(number)
    out, err = process.communicate(timeout=40)
    assert process.returncode == 130
    assert re.search(r"Interrupted: \d+ of 200 jobs had ended", out)
    assert "Traceback" not in err
    assert left_behind(tmp_path) == []
    eventually(lambda: not alive(servers[0]))


def test_the_server_ends_by_itself_when_the_demo_is_killed(tmp_path, folder):
    for name in range(100):
        (folder / f"{name}.txt").write_text("some words in a line\n" * 40_000)
    process = start(tmp_path, "--folder", folder, "-w", 2, "-p", 1)

    def log():
        found = [*(tmp_path / "tmp").glob("rocketjob-demo-*/server.log")]
        return found[0].read_text() if found else ""

    eventually(lambda: "server started" in log())
    server = int(log().split("[")[1].split("]")[0])
    process.kill()
    process.communicate()
    eventually(lambda: not alive(server))


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("columns", [80, 120])
def test_on_a_terminal_progress_is_shown_in_place_and_fits(tmp_path, folder, columns):
    fcntl, pty, termios = (pytest.importorskip(name) for name in ("fcntl", "pty", "termios"))
    import struct

    for number in range(40):
        (folder / f"{number}{'-long' * 30}.txt").write_text("alpha beta\n" * 50_000)
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "rocketjob.cli", "demo", "--folder", str(folder), "-p", "1"],
        cwd=tmp_path,
        env={**environment(tmp_path), "TERM": "xterm-256color"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    shown = b"".join(iter(lambda: read(master), b"")).decode()
    os.close(master)
    assert process.wait() == 0
    assert "jobs/s" in shown
    assert re.search(r"\d+ running", shown)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert re.search(r"Files +40", plain), plain
    assert "█" in plain
    longest = max(len(line) for line in re.split(r"[\r\n]+", plain) if "rocketjob " not in line)
    assert longest <= columns


def read(fd):
    try:
        return os.read(fd, 65536)
    except OSError:  # the other end is closed
        return b""


# --- one large file --------------------------------------------------------------------------


def test_a_large_file_comes_out_as_a_plain_loop_would_make_it(tmp_path, folder):
    (folder / "a.txt").write_text("one line\n\nand äöü\n")
    code, out, err = run(tmp_path, "--batch", "--lines", 5000, "--folder", folder)
    assert code == 0, err
    assert "5,000 lines of real text" in out
    assert "The output is the same as that of a plain loop" in out
    assert left_behind(tmp_path) == []


# --- what is seen of a batch -----------------------------------------------------------------


def test_sizes_are_said_in_the_unit_that_fits():
    assert [size_text(n) for n in (12, 512_000, 3_400_000)] == ["12 bytes", "512.0 KB", "3.4 MB"]


def test_the_bar_leaves_room_for_what_ctrl_c_writes_behind_it():
    screen = BatchScreen(fancy=False)
    screen.console = Console(width=60)
    screen._bar = type(screen._bar)(*screen._bar.columns, console=screen.console, expand=True)
    screen._bar.add_task("", total=10, completed=10, rate="5")
    with screen.console.capture() as captured:
        screen.console.print(screen._bar)
    assert "100 %" in captured.get()
    assert len(captured.get().rstrip()) <= 55
