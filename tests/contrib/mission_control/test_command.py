"""`rocketjob web` and `rocketjob demo --web`: a server of its own, closed to others."""

import os
import re
import signal
import subprocess
import sys
import urllib.request

import pytest

from rocketjob import Job, StoreUnavailable, ValidationError
from rocketjob.cli import Failure
from rocketjob_contrib.mission_control.serve import application_at, serve
from rocketjob_contrib.mission_control.settings import WebSettings
from rocketjob_plugins.demo.batch import DemoBatchJob
from rocketjob_plugins.demo.population import Life, populate, remove
from rocketjob_plugins.dirmon.entry import DirmonEntry
from support.web import browser, text_of


def rocketjob_command(*words, folder):
    """Start a command in a folder of its own; return it and the address that it says."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ROCKETJOB_")}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", "rocketjob.cli", *words],
            cwd=folder,
            env={**environment, "TMPDIR": str(folder)},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    line = process.stdout.readline()
    found = re.search(r"http://\S+", line)
    assert found, (line, process.poll())
    return process, found.group()


@pytest.mark.parametrize(
    ("words", "says"),
    [(("web",), "Nothing is running"), (("demo", "--web"), "DemoImportJob")],
    ids=["web", "demo"],
)
def test_P59_one_command_leads_to_a_full_page(tmp_path, words, says):
    process, address = rocketjob_command(*words, "--port", "0", folder=tmp_path)
    try:
        with urllib.request.urlopen(f"{address}jobs/running", timeout=60) as answer:
            text = answer.read().decode()
        assert says in text
        if job := re.search(r"/jobs/([0-9a-f]{24})/pause", text):
            urllib.request.urlopen(f"{address}jobs/{job[1]}/pause", b"state=running", timeout=60)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0
    logged = (tmp_path / "log").read_text()
    assert job is None or re.search(f"changed by hand action=pause job_id={job[1]}", logged), logged
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.7", "::", "example.com"])
def test_it_does_not_listen_where_others_could_reach_it(rocketjob, host):
    with pytest.raises(Failure, match="can be reached from elsewhere"):
        serve(host, 0)


@pytest.mark.parametrize("path", ["/ops/jobs", "ops/jobs", "/ops/jobs/"])
def test_it_can_be_served_below_a_path(rocketjob, path):
    client = browser(app=application_at(path, WebSettings()))
    assert client.get("/ops/jobs/").headers["location"] == "/ops/jobs/overview"
    page = client.get("/ops/jobs/jobs/running")
    assert page.status_code == 200
    assert 'href="/ops/jobs/jobs/failed"' in page.text


def test_the_demo_leaves_entries_alone_that_are_not_its_own(rocketjob):
    own = DirmonEntry.create(
        name="Orders", pattern="/srv/orders/*", job_class_name=DemoBatchJob.__name__
    )
    with pytest.raises(ValidationError, match="Orders"):
        populate()
    remove()
    assert [entry.id for entry in DirmonEntry.all()] == [own.id]
    assert Job.count() == 0


def test_W115_the_demo_has_something_of_everything_and_can_be_filled_again(rocketjob):
    populate()
    populate()
    client = browser()
    for state in ["scheduled", "queued", "running", "completed", "paused", "failed", "aborted"]:
        page = client.get(f"/jobs/{state}")
        assert "Demo" in text_of(page), state
    assert "sleeping" not in client.get("/jobs/running").text
    for state in ("pending", "enabled", "failed", "disabled"):
        assert "/in/" in client.get(f"/dirmon_entries/{state}").text or state == "failed"
    life = Life()
    for _ in range(6):
        life.step()
    assert client.get("/jobs/running").status_code == 200
    remove()
    assert "There are no jobs yet" in text_of(client.get("/jobs"))


def test_P58_what_watches_the_process_is_told_whether_its_store_answers(rocketjob, monkeypatch):
    def gone(*args, **kwargs):
        raise StoreUnavailable("mongodb://ada:geheim@db is gone")

    nobody = browser(authorize=lambda request: None)
    answer = nobody.get("/healthz")
    assert (answer.status_code, answer.text) == (200, "ok\n")
    with monkeypatch.context() as patch:
        patch.setattr(type(rocketjob.store), "collection", gone)
        answer = nobody.get("/healthz")
    assert (answer.status_code, answer.text) == (503, "the store does not answer\n")
    assert nobody.post("/healthz").status_code == 405
