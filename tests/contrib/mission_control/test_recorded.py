"""Every route that changes something leaves one record of who it was, why, and what was before."""

import json
from datetime import timedelta
from operator import eq

import pytest

from rocketjob import Job, field
from rocketjob.base import clock
from rocketjob.server.server import Server
from rocketjob_contrib.mission_control import create_app
from rocketjob_contrib.mission_control.servers import log_level, stacks_page
from rocketjob_plugins import audit
from rocketjob_plugins.batch import Batch, mending
from rocketjob_plugins.dirmon.entry import DirmonEntry
from support.web import a_group_of_failures, as_role


class WebRecordedJob(Job):
    destroy_on_complete = False
    pausable = True
    note: str | None = field(default="old", user_editable=True)

    def perform(self): ...


class WebRecordedBatchJob(Batch, Job):
    destroy_on_complete = False

    def perform(self, record):
        raise ValueError(record)


class WebRecordedFileJob(Job):
    upload_file_name: str | None = None

    def perform(self): ...


def _job(state, rocketjob, **fields):
    job = WebRecordedJob.create(**fields)
    Job.collection().update_one({"_id": job.id}, {"$set": {"state": state}})
    return job.id, {"state": state}


def _many(rocketjob):
    id, _ = _job("failed", rocketjob)
    return id, {"event": "retry", "list": "failed", "id": f"{id}:failed"}


def _later(rocketjob):
    return _job("queued", rocketjob, run_at=clock.now() + timedelta(days=1))


def _slice(rocketjob, state="failed"):
    job = WebRecordedBatchJob()
    job.upload(["a", "b"])
    job.save()
    rocketjob.work_off()
    Job.collection().update_one({"_id": job.id}, {"$set": {"state": state}})
    found = mending.find(job, 1)
    return job.id, {"slice": "1", "digest": found.digest, "kind": "text", "text": "c"}


def _held(rocketjob):
    job = WebRecordedBatchJob(canary_slices=1, slice_size=1)
    job.upload(["a", "b"])
    job.save()
    rocketjob.work_off()
    return job.id, {"state": "paused", "failure_budget": "0.5"}


def _failed_record(rocketjob):
    id, data = _slice(rocketjob)
    row = {"_slice": 1, "_row": 1, "kind": "text", "record": "c", "_seen": data["digest"]}
    return id, {"text": json.dumps(row)}


def _reject(rocketjob):
    job = WebRecordedBatchJob(max_rejects=1)
    job.upload(["a"])
    job.save()
    rocketjob.work_off()
    job.reload().reopen()  # where it runs still, nothing else is changed
    return job.id, {"text": "record,_row\nb,1\n"}


def _server(rocketjob, state="running", beats=True):
    beat = {"updated_at": clock.now(), "number": 1} if beats else None
    server = Server.create(name="web:1", state=state, heartbeat=beat)
    return server.id, {"typed": "KILL"}


def _entry(rocketjob, state="pending"):
    entry = DirmonEntry.create(name="in", pattern="/in/*", job_class_name="WebRecordedFileJob")
    DirmonEntry.collection().update_one({"_id": entry.id}, {"$set": {"state": state}})
    return entry.id, {"state": state}


def _new(name):
    values = {"name": name, "pattern": f"/{name}/*", "job_class_name": "WebRecordedFileJob"}
    return {f"field.{key}": value for key, value in values.items()}


def _with(made, changes):
    return made[0], made[1] | changes


def _failures(rocketjob):
    return a_group_of_failures(), {}


