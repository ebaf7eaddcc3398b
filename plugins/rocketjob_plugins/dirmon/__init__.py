"""Create a job for each file that is dropped into a folder.

    entry = DirmonEntry.create(
        name="ACME imports",
        pattern="/var/sftp/acme/incoming/*.csv",
        job_class_name="CustomerImportJob",
        archive_directory="/var/sftp/acme/archive",
        properties={"account_id": 42, "priority": 25},
    )
    entry.enable()
    DirmonJob.create()                # scans every 5 minutes; or check_seconds=60

A file that has stopped growing is moved into the archive as `<job id>_<name>`, and then passed to
its job by an `UploadFileJob`: a batch job has it uploaded, any other gets its path in the field
`upload_file_name` or `full_file_name`. Each file is started exactly once, whichever processes die:
see `intake`.

Patterns may contain `*`, `?`, `[a-z]`, `{a,b}` and `**`, ignore case, and may be URLs that fsspec
supports. Hidden files and directories, and the archive, are skipped. Files are taken only from
below the pattern's base, the part before the first wildcard; and if the server's setting
`dirmon_allowed_paths` is not empty, only from below one of those paths. Links do not lead out.

An entry is `pending`, `enabled`, `disabled` or `failed`. It fails, with the reason in `exception`,
when a file cannot be taken; that file stays where it was, and the other entries continue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rocketjob import Job, hookimpl
from rocketjob.base.settings import Setting
from rocketjob_plugins.dirmon import entry, hookspecs, intake
from rocketjob_plugins.dirmon.entry import DirmonEntry, DirmonEntryException
from rocketjob_plugins.dirmon.folder import DirmonError
from rocketjob_plugins.dirmon.job import DirmonJob
from rocketjob_plugins.dirmon.verdict import Defer, Refuse, Take

if TYPE_CHECKING:
    import click

    from rocketjob.server.checks import Check
    from rocketjob.server.metrics import Metric
    from rocketjob.server.questions import Question

__all__ = [
    "Defer",
    "DirmonEntry",
    "DirmonEntryException",
    "DirmonError",
    "DirmonJob",
    "Refuse",
    "Take",
]


@hookimpl
def register_hookspecs(manager: Any) -> None:
    manager.add_hookspecs(hookspecs)


@hookimpl
def register_settings() -> list[Setting[Any]]:
    return [entry.ALLOWED_PATHS]


@hookimpl
def register_checks() -> list[Check]:
    from rocketjob.server.checks import Check  # for start-up time

    return [Check("dirmon", entry.check_entries)]


@hookimpl
def register_signs() -> list[Check]:
    from rocketjob.server.checks import Check  # for start-up time
    from rocketjob_plugins.dirmon.signs import entries

    return [Check("directories", entries)]


@hookimpl
def register_metrics() -> list[Metric]:
    return [intake.TAKEN, intake.LAY]


@hookimpl
def register_questions() -> list[Question]:
    from rocketjob_plugins.dirmon import preview  # for start-up time

    return [preview.question()]


@hookimpl
def register_jobs() -> list[type[Job]]:
    return [DirmonJob]


@hookimpl
def register_commands(cli: click.Group) -> None:
    from rocketjob_plugins.dirmon.command import dirmon  # for start-up time

    cli.add_command(dirmon)


@hookimpl
def register_indexes() -> dict[str, list[dict[str, Any]]]:
    named = {"name": {"$exists": True}}
    return {
        entry.COLLECTION: [
            {"keys": [("pattern", 1)], "name": "pattern", "unique": True},
            {
                "keys": [("name", 1)],
                "name": "name",
                "unique": True,
                "partialFilterExpression": named,
            },
        ],
        intake.COLLECTION: [{"keys": [("key", 1)], "name": "key", "unique": True}],
    }
