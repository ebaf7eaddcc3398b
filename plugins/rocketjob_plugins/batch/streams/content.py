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

ZIPS = (ZIP, b"PK\x05\x06")

_OTHERS = [
    (b"%PDF-", "a PDF"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF87a", "a picture"),
    (b"GIF89a", "a picture"),
    (b"\x7fELF", "a program"),
    (b"SQLite format 3", "a SQLite database"),
    (b"PAR1\x15", "a Parquet file"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file"),
]


def other_kind(head: bytes) -> str:
    """Return what a file that begins so looks like, which is nothing that a stream reads."""
    if head[TAR_AT : TAR_AT + len(TAR)] == TAR:
        return "a tar archive"
    for magic, words in _OTHERS:
        if head.startswith(magic):
            return words
    return "binary data" if b"\0" in head or not _is_text(head) else "plain text"


def _is_text(head: bytes) -> bool:
    try:  # a character may be cut off at the end
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True
