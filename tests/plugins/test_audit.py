"""The audit: who did what to what, why, and what it was before."""

import contextlib
import getpass
import json
from datetime import timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from rocketjob import Job, Server, field, hookimpl
from rocketjob.base import acts, clock
from rocketjob.base.acts import acting
from rocketjob.base.errors import HookFailed, StateConflict
from rocketjob.cli import make_cli
from rocketjob.cli.session import Session
from rocketjob.jobs.steering import Stale, steer
from rocketjob.model import deeds
from rocketjob.server import orders
from rocketjob.testing import sandbox
from rocketjob.testing.store_contract.mortal import Mortal
from rocketjob_contrib.mission_control import WebSettings, create_app, tokens
from rocketjob_contrib.mission_control.servers import stacks_page
from rocketjob_plugins import audit
from rocketjob_plugins.batch import Batch, mending
from rocketjob_plugins.cron import Cron, scheduled
from rocketjob_plugins.dirmon.entry import DirmonEntry
from rocketjob_plugins.failures import groups_of, look
from support.jobs import KeptJob, PassingJob, job_in, stored
from support.web import as_role


class SecretiveJob(Job):
    destroy_on_complete = False
    text: str = field(default="", user_editable=True)
    api_key: str = field(default="", user_editable=True)
    source: str = field(default="", user_editable=True)

    def perform(self): ...


class SealedJob(Job):
    pin: str = field(default="", encrypted=True, user_editable=True)

    def perform(self): ...


class AuditMendedJob(Batch, Job):
    destroy_on_complete = False

    def perform(self, record):
        if record == "bad":
            raise ValueError(record)


class FiledAuditJob(Job):
    upload_file_name: str = ""

    def perform(self): ...


class ArchivedJob(KeptJob):
    """Is marked when somebody wants it destroyed."""

    def destroy(self):
        self.text = "archived"
        self.save()


class ActingJob(KeptJob):
    def perform(self):
        PassingJob.create().abort()
        return acts.present() is None


@scheduled
class NightlyAuditedJob(Cron, Job):
    cron_schedule = "0 1 * * * UTC"

    def perform(self): ...


@pytest.fixture
def run(rocketjob, monkeypatch, tmp_path):
    """Run a command of ada's on the test's own store; return what was recorded of it."""
    monkeypatch.setenv("ROCKETJOB_ACTOR", "ada")
    monkeypatch.chdir(tmp_path)

    def call(*words, code=0):
        rocketjob.application.config.actor = "ada"
        before = count()
        made = CliRunner().invoke(make_cli(), [str(word) for word in words])
        assert made.exit_code == code, made.output
        call.output = made.output
        return list(audit.records(limit=count() - before)) if count() > before else []

    return call


def count():
    return sum(1 for _ in audit.records())


def only():
    (record,) = audit.records()
    return record


# --- every command, every route ------------------------------------------------------------------

LOOKS = {
    *(
        "server",
        "perform",
        "replay",
        "doctor",
        "config",
        "plugins",
        "completion",
        "new plugin",
        "new project",
    ),
    *(
        "jobs list",
        "jobs show",
        "jobs counts",
        "jobs explain",
        "servers list",
        "audit",
        "bulk",
        "metrics",
        "prometheus",
    ),
    *("batch download", "batch map", "rejects list", "rejects download", "servers work"),
    "check",
    "web-password",
    *(
        "cron next",
        "schedule",
        "schedules list",
        "dirmon list",
        "dirmon preview",
        "encryption new-key",
        "sample",
        "web",
        "web-tokens list",
        "webhooks list",
        "webhooks test",
    ),
    # on a store of their own
    *("demo", "perf simple", "perf batch", "perf latency", "perf store", "perf growth"),
}
"""Commands that change nothing that is stored, but their own."""


def _token():
    return tokens.create("nightly", "view", None)[0].name


def _entry(name="in"):
    return DirmonEntry.create(name=name, pattern="/tmp/*.csv", job_class_name="FiledAuditJob")


def _server():
    server = Server.create(name="web:1", heartbeat={"updated_at": clock.now(), "workers": 1})
    return server.started()


def _failed():
    job_in("failed")
    (group,) = groups_of(look())
    return group.key


def _enabled():
    return _entry().enable()


def a_file(text):
    Path("in.txt").write_text(text)
    return "in.txt"


def a_job_with_a_reject():
    job = AuditMendedJob(max_rejects=1)
    job.upload(["good", "bad"])
    job.save()
    job.perform_now()
    return job.id


