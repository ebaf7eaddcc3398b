"""Memory and processor time of a process and of those that it started; None where unknown."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

MIB = 1024  # of the KiB in which Linux counts


def tree(pid: int) -> list[int]:
    """Return a process and all its descendants that are there now."""
    pids = [pid]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                pids += tree(int(child))
    return pids


def cpu_seconds(pids: list[int]) -> float | None:
    """Return the processor time that they have used, in steps of 10 ms."""
    ticks = 0
    try:
        for pid in pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    except (OSError, ValueError, IndexError):
        return None
    return ticks / os.sysconf("SC_CLK_TCK")


def peak_mib(pids: list[int]) -> float | None:
    """Return the sum of the most that each has had resident.

    What processes share counts for each, and their peaks need not be at one time: it is never less
    than what they had together.
    """
    return _sum(pids, "status", "VmHWM")


def own_mib(pids: list[int]) -> float | None:
    """Return what they have resident now; what several share counts once, in parts (PSS)."""
    return _sum(pids, "smaps_rollup", "Pss")


def _sum(pids: list[int], file: str, name: str) -> float | None:
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
        except OSError:
            return None
        sizes = [int(line.split()[1]) for line in lines if line.startswith(f"{name}:")]
        if not sizes:
            return None
        total += sizes[0]
    return total / MIB
