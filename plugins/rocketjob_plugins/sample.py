"""Sample records to try things out with: any number, always the same, some of them bad.

    for record in records(1_000_000, bad=0.001, seed=7): ...

    job.upload(lines("csv", 10_000, bad=0.01))

On the command line: `rocketjob sample csv --rows 1000000 --bad 0.1% > orders.csv`. The output
depends only on the arguments, and nothing is kept in memory.

Fields: `id` (from 1), `name`, `email`, `city`, `amount` and `ordered_on`. A bad record has one
fault: an amount that is not a number, an email without an @, a date that does not exist, no name,
or, as a line of csv or psv, a surplus field. Of n records, n times `bad` are bad, rounded.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import random
import sys
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from rocketjob import hookimpl

if TYPE_CHECKING:
    import click

FORMATS = ("csv", "psv", "json")
COLUMNS = ("id", "name", "email", "city", "amount", "ordered_on")
FIRST = ("Ada", "Björn", "Chloé", "Dmitri", "Elif", "Fatima", "Grace", "Hiro", "Inês", "Jack")
LAST = ("Abara", "Brown", "Castro", "Dubois", "Eriksen", "Fischer", "García", "Ito", "O'Neil", "Wu")
CITIES = ("Berlin", "Lagos", "Lima", "New York, NY", "Osaka", "Paris", "São Paulo", "Sydney")
EPOCH = date(2020, 1, 1)
BLOCK = 1000  # lines written at once


def records(rows: int, *, bad: float = 0.0, seed: int = 0) -> Iterator[dict[str, str]]:
    """Yield records.

    Args:
        rows: how many.
        bad: the share of them that is bad, from 0 to 1.
        seed: a different one gives different records.

    Raises:
        ValueError: `rows` is negative, or `bad` is not a share.
    """
    return (record for record, _ in _records(rows, bad, seed))


def lines(format: str, rows: int, *, bad: float = 0.0, seed: int = 0) -> Iterator[str]:
    """Yield the same records as lines without line ends; csv and psv begin with a header.

    Args:
        format: csv, psv or json.

    Raises:
        ValueError: there is no such format; otherwise as `records`.
    """
    if format not in FORMATS:
        raise ValueError(f"the format must be one of {', '.join(FORMATS)}, not {format!r}")
    generated = _records(rows, bad, seed)
    if format == "json":
        return (json.dumps(record, ensure_ascii=False) for record, _ in generated)
    return _delimited(generated, "," if format == "csv" else "|")


def _records(rows: int, bad: float, seed: int) -> Iterator[tuple[dict[str, str], bool]]:
    if rows < 0:
        raise ValueError(f"rows must be 0 or more, not {rows}")
    if not 0 <= bad <= 1:
        raise ValueError(f"bad must be a share from 0 to 1, not {bad}")
    return _generate(rows, bad, random.Random(seed))


def _generate(rows: int, bad: float, dice: random.Random) -> Iterator[tuple[dict[str, str], bool]]:
    pick = dice.random  # the fastest, and the same in every version of Python
    for number in range(1, rows + 1):
        first, last = FIRST[int(pick() * len(FIRST))], LAST[int(pick() * len(LAST))]
        record = {
            "id": str(number),
            "name": f"{first} {last}",
            "email": f"customer{number}@example.com",
            "city": CITIES[int(pick() * len(CITIES))],
            "amount": f"{pick() * 1000:.2f}",
            "ordered_on": (EPOCH + timedelta(days=int(pick() * 2000))).isoformat(),
        }
        surplus = int(number * bad + 0.5) > int((number - 1) * bad + 0.5) and _spoil(record, pick())
        yield record, bool(surplus)


def _spoil(record: dict[str, str], chance: float) -> bool:
    """Make a record bad; return whether its line gets a surplus field."""
    fault = int(chance * 5)
    if fault == 4:
        record["amount"] = "n/a"
        return True
    name, value = (
        ("amount", "n/a"),
        ("email", record["email"].replace("@", " at ")),
        ("ordered_on", "2021-02-30"),
        ("name", ""),
    )[fault]
    record[name] = value
    return False


def _delimited(generated: Iterator[tuple[dict[str, str], bool]], separator: str) -> Iterator[str]:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")

    def rendered() -> list[str]:
        lines = text.getvalue().split("\n")[:-1]  # no field contains a line feed
        text.seek(0)
        text.truncate()
        return lines

    writer.writerow(COLUMNS)
    for count, (record, surplus) in enumerate(generated, 1):
        writer.writerow([*record.values(), *(["surplus"] if surplus else [])])
        if count % BLOCK == 0:
            yield from rendered()
    yield from rendered()


def parse_share(text: str) -> float:
    """Parse `0.1%` or `0.001`.

    Raises:
        ValueError: it is neither, or not from 0 to 1.
    """
    number = text.strip().removesuffix("%")
    try:
        share = float(number) / (100 if number != text.strip() else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ValueError(f"must be a share such as 0.1% or 0.001, not {text!r}")
    return share


def _write(lines: Iterator[str], write: Callable[[str], Any]) -> None:
    block: list[str] = []
    for line in lines:
        block.append(line)
        if len(block) == BLOCK:
            write("\n".join(block) + "\n")
            block = []
    if block:
        write("\n".join(block) + "\n")


def _command() -> click.Command:
    import click  # both for start-up time

    from rocketjob.cli import command

    def share(ctx: click.Context, param: click.Parameter, value: str) -> float:
        try:
            return parse_share(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    @command(
        "sample",
        changes=False,
        short_help="Write sample records to try things out with.",
        examples=[
            ("A million orders, one in a thousand bad", "sample csv --rows 1000000 --bad 0.1%"),
            ("To a file, compressed as its name says", "sample json --rows 1000 -o orders.json.gz"),
        ],
    )
    @click.argument("format", type=click.Choice(FORMATS))
    @click.option("-n", "--rows", type=click.IntRange(0), default=1000, show_default=True)
    @click.option(
        "--bad", callback=share, default="0", help="the share of bad records, such as 0.1%"
    )
    @click.option(
        "--seed", type=int, default=0, show_default=True, help="another seed gives other records"
    )
    @click.option("-o", "--output", metavar="FILE", help="instead of standard output")
    def sample(format: str, rows: int, bad: float, seed: int, output: str | None) -> None:
        """Write sample records in this format: always the same ones for the same options."""
        generated = lines(format, rows, bad=bad, seed=seed)
        if output is None:
            with contextlib.suppress(AttributeError, ValueError):  # it may have been replaced
                sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
            return _write(generated, sys.stdout.write)
        from rocketjob_plugins.batch.streams import open_writer  # for start-up time

        with open_writer(output) as writer:
            _write(generated, writer.write)
        print(f"{rows} records written to {output}", file=sys.stderr)

    return sample


@hookimpl
def register_commands(cli: click.Group) -> None:
    cli.add_command(_command())
