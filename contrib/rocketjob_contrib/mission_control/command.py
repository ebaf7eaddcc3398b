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
    ),
)
@click.option("--host", metavar="HOST", default="127.0.0.1", show_default=True)
@click.option(
    "--port", metavar="PORT", type=click.IntRange(0, 65535), default=8787, show_default=True
)
@click.option("--path", metavar="PATH", default="", help="serve it below this path")
@click.option("--read-only", is_flag=True, help="let nobody change anything")
@click.option("--title", metavar="TEXT", help="of the environment, such as Production")
def web(host: str, port: int, path: str, read_only: bool, title: str | None) -> None:
    """Serve the web interface, to this machine only, until Ctrl-C.

    To let others in, mount it in an application that knows who they are: see docs/web.md.
    """
    try:
        from rocketjob_contrib.mission_control.serve import serve
    except ImportError as error:
        raise Failure(f"{MISSING} ({error})") from error
    import_app(lenient=True)
    serve(host, port, path=path, read_only=read_only, title=title)
