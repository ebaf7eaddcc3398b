"""`rocketjob completion`: the script that lets a shell complete this command line."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from rocketjob.cli.command import command

VARIABLE = "_ROCKETJOB_COMPLETE"


@command(
    "completion",
    short_help="Print a completion script.",
    examples=[
        ("bash, for good", "completion bash >> ~/.bashrc"),
        ("zsh, for good", "completion zsh >> ~/.zshrc"),
        ("fish, for good", "completion fish > ~/.config/fish/completions/rocketjob.fish"),
    ],
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands, options, job classes, fields and ids in SHELL."""
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"this release of click completes nothing in {shell}")
    script = found(ctx.find_root().command, {}, "rocketjob", VARIABLE)
    click.echo(script.source_template % script.source_vars())
