"""The format of an encrypted value: a header that names the key, and AES-256-GCM.

| bytes | |
|---|---|
| 3 | `RJE` |
| 1 | version: 1 |
| 1 | algorithm: 1, AES-256-GCM |
| 1 | length of the key's id |
| n | the key's id |
| 12 | nonce, random |
| rest | ciphertext, and 16 bytes of authentication |

The header is authenticated too, so a value cannot be passed off as one under another key. A random
nonce is safe for 2^32 values per key (NIST SP 800-38D), hence `rocketjob encryption rotate`.
"""

from __future__ import annotations

import os

from rocketjob_plugins.encryption.errors import EncryptionError
from rocketjob_plugins.encryption.keys import Key, KeyRing, invalid_tag

MAGIC = b"RJE"
VERSION, AES_256_GCM = 1, 1
NONCE_BYTES, TAG_BYTES = 12, 16


def header(magic: bytes, key: Key) -> bytes:
    """Return the header of data that is encrypted with a key."""
    id = key.id.encode("ascii")
    return magic + bytes((VERSION, AES_256_GCM, len(id))) + id


def read_header(data: bytes, magic: bytes) -> tuple[str, int]:
    """Return the key's id, and where the header ends.

    Raises:
        EncryptionError: there is no header, or one of a later version.
    """
    start = len(magic)
    if not data.startswith(magic) or len(data) < start + 3:
        raise EncryptionError("This is not encrypted by RocketJob, or it is damaged")
    version, algorithm, length = data[start : start + 3]
    if (version, algorithm) != (VERSION, AES_256_GCM):
        raise EncryptionError(
            f"This was encrypted in a way that is not known here (version {version}, algorithm "
            f"{algorithm}): it is damaged, or from a later release"
        )
    end = start + 3 + length
    id = data[start + 3 : end]
    if len(id) < length or not id.isascii() or not id.decode("ascii", "replace").isprintable():
        raise EncryptionError("What is encrypted here is damaged: its header is not complete")
    return id.decode("ascii"), end


def is_sealed(data: bytes) -> bool:
    """Return whether data begins like what `seal` returns."""
    return data[: len(MAGIC)] == MAGIC


def key_id(data: bytes) -> str:
    """Return the id of the key that a value is encrypted with."""
    return read_header(data, MAGIC)[0]


def seal(data: bytes, ring: KeyRing, key: Key | None = None) -> bytes:
    """Encrypt a value with a key, which is the first if none is given."""
    key = key or ring.first
    head, nonce = header(MAGIC, key), os.urandom(NONCE_BYTES)
    sealed: bytes = key.aead.encrypt(nonce, data, head)
    return b"".join((head, nonce, sealed))


def unseal(data: bytes, ring: KeyRing) -> bytes:
    """Decrypt a value.

    Raises:
        EncryptionError: its key is not among the keys, or it was changed.
    """
    id, end = read_header(data, MAGIC)
    key = ring.find(id)
    nonce, sealed = data[end : end + NONCE_BYTES], data[end + NONCE_BYTES :]
    if len(nonce) < NONCE_BYTES or len(sealed) < TAG_BYTES:
        raise EncryptionError("What is encrypted here is damaged: it was cut off")
    try:
        plain: bytes = key.aead.decrypt(nonce, sealed, data[:end])
    except invalid_tag():
        raise EncryptionError(
            f"What is encrypted here is damaged, or the key {id} is not the one it was "
            "encrypted with"
        ) from None
    return plain
