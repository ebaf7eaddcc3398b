"""The extension of Flask: settings, the command line, contexts of jobs, enqueuing in requests."""

import os
import subprocess
import sys
from typing import ClassVar

import flask
import pytest

import rocketjob
from rocketjob import ConfigurationError, Job, StoreUnavailable, ValidationError, field, validators
from rocketjob_contrib.flask import InApp, RocketJob, enqueue_after_request
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.transaction import Transaction
from support.servers import server


class SentJob(InApp, Job):
    destroy_on_complete = False
    number: int = field(default=1, validator=validators.in_range(1, 9))

    def perform(self):
        flask.current_app.config["SEEN"].append(self.number)


class SentBatchJob(InApp, Batch, Job):
    destroy_on_complete = False

    def perform(self, record):
        flask.g.setdefault("records", []).append(record)


class SentInTransactionJob(Transaction, InApp, Job):
    destroy_on_complete = False
    seen: ClassVar[list[str]] = []

    def transaction(self):
        SentInTransactionJob.seen.append(flask.current_app.name)
        return flask.current_app.app_context()

    def perform(self): ...


def make_app(**settings):
    app = flask.Flask("shop")
    app.config.update(ROCKETJOB=settings, SEEN=[], TESTING=True)
    RocketJob().init_app(app)

    @app.post("/<int:number>")
    def place(number):
        job = enqueue_after_request(SentJob(number=number))
        assert job.is_new and SentJob.count() == 0
        if "status" in flask.request.args:
            flask.abort(int(flask.request.args["status"]))
        if "error" in flask.request.args:
            raise KeyError
        return ""

    return app


def test_settings_are_those_of_the_application(rocketjob):
    make_app(workers=3, heartbeat_seconds=7)
    assert (settings().workers, settings().heartbeat_seconds) == (3, 7)
    assert settings().app == ["rocketjob_contrib.flask.worker"]


def settings():
    return rocketjob.configure()


def test_a_factory_that_is_called_in_a_test_leaves_the_test_its_own_store(rocketjob):
    before = settings().url
    make_app(url="sqlite:///elsewhere.db", app=["shop.jobs"])
    assert (settings().url, settings().app) == (before, ["shop.jobs"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"wrokers": 3}, "wrokers"),
        ({"workers": "many"}, "workers"),
        ("sqlite://", "must be a dict"),
    ],
)
def test_a_wrong_setting_is_said_where_the_application_is_made(rocketjob, given, said):
    app = flask.Flask("shop")
    app.config["ROCKETJOB"] = given
    with pytest.raises(ConfigurationError, match=f"configuration of Flask.*{said}"):
        RocketJob(app)


def test_a_job_is_stored_once_the_request_has_gone_well(rocketjob):
    with make_app().test_client() as client:
        assert client.post("/3").status_code == 200
        assert [job.number for job in SentJob.all()] == [3]


@pytest.mark.parametrize("query", ["status=422", "status=500"])
def test_no_job_comes_of_an_error_page(rocketjob, query):
    with make_app().test_client() as client:
        assert client.post(f"/3?{query}").status_code == int(query[-3:])
    assert SentJob.count() == 0


def test_no_job_comes_of_a_view_that_raised(rocketjob):
    with make_app().test_client() as client, pytest.raises(KeyError):
        client.post("/3?error")
    assert SentJob.count() == 0


def test_a_job_that_is_not_valid_is_refused_in_the_view(rocketjob):
    with make_app().test_client() as client, pytest.raises(ValidationError, match="number"):
        client.post("/10")


def test_without_the_store_the_request_fails(rocketjob, monkeypatch):
    def away(job):
        raise StoreUnavailable("the store is away")

    app = make_app()
    app.testing = False
    monkeypatch.setattr(SentJob, "submit", away)
    with app.test_client() as client:
        assert client.post("/3").status_code == 500


def test_without_a_request_it_is_said_that_there_is_none(rocketjob):
    with pytest.raises(RuntimeError, match="request"):
        enqueue_after_request(SentJob())


