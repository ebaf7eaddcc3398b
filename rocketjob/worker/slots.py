"""Memory that a worker process shares with its supervisor, and that outlives its death.

A process that is killed cannot say what it was doing. So each thread notes here which job it
performs, at the cost of a memory write; the supervisor reads it when the process has died. The
supervisor in turn notes when it last beat, for the process to know whether it may still claim.

Nor can a process say anything while one of its jobs holds the interpreter. The supervisor then
takes from it what it has claimed and not started. Of two notes each writes its own first and reads
the other's after: a thread which job it performs, the supervisor that earlier claims are revoked.
So a job is seen by the supervisor, or not started.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections import deque
from typing import Any

from bson import ObjectId

# In the machine's own form, each part copied in one go: a reader in another process never sees
# half of it.
HEADER = struct.Struct("dQQddQQ")
BEAT, WORKED, READY, TURN, REVOKED, UNSURE, CUT = (8 * number for number in range(7))
SLOT = struct.Struct("=12sQ")  # a job's id, and the part of it that is in work, from 1
ID_BYTES = 12
DEADLINE = struct.Struct("d")
PLACES = 1024  # for jobs that are performed and not yet written, and one more a worker


class Slots:
    """A header, one slot for each worker, and a list, in memory or a file without a name.

    Args:
        workers: how many there are: threads, and places on the event loop.

    Raises:
        OSError: there is no room for it.
    """

    def __init__(self, workers: int, descriptor: int | None = None) -> None:
        self.workers, unwritten = workers, PLACES + workers
        self._list = HEADER.size + workers * SLOT.size
        self._deadlines = self._list + unwritten * ID_BYTES
        size = self._deadlines + workers * DEADLINE.size
        self.descriptor = _new(size) if descriptor is None else descriptor
        self._memory = mmap.mmap(self.descriptor, size)
        self._free = deque(range(unwritten))
        self._noted: dict[tuple[ObjectId, int], int] = {}

    def close(self) -> None:
        self._memory.close()
        os.close(self.descriptor)

    # --- written by the process --------------------------------------------------------------

    def performing(self, number: int, id: Any, part: int = 0) -> None:
        """Note what a worker, numbered from 1, performs: a job, or a part of one; or nothing."""
        binary = id.binary if isinstance(id, ObjectId) else bytes(ID_BYTES)
        SLOT.pack_into(self._memory, HEADER.size + (number - 1) * SLOT.size, binary, part)

    def set_deadline(self, number: int, at: float) -> None:
        """Note until when a worker may be at its job, on the monotonic clock; 0.0: without end."""
        DEADLINE.pack_into(self._memory, self._deadlines + (number - 1) * DEADLINE.size, at)

    def finished(self, id: ObjectId, number: int) -> None:
        """Note a claim under which a job was performed, and whose outcome is not written yet."""
        if (id, number) in self._noted:
            return
        try:
            place = self._free.popleft()
        except IndexError:
            struct.pack_into("Q", self._memory, UNSURE, 1)
            return
        self._noted[id, number] = place
        self._set(place, id.binary)

    def written(self, id: ObjectId, number: int) -> None:
        """Note that the outcome of a claim is written, or belongs to somebody else."""
        if (place := self._noted.pop((id, number), None)) is not None:
            self._set(place, bytes(ID_BYTES))
            self._free.append(place)

    def _set(self, place: int, binary: bytes) -> None:
        at = self._list + place * ID_BYTES
        self._memory[at : at + ID_BYTES] = binary

    def set_worked(self, count: int) -> None:
        struct.pack_into("Q", self._memory, WORKED, count)

    def set_cut_short(self, count: int) -> None:
        """Note how many jobs were cancelled because the process has to end."""
        struct.pack_into("Q", self._memory, CUT, count)

    def set_ready(self) -> None:
        struct.pack_into("Q", self._memory, READY, 1)

    def set_turn(self, at: float) -> None:
        """Note when the claimer last came round; 0.0 while it waits and holds nothing ahead."""
        struct.pack_into("d", self._memory, TURN, at)

    # --- written by the supervisor -----------------------------------------------------------

    def set_beat(self, at: float) -> None:
        """Note when the supervisor last beat, on the monotonic clock that all processes share."""
        struct.pack_into("d", self._memory, BEAT, at)

    def revoke(self, at: float) -> None:
        """Have nothing started any more that was claimed before; then `started` may be asked."""
        struct.pack_into("d", self._memory, REVOKED, at)

    # --- read by either ----------------------------------------------------------------------

    @property
    def beat(self) -> float:
        return float(struct.unpack_from("d", self._memory, BEAT)[0])

    @property
    def worked(self) -> int:
        return int(struct.unpack_from("Q", self._memory, WORKED)[0])

    @property
    def cut_short(self) -> int:
        return int(struct.unpack_from("Q", self._memory, CUT)[0])

    @property
    def ready(self) -> bool:
        return bool(struct.unpack_from("Q", self._memory, READY)[0])

    @property
    def turn(self) -> float:
        return float(struct.unpack_from("d", self._memory, TURN)[0])

    @property
    def revoked(self) -> float:
        return float(struct.unpack_from("d", self._memory, REVOKED)[0])

    def performed(self, first: int = 0) -> list[str]:
        """Return what is, or was at its death, being performed: `job`, or `job/part`.

        Args:
            first: how many workers are left out: threads, whose slots are before those of places.
        """
        numbers = range(first, self.workers)
        return [name for number in numbers for name in self._performed_by(number)]

    def _performed_by(self, number: int) -> list[str]:
        binary, part = SLOT.unpack_from(self._memory, HEADER.size + number * SLOT.size)
        if not any(binary):
            return []
        return [f"{ObjectId(binary)}/{part}" if part else str(ObjectId(binary))]

    def overdue(self, at: float) -> list[str]:
        """Return what should have ended before a time, and was not even asked to."""
        names = []
        for number in range(self.workers):
            place = self._deadlines + number * DEADLINE.size
            if 0.0 < DEADLINE.unpack_from(self._memory, place)[0] < at:
                names += self._performed_by(number)
        return names

    def started(self) -> set[ObjectId] | None:
        """Return the jobs that are performed or wait to be written; None if it cannot be told."""
        # In this order: a thread adds to the list before it empties its slot.
        performed = {ObjectId(name.partition("/")[0]) for name in self.performed()}
        packed = bytes(self._memory[self._list : self._deadlines])
        ids = {packed[at : at + ID_BYTES] for at in range(0, len(packed), ID_BYTES)}
        if struct.unpack_from("Q", self._memory, UNSURE)[0]:
            return None
        return performed | {ObjectId(binary) for binary in ids if any(binary)}


def _new(size: int) -> int:
    """Return a descriptor of new memory that is there, so that no write to it can fail later."""
    if hasattr(os, "memfd_create"):  # needs no temporary folder, which may be full
        descriptor = os.memfd_create("rocketjob")
        os.truncate(descriptor, size)
        return descriptor
    import tempfile  # for start-up time

    with tempfile.TemporaryFile(prefix="rocketjob-") as file:
        file.write(bytes(size))
        file.flush()
        return os.dup(file.fileno())
