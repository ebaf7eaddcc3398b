"""Plugins that are wrong: each is named, with its hook and distribution, and the rest works."""

import contextlib

import pytest
from click.testing import CliRunner

from rocketjob import Hold, Server, hookimpl, hookspec
from rocketjob.base import clock
from rocketjob.base.errors import HookFailed, PluginError, StoreError
from rocketjob.cli import make_cli
from rocketjob.plugins import importing
from rocketjob.plugins.calls import Hook, Watch
from rocketjob.plugins.manager import PluginManager
from rocketjob.server.recovery import Recovery
from rocketjob.testing import sandbox
from support.jobs import KeptJob, PausableJob
from support.plugins import entry_point, install

BOOM = 'raise KeyError("boom")'
LEFT_OUT = {  # the whole plugin: what is said of it
    "importerr": ("import nosuchlibrary", "cannot be imported: ModuleNotFoundError"),
    "syntaxerr": ("def x(:", "cannot be imported: SyntaxError"),
    "exiterr": ("raise SystemExit(3)", "cannot be imported: SystemExit: 3"),
    "misspelt": (
        "@hookimpl\ndef state_change(job): pass",
        "implements state_change, which is not a hook; did you mean state_changed?",
    ),
    "badargs": ("@hookimpl\ndef state_changed(job, evnt): pass", "is not valid: "),
    "specs": (
        f"@hookimpl\ndef register_hookspecs(manager): {BOOM}",
        "failed in register_hookspecs: KeyError: 'boom'",
    ),
    "oldwrapper": (
        "@hookimpl(hookwrapper=True)\ndef state_changed(job): yield",
        "of pluggy's old kind: write @hookimpl(wrapper=True)",
    ),
    "jobsdup": (
        "class HousekeepingJob(Job):\n    def perform(self): ...",
        "cannot be imported: TypeError: Two classes are called HousekeepingJob: ",
    ),
    "specswrapped": (
        "@hookimpl(wrapper=True)\ndef register_hookspecs(manager): yield",
        "failed in register_hookspecs: TypeError: it cannot be wrapped",
    ),
    "taken": (
        "from rocketjob.base.settings import Setting, string\n"
        '@hookimpl\ndef register_settings(): return [Setting("url", "", string, "mine")]',
        "there is a setting url already, of the kernel",
    ),
}
PARTLY = {  # what it brings by one hook
    "cmds": (f"@hookimpl\ndef register_commands(cli): {BOOM}", "failed in register_commands"),
    "mycmd": (
        'import click\n@click.command("jobs")\ndef mine(): ...\n'
        "@hookimpl\ndef register_commands(cli): cli.add_command(mine)",
        "failed in register_commands: ClickException: there is already a command jobs",
    ),
    "jobs_": (f"@hookimpl\ndef register_jobs(): {BOOM}", "failed in register_jobs: KeyError"),
    "jobsnone": (
        "@hookimpl\ndef register_jobs(): return None",
        "returned None, expected a list of job classes (hook register_jobs)",
    ),
    "jobswrong": (
        '@hookimpl\ndef register_jobs(): return "text"',
        "returned 'text', expected a list of job classes (hook register_jobs)",
    ),
    "jobsitem": (
        "@hookimpl\ndef register_jobs(): return [Job, 3]",
        "returned a list with 3, expected a list of job classes",
    ),
    "mixins": (f"@hookimpl\ndef register_mixins(): {BOOM}", "failed in register_mixins: KeyError"),
    "checks": (
        '@hookimpl\ndef register_checks(): return ["disk"]',
        "returned a list with 'disk', expected a list of checks",
    ),
    "indexes": (f"@hookimpl\ndef register_indexes(): {BOOM}", "failed in register_indexes"),
    "indexbad": (
        '@hookimpl\ndef register_indexes(): return {"rocket_job.jobs": [{"nam": "x"}]}',
        "expected indexes by collection, such as {",
    ),
    "store_": (f"@hookimpl\ndef open_store(url, config): {BOOM}", "failed in open_store: KeyError"),
    "storewrong": (
        '@hookimpl\ndef open_store(url, config): return "a store"',
        "returned 'a store', expected a store (hook open_store)",
    ),
    "stores": (
        '@hookimpl\ndef register_stores(config): return "sqlite:///x.db"',
        "returned 'sqlite:///x.db', expected a list of URLs",
    ),
    "fmt": (
        'class Csv:\n    name, has_header = "csv", True\n    parse = render = None\n'
        "@hookimpl\ndef register_formats(): return [Csv]",
        "registers the format 'csv', which is built in: give it another name, or set replaces = Tr",
    ),
    "ser": (
        "from rocketjob_plugins.batch.serializers import Serializer\n"
        '@hookimpl\ndef register_serializers(): return [Serializer("none", list, list)]',
        "registers the serializer 'none', which is built in",
    ),
    "serwrong": (
        '@hookimpl\ndef register_serializers(): return ["zip"]',
        "returned a list with 'zip', expected a list of serializers: ",
    ),
    "owners": (f"@hookimpl\ndef claim_owners(): {BOOM}", "failed in claim_owners: KeyError"),
}
ONLY_LOGGED = {
    "obs": (f"@hookimpl\ndef state_changed(job): {BOOM}", "failed in state_changed: KeyError"),
    "obsexit": (
        "@hookimpl\ndef state_changed(job): raise SystemExit(3)",
        "failed in state_changed: SystemExit: 3",
    ),
    "noyield": (
        "@hookimpl(wrapper=True)\ndef state_changed(job):\n    return\n    yield",
        "did not yield, as a wrapper does once (hook state_changed)",
    ),
    "twice": (
        "@hookimpl(wrapper=True)\ndef state_changed(job):\n    yield\n    yield",
        "yielded more than once (hook state_changed)",
    ),
}
HOLDING = {
    "veto": (f"@hookimpl\ndef veto_claim(job): {BOOM}", "failed in veto_claim: KeyError: 'boom'"),
    "vetowrong": (
        '@hookimpl\ndef veto_claim(job): return "no"',
        "returned 'no', expected a rocketjob.Hold, or None (hook veto_claim)",
    ),
    "vetowrapper": (
        "@hookimpl(wrapper=True)\ndef veto_claim(job):\n    yield\n    return 5",
        "returned 5, expected a rocketjob.Hold",
    ),
}