CHANGES = {
    "batch upload": lambda: (
        *("batch", "upload", a_file("good\n")),
        *("--class", "AuditMendedJob"),
    ),
    "batch approve": lambda: ("batch", "approve", a_held_job()),
    "rejects resubmit": lambda: (
        *("rejects", "resubmit", a_job_with_a_reject()),
        a_file("record,_row\nmended,2\n"),
    ),
    "shell": lambda: ("shell", "-c", "KeptJob.create(text='x')"),
    "enqueue": lambda: ("enqueue", "support.jobs:KeptJob", "text=x"),
    "failures": lambda: ("failures", _failed(), "--acknowledge"),
    "jobs abort": lambda: ("jobs", "abort", job_in("queued").id),
    "jobs destroy": lambda: ("jobs", "destroy", job_in("queued").id),
    "jobs event": lambda: ("jobs", "event", "abort", job_in("queued").id),
    "jobs fail": lambda: ("jobs", "fail", job_in("queued").id),
    "jobs migrate": lambda: ("jobs", "migrate", "--yes"),
    "jobs pause": lambda: ("jobs", "pause", job_in("queued").id),
    "jobs resume": lambda: ("jobs", "resume", job_in("paused").id),
    "jobs retry": lambda: ("jobs", "retry", job_in("failed").id),
    "jobs run-now": lambda: (
        *("jobs", "run-now"),
        job_in("queued", run_at=clock.now() + timedelta(days=1)).id,
    ),
    "jobs set": lambda: ("jobs", "set", job_in("queued").id, "priority=3"),
    "servers stop": lambda: ("servers", "stop", _server().name),
    "servers kill": lambda: ("servers", "kill", _server().name),
    "servers pause": lambda: ("servers", "pause", _server().name),
    "servers resume": lambda: ("servers", "resume", _server().pause().name),
    "servers drain": lambda: ("servers", "drain", "--no-wait", _server().name),
    "servers dump": lambda: ("servers", "dump", "--log", _server().name),
    "store indexes": lambda: ("store", "indexes"),
    "dirmon add": lambda: ("dirmon", "add", "/tmp/*.csv", "FiledAuditJob"),
    "dirmon enable": lambda: ("dirmon", "enable", _entry().name),
    "dirmon disable": lambda: ("dirmon", "disable", _enabled().name),
    "dirmon remove": lambda: ("dirmon", "remove", _entry().name),
    "dirmon scan": lambda: ("dirmon", "scan"),
    "schedules sync": lambda: ("schedules", "sync"),
    "webhooks retry": lambda: ("webhooks", "retry"),
    "web-tokens create": lambda: ("web-tokens", "create", "nightly", "--role", "view"),
    "web-tokens revoke": lambda: ("web-tokens", "revoke", _token()),
}
"""A command line for each command that changes something, and what it needs."""
ELSEWHERE = {
    "jobs capsule",
    "store copy",
    "store compact",
    "encryption rotate",
    "servers log-level",
    "top",
}
"""Those that are tested below, or in a file of their own."""


def commands():
    """Yield every command with its path, the plugins' too."""
    with sandbox():
        root = make_cli()
        yield from _below(root, click.Context(root, obj=Session(), info_name="rocketjob"), "")


def _below(group, context, path):
    for name in group.list_commands(context):
        found, words = group.get_command(context, name), f"{path} {name}".strip()
        if isinstance(found, click.Group):
            yield from _below(found, click.Context(found, parent=context, info_name=name), words)
        else:
            yield words, found


def a_held_job():
    job = AuditMendedJob(canary_slices=1, slice_size=1)
    job.upload(["good", "good"])
    job.save()
    job.perform_now()
    assert job.is_held
    return job.id


ALL = dict(commands())


def test_each_command_is_known_to_change_something_or_not():
    changing = {name for name, found in ALL.items() if getattr(found, "changes", True)}
    assert changing == {*CHANGES, *ELSEWHERE}, (
        "say @command(..., changes=False), or add a line to CHANGES that shows what is recorded"
    )
    assert set(ALL) - changing == LOOKS


@pytest.mark.parametrize("name", sorted({*CHANGES, *ELSEWHERE}))
def test_each_command_that_changes_something_takes_a_reason(name):
    assert any("--reason" in param.opts for param in ALL[name].params)


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_each_command_that_changes_something_is_recorded(run, name):
    found = run(*CHANGES[name](), "--reason", "because I say so")
    assert found, run.output
    for record in found:
        assert (record.by, record.via, record.reason) == ("ada", "command", "because I say so")
        assert record.how == f"rocketjob {name}"
        assert abs(clock.now() - record.at) < timedelta(minutes=1)


