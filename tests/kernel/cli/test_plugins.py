"""`rocketjob plugins`, and commands that plugins bring."""

import re
import sys
import types
from importlib import metadata
from importlib.metadata import EntryPoint

import click
import pytest

from rocketjob import hookimpl
from rocketjob.cli import Group
from rocketjob.plugins.manager import PluginManager
from support.plugins import entry_point, install


def plugin(name, **hooks):
    """Make a module with hooks, and the entry point that finds it."""
    module = types.ModuleType(f"cli_plugin_{name}")
    for hook, function in hooks.items():
        function.__name__ = hook
        setattr(module, hook, hookimpl(function))
    sys.modules[module.__name__] = module
    return EntryPoint(name, module.__name__, "rocketjob")


def brings(*commands):
    def register_commands(cli):
        for command in commands:
            cli.add_command(command)

    return register_commands


@click.command()
@click.argument("word")
def shout(word):
    """Say it loud."""
    click.echo(word.upper())


def fails(cli):
    raise RuntimeError("no way")


@pytest.fixture
def manager():
    return PluginManager(
        strict=False,
        entry_points=[
            plugin("good", register_commands=brings(shout)),
            plugin("bad", register_commands=fails),
            plugin("taken", register_commands=brings(click.Command("jobs"))),
            plugin("typo", state_chnged=lambda job: None),
            EntryPoint("gone", "cli_no_such_module", "rocketjob"),
        ],
    )


def test_a_plugin_adds_a_command_that_is_listed_and_runs(cli, manager):
    assert cli("shout", "hello", plugins=manager).out == "HELLO\n"
    assert "From plugins:\n  shout" in cli("--help", plugins=manager).out


def test_a_plugin_whose_commands_fail_does_not_break_the_others_and_is_named(cli, manager):
    result = cli("--help", plugins=manager)
    assert result.code == 0
    assert (
        "The plugin bad (cli_plugin_bad) failed in register_commands: RuntimeError: no way"
        in result.err
    )
    assert "there is already a command jobs" in result.err
    assert cli("jobs", "counts", plugins=manager).err.startswith("No jobs")


def test_a_command_that_a_broken_plugin_would_have_brought_is_not_just_unknown(cli, manager):
    result = cli("gone", plugins=manager)
    assert result.code == 2
    assert "The plugin gone (cli_no_such_module) cannot be imported: " in result.err
    assert "No module named 'cli_no_such_module'" in result.err


def test_a_plugin_may_bring_a_group_that_looks_like_ours(cli):
    group = Group(
        "tools", section="Sharp things", short_help="Tools.", examples=[("Cut", "tools cut")]
    )

    @group.command("cut", examples=[("Cut", "tools cut")])
    def cut():
        """Cut it."""
        click.echo("cut")

    manager = PluginManager(entry_points=[plugin("tools", register_commands=brings(group))])
    assert cli("tools", "cut", "--debug", plugins=manager).out == "cut\n"
    assert "rocketjob tools cut" in cli("tools", "--help", plugins=manager).out
    assert "Sharp things:\n  tools" in cli("--help", plugins=manager).out


def test_a_plugin_adds_a_command_to_a_group_of_ours(cli):
    def register_commands(cli):
        cli.add_to("jobs", shout)

    manager = PluginManager(entry_points=[plugin("adds", register_commands=register_commands)])
    assert cli("jobs", "shout", "hello", plugins=manager).out == "HELLO\n"
    assert re.search(r"^  shout +Say it loud", cli("jobs", "--help", plugins=manager).out, re.M)
    assert cli("servers", "shout", "hello", plugins=manager).code == 2
    assert (
        "no command rocketjob jobs shout"
        in cli("jobs", "shout", plugins=PluginManager(entry_points=[])).err
    )


@pytest.mark.parametrize(
    ("group", "name", "why"),
    [
        ("jobs", "list", "there is already a command jobs list"),
        ("jbos", "x", "there is no group of commands jbos"),
        ("perform", "x", "there is no group of commands perform"),
    ],
)
def test_a_command_that_fits_no_group_of_ours_is_left_out_and_said(cli, group, name, why):
    def register_commands(cli):
        cli.add_to(group, click.Command(name, help="Ours."))

    manager = PluginManager(
        strict=False, entry_points=[plugin("wrong", register_commands=register_commands)]
    )
    result = cli("jobs", "--help", plugins=manager)
    assert why in result.err and "Ours." not in result.out


def test_plugins_are_listed_with_their_distribution_and_what_they_bring(cli):
    result = cli("plugins")
    assert result.code == 0
    row = next(line for line in result.lines if line.startswith("store-sqlite "))
    assert re.match(
        r"store-sqlite +rocketjob [\d.]+ +enabled +hooks: open_scratch, open_store$", row
    )
    found = {each["name"]: each for each in cli("plugins", "--json").objects}
    assert found["store-sqlite"]["status"] == "enabled"
    assert found["store-sqlite"]["hooks"] == ["open_scratch", "open_store"]


def test_a_disabled_plugin_is_shown_as_such(shell):
    result = shell("plugins", "--set", "disabled_plugins=store-sqlite", "--json")
    found = {each["name"]: each["status"] for each in result.objects}
    assert found["store-sqlite"] == "disabled"
    assert result.code == 0


def test_a_broken_plugin_is_shown_with_its_error_and_makes_the_exit_code_1(shell, tmp_path):
    broken(tmp_path)
    result = shell("plugins", env={"PYTHONPATH": str(tmp_path)})
    assert result.code == 1
    assert re.search(r"^broken +broken-plugin 1\.2 +error$", result.out, re.MULTILINE)
    assert "cli_broken_plugin" in result.err and "no_such_thing" in result.err
    assert "store-sqlite" in result.out
    assert shell("--help", env={"PYTHONPATH": str(tmp_path)}).code == 0


