"""Hooks that the batch plugin brings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rocketjob import hookspec
from rocketjob.plugins.answers import list_of

if TYPE_CHECKING:
    from rocketjob import Job
    from rocketjob_plugins.batch.outcome.told import SliceDone
    from rocketjob_plugins.batch.serializers import Serializer
    from rocketjob_plugins.batch.streams import Stream


def _is_serializer(value: Any) -> bool:
    from rocketjob_plugins.batch.serializers import Serializer  # for start-up time

    return isinstance(value, Serializer)


def _refused_serializer(value: Any) -> str | None:
    from rocketjob_plugins.batch.serializers import refusal  # for start-up time

    return refusal(value)


def _is_format(value: Any) -> bool:
    return isinstance(getattr(value, "name", None), str) and all(
        hasattr(value, name) for name in ("has_header", "parse", "render")
    )


def _refused_format(value: Any) -> str | None:
    return _refused("format", value)


def _is_any_format(value: Any) -> bool:
    from rocketjob_plugins.batch.streams.file_formats import is_file_format  # for start-up time

    return _is_format(value) or is_file_format(value)


def _refused_file_format(value: Any) -> str | None:
    return _refused("file format", value)


def _refused(kind: str, value: Any) -> str | None:
    from rocketjob_plugins.batch.registered import refusal_of  # for start-up time
    from rocketjob_plugins.batch.streams.known import built_in_extensions  # for start-up time
    from rocketjob_plugins.batch.tabular.known import built_in_names  # for start-up time

    return refusal_of(value, kind, {*built_in_extensions(), *built_in_names()})


def _is_stream(value: Any) -> bool:
    from rocketjob_plugins.batch.streams.stream import Stream  # for start-up time

    return isinstance(value, Stream)


def _refused_stream(value: Any) -> str | None:
    return _refused("stream", value)


@hookspec
@list_of("streams: rocketjob_plugins.batch.streams.Stream", _is_stream, _refused_stream)
def register_streams() -> list[Stream]:
    """Return ways to pack or encrypt files: their extensions are then known wherever a file is.

    Called in every process that reads or writes files, whenever it asks what a name means. One with
    the name or an extension of another stream or format is refused, unless its `replaces` is True.
    """
    raise NotImplementedError


@hookspec
@list_of(
    "serializers: rocketjob_plugins.batch.serializers.Serializer",
    _is_serializer,
    _refused_serializer,
)
def register_serializers() -> list[Serializer]:
    """Return further serializers for slices, to be named in a category.

    One with the name of another is refused, unless its `replaces` is True.
    """
    raise NotImplementedError


@hookspec
@list_of("formats: classes with name, has_header, parse and render", _is_format, _refused_format)
def register_formats() -> list[Any]:
    """Return further formats of lines, to be named in a category.

    The same as `register_file_formats`, which came later, for these alone.
    """
    raise NotImplementedError


@hookspec
@list_of(
    "formats: classes with name, and either parse and render, or read and write",
    _is_any_format,
    _refused_file_format,
)
def register_file_formats() -> list[Any]:
    """Return further formats, to be named in a category, or found by `auto` by their extensions.

    One whose files are text has `parse` and `render`, for each line: see
    `rocketjob_plugins.batch.tabular.Format`. Any other has `read` and `write`, for a file: see
    `rocketjob_plugins.batch.streams.FileFormat`.

    Called in every process that reads or writes files, whenever it asks what a name means. One with
    the name or an extension of another is refused, unless its attribute `replaces` is True.
    """
    raise NotImplementedError


@hookspec
def slice_done(job: Job, slice: SliceDone) -> None:
    """Learn that a slice was processed, or has failed, after that was stored with its output.

    Called once for each slice, on the thread of the worker that processed it, in its process; not
    for one that is released to go on later, nor where the process dies right after it was stored,
    nor where an answer of the store is lost. Never for a single record. An error is logged with the
    plugin's name and changes nothing else.

    Args:
        slice: what became of it: `number`, `records`, `state` (`done` or `failed`), `rejects`,
            `error`, `seconds`.
    """