@pytest.fixture
def run():
    """Run a command line on the sandbox's store; return its exit code and all that it printed."""

    def run(*args):
        runner = CliRunner()
        done = runner.invoke(make_cli(), list(args))
        return done.exit_code, done.output

    return run


def installed(monkeypatch, tmp_path, name, source):
    install(monkeypatch, entry_point(monkeypatch, name, source, folder=tmp_path))


@pytest.mark.parametrize("name", LEFT_OUT | PARTLY)
def test_a_bad_plugin_is_named_by_doctor_and_the_plugins_command_and_jobs_run(
    monkeypatch, tmp_path, run, name
):
    source, message = (LEFT_OUT | PARTLY)[name]
    installed(monkeypatch, tmp_path, name, source)
    with sandbox(f"sqlite:///{tmp_path}/jobs.db") as made:
        job = KeptJob.create()
        Recovery(made.application, "a server").sweep(set())
        assert made.work_off() == 1
        assert job.reload().is_completed
        assert message in run("plugins")[1]
        _, told = run("doctor")
        assert message in told
        assert f"plugin {name} (rocketjob_plugin_{name}, from rocketjob-plugin-{name} 0.1)" in told
        infos = {info.name: info for info in made.plugins.infos()}
        assert message in infos[name].error
        assert infos[name].enabled is (name in PARTLY)
        assert [info.name for info in infos.values() if info.error] == [name]


@pytest.mark.parametrize("name", LEFT_OUT)
@pytest.mark.parametrize("command", [("jobs", "list"), ("servers", "list"), ("config",), ()])
def test_every_command_names_a_plugin_that_is_left_out(monkeypatch, tmp_path, run, name, command):
    source, message = LEFT_OUT[name]
    installed(monkeypatch, tmp_path, name, source)
    with sandbox():
        KeptJob.create()
        code, told = run(*command)
        assert "warning: The plugin " in told
        assert message in told
        assert code in (0, 2)  # 2: no command was given


@pytest.mark.parametrize("name", ONLY_LOGGED)
def test_an_observer_that_fails_is_logged_with_its_distribution(
    monkeypatch, tmp_path, caplog, name
):
    source, message = ONLY_LOGGED[name]
    installed(monkeypatch, tmp_path, name, source)
    with sandbox() as made:
        job = KeptJob.create()
        made.work_off()
        assert job.reload().is_completed
    assert f"The plugin {name} (rocketjob_plugin_{name}, from rocketjob-plugin-" in caplog.text
    assert message in caplog.text


