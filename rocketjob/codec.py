"""How a field's value is checked, stored as BSON, loaded, and parsed from text.

`codec_for(annotation)` knows all types that a field may have, nested attrs classes included.
Values of `Any` fields that BSON has no type for (date, timedelta, set ...) are stored as
`{"__rocketjob__": type, "value": ...}`, so that they come back as they were.
"""

from __future__ import annotations

import enum
import functools
import json
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, Union, get_args, get_origin
from uuid import UUID

import attrs
import pendulum
from bson import Binary, Decimal128, ObjectId, Regex
from bson.errors import InvalidId

from rocketjob.clock import to_utc

TAG = "__rocketjob__"
INT64 = 2**63


@attrs.frozen(eq=False)
class Codec:
    """One type of field.

    Attributes:
        name: the type, in words for a message.
        check: returns what is wrong with a value, or None.
        encode: to BSON. None: the value is stored as it is.
        decode: from BSON. None: it comes back as it was stored.
        parse: from text; raises ValueError.
        optional: whether None is allowed.
        mutable: whether a value can change without being assigned.
        convert: applied when a value is assigned.
    """

    name: str
    check: Callable[[Any], str | None]
    encode: Callable[[Any], Any] | None = None
    decode: Callable[[Any], Any] | None = None
    parse: Callable[[str], Any] | None = None
    optional: bool = False
    mutable: bool = False
    convert: Callable[[Any], Any] | None = None

    def from_text(self, text: Any) -> Any:
        """Parse a text of a form or a command line; other values are taken as they are."""
        if not isinstance(text, str) or self.parse is None:
            return text
        return self.parse(text)


def codec_for(annotation: Any) -> Codec:
    """Return the codec of a type.

    Raises:
        TypeError: a field cannot have this type.
    """
    try:
        return _cached_codec(annotation)
    except TypeError as error:
        if "unhashable" not in str(error):
            raise
        return _make_codec(annotation)


@functools.lru_cache(maxsize=1024)
def _cached_codec(annotation: Any) -> Codec:
    return _make_codec(annotation)


