r"""A record as text that people can look at and change, and back to the very same record.

| record | kind | text |
|---|---|---|
| str | `text` | itself; what cannot be printed is `\xHH`, a backslash is doubled |
| bytes | `bytes` | their UTF-8; what is none, and what cannot be printed, is `\xHH` |
| anything else | `json` | JSON that keeps each type, see `rocketjob.model.types.typed_json` |
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from rocketjob.model.types import decode_any, encode_any, typed_json
from rocketjob.store import packing

KINDS = ("text", "bytes", "json")
_HIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\\]")
_HIDDEN_IN_FORM = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\\]")  # with the return
_ESCAPE = re.compile(r"\\(\\|x[0-9a-fA-F]{2}|u[dD][89a-fA-F][0-9a-fA-F]{2})")
_NAMES = (  # of the bytes from 0 on
    "NUL SOH STX ETX EOT ENQ ACK BEL BS TAB LF VT FF CR SO SI "
    "DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US"
)


def kind_of(record: Any) -> str:
    """Return one of `KINDS`."""
    if isinstance(record, str):
        return "text"
    return "bytes" if isinstance(record, bytes) else "json"


def text_of(record: Any) -> str:
    """Return a record as the text that `record_of` makes the record of again.

    Raises:
        ValueError: it has no such text.
    """
    kind = kind_of(record)
    if kind == "json":
        text = typed_json.dumps(encode_any(record))
    else:
        of_bytes = kind == "bytes"
        text = _HIDDEN_IN_FORM.sub(lambda found: _escaped(found[0], of_bytes), _characters(record))
    if not same(record_of(kind, text), record):
        raise ValueError("it holds something that has no exact form as text")
    return text


def record_of(kind: str, text: str) -> Any:
    """Return the record of a text; an escape that has no meaning is left as it is.

    Raises:
        ValueError: it is none of that kind.
    """
    if kind == "json":
        return decode_any(typed_json.loads(text))
    if kind == "text":
        return _ESCAPE.sub(_character, text)
    if kind != "bytes":
        raise ValueError(f"there is no kind of record {kind[:20]!r}; there are {', '.join(KINDS)}")
    parts, end = [], 0
    for found in _ESCAPE.finditer(text):
        parts += [text[end : found.start()].encode(), _byte(found[0])]
        end = found.end()
    return b"".join([*parts, text[end:].encode()])


def same(one: Any, other: Any) -> bool:
    """Return whether two records are stored as the very same bytes."""
    if isinstance(one, str | bytes) or isinstance(other, str | bytes):
        return type(one) is type(other) and bool(one == other)
    return packing.pack({"r": encode_any(one)}) == packing.pack({"r": encode_any(other)})


def tokens(record: Any, most: int) -> Iterator[tuple[str, str | None]]:
    """Yield the parts of a record as they are shown: a text, and what an escape in it stands for.

    Args:
        most: characters, or bytes, of the record that are shown.
    """
    if kind_of(record) == "json":
        yield typed_json.dumps(encode_any(record))[:most], None
        return
    of_bytes = isinstance(record, bytes)
    text, end = _characters(_cut(record, most)), 0
    for found in _HIDDEN.finditer(text):
        if found.start() > end:
            yield text[end : found.start()], None
        yield _escaped(found[0], of_bytes), _name(found[0], of_bytes)
        end = found.end()
    if end < len(text):
        yield text[end:], None


def size_of(record: Any) -> int:
    """Return the length of a record as it would be shown: characters, or bytes."""
    return len(record if isinstance(record, str | bytes) else typed_json.dumps(encode_any(record)))


def _cut(record: Any, most: int) -> Any:
    """Return the beginning of a record, without a part of a character at its end."""
    if isinstance(record, str) or len(record) <= most:
        return record[:most]
    end = most
    while end > most - 4 and end > 0 and record[end] & 0xC0 == 0x80:
        end -= 1
    return record[:end]


def _characters(record: Any) -> str:
    return record if isinstance(record, str) else record.decode("utf-8", "surrogateescape")


def _escaped(character: str, of_bytes: bool) -> str:
    if character == "\\":
        return "\\\\"
    code = ord(character)
    if of_bytes and code > 0xFF:  # a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if code > 0xFF else f"\\x{code:02x}"


def _name(character: str, of_bytes: bool) -> str:
    code = ord(character)
    if character == "\\":
        return "a backslash"
    if code < 0x20:
        return f"byte 0x{code:02X}, {_NAMES.split()[code]}"
    if code == 0x7F:
        return "byte 0x7F, DEL"
    if of_bytes:
        return f"byte 0x{code - 0xDC00:02X}, not UTF-8"
    return f"half a character, 0x{code:04X}"


def _character(found: re.Match[str]) -> str:
    code = found[1]
    if code == "\\":
        return "\\"
    number = int(code[1:], 16)
    if code[0] == "x" and number > 0x7F:
        raise ValueError(
            f"{found[0]} is a byte, and this record is text: write the character itself, or "
            f"\\{found[0]} for a backslash"
        )
    return chr(number)


def _byte(escape: str) -> bytes:
    if escape == "\\\\":
        return b"\\"
    return bytes.fromhex(escape[2:]) if escape[1] == "x" else escape.encode()
