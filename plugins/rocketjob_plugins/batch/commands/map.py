"""`rocketjob batch map`: which part of a batch job's input is done, in work, waiting or failed."""

from __future__ import annotations

from typing import Any

import attrs
import click
from bson import ObjectId

from rocketjob.base.text import counted, span
from rocketjob.cli import Failure, command, json_option
from rocketjob.cli.output import clean, print_heading, print_json, style_of, styled, terminal_width
from rocketjob.cli.types import JobId
from rocketjob.jobs.shown import class_name
from rocketjob_plugins.batch import slice_map, stragglers
from rocketjob_plugins.batch.batch import Batch
from rocketjob_plugins.batch.commands.shared import batch_job
from rocketjob_plugins.batch.slice_map import SliceMap
from rocketjob_plugins.batch.stragglers import Found, Stragglers

SIGNS = {"completed": "#", "running": ">", "queued": ".", "failed": "X"}
OTHER = "?"
LONGEST_LINE = 100  # signs


@command(
    "map",
    changes=False,
    makes_store=False,
    short_help="Show which part of a job's input is done.",
    examples=[
        ("A sign for each slice, or for several", "batch map 55aeaf03a26ec0c1bd00008d"),
        ("For programs", "batch map 55aeaf03a26ec0c1bd00008d --json | jq .counts"),
    ],
)
@click.argument("id", type=JobId())
@click.option(
    "--cells",
    type=click.IntRange(1, slice_map.MOST),
    metavar="N",
    default=slice_map.MOST,
    show_default=True,
    help="at most so many signs",
)
@json_option
def show_map(id: ObjectId, cells: int, as_json: bool) -> None:
    """Show the slices of a batch job in the order of its input, each as a sign.

    # is completed, > running, . queued, X failed. Where a sign stands for several slices, it has
    the state that matters most: failed, then running, then queued. No record is read.
    """
    job = batch_job(id)
    try:
        found = slice_map.of(job, cells)
    except slice_map.NoMap as error:
        raise Failure(f"{class_name(job)} {id}: {error}") from error
    holding = stragglers.of(job)
    if as_json:
        print_json(_as_json(job, found, holding))
    else:
        _print(job, found, holding)


def _as_json(job: Batch, found: SliceMap, holding: Stragglers) -> dict[str, Any]:
    values = attrs.asdict(found)
    cells = [{**attrs.asdict(cell), "state": cell.state} for cell in found.cells]
    return {
        "id": str(job.id),
        "class": class_name(job),
        "state": job.state,
        **values,
        "cells": cells,
        **attrs.asdict(holding),
    }


def _print(job: Batch, found: SliceMap, holding: Stragglers) -> None:
    state = styled(job.state, fg=style_of(job.state) or None, bold=True)
    click.echo(f"{styled(clean(class_name(job)), bold=True)} {job.id} {state}")
    each = "a slice" if found.in_cell == 1 else f"up to {found.in_cell:,} slices"
    click.echo(
        f"{counted(found.records, 'record')} in slices of {found.slice_size:,}; each sign is {each}"
    )
    if found.is_uploading:
        click.echo("The upload has not ended: more may come.")
    click.echo()
    _print_lines(found)
    click.echo()
    states = dict.fromkeys((*SIGNS, *found.counts))
    click.echo("   ".join(_legend(state, found.counts.get(state, 0)) for state in states))
    if not found.is_sure:
        click.echo("Slices have several lengths: what looks completed may be part of a longer one.")
    for title, slices in (
        ("In work for longest", holding.slowest),
        ("Failed more than once", holding.failing),
    ):
        if slices:
            print_heading(title)
            for each_found in slices:
                click.echo(f"  {clean(_straggler(each_found))}")


def _print_lines(found: SliceMap) -> None:
    numbers = len(f"{found.records:,}")
    length = max(10, min(LONGEST_LINE, terminal_width() - numbers - 2) // 10 * 10)
    for start in range(0, len(found.cells), length):
        line = found.cells[start : start + length]
        signs = "".join(_sign(cell.state) for cell in line)
        click.echo(f"{line[0].first:>{numbers},}  {signs}")


def _sign(state: str) -> str:
    return styled(SIGNS.get(state, OTHER), fg=style_of(state) or None)


def _legend(state: str, number: int) -> str:
    return f"{_sign(state)} {clean(state)} {number:,}"


def _straggler(found: Found) -> str:
    parts = [f"records {found.first:,} to {found.last:,}", found.state]
    if found.since is not None:
        parts.append(f"for {span(found.seconds, 2)}")
    if found.worker_name:
        parts.append(f"on {found.worker_name}")
    if found.failures:
        parts.append(f"failed {counted(found.failures, 'time')}")
    if found.error is not None:
        parts.append(": ".join(found.error)[:200])
    return ", ".join(parts)
