"""`UploadFileJob`: pass a file to a new job."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bson import ObjectId

from rocketjob import Hold, Job, before, field, hookimpl, only_for, validate
from rocketjob.base.errors import RocketJobError, StateConflict, ValidationError
from rocketjob.jobs.job import job_class
from rocketjob.jobs.store_away import waits_for_store
from rocketjob.model.document import Document
from rocketjob.model.fields import read_only_field
from rocketjob.model.registry import lookup
from rocketjob.model.validation import Errors, check_fields
from rocketjob.store.away import is_away
from rocketjob_plugins.batch.settings import within_reach
from rocketjob_plugins.batch.streams import StreamError
from rocketjob_plugins.batch.streams.options import text_encoding
from rocketjob_plugins.batch.streams.source import local_path

FILE_FIELDS = ("upload_file_name", "full_file_name")


class UploadFileJob(Job):
    """Creates a job of another class and gives it a file.

    A class that has a method `upload`, as batch jobs do, gets the file through it; any other must
    have a field `upload_file_name` or `full_file_name`, which is set. The job is stored in one step
    with `job_created`, so there is exactly one, however often this job has to run again.
    """

    priority = 30

    job_class_name: str = field(user_editable=True, description="class of the job to create")
    properties: dict[str, Any] = field(
        factory=dict, user_editable=True, description="fields of the job to create"
    )
    upload_file_name: str = field(user_editable=True, description="a path or URL")
    original_file_name: str | None = field(
        default=None, user_editable=True, description="the file's name before it was moved"
    )
    encoding: str | None = field(
        default=None, user_editable=True, description="of the file, if it is not UTF-8"
    )
    job_id: ObjectId = field(factory=ObjectId, description="id of the job to create")
    job_created: bool = read_only_field(default=False)

    @validate
    def _file_is_there(self) -> None:
        name = self.upload_file_name
        if not isinstance(name, str):
            return
        if not name.strip():
            self.errors.add("upload_file_name", "is required: it is blank")
            return
        path = local_path(name)
        if path is not None and not self.job_created and not Path(path).is_file():
            self.errors.add("upload_file_name", f"there is no file {name}")

    @validate
    def _class_and_properties_fit(self) -> None:
        if not isinstance(self.job_class_name, str) or not isinstance(self.properties, dict):
            return
        # A class that is not loaded here may be loaded where this job runs.
        if lookup(self.job_class_name, Document) is not None:
            for name, message in misfits(self.job_class_name, self.properties):
                self.errors.add(name, message)

    @validate
    def _encoding_fits(self) -> None:
        for message in wrong_encoding(self.encoding, self.job_class_name):
            self.errors.add("encoding", message)

    @before("save")
    def _seal_properties(self) -> None:
        cls = lookup(self.job_class_name, Job)
        if cls is not None:
            self.job_class_name = cls.type_name()  # it may have had another
            self.properties = cls.seal_properties(self.properties)

    @waits_for_store
    def perform(self) -> dict[str, Any]:
        """Create the job, give it the file, and store it."""
        if not self.job_created:
            if Job.where(id=self.job_id).exists():
                raise RocketJobError(f"there is a job {self.job_id} already: nothing was uploaded")
            self._make_job()
        return {"job_id": str(self.job_id)}

    def _make_job(self) -> None:
        job = job_class(self.job_class_name).from_properties(self.properties)
        job.id = self.job_id
        try:
            if hasattr(job, "cleanup"):
                job.cleanup()  # left by an earlier attempt whose process died
            self._hand_over(job)
            if self.is_new:
                job.save()
                return
            self._store_with(job)
        except StateConflict:
            raise  # another worker has this job now, and with it what was uploaded
        except BaseException as error:
            # Whether a write was done whose answer never came is not known: what the job has got
            # may be all that there is of the file.
            if hasattr(job, "cleanup") and not is_away(error):
                job.cleanup()
            raise

    def _store_with(self, job: Any) -> None:
        self.job_created = True
        try:
            self.save_with(job)
        except BaseException:
            self.job_created = False  # or the end of this attempt would store that it is
            raise

    def _hand_over(self, job: Any) -> None:
        if hasattr(job, "upload"):
            options = {"file_name": self.original_file_name, "encoding": self.encoding}
            with within_reach():
                job.upload(self.upload_file_name, **{k: v for k, v in options.items() if v})
            return
        if not takes_files(type(job)):  # stored by hand: saving it would have refused that
            ((_, problem), *_) = misfits(self.job_class_name, self.properties)
            raise RocketJobError(problem)
        name = next(name for name in FILE_FIELDS if _takes(type(job), name))
        setattr(job, name, self.upload_file_name)


def misfits(class_name: str, properties: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what is wrong with a class that is to get a file, and with its properties.

    Returns:
        pairs of `job_class_name` or `properties` and a message.
    """
    cls = lookup(class_name, Document)
    if cls is None or not issubclass(cls, Job) or cls is Job:
        problem = "is not a job class" if cls else "is not loaded here: name its module in `app`"
        return [("job_class_name", f"{class_name} {problem}")]
    if not takes_files(cls):
        problem = f"has neither a method upload nor a field {' or '.join(FILE_FIELDS)}"
        return [("job_class_name", f"{class_name} cannot be given a file: it {problem}")]
    return [("properties", message) for message in wrong_properties(cls, properties)]


def takes_files(cls: type[Job]) -> bool:
    """Return whether a job of a class can be given a file."""
    return hasattr(cls, "upload") or any(_takes(cls, name) for name in FILE_FIELDS)


def wrong_encoding(encoding: Any, class_name: Any) -> list[str]:
    """Return why a file cannot be read in an encoding, or not by a class."""
    if not isinstance(encoding, str):
        return []
    try:
        text_encoding(encoding)
    except StreamError as error:
        return [str(error)]
    cls = lookup(class_name, Job) if isinstance(class_name, str) else None
    if cls is None or hasattr(cls, "upload"):
        return []
    return [f"is for batch jobs: {class_name} is given the file's name, and reads the file itself"]


def wrong_properties(cls: type[Job], properties: Mapping[str, Any]) -> list[str]:
    """Return which properties a class has no field for, cannot parse, or does not allow."""
    try:
        job = cls.from_properties(properties)
    except ValidationError as error:
        return [f"{name}: {'; '.join(messages)}" for name, messages in error.errors.items()]
    except (RocketJobError, TypeError, ValueError, AttributeError) as error:
        return [str(error)]
    errors = Errors()
    checked = [
        field
        for name, field in cls.fields().items()
        if name in properties or _is_left_out(cls, field)
    ]
    check_fields(job, checked, errors)
    return [f"{name}: {'; '.join(messages)}" for name, messages in errors.items()]


def _is_left_out(cls: type[Job], field: Any) -> bool:
    """Return whether a field needs a value that neither the file nor a callback provides."""
    return field.required and field.name not in FILE_FIELDS and not cls.chain("validation")


def _takes(cls: type[Job], name: str) -> bool:
    field = cls.fields().get(name)
    if field is not None:
        return not field.read_only
    attribute = getattr(cls, name, None)
    return isinstance(attribute, property) and attribute.fset is not None


@hookimpl
@only_for(UploadFileJob)
def veto_claim(job: UploadFileJob) -> Hold | None:
    """Leave the job to a server on which the class is loaded."""
    name = job.job_class_name
    if lookup(name, Job) is not None:
        return None
    text = f"it waits for a server on which {name} is loaded"
    return Hold("job_class_name", text, {"_type": job.type_name(), "job_class_name": name})