def test_what_only_looks_records_nothing(run):
    job = job_in("queued")
    for words in (("jobs", "list"), ("jobs", "show", job.id), ("jobs", "counts"), ("config",)):
        assert run(*words) == []


JOB_ROUTES = {
    "run_now": lambda: job_in("queued", run_at=clock.now() + timedelta(days=1)),
    "pause": lambda: job_in("queued"),
    "resume": lambda: job_in("paused"),
    "retry": lambda: job_in("failed"),
    "fail": lambda: job_in("queued"),
    "abort": lambda: job_in("queued"),
    "destroy": lambda: job_in("queued"),
}


@pytest.mark.parametrize("event", sorted(JOB_ROUTES))
def test_each_action_of_a_job_on_its_page_is_recorded(rocketjob, event):
    job = JOB_ROUTES[event]()
    path = f"/jobs/{job.id}/{event}"
    as_role("admin", login="eve").post(path, data={"reason": "a <b>", "state": job.state})
    record = only()
    assert (record.by, record.via, record.event) == ("eve", "web", event)
    assert (record.how, record.reason) == (f"POST /jobs/{{id}}/{event}", "a <b>")
    assert (record.kind, record.id, record.name) == ("job", job.id, "KeptJob")


SERVER_ORDERS = ("pause", "drain", "stop", "kill", "thread_dump")
ROUTES = {
    *(f"/jobs/{{id}}/{event}" for event in (*JOB_ROUTES, "approve")),
    *(f"/servers/{{id}}/{order}" for order in (*SERVER_ORDERS, "resume", "log_level", "destroy")),
    *(f"/jobs/{{id}}/{do}" for do in ("update_slice", "delete_line", "capsule")),
    *(
        "/jobs/{id}/retry_slice",
        "/jobs/{id}/retry_slices",
        "/jobs/{id}/rejects",
        "/jobs/{id}/failed_records",
    ),
    *(f"/dirmon_entries/{{id}}/{do}" for do in ("replicate", "enable", "disable", "destroy")),
    *("/failures/{id}/retry", "/failures/{id}/acknowledge"),
    *("/jobs/{id}", "/jobs/bulk", "/servers/{id}", "/servers/update_all", "/dirmon_entries"),
    *("/dirmon_entries/{id}", "/schedule/create"),
}


def test_each_route_that_changes_something_is_known():
    with sandbox():
        site = create_app(WebSettings()).state.site
        changing = {route.path for _, route in site.routes if route.changes}
    assert changing <= ROUTES, "add it, and see that what it changes is recorded"


@pytest.mark.parametrize("order", SERVER_ORDERS)
def test_each_order_to_a_server_from_its_page_is_recorded(rocketjob, order, monkeypatch):
    monkeypatch.setattr(stacks_page, "SECONDS", 0.0)  # nobody answers
    server = _server()
    as_role("admin", login="eve").post(
        f"/servers/{server.id}/{order}", data={"reason": "deploy", "typed": "KILL"}
    )
    found = list(audit.records())
    assert order in [record.event for record in found]
    for record in found:
        assert (record.by, record.kind, record.name, record.reason) == (
            *("eve", "Server", "web:1", "deploy"),
        )


def test_what_a_page_does_with_directory_entries_is_recorded(rocketjob):
    client, entry = as_role("admin", login="eve"), _entry()
    for do in ("enable", "disable", "destroy"):
        client.post(f"/dirmon_entries/{entry.id}/{do}", data={"state": entry.reload().state})
    assert [(each.event, each.name) for each in audit.records()] == [
        *(("destroy", "in"), ("disable", "in"), ("enable", "in")),
    ]


