"""Every built-in plugin keeps the contract of plugins, and whatever breaks it is found."""

from importlib import metadata

import pytest

from rocketjob import Job
from rocketjob.testing.plugin_contract import PluginContract
from support.plugins import entry_point, install
from support.suites import failures

OLDER_NAMES = {  # settings from before plugins had tables of their own
    "mission-control": ["web.views"],  # whose table is called as its command
    "batch": ["slices_url"],
    "cron": ["time_zone"],
    "dirmon": ["dirmon_allowed_paths"],
    "encryption": ["encryption_keys"],
    "on-demand": ["allow_on_demand"],
    "processing-window": ["time_zone"],
}


def suite_of(plugin, **attributes):
    name = f"Test{plugin.title().replace('-', '')}"
    return type(name, (PluginContract,), {"plugin": plugin, **attributes})


for each in metadata.entry_points(group="rocketjob"):
    if each.dist.name == "rocketjob":
        suite = suite_of(each.name, other_settings=OLDER_NAMES.get(each.name, ()))
        globals()[suite.__name__] = suite
del suite

GOOD = """
import click
from rocketjob.base.settings import Setting, string
from rocketjob.server.checks import Check, Finding

class Greeted(Job, abstract=True):
    "Says hello."

class Greeting(click.Command):
    "A command."

@hookimpl
def register_mixins(): return [Greeted]
@hookimpl
def register_settings(): return [Setting("text", "hello", string, "what it says", table="NAME")]
@hookimpl
def register_commands(cli): cli.add_command(click.Command("NAME", help="Say hello."))
@hookimpl
def register_checks(): return [Check("hello", lambda patient: [Finding("hello", "ok", "x")])]
@hookimpl
def state_changed(job): ...
"""
HOOK = "@hookimpl\ndef state_changed(job): ...\n"
SETTING = (
    "from rocketjob.base.settings import Setting, string, whole\n"
    "@hookimpl\ndef register_settings(): return [{}]"
)
CHECK = (
    "from rocketjob.server.checks import Check\n"
    "@hookimpl\ndef register_checks(): return [Check('x', {})]"
)
COMMAND = "import click\n@hookimpl\ndef register_commands(cli): cli.add_command(click.Command({}))"
CHANGES, LIVES = "its_import_says_and_changes_nothing", "jobs_live_with_it_alone"
TAKEN, COMPLAINT = "what_its_hooks_bring_is_taken", "it_is_loaded_without_a_complaint"
VALUES = "the_defaults_of_its_settings_are_values_that_can_be_set"
MUTANTS = {  # what is wrong with a plugin, and the test that has to fail for it
    "slowimport": ("import time; time.sleep(0.15)\n" + HOOK, "its_import_is_quick"),
    "prints": (HOOK + "print('hello')", CHANGES),
    "extends": (HOOK + "import sys; sys.path.append('/x')", CHANGES),
    "exports": (HOOK + "import os; os.environ['X_OF_A_MUTANT'] = '1'", CHANGES),
    "logs": (HOOK + "import logging; logging.root.addHandler(logging.NullHandler())", CHANGES),
    "signals": (HOOK + "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)", CHANGES),
    "leaves": (HOOK + "open('a_file_of_a_mutant', 'w').close()", CHANGES),
    "patches": (HOOK + "Job.pause = None", CHANGES),
    "fails": ("raise KeyError", CHANGES),
    "misspelt": ("@hookimpl\ndef state_change(job): ...", COMPLAINT),
    "unmarked": (HOOK + "def explain(job): ...", COMPLAINT),
    "nothing": ("", COMPLAINT),
    "needing": ("@hookimpl\ndef register_serializers(): return []", COMPLAINT),
    "jobs": ("@hookimpl\ndef register_jobs(): return 'text'", TAKEN),
    "stores": ("@hookimpl\ndef register_stores(config): return 'sqlite:///x.db'", TAKEN),
    "commands": ("@hookimpl\ndef register_commands(cli): raise KeyError", TAKEN),
    "mixins": (
        "class Bare(Job, abstract=True): ...\n@hookimpl\ndef register_mixins(): return [Bare]",
        "its_mixins_and_jobs_say_what_they_are_for",
    ),
    "checkraises": (CHECK.format("lambda patient: 1 / 0"), "its_checks_can_be_made"),
    "checktext": (CHECK.format("lambda patient: ['full']"), "its_checks_can_be_made"),
    "foreign": (
        SETTING.format("Setting('colour', 'red', string, 'a colour')"),
        "its_settings_are_in_its_table",
    ),
    "wrongdefault": (SETTING.format("Setting('wrongdefault_x', 0, whole(1), 'a number')"), VALUES),
    "nohelp": (SETTING.format("Setting('nohelp_x', 1, whole(1), '')"), VALUES),
    "shown": (
        SETTING.format("Setting('shown_api_key', '', string, 'a key')"),
        "its_secrets_are_hidden",
    ),
    "mute": (COMMAND.format("'mute'"), "its_commands_say_what_they_do"),
    "taken": (SETTING.format("Setting('url', '', string, 'a URL')"), COMPLAINT),
    "observes": ("@hookimpl\ndef state_changed(job): raise KeyError", LIVES),
    "vetoes": ("@hookimpl\ndef veto_claim(job): return 'no'", LIVES),
    "holds": ("@hookimpl\ndef veto_claim(job): return ('busy', {})", LIVES),
    "explains": ("@hookimpl\ndef explain(job): return 'because'", LIVES),
    "wraps": ("@hookimpl(wrapper=True)\ndef state_changed(job):\n    return\n    yield", LIVES),
    "removes": ("@hookimpl\ndef state_changed(job): job.delete()", LIVES),
    "amongall": (
        "@hookimpl\ndef state_changed(job):\n"
        "    import rocketjob.application as a\n"
        "    if a.current().plugins.infos()[3:]: raise KeyError",
        "jobs_live_with_it_among_all_others",
    ),
    "relying": (
        HOOK + "@hookimpl\ndef register_hookspecs(manager): assert not manager._disabled",
        "it_is_loaded_while_any_other_is_disabled",
    ),
    "lingering": (
        HOOK + "Job.pause = None",
        "jobs_live_while_it_is_disabled",
    ),
    "Bad_Name": (HOOK, "it_is_installed_under_a_name_of_its_own"),
}