@pytest.mark.parametrize("name", HOLDING)
def test_who_decides_and_fails_holds_the_job_back_in_its_name(
    monkeypatch, tmp_path, caplog, run, name
):
    source, message = HOLDING[name]
    installed(monkeypatch, tmp_path, name, source)
    with sandbox() as made:
        job = KeptJob.create()
        assert made.work_off() == 0
        assert job.reload().is_queued
        assert job.history[-1].reason.startswith(f"{name}: ")
        assert {reason.name for reason in job.explain().reasons} >= {name}
        assert message in str(job.explain())
        assert "nothing holds it back" not in run("jobs", "explain", str(job.id))[1]
    assert message in caplog.text


@pytest.mark.parametrize(
    ("filter", "is_wrong"),
    [
        ({"$nonsense": 1}, True),
        ({"priority": {"$foo": 1}}, True),
        ({"priority": {}, "at": object()}, True),
        ({"_type": "NotThisClass"}, False),
        ({"_type": "KeptJob", "state": "queued"}, False),
    ],
)
def test_a_filter_that_cannot_be_used_defers_its_own_job_and_no_other(
    rocketjob, caplog, filter, is_wrong
):
    class Vetoing:
        @hookimpl
        def veto_claim(self, job):
            return Hold("busy", filter=filter) if type(job) is KeptJob else None

    rocketjob.plugins.register(Vetoing())
    held, other = KeptJob.create(priority=1), PausableJob.create()
    assert rocketjob.work_off() == 1
    assert (held.reload().state, other.reload().state) == ("queued", "completed")
    assert ("busy: the filter " in held.history[-1].reason) is is_wrong
    assert ("deferred alone: a veto has a wrong filter" in caplog.text) is is_wrong


@pytest.mark.parametrize("answer", ['raise KeyError("boom")', 'return "because"', "return [3]"])
def test_a_plugin_that_cannot_explain_is_named_and_the_others_are_heard(
    monkeypatch, tmp_path, run, answer
):
    installed(monkeypatch, tmp_path, "explain_", f"@hookimpl\ndef explain(job): {answer}")
    with sandbox() as made:
        job = KeptJob.create(run_at=clock.now().add(hours=1))
        made.work_off()
        told = run("jobs", "explain", str(job.id))[1]
    assert "it is scheduled for later" in told
    assert "explain_ (rocketjob_plugin_explain_, from rocketjob-plugin-explain_ 0.1)" in told


def test_two_plugins_of_one_name_are_both_left_out(monkeypatch, run):
    twins = [
        entry_point(monkeypatch, "twin", distribution="one"),
        entry_point(monkeypatch, "twin", distribution="other"),
    ]
    install(monkeypatch, *twins)
    with sandbox() as made:
        (message,) = made.plugins.problems
        assert "from one 0.1) and twin (" in message
        assert "Neither is loaded" in message
        assert not {info.name: info for info in made.plugins.infos()}["twin"].enabled
        KeptJob.create()
        assert made.work_off() == 1


def test_a_plugin_that_is_called_as_the_kernel_is_leaves_the_kernels_hooks_alone(monkeypatch, run):
    install(
        monkeypatch, entry_point(monkeypatch, "kernel", "@hookimpl\ndef state_changed(job): ...")
    )
    with sandbox() as made:
        (message,) = made.plugins.problems
        assert "kernel (rocketjob_plugin_kernel, from rocketjob-plugin-kernel 0.1)" in message
        assert "there is one called kernel already. Give it another name" in message
        assert not {info.name: info for info in made.plugins.infos()}["kernel"].enabled
        assert "kernel" in [answer.plugin for answer in made.plugins.answers("register_indexes")]
        KeptJob.create()
        assert made.work_off() == 1


def test_a_function_that_is_called_like_a_hook_is_warned_of(monkeypatch, run, caplog):
    source = f"def state_changed(job): {BOOM}\nfrom os.path import join as explain"
    install(monkeypatch, entry_point(monkeypatch, "nohook", source))
    with sandbox() as made:
        (warning,) = made.plugins.warnings
        assert "has a function state_changed, which is the name of a hook, without" in warning
        assert not made.plugins.problems
        assert warning in run("doctor")[1].replace("\n", "")
        assert warning in run("plugins")[1]
    assert warning in caplog.text