@pytest.mark.parametrize("elsewhere", [False, True], ids=["one store", "slices elsewhere"])
def test_records_of_slices_that_a_person_mends_are_recorded(elsewhere, tmp_path):
    slices = {"slices_url": f"sqlite:///{tmp_path}/slices.db"} if elsewhere else {}
    with sandbox(f"sqlite:///{tmp_path}/jobs.db", **slices) as rocketjob:
        job = AuditMendedJob(slice_size=3)
        job.upload(["a", "bad", "c", "bad"])
        job.save()
        rocketjob.work_off()
        with acting("eve"):
            for id, mend in ((1, mending.delete_record), (4, _replace)):
                mend(job, id, int(id == 1), mending.find(job, id).digest)
            with pytest.raises(mending.SliceChanged):
                mending.delete_record(job, 1, 0, "as it was long ago")
        found = list(audit.records())
    assert [(each.event, each.id, each.after) for each in found] == [
        ("save_record", job.id, {"slice": 4, "record": 4}),
        ("delete_record", job.id, {"slice": 1, "record": 2}),
    ]


def _replace(job, id, index, digest):
    mending.replace_record(job, id, index, "good", digest)


def test_the_page_and_the_command_show_what_was_done_with_a_job(run):
    job = job_in("queued")
    run("jobs", "pause", job.id, "--reason", "wait <for> the bank")
    page = as_role("admin").get(f"/jobs/{job.id}").text
    assert "state queued -&gt; paused" in page and "wait &lt;for&gt; the bank" in page
    run("jobs", "show", job.id)
    assert "ada  pause  state queued -> paused  (wait <for> the bank)" in run.output


# --- what is recorded ------------------------------------------------------------------------


def test_what_it_was_before_is_recorded(run):
    job = SecretiveJob.create(text="old")
    (record,) = run("jobs", "set", job.id, "text=new", "priority=3")
    assert (record.before, record.after) == (
        {"text": "old", "priority": 50},
        {"text": "new", "priority": 3},
    )
    assert (record.event, sorted(record.change.split(", "))) == (
        "save",
        ["priority 50 -> 3", "text old -> new"],
    )
    (record,) = run("jobs", "destroy", job.id)
    assert record.before == {"state": "queued", "text": "new", "priority": 3}
    assert record.after == {}


def test_nothing_is_recorded_of_what_was_not_done(run):
    job = job_in("aborted")
    assert run("jobs", "pause", job.id, code=1) == []
    assert run("jobs", "set", job.id, "priority=500", code=2) == []


def test_many_jobs_of_one_command_are_one_record_and_each_its_own_unless_they_are_created(
    run, tmp_path
):
    (tmp_path / "rows").write_text('{"text": "a"}\n{"text": "b"}\n')
    (record,) = run("enqueue", "support.jobs:KeptJob", "--many", tmp_path / "rows")
    assert (record.event, record.after["count"]) == ("create", 2)
    found = run("jobs", "abort", "--all-matching", "--class", "KeptJob", "--yes")
    assert [record.event for record in found] == ["abort", "abort", "bulk abort"]
    assert found[2].after["count"] == 2


def test_no_secret_gets_into_it(rocketjob, run):
    job = SecretiveJob.create(api_key="s3cret", source="https://ann:pw123@example.com/?token=t0k3n")
    run("jobs", "set", job.id, "api_key=0ther", "source=ftp://bob:pw456@example.com")
    run("jobs", "destroy", job.id, "--reason", "see https://ann:pw789@example.com")
    kept = json.dumps(list(job.collection().find({}))) + str(
        list(rocketjob.store.collection(audit.COLLECTION).find({}))
    )
    for secret in ("s3cret", "0ther", "pw123", "t0k3n", "pw456", "pw789"):
        assert secret not in kept, secret


def test_encrypted_values_are_hidden():
    from rocketjob_plugins.encryption import keys

    with sandbox(encryption_keys=[keys.new_key("k")]):
        with acting("ada"):
            job = SealedJob.create(pin="1234")
            job.update(pin="5678")
            job.destroy()
        found = list(audit.records())
    assert [record.event for record in found] == ["destroy", "save", "create"]
    assert "1234" not in str(found) and "5678" not in str(found)
    assert found[1].before == found[1].after == {"pin": "***"}


def test_long_values_and_names_are_cut(rocketjob):
    with acting("a\nb " + "x" * 999, how="h" * 999, reason="r" * 9999):
        SecretiveJob.create(text="t" * 99_999)
    record = only()
    assert len(str(record)) < 3000
    assert record.by.startswith("a b x")


def test_what_a_worker_does_is_nobodys_doing(rocketjob):
    job = ActingJob.create(collect_output=True)
    rocketjob.work_off()
    assert job.reload().result == {"result": True}
    with acting("ada"):
        ActingJob().perform_now()
    assert count() == 0


