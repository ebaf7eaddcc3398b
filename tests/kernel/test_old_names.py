"""What was written against the names of RocketJob 0.1 works, and is told the new ones."""

import importlib
import subprocess
import sys

import pytest

from rocketjob import Job, hookimpl
from rocketjob.plugins.manager import PluginManager
from rocketjob.states.machine import Change

OLD = ["clock", "errors", "job", "limits", "supervisor", "codec", "hookspecs"]


@pytest.mark.parametrize("name", OLD)
def test_an_old_module_is_found_with_a_warning_that_names_the_new_one(name):
    code = (
        f"import warnings\nwarnings.simplefilter('always')\nfrom rocketjob.{name} import __name__"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{code} as new\nprint(new)"], capture_output=True, text=True
    )
    new = done.stdout.strip()
    assert new.startswith("rocketjob.") and new != f"rocketjob.{name}"
    assert f"<string>:3: DeprecationWarning: rocketjob.{name} is called {new} now" in done.stderr
    assert "goes in RocketJob 0.3" in done.stderr


@pytest.mark.parametrize("old", ["rocketjob.queue.Queue", "rocketjob.server.Server"])
def test_a_package_that_was_a_module_has_the_old_names_with_a_warning(old):
    package, _, name = old.rpartition(".")
    with pytest.warns(DeprecationWarning, match=rf"{old} is called {package}\.\w+\.{name} now"):
        assert getattr(importlib.import_module(package), name).__name__ == name


def test_an_old_module_is_the_new_one_and_no_copy():
    from rocketjob.base import errors

    with pytest.warns(DeprecationWarning):
        sys.modules.pop("rocketjob.errors", None)
        assert importlib.import_module("rocketjob.errors") is errors


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("rocketjob_plugins.cron.walls", "rocketjob_plugins.cron.wall_times"),
        ("rocketjob_plugins.cron.words", "rocketjob_plugins.cron.describe"),
    ],
)
def test_an_old_module_of_a_plugin_is_the_new_one_with_a_warning(old, new):
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"{old} is called {new} now"):
        assert importlib.import_module(old) is importlib.import_module(new)


def test_a_name_that_never_was_is_an_attribute_error():
    import rocketjob.server.server

    with pytest.raises(AttributeError, match=r"has no attribute .Servr."):
        _ = rocketjob.server.Servr


def test_a_distribution_of_others_says_in_which_of_its_own_versions_an_old_name_goes():
    from rocketjob.base.deprecation import moved

    find = moved("mine", {"now": "rocketjob.base.clock", "Old": "rocketjob.base.errors:NotFound"})
    theirs = moved("mine", {"now": "rocketjob.base.clock"}, goes_in="mine 2.0")
    with pytest.warns(DeprecationWarning, match=r"mine\.now is called .*; .* goes in mine 2\.0"):
        assert theirs("now") is importlib.import_module("rocketjob.base.clock").now
    with pytest.warns(DeprecationWarning, match=r"mine\.Old is .*\.NotFound now; .*RocketJob 0\.3"):
        assert find("Old").__name__ == "NotFound"


def test_the_store_of_slices_is_still_an_attribute_of_the_application_with_a_warning(rocketjob):
    importlib.import_module("rocketjob_plugins.batch")  # which has it now

    with pytest.warns(DeprecationWarning, match=r"slices_store is called .*settings.slices_store"):
        assert rocketjob.application.slices_store is rocketjob.store


def test_a_class_that_overrides_an_old_name_is_asked_by_the_new_one(rocketjob):
    with pytest.warns(DeprecationWarning, match=r"taken_by is called runnable_on.*0\.3") as warned:

        class OldNightJob(Job):
            @classmethod
            def taken_by(cls, config):
                return False

            def perform(self): ...

    assert [warning.filename for warning in warned] == [__file__]
    assert OldNightJob.runnable_on(None) is False
    OldNightJob.create()
    assert rocketjob.work_off() == 0


def test_an_old_name_of_a_plain_mixin_counts_too():
    class OldMixin:
        def open_places(self, wanted, suspects=None):
            return 3

    with pytest.warns(DeprecationWarning, match=r"OldMixin\.open_places is called free_slots"):

        class MixedOldJob(OldMixin, Job): ...

    assert MixedOldJob().free_slots(5) == 3


def test_an_old_override_reaches_the_new_names_of_its_bases_through_super():
    class NewBaseJob(Job):
        def free_slots(self, wanted, suspects=None):
            return 2

    with pytest.warns(DeprecationWarning, match="open_places is called free_slots"):

        class OldChildJob(NewBaseJob):
            def open_places(self, wanted, suspects=None):
                return super().open_places(wanted) + 1

    with pytest.warns(DeprecationWarning, match=r"Job\.open_places is called Job\.free_slots"):
        assert OldChildJob().free_slots(5) == 3


def test_a_call_by_an_old_name_works_with_a_warning(rocketjob):
    with pytest.warns(DeprecationWarning, match=r"Job\.open_places is called Job\.free_slots now"):
        assert Job().open_places(1, suspects=True) == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [("take_back_claims", "reclaim"), ("waiting_suspects", "waiting_quarantined")],
)
def test_a_hook_is_called_by_its_new_name_where_a_plugin_has_the_old_one(old, new):
    class Plugin:
        pass

    setattr(Plugin, old, hookimpl(staticmethod(lambda: 7)))
    plugins = PluginManager(entry_points=[])
    with pytest.warns(DeprecationWarning, match=rf"Plugin\.{old} is called {new} now.*0\.3"):
        plugins.register(Plugin)
    caller = getattr(plugins.hook, new)
    assert [each.function() for each in caller.get_hookimpls()] == [7]


def test_a_change_is_asked_for_its_document_and_for_its_job_with_a_warning(rocketjob):
    job = Job()
    change = Change(job, job.event_called("start"))
    assert change.document is job
    with pytest.warns(DeprecationWarning, match=r"Change\.job is called Change\.document now"):
        assert change.job is job
