"""Counters, durations and gauges that plugins declare."""

import json
import types
from datetime import timedelta

import pytest
from click.testing import CliRunner

from rocketjob import hookimpl
from rocketjob.cli import make_cli
from rocketjob.server.metrics import Counter, Durations, Gauge
from rocketjob.testing import sandbox
from rocketjob_plugins import metrics
from rocketjob_plugins.metrics import collections, measures, recorder


def plugin_with(*brought):
    @hookimpl
    def register_metrics():
        return brought

    return types.SimpleNamespace(register_metrics=register_metrics)


@pytest.fixture
def sent():
    return Counter("mailer_sent", "mails that were sent", labels=("to", "how"))


@pytest.fixture
def took():
    return Durations("mailer_took", "how long it took")


def run(rocketjob, *arguments):
    return CliRunner().invoke(make_cli(plugins=rocketjob.plugins), list(arguments))


@pytest.mark.both_stores
def test_what_a_plugin_counts_is_kept_by_labels(rocketjob, sent, took):
    rocketjob.plugins.register(plugin_with(sent, took))
    for how in ("fast", "slow", "fast"):
        sent.add(to="a.b$c", how=how)
    took.observe(3)
    recorder.present().write()
    took.observe(1)
    found = metrics.read().measures
    assert found.counters == {"mailer_sent": {("a.b$c", "fast"): 2, ("a.b$c", "slow"): 1}}
    assert (found.durations["mailer_took"][()].count, found.durations["mailer_took"][()].max) == (
        2,
        3,
    )


def test_an_hour_has_what_its_minutes_had(rocketjob, sent, took):
    rocketjob.plugins.register(plugin_with(sent, took))
    sent.add(to="x", how="y")
    took.observe(3)
    recorder.present().write()

    rocketjob.travel(timedelta(hours=3))
    rocketjob.plugins.notify("sweep")
    assert rocketjob.store.collection(collections.HOURS).count_documents({}) == 1
    found = metrics.read(since=timedelta(hours=9)).measures
    assert found.counters == {"mailer_sent": {("x", "y"): 1}}
    assert found.durations["mailer_took"][()].sum == 3


def test_too_many_labels_are_counted_together(rocketjob, monkeypatch, sent):
    monkeypatch.setattr(measures, "MAX_LABELS", 2)
    rocketjob.plugins.register(plugin_with(sent))
    for number in range(5):
        sent.add(to=number, how="x")
    counted = metrics.read().measures.counters["mailer_sent"]
    assert counted == {("0", "x"): 1, ("1", "x"): 1, ("(others)", "(others)"): 3}


def test_what_nobody_registered_is_not_kept(rocketjob, sent):
    sent.add(to="x", how="y")
    assert not metrics.read().measures


def test_counting_costs_nothing_where_nobody_keeps_it(sent):
    with sandbox(disabled_plugins=["metrics"]):
        sent.add(to="x", how="y")


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda sent: sent.add(to="x"), "mailer_sent has the labels to, how, not to"),
        (lambda sent: sent.add(-1, to="x", how="y"), "not less than 0, not -1"),
        (lambda sent: sent.add(float("nan"), to="x", how="y"), "not nan"),
    ],
)
def test_a_wrong_count_is_refused(rocketjob, sent, call, error):
    with pytest.raises((TypeError, ValueError), match=error):
        call(sent)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Counter("Bad-Name", "x"), "not 'Bad-Name'"),
        (lambda: Counter("x", " "), "needs a help text"),
        (lambda: Counter("x", "x", labels="to"), "tuple of names"),
        (lambda: Counter("x", "x", labels=("a", "a")), "must be different"),
        (lambda: Counter("x", "x", labels=("a.b",)), "not 'a.b'"),
        (lambda: Gauge("x", "x", 3), "needs a function"),
    ],
)
def test_a_metric_that_cannot_be_is_refused_when_it_is_made(make, why):
    with pytest.raises(ValueError, match=why):
        make()


def test_of_two_with_one_name_the_first_holds_and_both_plugins_are_named(rocketjob, sent):
    other = Counter("mailer_sent", "of another")
    rocketjob.plugins.register(plugin_with(sent), "mailer")
    rocketjob.plugins.register(plugin_with(other), "rival")
    kept = rocketjob.plugins.metrics["mailer_sent"]
    (problem,) = rocketjob.plugins.problems
    assert kept is sent
    assert "rival registers the metric mailer_sent, and the plugin mailer has one" in problem
    other.add()
    assert not metrics.read().measures


def test_a_kernels_name_is_taken(rocketjob):
    rocketjob.plugins.register(plugin_with(Counter("jobs", "x")), "rival")
    assert type(rocketjob.plugins.metrics["jobs"]) is Gauge
    assert "the plugin kernel has one" in rocketjob.plugins.problems[0]


def test_what_is_no_metric_is_refused(rocketjob):
    rocketjob.plugins.register(plugin_with("mailer_sent"), "mailer")
    assert "mailer_sent" not in rocketjob.plugins.metrics
    assert "expected a list of metrics" in rocketjob.plugins.problems[0]


def test_the_command_shows_counters_durations_and_gauges(rocketjob, sent, took):
    broken = Gauge("mailer_broken", "fails", lambda: 1 / 0)
    box = Gauge("mailer_box", "by box", lambda: {"in": 3, "out": 1}, labels=("box",), unit="mails")
    rocketjob.plugins.register(plugin_with(sent, took, broken, box))
    sent.add(to="x", how="y")
    took.observe(2)
    done = run(rocketjob, "metrics", "--of-plugins")
    assert done.exit_code == 0, done.output
    rows = {tuple(line.split()[:3]) for line in done.stdout.splitlines()}
    assert {("mailer_box", "box=in", "3"), ("mailer_sent", "to=x,", "how=y")} <= rows
    assert "the gauge mailer_broken failed: ZeroDivisionError" in done.output
    lines = run(rocketjob, "metrics", "--of-plugins", "--json").stdout.splitlines()
    told = {
        found["metric"]: found
        for found in map(json.loads, (each for each in lines if each[0] == "{"))
    }
    assert told["mailer_took"]["value"]["max"] == 2
    assert told["mailer_sent"]["labels"] == {"to": "x", "how": "y"}


def test_the_page_of_a_plugin_shows_its_metrics(rocketjob):
    done = run(rocketjob, "plugins", "dirmon")
    assert "dirmon_files  files that were taken (counter by pattern)" in done.output
    (line,) = run(rocketjob, "plugins", "dirmon", "--json").stdout.splitlines()
    assert [each["name"] for each in json.loads(line)["metrics"]] == ["dirmon_files", "dirmon_lay"]


def test_a_gauge_that_returns_something_else_says_so():
    with pytest.raises(TypeError, match="expected numbers by labels"):
        Gauge("x", "x", lambda: 3, labels=("a",)).values()
    with pytest.raises(TypeError, match="has 1 labels"):
        Gauge("x", "x", lambda: {("a", "b"): 3}, labels=("a",)).values()
