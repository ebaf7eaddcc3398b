"""From a file in a folder to a stored job: claimed, archived and started, exactly once.

Before a file is moved, a document (`DirmonFile`) claims it. Its key, the file's path, is unique: of
two servers that scan at the same time, one gets the file. The job is stored and the document
removed in one step. If the process dies in between, the document tells the next scan how far it
got: a file that was archived is started; one that was not is found again where it is.

A claim is taken over when its lease has expired, or when it belongs to an earlier claim of the same
directory monitor job, whose worker is known to be gone.
"""

from __future__ import annotations

import hashlib
import os
from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol

from bson import ObjectId

from rocketjob import Document, Job, application, field
from rocketjob.base import clock
from rocketjob.base.errors import HookFailed, ValidationError, is_duplicate_key
from rocketjob.base.log import Logger
from rocketjob.jobs.origin import link
from rocketjob.model.query import Query
from rocketjob.model.record import record_of
from rocketjob.server.metrics import Counter, Durations
from rocketjob.store import Unit, Write
from rocketjob.store.away import is_away
from rocketjob_plugins.batch.streams.names import is_url
from rocketjob_plugins.dirmon.folder import Archive, DirmonError, FileState, Folder, why
from rocketjob_plugins.dirmon.folders import folder_of
from rocketjob_plugins.files.upload import UploadFileJob

COLLECTION = "rocket_job.dirmon_files"
LEASE = timedelta(minutes=2)  # more than the difference between servers' clocks
DROPPED = "dropped"
KIND = "dirmon_entry"  # in the links of jobs: see `rocketjob.jobs.origin`
log = Logger("rocketjob.dirmon")
TAKEN = Counter("dirmon_files", "files that were taken", labels=("pattern",))
LAY = Durations(
    "dirmon_lay", "from a file's last modification until it was taken", labels=("pattern",)
)


class ClaimTaken(Exception):
    """Another scan has the file, or it has changed: leave it alone."""


class Entry(Protocol):
    """What is needed of a `DirmonEntry`: which job a file is for, and where it is archived."""

    id: ObjectId
    name: str | None
    pattern: str
    job_class_name: str
    properties: dict[str, Any]
    archive_directory: str
    encoding: str | None

    @property
    def job_class(self) -> type[Job] | None: ...

    def archive_of(self, file: FileState) -> Archive: ...


class DirmonFile(Document):
    """A file on its way from its folder to its job; its id is the job's.

    Attributes:
        entry_id: the entry that the file matched.
        problem: why a scan could not continue where another one died; it was logged then.
    """

    collection_name: ClassVar[str] = COLLECTION

    key: str
    path: str
    archived: str
    base: str
    identity: list[int]
    job_class_name: str
    properties: dict[str, Any] = field(factory=dict)
    description: str | None = None
    encoding: str | None = None
    entry_id: ObjectId | None = None
    problem: str | None = None
    by: str
    until: datetime


