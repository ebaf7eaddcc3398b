"""Whether a file may be called as it is: not with the extension of another format."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from rocketjob_plugins.batch.streams.errors import StreamError
from rocketjob_plugins.batch.streams.file_formats import lines_of
from rocketjob_plugins.batch.streams.known import (
    built_in_extensions,
    extensions,
    file_formats,
)
from rocketjob_plugins.batch.streams.names import base_name, shown
from rocketjob_plugins.batch.tabular.known import brought, format_named

_EXTENSION_OF = {"csv": "csv", "psv": "psv", "json": "json", "fixed": "txt"}
_SEPARATED = {"tsv": "\t", "tab": "\t", "psv": "|"}  # what csv is called with these separators


def check_name(
    file: Any,
    format: str,
    separator: str | None = None,
    *,
    is_chosen: bool = True,
    formats: Sequence[Any] | None = None,
) -> None:
    """Refuse to write a file under the extension of another format.

    Args:
        file: a path or URL; a file object may have any name.
        format: as which it is written.
        separator: of csv.
        is_chosen: the format is that of an output category, and could be another one.
        formats: besides the built-in ones; by default those of plugins, whose streams are then
            known too.

    Raises:
        StreamError: its name says that it is of another format.
    """
    known_extensions = built_in_extensions() if formats is not None else extensions()
    formats = brought() if formats is None else formats
    own = format_named(format, formats)
    name = os.fspath(file) if isinstance(file, os.PathLike) else file
    extension = _extension(name, known_extensions, formats) if isinstance(name, str) else ""
    known = {**_EXTENSION_OF, **{each.name: _own_extension(each) for each in formats}}
    if own not in known or not _is_another(extension, own, separator or ",", formats, known):
        return
    problem = f"is named .{extension}, and it is written as {own}: name it .{known[own]}"
    if is_chosen:
        problem += f", or set {_choice(own, extension)} before the job runs"
    raise StreamError(problem, file=shown(name))


def _own_extension(format: Any) -> str:
    extensions = getattr(format, "extensions", ())
    return str(extensions[0] if extensions else format.name)


def _is_another(
    extension: str, own: str, separator: str, formats: Sequence[Any], known: Mapping[str, str]
) -> bool:
    if own == "csv" and extension in _SEPARATED:
        return separator != _SEPARATED[extension]
    wanted = format_named(extension, formats)
    return (wanted in known or wanted in _SEPARATED) and wanted != own


def _choice(own: str, extension: str) -> str:
    if extension not in _SEPARATED or (own, extension) == ("csv", "psv"):
        return 'the format of the output category to "auto"'
    mark = json.dumps(_SEPARATED[extension])
    return f'the format of the output category to "csv" with format_options={{"separator": {mark}}}'


def _extension(name: str, packed: Mapping[str, str], formats: Sequence[Any]) -> str:
    """Return the last extension that is not how a file is packed.

    Of a file that is made of lines of another format, such as a workbook, there is none.
    """
    files = file_formats(formats)
    for part in reversed(base_name(name).lower().split(".")[1:]):
        if (format := files.get(packed.get(part, ""))) is not None:
            return "" if lines_of(format) else format.name
        if part not in packed:
            return part
    return ""
