#!/usr/bin/env python3
"""Write the reference from the code: commands, hooks, settings, events, errors, metrics.

    python scripts/reference.py hooks       as Markdown, to standard output

Sphinx calls it for the directive `{reference}` of the pages in docs/reference whenever the
documentation is built: so these pages cannot be out of date.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import click

import rocketjob
import rocketjob_plugins
from rocketjob import Job, RocketJobError, Server
from rocketjob.base import config, sources
from rocketjob.cli import make_cli
from rocketjob.plugins.hook_checks import known_hooks
from rocketjob.states.transitions import AllBut
from rocketjob.testing import sandbox
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.dirmon import DirmonEntry

SECTION = re.compile(r"^(Args|Returns|Raises|Yields|Attributes|Example|Examples):$")
ITEM = re.compile(r"^    ([\w*]+): (.*)$")


def commands() -> str:
    """Every command with its options, as `--help` has them."""
    cli = make_cli()
    context = click.Context(cli, info_name="rocketjob")
    return "\n".join(shown for path in paths_of(cli, context) for shown in command(path))


def paths_of(found: click.Command, context: click.Context) -> Iterator[click.Context]:
    if found.hidden:
        return
    yield context
    if isinstance(found, click.Group):
        for name in sorted(found.list_commands(context)):
            if below := found.get_command(context, name):
                yield from paths_of(below, click.Context(below, info_name=name, parent=context))


def command(context: click.Context) -> Iterator[str]:
    found = context.command
    yield f"## `{context.command_path}`\n"
    yield f"```text\n{found.get_usage(context).removeprefix('Usage: ')}\n```\n"
    yield paragraphs(found.help or "") + "\n"
    root = context.find_root()
    common = set() if context is root else {name for name, _ in options(root)}
    if rows := [(f"`{name}`", help) for name, help in options(context) if name not in common]:
        yield table(("option", ""), rows)


def options(context: click.Context) -> list[tuple[str, str]]:
    found = (each.get_help_record(context) for each in context.command.get_params(context))
    return [record for record in found if record and record[1]]


def hooks() -> str:
    """Every hook with its signature and what its specification says."""
    with sandbox() as rocketjob:
        callers = {
            name: getattr(rocketjob.plugins.hook, name) for name in known_hooks(rocketjob.plugins)
        }
    return "\n".join(hook(name, caller.spec) for name, caller in sorted(callers.items()))


def hook(name: str, spec: Any) -> str:
    function = spec.function
    signature = str(inspect.signature(function)).replace("'", "").replace("(self, ", "(")
    kind = "The first answer that is not None counts. " if spec.opts["firstresult"] else ""
    where = "the kernel" if function.__module__.startswith("rocketjob.") else function.__module__
    return (
        f"## `{name}`\n\n```text\n{name}{signature}\n```\n\n"
        f"{described(inspect.getdoc(function) or '')}\n\n{kind}Brought by {where}.\n"
    )


def settings() -> str:
    """Every setting, with its variable, default and what it is."""
    rows = [
        (
            f"`{setting.key}`",
            f"`{sources.variable(setting.key)}`",
            "none" if setting.default in (None, []) else f"`{setting.default}`",
            setting.help + ("; never shown" if setting.secret else ""),
        )
        for setting in config.known().values()
    ]
    return table(("setting", "variable", "default", ""), rows)


def events() -> str:
    """The events of everything that has states: from which they lead where."""
    parts = []
    for title, cls in (
        ("Jobs", Job),
        ("Batch jobs, besides", Batch),
        ("Servers", Server),
        ("Directory entries", DirmonEntry),
    ):
        known = {} if cls is not Batch else Job.__events__
        rows = [
            (f"`{name}`", from_where(step.sources), step.target, first_line(event.effect))
            for name, event in cls.__events__.items()
            if known.get(name) is not event
            for step in event.transitions
        ]
        if rows:
            parts.append(f"## {title}\n\n{table(('event', 'from', 'to', ''), rows)}")
    return "\n".join(parts)


def from_where(sources: tuple[str, ...] | AllBut) -> str:
    if isinstance(sources, AllBut):
        return f"any but {', '.join(sorted(sources.states))}"
    return ", ".join(sources)


def errors() -> str:
    """Every error, with the builtin that it is too, where it is, and its default message."""
    load_all()
    rows = []
    for error in sorted(below(RocketJobError), key=lambda each: each.__name__):
        builtin = next(base for base in error.__mro__ if base.__module__ == "builtins")
        too = "" if builtin is Exception else f" ({builtin.__name__})"
        place = "rocketjob" if error.__name__ in rocketjob.__all__ else error.__module__
        rows.append((f"`{error.__name__}`{too}", f"`{place}`", first_paragraph(error)))
    return table(("error", "import it from", "what it says by itself"), rows)


def load_all() -> None:
    """Import whatever may define an error."""
    for package in (rocketjob, rocketjob_plugins):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if "templates" not in module.name and not module.name.endswith("__main__"):
                importlib.import_module(module.name)


def below(cls: type) -> set[type]:
    return {each for direct in cls.__subclasses__() for each in (direct, *below(direct))}


def metrics() -> str:
    """Every metric that the kernel and the plugins here declare."""
    with sandbox() as rocketjob:
        found = dict(rocketjob.plugins.metrics)
    rows = [
        (f"`{name}`", type(each).__name__, ", ".join(each.labels), each.unit, each.help)
        for name, each in sorted(found.items())
    ]
    return table(("metric", "kind", "labels", "unit", ""), rows)


PARTS: dict[str, Callable[[], str]] = {
    part.__name__: part for part in (commands, hooks, settings, events, errors, metrics)
}


# --- Markdown ------------------------------------------------------------------------------------


def table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "".join(f"| {' | '.join(cell(each) for each in line)} |\n" for line in lines)


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;") or " "


def paragraphs(text: str) -> str:
    """Return the help of a command; click marks with a backspace what it is not to wrap."""
    parts = []
    for part in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        if "\b" in part:
            parts.append(f"```text\n{part.partition(chr(8))[2].strip(chr(10))}\n```")
        else:
            parts.append(" ".join(part.split()).replace("<", "&lt;"))
    return "\n\n".join(parts)


def described(docstring: str) -> str:
    """Return a docstring with Google's sections as Markdown."""
    lines: list[str] = []
    within = ""
    for line in docstring.splitlines():
        if section := SECTION.match(line):
            within = section[1]
            lines += ["", f"**{within}**", ""]
        elif within and (item := ITEM.match(line)):
            lines.append(f"* `{item[1]}`: {item[2]}")
        elif within and line.startswith("    "):
            lines.append(f"  {line.strip()}" if lines[-1].startswith(("*", "  ")) else line.strip())
        else:
            within = "" if line else within
            lines.append(line)
    return "\n".join(lines).strip()


def first_line(thing: object) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0]


def first_paragraph(thing: object) -> str:
    return " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split())


def main() -> int:
    if len(sys.argv) != 2 or sys.argv[1] not in PARTS:
        print(f"name one of {', '.join(PARTS)}", file=sys.stderr)
        return 2
    print(PARTS[sys.argv[1]]())
    return 0


if __name__ == "__main__":
    sys.exit(main())
