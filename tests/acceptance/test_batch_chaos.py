"""A file through real servers that are killed: each record once, in order; memory stays flat.

Full size, by hand:  ROCKETJOB_FULL=1 python -I -m pytest tests/acceptance/test_batch_chaos.py -s
(1,000,000 lines under random kills, and a file of 2 GB in limited memory).
"""

import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import rocketjob
from support.runtime import eventually

FULL = bool(os.environ.get("ROCKETJOB_FULL"))
LINES = 1_000_000 if FULL else 60_000
BIG_BYTES = 2 * 1024**3 if FULL else 40 * 1024**2
MEGABYTE = 1024**2

APP = """
import os, pathlib, resource, signal, time
from rocketjob import Job, field
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory

if os.environ.get("MEMORY_LIMIT"):
    limit = int(os.environ["MEMORY_LIMIT"])
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


class ChaosBatchJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=100)
    output_category = OutputCategory()

    def perform(self, line):
        if line == "poison":
            os.kill(os.getpid(), signal.SIGKILL)
        return line[::-1]


class BigBatchJob(ChaosBatchJob):
    input_category = InputCategory(slice_size=1000)


class SlowBatchJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=1)
    output_category = OutputCategory()

    def perform(self, line):
        while not pathlib.Path("go").exists():
            time.sleep(0.01)
        return line
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "batch_chaos_app.py").write_text(textwrap.dedent(APP))
    monkeypatch.syspath_prepend(tmp_path)
    url = f"sqlite:///{tmp_path}/chaos.db?timeout=30"
    rocketjob.configure(url=url, log_level="error")
    yield tmp_path
    sys.modules.pop("batch_chaos_app", None)


@pytest.fixture
def app(folder):
    import batch_chaos_app

    return batch_chaos_app


class ServerProcess:
    def __init__(self, folder, processes=2, workers=4, **env):
        command = [sys.executable, "-m", "rocketjob.cli", "server", "--app", "batch_chaos_app"]
        command += ["--url", f"sqlite:///{folder}/chaos.db?timeout=30", "--heartbeat", "0.5"]
        command += ["--processes", str(processes), "--workers", str(workers)]
        self.log = (folder / "server.log").open("ab")
        self.popen = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder), **env},
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )

    def children(self):
        with contextlib.suppress(OSError):
            found = Path(f"/proc/{self.popen.pid}/task/{self.popen.pid}/children").read_text()
            return [int(pid) for pid in found.split()]
        return []

    def end(self):
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(20)
            except subprocess.TimeoutExpired:
                self.popen.kill()
        self.popen.wait()
        self.log.close()


@contextlib.contextmanager
def servers(folder, count=1, **options):
    started = [ServerProcess(folder, **options) for _ in range(count)]
    try:
        yield started
    finally:
        for each in started:
            each.end()


def digest(lines):
    found = hashlib.sha256()
    for line in lines:
        found.update(line.encode() + b"\n")
    return found.hexdigest()


def ended(job, within):
    eventually(lambda: job.reload().state in ("completed", "failed"), within, every=0.1)
    return job


def test_each_record_is_in_the_output_once_whatever_is_killed(folder, app):
    chance = random.Random(os.urandom(8))
    lines = [f"line {number} of the file" for number in range(LINES)]
    lines[1234] = lines[LINES - 7] = "poison"
    job = app.ChaosBatchJob(max_rejects=2)
    job.upload(iter(lines))
    job.save()
    kills, seconds = 0, 40 if FULL else 5
    with servers(folder, 2) as running:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not job.reload().is_completed:
            time.sleep(chance.uniform(0.2, 0.6))
            victim = chance.randrange(2)
            children = running[victim].children()
            if children and chance.random() < 0.7:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(chance.choice(children), signal.SIGKILL)
            else:
                running[victim].popen.kill()
                running[victim].end()
                running[victim] = ServerProcess(folder)
            kills += 1
        ended(job, 300 if FULL else 90)
    expected = [line[::-1] for line in lines if line != "poison"]
    assert job.is_completed, job.exception
    found = list(job.records())
    assert len(found) == len(expected)
    assert digest(found) == digest(expected)
    assert job.reject_count == 2
    assert kills >= 3


def test_a_record_that_kills_its_process_fails_alone(folder, app):
    lines = [f"line {number}" for number in range(1000)]
    lines[333] = "poison"
    job = app.ChaosBatchJob()
    job.upload(lines)
    job.save()
    with servers(folder, processes=1):
        ended(job, 60)
    assert job.is_failed
    (failed,) = job.input.failed()
    assert list(failed) == ["poison"]
    assert failed.first_record_number == 334
    assert failed.exception.class_name == "WorkerCrashed"
    assert "SIGKILL" in failed.exception.message
    assert list(job.records()) == [line[::-1] for line in lines if line != "poison"]


def peak(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def written(path, size):
    """Write a file of about this size; return the digest of its reversed lines."""
    found, done, number = hashlib.sha256(), 0, 0
    with path.open("w") as file:
        while done < size:
            block = [
                f"{n} some text of a line {n * 7919 % 10007:>60}"
                for n in range(number, number + 5000)
            ]
            number += 5000
            text = "\n".join(block) + "\n"
            file.write(text)
            done += len(text)
            found.update(("\n".join(line[::-1] for line in block) + "\n").encode())
    return found.hexdigest()


UPLOADER = """
import sys, resource
sys.path.insert(0, sys.argv[1])
limit = int(sys.argv[4])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
import rocketjob, batch_chaos_app
rocketjob.configure(url=sys.argv[2])
idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
if sys.argv[3] == "upload":
    job = batch_chaos_app.BigBatchJob().save()
    print(job.id, flush=True)
    job.upload(sys.argv[5])
