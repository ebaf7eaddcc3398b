"""How the records of a slice are kept in its document.

| name | stored |
|---|---|
| none | the list as it is |
| compress | zlib |
| zstd | Zstandard; needs `rocketjob[zstd]` |
| encrypt | zlib, then encrypted; needs `rocketjob[crypto]` and `encryption_keys` |
| bz2 | one bzip2 stream of lines, read back as one record: for downloads that are bzip2 files |
| encrypted_bz2 | that, encrypted |

Before compression a list of texts without line breaks is joined by line breaks, which is quick;
any other list is BSON. The first byte says which. A plugin adds serializers with the hook
`register_serializers`.
"""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import bson

from rocketjob.application import current
from rocketjob.codec import decode_any, encode_any
from rocketjob.errors import ConfigurationError

LINES, BSON = b"L", b"B"
LEVEL = 1  # of zlib: the file is read once, so speed counts for more than size


class Serializer(NamedTuple):
    """A pair of functions: records to what is stored, and back.

    `whole` says that what is stored is itself the file's content, and is one record when read.
    """

    name: str
    dump: Callable[[list[Any]], Any]
    load: Callable[[Any], list[Any]]
    whole: bool = False


def pack(records: list[Any]) -> bytes:
    """Return records as bytes."""
    try:
        text = "\n".join(records)
    except TypeError:
        text = None
    if text is None or text.count("\n") != len(records) - 1 or not records:
        return BSON + bson.encode({"r": [encode_any(record) for record in records]})
    return LINES + text.encode("utf-8", "surrogatepass")


def unpack(data: bytes) -> list[Any]:
    """Undo `pack`."""
    if data[:1] == LINES:
        return data[1:].decode("utf-8", "surrogatepass").split("\n")
    return [decode_any(record) for record in bson.decode(data[1:])["r"]]


def _compress(records: list[Any]) -> Any:
    return zlib.compress(pack(records), LEVEL)


def _decompress(stored: Any) -> list[Any]:
    return unpack(zlib.decompress(stored))


def _dump_zstd(records: list[Any]) -> Any:
    return _zstandard().ZstdCompressor(level=1).compress(pack(records))


def _load_zstd(stored: Any) -> list[Any]:
    return unpack(_zstandard().ZstdDecompressor().decompress(stored))


def _zstandard() -> Any:
    try:
        import zstandard
    except ImportError:
        raise ConfigurationError(
            "The serializer zstd needs a package: pip install 'rocketjob[zstd]'"
        ) from None
    return zstandard


def _dump_bz2(records: list[Any]) -> Any:
    return bz2.compress("".join(f"{record}\n" for record in records).encode())


def _encrypt(data: bytes) -> bytes:
    found: bytes | None = current().plugins.hook.encrypt(data=data)
    if found is None:
        raise ConfigurationError(
            "A category is to be encrypted, and nothing here encrypts: pip install "
            "'rocketjob[crypto]', make a key with `rocketjob encryption new-key` and set "
            "encryption_keys"
        )
    return found


def _decrypt(data: bytes) -> bytes:
    found: bytes | None = current().plugins.hook.decrypt(data=data)
    if found is None:
        raise ConfigurationError(
            "Slices are stored encrypted, and no key here decrypts them: set encryption_keys"
        )
    return found


def _one(stored: Any) -> list[Any]:
    return [bytes(stored)]


BUILT_IN = (
    Serializer("none", lambda records: [encode_any(r) for r in records], decode_any),
    Serializer("compress", _compress, _decompress),
    Serializer("zstd", _dump_zstd, _load_zstd),
    Serializer("encrypt", lambda r: _encrypt(_compress(r)), lambda s: _decompress(_decrypt(s))),
    Serializer("bz2", _dump_bz2, _one, whole=True),
    Serializer(
        "encrypted_bz2", lambda r: _encrypt(_dump_bz2(r)), lambda s: [_decrypt(s)], whole=True
    ),
)


def serializer(name: str) -> Serializer:
    """Return a serializer by name.

    Raises:
        ConfigurationError: there is none; the message names those that there are.
    """
    for each in BUILT_IN:
        if each.name == name:
            return each
    brought = {each.name: each for each in current().plugins.collect("register_serializers")}
    if name not in brought:
        known = ", ".join([*(each.name for each in BUILT_IN), *brought])
        raise ConfigurationError(f"There is no serializer {name!r}; there are {known}")
    found: Serializer = brought[name]
    return found
