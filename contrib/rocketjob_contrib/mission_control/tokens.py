"""Tokens: with one a program says who it is, and may do what its role allows.

Only a hash of each is stored, so that the token itself is shown once, when it is made, and never
again. One that has been revoked stays in the list, as the audit names it. Nothing here needs the
extra `web`.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import attrs

from rocketjob.base import clock
from rocketjob.base.errors import NotFound, RocketJobError, is_duplicate_key
from rocketjob.base.log import Logger
from rocketjob.model import deeds
from rocketjob.store import Collection, Insert, Stored, Unit, Write, context
from rocketjob_contrib.mission_control.access import ROLES

log = Logger("rocketjob.web")
COLLECTION = "rocket_job.web_tokens"
KIND = "WebToken"
GRANT = "web_token"
BEGIN = "rjt_"
"""What every token begins with: it tells ours from others, also for those who look for leaks."""
BYTES = 32
LONGEST_NAME = 100
USED_EVERY = timedelta(minutes=1)  # that a use is noted: not each request costs a write
INDEX: dict[str, Any] = {"keys": [("name", 1)], "name": "name", "unique": True}


class TokenError(RocketJobError, ValueError):
    """The token cannot be made or revoked like this."""


@attrs.frozen(kw_only=True)
class Token:
    """A token, without the token itself.

    Attributes:
        id: the hash, by which it is found.
        name: unique; it is the login of whoever uses the token.
        role: one of `ROLES`.
        created_by: who made it; None where that is not known.
        expires_at: from then on it is refused; None: never.
        last_used_at: to the minute.
        revoked_at: since when it is refused.
    """

    id: str = attrs.field(repr=False)
    name: str
    role: str
    created_at: datetime | None = None
    created_by: str | None = None
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None

    @property
    def state(self) -> str:
        """`active`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        is_over = self.expires_at is not None and self.expires_at <= clock.now()
        return "expired" if is_over else "active"


# --- making, listing, revoking -------------------------------------------------------------------


def create(
    name: str, role: str, expires_in: timedelta | None, by: str | None = None
) -> tuple[Token, str]:
    """Make a token; return it, and its text, which is nowhere else.

    Args:
        name: what it is for, such as `nightly-import`.
        role: one of `ROLES`.
        expires_in: how long it can be used; None: until it is revoked.
        by: who makes it.

    Raises:
        TokenError: there is no such role, or the name is taken, empty or too long.
    """
    if role not in ROLES:
        raise TokenError(f"there is no role {role}; roles are {', '.join(ROLES)}")
    if not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
        raise TokenError(f"a name has 1 to {LONGEST_NAME} printable characters")
    text, now = BEGIN + secrets.token_urlsafe(BYTES), clock.now()
    stored: Stored = {"_id": hash_of(text), "name": name, "role": role, "created_at": now}
    if by is not None:
        stored["created_by"] = by
    if expires_in is not None:
        stored["expires_at"] = now + expires_in
    shown = {"role": role, "expires_at": stored.get("expires_at")}
    insert = Insert(COLLECTION, stored)
    told = deeds.told("create", KIND, id=name, name=name, after=shown)
    try:
        context.current().store.commit([Unit.of(COLLECTION, None, [insert, *told])])
    except Exception as error:
        if not is_duplicate_key(error):
            raise
        raise TokenError(
            f"there is a token {name}, or was: the audit would not tell them apart"
        ) from None
    return _loaded(stored), text


def tokens() -> Iterator[Token]:
    """Yield all tokens, the newest first."""
    for stored in _collection().find({}, sort=[("created_at", -1), ("_id", 1)]):
        yield _loaded(stored)


