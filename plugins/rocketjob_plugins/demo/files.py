"""Find the text files in a folder."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import attrs

LEFT_OUT = {"__pycache__", "dist-packages", "node_modules", "site-packages"}
SNIFFED_BYTES = 1024


@attrs.define
class TextFiles:
    """Text files with their sizes, and how many others were skipped."""

    folder: Path
    files: list[tuple[Path, int]] = attrs.field(factory=list)
    skipped: int = 0

    @property
    def bytes(self) -> int:
        return sum(size for _, size in self.files)


def standard_library() -> Path:
    """Return the folder of Python's own sources, which every machine has."""
    return Path(sysconfig.get_path("stdlib"))


def find(folder: Path, limit: int | None = None) -> TextFiles:
    """Find text files in a folder and those below it, except hidden ones.

    A file that cannot be read counts as text: its job reports what is wrong with it.
    """
    sources = TextFiles(folder.resolve())
    for path in _files(sources.folder):
        if limit is not None and len(sources.files) >= limit:
            break
        if _is_text(path):
            sources.files.append((path, _size(path)))
        else:
            sources.skipped += 1
    return sources


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(n for n in folders if n not in LEFT_OUT and not n.startswith("."))
        for name in sorted(names):
            path = Path(root, name)
            if not name.startswith(".") and path.is_file():
                yield path


def _is_text(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return b"\0" not in file.read(SNIFFED_BYTES)
    except OSError:
        return True


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def size_text(count: int) -> str:
    """Return a number of bytes in readable form."""
    for unit, size in (("MB", 1_000_000), ("KB", 1000)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count} bytes"
