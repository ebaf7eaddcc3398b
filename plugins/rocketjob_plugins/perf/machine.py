"""What machine it is, and whether something else keeps it busy."""

from __future__ import annotations

import contextlib
import os
import platform
import threading
from pathlib import Path
from typing import Any

from rocketjob import __version__

LOOK_SECONDS = 0.3
IDLE_SHARE = 0.05  # of all processors: with less in use by others a machine is called idle


def described() -> dict[str, Any]:
    """Describe this machine and its software."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_mib": _memory_mib(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "rocketjob": __version__,
    }


def others_share(seconds: float = LOOK_SECONDS) -> float | None:
    """Wait a moment; return which share of all processors was in use, 0 to 1, or None.

    This process does nothing meanwhile, so it is what others use.
    """
    before = _ticks()
    threading.Event().wait(seconds)
    after = _ticks()
    if before is None or after is None or after[1] <= before[1]:
        return None
    return (after[0] - before[0]) / (after[1] - before[1])


def load() -> float | None:
    """Return the load of the last minute."""
    with contextlib.suppress(OSError, AttributeError):
        return round(os.getloadavg()[0], 2)
    return None


def _ticks() -> tuple[int, int] | None:
    """Return how long all processors have been busy, and how long they have been there."""
    try:
        line = Path("/proc/stat").read_text().partition("\n")[0]
        numbers = [int(number) for number in line.split()[1:9]]
    except (OSError, ValueError):
        return None
    idle = numbers[3] + numbers[4]
    return sum(numbers) - idle, sum(numbers)


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_mib() -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return None
