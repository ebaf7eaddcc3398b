"""Whether a file may be called as it is: not with the extension of another format."""

from __future__ import annotations

import json
import os
from typing import Any

from rocketjob_plugins.batch.streams.errors import StreamError
from rocketjob_plugins.batch.streams.known import extensions, streams_of
from rocketjob_plugins.batch.streams.names import base_name, shown
from rocketjob_plugins.batch.tabular.known import format_named

_EXTENSION_OF = {"csv": "csv", "psv": "psv", "json": "json", "fixed": "txt"}
_SEPARATED = {"tsv": "\t", "tab": "\t", "psv": "|"}  # what csv is called with these separators


def check_name(
    file: Any, format: str, separator: str | None = None, *, is_chosen: bool = True
) -> None:
    """Refuse to write a file under the extension of another format.

    Args:
        file: a path or URL; a file object may have any name.
        format: as which it is written.
        separator: of csv.
        is_chosen: the format is that of an output category, and could be another one.

    Raises:
        StreamError: its name says that it is of another format.
    """
    own = format_named(format)
    name = os.fspath(file) if isinstance(file, os.PathLike) else file
    extension = _extension(name) if isinstance(name, str) else ""
    if own not in _EXTENSION_OF or not _is_another(extension, own, separator or ","):
        return
    problem = f"is named .{extension}, and it is written as {own}: name it .{_EXTENSION_OF[own]}"
    if is_chosen:
        problem += f", or set {_choice(own, extension)} before the job runs"
    raise StreamError(problem, file=shown(name))


def _is_another(extension: str, own: str, separator: str) -> bool:
    if own == "csv" and extension in _SEPARATED:
        return separator != _SEPARATED[extension]
    wanted = format_named(extension)
    return (wanted in _EXTENSION_OF or wanted in _SEPARATED) and wanted != own


def _choice(own: str, extension: str) -> str:
    if extension not in _SEPARATED or (own, extension) == ("csv", "psv"):
        return 'the format of the output category to "auto"'
    mark = json.dumps(_SEPARATED[extension])
    return f'the format of the output category to "csv" with format_options={{"separator": {mark}}}'


def _extension(name: str) -> str:
    """Return the last extension that is not how a file is packed; of a workbook there is none."""
    if streams_of(name)[:1] == ["xlsx"]:
        return ""
    parts = base_name(name).lower().split(".")[1:]
    packed = extensions()
    return next((part for part in reversed(parts) if part not in packed), "")
