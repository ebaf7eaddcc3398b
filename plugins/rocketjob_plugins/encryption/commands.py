"""`rocketjob encryption`: create keys, and re-encrypt what is stored."""

from __future__ import annotations

import click

from rocketjob import application
from rocketjob.base.encryption import EncryptionContext
from rocketjob.cli import Failure, Group, json_option
from rocketjob.cli.output import print_json
from rocketjob.model import deeds
from rocketjob_plugins.encryption import keys
from rocketjob_plugins.encryption.rotate import Report, key_now, rotate


@click.group(
    "encryption",
    cls=Group,
    short_help="Create keys, and re-encrypt what is stored.",
    examples=[
        ("A new key", "encryption new-key"),
        ("What would be re-encrypted", "encryption rotate --dry-run"),
    ],
)
def encryption() -> None:
    """Manage the keys of encrypted fields, slices and files."""


@encryption.command(
    "new-key",
    changes=False,
    short_help="Print a new key.",
    examples=[
        ("A key", "encryption new-key"),
        ("Only the key, for a secret store", "encryption new-key --id 2025 --quiet"),
    ],
)
@click.option("--id", help="The key's name, which is stored with the data.  [default: today]")
@click.option("--quiet", is_flag=True, help="Print the key and nothing else.")
def new_key(id: str | None, quiet: bool) -> None:
    """Print a new key, and how to use it. It is not stored."""
    key = keys.new_key(id)
    if quiet:
        click.echo(key)
        return
    existing = len(keys.KEYS.of(application.current().config))
    click.echo(key, nl=True)
    click.echo(_how_to(existing), err=True)


def _how_to(existing: int) -> str:
    lines = [
        "",
        "Keep it where only the servers can read it, and keep a copy: what it encrypts cannot be",
        "read without it. Set it in the environment of every server and client:",
        "",
        "    ROCKETJOB_ENCRYPTION_KEYS=<the line above>",
    ]
    if existing:
        lines[-1] += ",<the current keys>"
        lines += [
            "",
            "First add it at the end everywhere, so that all of them can decrypt; then move it to",
            "the front, restart, and run: rocketjob encryption rotate",
        ]
    return "\n".join(lines)


@encryption.command(
    "rotate",
    short_help="Re-encrypt what is stored under the first key.",
    makes_store=False,
    examples=[
        ("Count what is under other keys", "encryption rotate --dry-run"),
        ("Re-encrypt it under the first key", "encryption rotate"),
    ],
)
@click.option("--dry-run", is_flag=True, help="Only count.")
@json_option
@click.pass_context
def rotate_command(ctx: click.Context, dry_run: bool, as_json: bool) -> None:
    """Re-encrypt all stored fields and slices under the first of encryption_keys.

    A plugin that implements encryption itself, or chooses the key, says which key that is instead.
    Servers may keep running. When it is done, and all files you need are under the first key
    too, you can remove the other keys.
    """
    if key_now(EncryptionContext()) is None:
        keys.writing_key()  # which says what is missing
    if not dry_run:
        deeds.record("rotate", "encryption", after={"first": key_now(EncryptionContext())})
    total = Report()
    for store in application.current().stores():
        for name, report in rotate(store, dry_run=dry_run):
            _add(total, report)
            if as_json:
                print_json({"collection": name, "dry_run": dry_run, **_counts(report)})
            elif report.rotated or report.failed or report.busy:
                click.echo(f"{name}: {_summary(report, dry_run)}")
    if not as_json:
        click.echo(f"In all: {_summary(total, dry_run)}")
    _finish(total)


def _finish(total: Report) -> None:
    if total.failed:
        reasons = "; ".join(f"{count}: {reason}" for reason, count in total.failed.items())
        raise Failure(f"{total.failed.total()} values cannot be decrypted ({reasons})")
    if total.busy:
        raise Failure(f"{total.busy} values changed while it ran: run it again")


def _add(total: Report, report: Report) -> None:
    total.current += report.current
    total.busy += report.busy
    total.rotated += report.rotated
    total.failed += report.failed


def _counts(report: Report) -> dict[str, object]:
    return {
        "current": report.current,
        "rotated": report.rotated.total(),
        "busy": report.busy,
        "failed": report.failed.total(),
    }


def _summary(report: Report, dry_run: bool) -> str:
    action = "to re-encrypt" if dry_run else "re-encrypted"
    by_key = ", ".join(f"{count} of {id}" for id, count in sorted(report.rotated.items()))
    summary = f"{report.rotated.total()} {action}" + (f" ({by_key})" if by_key else "")
    return f"{summary}, {report.current} already under the first key"