class Unmarked:
    def state_changed(self, job): ...


class Misspelt:
    @hookimpl
    def state_change(self, job): ...


class Optional:
    @hookimpl(optionalhook=True)
    def some_later_hook(self): ...


class Bringing:
    class specifications:
        @hookspec
        def own_hook(self):
            """Of a plugin."""

    @hookimpl
    def register_hookspecs(self, manager):
        manager.add_hookspecs(self.specifications)

    @hookimpl
    def own_hook(self):
        return 1


def test_plugins_that_are_registered_in_code_are_checked_too(rocketjob, caplog):
    with pytest.raises(PluginError, match=r"Misspelt implements state_change, .*state_changed\?"):
        rocketjob.plugins.register(Misspelt())
    assert not rocketjob.plugins.listens("state_change")
    rocketjob.plugins.register(Unmarked())
    assert "Unmarked has a function state_changed" in caplog.text
    rocketjob.plugins.register(Optional())
    rocketjob.plugins.register(Bringing())
    assert rocketjob.plugins.answers("own_hook") == [("Bringing", 1)]


@pytest.mark.parametrize("name", ["mine", "kernel", "cron"])
def test_a_second_plugin_of_a_name_is_refused_and_the_first_one_stays(rocketjob, name):
    if name == "mine":
        rocketjob.plugins.register(Unmarked(), name)
    first = rocketjob.plugins._pluggy.get_plugin(name)
    with pytest.raises(PluginError, match=f"there is one called {name} already"):
        rocketjob.plugins.register(Unmarked(), name)
    assert first is not None
    assert rocketjob.plugins._pluggy.get_plugin(name) is first


def test_a_plugin_whose_hook_may_be_of_a_disabled_one_is_loaded(monkeypatch):
    source = (
        "@hookimpl\ndef register_serializers(): return []\n@hookimpl\ndef state_changed(job): ...\n"
    )
    found = entry_point(monkeypatch, "packs", source)
    install(monkeypatch, found)
    (info,) = (i for i in PluginManager(disabled=["batch"]).infos() if i.name == "packs")
    assert info.enabled and not info.error
    assert "register_serializers, which is a hook of no plugin that is loaded" in info.warnings[0]
    assert info.warnings[0].endswith("Not loaded: batch")
    assert PluginManager().warnings == []


# --- wrappers --------------------------------------------------------------------------------


class Wrapping:
    def __init__(self):
        self.seen = []

    @hookimpl(wrapper=True)
    def state_changed(self, event):
        self.seen.append(event)
        return (yield)

    @hookimpl(wrapper=True)
    def veto_claim(self, job):
        self.seen.append("veto")
        return (yield)

    @hookimpl(wrapper=True)
    def explain(self, job):
        self.seen.append("explain")
        return (yield)

    @hookimpl(wrapper=True)
    def register_commands(self, cli):
        self.seen.append("commands")
        return (yield)

    @hookimpl(wrapper=True)
    def register_jobs(self):
        return [[cls for cls in classes if cls is not KeptJob] for classes in (yield)]


class Observing:
    @hookimpl
    def state_changed(self, event):
        raise RuntimeError("no")

    @hookimpl
    def register_jobs(self):
        return [KeptJob]


def test_wrappers_run_in_every_hook_whoever_fails_within(rocketjob, run):
    wrapping = Wrapping()
    rocketjob.plugins.register(wrapping)
    rocketjob.plugins.register(Observing())
    KeptJob.create()
    rocketjob.work_off()
    KeptJob.create().explain()
    run("--help")
    assert wrapping.seen == ["veto", "start", "complete", "explain", "commands"]
    assert KeptJob not in rocketjob.plugins.collect("register_jobs")


class Sealing:
    @hookimpl(wrapper=True)
    def encrypt(self, data):
        try:
            return (yield)
        except HookFailed:
            return b"sealed"


class NotSealing:
    @hookimpl
    def encrypt(self, data):
        raise RuntimeError("no key")


def test_a_wrapper_sees_the_error_of_who_is_within_and_may_answer_for_it():
    manager = PluginManager(entry_points=[])
    manager.register(NotSealing())
    with pytest.raises(HookFailed, match="NotSealing failed in encrypt: RuntimeError: no key"):
        manager.first("encrypt", data=b"x")
    manager.register(Sealing())
    assert manager.first("encrypt", data=b"x") == b"sealed"