def test_each_job_is_performed_in_a_context_of_its_own(rocketjob):
    app, ended = make_app(), []
    app.teardown_appcontext(ended.append)
    jobs = [SentJob.create(number=number) for number in (1, 2)]
    assert rocketjob.work_off() == 2
    assert [job.reload().state for job in jobs] == ["completed"] * 2
    assert sorted(app.config["SEEN"]) == [1, 2]
    assert ended == [None, None]


def test_each_slice_of_a_batch_job_has_a_context_of_its_own(rocketjob):
    app, ended = make_app(), []
    app.teardown_appcontext(lambda error: ended.append(flask.g.records))
    job = SentBatchJob()
    job.input_category_for("main").slice_size = 2
    job.upload([1, 2, 3])
    job.save()
    rocketjob.work_off()
    assert job.reload().is_completed
    assert sorted(ended) == [[1, 2], [3]]


def test_a_transaction_is_opened_within_the_context(rocketjob):
    make_app()
    job = SentInTransactionJob.create()
    rocketjob.work_off()
    assert job.reload().is_completed
    assert SentInTransactionJob.seen == ["shop"]


def test_a_job_performed_within_a_request_shares_its_context(rocketjob):
    app = make_app()
    with app.app_context():
        flask.g.is_own = True
        SentJob().perform_now()
        assert flask.g.is_own


# --- in processes of their own -------------------------------------------------------------------

SHOP = """
from flask import Flask
from rocketjob_contrib.flask import RocketJob
jobs = RocketJob()


def create_app(workers=2):
    app = Flask("shop")
    app.config.from_mapping(SENDER="ann@a.org", ROCKETJOB={"url": "sqlite:///shop.db"})
    app.config["ROCKETJOB"]["workers"] = workers
    jobs.init_app(app)
    import mails
    return app
"""
MAILS = """
from flask import current_app
from rocketjob import Job
from rocketjob_contrib.flask import InApp


class MailJob(InApp, Job):
    def perform(self):
        self.logger.info("sent", sender=current_app.config["SENDER"])
"""
FLASK = [sys.executable, "-m", "flask"]


def run(folder, *words, **environment):
    (folder / "shop.py").write_text(SHOP)
    (folder / "mails.py").write_text(MAILS)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ROCKETJOB_", "FLASK_"))}
    return subprocess.run(
        [*FLASK, *words],
        cwd=folder,
        env={**kept, **environment},
        capture_output=True,
        text=True,
    )


def test_the_command_has_the_settings_of_the_application(tmp_path):
    done = run(tmp_path, "--app", "shop:create_app(5)", "rocketjob", "config")
    assert done.returncode == 0, done.stderr
    assert [
        line.split()[:2] for line in done.stdout.splitlines() if line.startswith("workers")
    ] == [["workers", "5"]]


def test_the_command_ends_with_the_exit_code_of_rocketjob_and_shows_its_help(tmp_path):
    assert run(tmp_path, "--app", "shop", "rocketjob", "jobs", "show", "none").returncode in (1, 2)
    said = run(tmp_path, "rocketjob", "server", "--help", FLASK_APP="shop").stdout
    assert said.startswith("Usage: flask rocketjob server")


def test_a_server_performs_the_jobs_that_the_application_imports(tmp_path):
    made = run(tmp_path, "--app", "shop", "rocketjob", "enqueue", "mails:MailJob")
    assert made.returncode == 0, made.stderr
    program = [*FLASK, "--app", "shop", "rocketjob", "server"]
    with server(tmp_path, "--processes", "1", "--until-eof", program=program) as process:
        process.says("sender=ann@a.org")


def test_an_application_without_the_extension_is_refused_by_the_server(tmp_path):
    (tmp_path / "bare.py").write_text("from flask import Flask\napp = Flask('bare')\n")
    program = "import rocketjob_contrib.flask.worker"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "FLASK_APP": "bare"},
        capture_output=True,
        text=True,
    )
    assert "application bare does not use RocketJob: call RocketJob(app)" in done.stderr