EDIT = ("POST", "PUT", "PATCH")
CASES = {
    "/jobs/{id} DELETE": lambda r: _job("queued", r),
    "/jobs/{id}/run_now": _later,
    "/jobs/{id}/pause": lambda r: _job("queued", r),
    "/jobs/{id}/resume": lambda r: _job("paused", r),
    "/jobs/{id}/approve": _held,
    "/jobs/{id}/retry": lambda r: _job("failed", r),
    "/jobs/{id}/fail": lambda r: _job("queued", r),
    "/jobs/{id}/abort": lambda r: _job("queued", r),
    "/jobs/{id}/destroy": lambda r: _job("queued", r),
    "/jobs/bulk": lambda r: _many(r),
    "/jobs/{id}": lambda r: _with(_job("queued", r), {"field.note": "new"}),
    "/jobs/{id}/capsule": lambda r: _job("failed", r),
    "/jobs/{id}/update_slice": _slice,
    "/jobs/{id}/delete_line": _slice,
    "/jobs/{id}/rejects": _reject,
    "/jobs/{id}/failed_records": _failed_record,
    "/jobs/{id}/retry_slices": lambda r: _with(_slice(r), {"error_type": "ValueError"}),
    "/jobs/{id}/retry_slice": lambda r: _slice(r, "running"),
    "/failures/{id}/retry": _failures,
    "/failures/{id}/acknowledge": _failures,
    "/servers/{id} DELETE": lambda r: _server(r, "running", beats=False),
    "/servers/{id}/pause": _server,
    "/servers/{id}/resume": lambda r: _server(r, "paused"),
    "/servers/{id}/stop": _server,
    "/servers/{id}/kill": _server,
    "/servers/{id}/drain": _server,
    "/servers/{id}/log_level": lambda r: _with(_server(r), {"level": "debug"}),
    "/servers/{id}/thread_dump": _server,
    "/servers/{id}/destroy": lambda r: _server(r, "running", beats=False),
    "/servers/update_all": lambda r: _with(_server(r), {"server_action": "pause"}),
    "/schedule/create": lambda r: (None, {"class": "HousekeepingJob"}),
    "/dirmon_entries": lambda r: (None, _new("new")),
    "/dirmon_entries/{id} DELETE": lambda r: _entry(r),
    "/dirmon_entries/{id}": lambda r: _with(_entry(r), {"field.pattern": "/out/*"}),
    "/dirmon_entries/{id}/replicate": lambda r: _with(_entry(r), _new("copy")),
    "/dirmon_entries/{id}/enable": lambda r: _entry(r),
    "/dirmon_entries/{id}/disable": lambda r: _entry(r, "enabled"),
    "/dirmon_entries/{id}/destroy": lambda r: _entry(r),
}
SITE = create_app().state.site
ROUTES = [(m, route.path) for _, route in SITE.routes if route.changes for m in route.methods]


@pytest.mark.parametrize(("method", "path"), ROUTES, ids=[f"{m} {p}" for m, p in ROUTES])
def test_P49_P50_each_change_leaves_one_record_and_a_message(rocketjob, method, path, monkeypatch):
    monkeypatch.setattr(stacks_page, "SECONDS", 0.0)  # nobody answers
    monkeypatch.setattr(log_level, "SECONDS", 0.0)
    make = CASES.get(f"{path} {method}") or CASES[path]
    id, data = make(rocketjob)
    client = as_role("admin", login="eve")
    body = data | {"reason": "why <b>"}
    answer = client.request(method, path.replace("{id}", str(id)), data=body)
    assert answer.status_code in (200, 303)
    found = list(audit.records())
    if answer.status_code == 303:  # else the page that answers says what was done
        assert 'class="message ' in client.get(answer.headers["location"]).text
    of_many = path == "/jobs/bulk"  # which has one of the whole besides
    assert len(found) == 1 + of_many, [(each.event, each.change) for each in found]
    record = found[0]
    assert (record.by, record.via, record.reason) == ("eve", "web", "why <b>")
    assert eq(record.how, f"{method} {path}")
    made = path in ("/dirmon_entries", "/dirmon_entries/{id}/replicate", "/schedule/create")
    made |= path.endswith(("thread_dump", "log_level", "capsule"))  # which change nothing
    # What is in a record is nobody's business.
    of_slice = {"slice", "slices", "record", "records"} & set(record.after)
    assert record.before or made or of_slice, record


def test_each_route_that_changes_something_has_a_case():
    paths = {path for _, path in ROUTES}
    assert {case.partition(" ")[0] for case in CASES} == paths
