"""Commands and groups whose help has examples, and which all take the global options."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import click

from rocketjob.base.acts import acting
from rocketjob.base.text import hinted
from rocketjob.cli.options import GlobalOption, global_options
from rocketjob.cli.session import actor, session_of

Example = tuple[str, str]
"""What a command line does, and the command line without the `rocketjob` in front."""

F = TypeVar("F", bound=Callable[..., Any])


class _Teaching(click.Command):
    """Help with examples after the text, and the global options separate from the command's own."""

    examples: Sequence[Example] = ()
    section: str | None = None

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        self.format_examples(formatter)
        self.format_sections(ctx, formatter)
        self.format_own_options(ctx, formatter)
        self.format_global_options(ctx, formatter)
        self.format_epilog(ctx, formatter)

    def format_examples(self, formatter: click.HelpFormatter) -> None:
        if not self.examples:
            return
        with formatter.section("Examples"):
            for text, line in self.examples:
                formatter.write(f"  # {text}\n  rocketjob {line}\n")

    def format_sections(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the part between the examples and the options."""

    def format_own_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        options = [
            param
            for param in self.get_params(ctx)
            if isinstance(param, click.Option) and not isinstance(param, GlobalOption)
        ]
        write_options(ctx, formatter, "Options", options)

    def format_global_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        names = [p.opts[-1] for p in self.get_params(ctx) if isinstance(p, GlobalOption)]
        if names:
            formatter.write_paragraph()
            formatter.write_text(f"Global options: {' '.join(names)} (see rocketjob --help)")


def write_options(
    ctx: click.Context,
    formatter: click.HelpFormatter,
    title: str,
    params: Iterable[click.Parameter],
) -> None:
    """Write a section of the help with these options, should there be any."""
    rows = [row for param in params if (row := param.get_help_record(ctx)) is not None]
    if rows:
        with formatter.section(title):
            formatter.write_dl(rows)


class Command(_Teaching):
    """A command.

    Args:
        examples: pairs of what it does and the command line, for the help.
        section: the heading under which `rocketjob --help` lists it.
        makes_store: whether a store that does not exist is made; not by what only looks.
        changes: whether a person changes something with it. It then has `--reason`, and what it
            changes is recorded as that person's doing: see the hook `act_writes`.
    """

    def __init__(
        self,
        *args: Any,
        examples: Sequence[Example] = (),
        section: str | None = None,
        makes_store: bool = True,
        changes: bool = True,
        **attributes: Any,
    ) -> None:
        super().__init__(*args, **attributes)
        self.examples, self.section, self.makes_store = examples, section, makes_store
        self.changes = changes
        if changes and not any(param.name == "reason" for param in self.params):
            self.params.append(_reason_option())
        own = [flag for param in self.params for flag in param.opts if flag.startswith("-")]
        self.params.extend(global_options(own))

    def invoke(self, ctx: click.Context) -> Any:
        session = session_of(ctx)
        session.apply(self.makes_store)
        if not self.changes:
            return super().invoke(ctx)
        reason = ctx.params.get("reason", session.reason)
        with acting(actor(), how=_how(ctx), via="command", reason=reason):
            return super().invoke(ctx)


def _how(ctx: click.Context) -> str:
    """Return the command as it is written, with `rocketjob` for whatever it was called as."""
    return " ".join(["rocketjob", *ctx.command_path.split()[1:]])


def _reason_option() -> click.Option:
    return click.Option(
        ["--reason"],
        metavar="TEXT",
        expose_value=False,
        callback=_note_reason,
        help="why; kept with what is changed",
    )


def _note_reason(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    session_of(ctx).reason = value
    return value


class Group(_Teaching, click.Group):
    """A group of commands; without one it prints its help. `makes_store` holds for all of it."""

    command_class = Command

    def __init__(
        self,
        *args: Any,
        examples: Sequence[Example] = (),
        section: str | None = None,
        makes_store: bool = True,
        **attributes: Any,
    ) -> None:
        attributes.setdefault("invoke_without_command", True)
        super().__init__(*args, **attributes)
        self.no_args_is_help = False
        self.examples, self.section, self.makes_store = examples, section, makes_store
        self.params.extend(global_options())

    def invoke(self, ctx: click.Context) -> Any:
        session_of(ctx).apply(self.makes_store)
        value = super().invoke(ctx)
        if ctx.invoked_subcommand is None:
            click.echo(ctx.get_help())
        return value

    def added_to(self, ctx: click.Context, group: str) -> Mapping[str, click.Command]:
        """Return the commands that plugins add to one of the groups in this one."""
        return {}

    def _added(self, ctx: click.Context) -> Mapping[str, click.Command]:
        root = ctx.find_root().command
        if root is self or not isinstance(root, Group):
            return {}
        return root.added_to(ctx, self.name or "")

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self._added(ctx)})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return super().get_command(ctx, name) or self._added(ctx).get(name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        known = self.get_command(ctx, name) is not None
        if not known and not ctx.resilient_parsing and not name.startswith("-"):
            raise click.UsageError(self._unknown(ctx, name), ctx)
        return super().resolve_command(ctx, args)

    def _unknown(self, ctx: click.Context, name: str) -> str:
        problem = f"there is no command {ctx.command_path} {name}"
        root = ctx.find_root()
        if isinstance(root.command, click.Group) and root.command.get_command(root, name):
            return f"{problem}; did you mean {root.command_path} {name}?"
        return hinted(problem, name, self.list_commands(ctx))

    def format_sections(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(ctx, formatter)


Group.group_class = Group


def command(
    name: str, *, examples: Sequence[Example] = (), **attributes: Any
) -> Callable[[Callable[..., Any]], Command]:
    """Make a function a command, to be named in `root.ENTRIES`."""
    return click.command(name, cls=Command, examples=examples, **attributes)


def limit_option(default: int = 50, of: str = "") -> Callable[[F], F]:
    """Return a decorator for `--limit`; the function takes `limit`, 0 for all.

    Args:
        of: what is limited, for the help.
    """
    return click.option(
        "-n",
        "--limit",
        type=click.IntRange(0),
        metavar="N",
        default=default,
        show_default=True,
        help=f"at most N{f' {of}' if of else ''}; 0 for all",
    )


def json_option(function: F) -> F:
    """Decorate a command with `--json`; the function takes `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="print JSON, one object per line")(
        function
    )
