"""What is stored encrypted, and under which key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rocketjob.plugins.answers import answer, is_bytes, is_text
from rocketjob.plugins.hookspecs.marks import hookspec

if TYPE_CHECKING:
    from rocketjob.base.encryption import EncryptionContext


@hookspec(firstresult=True)
@answer("bytes", is_bytes)
def encrypt(data: bytes, context: EncryptionContext) -> bytes | None:
    """Encrypt the value of a field declared with `encrypted=True`, a slice, or the key of a file.

    Called before it is stored, on the thread that stores it; the plugin `encryption` is asked last.
    What is returned has to begin with something that `decrypt` knows as its own.

    Args:
        data: what to encrypt.
        context: whose it is, to choose a key by.
    """


@hookspec(firstresult=True)
@answer("bytes", is_bytes)
def decrypt(data: bytes, context: EncryptionContext) -> bytes | None:
    """Undo `encrypt`, with whichever key it was encrypted; return None for what others encrypted.

    Called when a field is first read, a slice is claimed or a file is opened. Raise an error of
    RocketJob's own, such as `EncryptionError`, where it is yours and cannot be decrypted.
    """


@hookspec(firstresult=True)
@answer("a key's name, which is a string", is_text)
def key_of(data: bytes | None, context: EncryptionContext) -> str | None:
    """Name the key under which something is encrypted, or would be.

    `rocketjob encryption rotate` asks both, and re-encrypts what is not under the key that it would
    be encrypted with now. The plugin `encryption` encrypts with the key of that name among
    `encryption_keys`: a plugin that only chooses among those implements this hook and no other.

    Args:
        data: what was encrypted; None asks for the key that `encrypt` uses for this context.

    Returns:
        the name of the key, without anything secret; None for what others encrypt.
    """