def _make_codec(annotation: Any) -> Codec:
    if annotation in SCALARS:
        return SCALARS[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is None or annotation is type(None):
        return _scalar("None", lambda value: value is None)
    if origin is typing.Annotated:
        return codec_for(arguments[0])
    if origin in (Union, types.UnionType):
        return _union(arguments)
    if origin is Literal:
        return _literal(arguments)
    container = origin or annotation
    if container in (list, set, frozenset):
        return _sequence(container, codec_for(arguments[0]) if arguments else ANY)
    if container is tuple:
        return _tuple(arguments)
    if container in (dict, Mapping):
        return _mapping(arguments)
    if container is re.Pattern:
        return PATTERN
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return _enum(annotation)
    if isinstance(annotation, type) and attrs.has(annotation):
        return _nested(annotation)
    raise TypeError(
        f"{annotation!r} is no type that a field can have: use str, int, float, bool, bytes, "
        "Decimal, date, datetime, timedelta, UUID, ObjectId, an Enum, Literal, list, tuple, set, "
        "dict[str, ...], range, re.Pattern, an attrs class, `... | None` or Any"
    )


def shown(value: Any) -> str:
    """Return a value's type and text, cut to what fits a message."""
    text = repr(value)
    text = text if len(text) <= 60 else text[:57] + "..."
    return f"{type(value).__name__} {text}"


def _wanted(name: str, value: Any) -> str:
    return f"must be {name}, not {shown(value)}"


def _scalar(
    name: str,
    accepts: Callable[[Any], bool],
    encode: Callable[[Any], Any] | None = None,
    decode: Callable[[Any], Any] | None = None,
    parse: Callable[[str], Any] | None = None,
    convert: Callable[[Any], Any] | None = None,
) -> Codec:
    def check(value: Any) -> str | None:
        return None if accepts(value) else _wanted(name, value)

    return Codec(name, check, encode, decode, parse, name == "None", False, convert)


# --- scalars ---------------------------------------------------------------------------------


def _check_int(value: Any) -> str | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return _wanted("int", value)
    if not -INT64 <= value < INT64:
        return f"must fit into 64 bits, not {shown(value)}"
    return None


def _check_float(value: Any) -> str | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return _wanted("float", value)
    try:
        float(value)
    except OverflowError:
        return _wanted("float", value)
    return None


def _check_datetime(value: Any) -> str | None:
    if not isinstance(value, datetime):
        return _wanted("datetime", value)
    if value.tzinfo is None:
        return f"must have a time zone, {value.isoformat()} has none: use for example rocketjob.now"
    try:
        to_utc(value)
    except OverflowError:
        return f"must be within the years 1 to 9999 in UTC, not {value.isoformat()}"
    return None


def _check_timedelta(value: Any) -> str | None:
    if not isinstance(value, timedelta):
        return _wanted("timedelta", value)
    try:
        exact = _seconds(value.total_seconds()) == value
    except OverflowError:
        exact = False
    return None if exact else f"is too long to be stored to the microsecond: {value}"


def _check_range(value: Any) -> str | None:
    if not isinstance(value, range):
        return _wanted("range", value)
    return _check_int(value.start) or _check_int(value.stop) or _check_int(value.step)


def _check_pattern(value: Any) -> str | None:
    if not isinstance(value, re.Pattern):
        return _wanted("a regular expression", value)
    if not isinstance(value.pattern, str) or "\0" in value.pattern:
        return f"must be a regular expression of text without NUL, not {shown(value)}"
    return _check_text(value.pattern)


def _check_text(value: Any) -> str | None:
    if not isinstance(value, str):
        return _wanted("str", value)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        return f"cannot be stored as UTF-8: {error.reason} at character {error.start + 1}"
    return None


def _aware_datetime(value: Any) -> Any:
    if isinstance(value, timedelta):
        from rocketjob import clock

        value = clock.now() + value
    if isinstance(value, datetime) and value.tzinfo is not None:
        try:
            return to_utc(value)
        except OverflowError:
            return value  # validation says so
    return value


def plain_datetime(value: Any) -> Any:
    """Return a time as BSON is quickest to encode: the same instant, as the library's own type."""
    if type(value) is not pendulum.DateTime:
        return value
    return datetime(
        value.year,
        value.month,
        value.day,
        value.hour,
        value.minute,
        value.second,
        value.microsecond,
        UTC if value.tzinfo is pendulum.UTC else value.tzinfo,
    )


def load_datetime(value: Any) -> Any:
    return to_utc(value) if isinstance(value, datetime) else value


def parse_bool(text: str) -> bool:
    words = {"true": True, "yes": True, "on": True, "1": True}
    words |= {"false": False, "no": False, "off": False, "0": False}
    try:
        return words[text.strip().lower()]
    except KeyError:
        raise ValueError(f"must be true or false, not {text!r}") from None


def parse_datetime(text: str) -> pendulum.DateTime:
    """Parse an ISO 8601 time; one without a zone is UTC. A duration means from now."""
    try:
        found = pendulum.parse(text, strict=True, tz="UTC")
    except ValueError:
        found = None
    if isinstance(found, pendulum.DateTime):
        return to_utc(found)
    try:
        return typing.cast(pendulum.DateTime, _aware_datetime(parse_duration(text)))
    except ValueError:
        raise ValueError(
            f"must be a time such as 2026-01-31T08:30:00Z, or from now such as 2h, not {text!r}"
        ) from None


def parse_date(text: str) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"must be a date such as 2026-01-31, not {text!r}") from None


_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "": 1}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w|)\s*", re.IGNORECASE)


def parse_duration(text: str) -> timedelta:
    """Parse `90`, `90s`, `1h 30m`, `2d`, or ISO 8601's `PT1H30M`; a plain number is seconds."""
    stripped = text.strip().lower()
    sign = -1 if stripped.startswith("-") else 1
    parts = list(_DURATION.finditer(stripped.lstrip("-+")))
    if parts and "".join(part.group(0) for part in parts) == stripped.lstrip("-+"):
        return timedelta(seconds=sign * sum(float(p.group(1)) * _UNITS[p.group(2)] for p in parts))
    try:
        found = pendulum.parse(text, exact=True)
    except ValueError:
        found = None
    if isinstance(found, pendulum.Duration):
        return timedelta(seconds=found.total_seconds())
    raise ValueError(f"must be a duration such as 90s, 2h or 1d 12h, not {text!r}")


