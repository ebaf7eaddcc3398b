"""`DirmonJob`: look for files at regular intervals."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from rocketjob import Job, field
from rocketjob.base.errors import InvalidTransition, NotFound
from rocketjob.jobs.store_away import waits_for_store
from rocketjob.server.server import Server
from rocketjob.store.away import is_away
from rocketjob_plugins.cron import Cron
from rocketjob_plugins.dirmon.entry import DirmonEntry
from rocketjob_plugins.dirmon.folder import DirmonError, FileState, FolderAway, Problem
from rocketjob_plugins.dirmon.intake import ClaimTaken, Intake
from rocketjob_plugins.dirmon.verdict import Changed, Defer, Refuse, verdict_on

Memory = dict[str, list[int]]
AWAY = FolderAway.__name__
HELD = 1  # is remembered of a file that must not be taken yet: an earlier scan has logged it
REFUSED = 2  # of one that a plugin has refused: it is not asked again
MOST = 50_000  # files that are remembered, about 8 MB; any more wait for the next scan


class DirmonJob(Cron, Job):
    """Creates a job for each file that matches an enabled `DirmonEntry`.

    A file is taken when its size, times and inode are unchanged since the previous scan; in an
    object store, where no file is visible before it is complete, it is taken at once. A problem
    with one entry fails that entry, with the reason, and the others continue; a folder that is
    unavailable is tried again by the next scan.
    """

    cron_schedule = "*/5 * * * * UTC"
    priority = 30
    description = "Directory Monitor"

    previous_file_names: dict[str, list[int]] = field(
        factory=dict,
        copy_on_restart=True,
        description="size, modification time, inode, change time and whether it is held, by path",
    )

    def __init__(self, **values: Any) -> None:
        super().__init__(**_translated(values))

    @classmethod
    def from_properties(cls, properties: Mapping[str, Any]) -> Any:
        return super().from_properties(_translated(dict(properties)))

    @waits_for_store
    def perform(self) -> dict[str, int]:
        """Scan once; return how many files were `started` and how many are `waiting`."""
        intake = Intake(f"{self.id}:{self.claim_number}" if self.claimed_by else "inline")
        started = intake.finish_others()
        memory: Memory = {}
        for entry in list(DirmonEntry.enabled()):
            started += self._scan(entry, intake, memory)
        self.previous_file_names = memory
        counts = {"started": started, "waiting": len(memory)}
        if any(counts.values()):
            self.logger.info("scanned", **counts)
        return counts

    def _scan(self, entry: DirmonEntry, intake: Intake, memory: Memory) -> int:
        """Look for the files of one entry; a problem fails only that entry."""
        problems: list[Problem] = []
        started = 0
        try:
            check_entry(entry)
            for file in entry.files(problems):
                started += self.check_file(entry, file, intake, memory)
        except FolderAway as error:
            self._note_away(entry, error)
            return started
        except Exception as error:
            if is_away(error):
                raise
            self._fail(entry, error)
            return started
        if problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            self._fail(entry, DirmonError(f"{problems[0]}{more}"))
        else:
            self._note_back(entry)
        return started

    def check_file(
        self, entry: DirmonEntry, file: FileState, intake: Intake, memory: Memory
    ) -> bool:
        """Start a complete file, and remember any other; return whether it was started."""
        settled = file.immediate or self.is_settled(file)
        if file.held and not self._was_held(file):
            self.logger.warning("passed over", file=file.path, reason=file.held)
        if file.held or not settled:
            return self._remember(file, memory, [HELD] if file.held else [])
        if self.was_refused(file):
            return self._remember(file, memory, [REFUSED])
        verdict = verdict_on(entry, file)
        if isinstance(verdict, Refuse | Defer):
            return self._pass_over(file, memory, verdict)
        try:
            intake.take(Changed(entry, verdict) if verdict else entry, file)
        except ClaimTaken as error:
            self.logger.debug("passed over", reason=str(error))
            return False
        return True

    def _pass_over(self, file: FileState, memory: Memory, verdict: Refuse | Defer) -> bool:
        if self._mark(file) != [HELD]:  # else an earlier scan has logged it
            self.logger.warning("passed over", file=file.path, reason=verdict.reason)
        return self._remember(file, memory, [REFUSED if isinstance(verdict, Refuse) else HELD])

    def _remember(self, file: FileState, memory: Memory, mark: list[int]) -> bool:
        if len(memory) < MOST:
            memory[memory_key(file.path)] = [*file.settled, *mark]
        return False

    def is_settled(self, file: FileState) -> bool:
        """Return whether a file is unchanged since the previous scan."""
        settled = file.settled
        return self._remembered(file)[: len(settled)] == settled

    def has_seen(self, file: FileState) -> bool:
        """Return whether the previous scan found a file of this path, as it is or not."""
        return bool(self._remembered(file))

    def was_refused(self, file: FileState) -> bool:
        """Return whether a plugin has refused the file, and it is still the same."""
        return self._mark(file) == [REFUSED]

    def _was_held(self, file: FileState) -> bool:
        """Return whether an earlier scan found the file held, and logged it."""
        return self._remembered(file)[len(file.settled) :] == [HELD]

    def _mark(self, file: FileState) -> list[int]:
        """Return what is remembered of a file besides its state, if that is still the same."""
        return self._remembered(file)[len(file.settled) :] if self.is_settled(file) else []

    def _remembered(self, file: FileState) -> list[int]:
        return self.previous_file_names.get(memory_key(file.path), [])

    def _note_away(self, entry: DirmonEntry, error: FolderAway) -> None:
        """Log that a folder is unavailable, when that begins; the entry keeps it as its reason."""
        known = entry.exception
        if known is None or (known.class_name, known.message) != (AWAY, str(error)):
            self.logger.warning("folder away", entry=entry.name or entry.pattern, error=str(error))
            entry.note(error, worker_name=self.worker_name)

    def _note_back(self, entry: DirmonEntry) -> None:
        """Forget that a folder was unavailable, so that the next outage is logged again."""
        if entry.exception is not None and entry.exception.class_name == AWAY:
            self.logger.info("folder back", entry=entry.name or entry.pattern)
            entry.note(None)

    def _fail(self, entry: DirmonEntry, error: Exception) -> None:
        self.logger.error("entry failed", entry=entry.name or entry.pattern, error=str(error))
        with suppress(InvalidTransition, NotFound):  # just disabled or removed
            entry.fail(error, worker_name=self.worker_name)


def memory_key(path: str) -> str:
    """Return a path as a key that a document may contain; different paths have different keys."""
    return path.replace("%", "%25").replace(".", "%2E").replace("$", "%24")


def check_entry(entry: DirmonEntry) -> None:
    """Validate an entry, unless only another server has its class.

    Raises:
        ValidationError: a scan would fail it.
    """
    if entry.job_class is not None or not _is_served(entry.job_class_name):
        entry.validate()


def _is_served(class_name: str) -> bool:
    """Return whether another living server can run jobs of a class."""
    alive = (server for server in Server.all() if not server.seems_dead())
    return any(class_name in server.classes for server in alive)


def _translated(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values with `check_seconds` replaced by a schedule."""
    if "check_seconds" not in values:
        return values
    values = dict(values)
    seconds = values.pop("check_seconds")
    if "cron_schedule" in values:
        raise TypeError("give check_seconds or cron_schedule, not both")
    return {**values, "cron_schedule": schedule_of(seconds)}


def schedule_of(check_seconds: Any) -> str:
    """Return a schedule with this interval in seconds, or the next shorter one that cron allows.

    Raises:
        ValueError: the interval is less than a minute or more than a day.
    """
    seconds = float(check_seconds)
    if not 60 <= seconds <= 86400:
        raise ValueError(f"check_seconds must be from 60 to 86400, not {check_seconds}")
    minutes = int(seconds // 60)
    if minutes < 60:
        step = max(n for n in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30) if n <= minutes)
        return f"*/{step} * * * * UTC"
    hours = max(n for n in (1, 2, 3, 4, 6, 8, 12, 24) if n <= minutes // 60)
    return "0 0 * * * UTC" if hours == 24 else f"0 */{hours} * * * UTC"
