"""Finding plugins: collisions, failing imports, misspelt hooks, disabled ones; notifying them."""

import logging
import sys
import types
from importlib import metadata

import pytest

from rocketjob import Job, PluginError, hookimpl, hookspec, only_for
from rocketjob.model.app_modules import import_app
from rocketjob.plugins.manager import PluginManager


class Distribution:
    """Stands in for an installed distribution: a name and a version."""

    def __init__(self, name, version="1.0"):
        self.name, self.version = name, version


@pytest.fixture
def installed(monkeypatch):
    """Return a function that makes a module, and the entry point by which it is found."""

    def install(name, content=None, distribution="acme-plugins", module=None):
        module = module or f"acme_{name.replace('-', '_')}"
        if content is not None:
            made = types.ModuleType(module)
            made.__dict__.update(content)
            monkeypatch.setitem(sys.modules, module, made)
        entry_point = metadata.EntryPoint(name, module, "rocketjob")
        return entry_point._for(Distribution(distribution))

    return install


@hookimpl
def state_changed(job, event):
    pass


def test_the_built_in_plugins_are_found_as_a_third_partys_would_be():
    found = {info.name: info for info in PluginManager().infos()}
    assert found["store-sqlite"].distribution == "rocketjob"
    assert found["store-sqlite"].module == "rocketjob_plugins.store_sqlite"
    assert "open_store" in found["store-sqlite"].hooks
    assert found["store-sqlite"].enabled


def test_a_plugin_is_described_with_its_hooks_mixins_and_jobs(installed):
    class DescribedMixin:
        pass

    class DescribedJob(Job):
        def perform(self): ...

    manager = PluginManager(
        entry_points=[
            installed(
                "slack",
                {
                    "state_changed": state_changed,
                    "register_mixins": hookimpl(lambda: [DescribedMixin]),
                    "register_jobs": hookimpl(lambda: [DescribedJob]),
                },
            )
        ]
    )
    (info,) = manager.infos()
    assert (info.name, info.module, info.distribution, info.version) == (
        "slack",
        "acme_slack",
        "acme-plugins",
        "1.0",
    )
    assert "state_changed" in info.hooks
    assert (info.mixins, info.jobs, info.enabled, info.error) == (
        ("DescribedMixin",),
        ("DescribedJob",),
        True,
        None,
    )
    assert manager.collect("register_jobs") == [DescribedJob]


def test_two_plugins_of_one_name_are_refused_with_both_distributions(installed):
    both = [
        installed("slack", {}, "one", "acme_one"),
        installed("slack", {}, "other", "acme_other"),
    ]
    with pytest.raises(PluginError) as error:
        PluginManager(entry_points=both)
    assert "Two plugins are called slack: slack (acme_one, from one 1.0) and " in str(error.value)
    assert "slack (acme_other, from other 1.0)" in str(error.value)
    assert "Uninstall one, or set disabled_plugins = ['slack']" in str(error.value)


def test_a_distribution_that_is_on_the_path_twice_is_one(installed):
    twice = [installed("slack", {}), installed("slack", {})]
    assert len(PluginManager(entry_points=twice).infos()) == 1


def test_a_plugin_that_cannot_be_imported_is_named_with_its_distribution(installed):
    missing = installed("slack", module="no_such_module_at_all")
    with pytest.raises(PluginError) as error:
        PluginManager(entry_points=[missing])
    assert (
        "The plugin slack (no_such_module_at_all, from acme-plugins 1.0) cannot be imported: "
        in (str(error.value))
    )
    assert "ModuleNotFoundError" in str(error.value)
    assert "disabled_plugins = ['slack']" in str(error.value)