else:
    batch_chaos_app.BigBatchJob.find(sys.argv[6]).download(sys.argv[5])
print(idle, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)
"""


def test_memory_stays_flat_for_a_large_file(folder, app):
    source, target = folder / "big.txt", folder / "out.txt"
    expected = written(source, BIG_BYTES)
    limit = str(1200 * MEGABYTE)  # of addresses: threads reserve more than they use
    peaks = {}

    def run(what, path, *more):
        arguments = [str(folder), f"sqlite:///{folder}/chaos.db?timeout=30", what, limit, str(path)]
        return subprocess.Popen(
            [sys.executable, "-c", UPLOADER, *arguments, *more],
            stdout=subprocess.PIPE,
            text=True,
        )

    def finish(process, what):
        out, _ = process.communicate(timeout=1800)
        assert process.returncode == 0
        idle, high = map(int, out.split()[-2:])
        peaks[what] = (high - idle) * 1024

    began = time.monotonic()
    with servers(folder, processes=2, MEMORY_LIMIT=limit) as (server,):
        eventually(lambda: len(server.children()) >= 2)
        time.sleep(1)  # they have imported all by then: what they have now is what is idle
        idle = {pid: peak(pid) for pid in server.children()}
        with run("upload", source) as upload:
            id = upload.stdout.readline().strip()
            finish(upload, "upload")
        job = ended(app.BigBatchJob.find(id), 1800)
        assert job.is_completed
        assert set(server.children()) == set(idle), "a worker died"
        for number, pid in enumerate(idle):
            peaks[f"worker {number}"] = peak(pid) - idle[pid]
    with run("download", target, id) as download:
        finish(download, "download")
    seconds = time.monotonic() - began
    shown = ", ".join(f"{what} +{size / MEGABYTE:.0f} MB" for what, size in peaks.items())
    print(
        f"\n{BIG_BYTES / MEGABYTE:.0f} MB, {job.record_count:,} records in {seconds:.0f} s: {shown}"
    )
    found = hashlib.sha256()
    with target.open("rb") as file:
        while block := file.read(MEGABYTE):
            found.update(block)
    assert found.hexdigest() == expected
    assert max(peaks.values()) < 200 * MEGABYTE, shown


def test_a_script_pauses_resumes_and_interrupts_a_batch(folder, app):
    job = app.SlowBatchJob()
    job.upload([f"line {number}" for number in range(40)])
    job.save()
    with servers(folder, processes=1, workers=2):
        eventually(lambda: job.input.count("running") == 2)
        job.reload().pause()
        (folder / "go").touch()
        eventually(lambda: job.input.count("running") == 0)
        assert job.reload().is_paused
        left = job.input.count("queued")
        assert left >= 36
        (folder / "go").unlink()
        job.resume()
        eventually(lambda: job.input.count("running") == 2)
        urgent = app.ChaosBatchJob(priority=1)
        urgent.upload(["abc"])
        urgent.save()
        (folder / "go").touch()
        ended(urgent, 30)
        ended(job, 30)
    assert list(urgent.records()) == ["cba"]
    assert list(job.records()) == [f"line {number}" for number in range(40)]


def test_an_aborted_batch_leaves_nothing_behind(folder, app):
    job = app.SlowBatchJob()
    job.upload([f"line {number}" for number in range(40)])
    job.save()
    with servers(folder, processes=1, workers=2) as (server,):
        eventually(lambda: job.input.count("running") == 2)
        job.reload().abort()
        (folder / "go").touch()
        other = app.ChaosBatchJob()
        other.upload(["abc"])
        ended(other.save(), 30)
        assert server.popen.poll() is None
    from rocketjob.application import current

    assert [name for name in current().store.collection_names() if str(job.id) in name] == []
    assert job.reload().is_aborted
