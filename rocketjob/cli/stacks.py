"""What servers answer on the command line: what they do, where they are, that a level is set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import click

from rocketjob.base.text import counted, span
from rocketjob.cli.output import Column, clean, print_heading, print_json, print_table
from rocketjob.cli.session import warn
from rocketjob.server.orders import change_level as change_level_of
from rocketjob.server.questions import Given, Reply, ask_servers
from rocketjob.server.server import Server

WORK = (
    Column("WORKER", fixed=True),
    Column("CLASS"),
    Column("JOB", fixed=True),
    Column("SLICE", fixed=True, right=True, spare=1),
    Column("FOR", fixed=True, right=True),
    Column("PROGRESS", spare=2),
)


def show(servers: Sequence[Server], seconds: float, as_json: bool, all_threads: bool) -> None:
    """Print the stacks of servers' threads; exit with 1 if anybody is silent.

    Args:
        all_threads: also of those that perform no job.
    """
    replies = ask_servers(servers, "stacks", seconds)
    for reply in replies:
        if as_json:
            print_json(_stacks(reply))
        else:
            _print_stacks(reply, all_threads)
    end(replies)


def show_work(servers: Sequence[Server], seconds: float, as_json: bool) -> None:
    """Print what each worker of servers does now; exit with 1 if anybody is silent."""
    replies = ask_servers(servers, "work", seconds)
    if as_json:
        for reply in replies:
            print_json(_work(reply))
    else:
        _print_work([_work(reply) for reply in replies if reply.given])
    end(replies)


def change_level(
    servers: Sequence[Server],
    level: str,
    logger: str | None,
    duration: timedelta | None,
    seconds: float,
    as_json: bool,
) -> None:
    """Change the level of servers' logs; exit with 1 if anybody is silent."""
    lasts = None if duration is None else duration.total_seconds()
    replies = change_level_of(servers, level, logger, lasts, seconds)
    for reply in replies:
        if as_json:
            print_json({**_who(reply), "level": level, "silent": reply.silent})
        elif reply.given:
            of = f" of {logger}" if logger else ""
            until = f", for {span(lasts)}" if lasts else ""
            processes = counted(len(reply.given), "process", "processes")
            click.echo(f"{reply.server.name}: the level{of} is {level}{until} ({processes})")
    end(replies)


def end(replies: Sequence[Reply]) -> None:
    """Say who did not answer, and exit with 1 if anybody did not."""
    missing = [line for reply in replies for line in reply.missing]
    for line in missing:
        warn(line)
    if missing:
        raise click.exceptions.Exit(1)


def _who(reply: Reply) -> dict[str, Any]:
    return {"id": reply.server.id, "name": reply.server.name}


# --- stacks ----------------------------------------------------------------------------------


def _stacks(reply: Reply) -> dict[str, Any]:
    names = ("name", "pid", "threads")
    return {
        **_who(reply),
        "dead": reply.server.is_gone(),
        "silent": reply.silent,
        "processes": [{name: each.content[name] for name in names} for each in reply.given],
    }


def _print_stacks(reply: Reply, all_threads: bool) -> None:
    for each in reply.given:
        if each.is_worker or all_threads:  # the supervisor performs no job
            _print_process(each, all_threads)


def _print_process(given: Given, all_threads: bool) -> None:
    role = "" if given.is_worker else ", the supervisor"
    print_heading(clean(f"{given.name} (process {given.content['pid']}{role})"))
    threads = given.content["threads"]
    shown = [each for each in threads if all_threads or "job_id" in each]
    for each in shown:
        _print_thread(each)
    if others := len(threads) - len(shown):
        none = "" if shown else "performs nothing; "
        click.echo(f"  {none}{counted(others, 'thread')} at no job: see --all")


def _print_thread(each: dict[str, Any]) -> None:
    at = ""
    if "job_id" in each:
        part = f", slice {each['slice']}" if "slice" in each else ""
        at = f": {each['job_class']} {each['job_id']}{part}, for {span(each['seconds'])}"
    click.echo(clean(f"  {each['thread']}{at}"))
    for line in "\n".join(each["stack"]).split("\n"):
        click.echo(clean(f"  {line}"))


# --- work ------------------------------------------------------------------------------------


def _work(reply: Reply) -> dict[str, Any]:
    return {
        **_who(reply),
        "dead": reply.server.is_gone(),
        "silent": reply.silent,
        "workers": sum(each.content["workers"] for each in reply.given),
        "work": [row for each in reply.given for row in each.content["work"]],
    }


def _print_work(answered: Sequence[dict[str, Any]]) -> None:
    rows = list(_rows(answered))
    workers = sum(each["workers"] for each in answered)
    if rows:
        print_table(WORK, rows)
        if idle := workers - len(rows):
            click.echo(f"{counted(idle, 'worker')} at no job", err=True)
    elif answered:
        click.echo(f"{counted(workers, 'worker')}, none at a job")


def _rows(answered: Sequence[dict[str, Any]]) -> Iterator[list[str]]:
    for each in answered:
        for row in each["work"]:
            yield [
                clean(row["thread"]),
                clean(row["job_class"]),
                row["job_id"],
                str(row.get("slice", "")),
                span(row["seconds"]),
                clean(row.get("progress", "")),
            ]
