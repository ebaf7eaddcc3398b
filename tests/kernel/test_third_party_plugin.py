"""The real thing: a third party's distribution, installed by pip into a fresh environment.

rocketjob and what it needs are lent to that environment by a .pth file, so that it is made in
seconds and without a network; the plugin is a real wheel that pip installs and uninstalls.
"""

import pytest

from support.environment import Environment
from support.third_party import build_wheel

USE = """
import json
from rocketjob import Job
from rocketjob.testing import sandbox
from rocketjob.plugins.manager import PluginManager
import rocketjob_plugin_slack as slack
from rocketjob_plugin_slack import NotifySlack, SlackDigestJob

class ImportJob(NotifySlack, Job):
    slack_channel = "#imports"
    def perform(self):
        raise RuntimeError("no such file")

with sandbox(**SETTINGS) as made:
    ImportJob.create()
    digest = SlackDigestJob.create(priority=99)
    worked = made.work_off()
    info = {i.name: i for i in made.plugins.infos()}["slack"]
    print(json.dumps({
        "worked": worked,
        "result": digest.reload().result,
        "changes": slack.changes,
        "info": [info.name, info.module, info.distribution, info.version, info.enabled],
        "brings": [info.mixins, info.jobs, "state_changed" in info.hooks],
        "copied": ImportJob.failed().first().restarted().slack_channel,
    }))
"""
REST = """
import json
from rocketjob import Job
from rocketjob.testing import sandbox

class PlainJob(Job):
    destroy_on_complete = False
    def perform(self): ...

with sandbox(**SETTINGS) as made:
    job = PlainJob.create()
    made.work_off()
    print(json.dumps({
        "state": job.reload().state,
        "plugins": {i.name: i.enabled for i in made.plugins.infos()},
        "classes": made.queue.eligible.class_names(),
    }))
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    made = Environment(tmp_path_factory.mktemp("environment"))
    wheel = build_wheel(tmp_path_factory.mktemp("dist"))
    made.install(wheel)
    return made


def test_a_third_partys_mixin_hook_and_job_are_found_and_used(environment):
    found = environment.run(USE)
    assert found["worked"] == 2
    assert found["result"] == {"told": [["#imports", "no such file"]]}
    assert ["ImportJob", "fail", "running", "failed"] in found["changes"]
    assert ["SlackDigestJob", "complete", "running", "completed"] in found["changes"]
    assert found["info"] == [
        "slack",
        "rocketjob_plugin_slack",
        "rocketjob-plugin-slack",
        "1.2",
        True,
    ]
    assert found["brings"] == [["NotifySlack"], ["SlackDigestJob"], True]
    assert found["copied"] == "#imports"


def test_the_rest_works_while_it_is_disabled(environment):
    found = environment.run(REST, disabled_plugins=["slack"])
    assert found["state"] == "completed"
    assert found["plugins"]["slack"] is False
    assert found["plugins"]["store-sqlite"] is True
    assert "SlackDigestJob" not in found["classes"]


def test_its_mixin_can_be_used_while_its_hooks_are_disabled(environment):
    found = environment.run(USE, disabled_plugins=["slack"])
    assert found["changes"] == []
    assert found["result"] == {"told": [["#imports", "no such file"]]}


def test_the_rest_works_when_it_is_uninstalled(environment):  # the last one here: it is gone then
    environment.uninstall("rocketjob-plugin-slack")
    found = environment.run(REST)
    assert found["state"] == "completed"
    assert "slack" not in found["plugins"]
    assert found["plugins"]["store-sqlite"] is True
