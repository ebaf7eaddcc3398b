"""Encrypt fields, slices and files with AES-256-GCM.

    class PaymentJob(Job):
        account: str = field(encrypted=True)

The keys come only from the setting `encryption_keys`: the first one encrypts, and all of them
decrypt. `rocketjob encryption new-key` makes a key; `rocketjob encryption rotate` re-encrypts
everything in the store under the first one. Encrypted data contains the name of its key, never its
secret, and no part of a key appears in a message, a log or a repr.

Fields: none. Hooks: `encrypt`, `decrypt` and `key_of`, which fields, slices, files and rotation
call, and the command `rocketjob encryption`. Files: `rocketjob_plugins.encryption.files`.

Notes: needs `pip install 'rocketjob[crypto]'`. A plugin that keeps its keys elsewhere implements
the same hooks, and is called first; one that only chooses among the keys implements `key_of`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rocketjob import hookimpl
from rocketjob.base.settings import Setting
from rocketjob_plugins.encryption import envelope, hookspecs
from rocketjob_plugins.encryption.errors import EncryptionError
from rocketjob_plugins.encryption.keys import KEYS, configured, key_for, key_ring

if TYPE_CHECKING:
    import click

    from rocketjob.base.encryption import EncryptionContext
    from rocketjob.server.checks import Check

__all__ = ["EncryptionError"]


@hookimpl
def register_hookspecs(manager: Any) -> None:
    manager.add_hookspecs(hookspecs)


@hookimpl
def register_settings() -> list[Setting[Any]]:
    return [KEYS]


@hookimpl
def register_checks() -> list[Check]:
    from rocketjob.server.checks import Check  # for start-up time
    from rocketjob_plugins.encryption.keys import check_keys

    return [Check("encryption", check_keys, needs_store=False)]


@hookimpl(trylast=True)
def encrypt(data: bytes, context: EncryptionContext) -> bytes | None:
    """Encrypt with a key; without any, return None: the caller reports what is missing."""
    return envelope.seal(data, key_ring(), key_for(context)) if configured() else None


@hookimpl(trylast=True)
def decrypt(data: bytes) -> bytes | None:
    """Decrypt what `encrypt` returned; leave anything else to other plugins."""
    return envelope.unseal(data, key_ring()) if envelope.is_sealed(data) else None


@hookimpl(trylast=True)
def key_of(data: bytes | None) -> str | None:
    """Name the first key, or the one that something is encrypted with."""
    if data is None:
        return key_ring().first.id if configured() else None
    return envelope.key_id(data) if envelope.is_sealed(data) else None


@hookimpl
def register_commands(cli: click.Group) -> None:
    from rocketjob_plugins.encryption.commands import encryption  # for start-up time

    cli.add_command(encryption)
