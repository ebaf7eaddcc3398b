"""`rocketjob.testing`: a store of its own, a queue worked inline, and a clock that can be moved."""

from datetime import UTC, datetime, timedelta

import pendulum
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocketjob import (
    ConfigurationError,
    Job,
    application,
    configure,
    connect,
    hookimpl,
    now,
)
from rocketjob.base import clock
from rocketjob.base.errors import PluginError
from rocketjob.testing import sandbox
from rocketjob_plugins import retry, store_sqlite
from support.jobs import FailingJob, KeptJob
from support.plugins import entry_point, install

T0 = pendulum.datetime(2026, 1, 31, 12)


def test_each_test_has_a_store_of_its_own(rocketjob):
    assert Job.count() == 0
    KeptJob.create()


def test_each_test_has_a_store_of_its_own_and_the_next_one_too(rocketjob):
    assert Job.count() == 0
    KeptJob.create()


def test_work_off_runs_what_is_due_in_priority_order_and_says_how_many(rocketjob):
    order = []

    class OrderedJob(Job):
        def perform(self):
            order.append(self.priority)

    for priority in (50, 10, 90, 30):
        OrderedJob.create(priority=priority)
    OrderedJob.create(priority=1, run_at=timedelta(hours=1))
    assert rocketjob.work_off(limit=2) == 2
    assert order == [10, 30]
    assert rocketjob.work_off() == 2
    assert order == [10, 30, 50, 90]
    assert rocketjob.work_off() == 0
    rocketjob.travel(timedelta(hours=2))
    assert rocketjob.work_off() == 1


def test_work_off_runs_jobs_that_jobs_create(rocketjob):
    class BreedingJob(Job):
        left: int = 3

        def perform(self):
            if self.left:
                BreedingJob.create(left=self.left - 1)

    BreedingJob.create()
    assert rocketjob.work_off() == 4


def test_work_off_goes_on_after_a_failure(rocketjob):
    FailingJob.create()
    KeptJob.create()
    assert rocketjob.work_off() == 2
    assert Job.counts_by_state() == {"completed": 1, "failed": 1}


def test_travel_moves_the_clock_to_an_instant_or_by_a_duration(rocketjob):
    rocketjob.travel(T0)
    assert timedelta(0) <= now() - T0 < timedelta(seconds=5)
    rocketjob.travel(timedelta(days=-1))
    assert timedelta(0) <= now() - T0.subtract(days=1) < timedelta(seconds=5)
    with pytest.raises(ValueError, match="has no time zone"):
        rocketjob.travel(datetime(2026, 1, 1))


def test_a_frozen_clock_stands_still_and_can_be_moved(rocketjob):
    rocketjob.freeze(T0)
    assert now() == now() == T0
    rocketjob.travel(timedelta(milliseconds=1))
    assert now() == T0.add(microseconds=1000)
    rocketjob.freeze()
    assert now() == T0.add(microseconds=1000)


