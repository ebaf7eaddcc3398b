"""What the commands of batch jobs share: finding the job, and the files that are read and written.

Imports within functions: a command loads no more than it needs, so that it starts quickly.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import IO, Any, NamedTuple, TypeVar

import click
from bson import ObjectId

from rocketjob import Job, UnknownJob
from rocketjob.cli import Failure, import_app
from rocketjob.cli.errors import BadInput
from rocketjob.cli.output import print_json
from rocketjob.jobs.completions import what_is_known
from rocketjob.jobs.shown import class_name
from rocketjob_plugins.batch.batch import Batch
from rocketjob_plugins.batch.streams import ReadKeywords, StreamError
from rocketjob_plugins.batch.streams.names import is_url, library_failed, shown
from rocketjob_plugins.batch.streams.options import text_encoding
from rocketjob_plugins.batch.streams.source import fsspec, local_path

F = TypeVar("F", bound=Callable[..., Any])
STANDARD = "-"  # stands for standard input and output


def batch_job(id: ObjectId) -> Batch:
    """Return a stored batch job.

    Raises:
        Failure: there is none of this id, its class is not loaded, or it is of another kind.
    """
    import_app()
    stored = Job.collection().find_one({"_id": id})
    if stored is None:
        raise Failure(f"there is no job with the id {id}: {what_is_known(id)}")
    job = Job.listed(stored)
    if isinstance(job, UnknownJob):
        hint = "" if job.error else ": --app MODULE loads it"
        raise Failure(f"job {id}: {job.problem}{hint}")
    if not isinstance(job, Batch):
        raise Failure(f"{class_name(job)} {id} is not a batch job")
    return job


# --- files that are read ---------------------------------------------------------------------


class Reading(NamedTuple):
    """A file to be read.

    Attributes:
        source: what the API is given.
        keywords: how it is to be read.
        file: the open file, where it is known how long that is.
    """

    source: Any
    keywords: ReadKeywords
    file: IO[bytes] | None


_READING = (
    click.option("--encoding", metavar="NAME", help="of the file, such as cp1252"),
    click.option(
        "--encode-replace",
        metavar="TEXT",
        help="put this in place of bytes that are not valid; they are an error otherwise",
    ),
    click.option(
        "--streams",
        metavar="NAMES",
        help="how the file is packed, such as gz or gz,pgp; its extensions say so otherwise",
    ),
    click.option(
        "--file-name",
        metavar="NAME",
        help="its extensions count instead of the file's, as for standard input",
    ),
)


def reading_options(function: F) -> F:
    """Decorate a command with the options for a file that is read; it takes them as `reading`."""
    import functools

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        names = ("encoding", "encode_replace", "streams", "file_name")
        given = {name: kwargs.pop(name) for name in names}
        keywords: Any = {name: value for name, value in given.items() if value is not None}
        if "streams" in keywords:
            keywords["streams"] = names_of(keywords["streams"])
        with _wrong_usage():
            text_encoding(keywords.get("encoding"))
        return function(*args, reading=keywords, **kwargs)

    for option in reversed(_READING):
        call = option(call)
    return call  # type: ignore[return-value]


def names_of(text: str) -> list[str]:
    """Return the names of a list such as `gz,pgp`."""
    return [name.strip() for name in text.split(",") if name.strip()]


@contextlib.contextmanager
def _wrong_usage() -> Iterator[None]:
    try:
        yield
    except StreamError as error:
        raise BadInput(str(error)) from error


@contextlib.contextmanager
def opened(file: str, keywords: ReadKeywords) -> Iterator[Reading]:
    """Open a file to be read, or standard input."""
    if file == STANDARD:
        yield Reading(sys.stdin.buffer, keywords, None)
    elif (found := _found(file)) is None:
        yield Reading(file, keywords, None)
    else:
        with found:
            named: ReadKeywords = {**keywords, "file_name": keywords.get("file_name") or file}
            yield Reading(found, named, found)


def _found(file: str) -> IO[bytes] | None:
    """Return an ordinary file, open; for all else, also what is wrong with it, there is the API."""
    if is_url(file) or not os.path.isfile(file):
        return None
    with contextlib.suppress(OSError):
        return open(file, "rb", buffering=0)
    return None


# --- files that are written ------------------------------------------------------------------


def target_of(file: str, force: bool) -> Any:
    """Return what is to be written to; nothing that is there is replaced without being asked.

    Raises:
        Failure: there is such a file.
    """
    if file == STANDARD:
        return sys.stdout.buffer
    if not force and _is_there(file):
        raise Failure(f"{shown(file)} is there already: --force replaces it")
    return file


@contextlib.contextmanager
def reader_may_leave() -> Iterator[None]:
    """Let it be no failure that the reader of standard output has had enough, as `head` does."""
    try:
        yield
    except StreamError as error:
        if isinstance(error.__cause__, BrokenPipeError):
            raise BrokenPipeError from None  # the command line ends quietly then
        raise


def _is_there(file: str) -> bool:
    path = local_path(file)
    if path is not None:
        is_special = os.path.exists(path) and not os.path.isfile(path)
        return os.path.lexists(path) and not is_special  # of a directory the API says what is wrong
    library = fsspec(shown(file))
    try:
        system, place = library.core.url_to_fs(file)
        return bool(system.exists(place))
    except Exception as error:  # whatever the library for this scheme raises
        raise library_failed("cannot be looked for", error, file)  # noqa: B904 (it decides itself)


def named(file: str) -> str:
    """Return a target as messages name it."""
    return "standard output" if file == STANDARD else shown(file)


def check_json(as_json: bool, file: str) -> None:
    """Refuse to print JSON among what is written to standard output."""
    if as_json and file == STANDARD:
        raise BadInput("--json and - would both be on standard output: name a file")


def say_written(values: dict[str, Any], text: str, file: str, as_json: bool) -> None:
    """Say what was written, where it does not get into the file."""
    if as_json:
        print_json(values)
    else:
        click.echo(text, err=file == STANDARD)


def on_terminal(as_json: bool) -> bool:
    """Return whether somebody looks who is to be shown how far it is."""
    return sys.stderr.isatty() and not as_json
