"""The hook `claim_clauses`: what plugins let a server take, and who says so."""

from datetime import UTC, datetime, timedelta

import pytest

from rocketjob import Clause, Server, hookimpl
from rocketjob.cli import make_cli
from rocketjob.jobs.holds import Clause as Stored
from support.jobs import KeptJob

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EU = Clause("region", "it takes only jobs of eu", {"text": "eu"})


class Narrowing:
    def __init__(self, answer):
        self.answer, self.asked = answer, 0

    @hookimpl
    def claim_clauses(self):
        self.asked += 1
        return self.answer() if callable(self.answer) else self.answer


@pytest.fixture(autouse=True)
def _at_a_fixed_time(rocketjob):
    rocketjob.freeze(NOW)


def region(rocketjob, answer):
    plugin = Narrowing(answer)
    rocketjob.plugins.register(plugin, "region")
    return plugin


def server(name, *clauses):
    beat = {"updated_at": NOW, "workers": 1, "clauses": [clause.stored() for clause in clauses]}
    return Server.create(name=name, state="running", classes=["KeptJob"], heartbeat=beat)


@pytest.mark.both_stores
def test_only_jobs_that_match_all_clauses_are_taken(rocketjob):
    region(rocketjob, [EU, Clause("small", "it takes small ones", {"number": {"$lt": 5}})])
    KeptJob.create_many([{"text": "us"}, {"text": "eu", "number": 9}, {"text": "eu", "number": 1}])
    assert rocketjob.work_off() == 1
    assert sorted(KeptJob.queued().pluck("text")) == ["eu", "us"]


def test_it_is_asked_again_at_the_re_check_and_not_at_each_claim(rocketjob):
    plugin = region(rocketjob, [EU])
    KeptJob.create(text="us")
    for _ in range(5):
        assert rocketjob.work_off() == 0
    assert plugin.asked == 1
    plugin.answer = []
    rocketjob.travel(MINUTE)
    assert rocketjob.work_off() == 1
    assert plugin.asked == 2


@pytest.mark.parametrize(
    "answer",
    [
        lambda: 1 / 0,
        [3],
        "eu",
        lambda: [Clause("region", "x", {"$nonsense": 1})],
        lambda: [Clause("region", "x", None)],
        lambda: [Clause("region", "x", {"at": {1}})],
    ],
)
def test_a_plugin_that_fails_has_not_said_yes(rocketjob, caplog, answer):
    plugin = region(rocketjob, answer)
    job = KeptJob.create(text="eu")
    for _ in range(3):
        assert rocketjob.work_off() == 0
    assert caplog.text.count("nothing is taken: claim_clauses failed") == 1
    plugin.answer = None
    rocketjob.travel(MINUTE)
    assert rocketjob.work_off() == 1
    assert job.reload().is_completed


def test_explain_shows_what_the_servers_say_and_asks_nobody(rocketjob):
    plugin = region(rocketjob, [Clause("here", "of this process", {"text": "nobody"})])
    server("a:1", EU)
    job = KeptJob.create(text="us")
    assert [str(reason) for reason in job.explain().reasons] == [
        "a:1 leaves it to others: it takes only jobs of eu"
    ]
    assert not KeptJob.create(text="eu", priority=1).explain()
    server("b:1")  # which takes all
    assert not any(reason.name == "region" for reason in job.explain().reasons)
    assert plugin.asked == 0


def test_doctor_names_the_clause_by_which_all_servers_leave_jobs_alone(rocketjob, capsys):
    server("a:1", EU)
    KeptJob.create(text="us")
    with pytest.raises(SystemExit):
        make_cli().main(["doctor"])
    out = " ".join(capsys.readouterr().out.split())
    assert "a:1 is narrowed by region: it takes only jobs of eu" in out


def test_a_clause_comes_back_from_the_servers_document():
    clause = Clause("since", "new ones", {"run_at": {"$gte": NOW}})
    assert Stored.load(clause.stored()) == clause
