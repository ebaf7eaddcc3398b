"""The file: JSON in UTF-8, of one object; docs/capsules.md says what each name in it is.

A document is `{"json": ...}` in MongoDB's extended JSON, where that is exact, else `{"bson": ...}`
in base64. A record that is text is that text; bytes are `{"bytes": ...}` in base64.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import Any

import attrs

from rocketjob.base.text import printable
from rocketjob.model.types import decode_any, encode_any, exact_json, typed_json
from rocketjob.store import packing
from rocketjob_plugins.capsule.errors import CapsuleError

FORMAT, VERSION = "rocketjob-capsule", 1
SUFFIX = ".rjc"
MEDIA_TYPE = "application/vnd.rocketjob.capsule+json"
MOST = 200_000_000  # bytes of a capsule that is read
KINDS: dict[str, type | tuple[type, ...]] = {
    "made": dict,
    "class": dict,
    "job": dict,
    "slice": (dict, type(None)),
    "exception": (dict, type(None)),
    "left_out": list,
    "has_secrets": bool,
}


@attrs.frozen(kw_only=True)
class CapsuleSlice:
    """The slice in a capsule.

    Attributes:
        document: what is stored of it, but for the records.
        first: the number of the first of `records` in the whole upload.
        records: as `perform` gets them; None if they were left out.
    """

    document: dict[str, Any]
    first: int
    records: list[Any] | None


@attrs.frozen(kw_only=True)
class Capsule:
    """What a capsule holds: see the module for what each is.

    Attributes:
        job_class: what the file has as `class`.
        document: of the job.
    """

    made: dict[str, Any]
    job_class: dict[str, Any]
    document: dict[str, Any]
    slice: CapsuleSlice | None = None
    exception: dict[str, Any] | None = None
    left_out: tuple[str, ...] = ()
    has_secrets: bool = False

    @property
    def class_name(self) -> str:
        return str(self.job_class.get("name", "?"))

    @property
    def name(self) -> str:
        """What its file is called."""
        part = f"-slice-{self.slice.document['_id']}" if self.slice else ""
        return f"{self.class_name}-{self.document['_id']}{part}{SUFFIX}"

    def to_bytes(self) -> bytes:
        """Return the file."""
        content = {
            "made": self.made,
            "class": self.job_class,
            "job": _portable(self.document),
            "slice": None if self.slice is None else _of_slice(self.slice),
            "exception": self.exception,
            "left_out": list(self.left_out),
            "has_secrets": self.has_secrets,
        }
        head = {"format": FORMAT, "version": VERSION}
        whole = {**head, "checksum": _checksum({**head, **content}), **content}
        return json.dumps(whole, ensure_ascii=False, indent=1).encode() + b"\n"


# --- reading -----------------------------------------------------------------------------------


def read(data: bytes) -> Capsule:
    """Return what a file holds.

    Raises:
        CapsuleError: it is none, it was changed, or a later version has made it.
    """
    if len(data) > MOST:
        raise CapsuleError(f"it is no capsule: it has more than {MOST:,} bytes")
    try:
        whole = exact_json.loads(data.decode())
    except RecursionError:
        raise CapsuleError("it is no capsule: it is nested too deeply") from None
    except ValueError as error:
        raise CapsuleError(f"it is no capsule, or was cut short: {error}") from None
    if not isinstance(whole, dict) or whole.get("format") != FORMAT:
        raise CapsuleError(f'it is no capsule: it does not begin with "format": "{FORMAT}"')
    _check_version(whole)
    said = whole.pop("checksum", None)
    if said != _checksum(whole):
        raise CapsuleError(
            "its checksum is not that of its content: it was changed, or damaged, after it was made"
        )
    return _capsule_of(whole)


def _check_version(whole: dict[str, Any]) -> None:
    version = whole.get("version")
    if type(version) is not int or version < 1:
        raise CapsuleError(f"its version must be a whole number, not {version!r:.50}")
    if version > VERSION:
        made = whole.get("made")
        by = printable(str(made.get("rocketjob", "?")))[:50] if isinstance(made, dict) else "?"
        raise CapsuleError(
            f"it is of version {version}, made by RocketJob {by}, and this RocketJob reads version "
            f"{VERSION}: upgrade it here, or make the capsule again with this version"
        )


def _capsule_of(whole: dict[str, Any]) -> Capsule:
    for name, kind in KINDS.items():
        if not isinstance(whole.get(name), kind):
            raise CapsuleError(f"its {name} is missing, or not what it must be")
    document = _value(whole["job"])
    if not isinstance(document, dict) or "_id" not in document:
        raise CapsuleError("its job is not a document")
    return Capsule(
        made=whole["made"],
        job_class=whole["class"],
        document=document,
        slice=_slice(whole["slice"]) if whole["slice"] is not None else None,
        exception=whole["exception"],
        left_out=tuple(map(str, whole["left_out"])),
        has_secrets=whole["has_secrets"],
    )


def _slice(part: dict[str, Any]) -> CapsuleSlice:
    document, first, records = _value(part.get("document")), part.get("first"), part.get("records")
    is_right = isinstance(document, dict) and isinstance(document.get("_id"), int)
    if not is_right or type(first) is not int or not isinstance(records, list | None):
        raise CapsuleError("its slice is not what it must be")
    found = None if records is None else [_record(each) for each in records]
    return CapsuleSlice(document=document, first=first, records=found)


def _checksum(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


# --- values ------------------------------------------------------------------------------------


def _of_slice(part: CapsuleSlice) -> dict[str, Any]:
    records = None if part.records is None else [_portable_record(each) for each in part.records]
    return {"document": _portable(part.document), "first": part.first, "records": records}


def _portable_record(record: Any) -> Any:
    if isinstance(record, str):
        return record
    if isinstance(record, bytes):
        return {"bytes": base64.b64encode(record).decode()}
    return _portable(encode_any(record))


def _portable(stored: Any) -> dict[str, Any]:
    """Return what is stored as JSON; as BSON, where something has no exact form in JSON."""
    packed = packing.pack({"v": stored})
    try:
        text = typed_json.dumps(stored)
        if packing.pack({"v": typed_json.loads(text)}) == packed:
            return {"json": json.loads(text)}
    except ValueError:
        pass
    return {"bson": base64.b64encode(packed).decode()}


def _record(part: Any) -> Any:
    if isinstance(part, str):
        return part
    if isinstance(part, dict) and "bytes" in part:
        return _bytes(part["bytes"])
    return decode_any(_value(part))


def _value(part: Any) -> Any:
    try:
        if isinstance(part, dict) and "bson" in part:
            return packing.unpack(_bytes(part["bson"]))["v"]
        if isinstance(part, dict) and "json" in part:
            return typed_json.loads(json.dumps(part["json"]))
    except CapsuleError:
        raise
    except Exception as error:  # whatever a value that is none makes of the library
        raise CapsuleError(f"it holds a value that cannot be read: {error}") from None
    raise CapsuleError("it holds something that is no value")


def _bytes(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise CapsuleError("it holds bytes that are not base64") from None
