"""Encrypt fields, slices and files under data keys that a key management service has wrapped.

A value is `KMS1`, 2 bytes with the length of the wrapped key, the wrapped key, 12 bytes of nonce,
and AES-256-GCM. The service is asked once in five minutes for a new data key, and once for each
data key that is read.
"""

import functools
import os
import threading

from rocketjob import hookimpl
from rocketjob.application import current
from rocketjob.base import clock
from rocketjob.base.errors import ConfigurationError
from rocketjob.base.settings import Setting, string

MAGIC, NONCE, SECONDS = b"KMS1", 12, 300
MASTER = Setting(
    "kms_master", None, string, "32 bytes in hex that stand for the service", secret=True
)


@hookimpl
def register_settings():
    return [MASTER]


class Service:
    """Stands for a real one: it wraps data keys under a key that it never gives away."""

    def __init__(self, master):
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._master = AESGCM(bytes.fromhex(master))
        self.calls = 0
        self._lock, self._current = threading.Lock(), None
        self.unwrapped = functools.lru_cache(1000)(self._unwrap)

    def data_key(self):
        """Return a key and the same key wrapped; a new one every five minutes."""
        with self._lock:
            now = clock.monotonic()
            if self._current is None or now - self._current[0] > SECONDS:
                self.calls += 1
                key, nonce = os.urandom(32), os.urandom(NONCE)
                wrapped = nonce + self._master.encrypt(nonce, key, MAGIC)
                self._current = now, key, wrapped
            return self._current[1:]

    def _unwrap(self, wrapped):
        self.calls += 1
        return self._master.decrypt(wrapped[:NONCE], wrapped[NONCE:], MAGIC)


service_of = functools.lru_cache(8)(Service)


def service():
    master = MASTER.of(current().config)
    return service_of(master) if master else None


@hookimpl
def encrypt(data):
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    kms = service()
    if kms is None:
        return None
    key, wrapped = kms.data_key()
    head, nonce = MAGIC + len(wrapped).to_bytes(2, "big") + wrapped, os.urandom(NONCE)
    return head + nonce + AESGCM(key).encrypt(nonce, data, head)


@hookimpl
def decrypt(data):
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if not data.startswith(MAGIC):
        return None
    kms = service()
    if kms is None:
        raise ConfigurationError("This is encrypted by a KMS: set kms_master")
    end = 6 + int.from_bytes(data[4:6], "big")
    head, nonce, sealed = data[:end], data[end : end + NONCE], data[end + NONCE :]
    try:
        return AESGCM(kms.unwrapped(head[6:])).decrypt(nonce, sealed, head)
    except (InvalidTag, ValueError):
        raise ConfigurationError("This is damaged, or kms_master is another one") from None


@hookimpl
def key_of(data):
    if data is None:
        return "kms" if service() else None
    return "kms" if data.startswith(MAGIC) else None