@pytest.fixture(autouse=True)
def _job_as_it_was(monkeypatch):
    monkeypatch.setattr(Job, "pause", Job.pause)


@pytest.fixture
def broken(monkeypatch, tmp_path):
    """Install a plugin of this source; return the tests of the suite that fail, by name."""
    monkeypatch.chdir(tmp_path)

    def broken(name, source, requires=("rocketjob>=0.1",), only="", **attributes):
        folder = tmp_path / "installed"
        folder.mkdir(exist_ok=True)
        found = entry_point(monkeypatch, name, source, folder=folder, requires=requires)
        install(monkeypatch, found)
        return failures(suite_of(name, **attributes), only)

    return broken


def test_a_good_plugin_of_a_third_party_passes(broken):
    assert broken("greeting", GOOD.replace("NAME", "greeting")) == {}


@pytest.mark.parametrize("name", MUTANTS)
def test_what_is_wrong_with_a_plugin_fails_a_test(broken, name):
    source, test = MUTANTS[name]
    assert test in broken(name, source, only=test, import_ratio=0.0)


@pytest.mark.parametrize("requires", [(), ("rocketjob",), ("rocketjob-other>=1",)])
def test_a_distribution_that_says_nothing_of_versions_fails_a_test(broken, requires):
    found = broken("anyversion", HOOK, requires)
    assert set(found) == {"its_distribution_says_for_which_rocketjob_it_is"}


def test_a_plugin_for_another_version_is_told_which_one_it_is_for(broken):
    found = broken("later", HOOK, ("rocketjob>=9",))
    assert "it_is_installed_under_a_name_of_its_own" in found
    assert "is for rocketjob >=9, and this is" in found[LIVES]


def test_a_plugin_that_needs_another_passes_with_that(broken):
    source = "@hookimpl\ndef register_serializers(): return []"
    assert broken("packing", source, needs=["batch"]) == {}


def test_a_plugin_that_is_not_installed_is_told_so():
    assert "no plugin absent is installed" in failures(suite_of("absent"), TAKEN)[TAKEN]


@pytest.mark.parametrize(("own", "fails"), [("0", False), ("0.15", True)])
def test_a_plugin_is_not_blamed_for_the_import_of_another_that_it_builds_on(
    broken, monkeypatch, tmp_path, own, fails
):
    slow = "import time; time.sleep(0.15)\n" + HOOK
    below = entry_point(monkeypatch, "below", slow, folder=tmp_path)
    source = f"import time; import {below.module}\ntime.sleep({own})\n{HOOK}"
    install(monkeypatch, below)
    found = broken("building", source, only="its_import_is_quick", import_ratio=0.0)
    assert bool(found) is fails
