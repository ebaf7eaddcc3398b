"""`rocketjob store`: the store's indexes, and moving everything to another store.

Imports within functions: a command loads no more than it needs, so that it starts quickly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from rocketjob import application
from rocketjob.base.errors import ConfigurationError
from rocketjob.cli.command import Group, json_option
from rocketjob.cli.errors import BadInput, Failure
from rocketjob.cli.output import Cell, Column, print_json, print_table, styled
from rocketjob.store import Store, copying
from rocketjob.store.copying import Copied


@click.group(
    "store",
    cls=Group,
    examples=[
        ("Check the indexes", "store indexes"),
        ("Move to MongoDB", "store copy sqlite:///rocketjob.db mongodb://localhost/rocketjob"),
    ],
)
def store() -> None:
    """Maintain the store: its indexes, and moving to another one."""


@store.command(
    "indexes",
    makes_store=False,
    examples=[
        ("Create missing indexes, and check the others", "store indexes"),
        ("Recreate those whose definition has changed", "store indexes --rebuild"),
    ],
)
@click.option("--rebuild", is_flag=True, help="drop and recreate those that differ")
@json_option
@click.pass_context
def indexes(ctx: click.Context, rebuild: bool, as_json: bool) -> None:
    """Create missing indexes, and check the others.

    You can run it at any time, repeatedly. Exit code 1 if one is not as it should be.
    """
    current = application.current()
    opened = current.store
    rows = []
    for collection, spec, refused in current.create_indexes(opened):
        if refused is not None and rebuild:
            refused = _rebuild(opened, collection, spec)
        rows.append((collection, spec, refused))
    if as_json:
        for collection, spec, refused in rows:
            error = None if refused is None else str(refused)
            print_json({"collection": collection, "index": spec["name"], "error": error})
    else:
        _print_indexes(rows)
    if any(refused is not None for *_, refused in rows):
        ctx.exit(1)


def _rebuild(opened: Store, collection: str, spec: Mapping[str, Any]) -> Exception | None:
    documents = opened.collection(collection)
    try:
        if spec["name"] in documents.index_information():
            documents.drop_index(spec["name"])
        documents.create_index(**spec)
    except Exception as error:
        return error
    return None


def _print_indexes(rows: list[tuple[str, Mapping[str, Any], Exception | None]]) -> None:
    print_table(
        [
            Column("COLLECTION", fixed=True),
            Column("INDEX", fixed=True),
            Column("FIELDS"),
            Column("STATUS", fixed=True),
        ],
        [
            (
                collection,
                str(spec["name"]) + (" (unique)" if spec.get("unique") else ""),
                ", ".join(f"{field} {way}" for field, way in spec["keys"]),
                Cell("ok", "green") if refused is None else Cell("refused", "red"),
            )
            for collection, spec, refused in rows
        ],
    )
    for collection, spec, refused in rows:
        if refused is not None:
            click.echo(f"{collection}, index {spec['name']}: {refused}", err=True)
    if any(refused is not None for *_, refused in rows):
        click.echo(
            "if a definition differs: rocketjob store indexes --rebuild; if two documents have "
            "the same key: remove one of them",
            err=True,
        )


@store.command(
    "copy",
    examples=[
        (
            "From the embedded store to MongoDB",
            "store copy sqlite:///rocketjob.db mongodb://localhost/rocketjob",
        ),
        ("And back", "store copy mongodb://localhost/rocketjob sqlite:///rocketjob.db"),
        (
            "Again, after a copy with --live, and servers stopped",
            "store copy --delete sqlite:///rocketjob.db mongodb://localhost/rocketjob",
        ),
    ],
)
@click.argument("source")
@click.argument("target")
@click.option("--live", is_flag=True, help="copy even if servers are running")
@click.option("--delete", is_flag=True, help="remove from the target what the source does not have")
@json_option
@click.pass_context
def copy(
    ctx: click.Context, source: str, target: str, live: bool, delete: bool, as_json: bool
) -> None:
    """Copy everything from one store to another, and verify it by count and digest.

    Stop the servers first. A copy that was interrupted continues when it is started again: what is
    already in the target is compared and left alone. Exit code 1 if the stores differ at the end.

    With --live most of it can be copied in advance. Then stop the servers and copy again, with
    --delete: jobs that have since completed or been destroyed must not run again on the target.
    """
    current = application.current()
    one, other = _open(source, create=False), _open(target)
    try:
        _refuse_if_empty(one)  # before a target is made, or emptied with --delete
        if not live:
            for url in (one, other):
                _refuse_if_used(url)
        wrong = 0
        for copied in copying.copy(one, other, delete=delete):
            wrong += not copied.is_equal
            _show(copied, as_json)
        current.ensure_indexes(other)
    finally:
        one.close()
        other.close()
    if wrong:
        raise Failure(_difference(wrong))


def _open(url: str, *, create: bool = True) -> Store:
    try:
        return application.current().open_store(url, create=create)
    except ConfigurationError as error:
        raise BadInput(str(error)) from error


def _refuse_if_empty(source: Store) -> None:
    if not source.collection_names():
        raise Failure(
            f"there is nothing in {source.url}, so nothing was copied: is it the right one?"
        )


def _refuse_if_used(opened: Store) -> None:
    from rocketjob.server.server import Server

    servers = opened.collection(copying.LIVING).find({})
    living = [
        str(server.get("name"))
        for server in servers
        if not Server.from_document(server).is_zombie()
    ]
    if living:
        raise Failure(
            f"servers are running on {opened.url}: {', '.join(living)}. Stop them first "
            "(rocketjob servers stop --wait), or add --live"
        )


def _show(copied: Copied, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "collection": copied.collection,
                "written": copied.written,
                "removed": copied.removed,
                "source": {"count": copied.source.count, "digest": str(copied.source)},
                "target": {"count": copied.target.count, "digest": str(copied.target)},
                "equal": copied.is_equal,
            }
        )
        return
    verdict = styled("equal", fg="green") if copied.is_equal else styled("differs", fg="red")
    removed = f"{copied.removed} removed, " if copied.removed else ""
    click.echo(
        f"{copied.collection}: {copied.source.count} documents, {copied.written} written, "
        f"{removed}{verdict} ({copied.source} {copied.target})"
    )


def _difference(number: int) -> str:
    return (
        f"{number} collections differ. If something else is writing to a store, stop it and copy "
        "again; what only the target has is removed with --delete"
    )
