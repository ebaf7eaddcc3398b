"""What the first bytes of a file look like, to say so where its name says something else."""

from __future__ import annotations

import codecs
import re

GZIP, ZIP, XZ, ZSTD, ENC = b"\x1f\x8b", b"PK\x03\x04", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd", b"RJF"
BZIP2 = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")
SKIPPED = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")  # Zstandard: a frame that only notes something
PGP = re.compile(  # to a key, or with a passphrase
    rb"(?:\x84.|\x85..|\xc1(?:[\x00-\xbf]|[\xc0-\xdf].))\x03|\x8c.\x04", re.DOTALL
)
TAR, TAR_AT = b"ustar", 257
HEAD_BYTES = 32  # enough to tell all of them but the last

_KINDS: list[tuple[bytes, str, str | None]] = [
    (GZIP, "gzip data", "gz"),
    (ZIP, "a zip archive or Excel workbook", "zip"),
    (b"PK\x05\x06", "an empty zip archive", "zip"),
    (XZ, "xz data", "xz"),
    (ZSTD, "Zstandard data", "zst"),
    (ENC + b"\x01", "a file encrypted by RocketJob", "enc"),
    (b"-----BEGIN PGP MESSAGE", "a PGP message", "pgp"),
    (b"%PDF-", "a PDF", None),
    (b"\x89PNG", "a picture", None),
    (b"\xff\xd8\xff", "a picture", None),
    (b"GIF87a", "a picture", None),
    (b"GIF89a", "a picture", None),
    (b"\x7fELF", "a program", None),
    (b"SQLite format 3", "a SQLite database", None),
    (b"PAR1\x15", "a Parquet file", None),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file", None),
]


def kind_of(head: bytes) -> tuple[str, str | None]:
    """Return what a file that begins so looks like, and the stream that reads it, if any."""
    if not head:
        return "an empty file", None
    if BZIP2.match(head):
        return "bzip2 data", "bz2"
    if SKIPPED.match(head):
        return "Zstandard data", "zst"
    if PGP.match(head):
        return "a PGP message", "pgp"
    if head[TAR_AT : TAR_AT + len(TAR)] == TAR:
        return "a tar archive", None
    for magic, words, stream in _KINDS:
        if head.startswith(magic):
            return words, stream
    return ("binary data" if b"\0" in head or not _is_text(head) else "plain text"), None


def _is_text(head: bytes) -> bool:
    try:  # a character may be cut off at the end
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True
