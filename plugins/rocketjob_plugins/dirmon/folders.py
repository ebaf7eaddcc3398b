"""Local and remote folders: list their files, and move a file into the archive."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any, NamedTuple, Protocol

from rocketjob.base.errors import RocketJobError
from rocketjob.base.folders import sync_folder
from rocketjob.base.passwords import hide_secrets_of
from rocketjob_plugins.batch.streams.names import is_url, shown
from rocketjob_plugins.batch.streams.source import fsspec, path_of
from rocketjob_plugins.dirmon.patterns import Item, Pattern, walk

OBJECT_STORES = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oss", "memory")
STAMPS = ("mtime", "LastModified", "last_modified", "updated", "created")  # differs by library
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


class DirmonError(RocketJobError):
    """A file or folder cannot be processed; the file is where it was."""


class FolderAway(DirmonError):
    """A folder is unavailable now, such as a share in an outage; the next scan tries again."""


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
        self, pattern: Pattern, allowed: Sequence[str], problems: list[str] | None
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


def folder_of(base: str, archive: str) -> Folder:
    """Return the folder of a path or URL.

    Raises:
        DirmonError: its library is not installed, or the archive is on another system.
    """
    if is_url(base) and not base.lower().startswith("file:"):
        if is_url(archive) and archive.partition("://")[0] != base.partition("://")[0]:
            raise DirmonError(
                "the archive of a remote folder must be relative, or of the same kind"
            )
        if archive.startswith("/"):
            raise DirmonError("the archive of a remote folder must be relative, or a whole URL")
        return RemoteFolder(base, archive)
    if is_url(archive) and not archive.lower().startswith("file:"):
        raise DirmonError("the archive of a local folder must be local")
    return LocalFolder(_local(base), _local(archive))


def _local(name: str) -> str:
    return path_of(name) if is_url(name) else name


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
    parts = _below(archive)
    folders = tuple(names[:-1])
    starts = range(len(folders) - len(parts) + 1)
    return bool(parts) and any(folders[start : start + len(parts)] == parts for start in starts)


def check_archive(base: str, archive: str) -> str | None:
    """Return why archived files would be found again, or None."""
    if is_url(archive) or is_url(base):
        same = not is_url(archive) and not _below(archive)
        return f"the archive directory {archive} is the folder itself" if same else None
    root = os.path.realpath(base)
    if os.path.isabs(archive):
        inside = within(root, [os.path.realpath(archive)])
    else:
        inside = not _below(archive) or in_archive([*_above(root, archive), ""], archive)
    return f"the archive directory {archive} is, or is above, the folder itself" if inside else None


def _below(archive: str) -> tuple[str, ...]:
    """Return the parts of a relative directory without its leading `..`."""
    return tuple(p for p in PurePosixPath(os.path.normpath(archive)).parts if p != "..")


def _above(root: str, archive: str) -> tuple[str, ...]:
    """Return the end of a folder's path that a relative archive can lead through."""
    levels = PurePosixPath(os.path.normpath(archive)).parts.count("..")
    return PurePosixPath(root).parts[1:][-levels:] if levels else ()


def _note(problems: list[str] | None, message: str) -> None:
    if problems is None:
        raise DirmonError(message)
    problems.append(message)