def revoke(name: str) -> Token:
    """Refuse a token from now on, also within what it is doing; return it.

    Raises:
        NotFound: there is none of this name.
        TokenError: it has been revoked before.
    """
    stored = _collection().find_one({"name": name})
    if stored is None:
        raise NotFound(f"there is no token {name}")
    now = clock.now()
    write = Write(
        {"_id": stored["_id"], "revoked_at": {"$exists": False}}, {"$set": {"revoked_at": now}}
    )
    told = deeds.told("revoke", KIND, id=name, name=name, after={"revoked_at": now})
    (done,) = context.current().store.commit([Unit.of(COLLECTION, write, told)])
    if not done.held:
        raise TokenError(f"{name} has been revoked already")
    return _loaded({**stored, "revoked_at": now})


# --- using ---------------------------------------------------------------------------------------


def bearer_of(authorization: str | None) -> str | None:
    """Return the token in a header Authorization; None where it has none, or one of others."""
    scheme, _, text = (authorization or "").partition(" ")
    text = text.strip()
    return text if scheme.lower() == "bearer" and text.startswith(BEGIN) else None


def used(text: str) -> Token | None:
    """Return the token of a text, and note that it was used; None if it gives nothing."""
    stored = _collection().find_one({"_id": hash_of(text)})
    token = None if stored is None else _loaded(stored)
    if token is None or token.state != "active" or token.role not in ROLES:
        return None
    _note_use(token)
    return token


def is_active(id: str) -> bool:
    """Return whether a token gives anything now."""
    stored = _collection().find_one({"_id": id})
    return stored is not None and _loaded(stored).state == "active"


def grant_of(name: str, role: str) -> str:
    """Return what is kept with what goes on in the name of a token: see `grant_refused`.

    Args:
        role: that it needs.
    """
    return f"{GRANT}:{role}:{name}"


def grant_refused(grant: str) -> str | None:
    """Return why a token lets nothing more be done, "" if it does; None for another kind of grant.

    Names are unique for ever, so that no later token can stand in for one that was revoked.
    """
    kind, _, rest = grant.partition(":")
    if kind != GRANT:
        return None
    role, _, name = rest.partition(":")
    stored = _collection().find_one({"name": name})
    if stored is None:
        return f"the token {name} is not there any more"
    token = _loaded(stored)
    if token.revoked_at is not None:
        return f"the token {name} was revoked at {token.revoked_at:%Y-%m-%d %H:%M:%S} UTC"
    if token.state != "active":
        return f"the token {name} has expired at {token.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    if role not in ROLES or not _has(token, role):
        return f"the token {name} has the role {token.role}, and that needs {role}"
    return ""


def _has(token: Token, role: str) -> bool:
    return token.role in ROLES and ROLES.index(token.role) <= ROLES.index(role)


def hash_of(text: str) -> str:
    """Return what is stored of a token. It has 256 random bits, so that no slow hash is needed."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _note_use(token: Token) -> None:
    now = clock.now()
    if token.last_used_at is not None and token.last_used_at > now - USED_EVERY:
        return
    try:
        _collection().update_one({"_id": token.id}, {"$set": {"last_used_at": now}})
    except Exception as error:  # what only tells people something must not keep anybody out
        log.warning("the use of a token was not noted", token=token.name, error=str(error)[:300])


def _collection() -> Collection:
    return context.current().store.collection(COLLECTION)


def _loaded(stored: Stored) -> Token:
    """Return a token, whatever something else has written: what makes no sense gives nothing."""
    at = {key: stored.get(key) for key in ("created_at", "expires_at", "last_used_at")}
    role, revoked, by = stored.get("role"), stored.get("revoked_at"), stored.get("created_by")
    expires = stored.get("expires_at")
    makes_sense = isinstance(role, str) and isinstance(expires, datetime | None)
    if not makes_sense or ("revoked_at" in stored and not isinstance(revoked, datetime)):
        revoked = revoked if isinstance(revoked, datetime) else clock.now()
    return Token(
        id=str(stored["_id"]),
        name=str(stored.get("name")),
        role=str(role),
        created_by=None if by is None else str(by),
        revoked_at=revoked,
        **{key: value if isinstance(value, datetime) else None for key, value in at.items()},
    )
