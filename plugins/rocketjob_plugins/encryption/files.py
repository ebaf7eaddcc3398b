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
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from rocketjob_plugins.encryption.envelope import TAG_BYTES, header, read_header
from rocketjob_plugins.encryption.errors import EncryptionError
from rocketjob_plugins.encryption.keys import (
    Key,
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


class _Chunks:
    """The key and the nonces of one file."""

    def __init__(self, key: Key, head: bytes, salt: bytes) -> None:
        self._aead = aesgcm()(derived(key.secret, salt, b"rocketjob file " + head))
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

    Raises:
        ConfigurationError: there is no key, or no library.
    """

    def __init__(self, below: Callable[[bytes], Any]) -> None:
        key = writing_key()
        head, salt = header(MAGIC, key), os.urandom(SALT_BYTES)
        self._below = below
        self._chunks = _Chunks(key, head, salt)
        self._waiting = bytearray()
        self._head: bytes = head + salt

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


class DecryptingReader:
    """Decrypts what `read` returns; no byte is returned before it is authenticated."""

    def __init__(self, read: Callable[[int], bytes], close: Callable[[], None]) -> None:
        self._read, self.close = read, close
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
        id, end = read_header(self._waiting, MAGIC)
        head, salt = self._waiting[:end], self._waiting[end : end + SALT_BYTES]
        self._waiting = self._waiting[end + SALT_BYTES :]
        return _Chunks(key_ring().find(id), head, salt)

    def _fill(self, size: int) -> None:
        parts, length = [self._waiting], len(self._waiting)
        while length < size and (data := self._read(size - length)):
            parts.append(data)
            length += len(data)
        self._waiting = b"".join(parts)
