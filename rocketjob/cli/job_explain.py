"""`rocketjob jobs explain`: why a job is not running now, and when it could."""

from __future__ import annotations

import click
from bson import ObjectId

from rocketjob import Job, application
from rocketjob.cli.command import Command, json_option
from rocketjob.cli.output import clean, moment, print_json
from rocketjob.cli.session import import_app
from rocketjob.cli.types import JobId


@click.command(
    "explain",
    changes=False,
    cls=Command,
    short_help="Say why a job is not running now.",
    examples=[
        ("Why it waits, and when it could start", "jobs explain 55aeaf03a26ec0c1bd00008d"),
        ("For programs", "jobs explain 55aeaf03a26ec0c1bd00008d --json | jq .reasons"),
    ],
)
@click.argument("id", type=JobId())
@json_option
def explain(id: ObjectId, as_json: bool) -> None:
    """Say why a job is not running now, and when it could.

    It checks the same conditions as a server that looks for work: state, time, class, limits,
    and what plugins have to say.
    """
    import_app(lenient=True)
    _ = application.current().plugins
    explanation = Job.find(id).explain()
    if as_json:
        reasons = [{"name": r.name, "text": r.text, "until": r.until} for r in explanation.reasons]
        head = {
            "id": id,
            "state": explanation.state,
            "until": explanation.until,
            "note": explanation.note,
        }
        print_json({**head, "reasons": reasons})
        return
    for line in str(explanation).splitlines():
        click.echo(clean(line))
    if explanation.until is not None:
        click.echo(f"It can start at {moment(explanation.until)}")
