"""`rocketjob perf`, each workload at a tiny size: what is printed, and that nothing is left."""

import json
import os
import signal
import subprocess
import sys

import pytest

from rocketjob import Job
from rocketjob.application import Application
from rocketjob.base.config import Config
from rocketjob_plugins.metrics.collections import MINUTES
from rocketjob_plugins.perf.store import StoreCalls
from support.servers import eventually


def environment(tmp_path):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ROCKETJOB_", "COLUMNS"))}
    (tmp_path / "tmp").mkdir(exist_ok=True)
    return {**kept, "TMPDIR": str(tmp_path / "tmp"), "PYTHONWARNINGS": "error"}


def start(tmp_path, *args):
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "rocketjob", "perf", *map(str, args)],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(tmp_path, *args):
    process = start(tmp_path, *args)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert left_behind(tmp_path) == []
    return out


def measured(tmp_path, *args):
    """Return the report of a run."""
    (line,) = run(tmp_path, *args, "--json").splitlines()
    report = json.loads(line)
    assert report["machine"]["cores"] and report["settings"]["runs"]
    for figure in report["figures"]:
        values = figure["values"]
        assert len(values) == report["settings"]["runs"]
        assert min(values) == figure["lowest"] <= figure["median"] <= figure["highest"]
        assert figure["durability"] in (report["durability"], "nothing is stored")
    return report


def by_name(report):
    return {figure["name"]: figure for figure in report["figures"]}


def left_behind(tmp_path):
    return [path.name for path in (tmp_path / "tmp").glob("rocketjob-*")]


def names_of(url):
    """Return what a store holds of jobs and of perf's own."""
    application = Application(Config(url=url))
    try:
        store = application.store
        own = [name for name in store.collection_names() if "perf" in name]
        counted = store.collection(MINUTES).distinct("classes")
        assert not any("Perf" in name for classes in counted for name in classes)
        return own, store.collection(Job.collection_name).count_documents({})
    finally:
        application.close()


def test_simple_jobs_are_timed_in_each_run_and_removed_from_a_store_of_yours(tmp_path):
    url = f"sqlite:///{tmp_path}/mine.db?synchronous=FULL"
    given = ("--url", url, "-n", 60, "-w", 2, "-p", 1, "--runs", 2, "--kept")
    report = measured(tmp_path, "simple", *given)
    assert report["workload"] == "simple"
    assert report["settings"]["completed jobs"] == "kept"
    assert report["durability"] == "journal wal, synchronous FULL"
    figures = by_name(report)
    assert figures["performed"]["unit"] == "jobs/s"
    assert figures["performed"]["lowest"] > 0
    assert {"stored one by one", "stored in bulk", "server's start to first end"} < set(figures)
    assert names_of(url) == ([], 0)


def test_a_batch_is_timed_from_file_to_file_beside_one_that_keeps_nothing(tmp_path):
    out = run(tmp_path, "batch", "-n", 50, "--slice-size", 7, "-p", 2, "--runs", 1, "--imap")
    lines = dict(line.split("  ", 1) for line in out.splitlines() if "  " in line)
    assert lines["workload"].strip() == "batch"
    assert lines["slice size"].strip() == "7"
    assert "others used" in lines["load"]
    assert "journal wal, synchronous NORMAL" in lines["file to file"]
    assert "nothing is stored" in lines["imap, which keeps nothing"]
    assert "synchronous" not in lines["imap, which keeps nothing"]
    assert "ratio" in lines["share of imap"]


def test_latency_is_told_in_parts_that_follow_each_other(tmp_path):
    given = ("-n", 12, "-w", 2, "-p", 1, "--runs", 1, "--idle-seconds", 0.2)
    report = measured(tmp_path, "latency", *given)
    figures = {name: figure["median"] for name, figure in by_name(report).items()}
    assert 0 < figures["to start, p50"] <= figures["to start, p95"] <= figures["to start, p99"]
    assert figures["to start, p50"] <= figures["to end, p50"]
    parts = [name for name in figures if name.startswith("of it: ")]
    assert len(parts) == 5
    assert all(figures[name] >= 0 for name in parts)
    assert figures["of it: claim"] > 0
    assert figures["to start after a second of rest, p50"] > 0


def test_the_calls_of_a_store_are_timed_and_their_collection_is_removed(tmp_path):
    url = f"sqlite:///{tmp_path}/mine.db"
    report = measured(tmp_path, "store", "-n", 120, "--runs", 2, "--url", url)
    figures = by_name(report)
    assert set(figures) == {kind.name for kind in StoreCalls(120).kinds()}
    assert figures["complete, 50 at once"]["durability"] == "journal wal, synchronous NORMAL"
    assert names_of(url) == ([], 0)


def test_growth_tells_what_a_claim_costs_in_each_queue(tmp_path):
    url = f"sqlite:///{tmp_path}/mine.db"
    report = measured(tmp_path, "growth", "--up-to", 1000, "--runs", 1, "--url", url)
    figures = by_name(report)
    rows = ["1,000 queued", "1,000 held back in front", "1,000 unknown in front"]
    rows += ["1,000 completed kept", "1,000 held back by 10 keys", "1,000 held back by 100 keys"]
    costs = ["claim of 50, processor time", "claim of 50, steps of SQLite"]
    assert list(figures) == [f"{row}: {cost}" for cost in costs for row in rows]
    assert all(figure["lowest"] > 0 for figure in figures.values())
    assert names_of(url) == ([], 0)


def test_a_store_that_has_jobs_is_refused_and_left_as_it_is(tmp_path):
    url = f"sqlite:///{tmp_path}/mine.db"
    application = Application(Config(url=url))
    application.store.collection(Job.collection_name).insert_one({"_id": 1, "state": "queued"})
    application.close()
    process = start(tmp_path, "growth", "--up-to", 10, "--url", url)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert "perf growth` claims whatever is queued" in err
    assert names_of(url) == ([], 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_interrupted_leaves_nothing_behind(tmp_path, number):
    process = start(tmp_path, "simple", "-n", 3000, "-w", 2, "-p", 1)
    logs = tmp_path / "tmp"

    def log():
        found = [*logs.glob("rocketjob-perf-*/server.log")]
        return found[0].read_text() if found else ""

    eventually(lambda: "server started" in log())
    server = int(log().split("[")[1].split("]")[0])
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert left_behind(tmp_path) == []
    eventually(lambda: not alive(server))


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_what_fails_leaves_nothing_behind_and_prints_no_figure(tmp_path):
    process = start(tmp_path, "simple", "-n", 10, "--url", "sqlite:////nowhere/at/all.db")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert (out, "Traceback" in err) == ("", False)
    assert left_behind(tmp_path) == []
