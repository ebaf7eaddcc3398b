"""Encrypted fields: what is stored of one is decrypted when it is first asked for, and not before.

So a process that has no key can list, retry and abort jobs: only what reads the field fails. What
shows a job to people shows `HIDDEN` in the place of the value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from rocketjob.base.errors import ConfigurationError, RocketJobError
from rocketjob.model.types.base import Codec
from rocketjob.model.types.sealed import HIDDEN, Sealed
from rocketjob.store import context, packing

if TYPE_CHECKING:
    from rocketjob.base.encryption import EncryptionContext

__all__ = ["HIDDEN", "Sealed", "SealedAttribute", "decrypt", "encrypt"]


class Field(Protocol):
    """What encrypting asks of a field: see `rocketjob.model.fields`."""

    @property
    def name(self) -> str: ...

    @property
    def codec(self) -> Codec: ...

    def load(self, stored: Any, strict: bool = True) -> Any: ...


class SealedAttribute:
    """Stands on a class for an encrypted field; on an instance it gives the value in clear."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, document: Any, owner: type) -> Any:
        if document is None:
            return self
        value = document.__dict__[self.name]
        if isinstance(value, Sealed):
            value = decrypt(document.__fields__[self.name], value.data, document)
            document.__dict__[self.name] = value
        return value

    def __set__(self, document: Any, value: Any) -> None:
        # Having this is what makes an instance's own value wait until `__get__` was asked.
        document.__dict__[self.name] = value


def _context(field: Field, document: Any) -> EncryptionContext:
    """Return what a field of a document is encrypted for; of a class no id is known."""
    from rocketjob.base.encryption import EncryptionContext  # for start-up time

    id = None if isinstance(document, type) else document.id
    return EncryptionContext(document.type_name(), field.name, id)


def encrypt(field: Field, value: Any, document: Any) -> bytes:
    """Return the value of an encrypted field as a document stores it, or any of a class."""
    encode = field.codec.encode
    try:
        encoded = packing.pack({"v": value if encode is None else encode(value)})
    except Exception as error:  # its message has the value
        problem = f"{type(error).__name__} (not shown in full, since it must be encrypted)"
        raise ValueError(f"The field {field.name} cannot be stored: {problem}") from None
    purpose = f"The field {field.name} must be stored encrypted"
    return encrypt_bytes(encoded, _context(field, document), purpose)


def decrypt(field: Field, stored: Any, document: Any) -> Any:
    """Return the value of an encrypted field from what is stored in a document of a class.

    Raises:
        ConfigurationError: nothing here decrypts it.
        RocketJobError: what decrypts has not the key, or finds it damaged.
    """
    if not isinstance(stored, bytes):
        return field.load(stored)  # stored before the field was declared encrypted
    try:
        data = decrypt_bytes(stored, _context(field, document))
    except RocketJobError as error:
        error.args = (f"The field {field.name} cannot be decrypted: {error}",)
        raise
    if data is None:
        raise no_key(f"The field {field.name}")
    return field.load(packing.unpack(data)["v"])


def decrypt_bytes(data: bytes, whose: EncryptionContext) -> bytes | None:
    """Decrypt with whatever plugin encrypted it; None if that is not here."""
    plain: bytes | None = context.current().plugins.first("decrypt", data=data, context=whose)
    return plain


def encrypt_bytes(data: bytes, whose: EncryptionContext, purpose: str) -> bytes:
    """Encrypt with whatever plugin does it; the purpose is what an error message begins with.

    Raises:
        ConfigurationError: nothing here encrypts.
    """
    plugins = context.current().plugins
    encrypted: bytes | None = plugins.first("encrypt", data=data, context=whose)
    if encrypted is None:
        raise ConfigurationError(
            f"{purpose}, but nothing here encrypts: pip install 'rocketjob[crypto]', make a key "
            "with `rocketjob encryption new-key` and set encryption_keys"
        )
    return encrypted


def no_key(subject: str) -> ConfigurationError:
    """Return the error of what is stored encrypted where no plugin decrypts."""
    return ConfigurationError(
        f"{subject} is stored encrypted, and no key here decrypts it: "
        "set encryption_keys to the keys it was encrypted with"
    )
