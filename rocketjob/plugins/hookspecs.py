"""What a plugin may implement.

A plugin is a module (or object) with functions marked ``@hookimpl``; take only the arguments you
need::

    from rocketjob import hookimpl

    @hookimpl
    def state_changed(job, event, source, target):
        print(job, event)

It is found through an entry point of the group ``rocketjob``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import pluggy

from rocketjob.plugins.answers import (
    answer,
    are_indexes,
    is_bytes,
    is_check,
    is_class,
    is_job_class,
    is_reason,
    is_setting,
    is_store,
    is_text,
    is_veto,
    is_whole,
    list_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import click

    from rocketjob.base.config import Config
    from rocketjob.base.settings import Setting
    from rocketjob.jobs.job import Job
    from rocketjob.jobs.reasons import Reason
    from rocketjob.model.document import Document
    from rocketjob.server.checks import Check
    from rocketjob.store import Store

F = TypeVar("F")
GROUP = "rocketjob"
INDEXES = 'indexes by collection, such as {"orders": [{"keys": [("at", 1)], "name": "at"}]}'
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)
ONLY_FOR = "__rocketjob_only_for__"  # what `only_for` sets


def only_for(*job_classes: type[Any]) -> Callable[[F], F]:
    """Have a hook that takes a `job` called for jobs of these classes only, such as a mixin's.

    Where no job of a class concerns any plugin, the hook costs that class nothing::

        @hookimpl
        @only_for(Throttle)
        def veto_claim(job): ...

    Args:
        job_classes: a job of one of them, or of a class below, is asked about.

    Raises:
        TypeError: something else than a class is given, or nothing.
    """
    if not job_classes or not all(isinstance(each, type) for each in job_classes):
        raise TypeError(f"only_for takes classes of jobs, not {job_classes!r}")

    def decorate(function: F) -> F:
        setattr(function, ONLY_FOR, job_classes)
        return function

    return decorate


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
    may share one, if they return the same.
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
def register_commands(cli: click.Group) -> None:
    """Add commands to the command line with `cli.add_command`."""


@hookspec(firstresult=True)
@answer("bytes", is_bytes)
def encrypt(data: bytes) -> bytes | None:
    """Encrypt what a field declared with `encrypted=True` holds, before it is stored."""


@hookspec(firstresult=True)
@answer("bytes", is_bytes)
def decrypt(data: bytes) -> bytes | None:
    """Undo `encrypt`, with whichever key it was encrypted."""


@hookspec(firstresult=True)
@answer("a reason's name and a filter of jobs, or None", is_veto)
def veto_claim(job: Job) -> tuple[str, Mapping[str, Any]] | None:
    """Keep a claimed job from starting now; the first veto counts.

    Called on the worker's thread, after the claim and before the job starts; with `@only_for` just
    for jobs of some classes, which spares all others the call. One that raises, or
    returns anything else, is logged and defers the job, with the plugin's name as the reason.
    Rules that can be read from the store are better limits: see `Job.claim_limits`.

    Returns:
        the reason's name, and a filter of the jobs to leave alone until the next re-check; None
        lets the job start.
    """


@hookspec
@list_of("ids, which are strings", is_text, optional=True)
def claim_owners() -> list[str]:
    """Return the ids of the processes that hold claims of your own making, besides jobs.

    Called now and then by every server, which looks for those that are dead. One that fails is
    named by `doctor`, and the others are called.
    """
    raise NotImplementedError


@hookspec
@answer("how many were reclaimed", is_whole)
def reclaim(
    owner: str, crashed: Mapping[str, str], crash_limit: int, unexplained: str | None
) -> int:
    """Reclaim what a dead process held, as the kernel does with jobs.

    One that fails is named by `doctor`, and the others are called.

    Args:
        owner: the process's id, or a server's, for all its processes.
        crashed: what was being performed when the worker crashed, `job/part`, and how it ended.
        crash_limit: crashes after which a part is given up.
        unexplained: how the whole server ended, where any of what it held may have been the cause;
            else None. See `was_quarantined` and `quarantine` of `rocketjob.jobs.claims`.

    Returns:
        how many claims were reclaimed.
    """
    raise NotImplementedError


@hookspec
@answer("how many wait", is_whole)
def waiting_quarantined() -> int:
    """Count what waits for a process of its own, because its worker crashed before."""
    raise NotImplementedError


@hookspec
@list_of("reasons: rocketjob.jobs.reasons.Reason", is_reason, optional=True)
def explain(job: Job) -> list[Reason]:
    """Say why a queued job is not running now, for `job.explain()`.

    Returns:
        what you know of, as `rocketjob.jobs.reasons.Reason(name, text, until)`; an empty list if
        nothing.
    """
    raise NotImplementedError


@hookspec
def state_changed(job: Job, event: str, source: str, target: str) -> None:
    """Learn of a change of state, after it has been stored.

    An error here is logged with the plugin's name and changes nothing else.
    """
