"""Memory that a worker process shares with its supervisor, and that outlives its death.

A process that is killed cannot say what it was doing. So each thread notes here which job it
performs, at the cost of a memory write; the supervisor reads it when the process has died. The
supervisor in turn notes when it last beat, for the process to know whether it may still claim.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
from typing import Any

from bson import ObjectId

# When the supervisor last beat, jobs worked, whether it is ready. In the machine's own form, which
# is copied in one go: the reader, in another process, never sees half of it.
HEADER = struct.Struct("dQQ")
SLOT = struct.Struct("=12sQ")  # a job's id, and the part of it that is in work, from 1


class Slots:
    """A header and one slot for each thread, in a file without a name."""

    def __init__(self, threads: int, descriptor: int | None = None) -> None:
        self.threads = threads
        size = HEADER.size + threads * SLOT.size
        if descriptor is None:
            with tempfile.TemporaryFile(prefix="rocketjob-") as file:
                file.truncate(size)
                descriptor = os.dup(file.fileno())
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, size)

    def close(self) -> None:
        self._memory.close()
        os.close(self.descriptor)

    # --- written by the process --------------------------------------------------------------

    def performing(self, number: int, id: Any, part: int = 0) -> None:
        """Note what a thread, numbered from 1, performs: a job, or a part of one; or nothing."""
        binary = id.binary if isinstance(id, ObjectId) else bytes(12)
        SLOT.pack_into(self._memory, HEADER.size + (number - 1) * SLOT.size, binary, part)

    def set_worked(self, count: int) -> None:
        struct.pack_into("Q", self._memory, 8, count)

    def set_ready(self) -> None:
        struct.pack_into("Q", self._memory, 16, 1)

    # --- written by the supervisor -----------------------------------------------------------

    def set_beat(self, at: float) -> None:
        """Note when the supervisor last beat, on the monotonic clock that all processes share."""
        struct.pack_into("d", self._memory, 0, at)

    # --- read by either ----------------------------------------------------------------------

    @property
    def beat(self) -> float:
        return float(HEADER.unpack_from(self._memory)[0])

    @property
    def worked(self) -> int:
        return int(HEADER.unpack_from(self._memory)[1])

    @property
    def ready(self) -> bool:
        return bool(HEADER.unpack_from(self._memory)[2])

    def performed(self) -> list[str]:
        """Return what is, or was at its death, being performed: `job`, or `job/part`."""
        names = []
        for number in range(self.threads):
            binary, part = SLOT.unpack_from(self._memory, HEADER.size + number * SLOT.size)
            if any(binary):
                names.append(f"{ObjectId(binary)}/{part}" if part else str(ObjectId(binary)))
        return names
