"""Names of files: paths and URLs, and how messages may show them."""

from __future__ import annotations

import re
from pathlib import PurePath
from urllib.parse import unquote, urlsplit

from rocketjob.base.passwords import (
    bounded,
    has_raw_password,
    hide_passwords,
    hide_secrets_of,
    secrets_of,
)
from rocketjob_plugins.batch.streams.errors import StreamError


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
