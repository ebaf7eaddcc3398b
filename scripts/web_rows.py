#!/usr/bin/env python3
"""List what Mission Control has of the original's inventory: each row with its tests.

    python scripts/web_rows.py             every row
    python scripts/web_rows.py --missing   those that no test names

W rows are what the original's pages do, R rows are its defects, which must not come back. A test
says by its name which rows it is for. Exit code 1 if a row has no test and no reason.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent / "tests" / "contrib" / "mission_control"
ROWS = [*(f"W{n:02}" for n in range(1, 116)), *(f"R{n:02}" for n in range(1, 25))]
WITHOUT: dict[str, str] = {}
"""Rows that have no test, and why."""


def tests_by_row() -> dict[str, list[str]]:
    """Return the tests of each row, by their names."""
    found: dict[str, list[str]] = {row: [] for row in ROWS}
    for path in sorted(TESTS.glob("test_*.py")):
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.M):
            for row in re.findall(r"_([WR]\d{2,3})(?=_)", name):
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
    tested = sum(bool(found[row]) for row in ROWS)
    print(f"{tested} of {len(ROWS)} rows have tests")
    return int(bool(missing(found)))


if __name__ == "__main__":
    raise SystemExit(main())
