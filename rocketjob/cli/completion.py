"""`rocketjob completion`: the script that lets a shell complete this command line."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from rocketjob.cli.command import command

# bash takes a colon for the end of a word, and would complete only what is behind module: then.
BASH_WORDS = "COMP_WORDBREAKS=${COMP_WORDBREAKS//:}"
VARIABLE = "_ROCKETJOB_COMPLETE"


@command(
    "completion",
    changes=False,
    short_help="Print a completion script.",
    examples=[
        ("bash, permanently", "completion bash >> ~/.bashrc"),
        ("zsh, permanently", "completion zsh >> ~/.zshrc"),
        ("fish, in this session", "completion fish | source"),
    ],
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), metavar="SHELL")
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands, options, job classes, fields and ids in SHELL.

    SHELL is bash, zsh or fish.
    """
    completer = get_completion_class(shell)
    if completer is None:
        raise click.UsageError(f"this version of click has no completion for {shell}")
    script = completer(ctx.find_root().command, {}, "rocketjob", VARIABLE)
    click.echo(script.source_template % script.source_vars())
    if shell == "bash":
        click.echo(BASH_WORDS)
