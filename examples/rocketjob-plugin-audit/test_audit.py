import json

import pytest
import rocketjob_plugin_audit
from rocketjob_plugin_audit import Audited

from rocketjob import Job, ValidationError


class PayoutJob(Audited, Job):
    def perform(self):
        raise OSError("the bank is closed")


@pytest.fixture
def audit(rocketjob, tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIT_FILE", str(tmp_path / "audit.jsonl"))
    if not any(info.name == "audit" for info in rocketjob.plugins.infos()):
        rocketjob.plugins.register(rocketjob_plugin_audit)  # it is not installed here
    return tmp_path / "audit.jsonl"


def test_a_payout_needs_somebody_who_asked_for_it(rocketjob):
    with pytest.raises(ValidationError, match="requested_by"):
        PayoutJob.create()


def test_every_change_is_a_line(rocketjob, audit):
    job = PayoutJob.create(requested_by="ann")
    rocketjob.work_off()
    job.reload().abort()
    lines = [json.loads(line) for line in audit.read_text().splitlines()]
    assert [(line["event"], line["to"]) for line in lines][-2:] == [
        ("fail", "failed"),
        ("abort", "aborted"),
    ]
    assert {line["requested_by"] for line in lines} == {"ann"}