def test_a_batch_job_that_a_person_performs_here_makes_no_server_of_theirs(rocketjob):
    job = AuditMendedJob()
    job.upload(["a", "b"])
    job.save()
    with acting("ada") as act:
        job.perform_now()
        assert acts.present() is act
    assert job.is_completed
    assert not [each for each in audit.records() if each.kind == "Server"]


def test_the_history_names_the_person_and_the_reason(run):
    job = job_in("queued")
    run("jobs", "pause", job.id, "--reason", "the bank")
    entry = job.reload().history[-1]
    assert (entry.by, entry.reason, entry.event) == ("ada", "the bank", "pause")


# --- together with the change, or not at all -------------------------------------------------


def _save(job):
    job.update(text="new")


@pytest.mark.parametrize(
    "change",
    [lambda job: job.abort(), lambda job: job.destroy(), _save],
    ids=["event", "destroy", "save"],
)
def test_killed_at_any_write_there_is_neither_without_the_other(rocketjob, change):
    mortal = Mortal(rocketjob.store)
    for number in range(1, 9):
        job = KeptJob.create(text="old")
        before, known = stored(job), count()
        with mortal.dies_at(number), acting("ada"):
            change(job)
        rocketjob.store.recover()
        assert (stored(job) != before) == (count() == known + 1), number
        if not mortal.died:
            return
    raise AssertionError("it was meant to come through")


def _dead_server():
    beat = {"updated_at": clock.now() - timedelta(hours=1), "number": 1}
    return Server.create(name=f"dead:{Server.count()}", state="running", heartbeat=beat)


def test_killed_at_any_write_a_dead_server_is_not_removed_without_its_record(rocketjob):
    mortal = Mortal(rocketjob.store)
    for number in range(1, 9):
        server = _dead_server()
        with mortal.dies_at(number), acting("ada"):
            orders.remove_dead(server)
        rocketjob.store.recover()
        recorded = [
            each.name for each in audit.records() if (each.event, each.id) == ("destroy", server.id)
        ]
        is_there = Server.where(id=server.id).exists()
        assert recorded == ([] if is_there else [server.name]), number
        if not mortal.died:
            return
    raise AssertionError("it was meant to come through")


def test_a_dead_server_that_lives_after_all_has_no_record_of_its_removal(rocketjob):
    server = _dead_server()
    Server.collection().update_one({"_id": server.id}, {"$set": {"heartbeat.number": 2}})
    with acting("ada"):
        assert orders.remove_dead(server) is None
    assert count() == 0


def test_a_change_that_somebody_else_was_faster_with_is_not_recorded(rocketjob):
    job = KeptJob.create()
    KeptJob.find(job.id).abort()
    with acting("ada"), pytest.raises(StateConflict):
        job.pause()
    with acting("ada"):
        KeptJob.where(id=job.id).delete_all()
        job.delete()
    assert count() == 0


def test_what_cannot_be_recorded_is_not_done(rocketjob):
    class Failing:
        @hookimpl
        def act_writes(self, act, deed):
            raise OSError("no room")

    rocketjob.plugins.register(Failing(), "failing")
    job = KeptJob.create()
    with acting("ada"), pytest.raises(HookFailed, match="no room"):
        job.abort()
    assert (stored(job)["state"], job.state, count()) == ("queued", "queued", 0)
    job.abort()  # nobody's doing is not recorded
    assert stored(job)["state"] == "aborted"


def test_without_the_plugin_nothing_is_recorded():
    with sandbox(disabled_plugins=["audit"]) as rocketjob, acting("ada"):
        job = KeptJob.create()
        job.abort()
        assert not deeds.record("copy", "store")
        assert rocketjob.store.collection(audit.COLLECTION).count_documents({}) == 0
        assert job.history[-1].by == "ada"


# --- steering --------------------------------------------------------------------------------


def test_a_class_that_keeps_what_is_to_be_destroyed_is_asked_by_a_page_too(rocketjob):
    job = ArchivedJob.create()
    steer(job.id, "destroy", expected="queued")
    assert stored(job)["text"] == "archived"


def test_a_job_that_changes_while_it_is_to_be_destroyed_is_kept(rocketjob, monkeypatch):
    job = KeptJob.create()
    destroy = KeptJob.destroy
    late = lambda self: (KeptJob.find(self.id).pause(), destroy(self))  # noqa: E731
    monkeypatch.setattr(KeptJob, "destroy", late)
    with pytest.raises(Stale, match="is paused, no longer queued"):
        steer(job.id, "destroy", expected="queued")
    assert stored(job)["state"] == "paused"