def test_a_plugin_whose_module_raises_is_named(installed, tmp_path, monkeypatch):
    (tmp_path / "acme_raising.py").write_text("raise RuntimeError('no licence')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginError, match=r"raising .*acme-plugins.* RuntimeError: no licence"):
        PluginManager(entry_points=[installed("raising", module="acme_raising")])


def test_a_misspelt_hook_is_named_with_its_distribution_and_the_nearest(installed):
    misspelt = installed("slack", {"state_chnaged": hookimpl(lambda job: None)})
    with pytest.raises(PluginError) as error:
        PluginManager(entry_points=[misspelt])
    assert "slack (acme_slack, from acme-plugins 1.0) implements state_chnaged" in str(error.value)
    assert "did you mean state_changed?" in str(error.value)


def test_a_hook_with_an_unknown_argument_is_refused_with_the_distribution(installed):
    @hookimpl
    def state_changed(job, evnt):
        pass

    wrong = installed("slack", {"state_changed": state_changed})
    with pytest.raises(PluginError, match=r"(?s)slack .*acme-plugins 1.0\) is not valid: .*evnt"):
        PluginManager(entry_points=[wrong])


def test_a_plugin_may_bring_hooks_of_its_own_whichever_is_loaded_first(installed):
    @hookspec
    def slack_sent(text):
        """Learn of a message."""

    @hookimpl
    def register_hookspecs(manager):
        manager.add_hookspecs(types.SimpleNamespace(slack_sent=slack_sent))

    heard = []
    listener = installed("a-listener", {"slack_sent": hookimpl(lambda text: heard.append(text))})
    bringer = installed("slack", {"register_hookspecs": register_hookspecs})
    manager = PluginManager(entry_points=[bringer, listener])
    manager.notify("slack_sent", text="x")
    assert heard == ["x"]


def test_hooks_that_a_plugin_fails_to_bring_are_its_error(installed):
    @hookimpl
    def register_hookspecs(manager):
        raise RuntimeError("no hooks today")

    broken = installed("slack", {"register_hookspecs": register_hookspecs})
    with pytest.raises(PluginError, match=r"slack .*acme-plugins 1.0\).*no hooks today"):
        PluginManager(entry_points=[broken])


def test_a_disabled_plugin_is_not_even_imported(installed):
    bad = installed("slack", module="no_such_module_at_all")
    (info,) = PluginManager(disabled=["slack"], entry_points=[bad]).infos()
    assert (info.enabled, info.hooks, info.error) == (False, (), None)


def test_disabling_what_is_not_installed_is_a_warning_with_the_nearest(installed, caplog):
    PluginManager(disabled=["slak"], entry_points=[installed("slack", {})])
    assert "disabled_plugins names slak, which is not installed; did you mean slack?" in caplog.text


def test_disabling_one_leaves_the_others(installed):
    manager = PluginManager(
        disabled=["one"], entry_points=[installed("one", {}), installed("two", {})]
    )
    assert [(info.name, info.enabled) for info in manager.infos()] == [
        ("one", False),
        ("two", True),
    ]


@pytest.mark.parametrize("end", ["raise SystemExit(3)", "raise BaseException"])
def test_a_plugin_that_ends_the_process_at_import_is_named(installed, tmp_path, monkeypatch, end):
    (tmp_path / "acme_ending.py").write_text(end)
    monkeypatch.syspath_prepend(tmp_path)
    ending = installed("ending", module="acme_ending")
    with pytest.raises(PluginError, match=r"ending \(acme_ending, .*cannot be imported"):
        PluginManager(entry_points=[ending])
    good = installed("good", {"state_changed": state_changed})
    infos = {i.name: i for i in PluginManager(entry_points=[ending, good], strict=False).infos()}
    assert [infos[name].enabled for name in ("ending", "good")] == [False, True]


@pytest.mark.parametrize("end", ["raise SystemExit(3)", "raise BaseException"])
def test_an_app_module_that_ends_the_process_at_import_is_named(tmp_path, monkeypatch, end):
    (tmp_path / "ending_app.py").write_text(end)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginError, match="The app module ending_app fails to import"):
        import_app(["ending_app"])


def test_a_command_line_that_is_not_strict_keeps_the_errors_and_loads_the_rest(installed):
    manager = PluginManager(
        entry_points=[
            installed("bad", module="no_such_module_at_all"),
            installed("good", {"state_changed": state_changed}),
            installed("misspelt", {"state_chnaged": hookimpl(lambda job: None)}),
        ],
        strict=False,
    )
    infos = {info.name: info for info in manager.infos()}
    assert [infos[name].enabled for name in ("bad", "good", "misspelt")] == [False, True, False]
    assert "cannot be imported" in infos["bad"].error
    assert "which is not a hook" in infos["misspelt"].error


def test_the_store_is_a_plugin_too(monkeypatch):
    from rocketjob import ConfigurationError
    from rocketjob.testing import sandbox

    with sandbox(disabled_plugins=["store-sqlite"]) as made, pytest.raises(ConfigurationError):
        _ = made.store
    with sandbox("nosql://x") as made, pytest.raises(ConfigurationError) as error:
        _ = made.store
    assert "'nosql'" in str(error.value)
    assert "store-sqlite" in str(error.value)
    assert "Use for example sqlite:///rocketjob.db" in str(error.value)


# --- notify -----------------------------------------------------------------------------------


def test_an_observer_that_fails_is_logged_by_name_and_the_others_are_called(caplog):
    manager = PluginManager(entry_points=[])
    seen = []

    class Good:
        @hookimpl
        def state_changed(self, event):
            seen.append(event)

    class Bad:
        @hookimpl
        def state_changed(self):
            raise RuntimeError("broken")

    for name, plugin in (("first", Good()), ("bad", Bad()), ("last", Good())):
        manager.register(plugin, name)
    with caplog.at_level(logging.ERROR):
        manager.notify("state_changed", job=None, event="start", source="a", target="b")
    assert seen == ["start", "start"]
    assert "The plugin bad failed in state_changed" in caplog.text
    assert "RuntimeError: broken" in caplog.text


