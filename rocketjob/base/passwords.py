"""Passwords and signatures within URLs, kept out of what people see.

A job keeps a URL as it was given, since it has to open it again. Logs, messages, the history, and
whatever shows a job have `***` in the place of the password, and of values in the query that give
access, such as `sig=` and `token=`. All of it takes time in proportion to the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import attrs

HIDDEN = "***"
TOKEN = 20  # characters: no user name is that long, but GitHub's tokens are put in its place
LONGEST = 20_000  # characters of a message that are kept
_RUN = re.compile(r"\S++")
_AUTHORITY = re.compile(r"[^/?#]*")
_PARAMETER = re.compile(r"([?&#][\w.%\[\]-]{1,100}+=)([^\s&#\"'<>]++)")
_MEMBER = re.compile(r'("[^"]*"\s*:\s*)"(?:[^"\\]|\\.)*"')  # of an object, as JSON
_GIVES_ACCESS = (  # as a part of the name of a parameter
    "sig|token|secret|passw|passphrase|pwd|key|auth(?!or|mechanism=|source=)|cred|policy|jwt"
    "|session|hmac|ticket|otp"
)
_GIVES_ACCESS_ALONE = "(?:pass|code|pin|sas)="
_SECRET = re.compile(rf"{_GIVES_ACCESS}|[?&#]{_GIVES_ACCESS_ALONE}", re.IGNORECASE)
HIDDEN_IN_RUN = (
    r"(?:(?>\S*?://)\S*?@|\S*?[?&#](?=[^\s?&#=]{1,100}=)"
    rf"(?:[^\s=]*?(?:{_GIVES_ACCESS})|{_GIVES_ACCESS_ALONE}))"
)
"""The pattern, in any case, of text without spaces, from its beginning, of which part is hidden.