def _parse_decimal(text: str) -> Decimal:
    try:
        return Decimal(text.strip())
    except InvalidOperation:
        raise ValueError(f"must be a decimal number, not {text!r}") from None


def _check_decimal(value: Any) -> str | None:
    if not isinstance(value, Decimal):
        return _wanted("Decimal", value)
    try:
        Decimal128(value)
    except (ValueError, ArithmeticError):
        return f"must have at most 34 digits, not {shown(value)}"
    return None


def _number(kind: type, name: str) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            return kind(text.strip())
        except ValueError:
            raise ValueError(f"must be {name}, not {text!r}") from None

    return parse


def _parse_object_id(text: str) -> ObjectId:
    try:
        return ObjectId(text.strip())
    except InvalidId:
        raise ValueError(f"must be an id of 24 hexadecimal digits, not {text!r}") from None


def _parse_range(text: str) -> range:
    try:
        return range(*(int(part) for part in re.split(r"\.\.|:", text.strip())))
    except (TypeError, ValueError):
        raise ValueError(f"must be a range such as 1:10 or 1:10:2, not {text!r}") from None


def _parse_pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise ValueError(f"must be a regular expression: {error}") from None


def _seconds(value: Any) -> Any:
    return timedelta(seconds=value) if isinstance(value, int | float) else value


def _is(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kinds)


PATTERN = Codec(
    "a regular expression",
    _check_pattern,
    lambda value: Regex.from_native(value),
    lambda value: value.try_compile() if isinstance(value, Regex) else value,
    _parse_pattern,
)
RANGE = Codec(
    "range",
    _check_range,
    lambda value: {"start": value.start, "stop": value.stop, "step": value.step},
    lambda value: (
        range(value["start"], value["stop"], value["step"]) if isinstance(value, Mapping) else value
    ),
    _parse_range,
)
SCALARS: dict[Any, Codec] = {
    str: Codec("str", _check_text, parse=lambda text: text),
    int: Codec("int", _check_int, parse=_number(int, "a whole number")),
    float: Codec("float", _check_float, float, parse=_number(float, "a number")),
    bool: _scalar("bool", _is(bool), parse=parse_bool),
    bytes: _scalar(
        "bytes", _is(bytes), decode=lambda value: bytes(value), parse=lambda text: text.encode()
    ),
    Decimal: Codec(
        "Decimal",
        _check_decimal,
        lambda value: Decimal128(value),
        lambda value: value.to_decimal() if isinstance(value, Decimal128) else value,
        _parse_decimal,
    ),
    datetime: Codec(
        "datetime",
        _check_datetime,
        plain_datetime,
        load_datetime,
        parse_datetime,
        convert=_aware_datetime,
    ),
    date: _scalar(
        "date",
        lambda value: isinstance(value, date) and not isinstance(value, datetime),
        lambda value: value.isoformat(),
        lambda value: date.fromisoformat(value) if isinstance(value, str) else value,
        parse_date,
    ),
    timedelta: Codec(
        "timedelta", _check_timedelta, timedelta.total_seconds, _seconds, parse_duration
    ),
    UUID: _scalar("UUID", _is(UUID), parse=_number(UUID, "a UUID")),
    ObjectId: _scalar("an id (ObjectId)", _is(ObjectId), parse=_parse_object_id),
    range: RANGE,
}
SCALARS[pendulum.DateTime] = SCALARS[datetime]


# --- any value -------------------------------------------------------------------------------

_NATIVE = (str, int, float, bool, type(None), bytes, ObjectId, UUID, Binary)
_TAGGED: dict[str, tuple[type, Codec]] = {
    "date": (date, SCALARS[date]),
    "timedelta": (timedelta, SCALARS[timedelta]),
    "range": (range, RANGE),
}


