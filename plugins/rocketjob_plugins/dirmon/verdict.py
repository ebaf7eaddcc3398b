"""What a plugin says of a found file: see the hook `dirmon_file`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from rocketjob import Job, application
from rocketjob.base.errors import RocketJobError
from rocketjob.model.registry import lookup
from rocketjob.store.away import is_away
from rocketjob_plugins.dirmon.folder import Archive, FileState
from rocketjob_plugins.dirmon.intake import Entry
from rocketjob_plugins.files.upload import misfits


@attrs.frozen
class Refuse:
    """Leave the file where it is, and do not ask again before it changes.

    Attributes:
        reason: for the log.
    """

    reason: str


@attrs.frozen
class Defer:
    """Leave the file where it is, and ask again at the next scan.

    Attributes:
        reason: for the log.
    """

    reason: str


@attrs.frozen(kw_only=True)
class Take:
    """Take the file, for another job than the entry says.

    Attributes:
        job_class_name: the class of the job; None: that of the entry.
        properties: fields of the job, beside and above those of the entry.
    """

    job_class_name: str | None = None
    properties: Mapping[str, Any] = attrs.field(factory=dict)


Verdict = Refuse | Defer | Take


def verdict_on(entry: Entry, file: FileState) -> Verdict | None:
    """Ask the plugins about a file; one that fails defers it."""
    plugins = application.current().plugins
    if not plugins.listens("dirmon_file"):
        return None
    try:
        verdict: Verdict | None = plugins.first("dirmon_file", entry=entry, file=file)
    except RocketJobError as error:
        if is_away(error):
            raise
        return Defer(" ".join([str(error), *getattr(error, "__notes__", ())]))
    return _checked(entry, verdict) if isinstance(verdict, Take) else verdict


def _checked(entry: Entry, verdict: Take) -> Verdict:
    """Defer a file that would be taken for a job that it does not fit."""
    changed = Changed(entry, verdict)
    if changed.job_class is None and verdict.job_class_name is None:
        return verdict  # another server has the class
    problems = [f"{about}: {said}" for about, said in misfits(*changed.job)]
    text = f"a plugin wants it for a job that it does not fit: {'; '.join(problems)}"
    return Defer(text) if problems else verdict


class Changed:
    """An entry as a plugin wants it for one file."""

    def __init__(self, entry: Entry, take: Take) -> None:
        self._entry, self.id = entry, entry.id
        self.name, self.pattern = entry.name, entry.pattern
        self.archive_directory, self.encoding = entry.archive_directory, entry.encoding
        self.job_class_name = take.job_class_name or entry.job_class_name
        self.properties = {**entry.properties, **take.properties}

    @property
    def job(self) -> tuple[str, dict[str, Any]]:
        """The class of the job to create, and its fields."""
        return self.job_class_name, self.properties

    @property
    def job_class(self) -> type[Job] | None:
        return lookup(self.job_class_name, Job)

    def archive_of(self, file: FileState) -> Archive:
        return self._entry.archive_of(file)
