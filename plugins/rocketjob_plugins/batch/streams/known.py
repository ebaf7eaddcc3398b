"""The streams there are, and which a file name or the beginning of a file asks for.

`orders.csv.gz.enc` is encrypted, compressed CSV.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from rocketjob.base.text import did_you_mean
from rocketjob_plugins.batch.registered import names_of, registered
from rocketjob_plugins.batch.streams import content
from rocketjob_plugins.batch.streams.built_in import BUILT_IN
from rocketjob_plugins.batch.streams.errors import StreamError
from rocketjob_plugins.batch.streams.file_formats import FileFormat, is_file_format
from rocketjob_plugins.batch.streams.names import base_name
from rocketjob_plugins.batch.streams.stream import Stream
from rocketjob_plugins.batch.streams.xlsx import Xlsx

_BUILT_IN_BY_NAME = {each.name: each for each in BUILT_IN}


def known_streams() -> dict[str, Stream]:
    """Return the built-in streams and those of plugins, by name."""
    return {**_BUILT_IN_BY_NAME, **registered("register_streams", "stream")}


def file_formats(formats: Iterable[Any] | None = None) -> dict[str, type[FileFormat]]:
    """Return the formats of files that are no text, by name.

    Args:
        formats: those among these are known besides the built-in one; by default those of plugins.
    """
    if formats is None:
        formats = registered("register_file_formats", "file format").values()
    return {format.name: format for format in (Xlsx, *filter(is_file_format, formats))}


def extensions() -> dict[str, str]:
    """Return the stream, or file format, that each extension of a file name asks for."""
    return _by_extension([*known_streams().values(), *file_formats().values()])


def _by_extension(known: Sequence[Any]) -> dict[str, str]:
    return {name: each.name for each in known for name, _ in names_of(each)}


def built_in_extensions() -> dict[str, str]:
    """Return the extensions that have a meaning without any plugin, and which."""
    return _by_extension([*BUILT_IN, Xlsx])


def streams_of(file_name: str | None) -> list[str]:
    """Return the streams of a name, from left to right: `["gz", "enc"]` for `a.csv.gz.enc`.

    Extensions are taken from the right, ignoring case, up to the first that is not a stream.
    """
    parts = base_name(file_name).split(".")[1:] if file_name else []
    known = extensions() if parts else {}
    streams: list[str] = []
    for part in reversed(parts):
        stream = known.get(part.lower())
        if stream is None:
            break
        streams.insert(0, stream)
    return streams


def chosen_streams(file_name: str | None, streams: Sequence[str] | str | None) -> list[str]:
    """Return the given streams, or else those of the name.

    Raises:
        StreamError: there is no such stream.
    """
    if streams is None:
        return streams_of(file_name)
    given = [streams] if isinstance(streams, str) else list(streams)
    return [_known(name) for name in given if name != "none"]


def _known(stream: str) -> str:
    name, known = str(stream).lower().lstrip("."), extensions()
    if name not in known:
        hint = did_you_mean(name, known, f"known are {', '.join(known)}")
        raise StreamError(f"There is no stream {stream}; {hint}")
    return known[name]


def kind_of(head: bytes) -> tuple[str, str | None]:
    """Return what a file that begins so looks like, and the stream that reads it, if any."""
    if not head:
        return "an empty file", None
    for stream in known_streams().values():
        if stream.begins(head):
            return stream.words, stream.name
    return content.other_kind(head), None


def wrong_content(name: str, stream: str, head: bytes, outer: Sequence[str] = ()) -> StreamError:
    """Say that a file, or what is within its `outer` streams, is not what it is said to be."""
    words, other = kind_of(head)
    if not head:
        return StreamError(f"is empty, and {stream} data never is: fetch it again", file=name)
    if words == "plain text":
        cure = f"rename it, or pass streams={_listed(outer)}"
    elif other is None:
        cure = "it can be read if it is saved as text, such as CSV, or as an .xlsx workbook"
    else:
        cure = f"rename it, or pass streams={_listed([other, *outer])}"
        cure += f" ({_listed(['xlsx', *outer])} for a workbook)" if other == "zip" else ""
    within = f"holds no {stream} data within {outer[0]}" if outer else f"is not {stream} data"
    return StreamError(f"{within}: it looks like {words}; {cure}", file=name)


def _listed(streams: Sequence[str]) -> str:
    return json.dumps(list(streams))
