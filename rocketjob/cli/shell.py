"""`rocketjob shell`: a Python prompt, or a script, with the job classes imported.

Imports within functions: a command loads no more than it needs, so that it starts quickly.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from rocketjob import application
from rocketjob.base.errors import StoreError
from rocketjob.cli.command import command
from rocketjob.cli.errors import FAILURE, SUCCESS
from rocketjob.cli.output import print_pairs, styled
from rocketjob.cli.session import actor, import_app, store_line, warn

HERE = ("localhost", "127.0.0.1", "::1")
LINES = 1000  # of the history that are kept
ALSO = "Job Server store rocketjob ObjectId datetime timedelta UTC"
Names = dict[str, Any]


@command(
    "shell",
    makes_store=False,
    short_help="A Python prompt with the job classes imported.",
    examples=[
        ("A prompt", "shell --app myapp.jobs"),
        ("One line", "shell -c 'print(ReportJob.failed().count())'"),
        ("A script", "shell < tidy.py"),
        ("What is changed is recorded with its reason", 'shell --reason "wrong file"'),
    ],
)
@click.option("-c", "code", metavar="CODE", help="run this, and end")
@click.option("--plain", is_flag=True, help="Python's own prompt, even if IPython is installed")
@click.pass_context
def shell(ctx: click.Context, code: str | None, plain: bool) -> None:
    """A Python prompt in which the job classes of the app and of the plugins are imported.

    It is IPython if that is installed. With -c, or if standard input is not a terminal, what is
    given there is run instead; if it raises, the traceback is printed and the exit code is 1. What
    is changed here is recorded as done by whoever runs it: see `rocketjob audit`.
    """
    is_script = code is not None or not sys.stdin.isatty()
    import_app(lenient=not is_script)
    names = _names()
    if code is not None:
        status = _run(code, "<command>", names)
    elif is_script:
        status = _run(sys.stdin.read(), "<stdin>", names)
    else:
        _greet(names)
        status = _prompt(names, plain)
    ctx.exit(status)


# --- what there is ---------------------------------------------------------------------------


def _names() -> Names:
    """Return what can be used at once: what most need, and all classes, by name."""
    from datetime import UTC, datetime, timedelta  # all for start-up time

    from bson import ObjectId

    import rocketjob
    from rocketjob.model.document import Document
    from rocketjob.model.registry import loaded_classes

    names: Names = {"rocketjob": rocketjob, "store": application.current().store}
    names |= {"ObjectId": ObjectId, "UTC": UTC, "datetime": datetime, "timedelta": timedelta}
    names |= {cls.__name__: cls for cls in loaded_classes(Document)}
    return {**names, "__name__": "__main__", "__doc__": None}


def _greet(names: Names) -> None:
    """Say above all which store this is: what is typed here is done there."""
    python = ".".join(map(str, sys.version_info[:3]))
    current = application.current()
    others = [store.url for store in current.stores()[1:]]
    click.echo(f"RocketJob {names['rocketjob'].__version__}, Python {python}")
    print_pairs(
        [
            *(("store", line) for line in (store_line(), *others)),
            ("you", f"{actor() or 'nobody known'}; what you change is recorded as yours"),
            ("classes", _own_classes(names, current.config.app)),
            ("also", f"{ALSO}, and the classes of plugins"),
        ]
    )
    hosts = _hosts([current.store.url, *others])
    try:
        names["Job"].collection().find_one({}, {"_id": 1})
    except StoreError as error:  # there is much to be tried without one
        warn(str(error))
    if hosts:
        text = f"on {' and '.join(hosts)}, not on this machine: others may work there"
        click.echo(styled(text, fg="yellow", bold=True))


def _own_classes(names: Names, modules: Iterable[str]) -> str:
    packages = {module.partition(".")[0] for module in modules}
    if not packages:
        return "none of yours: --app MODULE imports them"
    own = [n for n, value in names.items() if _package(value) in packages]
    return " ".join(sorted(own)) or f"none in {', '.join(modules)}"


def _package(value: Any) -> str:
    return value.__module__.partition(".")[0] if isinstance(value, type) else ""


def _hosts(urls: Iterable[str]) -> list[str]:
    """Return the machines that stores are on, other than this one."""
    hosts = []
    for url in urls:
        netloc = urlsplit(url).netloc.rpartition("@")[2]  # several in a replica set
        names = [host.rpartition(":")[0] or host for host in netloc.split(",") if host]
        hosts += [name for name in names if name.strip("[]") not in HERE]
    return list(dict.fromkeys(hosts))


# --- scripts ---------------------------------------------------------------------------------


def _run(code: str, file: str, names: Names) -> int:
    """Run a script; return the exit code."""
    import linecache  # both for start-up time
    import traceback

    linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
    try:
        exec(compile(code, file, "exec"), names)
    except SystemExit as end:
        return _status(end)
    except (KeyboardInterrupt, BrokenPipeError):
        raise
    except BaseException as error:
        within = error.__traceback__ and error.__traceback__.tb_next
        told = traceback.format_exception(type(error), error, within)
        click.echo("".join(told), err=True, nl=False)
        return FAILURE
    return SUCCESS


def _status(end: SystemExit) -> int:
    """Return the exit code that `sys.exit` was given, as Python itself would."""
    if end.code is None or isinstance(end.code, int):
        return end.code or SUCCESS
    click.echo(end.code, err=True)
    return FAILURE


# --- prompts ---------------------------------------------------------------------------------


def _prompt(names: Names, plain: bool) -> int:
    import importlib.util  # for start-up time

    if plain or importlib.util.find_spec("IPython") is None:
        return _python(names)
    ipython: Any = importlib.import_module("IPython")
    ipython.start_ipython(argv=["--no-banner"], user_ns=names)
    return SUCCESS


def _python(names: Names) -> int:
    """Let a person type, with Tab and the lines of the last time."""
    import code  # for start-up time

    with _editing(names):
        try:
            code.interact("", local=names, exitmsg="")
        except SystemExit as end:
            return _status(end)
    return SUCCESS


@contextlib.contextmanager
def _editing(names: Names) -> Iterator[None]:
    """Complete names, and keep the history; without the library for that there is neither."""
    try:
        import readline
        import rlcompleter
    except ImportError:  # as on Windows
        yield
        return
    readline.set_completer(rlcompleter.Completer(names).complete)
    is_libedit = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if is_libedit else "tab: complete")
    file = _history_file()
    with contextlib.suppress(OSError):
        readline.read_history_file(file)
    try:
        yield
    finally:
        readline.set_history_length(LINES)
        with contextlib.suppress(OSError):  # a home that cannot be written to
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch(0o600)  # what was typed may be secret
            readline.write_history_file(file)


def _history_file() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "rocketjob" / "shell_history"
