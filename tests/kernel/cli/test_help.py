"""The command line explains itself."""

import re
import shlex
from pathlib import Path

import click
import pytest

from rocketjob.cli import make_cli

DOCS = Path(__file__).parents[3] / "docs" / "cli.md"


def every_command(group=None, path=("rocketjob",)):
    group = group or make_cli()
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        yield " ".join((*path, name)), command
        if isinstance(command, click.Group):
            yield from every_command(command, (*path, name))


COMMANDS = dict(every_command())
OURS = {n: c for n, c in COMMANDS.items() if n.split()[1] in make_cli().entries}


def test_without_arguments_it_prints_the_help_and_says_where_to_start(cli):
    assert cli().out == cli("--help").out
    assert cli().code == 0
    assert "rocketjob perform myapp.jobs:ReportJob" in cli().out


@pytest.mark.parametrize("name", [n for n, c in COMMANDS.items() if isinstance(c, click.Group)])
def test_a_group_without_a_command_prints_its_help(cli, name):
    group = name.split()[1:]
    assert cli(*group).out == cli(*group, "--help").out
    assert "Usage: " in cli(*group).out
    assert cli(*group).code == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("jobs", "enqueue"), "no command rocketjob jobs enqueue; did you mean rocketjob enqueue?"),
        (("servers", "jobs"), "no command rocketjob servers jobs; did you mean rocketjob jobs?"),
        (("servers", "puase"), "no command rocketjob servers puase; did you mean pause?"),
        (("enqeue",), "no command rocketjob enqeue; did you mean enqueue?"),
    ],
)
def test_a_command_that_there_is_not_names_the_one_that_was_meant(cli, words, says):
    result = cli(*words)
    assert result.code == 2
    assert says in result.err


@pytest.mark.parametrize("name", OURS)
def test_the_help_of_every_command_has_an_example_that_parses(cli, name):
    command = OURS[name]
    shown = cli(*name.split()[1:], "--help")
    assert shown.code == 0
    assert "Examples:" in shown.out
    assert command.examples
    for _, line in command.examples:
        assert f"rocketjob {line}" in shown.out
        parse(make_cli(), shlex.split(re.split(r" \| | [<>]+ ", line)[0]))


def parse(command, words):
    """Parse a command line and run nothing."""
    ctx = None
    while isinstance(command, click.Group):
        ctx = command.make_context("rocketjob", words, parent=ctx)
        words = [*getattr(ctx, "_protected_args", []), *ctx.args]
        if not words:
            return
        _, command, words = command.resolve_command(ctx, words)
    command.make_context(command.name, words, parent=ctx)


@pytest.mark.parametrize("name", OURS)
def test_every_option_of_every_command_is_explained(name):
    for param in OURS[name].params:
        assert isinstance(param, click.Argument) or param.help, param.name


def test_the_list_of_commands_says_of_each_what_its_own_help_says():
    root = make_cli()
    for entry in root.entries.values():
        command = COMMANDS[f"rocketjob {entry.name}"]
        assert command.get_short_help_str(200) == entry.summary


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name):
    headings = re.findall(r"^#+ `(rocketjob [^`]*)`", DOCS.read_text(), re.MULTILINE)
    assert name in headings


def test_every_global_option_is_documented(cli):
    text = DOCS.read_text()
    for option in re.findall(r"(--[a-z-]+)", cli("--help").out.partition("Global options")[2]):
        assert f"`{option}" in text


def test_the_version_is_printed(cli):
    import rocketjob

    assert cli("--version").out.startswith(f"rocketjob {rocketjob.__version__} ")


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("enqeue", "did you mean enqueue?"),
        ("jobs lst", "did you mean list?"),
        ("jobs list --stat failed", "--state"),
        ("jobs list --sort priorty", "did you mean priority?"),
        ("--set wrkers=3 config", "did you mean workers?"),
    ],
)
def test_a_mistyped_word_gets_a_suggestion_and_exit_code_2(cli, line, hint):
    result = cli(*line.split())
    assert result.code == 2
    assert result.err.startswith("error: ")
    assert hint in result.err
    assert len(result.err.splitlines()) == 1