It is for searches in stores: so it takes more for a password than `hide_passwords`, never less.
"""


def hide_passwords(text: str) -> str:
    """Return a URL, or text with URLs in it, without their passwords."""
    hidden = text
    if "://" in text:
        hidden = _RUN.sub(lambda run: _hide_in_run(run[0]), hidden)
    if "=" in text:
        hidden = _PARAMETER.sub(_hide_parameter, hidden)
    return text if hidden == text else hidden


def _hide_in_run(run: str) -> str:
    """Hide passwords in text without spaces; there may be several URLs in it, as in a chain."""
    if "://" not in run:
        return run
    before, *parts = run.split("://")
    pieces = [before]
    for part in parts:
        span = _password(part) if pieces[-1][-1:].isalnum() else None
        pieces.append(part if span is None else f"{part[: span[0]]}{HIDDEN}{part[span[1] :]}")
    return "://".join(pieces)


def _password(part: str) -> tuple[int, int] | None:
    """Return where the password is in what follows `://`.

    One that has a slash should have been quoted, but must not be shown for that; a port may have
    a slash behind it, and an @ somewhere later.
    """
    authority = _AUTHORITY.match(part)[0]  # type: ignore[index]
    at = authority.rfind("@")
    colon = authority.find(":", 0, at if at >= 0 else None)
    if colon < 0:
        return (0, at) if at >= TOKEN else None
    if at >= 0:
        return colon + 1, at
    if authority[0] == "[":
        return None
    if authority[colon + 1 :].isdigit() or authority[colon + 1 :] == "":
        return None
    first = part.find("@", len(authority))
    if first < 0:
        return None
    host = _AUTHORITY.match(part, first)[0]  # type: ignore[index]
    return colon + 1, first + host.rfind("@")


def _hide_parameter(match: re.Match[str]) -> str:
    return match[1] + HIDDEN if _SECRET.search(match[1]) else match[0]


def secrets_of(url: str) -> list[str]:
    """Return the passwords and signatures in a URL, as they stand there and unquoted."""
    secrets = [part[span[0] : span[1]] for part, span in _parts(url)]
    secrets += [match[2] for match in _PARAMETER.finditer(url) if _SECRET.search(match[1])]
    return [text for text in dict.fromkeys([*secrets, *map(unquote, secrets)]) if text != HIDDEN]


def _parts(url: str) -> Iterator[tuple[str, tuple[int, int]]]:
    for part in url.split("://")[1:]:
        if (span := _password(part)) is not None:
            yield part, span


def has_raw_password(url: str) -> bool:
    """Return whether a password has a character that must be quoted, which would end it."""
    return any(re.search(r"[/?#]", part[slice(*span)]) for part, span in _parts(url))


def has_password(url: str) -> bool:
    """Return whether there is a password in a URL."""
    return any(True for _ in _parts(url))


def hide_secrets_of(url: str, text: str) -> str:
    """Return what a library said of a URL: without its secrets, and what it took for them."""
    text = hide_passwords(text.replace(url, hide_passwords(url)))
    for secret in sorted(secrets_of(url), key=len, reverse=True):
        for piece in (secret, *re.split(r"[/?#@:]", secret)):
            if piece:
                text = re.sub(rf"(?<!\w){re.escape(piece)}(?!\w)", HIDDEN, text)
    return text


def bounded(text: str, most: int = LONGEST) -> str:
    """Return a text, or the beginning and end of a long one, with no part of a URL at the cut."""
    if len(text) <= most:
        return text
    head, tail = text[: most * 3 // 4], text[-(most // 4) :]
    url = head.rfind("://")
    if url >= 0 and not re.search(r"\s", head[url:]):
        head = head[:url]
    space = re.search(r"\s", tail)
    if "@" in tail[: space.start() if space else None]:
        tail = tail[space.start() :] if space else ""
    return f"{head} ... ({len(text) - len(head) - len(tail):,} characters left out) ... {tail}"


def without_passwords(value: Any) -> Any:
    """Return a value with no password in a URL in it: itself, if there was none."""
    if isinstance(value, str):
        return hide_passwords(value)
    if isinstance(value, Mapping):
        parts: Any = {key: without_passwords(item) for key, item in value.items()}
        return value if _same(parts.values(), value.values()) else parts
    if isinstance(value, list | tuple):
        items = [without_passwords(item) for item in value]
        return value if _same(items, value) else items
    if attrs.has(type(value)):
        names = {field.name: field.alias for field in attrs.fields(type(value)) if field.init}
        cleaned = {name: without_passwords(getattr(value, name)) for name in names}
        changed = {names[n]: new for n, new in cleaned.items() if new is not getattr(value, n)}
        return attrs.evolve(value, **changed) if changed else value
    return value


def brief(text: str, most: int = 500) -> str:
    """Return a reason as documents keep it: short, and without what must not be seen."""
    return hide_passwords(bounded(text))[:most].encode("utf-8", "ignore").decode()


def without_secrets(value: Any) -> Any:
    """Return a value without the passwords in URLs, and in tables by their names, also as JSON."""
    if isinstance(value, Mapping):
        return {key: HIDDEN if _is_secret(key) else without_secrets(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(item) for item in value]
    if isinstance(value, str):
        return _MEMBER.sub(_hide_member, hide_passwords(value))
    return value


def _hide_member(match: re.Match[str]) -> str:
    return f'{match[1]}"{HIDDEN}"' if _SECRET.search(match[1]) else match[0]


def _is_secret(key: Any) -> bool:
    return isinstance(key, str) and _SECRET.search(key) is not None


_SECRET_FIELD = re.compile(
    r"passw(?:or)?d|passphrase|(?:^|_)pwd|secret|credential|(?:api|private|access)_?key"
    r"|(?:^|_)token(?:$|_)|authorization",
    re.IGNORECASE,
)


def is_secret_field(name: str) -> bool:
    """Return whether a field of a job is a secret by its name.

    Fewer are than in the query of a URL: `customer_key` and `ticket` are what jobs are about.
    """
    return _SECRET_FIELD.search(name) is not None


def _same(one: Any, other: Any) -> bool:
    return all(new is old for new, old in zip(one, other, strict=True))
