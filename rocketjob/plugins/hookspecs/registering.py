"""What plugins bring when they are loaded, a store is opened or a command is run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rocketjob.plugins.answers import (
    answer,
    are_indexes,
    is_check,
    is_class,
    is_job_class,
    is_log_target,
    is_metric,
    is_scratch,
    is_setting,
    is_state,
    is_store,
    is_text,
    list_of,
)
from rocketjob.plugins.hookspecs.marks import hookspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    import click

    from rocketjob.base.config import Config
    from rocketjob.base.log_targets import LogTarget
    from rocketjob.base.settings import Setting
    from rocketjob.jobs.job import Job
    from rocketjob.model.document import Document
    from rocketjob.server.checks import Check
    from rocketjob.server.metrics import Metric
    from rocketjob.server.scratch import Scratch
    from rocketjob.states.state import State
    from rocketjob.store import Store

INDEXES = 'indexes by collection, such as {"orders": [{"keys": [("at", 1)], "name": "at"}]}'


@hookspec
def register_hookspecs(manager: Any) -> None:
    """Bring hooks of your own: `manager.add_hookspecs(module)`.

    Called first, once, when the plugins have been loaded.
    """


@hookspec(firstresult=True)
@answer("a store", is_store)
def open_store(url: str, config: Config) -> Store | None:
    """Open the store of a URL whose scheme is yours; return None for any other.

    Called when a process first needs its store. The first store wins. One that raises an error of
    RocketJob's own (StoreError, ConfigurationError) has opened nothing, and nobody else is asked;
    after any other error the others are.
    """


@hookspec(firstresult=True)
@answer("a rocketjob.server.scratch.Scratch", is_scratch)
def open_scratch(url: str, config: Config) -> Scratch | None:
    """Make a place for tests beside the store of a URL that is yours; None for any other URL.

    Called by `rocketjob doctor --deep`, on the main thread. Nothing that is stored may be touched.
    An error of RocketJob's own (StoreError, ConfigurationError) says why nothing can be tried
    there; `StoreUnfit` says that no jobs can be trusted to the server.
    """
    raise NotImplementedError


@hookspec
@list_of("URLs", is_text)
def register_stores(config: Config) -> list[str]:
    """Return the URLs of stores that hold documents of yours, besides that of `url`.

    Called when a server starts, whose worker processes make no store, and by what goes through all
    that is stored. `store_at(url)` of the application opens one.
    """
    raise NotImplementedError


@hookspec
@list_of("settings: rocketjob.base.settings.Setting", is_setting)
def register_settings() -> list[Setting[Any]]:
    """Return the settings that you read; they are set, checked and shown as the kernel's own.

    Called when the plugins have been loaded, so it must not ask for a setting itself. Two plugins
    may share one, if they return the same; otherwise the second of a name, or of a variable, is
    left out. `rocketjob.settings` reads them.
    """
    raise NotImplementedError


@hookspec
@list_of("classes", is_class)
def register_mixins() -> list[type[Document]]:
    """Return the mixins that job classes can use, for `rocketjob plugins` and forms."""
    raise NotImplementedError


@hookspec
@list_of("job classes", is_job_class)
def register_jobs() -> list[type[Job]]:
    """Return the job classes that every server can run, besides those of its `app` modules."""
    raise NotImplementedError


@hookspec
@list_of("states: rocketjob.states.state.State", is_state)
def register_states() -> list[State]:
    """Return states that jobs of your mixins can be in, besides those that every job has.

    Called when the plugins have been loaded. They are counted, listed, filtered, coloured and
    explained like the kernel's, and their commands are commands of `rocketjob jobs`. Two plugins
    cannot have one state: the second one is left out.
    """
    raise NotImplementedError


@hookspec
@answer(INDEXES, are_indexes)
def register_indexes() -> Mapping[str, list[Mapping[str, Any]]]:
    """Return indexes to create, by collection: keyword arguments of `Collection.create_index`."""
    raise NotImplementedError


@hookspec
@list_of("checks: rocketjob.server.checks.Check", is_check)
def register_checks() -> list[Check]:
    """Return what `rocketjob doctor` is to look at; see `rocketjob.server.checks`.

    Called when that command is run. A check that fails is a finding, and the others are still made.
    """
    raise NotImplementedError


@hookspec
@list_of("checks: rocketjob.server.checks.Check", is_check)
def register_signs() -> list[Check]:
    """Return what the verdict on the whole depends on; see `rocketjob.server.verdict`.

    Called by `rocketjob top`, and by Mission Control for all its pages together, every second or
    two: `look` is to take no more than a few bounded reads. A problem makes it FAILING, a warning
    WATCH. One that fails is a warning itself.
    """
    raise NotImplementedError


@hookspec
@list_of("log targets: rocketjob.base.log_targets.LogTarget", is_log_target)
def register_log_targets() -> list[LogTarget]:
    """Return where the log can go, by names that the setting `log` may have.

    Called in each process of a server and in `rocketjob perform`, before the app is imported, and
    only if the setting names a target that is not the kernel's. A name that is taken is refused.
    The handler is called on a thread of its own.
    """
    raise NotImplementedError


@hookspec
@list_of("metrics: Counter, Durations or Gauge of rocketjob.server.metrics", is_metric)
def register_metrics() -> list[Metric]:
    """Return the counters, durations and gauges that you bring; see `rocketjob.server.metrics`.

    Called when something is counted, shown or exported for the first time. One whose name is
    another's is left out, and both plugins are named. The function of a gauge is called whenever
    it is shown or exported.
    """
    raise NotImplementedError


@hookspec
def register_commands(cli: click.Group) -> None:
    """Add commands to the command line.

    `cli.add_command(command)` adds one at its top, `cli.add_to("jobs", command)` one to a group
    that the kernel has. Called once, if what was asked for is not a command of the kernel.
    """
