"""How a file is to be read: what a caller may say of it, checked before anything is opened."""

from __future__ import annotations

import codecs
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict, Unpack

import attrs

from rocketjob.base.text import did_you_mean
from rocketjob_plugins.batch.streams.errors import StreamError
from rocketjob_plugins.batch.streams.limits import Limits

Cleaner = str | Callable[[str], str]


def _character(instance: Any, attribute: Any, value: Any) -> None:
    if not isinstance(value, str) or len(value) != 1 or value in "\r\n\0":
        raise StreamError(
            f"{attribute.name} must be one character other than a line break: {value!r}"
        )


@attrs.frozen
class Dialect:
    """How the values of a line are told apart, where a line break may be within quotes.

    Attributes:
        separator: one character between two values.
        quote: one character around a value; within it, it is written twice.

    Raises:
        StreamError: they are not two different characters.
    """

    separator: str = attrs.field(default=",", validator=_character)
    quote: str = attrs.field(default='"', validator=_character)

    def __attrs_post_init__(self) -> None:
        if self.separator == self.quote:
            raise StreamError(f"separator and quote are both {self.quote!r}")


CSV = Dialect()


class ReadKeywords(TypedDict, total=False):
    """The keywords of everything that reads a file; see `ReadOptions`."""

    file_name: str | None
    streams: Sequence[str] | str | None
    delimiter: str | None
    encoding: str | None
    encode_replace: str | None
    encode_cleaner: Cleaner | None
    limits: Limits | None


class LineKeywords(ReadKeywords, total=False):
    """Those, and what a category knows by its format."""

    quoted: Dialect | str | bool | None
    keep_width: bool
    format_options: Mapping[str, Any] | None


def check_keywords(given: Mapping[str, Any], known: type[ReadKeywords] = ReadKeywords) -> None:
    """Raise TypeError for a keyword that is none of a kind's."""
    names = list(known.__annotations__)
    for name in given:
        if name not in names:
            hint = did_you_mean(name, names, f"there are {', '.join(names)}")
            raise TypeError(f"there is no option {name} to read a file; {hint}")


def _delimiter(instance: Any, attribute: Any, value: Any) -> None:
    if value is not None and (not isinstance(value, str) or not value):
        raise StreamError("The delimiter must be a string that is not empty")


def _cleaner(instance: Any, attribute: Any, value: Any) -> None:
    if value not in (None, "printable") and not callable(value):
        raise StreamError(f"encode_cleaner must be printable or a callable: {value!r}")


def _dialect(quoted: Dialect | str | bool | None) -> Dialect | None:
    if isinstance(quoted, str):
        return Dialect(quoted)
    if isinstance(quoted, Dialect):
        return quoted
    return CSV if quoted else None


def text_encoding(name: str | None) -> str:
    """Return the encoding's own name; without one UTF-8.

    Raises:
        StreamError: there is no such encoding.
    """
    try:
        codec = codecs.lookup("utf-8" if name is None else name)
    except (LookupError, TypeError):
        raise StreamError(f"There is no encoding {name!r}: for example utf-8, latin-1") from None
    if not getattr(codec, "_is_text_encoding", True):
        raise StreamError(f"{name!r} is not an encoding of text: use for example utf-8, latin-1")
    return codec.name


@functools.cache
def replacing(text: str) -> str:
    """Return the name of the codecs' error handler that puts `text` in place of invalid bytes."""
    name = f"rocketjob-replace-{text.encode('unicode_escape').hex()}"
    codecs.register_error(name, lambda error: (text, error.end))  # type: ignore[attr-defined]
    return name


@attrs.frozen(kw_only=True)
class ReadOptions:
    r"""How a file is read.

    Attributes:
        file_name: whose extensions say what the streams are; by default that of a path or URL.
        streams: instead, from left to right as in a name: `["gz", "enc"]` for `a.csv.gz.enc`.
        delimiter: ends a line and is not part of it; by default the first of CR LF, LF and CR
            that is found.
        encoding: of the text; a byte order mark is removed.
        encode_replace: what to put in place of bytes that are not valid, which are an error else.
        encode_cleaner: `"printable"` removes control characters other than tab and line breaks;
            a callable is given each line, also one with NUL bytes, which are an error otherwise.
        limits: against decompression bombs.
        quoted: a line break within quotes belongs to the line, as in CSV: True, or what the
            separator is, or a `Dialect`.
        keep_width: `"printable"` puts blanks in the place of control characters, since every
            character has its place in the line.
        format_options: `sheet` is that of an Excel workbook.

    Raises:
        StreamError: one of them is wrong.
    """

    file_name: str | None = None
    streams: Sequence[str] | str | None = None
    delimiter: str | None = attrs.field(default=None, validator=_delimiter)
    encoding: str = attrs.field(default=None, converter=text_encoding)
    encode_replace: str | None = None
    encode_cleaner: Cleaner | None = attrs.field(default=None, validator=_cleaner)
    limits: Limits | None = None
    quoted: Dialect | None = attrs.field(default=None, converter=_dialect)
    keep_width: bool = False
    format_options: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, **given: Unpack[LineKeywords]) -> ReadOptions:
        """Return options from keywords.

        Raises:
            TypeError: there is no such option.
            StreamError: one of them is wrong.
        """
        check_keywords(given, LineKeywords)
        return cls(**given)

    @property
    def errors(self) -> str:
        """How the codec handles bytes that are not valid."""
        return "strict" if self.encode_replace is None else replacing(self.encode_replace)
