"""`rocketjob web`: Mission Control on a server of its own.

Imports within functions: a command loads no more than it needs, so that it starts quickly.
"""

from __future__ import annotations

import click

from rocketjob.cli import Failure, command, import_app

MISSING = "the web interface needs more packages: pip install 'rocketjob[web]'"


@command(
    "web",
    changes=False,
    short_help="Serve Mission Control, the web interface.",
    examples=(
        ("On this machine: http://127.0.0.1:8787", "web"),
        ("For those who only look", "web --read-only"),
        ("Below a path", "web --path /rocketjob"),
        ("For others, with names and passwords", "web --host 0.0.0.0 --users users.toml"),
    ),
)
@click.option("--host", metavar="HOST", default="127.0.0.1", show_default=True)
@click.option(
    "--port", metavar="PORT", type=click.IntRange(0, 65535), default=8787, show_default=True
)
@click.option("--path", metavar="PATH", default="", help="serve it below this path")
@click.option("--read-only", is_flag=True, help="let nobody change anything")
@click.option("--title", metavar="TEXT", help="of the environment, such as Production")
@click.option("--users", metavar="FILE", help="let these in, with their passwords")
def web(
    host: str, port: int, path: str, read_only: bool, title: str | None, users: str | None
) -> None:
    """Serve the web interface until Ctrl-C; without --users to this machine only.

    The file of users is TOML, with a table for each: a password, as `rocketjob web-password`
    prints it, and roles. Passwords are sent as they are: put a proxy with TLS in front. Where an
    application knows already who people are, mount it there: see docs/web.md.
    """
    try:
        from rocketjob_contrib.mission_control.serve import serve
    except ImportError as error:
        raise Failure(f"{MISSING} ({error})") from error
    import_app(lenient=True)
    serve(host, port, path=path, read_only=read_only, title=title, users=users)


@command(
    "web-password",
    changes=False,
    makes_store=False,
    short_help="Print the hash of a password, for the file of web --users.",
    examples=(("Asks for it twice", "web-password"),),
)
def web_password() -> None:
    """Ask for a password and print its hash, for the file of `rocketjob web --users`."""
    from rocketjob_contrib.mission_control.signing_in import hash_password  # for start-up time

    password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    click.echo(hash_password(password))
