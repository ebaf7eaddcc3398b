"""What Prometheus scrapes, read by its own parser."""

import re
import urllib.request
from datetime import timedelta

import pytest
import yaml
from click.testing import CliRunner

parser = pytest.importorskip("prometheus_client.parser")

from acceptance.test_docs import DOCS, blocks  # noqa: E402
from rocketjob import Job, Server  # noqa: E402
from rocketjob.base import clock  # noqa: E402
from rocketjob.base.errors import StoreUnavailable  # noqa: E402
from rocketjob.cli import Failure, make_cli  # noqa: E402
from rocketjob.server.metrics import Counter, Durations  # noqa: E402
from rocketjob.states.transitions import states_of  # noqa: E402
from rocketjob_contrib.prometheus.command import serving  # noqa: E402
from rocketjob_plugins.metrics import Totals  # noqa: E402
from rocketjob_plugins.metrics import totals as totals_module  # noqa: E402

OUTCOMES = {
    *["completed", "failed", "aborted", "retried", "snoozed", "requeued", "crashed", "slices"]
}
STATES = {*states_of(Job.__events__.values()), *states_of(Server.__events__.values()), "zombie"}


class ScrapedJob(Job):
    error: bool = False

    def perform(self):
        if self.error:
            raise OSError("closed")


@pytest.fixture
def scrape(rocketjob):
    with serving("127.0.0.1", 0) as port:

        def read():
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
                text = answer.read().decode()
            return {
                (sample.name, *sorted(sample.labels.items())): sample.value
                for family in parser.text_string_to_metric_families(text)
                for sample in family.samples
            }

        read()
        yield read


def alert_rules():
    (rules,) = [
        code for _, code in blocks(DOCS / "operations/monitor.md", "yaml") if "rules:" in code
    ]
    return rules


def test_what_becomes_of_jobs_is_scraped(rocketjob, scrape):
    ScrapedJob.create_many([{}, {}, {"error": True}])
    rocketjob.work_off()
    found, of_class = scrape(), ("job_class", "ScrapedJob")
    assert found["rocketjob_up",] == 1
    assert found["rocketjob_ended_total", of_class, ("outcome", "completed")] == 2
    assert found["rocketjob_ended_total", of_class, ("outcome", "failed")] == 1
    assert found["rocketjob_run_seconds_count", of_class] == 3
    assert found["rocketjob_wait_seconds_bucket", of_class, ("le", "+Inf")] == 3
    assert found["rocketjob_jobs", ("state", "failed")] == 1


def test_a_server_that_is_dead_is_a_zombie_though_nobody_is_left_to_note_it(rocketjob, scrape):
    beats = {"web-1": timedelta(0), "web-2": timedelta(0), "gone": timedelta(minutes=9)}
    for name, ago in beats.items():
        heartbeat = {"updated_at": clock.now() - ago}
        Server.create(name=name, state="running", heartbeat=heartbeat)
    found = scrape()
    assert found["rocketjob_servers", ("state", "running")] == 2
    assert found["rocketjob_servers", ("state", "zombie")] == 1


def test_the_alerts_of_the_guide_are_on_metrics_labels_and_states_that_there_are(rocketjob, scrape):
    ScrapedJob.create_many([{}, {"error": True}])
    rocketjob.work_off()
    Server.create(name="web-1", state="running", heartbeat={"updated_at": clock.now()})
    exported = {}
    for name, *labels in scrape():
        exported.setdefault(name, set()).update(label for label, _ in labels)
    rules = yaml.safe_load(alert_rules())["groups"][0]["rules"]
    assert len({rule["alert"] for rule in rules}) == len(rules) > 5
    for rule in rules:
        used = re.findall(r"(rocketjob_\w+)(?:\{(.*?)\})?", rule["expr"])
        assert used and {name for name, _ in used} <= set(exported), rule
        for name, matchers in used:
            for label, value in re.findall(r'(\w+)=~?"([^"]*)"', matchers):
                assert label in exported[name], rule
                known = {"outcome": OUTCOMES, "state": STATES}.get(label)
                assert known is None or set(value.split("|")) <= known, rule
        for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
            assert all(label in exported[name] for name, _ in used), rule


def test_buckets_are_cumulative(rocketjob, scrape):
    rocketjob.freeze()
    ScrapedJob.create()
    rocketjob.travel(timedelta(seconds=3))
    rocketjob.work_off()
    found, of_class = scrape(), ("job_class", "ScrapedJob")
    assert found["rocketjob_wait_seconds_bucket", of_class, ("le", "2.048")] == 0
    assert found["rocketjob_wait_seconds_bucket", of_class, ("le", "4.096")] == 1
    assert found["rocketjob_wait_seconds_sum", of_class] == 3


def test_metrics_of_plugins_are_scraped(rocketjob, scrape):
    from types import SimpleNamespace

    from rocketjob import hookimpl

    sent = Counter("mail_sent", "mails", labels=("to",))
    took = Durations("mail_took", "how long", labels=("to",))
    plugin = SimpleNamespace(register_metrics=hookimpl(lambda: [sent, took]))
    rocketjob.plugins.register(plugin, "mail")
    sent.add(3, to='a"b')
    took.observe(1, to="x")
    found = scrape()
    assert found["rocketjob_mail_sent_total", ("to", 'a"b')] == 3
    assert found["rocketjob_mail_took_seconds_count", ("to", "x")] == 1


def test_a_store_that_is_away_is_told_and_the_next_scrape_has_all(rocketjob, scrape, monkeypatch):
    def away(*_):
        raise StoreUnavailable("away")

    ScrapedJob.create()
    rocketjob.work_off()
    with monkeypatch.context() as patched:
        patched.setattr(totals_module.collections, "between", away)
        assert scrape() == {("rocketjob_up",): 0}
    found = scrape()
    assert (
        found["rocketjob_ended_total", ("job_class", "ScrapedJob"), ("outcome", "completed")] == 1
    )


def test_totals_begin_at_nought_and_only_grow(rocketjob):
    rocketjob.freeze()
    ScrapedJob.create()
    rocketjob.work_off()
    totals, seen = Totals(), []
    for minutes in (0, 1, 20, 40, 200, 0):
        rocketjob.travel(timedelta(minutes=minutes))
        ScrapedJob.create()
        rocketjob.work_off()
        figures = totals.now().classes["ScrapedJob"]
        assert figures.completed == figures.wait.count
        seen.append(figures.completed)
    assert seen == [1, 2, 3, 4, 5, 6]


def test_an_address_in_use_is_said(rocketjob):
    with (
        serving("127.0.0.1", 0) as port,
        pytest.raises(Failure, match="cannot be listened on"),
        serving("127.0.0.1", port),
    ):
        pass


@pytest.mark.parametrize("listen", ["9464x", "host", "localhost:99999"])
def test_a_wrong_address_is_wrong_use(rocketjob, listen):
    cli = make_cli(plugins=rocketjob.plugins)
    done = CliRunner().invoke(cli, ["prometheus", "--listen", listen])
    assert done.exit_code == 2
    assert "must be HOST:PORT" in done.output
