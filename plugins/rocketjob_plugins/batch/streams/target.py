"""Where bytes go: a path, a URL or a file object. What is there stays until all went well."""

from __future__ import annotations

import contextlib
import io
import os
import stat
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.parse import urlsplit

from rocketjob.base.folders import sync_folder
from rocketjob_plugins.batch.streams.errors import StreamError
from rocketjob_plugins.batch.streams.names import check_url, is_url, library_failed, shown
from rocketjob_plugins.batch.streams.source import fsspec, local_path, package_missing

BUFFER = 256 * 1024


class Target(Protocol):
    """The lowest layer of a writer."""

    name: str

    def write(self, data: bytes, /) -> None: ...

    def commit(self) -> None:
        """Let what was written take its place."""
        ...

    def discard(self) -> None:
        """Leave everything as it was, as far as that is possible."""
        ...


class _Path:
    """A file that is written beside its place and moved there at the end."""

    def __init__(self, path: str, fsync: bool) -> None:
        self.name = path
        self._fsync = fsync
        # A link stays, and what it points to is replaced.
        self._path = Path(os.path.realpath(path))
        self._part = self._path
        try:
            # A device or pipe is written to: it has nothing that could be lost.
            self._direct = self._path.exists() and not stat.S_ISREG(self._path.stat().st_mode)
            if self._path.is_dir():
                raise StreamError("is a directory: name the file to write", file=path)
            if not self._direct:
                self._part = self._path.with_name(
                    f".{self._path.name[:200]}.{os.urandom(4).hex()}.part"
                )
            self._file: IO[bytes] = open(self._part, "wb" if self._direct else "xb", BUFFER)  # noqa: SIM115
        except FileNotFoundError:
            where = self._path.parent
            raise StreamError(f"there is no directory {where}: make it first", file=path) from None
        except OSError as error:
            raise StreamError(f"cannot be written: {error.strerror}", file=path) from error

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def commit(self) -> None:
        self._file.flush()
        if self._direct:
            self._file.close()
            return
        with contextlib.suppress(FileNotFoundError):
            self._part.chmod(stat.S_IMODE(self._path.stat().st_mode))
        if self._fsync:  # else a power failure may leave an empty file in place of the old one
            os.fsync(self._file.fileno())
        self._file.close()
        self._part.replace(self._path)
        if self._fsync:
            sync_folder(self._path.parent)

    def discard(self) -> None:
        with contextlib.suppress(OSError):  # the disk may be full: closing writes the rest
            self._file.close()
        if not self._direct:
            self._part.unlink(missing_ok=True)


class _Remote:
    """A remote file; it appears at the end, as far as its file system can do that."""

    def __init__(self, url: str) -> None:
        self.name = shown(url)
        library = fsspec(self.name)
        try:
            # Not shared: what is written by others must not join this transaction.
            self._system, path = library.core.url_to_fs(url, skip_instance_cache=True)
            self._system.start_transaction()
            self._file: Any = self._system.open(path, "wb")
        except ImportError as error:
            raise package_missing(url, error) from None
        except Exception as error:  # whatever the library for this scheme raises
            raise library_failed("cannot be written", error, url)  # noqa: B904 (it decides itself)
        self._url = url

    def write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except Exception as error:
            raise library_failed("cannot be written", error, self._url)  # noqa: B904

    def commit(self) -> None:
        try:
            self._file.close()
            self._system.end_transaction()
        except Exception as error:
            raise library_failed("cannot be written", error, self._url)  # noqa: B904

    def discard(self) -> None:
        with contextlib.suppress(Exception):
            self._file.close()
        self._system.transaction.complete(commit=False)


class _Object:
    """A file object: written through, and left open."""

    def __init__(self, file: Any, name: str) -> None:
        self._file, self.name = file, name

    def write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            written = self._file.write(left)
            if written is None or written == len(left):
                return
            left = left[written:]

    def commit(self) -> None:
        if hasattr(self._file, "flush"):
            self._file.flush()

    def discard(self) -> None:
        pass


def open_target(target: Any, fsync: bool) -> tuple[Target, str | None]:
    """Open where to write to; return it with its file name, None for a file object.

    Raises:
        StreamError: it cannot be written, or is nothing to write to.
    """
    if isinstance(target, os.PathLike):
        target = os.fspath(target)
    if isinstance(target, str) and target:
        return _open_name(target, fsync), target
    if hasattr(target, "write"):
        return _object(target), None
    problem = "The path is empty" if target == "" else f"Cannot write to a {type(target).__name__}"
    raise StreamError(f"{problem}: give a path, a URL or a file object")


def _object(target: Any) -> _Object:
    given = getattr(target, "name", None)
    name = given if isinstance(given, str) else "the file object"
    if getattr(target, "closed", False):
        raise StreamError("is closed: open it again", file=name)
    if hasattr(target, "writable") and not target.writable():
        raise StreamError('is open for reading only: open it with "wb"', file=name)
    return _Object(target, name)


def _open_name(name: str, fsync: bool) -> Target:
    path = local_path(name)
    if path is not None:
        return _Path(path, fsync)
    check_address(name)
    return _Remote(name)


def check_address(name: str) -> None:
    """Refuse a path or URL to which nobody can write, on whichever machine.

    Raises:
        StreamError: it is one.
    """
    if not name or not is_url(name):
        return
    if urlsplit(name).scheme.lower() in ("http", "https"):
        raise StreamError("a web address can only be read: write to a path", file=shown(name))
    check_url(name)


class Rehearsal(io.BytesIO):
    """Takes the place of a target that cannot be opened without doing something to it."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = shown(name)


def rehearsed(name: str) -> str | Rehearsal:
    """Return what a writer is tried with, before there is anything to write to a path or URL.

    Raises:
        StreamError: the library for the URL is missing, or does not reach it.
    """
    path = local_path(name)
    if path is not None:
        is_special = os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)
        return Rehearsal(name) if is_special else name
    check_address(name)
    try:
        fsspec(shown(name)).core.url_to_fs(name, skip_instance_cache=True)
    except ImportError as error:
        raise package_missing(name, error) from None
    except StreamError:
        raise
    except Exception as error:  # whatever the library for this scheme raises
        raise library_failed("cannot be written", error, name)  # noqa: B904 (it decides itself)
    return Rehearsal(name)
