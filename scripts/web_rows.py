#!/usr/bin/env python3
"""List what Mission Control has of the original's inventory: each row with its tests.

    python scripts/web_rows.py             every row
    python scripts/web_rows.py --missing   those that no test names

W rows are what the original's pages do, R rows are its defects, which must not come back, and P
rows what it lacks and ours must have. A test says by its name which rows it is for. Exit code 1 if
a row has no test and no reason.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent / "tests"
MUST = """
    P01 P02 P03 P04 P08 P09 P10 P12 P14 P15 P17 P18 P21 P23 P25 P26 P37 P39 P40 P41 P44 P45 P46 P47
    P48 P49 P50 P51 P52 P53 P56 P57 P58 P59 P60 P61 P62 P64 P65 P68
"""
ROWS = [
    *(f"W{n:02}" for n in range(1, 116)),
    *(f"R{n:02}" for n in range(1, 25)),
    *MUST.split(),
]
WITHOUT: dict[str, str] = {}
"""Rows that have no test, and why."""
PARTLY = {
    "P27": "one worker alone is not stopped or killed: no thread can be ended from outside without "
    "harm to the others of its process; abort or fail its job, or stop the server",
}
"""Rows of which a part is left out, and why."""


def tests_by_row() -> dict[str, list[str]]:
    """Return the tests of each row, by their names."""
    found: dict[str, list[str]] = {row: [] for row in ROWS}
    for path in sorted(TESTS.rglob("test_*.py")):
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.M):
            for row in re.findall(r"_([WRP]\d{2,3})(?=_)", name):
                found.setdefault(row, []).append(f"{path.name}::{name}")
    return found


def missing(found: dict[str, list[str]]) -> list[str]:
    """Return the rows that have neither a test nor a reason."""
    return [row for row in ROWS if not found[row] and row not in WITHOUT]


def main() -> int:
    found = tests_by_row()
    for row in ROWS:
        if "--missing" not in sys.argv[1:] and found[row]:
            print(row, *found[row], sep="\n    ")
        elif not found[row]:
            print(f"{row} has no test: {WITHOUT.get(row, 'nobody has said why')}")
    for row, why in PARTLY.items():
        print(f"{row} is there in part: {why}")
    tested = sum(bool(found[row]) for row in ROWS)
    print(f"{tested} of {len(ROWS)} rows have tests")
    return int(bool(missing(found)))


if __name__ == "__main__":
    raise SystemExit(main())
