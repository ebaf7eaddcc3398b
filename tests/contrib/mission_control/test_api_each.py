"""Each operation of the API: who may, what the audit has of it, and what it costs."""

from datetime import timedelta
from operator import eq

import pytest

from rocketjob import Job, field
from rocketjob.base import clock
from rocketjob.server.server import Server
from rocketjob_contrib.mission_control import create_app
from rocketjob_contrib.mission_control.access import ROLES
from rocketjob_contrib.mission_control.directories import preview_page
from rocketjob_contrib.mission_control.servers import log_level, stacks_page
from rocketjob_plugins import audit
from rocketjob_plugins.batch import Batch, mending
from rocketjob_plugins.bulk import BulkActionJob
from rocketjob_plugins.dirmon.entry import DirmonEntry
from rocketjob_plugins.failures import groups_of, look
from support.web import as_role, browser, counted_calls


class WebEachJob(Job):
    destroy_on_complete = False
    pausable = True
    note: str | None = field(default="old", user_editable=True)

    def perform(self): ...


class WebEachBatchJob(Batch, Job):
    destroy_on_complete = False

    def perform(self, record):
        raise ValueError(record)


class WebEachFileJob(Job):
    upload_file_name: str | None = None

    def perform(self): ...


SITE = create_app().state.site
OPERATIONS = [each for _, each in SITE.operations if not each.is_derived]
CHANGES = [each for each in OPERATIONS if each.changes]
ALLOWED = {  # besides admins
    "jobs.create": "",
    "jobs.bulk": "editor operator manager dirmon user",
    "jobs.export": "editor operator manager dirmon user view",
    "jobs.destroy": "",
    "entries.destroy": "",
    "slices": "editor",
    "servers": "editor operator",
    "jobs": "editor operator manager",
    "entries": "editor operator manager dirmon",
    "failures": "editor operator manager",
    "read": "editor operator manager dirmon user view",
}


class Case:
    """What an operation is called with, so that it does something."""

    def __init__(self, parts=None, body=None, etag=None):
        self.parts, self.body, self.etag = parts or {}, body, etag

    def call(self, client, each):
        path = each.path
        for name, value in self.parts.items():
            path = path.replace(f"{{{name}}}", str(value))
        headers = {} if self.etag is None else {"if-match": f'"{self.etag}"'}
        body = {} if self.body is None else {"json": self.body}
        return client.request(each.method, f"/api/v1{path}", headers=headers, **body)


def _job(rocketjob, state="queued", body=None):
    fields = {"run_at": clock.now() + timedelta(days=1)} if state == "scheduled" else {}
    job = WebEachJob.create(**fields)
    if state != "scheduled":
        Job.collection().update_one({"_id": job.id}, {"$set": {"state": state}})
    return Case({"id": job.id}, {"reason": "why <b>"} | (body or {}))


def _slice(rocketjob, body=None, state="failed"):
    job = WebEachBatchJob()
    job.upload(["a", "b"])
    job.save()
    rocketjob.work_off()
    Job.collection().update_one({"_id": job.id}, {"$set": {"state": state}})
    found = mending.find(job, 1)
    return Case({"id": job.id, "slice": 1, "index": 0}, body, found.digest)


def _server(rocketjob, state="running", beats=True, body=None):
    Server.delete_all()
    beat = {"updated_at": clock.now(), "number": 1} if beats else None
    server = Server.create(name="each:1", state=state, heartbeat=beat)
    return Case({"id": server.id}, {"reason": "why <b>"} | (body or {}))


def _entry(rocketjob, state="pending", body=None):
    DirmonEntry.delete_all()
    entry = DirmonEntry.create(name="in", pattern="/in/*", job_class_name="WebEachFileJob")
    DirmonEntry.collection().update_one({"_id": entry.id}, {"$set": {"state": state}})
    return Case({"id": entry.id}, {"reason": "why <b>"} | (body or {}))


def _new_entry(rocketjob):
    DirmonEntry.delete_all()
    body = {"pattern": "/new/*", "job_class_name": "WebEachFileJob", "reason": "why <b>"}
    return Case({}, body)


RECORD = {"kind": "text", "text": "c", "reason": "why <b>"}


def _held(rocketjob):
    job = WebEachBatchJob(canary_slices=1, slice_size=1)
    job.upload(["a", "b"])
    job.save()
    rocketjob.work_off()
    return Case({"id": job.id}, {"state": "paused", "failure_budget": 0.5, "reason": "why <b>"})


def _many(rocketjob):
    id = _job(rocketjob, "failed").parts["id"]
    return Case({}, {"event": "retry", "state": "failed", "ids": [str(id)], "reason": "why <b>"})


def _bulk(rocketjob):
    return Case({"id": BulkActionJob.create(event="retry", filter="{}").id})


def _group(rocketjob):
    job = WebEachJob.create()
    job.fail("no")
    (group,) = groups_of(look())
    return Case({"id": group.key}, {"reason": "why <b>"})


def _rejected(rocketjob, body=None):
    job = WebEachBatchJob(max_rejects=9)
    job.upload(["a", "b"])
    job.save()
    rocketjob.work_off()
    return Case({"id": job.id}, body)