class ConcernedJob(Job):
    def perform(self):
        pass


class BelowConcernedJob(ConcernedJob):
    pass


class OtherConcernJob(Job):
    def perform(self):
        pass


def test_a_hook_about_a_job_can_be_asked_for_some_classes_only():
    class Concerned:
        asked = []

        @hookimpl
        @only_for(ConcernedJob)
        def state_changed(self, job):
            self.asked.append(type(job))

    manager = PluginManager(entry_points=[])
    manager.register(Concerned())
    for job in (ConcernedJob(), BelowConcernedJob(), OtherConcernJob()):
        manager.notify("state_changed", job=job, event="start", source="queued", target="running")
    assert Concerned.asked == [ConcernedJob, BelowConcernedJob]
    assert manager.listens("state_changed")
    assert manager.listens("state_changed", BelowConcernedJob)
    assert not manager.listens("state_changed", OtherConcernJob)


def test_a_plugin_that_comes_or_goes_is_listened_for_at_once():
    class Concerned:
        @hookimpl
        @only_for(ConcernedJob)
        def state_changed(self, job): ...

    manager, plugin = PluginManager(entry_points=[]), Concerned()
    asked = (("state_changed",), ("state_changed", ConcernedJob), ("no_such_hook", ConcernedJob))
    assert [manager.listens(*each) for each in asked] == [False] * 3
    manager.register(plugin)
    assert [manager.listens(*each) for each in asked] == [True, True, False]
    manager.unregister(plugin)
    assert [manager.listens(*each) for each in asked] == [False] * 3


def test_a_wrapper_is_asked_about_every_class():
    class Wrapping:
        @hookimpl(wrapper=True)
        def state_changed(self, job):
            return (yield)

    manager = PluginManager(entry_points=[])
    manager.register(Wrapping())
    assert manager.listens("state_changed", OtherConcernJob)


def test_only_for_on_a_hook_that_is_about_no_job_is_refused():
    class Mistaken:
        @hookimpl
        @only_for(ConcernedJob)
        def register_checks(self):
            return []

    with pytest.raises(PluginError, match="only_for on register_checks, a hook that is not about"):
        PluginManager(entry_points=[]).register(Mistaken())


@pytest.mark.parametrize("classes", [(), ("Throttle",), (None,)])
def test_only_for_takes_classes(classes):
    with pytest.raises(TypeError, match="only_for takes classes of jobs"):
        only_for(*classes)


def test_whether_anybody_listens_is_known():
    manager = PluginManager(entry_points=[])
    plugin = types.SimpleNamespace(state_changed=state_changed)
    assert not manager.listens("state_changed")
    manager.register(plugin)
    assert manager.listens("state_changed")
    manager.unregister(plugin)
    assert not manager.listens("state_changed")
    assert not manager.listens("no_such_hook")


# --- app modules ------------------------------------------------------------------------------


@pytest.fixture
def app(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)

    yield write
    for name in [name for name in sys.modules if name.startswith("acme_app")]:
        del sys.modules[name]


def test_app_modules_are_imported(app):
    app("acme_app_good", "from rocketjob import Job\nclass AcmeAppJob(Job):\n    pass\n")
    import_app(["acme_app_good"])
    from rocketjob.jobs.job import job_class

    assert job_class("AcmeAppJob").__module__ == "acme_app_good"


def test_an_app_module_that_does_not_exist_says_what_to_check():
    with pytest.raises(
        PluginError,
        match=r"The app module acme_app\.jobs does not exist: Python "
        r"finds no acme_app\. Check the spelling",
    ):
        import_app(["acme_app.jobs"])


def test_an_app_module_that_fails_says_where(app):
    app("acme_app_bad", "x = 1\nraise KeyError('config')\n")
    with pytest.raises(
        PluginError,
        match=r"acme_app_bad fails to import at .*acme_app_bad.py:2: "
        "KeyError: 'config'",
    ):
        import_app(["acme_app_bad"])
    app("acme_app_import", "import no_such_module_at_all\n")
    with pytest.raises(PluginError, match=r"fails to import at .*acme_app_import.py:1: ModuleNot"):
        import_app(["acme_app_import"])
    app(
        "acme_app_order",
        "from rocketjob import Job\nfrom rocketjob_plugins.cron import Cron\n\n"
        "class WrongOrderJob(Job, Cron): ...\n",
    )
    with pytest.raises(PluginError, match=r"acme_app_order.py:4: .*Name mixins before Job, as in"):
        import_app(["acme_app_order"])
    app("acme_app_syntax", "x = \n")
    with pytest.raises(PluginError, match=r"acme_app_syntax.py:1: SyntaxError"):
        import_app(["acme_app_syntax"])