def check_any(value: Any) -> str | None:
    """Say why a value of no declared type cannot be stored, or return None."""
    if isinstance(value, str):
        return _check_text(value)
    if isinstance(value, int) and not isinstance(value, bool | enum.Enum):
        return _check_int(value)
    if isinstance(value, datetime):
        return _check_datetime(value)
    if isinstance(value, Decimal):
        return _check_decimal(value)
    if isinstance(value, timedelta):
        return _check_timedelta(value)
    if isinstance(value, range):
        return _check_range(value)
    if isinstance(value, re.Pattern):
        return _check_pattern(value)
    if isinstance(value, Mapping):
        return _check_keys(value) or _first(
            (f"[{key!r}] {said}" for key, item in value.items() if (said := check_any(item)))
        )
    if isinstance(value, list | tuple | set | frozenset):
        return _first(
            f"[{index}] {said}" for index, item in enumerate(value) if (said := check_any(item))
        )
    if isinstance(value, (*_NATIVE, date)):
        return None if not isinstance(value, enum.Enum) else _cannot_store(value)
    return _cannot_store(value)


def _cannot_store(value: Any) -> str:
    return f"cannot be stored: {shown(value)} is no type that a document holds"


def _first(messages: Any) -> str | None:
    return next(iter(messages), None)


def _check_keys(value: Mapping[Any, Any]) -> str | None:
    for key in value:
        if not isinstance(key, str):
            return f"must have text as keys, not {shown(key)}"
        if key.startswith("$") or "." in key or "\0" in key:
            return f"has the key {key!r}: keys may not contain '.' nor begin with '$'"
        if key == TAG:
            return f"has the key {key!r}, which marks values of special types: choose another"
        if said := _check_text(key):
            return f"has the key {key!r}, which {said}"
    return None


def encode_any(value: Any) -> Any:
    """Return the BSON of a value of no declared type."""
    kind = type(value)
    if kind in _NATIVE:
        return value
    if isinstance(value, Mapping):
        return {key: encode_any(item) for key, item in value.items()}
    if isinstance(value, list):
        return [encode_any(item) for item in value]
    if isinstance(value, tuple | set | frozenset):
        items = [encode_any(item) for item in value]
        if isinstance(value, tuple):
            return {TAG: "tuple", "value": items}
        return {TAG: "set", "value": sorted(items, key=repr)}  # always the same for an equal set
    if isinstance(value, datetime):
        return to_utc(value) if value.tzinfo else value
    if isinstance(value, Decimal):
        return Decimal128(value)
    if isinstance(value, re.Pattern):
        return Regex.from_native(value)
    for name, (type_, codec) in _TAGGED.items():
        if isinstance(value, type_) and codec.encode:
            return {TAG: name, "value": codec.encode(value)}
    return value


def decode_any(value: Any) -> Any:
    """Undo `encode_any`."""
    kind = type(value)
    if kind is dict:
        if TAG in value:
            return _decode_tagged(value)
        return {key: decode_any(item) for key, item in value.items()}
    if kind is list:
        return [decode_any(item) for item in value]
    if isinstance(value, datetime):
        return to_utc(value)
    if kind is Decimal128:
        return value.to_decimal()
    if kind is Regex:
        return value.try_compile()
    return value


def _decode_tagged(value: dict[str, Any]) -> Any:
    name: str = value[TAG]
    inner: Any = value.get("value")
    if name == "tuple":
        return tuple(decode_any(item) for item in inner)
    if name == "set":
        return {decode_any(item) for item in inner}
    if name in _TAGGED:
        decode = _TAGGED[name][1].decode
        return decode(inner) if decode else inner
    return value


def _parse_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


ANY = Codec("any value", check_any, encode_any, decode_any, _parse_json, True, True)
SCALARS[Any] = SCALARS[object] = ANY


# --- composed types --------------------------------------------------------------------------


def _inner(codec: Codec) -> Callable[[Any], Any] | None:
    """Return how an item of a container is encoded: what is converted on assignment is so here."""
    return codec.encode or codec.convert


