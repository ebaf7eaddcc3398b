"""The API is what its OpenAPI document says, whatever is sent to it: found out by schemathesis."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode

from rocketjob import Job, field
from rocketjob.base import clock
from rocketjob.server.server import Server
from rocketjob_contrib.mission_control import Identity, WebSettings, create_app
from rocketjob_contrib.mission_control.api.openapi import document
from rocketjob_contrib.mission_control.directories import preview_page
from rocketjob_contrib.mission_control.servers import server_page, stacks_page
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.dirmon.entry import DirmonEntry


class WebFuzzedJob(Job):
    destroy_on_complete = False
    pausable = True
    note: str | None = field(default=None, user_editable=True)

    def perform(self): ...


class WebFuzzedBatchJob(Batch, Job):
    destroy_on_complete = False

    def perform(self, record):
        raise ValueError(record)


class WebFuzzedFileJob(Job):
    upload_file_name: str | None = None

    def perform(self): ...


EXAMPLES = 5  # of each operation, valid ones and others
FIXED = settings(
    max_examples=EXAMPLES,
    derandomize=True,  # the same in each run
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def _who(request):
    return Identity("fuzz", {"admin"})  # who may is tested elsewhere, for each operation


POSSIBLE = ["400", "404", "409", "412", "422"]  # such as a class that is not there
APP = create_app(WebSettings(authorize=_who))
SITE = APP.state.site
REFUSED = {
    "positive_data_acceptance": {"expected-statuses": ["2XX", *POSSIBLE]},
    "negative_data_rejection": {"expected-statuses": [*POSSIBLE, "403", "415", "428"]},
}
DOCUMENT = document(each for _, each in SITE.operations if not each.is_derived)
SCHEMA = schemathesis.openapi.from_dict(
    DOCUMENT | {"security": []},
    config=schemathesis.Config.from_dict({"checks": REFUSED}),
)
SCHEMA.app = APP
OPERATIONS = {each.ok().label: each.ok() for each in SCHEMA.get_all_operations()}


def _there(label):
    """Return the parts of a path that names something that there is."""
    kind = label.split("/")[1]
    if kind == "servers":
        Server.delete_all()
        beat = {"updated_at": clock.now(), "number": 1}
        return {"id": str(Server.create(name="fuzzed:1", state="running", heartbeat=beat).id)}
    if kind == "entries":
        DirmonEntry.delete_all()
        entry = DirmonEntry.create(pattern="/in/*", job_class_name="WebFuzzedFileJob")
        return {"id": str(entry.id)}
    if "{slice}" in label:
        return {"id": str(WebFuzzedBatchJob.last().id), "slice": 1, "index": 0}
    return {"id": str(WebFuzzedJob.create().id)}


def _modes(operation):
    """Return what is generated: what is wrong, too, unless there is only a path, which is ours."""
    has_more = operation.body or operation.query or operation.headers
    return [GenerationMode.POSITIVE, *([GenerationMode.NEGATIVE] if has_more else [])]


@pytest.mark.parametrize("label", sorted(OPERATIONS))
def test_P56_an_operation_answers_as_the_document_says(rocketjob, label, monkeypatch):
    monkeypatch.setattr(server_page, "SECONDS", 0.0)  # nobody answers
    monkeypatch.setattr(stacks_page, "SECONDS", 0.0)
    monkeypatch.setattr(preview_page, "SECONDS", 0.0)
    if "{slice}" in label:
        job = WebFuzzedBatchJob()
        job.upload(["a", "b"])
        job.save()
        rocketjob.work_off()
    operation = OPERATIONS[label]
    for mode in _modes(operation):

        @FIXED
        @given(case=operation.as_strategy(generation_mode=mode))
        def tried(case):
            case.path_parameters.update(
                {name: value for name, value in _there(label).items() if name in operation.path}
            )
            case.call_and_validate()

        tried()
