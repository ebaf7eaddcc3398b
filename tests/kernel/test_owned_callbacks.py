"""Callbacks that a plugin adds to all jobs belong to the plugin, and go when it does."""

import sys
import types

import pytest

from rocketjob import Job, before
from rocketjob.model import ownership
from rocketjob.testing import sandbox
from support.plugins import entry_point, install

SOURCE = """
from rocketjob import before, after, around

seen = []

@before("perform", on=Job)
def owned_before(job):
    seen.append("before")

@around("perform", on=Job)
def owned_around(job):
    seen.append("in")
    yield
    seen.append("out")

@after("initialize", on=Job)
def owned_initialize(job):
    seen.append("initialize")
"""
RAN = ["initialize", "before", "in", "out"]


class OwnedJob(Job):
    def perform(self): ...


@pytest.fixture(autouse=True)
def _only_for_this_test(monkeypatch):
    monkeypatch.setattr(ownership, "_plugins", dict(ownership._plugins))


@pytest.fixture
def plugin(monkeypatch):
    """A plugin that is installed, and was imported by this process already."""
    found = entry_point(monkeypatch, "owned", SOURCE)
    install(monkeypatch, found)
    return sys.modules[found.module]


def run(plugin):
    plugin.seen.clear()
    OwnedJob().perform_now()
    return plugin.seen


def test_they_run_where_the_plugin_is_loaded(plugin):
    with sandbox() as made:
        _ = made.plugins
        assert run(plugin) == RAN


def test_they_do_not_where_it_is_disabled_though_it_was_imported(plugin):
    with sandbox() as made:
        _ = made.plugins
    with sandbox(disabled_plugins=["owned"]):
        assert run(plugin) == []  # whether anything has needed the plugins yet or not
    with sandbox(disabled_plugins=["owned"]) as made:
        _ = made.plugins
        assert run(plugin) == []
    with sandbox() as made:
        _ = made.plugins
        assert run(plugin) == RAN


def test_they_do_not_where_a_sandbox_loads_others_only(plugin):
    with sandbox() as made:
        _ = made.plugins
    with sandbox(plugins=["retry"]):
        assert run(plugin) == []
    with sandbox(plugins=["owned"]):
        assert run(plugin) == RAN


def test_they_go_when_it_is_taken_out(rocketjob, plugin):
    rocketjob.plugins.unregister(plugin)
    assert run(plugin) == []
    rocketjob.plugins.register(plugin, "owned-again")
    assert run(plugin) == RAN


def test_they_do_not_run_where_it_is_left_out_since_a_hook_is_misspelt(monkeypatch):
    source = f"{SOURCE}\n@hookimpl\ndef state_change(job): ...\n"
    found = entry_point(monkeypatch, "misspelt", source)
    install(monkeypatch, found)
    with sandbox() as made:
        assert any("state_change" in problem for problem in made.plugins.problems)
        assert run(sys.modules[found.module]) == []


def test_those_of_a_module_in_its_package_are_the_plugins_too(rocketjob, monkeypatch):
    package = types.ModuleType("rocketjob_plugin_packaged")
    part = types.ModuleType("rocketjob_plugin_packaged.parts")
    exec(compile(f"from rocketjob import Job\n{SOURCE}", part.__name__, "exec"), part.__dict__)
    rocketjob.plugins.register(package)
    assert run(part) == RAN
    rocketjob.plugins.unregister(package)
    assert run(part) == []


def test_those_of_an_application_stay_whatever_is_loaded(monkeypatch):
    seen = []

    @before("perform", on=OwnedJob)
    def of_the_application(job):
        seen.append("before")

    with sandbox(plugins=["retry"]):
        OwnedJob().perform_now()
    assert seen == ["before"]
