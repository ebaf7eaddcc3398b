"""Keys, written as `<id>:<32 bytes in base64>` in the setting `encryption_keys`."""

from __future__ import annotations

import base64
import binascii
import functools
import importlib
import re
import secrets
from collections.abc import Iterator
from typing import Any

import attrs

from rocketjob import application
from rocketjob.base import clock
from rocketjob.base.encryption import EncryptionContext
from rocketjob.base.errors import ConfigurationError
from rocketjob.base.settings import Setting, strings
from rocketjob_plugins.encryption.errors import EncryptionError

KEYS: Setting[list[str]] = Setting(
    "encryption_keys", [], strings, "first encrypts, all decrypt", secret=True
)
SECRET_BYTES = 32
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@attrs.frozen
class Key:
    """A key; its repr does not contain the secret."""

    id: str
    secret: bytes = attrs.field(repr=False)

    @functools.cached_property
    def aead(self) -> Any:
        """AES-256-GCM with this key."""
        return aesgcm()(self.secret)


@attrs.frozen
class KeyRing:
    """All keys of a configuration; the first one encrypts."""

    keys: tuple[Key, ...]

    @property
    def first(self) -> Key:
        return self.keys[0]

    def find(self, id: str) -> Key:
        """Return the key with this id.

        Raises:
            EncryptionError: it is not configured here.
        """
        for key in self.keys:
            if key.id == id:
                return key
        ids = ", ".join(key.id for key in self.keys) or "none"
        raise EncryptionError(
            f"This was encrypted with the key {id}, which is not among encryption_keys "
            f"(there: {ids}): add it after the first"
        )


def configured() -> bool:
    """Return whether there is a key."""
    return bool(KEYS.of(application.current().config))


def check_keys(patient: Any) -> Iterator[Any]:
    """Report to `rocketjob doctor` whether the configured keys can be used."""
    from rocketjob.server.checks import OK, Finding  # for start-up time

    texts = KEYS.of(patient.application.config)
    if texts:
        ring = parse_keys(tuple(texts))  # raises what is wrong with them
        ids = [key.id for key in ring.keys]
        message = f"{ids[0]} encrypts" + (f"; {', '.join(ids[1:])} decrypt" if ids[1:] else "")
        yield Finding("encryption", OK, message, data={"keys": ids})


def key_ring() -> KeyRing:
    """Return the keys of this process's configuration; there may be none.

    Raises:
        ConfigurationError: one is not well formed, or two have the same id; no key is shown.
    """
    return parse_keys(tuple(KEYS.of(application.current().config)))


def key_for(context: EncryptionContext) -> Key:
    """Return the key that encrypts something: the one that the hook `key_of` names.

    Raises:
        ConfigurationError: it is not among the keys.
    """
    named = application.current().plugins.first("key_of", data=None, context=context)
    try:
        return key_ring().find(named)
    except EncryptionError:
        raise ConfigurationError(
            f"A plugin names the key {named} for {_whose(context)}, which is not among "
            "encryption_keys: add it there, or correct what its hook key_of returns"
        ) from None


def _whose(context: EncryptionContext) -> str:
    if context.file is not None:
        return f"the file {context.file}"
    return f"{context.field} of {context.class_name}"


def writing_key() -> Key:
    """Return the key that encrypts.

    Raises:
        ConfigurationError: there is none.
    """
    ring = key_ring()
    if not ring.keys:
        raise ConfigurationError(
            "There is no key to encrypt with: make one with `rocketjob encryption new-key` and "
            "set encryption_keys"
        )
    return ring.first


@functools.lru_cache(maxsize=8)
def parse_keys(texts: tuple[str, ...]) -> KeyRing:
    """Parse keys that are written as in the configuration.

    Raises:
        ConfigurationError: one is not well formed, or two have the same id; no key is shown.
    """
    keys = tuple(_parse(number, text) for number, text in enumerate(texts, 1))
    ids = [key.id for key in keys]
    for id in ids:
        if ids.count(id) > 1:
            raise ConfigurationError(f"encryption_keys: two keys have the id {id}")
    return KeyRing(keys)


def _parse(number: int, text: str) -> Key:
    id, _, encoded = text.partition(":")
    problem = ConfigurationError(
        f"encryption_keys: key {number} is not well formed (it is not shown). It must be an id, a "
        "colon and 32 bytes in base64, as `rocketjob encryption new-key` prints it"
    )
    if not _ID.fullmatch(id):
        raise problem
    try:
        secret = base64.b64decode(encoded.translate(str.maketrans("-_", "+/")), validate=True)
    except (binascii.Error, ValueError):
        raise problem from None
    if len(secret) != SECRET_BYTES:
        raise problem
    return Key(id, secret)


def new_key(id: str | None = None) -> str:
    """Return a new key as it is written in the configuration.

    Raises:
        ConfigurationError: the id has characters other than letters, digits and `. _ -`.
    """
    id = id or f"{clock.now():%Y-%m-%d}-{secrets.token_hex(2)}"
    if not _ID.fullmatch(id):
        raise ConfigurationError(
            "The id of a key must be up to 64 letters, digits, dots, dashes and underscores"
        )
    return f"{id}:{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"


def _modules(*names: str) -> Iterator[Any]:
    try:
        for name in names:
            yield importlib.import_module(f"cryptography.{name}")
    except ImportError:
        raise ConfigurationError(
            "Encryption needs a library: pip install 'rocketjob[crypto]'"
        ) from None


def aesgcm() -> Any:
    """Return the class AESGCM.

    Raises:
        ConfigurationError: the library is not installed.
    """
    (aead,) = _modules("hazmat.primitives.ciphers.aead")
    return aead.AESGCM


def invalid_tag() -> type[Exception]:
    """Return the exception that the library raises for data that was changed."""
    (exceptions,) = _modules("exceptions")
    invalid: type[Exception] = exceptions.InvalidTag
    return invalid


def derived(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """Return a key for one purpose, by HKDF with SHA-256."""
    hashes, hkdf = _modules("hazmat.primitives.hashes", "hazmat.primitives.kdf.hkdf")
    kdf = hkdf.HKDF(algorithm=hashes.SHA256(), length=SECRET_BYTES, salt=salt, info=info)
    key: bytes = kdf.derive(secret)
    return key
