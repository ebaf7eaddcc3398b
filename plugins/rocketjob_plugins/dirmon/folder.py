"""What a monitored folder is: its files, its archive, and which names and places are refused."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple, Protocol

from rocketjob.base.errors import RocketJobError
from rocketjob_plugins.batch.streams.names import is_url
from rocketjob_plugins.dirmon.patterns import Pattern


class DirmonError(RocketJobError):
    """A file or folder cannot be processed; the file is where it was."""


class FolderAway(DirmonError):
    """A folder is unavailable now, such as a share in an outage; the next scan tries again."""


class Problem(NamedTuple):
    """What fails an entry, when a scan meets it; as text it says what is wrong with what.

    Attributes:
        path: of a file or folder, as it can be shown.
        why: what is wrong with it.
    """

    path: str
    why: str
    is_folder: bool = False

    def __str__(self) -> str:
        return (
            f"the folder {self.path} {self.why}" if self.is_folder else f"{self.path}: {self.why}"
        )


Passed = Callable[[str, str], None]
"""Told the path of what matches and is never taken, as it is in the archive, and why."""
IN_ARCHIVE = "it is in the archive"
IS_DIRECTORY = "it is a directory"


class FileState(NamedTuple):
    """A file as it was found.

    Attributes:
        path: absolute and real, or a URL.
        base: the pattern's base, below which it was found.
        size: in bytes.
        stamp: the time of modification in nanoseconds, which changes whenever the file does.
        number: the inode, if there is one: another file of the same name has a different one.
        immediate: whether it is complete as soon as it is visible.
        changed: when its content or metadata last changed, which no copy can set back.
        held: why it must not be taken yet.
    """

    path: str
    base: str
    size: int
    stamp: int
    number: int = 0
    immediate: bool = False
    changed: int = 0
    held: str | None = None

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def identity(self) -> list[int]:
        return [self.size, self.stamp, self.number]

    @property
    def settled(self) -> list[int]:
        """What stays the same from one scan to the next once nobody writes to the file."""
        return [*self.identity, self.changed]


class Archive(NamedTuple):
    """Where a file is moved to: a directory, and the file's own name without the job's id."""

    directory: str
    name: str

    def target(self, job_id: Any) -> str:
        return f"{self.directory}/{job_id}_{self.name}"


class Folder(Protocol):
    """The base of a pattern."""

    def files(
        self,
        pattern: Pattern,
        allowed: Sequence[str],
        problems: list[Problem] | None,
        passed: Passed | None = None,
    ) -> Iterator[FileState]: ...

    def archive_of(self, file: FileState, allowed: Sequence[str]) -> Archive: ...

    def state_of(self, path: str) -> FileState:
        """Return a file's current state; raise FileNotFoundError if it is gone."""
        ...

    def move(self, source: str, target: str, hold: Callable[[], None]) -> None: ...

    def put_back(self, target: str, source: str) -> None: ...

    def discard_part(self, target: str) -> None:
        """Remove what an interrupted move left behind."""
        ...

    def remove(self, path: str) -> None: ...


def within(path: str, roots: Iterable[str]) -> bool:
    """Return whether a path is one of the roots or below one, comparing whole components."""
    return any(path == root or path.startswith(root.rstrip("/") + "/") for root in roots)


def check_name(name: str) -> str | None:
    """Return what is wrong with a file's name, or None."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return "its name is not valid UTF-8"
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in name):
        return "its name has a line feed or another control character"
    return None


def in_archive(names: Sequence[str], archive: str) -> bool:
    """Return whether a path below the base leads through a relative archive directory."""
    parts = below(archive)
    folders = tuple(names[:-1])
    starts = range(len(folders) - len(parts) + 1)
    return bool(parts) and any(folders[start : start + len(parts)] == parts for start in starts)


def check_archive(base: str, archive: str) -> str | None:
    """Return why archived files would be found again, or None."""
    if is_url(archive) or is_url(base):
        same = not is_url(archive) and not below(archive)
        return f"the archive directory {archive} is the folder itself" if same else None
    root = os.path.realpath(base)
    if os.path.isabs(archive):
        inside = within(root, [os.path.realpath(archive)])
    else:
        inside = not below(archive) or in_archive([*above(root, archive), ""], archive)
    return f"the archive directory {archive} is, or is above, the folder itself" if inside else None


def below(archive: str) -> tuple[str, ...]:
    """Return the parts of a relative directory without its leading `..`."""
    return tuple(p for p in PurePosixPath(os.path.normpath(archive)).parts if p != "..")


def above(root: str, archive: str) -> tuple[str, ...]:
    """Return the end of a folder's path that a relative archive can lead through."""
    levels = PurePosixPath(os.path.normpath(archive)).parts.count("..")
    return PurePosixPath(root).parts[1:][-levels:] if levels else ()


def note_problem(problems: list[Problem] | None, problem: Problem) -> None:
    if problems is None:
        raise DirmonError(str(problem))
    problems.append(problem)


def telling(passed: Passed | None, base: str, why: str) -> Callable[[Sequence[str]], None] | None:
    """Return what tells of paths that are given as names below a base."""
    if passed is None:
        return None
    return lambda names: passed("/".join((base, *names)), why)


def why(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__


def shown_name(path: str) -> str:
    """Return a path that can be stored and printed, whatever bytes it contains."""
    return repr(path)[1:-1].encode("utf-8", "backslashreplace").decode()
