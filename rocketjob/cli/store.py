"""`rocketjob store`: the store's indexes, its size, and moving everything to another store.

Imports within functions: a command loads no more than it needs, so that it starts quickly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from rocketjob import application
from rocketjob.base.errors import ConfigurationError, StoreError
from rocketjob.base.text import megabytes
from rocketjob.cli.command import Group, json_option
from rocketjob.cli.errors import BadInput, Failure
from rocketjob.cli.output import Cell, Column, print_json, print_table, styled
from rocketjob.cli.session import warn
from rocketjob.model import deeds
from rocketjob.store import Store, copying
from rocketjob.store.copying import Copied
from rocketjob.store.upkeep import Compactable, Space, advice


@click.group(
    "store",
    cls=Group,
    examples=[
        ("Check the indexes", "store indexes"),
        ("Shrink its file", "store compact"),
        ("Move to MongoDB", "store copy sqlite:///rocketjob.db mongodb://localhost/rocketjob"),
    ],
)
def store() -> None:
    """Maintain the store: indexes, size, moving to another."""


@store.command(
    "indexes",
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
    current.leave_indexes()  # those that cannot be made are shown here
    opened = current.store
    deeds.record("indexes", "store", id=opened.url, after={"rebuild": rebuild})
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
    "compact",
    makes_store=False,
    examples=[
        ("Give back the space of what was deleted", "store compact"),
        ("Only show how much that is", "store compact --dry-run"),
    ],
)
@click.option("--dry-run", is_flag=True, help="show how much is free, and do nothing")
@click.option("--live", is_flag=True, help="rewrite even if servers are running; they have to wait")
@json_option
@click.pass_context
def compact(ctx: click.Context, dry_run: bool, live: bool, as_json: bool) -> None:
    """Shrink the embedded store's file, and that of the slices if they have their own.

    If no server is running, the file is rewritten. While servers are running, it is shrunk in small
    steps that disturb nobody. A file created by version 0.1 can only be rewritten: stop the servers
    first, or add --live. The command can be interrupted at any moment without loss.
    """
    current = application.current()
    living = _living(current.store)
    done, failed = 0, False
    for opened in current.stores():
        try:
            done += _compact(opened, living, dry_run=dry_run, live=live, as_json=as_json)
        except StoreError as error:  # the other one can still be made smaller
            click.echo(f"error: {error}", err=True)
            failed = True
    if done and not dry_run:
        deeds.record("compact", "store", id=current.store.url)  # now: it takes room itself
    if failed or not done:
        ctx.exit(1)


def _compact(
    opened: Store, living: Sequence[str], *, dry_run: bool, live: bool, as_json: bool
) -> bool:
    """Make one store smaller; return whether it is of a kind that can be."""
    space = opened.space() if isinstance(opened, Compactable) else None
    if not isinstance(opened, Compactable) or space is None:
        click.echo(f"{opened.url}: {advice(opened)}", err=True)
        return False
    in_steps = bool(living) and space.in_steps and not live
    now = None
    if not dry_run:
        if living and not in_steps and not live:
            raise Failure(_cannot_be_in_steps(opened, living))
        if not in_steps:
            text = f"{opened.url}: rewriting {megabytes(space.bytes)}; what writes meanwhile waits"
            click.echo(text, err=True)
        *_, now = opened.compact(in_steps=in_steps)
    _show_space(opened.url, space, now, in_steps, as_json)
    return True


def _cannot_be_in_steps(opened: Store, living: Sequence[str]) -> str:
    return (
        f"servers are running: {', '.join(living)}. An earlier version made {opened.url}, so it "
        "has to be rewritten once, and nobody can write meanwhile. Stop the servers first "
        "(rocketjob servers stop --wait), or add --live: they wait"
    )


def _show_space(url: str, before: Space, now: Space | None, in_steps: bool, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "store": url,
                "before": before.bytes,
                "free": before.free_bytes,
                "after": None if now is None else now.bytes,
                "log": (now or before).log_bytes,
                "in_steps": in_steps,
                "dry_run": now is None,
            }
        )
        return
    if now is None:
        how = "made smaller in small steps" if in_steps else "rewritten"
        free = megabytes(before.free_bytes)
        click.echo(f"{url}: {megabytes(before.bytes)}, {free} of it free; it would be {how}")
        return
    click.echo(f"{url}: {megabytes(before.bytes)} before, {megabytes(now.bytes)} now")
    if now.log_bytes:
        click.echo(
            f"its log has {megabytes(now.log_bytes)}, because somebody reads an old state of it: "
            "it becomes small when that ends",
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
        _record_copy(one, other, delete)
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


def _record_copy(source: Store, target: Store, delete: bool) -> None:
    """Record a copy in its source, so that it is copied too; a read-only one is copied without."""
    after = {"target": target.url, "delete": delete}
    try:
        deeds.record("copy", "store", id=source.url, after=after, store=source)
    except StoreError as error:
        warn(f"the copy is not recorded in {source.url}: {error}")


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


def _living(opened: Store) -> list[str]:
    """Return the names of the servers that run on a store."""
    from rocketjob.server.server import Server

    servers = opened.collection(copying.LIVING).find({})
    return [str(each.get("name")) for each in servers if not Server.from_document(each).is_zombie()]


def _refuse_if_used(opened: Store) -> None:
    if living := _living(opened):
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
