"""How much memory a process has."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path


def resident(pid: int) -> int:
    """Return the bytes of memory that a process has in use; 0 if that cannot be told."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):  # as on macOS
        ps = ["ps", "-o", "rss=", "-p", str(pid)]
        return int(subprocess.run(ps, capture_output=True, timeout=5).stdout) * 1024
    return 0
