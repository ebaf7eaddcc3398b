"""`DirmonEntry`: which files to look for, and which job gets each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, ClassVar, Self

from rocketjob import Job, JobException, Transition, application, before, event, field, validate
from rocketjob.base import clock
from rocketjob.base.settings import Setting, strings
from rocketjob.model.fields import read_only_field
from rocketjob.model.query import Query
from rocketjob.model.registry import lookup
from rocketjob.states.stateful import Stateful
from rocketjob_plugins.dirmon import patterns
from rocketjob_plugins.dirmon.folder import Archive, FileState, Passed, Problem, check_archive
from rocketjob_plugins.dirmon.folders import folder_of
from rocketjob_plugins.dirmon.intake import Intake
from rocketjob_plugins.files.upload import UploadFileJob, misfits, wrong_encoding

COLLECTION = "rocket_job.dirmon_entries"
ALLOWED_PATHS: Setting[list[str]] = Setting(
    "dirmon_allowed_paths", [], strings, "directories that directory monitors may read"
)
LONGEST = 4096  # characters: no path is longer
STATES = ("pending", "enabled", "disabled", "failed")


class DirmonEntryException(Exception):
    """A failure that is given as a message only."""


class DirmonEntry(Stateful):
    """A pattern, and the job that is created for each file that matches it.

    Properties for encrypted fields of the job are encrypted when the entry is saved.
    """

    collection_name: ClassVar[str] = COLLECTION
    reads_before_events: ClassVar[bool] = True  # both people and directory monitors change it

    name: str | None = field(default=None, user_editable=True, description="unique, if given")
    pattern: str = field(
        user_editable=True, description="of files: a path or URL with *, ?, {a,b} and **"
    )
    job_class_name: str = field(user_editable=True, description="class of the job to create")
    properties: dict[str, Any] = field(
        factory=dict, user_editable=True, description="fields of the job to create"
    )
    archive_directory: str = field(
        default="archive",
        user_editable=True,
        description="where files go first; a relative one is below the file's own directory",
    )
    encoding: str | None = field(
        default=None, user_editable=True, description="of the files, if they are not UTF-8"
    )
    created_at: datetime = field(factory=clock.now)
    state: str = read_only_field(default="pending")
    exception: JobException | None = read_only_field()

    # --- validation --------------------------------------------------------------------------

    @before("validation")
    def _trim(self) -> None:
        for name in ("name", "pattern", "archive_directory", "job_class_name", "encoding"):
            value = getattr(self, name)
            if isinstance(value, str) and value != value.strip():
                setattr(self, name, value.strip())
        self.name, self.encoding = self.name or None, self.encoding or None

    @validate
    def _is_complete(self) -> None:
        for name in ("pattern", "job_class_name", "archive_directory"):
            if getattr(self, name) == "":
                self.errors.add(name, "is required: it is blank")
        for name in ("name", "pattern", "archive_directory"):
            value = getattr(self, name)
            if isinstance(value, str) and len(value) > LONGEST:
                self.errors.add(name, f"has {len(value):,} characters: at most {LONGEST:,}")
        for message in self._wrong_places():
            self.errors.add("pattern", message)

    def _wrong_places(self) -> Iterator[str]:
        if not isinstance(self.pattern, str) or not 0 < len(self.pattern) <= LONGEST:
            return
        try:
            for pattern in patterns.parse(self.pattern):
                if not pattern.parts:
                    yield "names no file"
                folder_of(pattern.base, self.archive_directory or "archive")
                if problem := check_archive(pattern.base, self.archive_directory or "archive"):
                    yield problem
        except Exception as error:  # such as a URL whose library is not installed
            yield str(error)

    @validate
    def _job_class_fits(self) -> None:
        name, properties = self.job_class_name, self.properties
        if isinstance(name, str) and name and isinstance(properties, dict):
            for about, message in misfits(name, properties):
                self.errors.add(about, message)

    @validate
    def _encoding_fits(self) -> None:
        for message in wrong_encoding(self.encoding, self.job_class_name):
            self.errors.add("encoding", message)

    @validate
    def _is_unique(self) -> None:
        for name in ("pattern", "name"):
            value = getattr(self, name)
            if value and type(self).where({name: value, "_id": {"$ne": self.id}}).exists():
                self.errors.add(name, self._taken(name))

    def duplicate_key_errors(self, details: Mapping[str, Any]) -> dict[str, list[str]]:
        for name in ("pattern", "name"):
            if name in details.get("keyPattern", {}):
                return {name: [self._taken(name)]}
        return super().duplicate_key_errors(details)

    def _taken(self, name: str) -> str:
        return f"is the {name} of another entry: {getattr(self, name)}"

    @property
    def job_class(self) -> type[Job] | None:
        """The class of the jobs to create; None if it is not loaded here."""
        return lookup(self.job_class_name or "", Job)

    @before("save")
    def _seal_properties(self) -> None:
        if self.job_class is not None:
            self.job_class_name = self.job_class.type_name()  # it may have had another
            self.properties = self.job_class.seal_properties(self.properties)

    # --- states ------------------------------------------------------------------------------

    @event(Transition(("pending", "disabled", "failed"), "enabled"))
    def enable(self) -> Self:
        """Let the directory monitor look for files; a failed entry keeps its reason.

        Raises:
            ValidationError: the entry is not valid here, and would fail at once.
        """
        return self

    @event(Transition(("enabled", "failed"), "disabled"), validates=False)
    def disable(self) -> Self:
        """Stop looking for files."""
        return self

    @event(Transition(("enabled",), "failed"), validates=False)
    def fail(self, reason: BaseException | str, *, worker_name: str | None = None) -> Self:
        """Stop looking for files, and keep the reason."""
        error = DirmonEntryException(reason) if isinstance(reason, str) else reason
        self.exception = JobException.of(error, worker_name)
        return self

    def note(self, reason: BaseException | None, *, worker_name: str | None = None) -> None:
        """Keep why this scan could not look for files, None if it could; the entry goes on."""
        encode = type(self).fields()["exception"].codec.encode
        assert encode is not None
        stored = None if reason is None else encode(JobException.of(reason, worker_name))
        update = {"$set": {"exception": stored}} if stored else {"$unset": {"exception": ""}}
        self.collection().update_one({"_id": self.id, "state": "enabled"}, update)

    def called_when_refused(self) -> str:
        return f"entry {self.name or self.id}"

    @property
    def is_pending(self) -> bool:
        return self.state == "pending"

    @property
    def is_enabled(self) -> bool:
        return self.state == "enabled"

    @property
    def is_disabled(self) -> bool:
        return self.state == "disabled"

    @property
    def is_failed(self) -> bool:
        return self.state == "failed"

    @classmethod
    def pending(cls) -> Query[Self]:
        return cls.where({"state": "pending"})

    @classmethod
    def enabled(cls) -> Query[Self]:
        return cls.where({"state": "enabled"})

    @classmethod
    def disabled(cls) -> Query[Self]:
        return cls.where({"state": "disabled"})

    @classmethod
    def failed(cls) -> Query[Self]:
        return cls.where({"state": "failed"})

    @classmethod
    def counts_by_state(cls) -> dict[str, int]:
        """Count the entries by state, including only states that occur."""
        return application.current().store.count_by(cls.collection_name, "state")

    # --- files -------------------------------------------------------------------------------

    def files(
        self, problems: list[Problem] | None = None, passed: Passed | None = None
    ) -> Iterator[FileState]:
        """Yield the files that match now.

        Args:
            problems: collects what was skipped, and why; if None, the first problem is raised.
            passed: told of what matches and is never taken, such as what is in the archive.

        Raises:
            DirmonError: a folder cannot be read, or is outside of the allowed paths.
        """
        seen: set[str] = set()
        allowed = ALLOWED_PATHS.of(application.current().config)
        for pattern in patterns.parse(self.pattern):
            folder = folder_of(pattern.base, self.archive_directory)
            for file in folder.files(pattern, allowed, problems, passed):
                if file.path not in seen:
                    seen.add(file.path)
                    yield file

    def archive_of(self, file: FileState) -> Archive:
        """Return where a file will be archived."""
        return folder_of(file.base, self.archive_directory).archive_of(
            file, ALLOWED_PATHS.of(application.current().config)
        )

    def later(self, path: str) -> UploadFileJob:
        """Archive a file now, and return the stored job that passes it to its own job.

        Raises:
            DirmonError: it cannot be archived; the file is where it was.
        """
        return Intake("by hand").take(self, folder_of_path(path, self).state_of(path))


def folder_of_path(path: str, entry: DirmonEntry) -> Any:
    base, _, _ = path.rpartition("/")
    return folder_of(base or ".", entry.archive_directory)


def check_entries(patient: Any) -> Iterator[Any]:
    """Report to `rocketjob doctor` the entries that have failed."""
    from rocketjob.server.checks import WARNING, Finding  # for start-up time

    for entry in DirmonEntry.where(state="failed").order_by("id"):
        reason = entry.exception.message if entry.exception else "the reason is unknown"
        yield Finding(
            "dirmon",
            WARNING,
            f"{entry.name or entry.pattern} has failed, and gets no more files: {reason}",
            "correct what is wrong, then: rocketjob dirmon enable",
            {"entry": str(entry.id)},
        )
