"""How values of fields are stored."""

from __future__ import annotations

from rocketjob.plugins.answers import answer, is_bytes
from rocketjob.plugins.hookspecs.marks import hookspec


@hookspec(firstresult=True)
@answer("bytes", is_bytes)
def encrypt(data: bytes) -> bytes | None:
    """Encrypt what a field declared with `encrypted=True` holds, before it is stored."""


@hookspec(firstresult=True)
@answer("bytes", is_bytes)
def decrypt(data: bytes) -> bytes | None:
    """Undo `encrypt`, with whichever key it was encrypted."""
