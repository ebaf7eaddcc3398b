"""Encrypt fields, slices and files with AES-256-GCM.

    class PaymentJob(Job):
        account: str = field(encrypted=True)

The keys come only from the setting `encryption_keys`: the first one encrypts, and all of them
decrypt. `rocketjob encryption new-key` makes a key; `rocketjob encryption rotate` re-encrypts
everything in the store under the first one. Encrypted data contains the name of its key, never its
secret, and no part of a key appears in a message, a log or a repr.

Fields: none. Hooks: `encrypt` and `decrypt`, which fields and serializers call, and the command
`rocketjob encryption`. Files: `rocketjob_plugins.encryption.files`.

Notes: needs `pip install 'rocketjob[crypto]'`. A plugin that keeps its keys elsewhere implements
the same two hooks, and is called first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rocketjob import hookimpl
from rocketjob.base.settings import Setting
from rocketjob_plugins.encryption import envelope
from rocketjob_plugins.encryption.errors import EncryptionError
from rocketjob_plugins.encryption.keys import KEYS, configured, key_ring

if TYPE_CHECKING:
    import click

    from rocketjob.server.checks import Check

__all__ = ["EncryptionError"]


@hookimpl
def register_settings() -> list[Setting[Any]]:
    return [KEYS]


@hookimpl
def register_checks() -> list[Check]:
    from rocketjob.server.checks import Check  # for start-up time
    from rocketjob_plugins.encryption.keys import check_keys

    return [Check("encryption", check_keys, needs_store=False)]


@hookimpl(trylast=True)
def encrypt(data: bytes) -> bytes | None:
    """Encrypt with the first key; without any, return None: the caller reports what is missing."""
    return envelope.seal(data, key_ring()) if configured() else None


@hookimpl(trylast=True)
def decrypt(data: bytes) -> bytes | None:
    """Decrypt what `encrypt` returned; leave anything else to other plugins."""
    return envelope.unseal(data, key_ring()) if envelope.is_sealed(data) else None


@hookimpl
def register_commands(cli: click.Group) -> None:
    from rocketjob_plugins.encryption.commands import encryption  # for start-up time

    cli.add_command(encryption)
