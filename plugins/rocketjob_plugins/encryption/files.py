"""Encrypted files, `.enc`: in chunks, so that they can be streamed and no chunk can go missing.

| bytes | |
|---|---|
| 3 | `RJF` |
| 1 | version: 1 |
| 1 | algorithm: 1, AES-256-GCM |
| 1 | length of the key's id |
| n | the key's id |
| 16 | salt, random |
| 65,552 each | chunks: 65,536 bytes encrypted, and 16 bytes of authentication |
| up to 65,552 | the last chunk |

The key of the file is HKDF-SHA256 of the configured key, with the salt, and with the header as
info. The nonce of a chunk is its number, counted from 0, in 11 bytes (big-endian) and one byte that
is 1 for the last chunk and 0 for all others (the STREAM construction, as in `age`). So chunks that
are changed, swapped, left out or cut off are detected, the last of these at the end of the file.
The last chunk is empty only if the file is.

If another plugin encrypts, its keys stay with it. The file has a key of its own, random, and begins
with that key as the hook `encrypt` has encrypted it:

| bytes | |
|---|---|
| n | the key of the file, encrypted |
| 18 | a line feed, `RocketJob file 2`, a line feed |
| 4 | n, big-endian |
| rest | chunks, as above; their key is HKDF-SHA256 of the file's, with all of the above as info |
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from rocketjob.base.encryption import EncryptionContext
from rocketjob.model.encrypted_fields import decrypt_bytes
from rocketjob.store import context
from rocketjob_plugins.encryption.envelope import (
    TAG_BYTES,
    header,
    is_sealed,
    key_id,
    read_header,
)
from rocketjob_plugins.encryption.errors import EncryptionError
from rocketjob_plugins.encryption.keys import (
    SECRET_BYTES,
    aesgcm,
    derived,
    invalid_tag,
    key_ring,
    writing_key,
)

MAGIC = b"RJF"
CHUNK = 64 * 1024
SEALED = CHUNK + TAG_BYTES
SALT_BYTES = 16
LONGEST_HEADER = len(MAGIC) + 3 + 255 + SALT_BYTES
MARK = b"\nRocketJob file 2\n"  # behind a key that another plugin has encrypted
LENGTH_BYTES = 4
LONGEST_KEY = 64 * 1024  # encrypted: some wrap it several times


class _Chunks:
    """The key and the nonces of one file."""

    def __init__(self, secret: bytes, head: bytes, salt: bytes) -> None:
        self._aead = aesgcm()(derived(secret, salt, b"rocketjob file " + head))
        self._number = 0

    def _nonce(self, last: bool) -> bytes:
        return self._number.to_bytes(11, "big") + bytes((last,))

    def seal(self, data: bytes, last: bool) -> bytes:
        sealed: bytes = self._aead.encrypt(self._nonce(last), data, None)
        self._number += 1
        return sealed

    def unseal(self, data: bytes, last: bool) -> bytes:
        try:
            plain: bytes = self._aead.decrypt(self._nonce(last), data, None)
        except invalid_tag():
            raise self._error(data, last) from None
        self._number += 1
        return plain

    def _error(self, data: bytes, last: bool) -> EncryptionError:
        if last and self._opens(data, last=False):
            return EncryptionError("the encrypted data ends in the middle: it was cut off")
        return EncryptionError(
            f"the encrypted data is damaged or was cut off, in its chunk {self._number + 1}, or "
            "the key is not the one it was encrypted with"
        )

    def _opens(self, data: bytes, last: bool) -> bool:
        try:
            self._aead.decrypt(self._nonce(last), data, None)
        except invalid_tag():
            return False
        return True


class EncryptingWriter:
    """Encrypts what is written, and passes it to `below`.

    Args:
        below: takes the encrypted data.
        name: the file, for whoever chooses its key.

    Raises:
        ConfigurationError: there is no key, or no library.
    """

    def __init__(self, below: Callable[[bytes], Any], name: str | None = None) -> None:
        self._below = below
        self._head, self._chunks = _begun(EncryptionContext(file=name))
        self._waiting = bytearray()

    def write(self, data: bytes) -> None:
        self._waiting += data
        # The last chunk is marked, so a full one waits until more data follows.
        while len(self._waiting) > CHUNK:
            self._put(bytes(self._waiting[:CHUNK]), last=False)
            del self._waiting[:CHUNK]

    def finish(self) -> None:
        """Write the last chunk, without which the file is not valid."""
        self._put(bytes(self._waiting), last=True)
        self._waiting.clear()

    def _put(self, data: bytes, last: bool) -> None:
        self._below(self._head + self._chunks.seal(data, last))
        self._head = b""

    def close(self) -> None:
        """Do nothing: there is nothing to release."""


def _begun(whose: EncryptionContext) -> tuple[bytes, _Chunks]:
    """Return how a new file begins, and what encrypts its chunks: whoever encrypts has the key."""
    secret = os.urandom(SECRET_BYTES)
    wrapped = context.current().plugins.first("encrypt", data=secret, context=whose)
    if wrapped is None or is_sealed(wrapped):
        key = writing_key() if wrapped is None else key_ring().find(key_id(wrapped))
        head, salt = header(MAGIC, key), os.urandom(SALT_BYTES)
        return head + salt, _Chunks(key.secret, head, salt)
    if len(wrapped) > LONGEST_KEY:
        raise EncryptionError(
            f"The hook encrypt has made {len(wrapped):,} bytes of the {len(secret)} of a file's "
            f"key, and there may be {LONGEST_KEY:,}"
        )
    head = wrapped + MARK + len(wrapped).to_bytes(LENGTH_BYTES, "big")
    return head, _Chunks(secret, head, b"")


class DecryptingReader:
    """Decrypts what `read` returns; no byte is returned before it is authenticated.

    Args:
        read: returns encrypted data, at most so many bytes, and none only at the end.
        close: is called for `close`.
        name: the file, for whoever has its key.
    """

    def __init__(
        self, read: Callable[[int], bytes], close: Callable[[], None], name: str | None = None
    ) -> None:
        self._read, self.close = read, close
        self._whose = EncryptionContext(file=name)
        self._chunks: _Chunks | None = None
        self._waiting = b""  # still encrypted
        self._plain = memoryview(b"")
        self._ended = False

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes, and none only at the end.

        Raises:
            EncryptionError: the data was changed or cut off, or its key is not configured here.
        """
        while not self._plain and not self._ended:
            self._plain = memoryview(self._next())
        data, self._plain = bytes(self._plain[:size]), self._plain[size:]
        return data

    def _next(self) -> bytes:
        if self._chunks is None:
            self._chunks = self._begin()
        self._fill(SEALED + 1)
        last = len(self._waiting) <= SEALED
        data, self._waiting = self._waiting[:SEALED], self._waiting[SEALED:]
        if len(data) < TAG_BYTES:
            raise EncryptionError("the encrypted data ends in the middle: it was cut off")
        self._ended = last
        return self._chunks.unseal(data, last)

    def _begin(self) -> _Chunks:
        self._fill(LONGEST_HEADER)
        if not self._waiting.startswith(MAGIC) and (begun := self._begin_wrapped()) is not None:
            return begun
        id, end = read_header(self._waiting, MAGIC)
        head, salt = self._waiting[:end], self._waiting[end : end + SALT_BYTES]
        self._waiting = self._waiting[end + SALT_BYTES :]
        return _Chunks(key_ring().find(id).secret, head, salt)

    def _begin_wrapped(self) -> _Chunks | None:
        """Take the encrypted key off the beginning; None where there is none."""
        self._fill(LONGEST_KEY + len(MARK) + LENGTH_BYTES)
        at = self._waiting.find(MARK)
        end = at + len(MARK) + LENGTH_BYTES
        # Such a mark may be within the key itself: it is the one that has its place behind it.
        while at >= 0 and int.from_bytes(self._waiting[at + len(MARK) : end], "big") != at:
            at = self._waiting.find(MARK, at + 1)
            end = at + len(MARK) + LENGTH_BYTES
        if at < 0:
            return None
        secret = decrypt_bytes(self._waiting[:at], self._whose)
        if secret is None:
            raise EncryptionError(
                "The key of this file was encrypted by a plugin that is not here: install it"
            )
        head, self._waiting = self._waiting[:end], self._waiting[end:]
        return _Chunks(secret, head, b"")

    def _fill(self, size: int) -> None:
        parts, length = [self._waiting], len(self._waiting)
        while length < size and (data := self._read(size - length)):
            parts.append(data)
            length += len(data)
        self._waiting = b"".join(parts)
