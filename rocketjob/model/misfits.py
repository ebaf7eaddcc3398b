"""What does not fit its field in a document that something else has written.

For what only looks: a document that cannot be used must not keep anybody from seeing the others.
"""

from __future__ import annotations

from collections.abc import Container

from rocketjob.base.text import at
from rocketjob.model.document import Document
from rocketjob.model.encrypted_fields import Sealed
from rocketjob.model.record import values_of


def without_misfits(
    document: Document,
    *,
    read: Container[str] | None = None,
    relied_on: Container[str] | None = None,
) -> list[str]:
    """Give fields that do not fit their default, and return what is wrong with what is stored.

    Args:
        read: the keys that were read of it; None: all.
        relied_on: the fields from whose types something is made; the others keep what is stored.
            None: all.
    """
    values, problems = values_of(document), []
    for name, field in document.fields().items():
        if read is not None and field.key not in read:
            continue
        value = values[name]
        if isinstance(value, Sealed):
            continue
        if value is None:
            faults = [] if field.codec.optional else ["has no value"]
        else:
            faults = field.unless_secret(field.codec.faults(value))
        if faults:
            problems += [at(name, fault) for fault in faults]
            if relied_on is None or name in relied_on:
                values[name] = field.make_default()
    return problems
