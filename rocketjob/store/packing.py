"""How values become BSON and come back: the same for documents, records, secrets and unique keys.

With other options a time comes back without its zone, and is then taken for one of this machine's;
and a UUID is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any, Final

import bson
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions

OPTIONS: Final[CodecOptions[dict[str, Any]]] = CodecOptions(
    tz_aware=True, tzinfo=UTC, uuid_representation=UuidRepresentation.STANDARD
)


def pack(document: Mapping[str, Any]) -> bytes:
    """Return a document as BSON."""
    return bson.encode(document, codec_options=OPTIONS)


def unpack(data: bytes) -> dict[str, Any]:
    """Undo `pack`."""
    return bson.decode(data, codec_options=OPTIONS)