@given(st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_a_frozen_clock_shows_the_instant_that_it_was_set_to(at):
    clock.travel(at, freeze=True)
    assert now() == clock.to_utc(at)


def test_the_clock_is_right_again_after_the_sandbox():
    with sandbox() as made:
        made.freeze(T0)
    assert abs((datetime.now(UTC) - now()).total_seconds()) < 5


def test_now_is_utc_in_whole_milliseconds():
    assert now().microsecond % 1000 == 0
    assert now().utcoffset() == timedelta(0)


def test_a_sandbox_reads_neither_files_nor_environment(tmp_path, monkeypatch):
    (tmp_path / "rocketjob.toml").write_text("workers = 77")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROCKETJOB_NAME", "env")
    with sandbox() as made:
        assert made.application.config.workers == 10
        assert made.application.config.name is None


def test_a_sandbox_may_be_inside_another():
    with sandbox():
        KeptJob.create()
        with sandbox():
            assert KeptJob.count() == 0
        assert KeptJob.count() == 1


def test_a_sandbox_takes_settings(tmp_path):
    url = f"sqlite:///{tmp_path}/x.db"
    with sandbox(url, workers=3) as made:
        assert made.application.config.workers == 3
        KeptJob.create()
    with sandbox(url):
        assert KeptJob.count() == 1


def test_the_application_is_put_back_after_an_error():
    before = application.current()
    with pytest.raises(RuntimeError), sandbox():
        raise RuntimeError
    assert application.current() is before


def test_the_fixture_is_found_by_any_pytest_suite(pytester_like):
    result = pytester_like(
        """
        from datetime import timedelta
        from rocketjob import Job, now

        class SuiteJob(Job):
            destroy_on_complete = False
            def perform(self): ...

        def test_it(rocketjob):
            job = SuiteJob.create(run_at=timedelta(hours=1))
            assert rocketjob.work_off() == 0
            rocketjob.travel(timedelta(hours=2))
            assert rocketjob.work_off() == 1
            assert job.reload().is_completed
        """
    )
    assert "1 passed" in result


@pytest.fixture
def pytester_like(tmp_path):
    """Run a test file in a pytest of its own, with warnings as errors."""
    import subprocess
    import sys
    import textwrap

    def run(text):
        (tmp_path / "test_suite.py").write_text(textwrap.dedent(text))
        command = [sys.executable, "-m", "pytest", "-q", "-W", "error", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


# --- a sandbox holds ----------------------------------------------------------------------------


def test_configure_in_a_sandbox_changes_the_sandbox_and_nothing_after_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with sandbox(workers=3) as made:
        KeptJob.create()
        store = made.store
        assert configure(crash_limit=1).workers == 3
        assert (made.application.config.crash_limit, made.store) == (1, store)
        assert application.current() is made.application
        assert KeptJob.count() == 1
    with sandbox() as other:
        assert other.application.config.crash_limit == 3
        assert KeptJob.count() == 0
    assert list(tmp_path.iterdir()) == []


def test_configure_without_an_argument_reads_the_settings(rocketjob):
    class SettingsReadingJob(KeptJob):
        def perform(self):
            return {"workers": configure().workers}

    job = SettingsReadingJob.create(collect_output=True)
    assert rocketjob.work_off() == 1
    assert job.reload().result == {"workers": 10}


@pytest.mark.parametrize("leave", [connect, lambda url: configure(url=url)])
def test_nothing_in_a_sandbox_reaches_another_store(tmp_path, leave):
    url = f"sqlite:///{tmp_path}/real.db"
    with sandbox() as made:
        with pytest.raises(ConfigurationError, match=r"in a test's sandbox: .* sandbox\(url\)"):
            leave(url)
        KeptJob.create()
        assert application.current() is made.application
    assert list(tmp_path.iterdir()) == []


def test_connect_to_the_store_that_the_sandbox_has_is_no_change(tmp_path):
    url = f"sqlite:///{tmp_path}/x.db"
    with sandbox(url) as made:
        assert connect(url) is made.store


def test_a_wrong_setting_in_a_sandbox_is_refused_and_changes_nothing(rocketjob):
    with pytest.raises(ConfigurationError, match="did you mean workers"):
        configure(worker=3)
    assert rocketjob.application.config.workers == 10


# --- only some plugins -----------------------------------------------------------------------


class Counting:
    def __init__(self):
        self.changes = 0

    @hookimpl
    def state_changed(self, job):
        self.changes += 1


def names_of(made):
    return [info.name for info in made.plugins.infos()]


def test_a_hook_of_a_plugin_that_the_sandbox_leaves_out_is_told_so_and_is_no_misspelling():
    class Formats:
        @hookimpl
        def register_file_formats(self): ...

    with sandbox(plugins=[Formats()]) as made:
        (warning,) = made.plugins.warnings
    assert "register_file_formats, which is a hook of no plugin that is loaded" in warning
    assert "batch" in warning.partition("Not loaded: ")[2].split(", ")


def test_a_sandbox_loads_only_the_plugins_that_are_named_and_that_of_its_store(tmp_path):
    with sandbox(plugins=["retry", "cron"]) as made:
        assert names_of(made) == ["cron", "retry", "store-sqlite"]
        job = KeptJob.create()
        assert made.work_off() == 1
        assert job.reload().is_completed
    with sandbox(f"sqlite:///{tmp_path}/x.db", plugins=[]) as made:
        assert names_of(made) == ["store-sqlite"]


def test_a_sandbox_takes_plugins_that_are_not_installed():
    counting = Counting()
    with sandbox(plugins=[counting, "retry"]) as made:
        KeptJob.create()
        made.work_off()
    assert counting.changes == 2
    with sandbox(plugins=["retry"]) as made:
        KeptJob.create()
        made.work_off()
    assert counting.changes == 2


def test_a_plugin_that_a_sandbox_loads_can_still_be_disabled():
    with sandbox(plugins=["retry", "cron"], disabled_plugins=["cron"]) as made:
        assert {i.name: i.enabled for i in made.plugins.infos()} == {
            "cron": False,
            "retry": True,
            "store-sqlite": True,
        }
        configure(disabled_plugins=["retry", "batch"])
        assert {i.name: i.enabled for i in made.plugins.infos()} == {
            "cron": True,
            "retry": False,
            "store-sqlite": True,
        }


def test_a_plugin_that_is_not_installed_is_refused_with_the_name_that_was_meant():
    before = application.current()
    with (
        pytest.raises(PluginError, match=r"no plugin retri to load .*; did you mean retry\?"),
        sandbox(plugins=["retri"]),
    ):
        pass
    assert application.current() is before


def test_a_plugin_that_cannot_be_loaded_fails_the_test_that_names_it(monkeypatch):
    source = "@hookimpl\ndef state_change(job): ..."
    install(monkeypatch, entry_point(monkeypatch, "misspelt", source))
    with sandbox(plugins=["retry"]) as made:
        assert "misspelt" not in names_of(made)
    with (
        pytest.raises(PluginError, match="did you mean state_changed"),
        sandbox(plugins=["misspelt"]),
    ):
        pass


def test_the_module_of_an_installed_plugin_is_that_plugin():
    with sandbox(plugins=[retry, "retry", store_sqlite]) as made:
        assert names_of(made) == made.plugins.names == ["retry", "store-sqlite"]
        KeptJob.create()
        assert made.work_off() == 1