# --- who -------------------------------------------------------------------------------------


def test_the_login_name_is_taken_where_no_actor_is_set(rocketjob, monkeypatch):
    monkeypatch.setattr(getpass, "getuser", lambda: "bob")
    CliRunner().invoke(make_cli(), ["jobs", "pause", str(job_in("queued").id)])
    assert only().by == "bob"


def test_a_user_without_a_name_is_named_by_number(rocketjob, monkeypatch):
    def nobody():
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr(getpass, "getuser", nobody)
    monkeypatch.setattr("os.getuid", lambda: 4711, raising=False)
    CliRunner().invoke(make_cli(), ["jobs", "pause", str(job_in("queued").id)])
    assert only().by == "uid 4711"


def test_another_level_of_a_servers_log_is_recorded_whether_it_answers_or_not(run):
    level = ("servers", "log-level", _server().name, "debug", "--for", "15m", "--timeout", "0.1")
    (record,) = run(*level, code=1)
    assert (record.event, record.name, record.by) == ("log_level", "web:1", "ada")
    assert record.after == {"level": "debug", "logger": None, "seconds": 900.0}


# --- the upkeep of stores --------------------------------------------------------------------


def test_a_copy_is_recorded_in_what_is_copied(run, tmp_path):
    source, target = f"sqlite:///{tmp_path}/a.db", f"sqlite:///{tmp_path}/b.db"
    with sandbox(source):
        KeptJob.create()
    run("store", "copy", source, target, "--reason", "moving")
    for url in (source, target):
        with sandbox(url):
            record = only()
            assert (record.event, record.id, record.reason) == ("copy", source, "moving")
            assert record.after == {"target": target, "delete": False}


def test_a_compaction_is_recorded_unless_it_is_only_tried(monkeypatch, tmp_path):
    with sandbox(f"sqlite:///{tmp_path}/a.db"):
        KeptJob.create()
        for more in ("--dry-run",), ():
            assert CliRunner().invoke(make_cli(), ["store", "compact", *more]).exit_code == 0
        assert (only().event, only().kind) == ("compact", "store")


def test_a_rotation_of_keys_is_recorded_by_their_names(tmp_path):
    from rocketjob_plugins.encryption import keys

    with sandbox(encryption_keys=[key := keys.new_key("k2026")]):
        for more in ("--dry-run",), ():
            made = CliRunner().invoke(make_cli(), ["encryption", "rotate", *more])
            assert made.exit_code == 0, made.output
        assert only().after == {"first": "k2026"}
        assert key.partition(":")[2] not in str(only())


# --- looking at it, and removing it ----------------------------------------------------------


def test_the_command_narrows_by_person_job_class_and_time(run):
    with acting("eve"):
        job = job_in("aborted")
    run("jobs", "destroy", job.id)
    run("audit", "--actor", "eve", "--json")
    assert [json.loads(line)["event"] for line in run.output.splitlines()] == ["abort", "create"]
    run("audit", "--job", job.id, "-n", "1", "--json")
    assert json.loads(run.output)["event"] == "destroy"
    run("audit", "--class", "KeptJob", "--since", "1h")
    assert run.output.count("KeptJob") == 3
    for nothing in (("--actor", "bob"), ("--class", "NoJob"), ("--since", "2100-01-01")):
        assert run("audit", *nothing, code=1) == []
        assert "there is no such record" in run.output
    assert run("audit", "--since", "yesterday", code=2) == []


def test_an_audit_that_is_empty_says_so(run):
    run("audit")
    assert "no record; they are kept for 90 days" in run.output


def test_old_records_are_removed_by_the_sweep(rocketjob):
    with acting("ada"):
        rocketjob.travel(-timedelta(days=91))
        KeptJob.create()
        rocketjob.travel(timedelta(days=2))
        kept = KeptJob.create()
        rocketjob.travel(timedelta(days=89))
    audit.sweep()
    assert [record.id for record in audit.records()] == [kept.id]


def test_schedules_are_synced_as_one_step_with_the_record(run):
    (record,) = [each for each in run("schedules", "sync") if each.name == "NightlyAuditedJob"]
    assert (record.event, record.after["schedule_name"]) == ("create", "NightlyAuditedJob")


def test_an_act_ends_with_its_block(rocketjob):
    with contextlib.suppress(RuntimeError), acting("ada"):
        raise RuntimeError
    assert acts.present() is None
