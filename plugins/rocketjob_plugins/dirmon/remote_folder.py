"""A folder at a URL, through the library fsspec."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rocketjob.base.passwords import hide_secrets_of
from rocketjob_plugins.batch.streams.names import is_url, shown
from rocketjob_plugins.batch.streams.source import fsspec
from rocketjob_plugins.dirmon.folder import (
    IN_ARCHIVE,
    IS_DIRECTORY,
    Archive,
    DirmonError,
    FileState,
    FolderAway,
    Passed,
    Problem,
    check_name,
    in_archive,
    note_problem,
    shown_name,
    telling,
    within,
)
from rocketjob_plugins.dirmon.patterns import Item, Pattern, walk

OBJECT_STORES = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oss", "memory")
STAMPS = ("mtime", "LastModified", "last_modified", "updated", "created")  # differs by library


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
        self,
        pattern: Pattern,
        allowed: Sequence[str],
        problems: list[Problem] | None,
        passed: Passed | None = None,
    ) -> Iterator[FileState]:
        if ".." in self.base.split("/") or (allowed and not within(self.base, allowed)):
            raise DirmonError(f"{shown(self.base)} is outside of dirmon_allowed_paths")
        self.system.invalidate_cache()
        infos: dict[str, dict[str, Any]] = {}
        listing = lambda below: self._read(below, infos, problems)  # noqa: E731
        for names in walk(pattern, listing, telling(passed, self.base, IS_DIRECTORY)):
            path = "/".join((self.base, *names))
            own_archive = is_url(self.archive) and within(path, [self.archive])
            if own_archive or (not is_url(self.archive) and in_archive(names, self.archive)):
                if passed is not None:
                    passed(path, IN_ARCHIVE)
                continue
            problem = check_name(path)
            if problem:
                note_problem(problems, Problem(shown_name(path), problem))
                continue
            yield self._state(path, infos["/".join(names)])

    def _read(
        self, below: str, infos: dict[str, dict[str, Any]], problems: list[Problem] | None
    ) -> list[Item]:
        path = f"{self.root.rstrip('/')}/{below}".rstrip("/")
        try:
            listing = self.system.ls(path, detail=True)
        except FileNotFoundError:
            if not below and not self.system.exists(path or "/"):
                raise FolderAway(f"there is no folder {shown(self.base)}") from None
            return []
        except Exception as error:  # whatever the library for this scheme raises
            said = hide_secrets_of(self.base, str(error))
            place = f"{shown(self.base)}/{below}"
            note_problem(problems, Problem(place, f"cannot be read: {said}", is_folder=True))
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