# --- recovery --------------------------------------------------------------------------------


class BrokenRecovery:
    broken = True

    @hookimpl
    def claim_owners(self):
        if self.broken:
            raise KeyError("boom")
        return []

    @hookimpl
    def reclaim(self, owner, crashed, crash_limit):
        if self.broken:
            raise KeyError("boom")

    @hookimpl
    def waiting_quarantined(self):
        raise KeyError("boom")


class Reclaiming:
    def __init__(self):
        self.seen = []

    @hookimpl
    def claim_owners(self):
        return ["gone.2"]

    @hookimpl
    def reclaim(self, owner):
        self.seen.append(owner)
        return 1


@pytest.mark.parametrize("broken_first", [False, True])
def test_recovery_goes_on_without_a_plugin_that_fails_in_it(rocketjob, caplog, broken_first):
    broken, good = BrokenRecovery(), Reclaiming()
    for plugin in (broken, good) if broken_first else (good, broken):
        rocketjob.plugins.register(plugin)
    job = KeptJob.create()
    assert len(rocketjob.queue.claim(1)) == 1
    job.collection().update_one({"_id": job.id}, {"$set": {"claimed_by": "gone.1"}})
    recovery = Recovery(rocketjob.application, "other")
    recovery.sweep(set())
    assert job.reload().is_queued
    assert sorted(good.seen) == ["gone.1", "gone.2"]
    recovery.sweep(set())
    assert caplog.text.count("BrokenRecovery failed in claim_owners: KeyError: 'boom'") == 1
    assert len(rocketjob.plugins.problems) == 2
    broken.broken = False
    recovery.sweep(set())
    assert rocketjob.plugins.problems == []


def test_doctor_says_what_went_wrong_in_the_processes_of_a_server(rocketjob, run):
    said = "The plugin slack failed in reclaim: KeyError: 'boom'"
    beat = {"updated_at": clock.now(), "number": 3, "workers": 1, "performing": []}
    Server(name="web-1", state="running", heartbeat={**beat, "problems": [said]}).save()
    code, told = run("doctor")
    assert code == 1
    assert f"on the server web-1: {said}" in told


def test_the_stores_own_errors_are_not_taken_for_a_plugins(rocketjob, monkeypatch):
    rocketjob.plugins.register(BrokenRecovery())
    monkeypatch.setattr(type(rocketjob.store), "is_transient", lambda self, error: True)
    with pytest.raises(KeyError):
        Recovery(rocketjob.application, "other").sweep(set())


# --- what it is for, and what else it does ---------------------------------------------------


@pytest.mark.parametrize(
    ("requirement", "message"),
    [
        ("rocketjob>=7", "is for rocketjob >=7, and this is "),
        ("rocketjob (<0.0.1)", "is for rocketjob <0.0.1"),
        ("RocketJob[crypto] ~=9.1 , !=9.1.3", "is for rocketjob ~=9.1 , !=9.1.3"),
        ("rocketjob==0.0.*", "is for rocketjob ==0.0.*"),
    ],
)
def test_a_plugin_for_another_version_is_not_even_imported(
    monkeypatch, tmp_path, requirement, message
):
    found = entry_point(
        monkeypatch, "later", "raise RuntimeError", folder=tmp_path, requires=[requirement, "x>=1"]
    )
    (info,) = PluginManager(entry_points=[found], strict=False).infos()
    assert message in info.error
    assert "install a version of it for this one" in info.error


@pytest.mark.parametrize(
    "requirement",
    ["rocketjob", "rocketjob>=0.0.1,<1", "rocketjob>=7; extra == 'x'", "rocketjob-x>=7", "x"],
)
def test_a_plugin_for_this_version_is_loaded(monkeypatch, requirement):
    found = entry_point(monkeypatch, "fits", requires=[requirement])
    assert PluginManager(entry_points=[found]).infos()[0].enabled


def test_two_plugins_with_one_settings_name_are_told_apart(monkeypatch):
    source = (
        "from rocketjob.base.settings import Setting, string\n"
        '@hookimpl\ndef register_settings(): return [Setting("channel", "%s", string, "x")]'
    )
    found = [entry_point(monkeypatch, name, source % name) for name in ("a", "b")]
    manager = PluginManager(entry_points=found, strict=False)
    assert manager.problems == [
        "The plugin b (rocketjob_plugin_b, from rocketjob-plugin-b 0.1) failed in "
        "register_settings: there is a setting channel already, of the plugin a "
        "(rocketjob_plugin_a, from rocketjob-plugin-a 0.1). Give one of them another name"
    ]
    assert manager.declared.settings["channel"].default == "a"


