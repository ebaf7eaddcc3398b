"""The signature of what is posted: who has written it, and when.

from rocketjob_plugins.webhooks import is_signed

if not is_signed(secret, request.body, request.headers["X-RocketJob-Signature"]):
    return 401
"""

from __future__ import annotations

import hashlib
import hmac
import time

HEADER = "X-RocketJob-Signature"


def signature(secret: str, body: bytes, at: int) -> str:
    """Return the value of the header: `t=SECONDS,v1=HMAC`, of the seconds, a dot and the body."""
    signed = hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={signed}"


def is_signed(
    secret: str, body: bytes, header: str, *, seconds: int = 300, at: float | None = None
) -> bool:
    """Return whether a body comes from who knows the secret, and lately: for receivers.

    Args:
        header: the value of X-RocketJob-Signature.
        seconds: how old it may be, so that nobody who has overheard it can send it again.
        at: the time; None: now.
    """
    written = dict(part.partition("=")[::2] for part in header.split(",")).get("t", "")
    if not (written.isascii() and written.isdigit() and len(written) < 19):
        return False
    expected = signature(secret, body, int(written)).encode()
    is_fresh = abs((time.time() if at is None else at) - int(written)) <= seconds
    return hmac.compare_digest(expected, header.encode("utf-8", "replace")) and is_fresh
