"""A bulk action goes on in somebody's name, as long as what let that somebody in still does."""

from datetime import timedelta

import pytest

from rocketjob import Job
from rocketjob.base import clock
from rocketjob.base.acts import acting
from rocketjob.base.errors import GrantLost
from rocketjob.jobs import grants
from rocketjob.store import context
from rocketjob.testing import sandbox
from rocketjob_contrib.mission_control import Identity, tokens
from rocketjob_plugins.bulk import BulkActionJob
from rocketjob_plugins.bulk import job as bulk_job
from support.web import browser

BULK = "/api/v1/jobs/bulk"


class GrantedJob(Job):
    destroy_on_complete = False
    pausable = True
    login: str | None = None

    def perform(self): ...


@pytest.fixture
def by_job(monkeypatch):
    """A sandbox in which a job does whatever is to be done to more than two, two at a time."""
    monkeypatch.setattr(bulk_job, "STEP", 2)
    with sandbox(bulk={"at_once": 2}) as rocketjob:
        yield rocketjob


def program(role="manager", expires_in=None, name="nightly"):
    client = browser(client=("10.0.0.7", 1))
    text = tokens.create(name, role, expires_in)[1]
    client.headers["authorization"] = f"Bearer {text}"
    return client


def asked(client, event="pause", number=6, **values):
    """Have a program ask for something to be done to some jobs; return them, and who does it."""
    jobs = [GrantedJob.create(**values) for _ in range(number)]
    answer = client.post(BULK, json={"event": event, "q": "class:GrantedJob"})
    assert answer.status_code == 200, answer.text
    return jobs, BulkActionJob.find(answer.json()["job"])


def paused(jobs):
    return [job.reload().is_paused for job in jobs]


def change(**values):
    context.current().store.collection(tokens.COLLECTION).update_one({}, {"$set": values})


# --- a token -------------------------------------------------------------------------------------


def test_P48_a_token_that_is_revoked_on_the_way_stops_what_is_done_in_its_name(by_job, monkeypatch):
    jobs, job = asked(program())
    assert job.granted_by == "web_token:manager:nightly"
    say = BulkActionJob._say

    def said(self, counts):
        tokens.revoke("nightly")
        say(self, counts)

    monkeypatch.setattr(BulkActionJob, "_say", said)
    with pytest.raises(GrantLost, match="the token nightly was revoked at"):
        job.perform_now()
    assert paused(jobs) == [True] * 2 + [False] * 4
    job = job.reload()
    assert job.is_failed and "nightly was revoked" in job.exception.message
    assert job.counted() == {"done": 2, "skipped": 0, "refused": 0, "failed": 0}


def test_P48_a_worker_stops_it_too_and_a_retry_does_not_help(by_job):
    jobs, job = asked(program())
    GrantedJob.where({"state": "queued"}).update_all(run_at=job.as_of + timedelta(days=1))
    tokens.revoke("nightly")
    assert by_job.work_off() == 1
    assert job.reload().is_failed
    job.reload().retry()
    by_job.work_off()
    assert job.reload().is_failed and not any(paused(jobs))


def test_P48_a_token_that_still_holds_is_in_nobodys_way(by_job):
    jobs, job = asked(program())
    job.perform_now()
    assert all(paused(jobs)) and job.reload().is_completed


def test_P48_a_token_that_expires_meanwhile_stops_it(by_job):
    jobs, job = asked(program(expires_in=timedelta(hours=1)))
    by_job.travel(timedelta(hours=2))
    with pytest.raises(GrantLost, match="nightly has expired"):
        job.perform_now()
    assert not any(paused(jobs))


@pytest.mark.parametrize(
    ("role", "says"),
    [
        ("operator", None),  # which has what a manager has
        ("dirmon", "has the role dirmon, and that needs manager"),
        ("root", "has the role root"),
        (7, "was revoked"),  # as what makes no sense gives nothing
    ],
)
def test_P48_its_role_must_still_be_enough(by_job, role, says):
    jobs, job = asked(program("admin"))
    change(role=role)
    if says is None:
        job.perform_now()
    else:
        with pytest.raises(GrantLost, match=says):
            job.perform_now()
    assert all(paused(jobs)) == (says is None)


def test_P48_with_the_role_user_it_needs_no_more_for_jobs_of_its_own(by_job):
    jobs, job = asked(program("user"), login="nightly")
    assert job.granted_by == "web_token:user:nightly"
    job.perform_now()
    assert all(paused(jobs))


def test_P48_a_token_that_was_removed_by_hand_holds_no_more(by_job):
    _, job = asked(program())
    context.current().store.collection(tokens.COLLECTION).delete_many({})
    with pytest.raises(GrantLost, match="nightly is not there any more"):
        job.perform_now()


def test_P48_whoever_stores_the_job_itself_by_the_api_is_asked_about_as_well(by_job):
    client = program("admin")
    fields = {"event": "pause", "filter": '{"_type": "GrantedJob"}'}
    made = client.post("/api/v1/jobs", json={"class": "BulkActionJob", "fields": fields})
    assert made.status_code == 201, made.text
    assert BulkActionJob.find(made.json()["id"]).granted_by == "web_token:admin:nightly"


# --- a person, and a program of one's own --------------------------------------------------------


def test_what_a_person_asks_for_is_not_stopped_as_nobody_can_be_asked(by_job):
    client = browser(authorize=lambda request: Identity("ada", {"manager"}))
    jobs, job = asked(client)
    assert (job.login, job.granted_by) == ("ada", None)
    job.perform_now()
    assert all(paused(jobs))


def test_a_worker_that_does_not_know_such_grants_does_nothing():
    with sandbox(disabled_plugins=["mission-control"]):
        other = GrantedJob.create(run_at=clock.now() + timedelta(days=1))
        job = BulkActionJob.create(event="pause", filter="{}", granted_by="web_token:admin:x")
        with pytest.raises(GrantLost, match="knows whether the grant web_token"):
            job.perform_now()
        assert other.reload().is_scheduled


def test_a_store_that_is_away_is_waited_for_before_anything_is_decided(by_job, monkeypatch):
    jobs, job = asked(program())
    GrantedJob.where({"state": "queued"}).update_all(run_at=job.as_of + timedelta(days=1))

    def away(grant):
        raise ConnectionError("away")

    monkeypatch.setattr(tokens, "grant_refused", away)
    monkeypatch.setattr(type(by_job.store), "is_transient", lambda self, error: True)
    by_job.work_off()
    monkeypatch.undo()
    assert job.reload().is_queued and not any(paused(jobs))


def test_a_program_can_have_grants_of_its_own(rocketjob):
    with acting(by="ada", grant="badge:7"):
        job = BulkActionJob.create(event="pause", filter="{}")
    assert job.granted_by == "badge:7"
    with pytest.raises(GrantLost, match="no plugin"):
        grants.check(job.granted_by)
    grants.check(None)
