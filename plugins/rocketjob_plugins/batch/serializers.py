"""How the records of a slice are kept in its document.

| name | stored |
|---|---|
| none | as it is |
| compress, zstd | Zstandard |
| encrypt | Zstandard, then encrypted; needs `rocketjob[crypto]` and `encryption_keys` |
| bz2 | one bzip2 stream of lines, read back as one record: for downloads that are bzip2 files |
| encrypted_bz2 | that, encrypted |

A list of strings without line breaks is kept as one string, joined by line breaks: that costs a
tenth of a list in BSON, and is written to a file as it is. Any other list is BSON; in what is
compressed the first byte says which. A plugin adds serializers with the hook
`register_serializers`.
"""

from __future__ import annotations

import bz2
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import zstandard

from rocketjob.base.encryption import EncryptionContext
from rocketjob.base.errors import ConfigurationError
from rocketjob.model.encrypted_fields import decrypt_bytes, encrypt_bytes, no_key
from rocketjob.model.types import check_record, decode_any, encode_any
from rocketjob.store import packing
from rocketjob_plugins.batch.registered import refusal_of, registered
from rocketjob_plugins.batch.streams.texts import check_line, check_utf8, line_of

LINES, BSON = b"L", b"B"
LEVEL = 1  # of Zstandard: what is written is read once, so speed counts for more than size
PLAIN = frozenset((str, int, float, bool, bytes, type(None)))  # are the same in BSON


class Serializer(NamedTuple):
    """A pair of functions: records to what is stored, and back.

    `whole` says that what is stored is itself the file's content, and is one record when read.
    `lines`, if there is one, returns the records as lines of one text where they are stored so.
    `secret` says that nobody is to read what is stored: rejected records are then stored by the
    same serializer, and no message shows a record. `encrypts` says that it is a secret, and that
    what `dump` returns, which must be bytes, is encrypted by whatever plugin does it. `replaces`
    lets it take the place of another one of its name, of which slices may be stored still.
    """

    name: str
    dump: Callable[[list[Any]], Any]
    load: Callable[[Any], list[Any]]
    whole: bool = False
    lines: Callable[[Any], str | None] | None = None
    secret: bool = False
    replaces: bool = False
    encrypts: bool = False

    @classmethod
    def packed(
        cls,
        name: str,
        pack: Callable[[bytes], bytes],
        unpack: Callable[[bytes], bytes],
        *,
        encrypts: bool = False,
        replaces: bool = False,
    ) -> Serializer:
        """Return a serializer that packs what the built-in ones pack, in its own way.

            Serializer.packed("lz4", lz4.frame.compress, lz4.frame.decompress)

        Args:
            name: to be named in a category.
            pack: returns bytes in another form; called by several threads at once.
            unpack: undoes that, and raises for what `pack` has not returned.
            encrypts: encrypt the result by whatever plugin does it.
            replaces: it may take the place of another one of its name.
        """
        return cls(
            name,
            lambda records: pack(_pack(records)),
            lambda stored: _unpack(unpack(stored)),
            lines=lambda stored: _lines_of(unpack(stored)),
            secret=encrypts,
            replaces=replaces,
            encrypts=encrypts,
        )

    @property
    def is_secret(self) -> bool:
        """Whether nobody is to read what is stored."""
        return self.secret or self.encrypts

    def within(self, context: EncryptionContext) -> Serializer:
        """Return the serializer of slices that belong there: with its encryption, if it has one."""
        if not self.encrypts:
            return self
        dump, load, lines = self.dump, self.load, self.lines
        return self._replace(
            dump=lambda records: _encrypt(dump(records), context),
            load=lambda stored: load(_decrypt(stored, context)),
            lines=lines and (lambda stored: lines(_decrypt(stored, context))),
        )


def as_lines(records: list[Any]) -> str | None:
    """Join texts by line breaks; None where they could not be told apart again."""
    try:
        joined = "".join(records)
    except TypeError:
        return None
    # To look once through the whole is quicker than to count the line breaks afterwards.
    return "\n".join(records) if records and "\n" not in joined else None


def _dump(records: list[Any]) -> Any:
    lines = as_lines(records)
    if lines is not None:
        return check_utf8(lines)
    encoded = _encoded(records)
    packing.pack({"r": encoded})  # a store would refuse all of it, and not say which record it is
    return encoded


def _load(stored: Any) -> list[Any]:
    return stored.split("\n") if isinstance(stored, str) else _decoded(stored)


def _encoded(records: list[Any]) -> list[Any]:
    return records if PLAIN.issuperset(map(type, records)) else [_checked(r) for r in records]


def _checked(record: Any) -> Any:
    if problem := check_record(record):
        raise ValueError(problem)
    return encode_any(record)