def test_a_plugin_that_takes_long_to_import_is_warned_of(monkeypatch):
    times = iter([10.0, 13.0])
    found = entry_point(monkeypatch, "slow")
    monkeypatch.setattr(clock, "monotonic", lambda: next(times))
    plugin, warnings = importing.load(found)
    assert plugin.__name__ == "rocketjob_plugin_slow"
    assert "0.1) took 3.0 s to import, which every process and command waits for" in warnings[0]


def test_a_wrapper_sees_the_settings_of_all(monkeypatch):
    source = (
        "from rocketjob.base.settings import Setting, string\n"
        '@hookimpl\ndef register_settings(): return [Setting("channel", "", string, "x")]'
    )
    wrapper = "@hookimpl(wrapper=True)\ndef register_settings():\n    yield\n    return []"
    found = [entry_point(monkeypatch, "a", source), entry_point(monkeypatch, "b", wrapper)]
    assert PluginManager(entry_points=found).declared.settings == {}


def test_a_plugin_that_changes_the_import_path_hides_no_module(monkeypatch, tmp_path):
    source = "import sys\nsys.path.insert(0, '/of/the/plugin')"
    import sys

    path = list(sys.path)
    found = entry_point(monkeypatch, "pathy", source, folder=tmp_path)
    try:
        manager = PluginManager(entry_points=[found])
        assert sys.path == [str(tmp_path), *path, "/of/the/plugin"]
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove("/of/the/plugin")
    (warning,) = manager.warnings
    assert "changed sys.path when it was imported: it added /of/the/plugin" in warning


class Blocking:
    def __init__(self, look):
        self.look = look

    @hookimpl
    def state_changed(self, job):
        self.look()


def test_a_hook_that_blocks_is_named_while_it_does(rocketjob, monkeypatch, caplog):
    began = clock.monotonic()
    watch = rocketjob.plugins._watch

    def look():  # as the thread does that watches, a minute later
        monkeypatch.setattr(clock, "monotonic", lambda: began + 60)
        for _ in range(3):
            watch.look()

    rocketjob.plugins.register(Blocking(look))
    rocketjob.plugins.notify("state_changed", job=None, event="", source="", target="")
    (blocked,) = [r for r in caplog.messages if "has blocked a thread" in r]
    assert blocked.startswith("The plugin Blocking has blocked a thread for ")
    assert " in state_changed, at " in blocked
    assert "test_bad_plugins.py:" in blocked
    assert "The plugin Blocking took " in caplog.text


def test_a_hook_that_has_not_begun_is_not_said_to_block(rocketjob, monkeypatch, caplog):
    """The thread that watches may look between the note of a call and its begin."""
    to_ask, watch = Hook._to_ask, rocketjob.plugins._watch

    def look_first(hook, arguments):
        watch.look()
        return to_ask(hook, arguments)

    monkeypatch.setattr(Hook, "_to_ask", look_first)
    rocketjob.plugins.register(Blocking(lambda: None))
    rocketjob.plugins.notify("state_changed", job=None, event="", source="", target="")
    assert not [message for message in caplog.messages if "has blocked" in message]


def test_a_server_watches_for_hooks_that_block(caplog):
    with Watch(str).on_a_thread():
        pass  # and the thread ends


# --- stores ----------------------------------------------------------------------------------


class NotOurs:
    @hookimpl
    def open_store(self, url, config):
        raise KeyError("boom")


class Refusing:
    @hookimpl
    def open_store(self, url, config):
        if url.startswith("mine:"):
            raise StoreError("the licence of this store has ended")


def test_a_store_that_cannot_be_opened_says_whose_fault_it_is():
    with sandbox("mine://x") as made:
        made.plugins.register(NotOurs())
        with pytest.raises(HookFailed, match="NotOurs failed in open_store: KeyError: 'boom'"):
            _ = made.store
        made.plugins.register(Refusing())
        with pytest.raises(StoreError, match="the licence of this store has ended") as caught:
            _ = made.store
        assert caught.type is StoreError


def test_the_built_in_plugins_have_nothing_wrong_with_them():
    manager = PluginManager()
    manager.infos()
    assert (manager.problems, manager.warnings) == ([], [])