CASES = {
    "get_failures": lambda r: Case(_group(r).parts),
    "retry_failures": _group,
    "acknowledge_failures": _group,
    "list_rejects": _rejected,
    "resubmit_rejects": lambda r: _rejected(r, {"text": "record,_row\nc,1\n", "reason": "why <b>"}),
    "retry_slices": lambda r: Case(
        _slice(r, state="running").parts, {"error_type": "ValueError", "reason": "why <b>"}
    ),
    "download_rejects": _rejected,
    "download_failed_records": lambda r: Case(_slice(r).parts),
    "get_slice_map": lambda r: Case(_slice(r).parts),
    "preview_bulk": lambda r: Case(),
    "bulk_jobs": _many,
    "list_bulk_results": _bulk,
    "approve_job": _held,
    "create_job": lambda r: Case({}, {"class": "WebEachJob", "reason": "why <b>"}),
    "update_job": lambda r: _job(r, body={"fields": {"note": "new"}}),
    "delete_job": lambda r: Case(_job(r).parts),
    "run_now_job": lambda r: _job(r, "scheduled"),
    "resume_job": lambda r: _job(r, "paused"),
    "retry_job": lambda r: _job(r, "failed"),
    "replace_record": lambda r: _slice(r, RECORD),
    "delete_record": _slice,
    "retry_slice": lambda r: _slice(r, {"reason": "why <b>"}, "running"),
    "drain_server": lambda r: _server(r, body={"minutes": 2.5}),
    "log_level_server": lambda r: _server(r, body={"level": "debug", "minutes": 15}),
    "resume_server": lambda r: _server(r, "paused"),
    "delete_server": lambda r: Case(_server(r, "running", beats=False).parts),
    "tell_all_servers": lambda r: _server(r, body={"action": "pause"}),
    "create_entry": _new_entry,
    "update_entry": lambda r: _entry(r, body={"pattern": "/out/*"}),
    "copy_entry": lambda r: _entry(r, body={"pattern": "/copy/*"}),
    "disable_entry": lambda r: _entry(r, "enabled"),
    "delete_entry": lambda r: Case(_entry(r).parts),
}


def _case(each, rocketjob):
    """Return what an operation is called with: its own case, or what there is of its kind."""
    if each.name in CASES:
        return CASES[each.name](rocketjob)
    if "{slice}" in each.path or each.name == "list_slices":
        return Case(_slice(rocketjob).parts)
    kind = each.path.split("/")[1]
    made = {"jobs": _job, "servers": _server, "entries": _entry}.get(kind)
    case = Case() if made is None else made(rocketjob)
    return case if each.changes else Case(case.parts)


# What counts slices, or queues again what a dead server ran of each kind, asks more.
MORE = {"bulk_jobs": 12, "delete_server": 12, "approve_job": 12, "resubmit_rejects": 14}
each_operation = pytest.mark.parametrize("each", OPERATIONS, ids=[o.name for o in OPERATIONS])


@pytest.fixture(autouse=True)
def _nobody_answers(monkeypatch):
    monkeypatch.setattr(stacks_page, "SECONDS", 0.0)
    monkeypatch.setattr(log_level, "SECONDS", 0.0)
    monkeypatch.setattr(preview_page, "SECONDS", 0.0)
    monkeypatch.setattr("rocketjob_contrib.mission_control.servers.server_page.SECONDS", 0.0)


@each_operation
def test_P45_each_operation_answers_each_role_as_the_table_says(rocketjob, each):
    let_in = set()
    for role in ROLES:
        answer = _case(each, rocketjob).call(as_role(role), each)
        assert answer.status_code in (200, 201, 204, 403), f"a case is needed: {answer.text}"
        if answer.status_code != 403:
            let_in.add(role)
    section = each.permission.partition(".")[0]
    row = ALLOWED.get(each.permission, ALLOWED[section])
    assert let_in == {"admin", *row.split()}


@each_operation
def test_P47_nothing_is_changed_where_nothing_can_be(rocketjob, each):
    answer = _case(each, rocketjob).call(as_role("admin", read_only=True), each)
    refused = each.changes or each.permission in SITE.changing
    assert answer.status_code == (403 if refused else 200)
    if refused:
        assert "read-only" in answer.json()["detail"]
        assert not list(audit.records())


@each_operation
def test_P46_nobody_is_told_anything_who_has_not_said_who_he_or_she_is(rocketjob, each):
    for client in (browser(authorize=lambda request: None), browser(client=("10.0.0.7", 1))):
        answer = Case({"id": 1, "slice": 1, "index": 0}, {}).call(client, each)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"] == "Bearer"
        assert eq(answer.json()["type"], "urn:rocketjob:problem:not-signed-in")


@pytest.mark.parametrize("each", CHANGES, ids=[o.name for o in CHANGES])
def test_P49_one_record_of_each_change(rocketjob, each):
    case = _case(each, rocketjob)
    answer = case.call(as_role("admin", login="eve"), each)
    assert answer.status_code in (200, 201, 204), answer.text
    found = list(audit.records())
    # Which has one of the whole besides, or of the job that goes on.
    of_many = each.name in ("bulk_jobs", "resubmit_rejects")
    assert len(found) == 1 + of_many, [(record.event, record.change) for record in found]
    record = found[0]
    reason = (case.body or {}).get("reason")
    assert (record.by, record.via, record.reason) == ("eve", "api", reason)
    assert eq(record.how, f"{each.method} /api/v1{each.path}")


@each_operation
def test_R11_no_operation_asks_more_of_the_store_than_a_page_may(rocketjob, each):
    case, client = _case(each, rocketjob), as_role("admin")
    with counted_calls() as calls:
        answer = case.call(client, each)
    assert answer.status_code in (200, 201, 204), answer.text
    assert len(calls) <= MORE.get(each.name, 8), calls


def test_P56_every_change_that_a_page_offers_is_an_operation():
    done = [each for _, each in SITE.operations]
    missing = [
        f"{method} {route.path}"
        for _, route in SITE.routes
        if route.changes
        for method in route.methods
        if not any(each.does(route.path, method) for each in done)
    ]
    assert not missing