def _decoded(stored: list[Any]) -> list[Any]:
    return stored if PLAIN.issuperset(map(type, stored)) else [decode_any(r) for r in stored]


def pack(records: list[Any]) -> bytes:
    """Return records as bytes: what a serializer may pack, compress or encrypt in its own way.

    Raises:
        ValueError: a record holds something that cannot be stored; StreamError for text that is not
            UTF-8.
    """
    lines = as_lines(records)
    if lines is None:
        return BSON + packing.pack({"r": _encoded(records)})
    return LINES + check_utf8(lines).encode()


def unpack(data: bytes) -> list[Any]:
    """Undo `pack`."""
    lines = _lines_of(data)
    return _decoded(packing.unpack(data[1:])["r"]) if lines is None else lines.split("\n")


_pack, _unpack = pack, unpack  # where these are the names of arguments


def _lines_of(data: bytes) -> str | None:
    # Earlier versions stored half a character, too.
    return data[1:].decode("utf-8", "surrogatepass") if data[:1] == LINES else None


class _Zstandard(threading.local):
    """A compressor and a decompressor for each thread: they are costly to make, and not shared."""

    def __init__(self) -> None:
        self.compress = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compress
        self.decompress = zstandard.ZstdDecompressor().decompress


_zstandard = _Zstandard()


def _compress(data: bytes) -> bytes:
    return _zstandard.compress(data)


def _decompress(data: bytes) -> bytes:
    return _zstandard.decompress(data)


def _dump_bz2(records: list[Any]) -> Any:
    return bz2.compress("".join(f"{line_of(record)}\n" for record in records).encode())


def _encrypt(data: bytes, context: EncryptionContext) -> bytes:
    return encrypt_bytes(data, context, "A category must be stored encrypted")


def _decrypt(data: bytes, context: EncryptionContext) -> bytes:
    plain = decrypt_bytes(data, context)
    if plain is None:
        raise no_key("A slice")
    return plain


def _one(stored: Any) -> list[Any]:
    return [bytes(stored)]


BUILT_IN = (
    Serializer("none", _dump, _load, lines=lambda s: s if isinstance(s, str) else None),
    Serializer.packed("compress", _compress, _decompress),
    Serializer.packed("zstd", _compress, _decompress),
    Serializer.packed("encrypt", _compress, _decompress, encrypts=True),
    Serializer("bz2", _dump_bz2, _one, whole=True),
    Serializer("encrypted_bz2", _dump_bz2, _one, whole=True, secret=True, encrypts=True),
)


_BUILT_IN_BY_NAME = {each.name: each for each in BUILT_IN}


def serializer(name: str) -> Serializer:
    """Return a serializer by name.

    Raises:
        ConfigurationError: there is none; the message names those that there are.
    """
    of_plugins = registered("register_serializers", "serializer")
    found: Serializer | None = of_plugins.get(name) or _BUILT_IN_BY_NAME.get(name)
    if found is None:
        known = ", ".join(dict.fromkeys([*_BUILT_IN_BY_NAME, *of_plugins]))
        raise ConfigurationError(f"There is no serializer {name!r}; there are {known}")
    return found


def refusal(serializer: Serializer) -> str | None:
    """Say why a plugin cannot register a serializer, if it cannot."""
    return refusal_of(serializer, "serializer", _BUILT_IN_BY_NAME)


def check_texts(records: list[Any], as_lines: bool = False, single: bool = False) -> None:
    """Raise StreamError where a string could never be written to a file.

    Args:
        as_lines: nor may there be values that have no form in a line.
        single: nor line breaks, for each record is one line.
    """
    try:
        joined = "".join(records)
    except TypeError:  # others than texts
        texts = map(line_of, records) if as_lines else filter(_is_text, records)
        joined = "".join(texts)
    check_utf8(joined)
    if single:
        check_line(joined)


def _is_text(record: Any) -> bool:
    return isinstance(record, str)


def refused(
    name: str, records: list[Any], check: Callable[[list[Any]], None] | None = None
) -> tuple[int, str] | None:
    """Return the first record that a serializer cannot store, from 0, and why; None if it can all.

    Of one that is secret only the type is said.
    """
    chosen = serializer(name)
    for index, record in enumerate(records):
        try:
            if check is not None:
                check([record])
            # What a plugin's serializer returns may be refused too.
            packing.pack({"r": chosen.dump([record])})
        except Exception as error:
            if chosen.is_secret:
                return index, f"the {type(record).__name__} holds what a document cannot"
            return index, _why(record, error).removeprefix("cannot be stored: ")
    return None


def _why(record: Any, error: Exception) -> str:
    try:
        return check_record(record) or str(error)
    except Exception:  # such as a RecursionError: it is nested too deeply to be looked at
        return str(error)
