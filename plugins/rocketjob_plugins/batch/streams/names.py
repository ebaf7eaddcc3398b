"""Which streams a file name asks for: `orders.csv.gz.enc` is encrypted, compressed CSV."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath
from urllib.parse import unquote, urlsplit

from rocketjob.base.passwords import (
    bounded,
    has_raw_password,
    hide_passwords,
    hide_secrets_of,
    secrets_of,
)
from rocketjob.base.text import did_you_mean
from rocketjob_plugins.batch.streams.errors import StreamError

EXTENSIONS = {
    "gz": "gz",
    "gzip": "gz",
    "zip": "zip",
    "bz2": "bz2",
    "xz": "xz",
    "zst": "zst",
    "zstd": "zst",
    "enc": "enc",
    "pgp": "pgp",
    "gpg": "pgp",
    "xlsx": "xlsx",
    "xlsm": "xlsx",
}


def is_url(name: str) -> bool:
    """Tell a URL from a path."""
    return "://" in name or name.lower().startswith("file:")


def base_name(name: str) -> str:
    """Return the last part of a path or URL, without a query."""
    if is_url(name):
        name = unquote(urlsplit(name).path)
    return PurePath(name.replace("\\", "/")).name


def shown(name: str) -> str:
    """Return a name as messages may show it: no password, no query (it may be a signature)."""
    return "::".join(map(_shown, name.split("::"))) if is_url(name) else name


def _shown(url: str) -> str:
    scheme, mark, rest = hide_passwords(url).partition("://")
    authority, slash, path = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    return f"{scheme}{mark}{authority.rpartition('@')[2]}{slash}{path}"


def check_url(url: str) -> None:
    """Refuse a URL whose password would be taken for something else, and be told by the library.

    Raises:
        StreamError: the password must be quoted.
    """
    if has_raw_password(url):
        raise StreamError(
            "the password has a / ? or #, which must be written as %2F, %3F or %23", file=shown(url)
        )


def library_failed(doing: str, error: BaseException, url: str) -> StreamError:
    """Return what to raise where a library fails with a URL: without its secrets, in any form."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    failure = StreamError(f"{doing}: {hide_secrets_of(url, bounded(reason))}", file=shown(url))
    if secrets_of(url):
        failure.__suppress_context__ = (
            True  # its own words, and those of what caused it, may hold them
        )
    else:
        failure.__cause__ = error
    return failure


def streams_of(file_name: str | None) -> list[str]:
    """Return the streams of a name, from left to right: `["gz", "enc"]` for `a.csv.gz.enc`.

    Extensions are taken from the right, ignoring case, up to the first that is not a stream.
    """
    streams: list[str] = []
    parts = base_name(file_name).split(".")[1:] if file_name else []
    for part in reversed(parts):
        stream = EXTENSIONS.get(part.lower())
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
    name = str(stream).lower().lstrip(".")
    if name not in EXTENSIONS:
        hint = did_you_mean(name, EXTENSIONS, f"known are {', '.join(EXTENSIONS)}")
        raise StreamError(f"There is no stream {stream}; {hint}")
    return EXTENSIONS[name]
