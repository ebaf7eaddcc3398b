"""`rocketjob server`: run a server until it is stopped.

Imports within functions: a command loads no more than it needs, so that it starts quickly.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rocketjob import application
from rocketjob.application import Application
from rocketjob.base.directory import of_process
from rocketjob.base.ending import end_soon
from rocketjob.base.errors import ConfigurationError, RocketJobError
from rocketjob.base.log import Logger, put_back
from rocketjob.base.text import counted
from rocketjob.cli.command import Command
from rocketjob.cli.options import setting_option
from rocketjob.cli.output import print_pairs, styled
from rocketjob.cli.session import session_of, store_line
from rocketjob.store.capabilities import refuse_one_process

if TYPE_CHECKING:
    from rocketjob.server.classes import Classes

log = Logger("rocketjob.cli.server")
WHY_SHARED = "a server has several"
EXAMPLES = (
    ("run the jobs of one module", "server --app myapp.jobs"),
    ("20 threads in 4 processes", "server --app myapp.jobs --workers 20 --processes 4"),
    ("only some classes", "server --app myapp.jobs --filter 'Report|Import'"),
    ("only some jobs", """server --app myapp.jobs --where '{"priority": {"$lte": 10}}'"""),
    ("under systemd or in a container", "server --app myapp.jobs --log json"),
    ("with an answer to probes", "server --app myapp.jobs --health 127.0.0.1:8080"),
    ("to a terminal and a file", "server --app myapp.jobs --log console,./jobs.log"),
    ("while you write the jobs", "server --app myapp.jobs --reload"),
)


@click.command(
    "server",
    changes=False,
    cls=Command,
    short_help="Run a server until it is stopped.",
    examples=EXAMPLES,
)
@setting_option("workers", "-w")
@setting_option("async_workers")
@setting_option("processes", "-p")
@setting_option("name", "-n")
@setting_option("include", "-i", "--filter")
@setting_option("exclude", "-E")
@setting_option("where", "-W")
@setting_option("grace_seconds", "--grace", metavar="SECONDS")
@setting_option("heartbeat_seconds", "--heartbeat", metavar="SECONDS")
@setting_option("health", metavar="HOST:PORT")
@setting_option("log", metavar="TARGET,...")
@click.option("-q", "--quiet", is_flag=True, help="no banner, and only warnings and errors")
@click.option(
    "--pidfile",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="write the process id to this file; removed at the end",
)
@click.option(
    "--until-eof",
    is_flag=True,
    help="stop when standard input ends, as it does when the program that started it ends",
)
@click.option(
    "--reload",
    is_flag=True,
    help="start again when a source file of the app changes; for development",
)
@click.pass_context
def server(
    ctx: click.Context, quiet: bool, pidfile: Path | None, until_eof: bool, reload: bool
) -> None:
    """Run a server: it runs jobs until it is stopped.

    Ctrl-C or SIGTERM gives running work --grace seconds to finish; a second one ends it at once,
    and what was running is queued again. Exit code 0 if all running work finished, 1 if some had to
    be queued again.
    """
    if reload:
        from rocketjob.cli import reloading  # for start-up time

        if not reloading.is_started():
            with _pidfile(pidfile):
                ctx.exit(_reloaded(until_eof))
        pidfile, until_eof = None, True
    if quiet and "log_level" not in session_of(ctx).given:
        session_of(ctx).given["log_level"] = "warn"
        session_of(ctx).apply()
    current = application.current()
    _check(current, ctx)
    loaded = application.loaded_plugins()
    with _logging(current), _pidfile(pidfile):
        if loaded is not None:  # before there was a log
            application.say_what_is_wrong(loaded, current.config)
        banner = not quiet and sys.stderr.isatty()
        code = serve(current, banner=banner, until_eof=until_eof)
    end_soon(code)  # a thread of an app module would hold the process
    ctx.exit(code)


def _reloaded(until_eof: bool) -> int:
    """Watch over a server that is started again when its code changes; return its exit code."""
    from rocketjob.cli.reloading import Reloader, folders_of

    app = application.current().config.app
    if not app:
        raise click.UsageError("--reload watches the modules of the app: name them with --app")
    reloader = Reloader([sys.executable, *sys.orig_argv[1:]], folders_of(app))
    if until_eof:
        threading.Thread(target=_stop_at_eof, args=(reloader,), daemon=True).start()
    return reloader.run()


def serve(current: Application, *, banner: bool = False, until_eof: bool = False) -> int:
    """Load the app, say what is about to run, and run it; return the exit code."""
    from rocketjob.model.app_modules import import_app
    from rocketjob.server.classes import find_classes, refuse_wrong_classes
    from rocketjob.server.supervisor import Supervisor

    directory = of_process()  # before an app module changes it
    import_app(current.config.app)
    put_back()  # the log, if the app has configured logging
    current = application.current()  # the app may have named its store
    refuse_one_process(current.store, WHY_SHARED)
    classes = find_classes(current)
    refuse_wrong_classes(classes)
    if banner:
        show_banner(current, classes)
    warn_of(current, classes)
    supervisor = Supervisor(current, directory)
    if until_eof:
        threading.Thread(target=_stop_at_eof, args=(supervisor,), daemon=True).start()
    with _hang_up():
        return supervisor.run()


# --- what it will run ------------------------------------------------------------------------


def warn_of(current: Application, classes: Classes) -> None:
    """Log if there is nothing to run."""
    if not classes.own and not (current.config.include and classes.plugins):
        log.warning(_no_classes(current, classes))


def _no_classes(current: Application, classes: Classes) -> str:
    if classes.left_out:
        return f"no job class is left to run: the filters exclude all {classes.left_out}"
    if current.config.app:
        modules = ", ".join(current.config.app)
        return f"no job class was found in {modules}: jobs of other modules are not run here"
    return "no app module is named, so none of your jobs run here: use --app MODULE"


# --- the banner ------------------------------------------------------------------------------


def show_banner(current: Application, classes: Classes) -> None:
    """Say on standard error what runs, for whoever has just started it."""
    from rocketjob import __version__

    config = current.config
    with contextlib.redirect_stdout(sys.stderr):
        click.echo(styled(f"RocketJob {__version__}", bold=True))
        pairs = [
            ("store", store_line()),
            ("app", ", ".join(config.app) or styled("none: name it with --app", fg="yellow")),
            ("jobs", _jobs_line(classes)),
            ("workers", _workers_line(current)),
            ("takes", _filters_line(current)),
            ("stop", f"Ctrl-C: running work has {config.grace_seconds:g} s; twice: at once"),
        ]
        print_pairs([(name, value) for name, value in pairs if value], indent="  ")
        click.echo()


def _jobs_line(classes: Classes, limit: int = 6) -> str:
    shown = ", ".join(classes.own[:limit]) or "none of yours"
    more = len(classes.own) - limit
    line = f"{shown} and {more} more" if more > 0 else shown
    count = len(classes.plugins)
    return f"{line} (and {count} of plugins)" if count else line


def _workers_line(current: Application) -> str:
    threads = current.config.workers
    processes = min(current.config.processes or os.cpu_count() or 1, threads)
    return f"{counted(threads, 'thread')} in {counted(processes, 'process', 'processes')}"


def _filters_line(current: Application) -> str:
    config = current.config
    parts = [
        f"classes like {config.include}" if config.include else "",
        f"no classes like {config.exclude}" if config.exclude else "",
        f"jobs where {config.where}" if config.where else "",
    ]
    return ", ".join(part for part in parts if part)


# --- around it -------------------------------------------------------------------------------


def _check(current: Application, ctx: click.Context) -> None:
    """Refuse what can never work, before anything is started."""
    from rocketjob.base.errors import UnsupportedOperation
    from rocketjob.jobs.claims import COLLECTION

    try:
        refuse_one_process(current.store, WHY_SHARED)
        jobs = current.store.collection(COLLECTION)
        if current.config.where:
            jobs.find_one(current.config.where, {"_id": 1})
    except ConfigurationError as error:
        raise click.UsageError(str(error), ctx) from error
    except (UnsupportedOperation, ValueError, TypeError) as error:
        raise click.UsageError(f"where: {error}", ctx) from error


@contextlib.contextmanager
def _logging(current: Application) -> Iterator[None]:
    service = current.log_service().start()
    try:
        yield
    finally:
        service.stop()


@contextlib.contextmanager
def _pidfile(path: Path | None) -> Iterator[None]:
    """Keep the process id in a file; leave it alone once another process has written to it."""
    if path is None:
        yield
        return
    content = f"{os.getpid()}\n"
    try:
        path = path.absolute()
        path.write_text(content)
    except OSError as error:
        raise RocketJobError(f"The pidfile {path} cannot be written: {error}") from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if path.read_text() == content:
                path.unlink()


def _stop_at_eof(supervisor: Any) -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    supervisor.stop()


@contextlib.contextmanager
def _hang_up() -> Iterator[None]:
    """Stop normally when the terminal is closed; under nohup that signal is ignored."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        yield
        return
    before = signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
