"""`rocketjob demo --web`: the web interface over a store with something of everything."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import click

from rocketjob import application
from rocketjob.application import Application
from rocketjob.base.config import Config
from rocketjob.base.log import Logger
from rocketjob.cli import Failure
from rocketjob.cli.session import session_of

from . import population

STEP_SECONDS = 1.0
log = Logger("rocketjob.demo")


def show(ctx: click.Context, port: int) -> None:
    """Fill a store, and serve it until Ctrl-C; what was stored is removed then.

    Raises:
        Failure: the web interface is not installed, or is switched off.
    """
    root = ctx.find_root()
    commands = root.command
    command = commands.get_command(root, "web") if isinstance(commands, click.Group) else None
    if command is None:
        raise Failure("there is no command web: pip install 'rocketjob[web]'")
    with _store(session_of(ctx).given.get("url")):
        try:
            population.populate()
            with _life():
                ctx.invoke(command, host="127.0.0.1", port=port, path="", title="Demo")
        finally:
            population.remove()


@contextlib.contextmanager
def _store(url: str | None) -> Iterator[None]:
    disabled = application.current().config.disabled_plugins
    with tempfile.TemporaryDirectory(prefix="rocketjob-demo-") as folder:
        address = url or f"sqlite:///{Path(folder) / 'demo.db'}"
        with application.using(Application(Config(url=address, disabled_plugins=disabled))):
            yield


@contextlib.contextmanager
def _life() -> Iterator[None]:
    """Move the store on, a step each second, until the block is left."""
    over, life = threading.Event(), population.Life()

    def live() -> None:
        while not over.wait(STEP_SECONDS):
            try:
                life.step()
            except Exception as error:
                log.warning("the demo's store was not moved on", error=str(error)[:300])

    thread = threading.Thread(target=live, name="demo-life", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