def broken(folder):
    """Install a distribution whose plugin fails to import."""
    (folder / "cli_broken_plugin.py").write_text("import no_such_thing\n")
    info = folder / "broken_plugin-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-plugin\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[rocketjob]\nbroken = cli_broken_plugin\n")


# --- one plugin ------------------------------------------------------------------------------

SOURCE = '''"""Weigh parcels.

At length.
"""
from rocketjob.base.settings import Setting
import click

class Weighed(Job, abstract=True):
    """Jobs of something that has a weight."""
    grams: int = field(default=0, description="without the box")

class Specifications:
    @hookspec
    def register_scales(self):
        "Return scales."

class Scale:
    name = "kitchen"

@hookimpl
def register_hookspecs(manager): manager.add_hookspecs(Specifications)
@hookimpl
def register_scales(): return [Scale]
@hookimpl
def register_mixins(): return [Weighed]
@hookimpl
def register_settings():
    return [
        Setting("unit", "g", str, "of weights", table="weights"),
        Setting("token", "abc", str, "of the scale", table="weights", secret=True),
    ]
@hookimpl
def register_commands(cli): cli.add_command(click.Command("weigh", help="Weigh a parcel."))
@hookimpl
def register_stores(config): return [config.url]
'''


@pytest.fixture
def weights(monkeypatch):
    made = entry_point(monkeypatch, "weights", SOURCE)
    made.load().__doc__ = SOURCE.split('"""')[1]
    install(monkeypatch, made)


def test_the_page_of_a_plugin_shows_all_that_it_brings(weights, cli):
    result = cli("plugins", "weights")
    assert result.code == 0
    assert result.out == (
        "weights (enabled), rocketjob-plugin-weights 0.1\n"
        "module rocketjob_plugin_weights\n"
        "Weigh parcels.\n"
        "\n"
        "settings\n"
        "  weights.unit = g  of weights (ROCKETJOB_WEIGHTS_UNIT)\n"
        "  weights.token = (hidden)  of the scale (ROCKETJOB_WEIGHTS_TOKEN)\n"
        "\n"
        "commands\n"
        "  rocketjob weigh  Weigh a parcel.\n"
        "\n"
        "mixins\n"
        "  Weighed  Jobs of something that has a weight.\n"
        "    grams: int  without the box\n"
        "\n"
        "scales\n"
        "  kitchen\n"
        "\n"
        "stores\n"
        "  sqlite://:memory:\n"
        "\n"
        "hooks that it implements\n"
        "  register_commands\n"
        "  register_hookspecs\n"
        "  register_mixins\n"
        "  register_scales\n"
        "  register_settings\n"
        "  register_stores\n"
        "\n"
        "hooks that it adds\n"
        "  register_scales\n"
    )


def test_the_page_of_a_plugin_for_programs(weights, cli):
    found = cli("plugins", "weights", "--json").object
    assert (found["name"], found["status"], found["error"]) == ("weights", "enabled", None)
    assert found["mixins"] == [
        {
            "name": "Weighed",
            "help": "Jobs of something that has a weight.",
            "fields": [{"name": "grams", "type": "int", "help": "without the box"}],
        }
    ]
    assert [each["value"] for each in found["settings"]] == ["g", "(hidden)"]
    assert found["settings"][1]["default"] == "(hidden)"
    assert found["commands"] == [{"name": "weigh", "help": "Weigh a parcel."}]
    assert found["brings"] == {"scales": ["kitchen"], "stores": ["sqlite://:memory:"]}
    assert found["hookspecs"] == ["register_scales"]


def test_a_plugin_that_there_is_not_is_refused_with_the_name_that_was_meant(cli):
    result = cli("plugins", "retri")
    assert (result.code, result.out) == (1, "")
    assert "there is no plugin retri; did you mean retry?" in result.err


def test_the_page_of_a_plugin_that_is_left_out_says_what_is_wrong(shell, tmp_path):
    broken(tmp_path)
    result = shell("plugins", "broken", env={"PYTHONPATH": str(tmp_path)})
    assert result.code == 1
    assert result.out.startswith("broken (error), broken-plugin 1.2\nmodule cli_broken_plugin\n")
    assert "errors\n  The plugin broken (" in result.out
    assert "no_such_thing" in result.out
    found = shell("plugins", "broken", "--json", env={"PYTHONPATH": str(tmp_path)}).object
    assert (found["status"], found["hooks"], found["settings"]) == ("error", [], [])


def test_the_page_of_a_plugin_that_is_disabled_says_so(shell):
    result = shell("plugins", "retry", "--set", "disabled_plugins=retry")
    assert (result.code, result.lines[0].split(",")[0]) == (0, "retry (disabled)")
    assert "mixins" not in result.out


def test_what_is_wrong_with_a_part_of_a_plugin_is_on_its_page(cli, monkeypatch):
    source = "@hookimpl\ndef register_jobs(): raise KeyError('boom')\ndef explain(job): ..."
    install(monkeypatch, entry_point(monkeypatch, "partly", source))
    result = cli("plugins", "partly")
    assert result.code == 1
    assert "errors\n  The plugin partly (" in result.out
    assert "failed in register_jobs: KeyError: 'boom'" in result.out
    assert "warnings\n  The plugin partly (" in result.out
    assert cli("plugins", "retry").code == 0


@pytest.mark.parametrize("name", [each.name for each in metadata.entry_points(group="rocketjob")])
def test_every_plugin_that_is_installed_has_a_page(cli, name):
    result = cli("plugins", name)
    assert result.code == 0
    assert result.lines[0].startswith(f"{name} (enabled)")
    assert result.lines[2]
