"""A directory on this machine, or a mounted one."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from rocketjob.base.folders import sync_folder
from rocketjob_plugins.batch.streams.names import is_url
from rocketjob_plugins.dirmon.folder import (
    IN_ARCHIVE,
    IS_DIRECTORY,
    Archive,
    DirmonError,
    FileState,
    FolderAway,
    Passed,
    Problem,
    above,
    check_name,
    in_archive,
    note_problem,
    shown_name,
    telling,
    why,
    within,
)
from rocketjob_plugins.dirmon.patterns import Item, Pattern, walk

COPY_BYTES = 1024 * 1024
OUTAGES = frozenset(
    (
        errno.EIO,
        errno.ESTALE,
        errno.ENODEV,
        errno.ENOTCONN,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.ETIMEDOUT,
    )
)  # errors of a share whose server is unreachable


class LocalFolder:
    """A directory on this machine, or a mounted one."""

    def __init__(self, base: str, archive: str) -> None:
        self.base, self.archive = base, archive

    def files(
        self,
        pattern: Pattern,
        allowed: Sequence[str],
        problems: list[Problem] | None,
        passed: Passed | None = None,
    ) -> Iterator[FileState]:
        root = os.path.realpath(self.base)
        roots = _local_roots(allowed)
        self._check_root(root, roots)
        archive = os.path.realpath(self.archive) if os.path.isabs(self.archive) else None
        leading = () if archive is not None else above(root, self.archive)
        listing = _Listing(root, problems)
        start = root.rstrip("/")
        for names in walk(pattern, listing, telling(passed, start, IS_DIRECTORY)):
            path = "/".join((start, *names))
            if (
                within(path, [archive])
                if archive is not None
                else in_archive((*leading, *names), self.archive)
            ):
                if passed is not None:
                    passed(path, IN_ARCHIVE)
                continue
            try:
                file = self._look(path, root, roots)
            except FileNotFoundError:
                continue  # somebody took it between the listing and now
            except (OSError, DirmonError) as error:
                problem = why(error) if isinstance(error, OSError) else str(error)
                note_problem(problems, Problem(shown_name(path), problem))
                continue
            yield file

    def _check_root(self, root: str, roots: Sequence[str] | None) -> None:
        if roots is not None and not within(root, roots):
            raise DirmonError(f"{self.base} is outside of dirmon_allowed_paths")
        if not os.path.isdir(root):
            raise FolderAway(f"there is no directory {self.base}")

    def _look(self, path: str, root: str, roots: Sequence[str] | None) -> FileState:
        """Return a file, and why it must not be taken yet."""
        problem = check_name(path)
        if problem:
            raise DirmonError(problem)
        real = os.path.realpath(path)
        if not within(real, [root]):
            raise DirmonError("it is a link that leads out of the folder")
        if roots is not None and not within(real, roots):
            raise DirmonError("it is outside of dirmon_allowed_paths")
        state = os.stat(real)
        file = _state(real, root, state)
        if not stat.S_ISREG(state.st_mode):  # a device, a pipe, a socket
            return file._replace(held="it is not a regular file")
        if not _may(real, os.R_OK):
            raise DirmonError("it cannot be read")
        # A file that is not writable may still be arriving: other directory monitors rely on that.
        return file if _may(real, os.W_OK) else file._replace(held="it is read-only here")

    def archive_of(self, file: FileState, allowed: Sequence[str]) -> Archive:
        folder, _, name = file.path.rpartition("/")
        path = os.path.normpath(os.path.join(folder, self.archive))
        directory = os.path.realpath(path)
        if not os.path.isabs(self.archive) and directory != path:
            raise DirmonError(f"the archive {path} is, or is below, a link to another place")
        roots = _local_roots(allowed)
        if roots is not None and not within(directory, roots):
            raise DirmonError(f"the archive {directory} is outside of dirmon_allowed_paths")
        return Archive(directory, name)

    def state_of(self, path: str) -> FileState:
        return _state(path, self.base, os.stat(path, follow_symlinks=False))

    def move(self, source: str, target: str, hold: Callable[[], None]) -> None:
        """Move a file; to another file system, by a copy that appears only when complete.

        Raises:
            OSError: the file is where it was.
        """
        os.makedirs(os.path.dirname(target), exist_ok=True)
        try:
            os.rename(source, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            return self._copy(source, target, hold)
        sync_folder(os.path.dirname(target))

    def _copy(self, source: str, target: str, hold: Callable[[], None]) -> None:
        part = _part(target)
        try:
            with open(source, "rb") as read, open(part, "wb") as written:
                while data := read.read(COPY_BYTES):
                    hold()
                    written.write(data)
                written.flush()
                os.fsync(written.fileno())
            shutil.copystat(source, part)
            os.rename(part, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(part)
            raise
        sync_folder(os.path.dirname(target))  # before the only other copy is removed
        try:
            os.unlink(source)
        except OSError:
            os.unlink(target)
            raise

    def put_back(self, target: str, source: str) -> None:
        if os.path.exists(target) and not os.path.exists(source):
            self.move(target, source, lambda: None)

    def discard_part(self, target: str) -> None:
        with suppress(OSError):
            os.unlink(_part(target))

    def remove(self, path: str) -> None:
        os.unlink(path)


def _local_roots(allowed: Sequence[str]) -> list[str] | None:
    """Return the allowed directories on this machine; None if every one is allowed."""
    if not allowed:
        return None
    return [os.path.realpath(path) for path in allowed if not is_url(path)]


class _Listing:
    """Lists directories, each once; links to directories are not followed."""

    def __init__(self, root: str, problems: list[Problem] | None) -> None:
        self.root, self.problems = root, problems
        self._known: dict[str, list[Item]] = {}

    def __call__(self, below: str) -> list[Item]:
        if below not in self._known:
            self._known[below] = self._read(below)
        return self._known[below]

    def _read(self, below: str) -> list[Item]:
        path = os.path.join(self.root, below)
        try:
            with os.scandir(path) as entries:
                # A linked directory is listed at its own path, if that is below the root.
                return [Item(e.name, e.is_dir(follow_symlinks=False)) for e in entries]
        except FileNotFoundError:
            return []
        except OSError as error:
            if error.errno in OUTAGES:
                raise FolderAway(f"the folder {shown_name(path)}: {why(error)}") from error
            problem = Problem(shown_name(path), f"cannot be read: {why(error)}", is_folder=True)
            note_problem(self.problems, problem)
            return []


def _state(path: str, base: str, status: os.stat_result) -> FileState:
    return FileState(
        path, base, status.st_size, status.st_mtime_ns, status.st_ino, changed=status.st_ctime_ns
    )


def _may(path: str, mode: int) -> bool:
    """Return whether a file may be used so.

    Raises:
        OSError: it is gone; `os.access` says that nobody may use it then.
    """
    if os.access(path, mode):
        return True
    os.stat(path)
    return False


def _part(target: str) -> str:
    directory, _, name = target.rpartition("/")
    return f"{directory}/.{name.partition('_')[0]}.part"
