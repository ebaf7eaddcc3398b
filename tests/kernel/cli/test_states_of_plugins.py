"""`rocketjob jobs` with states of plugins, and of an app's own classes."""

import pytest

from rocketjob import EventCommand, Job, State, Transition, before, event, hookimpl
from rocketjob.cli.output import style_of


class CliParkedJob(Job):
    @event(Transition("queued", "held"))
    def hold(self, *, save=True): ...

    @event(Transition("held", "queued"))
    def let_go(self, *, reason=None, save=True): ...

    @before("create")
    def hold_it(self):
        self.hold(save=False)

    def perform(self): ...


class CliUnparkedJob(Job):
    def perform(self): ...


class HeldPlugin:
    @hookimpl
    def register_states(self):
        let_go = EventCommand("let_go", "Let jobs go that are held.", "let go", takes_reason=True)
        return [State("held", "it is held: let it go", "green", [let_go])]


@pytest.fixture
def plugin(rocketjob):
    plugin = HeldPlugin()
    rocketjob.plugins.register(plugin, "held")
    return plugin


def test_a_plugins_state_is_listed_counted_and_coloured(cli, plugin):
    job = CliParkedJob.create()
    CliUnparkedJob.create()
    assert cli("jobs", "list", "--state", "held", "--quiet").out == f"{job.id}\n"
    assert cli("jobs", "list", "-s", "held", "-s", "queued", "--count").out == "2\n"
    counts = {each["class"]: each for each in cli("jobs", "counts", "--json").objects}
    assert (counts["CliParkedJob"]["held"], counts["CliParkedJob"]["total"]) == (1, 1)
    assert (counts["CliUnparkedJob"]["held"], counts["CliUnparkedJob"]["queued"]) == (0, 1)
    assert "HELD" in cli("jobs", "counts").lines[0].split()
    assert (style_of("held"), style_of("failed"), style_of("no_such")) == ("green", "red", "")
    assert "it is held: let it go" in cli("jobs", "explain", job.id).out


def test_its_event_has_a_command_that_is_offered_and_takes_all_that_match(cli, plugin):
    first, second, other = CliParkedJob.create(), CliParkedJob.create(), CliUnparkedJob.create()
    assert f"jobs abort|fail|destroy|let-go {first.id}" in cli("jobs", "show", first.id).out
    assert "let-go" not in cli("jobs", "show", other.id).out
    assert "Let jobs go that are held." in cli("jobs", "--help").out
    result = cli("jobs", "let-go", "--all-matching", "--yes", "--reason", "it is noon")
    assert result.lines == [f"{each.id}  CliParkedJob  held -> queued" for each in (first, second)]
    assert result.err == "2 let go\n"
    assert first.reload().history[-1].reason == "it is noon"


def test_a_job_that_has_no_such_event_is_told_and_does_not_stop_the_others(cli, plugin):
    held, plain = CliParkedJob.create(), CliUnparkedJob.create()
    result = cli("jobs", "let-go", plain.id, held.id, "--yes")
    assert result.code == 1
    assert f"{plain.id}: CliUnparkedJob has no event let_go" in result.err
    assert held.reload().is_queued


def test_an_event_in_the_wrong_state_is_refused_by_the_names_of_commands(cli, plugin):
    job = CliParkedJob.create()
    cli("jobs", "let-go", job.id)
    result = cli("jobs", "let-go", job.id)
    assert result.code == 1
    assert "Cannot let-go a job that is queued. Possible now: abort" in result.err


def test_without_its_plugin_a_job_is_listed_and_can_be_given_up(cli, rocketjob, plugin):
    job = CliParkedJob.create()
    rocketjob.plugins.unregister(plugin)
    assert cli("jobs", "list", "--state", "held", "--quiet").out == f"{job.id}\n"
    assert "HELD" in cli("jobs", "counts").lines[0].split()
    assert cli("jobs", "let-go", job.id).code == 2
    assert cli("jobs", "abort", "--all-matching", "--state", "held").code == 0
    assert job.reload().is_aborted


def test_an_event_of_a_class_without_a_plugin_is_made_by_its_name(cli, rocketjob):
    job, other = CliParkedJob.create(), CliUnparkedJob.create()
    result = cli("jobs", "event", "let_go", "--all-matching")
    assert result.lines == [f"{job.id}  CliParkedJob  held -> queued"]
    assert other.reload().is_queued


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("event", "let_gone"), "has an event let_gone; did you mean let_go?"),
        (("event", "start"), "start: only a worker does that"),
        (("event", "complete"), "complete: only a worker does that"),
        (("let-go",), ". For an event of your own classes: rocketjob jobs event let-go"),
        (("list", "--state", "hled"), "there is no state hled; did you mean held?"),
    ],
)
def test_what_there_is_not_is_wrong_usage(cli, rocketjob, args, says):
    result = cli("jobs", *args, *(["--all-matching"] if args[0] == "event" else []))
    assert result.code == 2
    assert says in result.err
