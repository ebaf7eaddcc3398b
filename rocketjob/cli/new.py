"""`rocketjob new`: write the first version of a plugin or of an application."""

from __future__ import annotations

import keyword
import re
import shutil
import sys
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from pathlib import Path

import click

from rocketjob.cli.command import Group
from rocketjob.cli.errors import BadInput, Failure
from rocketjob.plugins.hookspecs import GROUP

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST = 40
SUFFIX = ".template"  # so that no tool takes what is in there for a file of ours
OURS, TAKEN = "rocketjob", ("tests", "test")


@click.group(
    "new",
    cls=Group,
    examples=[
        ("A plugin, as rocketjob-plugin-slack", "new plugin slack"),
        ("An application, as shop", "new project shop"),
    ],
)
def new() -> None:
    """Write a new plugin or application."""


@new.command(
    "plugin", changes=False, examples=[("Write rocketjob-plugin-slack", "new plugin slack")]
)
@click.argument("name")
@click.option("--into", default=".", metavar="DIRECTORY", help="where the new directory is made")
def plugin(name: str, into: str) -> None:
    """Write a distribution: a mixin, a hook, a setting, their tests with the contract suites.

    It is a directory rocketjob-plugin-NAME, ready to be installed, tested and published. Nothing
    that exists is overwritten.
    """
    _check(name)
    found = [each for each in metadata.entry_points(group=GROUP) if each.name == name]
    if found:
        raise BadInput(f"there is a plugin {name} already: {found[0].value}. Choose another name")
    path = _write("plugin", name, Path(into) / f"rocketjob-plugin-{name}")
    _say_what_is_next(path, "rocketjob plugins " + name)


@new.command("project", changes=False, examples=[("Write shop", "new project shop")])
@click.argument("name")
@click.option("--into", default=".", metavar="DIRECTORY", help="where the new directory is made")
def project(name: str, into: str) -> None:
    """Write an application: jobs, settings, tests, a Dockerfile, a compose file, a systemd unit.

    It is a directory NAME, ready to be installed, tested and run. Nothing that exists is
    overwritten.
    """
    _check(name)
    module = _module(name)
    if module.startswith(OURS) or module in TAKEN or module in sys.stdlib_module_names:
        raise BadInput(f"{name} would hide a module {module} that exists: choose another name")
    path = _write("project", name, Path(into) / name)
    _say_what_is_next(path, "rocketjob server")


def _check(name: str) -> None:
    """Refuse what cannot be part of the names of a distribution, a module and a class.

    Raises:
        BadInput: the message says what can.
    """
    if not NAME.fullmatch(name) or len(name) > LONGEST:
        raise BadInput(
            f"{name!r} cannot be a name: use small letters, digits and single hyphens, beginning "
            f"with a letter, at most {LONGEST} in all"
        )
    if keyword.iskeyword(_module(name)) or keyword.issoftkeyword(_module(name)):
        raise BadInput(f"{name} is a word of Python, so no module can be called so")


def _write(kind: str, name: str, path: Path) -> Path:
    """Write the files of a template into a new directory.

    Raises:
        Failure: it exists, or cannot be made.
    """
    words = {
        "name": name,
        "module": _module(name),
        "Class": "".join(part.capitalize() for part in name.split("-")),
        "VARIABLE": _module(name).upper(),
        "version": _version(),
    }
    try:
        path.mkdir()  # and not its parents: a directory that is misspelt is no new one
    except FileExistsError:
        raise Failure(f"{path} exists already: nothing was written") from None
    except OSError as error:
        raise Failure(f"{path} cannot be made: {error.strerror}") from None
    try:
        _fill(resources.files(__package__) / "templates" / kind, path, words)
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)  # half of it is of no use, and in the way
        raise
    return path


def _fill(template: Traversable, path: Path, words: dict[str, str]) -> None:
    for each in template.iterdir():
        target = path / _filled(each.name.removesuffix(SUFFIX), words)
        if each.is_dir():
            target.mkdir()
            _fill(each, target, words)
        else:
            with target.open("x", encoding="utf-8") as file:
                file.write(_filled(each.read_text(encoding="utf-8"), words))


def _filled(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text


def _module(name: str) -> str:
    return name.replace("-", "_")


def _version() -> str:
    """Return which versions of RocketJob are compatible with this one, as a requirement."""
    from rocketjob import __version__  # for start-up time

    major, minor = __version__.split(".")[:2]
    following = f"0.{int(minor) + 1}" if major == "0" else str(int(major) + 1)
    return f">={major}.{minor},<{following}"


def _say_what_is_next(path: Path, run: str) -> None:
    click.echo(f"Wrote {path}. Next:\n")
    click.echo(f"  cd {path}")
    click.echo("  python3 -m venv .venv && . .venv/bin/activate")
    click.echo("  pip install -e '.[dev]'")
    click.echo("  pytest && mypy && pyright")
    click.echo(f"  {run}")
