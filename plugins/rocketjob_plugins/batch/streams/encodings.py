"""What encoding a text seems to be in, to say so where it is read in another.

A byte order mark tells it for certain. UTF-16 and UTF-32 without one are told by their zeros: in
text of Latin letters every second byte is zero, or three of four.
"""

from __future__ import annotations

import codecs

from rocketjob_plugins.batch.streams.errors import StreamError

MARK = "\ufeff"
SAMPLE = 4096
_MARKS = [  # the longer ones first: that of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8", ("utf-8", "utf-8-sig")),
    (codecs.BOM_UTF32_LE, "utf-32", ("utf-32", "utf-32-le")),
    (codecs.BOM_UTF32_BE, "utf-32", ("utf-32", "utf-32-be")),
    (codecs.BOM_UTF16_LE, "utf-16", ("utf-16", "utf-16-le")),
    (codecs.BOM_UTF16_BE, "utf-16", ("utf-16", "utf-16-be")),
]
_ZEROS = [  # encoding, bytes of a letter, which of them are zero, and which is not
    ("utf-32-le", 4, (2, 3), 0),
    ("utf-32-be", 4, (0, 1), 3),
    ("utf-16-le", 2, (1,), 0),
    ("utf-16-be", 2, (0,), 1),
]


def check_encoding(head: bytes, name: str, encoding: str) -> None:
    """Refuse to read a text in another encoding than it is seen to be in.

    Raises:
        StreamError: it names the right one.
    """
    seen = wrong_encoding(head, encoding)
    if seen is not None:
        words, right = seen
        raise StreamError(f'{words}: pass encoding="{right}"', file=name)


def wrong_encoding(head: bytes, encoding: str) -> tuple[str, str] | None:
    """Return what a text seems to be, and its encoding, if that is not the one given."""
    for mark, right, fitting in _MARKS:
        if head.startswith(mark):
            if encoding in fitting:
                return None
            return f"looks like {right.upper()} text", right
    by_zeros = _by_zeros(head[:SAMPLE])
    family = encoding[:6]
    if by_zeros is not None:
        words = f"looks like {by_zeros[:6].upper()} text without a byte order mark"
        return None if encoding == by_zeros else (words, by_zeros)
    if family in ("utf-16", "utf-32") and head and head.isascii() and b"\0" not in head:
        return f"looks like plain text and not like {family.upper()}", "utf-8"
    return None


def _by_zeros(sample: bytes) -> str | None:
    """Return the encoding in which text has its zeros where those of the sample are, mostly."""
    for encoding, width, zeros, low in _ZEROS:
        whole = sample[: len(sample) // width * width]
        zeros_seen = min(whole[at::width].count(0) for at in zeros)
        count = len(whole) // width
        least = count * 0.9 if width == 4 else max(2, count * 0.3)  # others than Latin have none
        if zeros_seen and zeros_seen >= least and whole[low::width].count(0) * 10 <= zeros_seen:
            return encoding
    return None
