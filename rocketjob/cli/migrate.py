"""`rocketjob jobs migrate`: rewrite stored jobs of earlier code as their classes have them now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rocketjob import application
from rocketjob.base.text import counted
from rocketjob.cli.check import progress
from rocketjob.cli.command import Group, json_option
from rocketjob.cli.errors import FAILURE
from rocketjob.cli.output import Column, clean, print_json, print_table
from rocketjob.cli.session import import_app
from rocketjob.model import deeds

if TYPE_CHECKING:
    from rocketjob.queue.migration import Migration, Some


def add_migrate(group: Group) -> None:
    """Add the command to the group `jobs`."""
    group.add_command(
        group.command_class(
            "migrate",
            callback=_migrate,
            params=list(reversed(_migrate.__click_params__)),  # type: ignore[attr-defined]
            short_help="Rewrite jobs that earlier code has stored.",
            help=_HELP,
            examples=[
                ("What would be rewritten", "jobs migrate"),
                ("Rewrite it", "jobs migrate --yes"),
            ],
        )
    )


_HELP = """\
Rewrite stored jobs under the present names of classes and fields, at the present schema_version.

Without --yes it says what it would do. Jobs are run without it too: it is for queries that see only
what is stored, and for the day on which `formerly` and `upcast` are to be removed from the code.

It can be interrupted and started again. Jobs that are running are left alone and named. Exit code 1
if any were left.
"""


@click.option("-y", "--yes", is_flag=True, help="rewrite them, rather than say what would be")
@json_option
@click.pass_context
def _migrate(ctx: click.Context, yes: bool, as_json: bool) -> None:
    from rocketjob.queue.migration import Migration  # for start-up time

    import_app()
    if yes:
        deeds.record("migrate", "store", id=application.current().store.url)
    migration = Migration(application.current().store, writes=yes).run(progress("looked at"))
    _print_as_json(migration) if as_json else _print(migration)
    if not migration.is_complete:
        ctx.exit(FAILURE)


def _print_as_json(migration: Migration) -> None:
    for (name, stored), count in migration.rewritten.items():
        print_json({"class": name, "stored_as": stored, "count": count, "done": migration.writes})
    summary = {"kind": "summary", "jobs": migration.jobs, "changed": migration.changed}
    for name in ("running", "newer", "failed"):
        some: Some = getattr(migration, name)
        summary[name] = {"count": some.count, "named": some.named}
    print_json(summary)


def _print(migration: Migration) -> None:
    total = sum(migration.rewritten.values())
    if total:
        print_table(
            [Column("JOBS", right=True), Column("CLASS"), Column("STORED AS")],
            [
                (f"{count:,}", name, stored if stored != name else "earlier form")
                for (name, stored), count in migration.rewritten.items()
            ],
        )
    _name("running, and left alone", migration.running)
    _name("of newer code, and left alone", migration.newer)
    _name("cannot be rewritten", migration.failed)
    if migration.changed:
        click.echo(f"{counted(migration.changed, 'job')} changed meanwhile: start it again")
    jobs = counted(total, "job")
    if migration.writes:
        click.echo(f"{jobs} rewritten")
    else:
        click.echo(
            f"{jobs} would be rewritten: add --yes to do it" if total else "nothing to rewrite"
        )


def _name(what: str, some: Some) -> None:
    if some.count:
        click.echo(f"{counted(some.count, 'job')} {what}:")
        for text in some.named:
            click.echo(f"  {clean(text)}")
        if some.count > len(some.named):
            click.echo(f"  and {some.count - len(some.named):,} more")