def _sequence(kind: type[Any], item: Codec) -> Codec:
    encode_item = _inner(item)
    name = f"{kind.__name__} of {item.name}" if item is not ANY else kind.__name__

    def check(value: Any) -> str | None:
        if not isinstance(value, kind):
            return _wanted(f"a {name}", value)
        return _first(f"[{i}] {said}" for i, v in enumerate(value) if (said := item.check(v)))

    def encode(value: Any) -> Any:
        found = [encode_item(v) for v in value] if encode_item else list(value)
        return sorted(found, key=repr) if kind is not list else found

    def decode(value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return kind(item.decode(v) for v in value) if item.decode else kind(value)

    def parse(text: str) -> Any:
        return kind(item.from_text(part) for part in _split(text))

    return Codec(f"a {name}", check, encode, decode, parse, mutable=kind is not frozenset)


def _split(text: str) -> list[Any]:
    if text.strip().startswith("["):
        try:
            return list(json.loads(text))
        except ValueError as error:
            raise ValueError(f"is not a JSON list: {error}") from None
    return [part.strip() for part in text.split(",") if part.strip()]


def _tuple(arguments: tuple[Any, ...]) -> Codec:
    if not arguments or arguments[-1] is Ellipsis:
        base = _sequence(list, codec_for(arguments[0]) if arguments else ANY)
        items = None
    else:
        items = [codec_for(argument) for argument in arguments]
        base = _sequence(list, ANY)
    name = "a tuple" if items is None else f"a tuple of {len(items)}"

    def check(value: Any) -> str | None:
        if not isinstance(value, tuple) or (items is not None and len(value) != len(items)):
            return _wanted(name, value)
        if items is None:
            return base.check(list(value))
        pairs = enumerate(zip(items, value, strict=True))
        return _first(f"[{i}] {said}" for i, (c, v) in pairs if (said := c.check(v)))

    def each(functions: Iterable[Callable[[Any], Any] | None], value: Any) -> Any:
        pairs = zip(functions, value, strict=False)
        return [function(item) if function else item for function, item in pairs]

    def encode(value: Any) -> Any:
        if items is None:
            return base.encode(list(value))  # type: ignore[misc]
        return each(map(_inner, items), value)

    def decode(value: Any) -> Any:
        if not isinstance(value, list):
            return value
        if items is None:
            return tuple(base.decode(value))  # type: ignore[misc]
        return tuple(each((codec.decode for codec in items), value))

    def parse(text: str) -> Any:
        parts = _split(text)
        if items is None:
            return tuple(base.parse(text))  # type: ignore[misc]
        return tuple(c.from_text(part) for c, part in zip(items, parts, strict=False))

    # The tuple itself stays as it is, what is in it may not.
    held = items if items is not None else [codec_for(arguments[0]) if arguments else ANY]
    mutable = any(codec.mutable for codec in held)
    return Codec(name, check, encode, decode, parse, mutable=mutable)


def _mapping(arguments: tuple[Any, ...]) -> Codec:
    if arguments and arguments[0] not in (str, Any):
        raise TypeError("the keys of a dict field must be str: dict[str, ...]")
    item = codec_for(arguments[1]) if arguments else ANY
    encode_item = _inner(item)

    def check(value: Any) -> str | None:
        if not isinstance(value, dict):
            return _wanted("a dict", value)
        return _check_keys(value) or _first(
            f"[{key!r}] {said}" for key, v in value.items() if (said := item.check(v))
        )

    def encode(value: Any) -> Any:
        return {key: encode_item(v) for key, v in value.items()} if encode_item else dict(value)

    def decode(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {key: item.decode(v) for key, v in value.items()} if item.decode else dict(value)

    def parse(text: str) -> Any:
        try:
            found = json.loads(text)
        except ValueError as error:
            raise ValueError(f"must be a JSON object: {error}") from None
        if not isinstance(found, dict):
            raise ValueError(f'must be a JSON object such as {{"a": 1}}, not {text!r}')
        return {key: item.from_text(value) for key, value in found.items()}

    return Codec("a dict", check, encode, decode, parse, mutable=True)


def _enum(kind: type[enum.Enum]) -> Codec:
    names = ", ".join(str(member.value) for member in kind)

    def decode(value: Any) -> Any:
        try:
            return kind(decode_any(value))
        except ValueError:
            return value  # stored before the member was renamed: validation will say so

    def parse(text: str) -> Any:
        for member in kind:
            if text.lower() in (member.name.lower(), str(member.value).lower()):
                return member
        raise ValueError(f"must be one of {names}, not {text!r}")

    return _scalar(
        f"one of {kind.__name__} ({names})",
        _is(kind),
        lambda value: encode_any(value.value) if isinstance(value, kind) else value,
        decode,
        parse,
    )


def _literal(values: tuple[Any, ...]) -> Codec:
    names = ", ".join(str(value) for value in values)

    def parse(text: str) -> Any:
        for value in values:
            if text == str(value):
                return value
        raise ValueError(f"must be one of {names}, not {text!r}")

    def check(value: Any) -> str | None:
        return None if value in values else f"must be one of {names}, not {shown(value)}"

    return Codec(f"one of {names}", check, parse=parse, optional=None in values)


def _nested(kind: type) -> Codec:
    @functools.cache
    def parts() -> list[tuple[attrs.Attribute[Any], Codec]]:
        resolved = attrs.fields(attrs.resolve_types(kind))
        return [(part, codec_for(part.type or Any)) for part in resolved]

    def check(value: Any) -> str | None:
        if not isinstance(value, kind):
            return _wanted(f"a {kind.__name__}", value)
        for part, codec in parts():
            if said := codec.check(getattr(value, part.name)):
                return f".{part.name} {said}"
        return None

    def encode(value: Any) -> Any:
        found = {}
        for part, codec in parts():
            held, function = getattr(value, part.name), _inner(codec)
            found[part.name] = held if held is None or function is None else function(held)
        return found

    def decode(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        found: dict[str, Any] = {}
        for part, codec in parts():
            if part.name in value and part.init:
                held = value[part.name]
                plain = held is None or codec.decode is None
                found[str(part.alias)] = held if plain else codec.decode(held)  # type: ignore[misc]
        return kind(**found)

    def parse(text: str) -> Any:
        try:
            found = json.loads(text)
            given = [(p, c) for p, c in parts() if p.name in found]
            return kind(**{str(p.alias): c.from_text(found[p.name]) for p, c in given})
        except (TypeError, ValueError) as error:
            raise ValueError(f"must be the JSON of a {kind.__name__}: {error}") from None

    return Codec(f"a {kind.__name__}", check, encode, decode, parse, mutable=True)


def _union(arguments: tuple[Any, ...]) -> Codec:
    kinds = [argument for argument in arguments if argument is not type(None)]
    optional = len(kinds) < len(arguments)
    codecs = [codec_for(kind) for kind in kinds]
    if len(codecs) == 1:
        return attrs.evolve(_allow_none(codecs[0]), optional=True)
    for kind in kinds:
        if not _tells_itself(kind):
            raise TypeError(
                f"a union cannot hold {shown(kind)}: an Enum or an attrs class is not told from "
                "the other values once it is stored. It can be alone, or with None"
            )
    untagged = all(codec.encode is None and codec.decode is None for codec in codecs)
    name = " or ".join(codec.name for codec in codecs)

    def check(value: Any) -> str | None:
        if optional and value is None:
            return None
        return None if any(c.check(value) is None for c in codecs) else _wanted(name, value)

    def convert(value: Any) -> Any:
        fitting = [c for c in codecs if c.check(value) is None] or codecs
        return next((c.convert(value) for c in fitting if c.convert), value)

    def parse(text: str) -> Any:
        for codec in codecs:
            try:
                return codec.from_text(text)
            except ValueError:
                continue
        raise ValueError(f"must be {name}, not {text!r}")

    converts = any(codec.convert for codec in codecs)
    mutable = any(codec.mutable for codec in codecs)
    return Codec(
        name,
        check,
        None if untagged else encode_any,
        None if untagged else decode_any,
        parse,
        optional,
        mutable,
        convert if converts else None,
    )


def _tells_itself(kind: Any) -> bool:
    """Tell whether a stored value says of which type it is."""
    if isinstance(kind, type) and (issubclass(kind, enum.Enum) or attrs.has(kind)):
        return False
    return all(_tells_itself(inner) for inner in get_args(kind))


def _allow_none(codec: Codec) -> Codec:
    def wrap(function: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
        if function is None:
            return None
        inner = function
        return lambda value: None if value is None else inner(value)

    absent = ("",) if codec.name == "str" else ("", "none", "null")

    def parse(text: str) -> Any:
        return None if text.strip().lower() in absent else codec.from_text(text)

    return attrs.evolve(
        codec,
        check=lambda value: None if value is None else codec.check(value),
        encode=wrap(codec.encode),
        decode=wrap(codec.decode),
        parse=parse,
    )