class Intake:
    """Takes files in under one owner.

    Args:
        by: the owner of the claims: a directory monitor job and its claim, as `job:number`.
    """

    def __init__(self, by: str) -> None:
        self.by = by if ":" in by else f"{by} {os.urandom(8).hex()}"
        self._renewed = clock.monotonic()

    def take(self, entry: Entry, file: FileState) -> UploadFileJob:
        """Archive a file and store the job that gets it.

        Raises:
            ClaimTaken: another scan has it, or it has changed.
            DirmonError: it cannot be archived; it is where it was.
        """
        folder = folder_of(file.base, entry.archive_directory)
        claim = self._claim(entry, file)
        try:
            self._check_unchanged(folder, file)
            self._check_room(claim)
            folder.move(file.path, claim.archived, lambda: self._hold(claim))
        except BaseException as error:
            folder.discard_part(claim.archived)
            self._drop(claim)
            if isinstance(error, FileNotFoundError) and not _is_there(folder, file.path):
                raise ClaimTaken(f"{file.path} is gone") from None
            if isinstance(error, OSError) and not is_away(error):
                raise DirmonError(f"{file.path} cannot be archived: {why(error)}") from error
            raise
        job = self._start_or_put_back(folder, claim)
        TAKEN.add(pattern=entry.pattern)
        LAY.observe(max(0.0, clock.now().timestamp() - file.stamp / 1e9), pattern=entry.pattern)
        return job

    def _start_or_put_back(self, folder: Folder, claim: DirmonFile) -> UploadFileJob:
        try:
            return self._start(claim)
        except ClaimTaken:
            dropped = claim.collection().find_one({"_id": claim.id, "by": DROPPED})
            if dropped is not None:  # given up before the file was moved: nobody will start it
                folder.put_back(claim.archived, claim.path)
            raise
        except Exception as error:
            if not is_away(error):
                folder.put_back(claim.archived, claim.path)
                self._drop(claim)
            raise  # otherwise the next scan continues from here

    def _claim(self, entry: Entry, file: FileState) -> DirmonFile:
        archive, cls = entry.archive_of(file), entry.job_class
        claim = DirmonFile(
            key=hashlib.sha256(file.path.encode()).hexdigest(),
            path=file.path,
            archived="",
            base=file.base,
            identity=file.identity,
            job_class_name=entry.job_class_name,
            properties=cls.seal_properties(entry.properties) if cls else entry.properties,
            description=f"{entry.name or entry.pattern}: {archive.name}",
            encoding=entry.encoding,
            entry_id=entry.id,
            by=self.by,
            until=clock.now() + LEASE,
        )
        claim.archived = archive.target(claim.id)
        self._renewed = clock.monotonic()
        try:
            return claim.save()
        except Exception as error:
            if is_duplicate_key(error):
                raise ClaimTaken(f"{file.path} is being taken by another scan") from None
            raise

    def _check_unchanged(self, folder: Folder, file: FileState) -> None:
        """Check again under the claim: another scan may have taken it, and this is a new file."""
        try:
            now = folder.state_of(file.path)
        except FileNotFoundError:
            raise ClaimTaken(f"{file.path} is gone") from None
        if now.identity != file.identity:
            raise ClaimTaken(f"{file.path} has changed")

    def _check_room(self, claim: DirmonFile) -> None:
        if not is_url(claim.archived) and os.path.lexists(claim.archived):
            raise DirmonError(f"{claim.archived} is there already")

    def _hold(self, claim: DirmonFile) -> None:
        """Renew the claim during a long copy."""
        if clock.monotonic() - self._renewed < LEASE.total_seconds() / 4:
            return
        guard = {"_id": claim.id, "by": self.by}
        update = {"$set": {"until": clock.now() + LEASE}}
        if not claim.collection().update_one(guard, update).matched_count:
            raise ClaimTaken(f"{claim.path} was taken over by another scan")
        self._renewed = clock.monotonic()

    def _drop(self, claim: DirmonFile) -> None:
        claim.collection().delete_one({"_id": claim.id, "by": self.by})

    def _start(self, claim: DirmonFile) -> UploadFileJob:
        """Store the job and remove the claim, both or neither."""
        job = UploadFileJob(
            job_class_name=claim.job_class_name,
            properties=claim.properties,
            description=claim.description,
            upload_file_name=claim.archived,
            original_file_name=claim.path,
            encoding=claim.encoding,
            job_id=claim.id,
        )
        if claim.entry_id is not None:  # else an earlier version has taken the file
            job.created_for = link(KIND, claim.entry_id)
        job.before_created()
        job.validate()

        def store() -> None:
            stored = job.to_document()
            unit = Unit(
                collection=claim.collection_name,
                write=Write({"_id": claim.id, "by": self.by}, None),
                inserts=[job.as_insert(stored)],
                interim={},
                undo={},
            )
            (outcome,) = application.current().store.commit([unit])
            if not outcome.held:
                raise ClaimTaken(f"{claim.path} was taken over by another scan")
            record_of(job).was_stored(stored)

        job.chain("save").run(job, lambda: job.chain("create").run(job, store))
        job.after_created()
        log.info("file taken", file=claim.path, archived=claim.archived, job_id=str(claim.id))
        return job

    # --- files of scans that died -----------------------------------------------------------

    def finish_others(self) -> int:
        """Continue where other scans died; return how many jobs were started."""
        started = 0
        for claim in self._abandoned():
            guard = {"_id": claim.id, "by": claim.by, "until": claim.until}
            update = {"$set": {"by": self.by, "until": clock.now() + LEASE}}
            if not claim.collection().update_one(guard, update).matched_count:
                continue  # another scan was first
            try:
                started += self._finish(claim)
            except ClaimTaken as error:
                log.debug("passed over", reason=str(error))
            except (DirmonError, HookFailed, OSError, ValidationError) as error:
                if is_away(error):
                    raise
                self._report(claim, str(error))
        return started

    def _report(self, claim: DirmonFile, problem: str) -> None:
        """Log why a file cannot be finished: once, not at each scan."""
        if problem == claim.problem:
            return
        log.error("a file cannot be finished", file=claim.path, error=problem)
        guard = {"_id": claim.id, "by": self.by}
        claim.collection().update_one(guard, {"$set": {"problem": problem}})

    def _abandoned(self) -> list[DirmonFile]:
        late: dict[str, Any] = {"until": {"$lt": clock.now()}}
        job, _, _ = self.by.rpartition(":")
        if job:  # earlier claims of this same job
            late = {"$or": [late, {"by": {"$gte": f"{job}:", "$lt": f"{job};"}}]}
        claims: Query[DirmonFile] = DirmonFile.where(late)
        return [claim for claim in claims if claim.by != self.by]

    def _finish(self, claim: DirmonFile) -> bool:
        if application.current().store.recover(COLLECTION, {"_id": claim.id}):
            return True
        folder = folder_of(claim.base, _directory(claim.archived))
        if not _is_there(folder, claim.archived):
            folder.discard_part(claim.archived)
            self._give_up(claim)  # it is where it was, and will be found again
            return False
        if _identity(folder, claim.path) == claim.identity:
            folder.remove(claim.path)  # the scan died between copying and removing
        log.warning("a scan died: going on", file=claim.path, archived=claim.archived)
        self._start_or_put_back(folder, claim)
        return True

    def _give_up(self, claim: DirmonFile) -> None:
        """Free the path, leaving a document for a scan that is not dead but very slow."""
        if claim.by == DROPPED:
            return self._drop(claim)
        update = {"key": str(claim.id), "by": DROPPED, "until": clock.now() + 720 * LEASE}
        claim.collection().update_one({"_id": claim.id, "by": self.by}, {"$set": update})


def _directory(path: str) -> str:
    return path.rpartition("/")[0]


def _identity(folder: Folder, path: str) -> list[int] | None:
    try:
        return folder.state_of(path).identity
    except FileNotFoundError:
        return None


def _is_there(folder: Folder, path: str) -> bool:
    return _identity(folder, path) is not None