def why(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__


# --- local -----------------------------------------------------------------------------------


class LocalFolder:
    """A directory on this machine, or a mounted one."""

    def __init__(self, base: str, archive: str) -> None:
        self.base, self.archive = base, archive

    def files(
        self, pattern: Pattern, allowed: Sequence[str], problems: list[str] | None
    ) -> Iterator[FileState]:
        root = os.path.realpath(self.base)
        self._check_root(root, allowed)
        archive = os.path.realpath(self.archive) if os.path.isabs(self.archive) else None
        above = () if archive is not None else _above(root, self.archive)
        listing = _Listing(root, problems)
        for names in walk(pattern, listing):
            path = "/".join((root.rstrip("/"), *names))
            if archive is not None and within(path, [archive]):
                continue
            if archive is None and in_archive((*above, *names), self.archive):
                continue
            try:
                file = self._look(path, root, allowed)
            except FileNotFoundError:
                continue  # somebody took it between the listing and now
            except (OSError, DirmonError) as error:
                problem = why(error) if isinstance(error, OSError) else str(error)
                _note(problems, f"{shown_name(path)}: {problem}")
                continue
            yield file

    def _check_root(self, root: str, allowed: Sequence[str]) -> None:
        roots = _local_roots(allowed)
        if allowed and not within(root, roots):
            raise DirmonError(f"{self.base} is outside of dirmon_allowed_paths")
        if not os.path.isdir(root):
            raise FolderAway(f"there is no directory {self.base}")

    def _look(self, path: str, root: str, allowed: Sequence[str]) -> FileState:
        """Return a file, and why it must not be taken yet."""
        problem = check_name(path)
        if problem:
            raise DirmonError(problem)
        real = os.path.realpath(path)
        if not within(real, [root]):
            raise DirmonError("it is a link that leads out of the folder")
        roots = _local_roots(allowed)
        if allowed and not within(real, roots):
            raise DirmonError("it is outside of dirmon_allowed_paths")
        state = os.stat(real)
        file = _state(real, root, state)
        if not stat.S_ISREG(state.st_mode):  # a device, a pipe, a socket
            return file._replace(held="it is not a regular file")
        if not os.access(real, os.R_OK):
            raise DirmonError("it cannot be read")
        # A file that is not writable may still be arriving: other directory monitors rely on that.
        return file if os.access(real, os.W_OK) else file._replace(held="it is read-only here")

    def archive_of(self, file: FileState, allowed: Sequence[str]) -> Archive:
        folder, _, name = file.path.rpartition("/")
        path = os.path.normpath(os.path.join(folder, self.archive))
        directory = os.path.realpath(path)
        if not os.path.isabs(self.archive) and directory != path:
            raise DirmonError(f"the archive {path} is, or is below, a link to another place")
        roots = _local_roots(allowed)
        if allowed and not within(directory, roots):
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
            self._copy(source, target, hold)
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


def _local_roots(allowed: Sequence[str]) -> list[str]:
    return [os.path.realpath(path) for path in allowed if not is_url(path)]


class _Listing:
    """Lists directories, each once; links to directories are not followed."""

    def __init__(self, root: str, problems: list[str] | None) -> None:
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
                return [Item(entry.name, self._is_dir(entry)) for entry in entries]
        except FileNotFoundError:
            return []
        except OSError as error:
            if error.errno in OUTAGES:
                raise FolderAway(f"the folder {shown_name(path)}: {why(error)}") from error
            _note(self.problems, f"the folder {shown_name(path)} cannot be read: {why(error)}")
            return []

    def _is_dir(self, entry: os.DirEntry[str]) -> bool:
        if not entry.is_symlink():
            return entry.is_dir()
        # A linked directory is listed at its own path, if that is below the root.
        return False


def _state(path: str, base: str, status: os.stat_result) -> FileState:
    return FileState(
        path, base, status.st_size, status.st_mtime_ns, status.st_ino, changed=status.st_ctime_ns
    )


def shown_name(path: str) -> str:
    """Return a path that can be stored and printed, whatever bytes it contains."""
    return repr(path)[1:-1].encode("utf-8", "backslashreplace").decode()


def _part(target: str) -> str:
    directory, _, name = target.rpartition("/")
    return f"{directory}/.{name.partition('_')[0]}.part"


# --- remote ----------------------------------------------------------------------------------


class RemoteFolder:
    """A folder at a URL, through the library fsspec."""

    def __init__(self, base: str, archive: str) -> None:
        self.base, self.archive = base.rstrip("/"), archive
        self.scheme = base.partition("://")[0].lower()
        try:
            self.system, self.root = fsspec().core.url_to_fs(self.base)
        except ImportError as error:  # "Install s3fs to access S3"
            raise DirmonError(f"{shown(base)}: {error}") from None

    def files(
        self, pattern: Pattern, allowed: Sequence[str], problems: list[str] | None
    ) -> Iterator[FileState]:
        if ".." in self.base.split("/") or (allowed and not within(self.base, allowed)):
            raise DirmonError(f"{shown(self.base)} is outside of dirmon_allowed_paths")
        self.system.invalidate_cache()
        infos: dict[str, dict[str, Any]] = {}
        for names in walk(pattern, lambda below: self._read(below, infos, problems)):
            path = "/".join((self.base, *names))
            own_archive = is_url(self.archive) and within(path, [self.archive])
            if own_archive or (not is_url(self.archive) and in_archive(names, self.archive)):
                continue
            problem = check_name(path)
            if problem:
                _note(problems, f"{shown_name(path)}: {problem}")
                continue
            yield self._state(path, infos["/".join(names)])

    def _read(
        self, below: str, infos: dict[str, dict[str, Any]], problems: list[str] | None
    ) -> list[Item]:
        path = f"{self.root.rstrip('/')}/{below}".rstrip("/")
        try:
            listing = self.system.ls(path, detail=True)
        except FileNotFoundError:
            if not below and not self.system.exists(path or "/"):
                raise FolderAway(f"there is no folder {shown(self.base)}") from None
            return []
        except Exception as error:  # whatever the library for this scheme raises
            problem = hide_secrets_of(self.base, str(error))
            _note(problems, f"the folder {shown(self.base)}/{below} cannot be read: {problem}")
            return []
        items = []
        for info in listing:
            name = str(info["name"]).rstrip("/").rpartition("/")[2]
            if str(info["name"]).rstrip("/") != path.rstrip("/"):  # some also list the folder
                infos[f"{below}/{name}" if below else name] = info
                items.append(Item(name, info.get("type") == "directory"))
        return items

    def _state(self, path: str, info: dict[str, Any]) -> FileState:
        stamp = next((info[key] for key in STAMPS if info.get(key)), 0)
        number = stamp.timestamp() if hasattr(stamp, "timestamp") else stamp
        nanoseconds = int(number * 1_000_000_000) if isinstance(number, int | float) else 0
        immediate = self.scheme in OBJECT_STORES
        return FileState(path, self.base, int(info.get("size") or 0), nanoseconds, 0, immediate)

    def archive_of(self, file: FileState, allowed: Sequence[str]) -> Archive:
        folder, _, name = file.path.rpartition("/")
        directory = self.archive if is_url(self.archive) else f"{folder}/{self.archive}"
        if ".." in directory.split("/") or (allowed and not within(directory, allowed)):
            raise DirmonError(f"the archive {shown(directory)} is outside of dirmon_allowed_paths")
        return Archive(directory.rstrip("/"), name)

    def state_of(self, path: str) -> FileState:
        self.system.invalidate_cache()
        return self._state(path, self.system.info(self._inner(path)))

    def move(self, source: str, target: str, hold: Callable[[], None]) -> None:
        """Move a file; on an object store, by a copy that appears only when complete."""
        origin, destination = self._inner(source), self._inner(target)
        if self.scheme in OBJECT_STORES:
            self.system.cp_file(origin, destination)
            hold()
            self.system.rm_file(origin)
        else:
            self.system.makedirs(destination.rpartition("/")[0], exist_ok=True)
            self.system.mv(origin, destination)

    def put_back(self, target: str, source: str) -> None:
        if self.system.exists(self._inner(target)) and not self.system.exists(self._inner(source)):
            self.move(target, source, lambda: None)

    def discard_part(self, target: str) -> None:
        """Do nothing: what a remote move leaves behind is overwritten by the next one."""

    def remove(self, path: str) -> None:
        self.system.rm_file(self._inner(path))

    def _inner(self, url: str) -> str:
        return str(self.system._strip_protocol(url))
