"""Where bytes come from: a path, a URL or a file object."""

from __future__ import annotations

import importlib
import io
import os
import socket
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.parse import unquote, urlsplit

from rocketjob.base.passwords import has_password
from rocketjob_plugins.batch.streams.errors import StreamError
from rocketjob_plugins.batch.streams.names import check_url, is_url, library_failed, shown

HTTP_SECONDS = 60.0
PACKAGES = {"s3": "s3fs", "sftp": "paramiko", "gs": "gcsfs", "az": "adlfs"}  # for fsspec


class Reader(Protocol):
    """A stream of bytes: what every layer reads from, and is to the one above it."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, and none only at the end."""
        ...

    def close(self) -> None:
        """Release what this layer and those below hold."""
        ...


class Source:
    """The lowest layer.

    Attributes:
        name: for messages.
        file_name: for the extensions; None for a file object.
        file: the open file.
        is_text: it gives text, not bytes.
    """

    def __init__(
        self, name: str, file_name: str | None, file: IO[Any], owned: bool, url: str | None = None
    ) -> None:
        self.name, self.file_name, self.file = name, file_name, file
        self.is_text = False
        self._owned = owned
        self._url = url

    def read(self, size: int) -> Any:
        try:
            data = self.file.read(size)
        except StreamError:
            raise
        except UnicodeError:
            raise
        except Exception as error:
            if self._url:  # whatever its library raises
                raise library_failed("cannot be read", error, self._url)  # noqa: B904 (it decides)
            if isinstance(error, OSError):
                raise StreamError(f"cannot be read: {_why(error)}", file=self.name) from error
            raise
        if data is None:
            raise StreamError("gives nothing now: it is not blocking", file=self.name)
        return data

    def seekable_file(self) -> IO[bytes] | None:
        """Return the file if one can move about in it, for the formats with an index."""
        try:
            if self.file.seekable():
                self.file.seek(0)
                return self.file
        except (AttributeError, OSError, ValueError):
            pass
        return None

    def close(self) -> None:
        if self._owned:
            self.file.close()


def open_source(source: Any, file_name: str | None = None) -> Source:
    """Open a path, a URL or a file object.

    Raises:
        StreamError: it does not exist, cannot be opened, or is none of these.
    """
    if isinstance(source, os.PathLike):
        source = os.fspath(source)
    if isinstance(source, str):
        return _open_url(source, file_name) if is_url(source) else _open_path(source, file_name)
    if hasattr(source, "read"):
        return _open_object(source, file_name)
    raise StreamError(
        f"Cannot read from a {type(source).__name__}: give a path, a URL or a file object"
    )


def _open_path(path: str, file_name: str | None) -> Source:
    if not path:
        raise StreamError("The path is empty")
    try:
        file = open(path, "rb", buffering=0)  # noqa: SIM115 (closed by the reader)
    except FileNotFoundError:
        raise StreamError(_missing(path), file=path) from None
    except IsADirectoryError:
        raise StreamError("is a directory: name one file in it", file=path) from None
    except OSError as error:
        raise StreamError(f"cannot be opened: {_why(error)}", file=path) from error
    return Source(path, file_name or path, file, owned=True)


def _missing(path: str) -> str:
    problem = f"does not exist on {socket.gethostname()}"  # a worker may run on another machine
    parent = Path(path).absolute().parent
    if not parent.is_dir():
        return f"{problem}, nor does the directory {parent}"
    return problem if os.path.isabs(path) else f"{problem} (relative to {Path.cwd()})"


def _open_object(source: Any, file_name: str | None) -> Source:
    name = file_name or getattr(source, "name", None)
    label = shown(name) if isinstance(name, str) else "the file object"
    opened = Source(label, file_name, source, owned=False)
    opened.is_text = isinstance(source, io.TextIOBase) or isinstance(opened.read(0), str)
    return opened


def _open_url(url: str, file_name: str | None) -> Source:
    scheme = urlsplit(url).scheme.lower()
    if scheme == "file":
        return _open_path(path_of(url), file_name)
    check_url(url)
    name = shown(url)
    file: Any = _open_http(url, name) if scheme in ("http", "https") else _open_remote(url, name)
    return Source(name, file_name or url, file, owned=True, url=url)


def path_of(url: str) -> str:
    """Return the path of a `file:` URL."""
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise StreamError("a file: URL with a host is of another machine", file=shown(url))
    return unquote(parts.path)


def local_path(name: str) -> str | None:
    """Return the path of a name or `file:` URL; None for other URLs."""
    if not is_url(name):
        return name
    # Not `urlsplit`, which raises ValueError for some of the others.
    return path_of(name) if name.lstrip().lower().startswith("file:") else None


def fsspec(name: str | None = None) -> Any:
    """Return the library for remote files; messages name this one.

    Raises:
        StreamError: it is not installed.
    """
    try:
        return importlib.import_module("fsspec")
    except ImportError:
        scheme = urlsplit(name or "").scheme.lower()
        others = f" {PACKAGES[scheme]}" if scheme in PACKAGES else ""
        raise StreamError(
            f"remote files need a library: pip install 'rocketjob[remote]'{others}", file=name
        ) from None


def package_missing(url: str, error: ImportError) -> StreamError:
    """Say which package fsspec requires for a scheme."""
    scheme = urlsplit(url).scheme.lower()
    cure = f"pip install {PACKAGES[scheme]}" if scheme in PACKAGES else str(error)
    return StreamError(f"{scheme}:// needs a package: {cure}", file=shown(url))


def _open_remote(url: str, name: str) -> Any:
    library = fsspec(name)
    try:
        return library.open(url, "rb").open()
    except FileNotFoundError:
        raise StreamError("does not exist", file=name) from None
    except ImportError as error:  # "Install s3fs to access S3"
        raise package_missing(url, error) from None
    except Exception as error:  # whatever the library for this scheme raises
        raise library_failed("cannot be opened", error, url)  # noqa: B904 (it decides itself)


class _Http:
    """A response's body; a connection that closes early is an error, not the end of the file."""

    def __init__(self, response: Any, name: str) -> None:
        self._response, self._name = response, name
        length = response.headers.get("Content-Length")
        self._left = int(length) if length and length.isdigit() else None

    def read(self, size: int) -> bytes:
        import http.client  # for start-up time

        try:
            data: bytes = self._response.read(size) if size else b""
        except http.client.HTTPException as error:
            raise StreamError("the connection closed early", file=self._name) from error
        if self._left is not None:
            self._left -= len(data)
            if not data and size and self._left > 0:
                raise StreamError(
                    f"the connection closed with {self._left} bytes missing", file=self._name
                )
        return data

    def close(self) -> None:
        self._response.close()


def _open_http(url: str, name: str) -> _Http:
    import http.client  # all three for start-up time
    import urllib.error
    import urllib.request

    if has_password(url):
        problem = "a password in a web address is not supported: give one without, or a signed one"
        raise StreamError(f"cannot be opened: {problem}", file=name)
    request = urllib.request.Request(url, headers={"User-Agent": "rocketjob"})
    try:
        return _Http(urllib.request.urlopen(request, timeout=HTTP_SECONDS), name)
    except urllib.error.HTTPError as error:
        error.close()
        problem = "does not exist" if error.code in (404, 410) else "cannot be opened"
        raise StreamError(
            f"{problem}: the server answers {error.code} {error.reason}", file=name
        ) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        why = getattr(error, "reason", None)  # urllib has put its own around it
        cause = why if isinstance(why, BaseException) else error
        raise library_failed("cannot be opened", cause, url) from None


def _why(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
