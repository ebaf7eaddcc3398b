"""JSON Schema: what bodies and answers are made of, and whether a value is that.

Only the words that are used here are looked at: the same schemas stand in the OpenAPI document, and
decide what is let in, so that the two cannot differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

Schema = dict[str, Any]
ANYTHING: Schema = {}
TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
FLAG: Schema = {"type": "boolean"}
TIME: Schema = {"type": "string", "format": "date-time"}
FREE: Schema = {"type": "object"}
"""An object whose names are not known here, such as the fields of a job's class."""
_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}


def text(most: int, *, least: int = 0, pattern: str | None = None) -> Schema:
    """Return a string of at most so many characters."""
    schema: Schema = {"type": "string", "maxLength": most}
    if least:
        schema["minLength"] = least
    return schema if pattern is None else {**schema, "pattern": pattern}


def whole(least: int, most: int) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most}


def choice(*names: str) -> Schema:
    return {"type": "string", "enum": list(names)}


def maybe(schema: Schema) -> Schema:
    """Return the same, or null."""
    if "type" not in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    return {**schema, "type": [schema["type"], "null"]}


def several(schema: Schema, most: int | None = None) -> Schema:
    return {"type": "array", "items": schema, **({} if most is None else {"maxItems": most})}


def body(required: tuple[str, ...] = (), /, **properties: Schema) -> Schema:
    """Return an object that has these properties and no others."""
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **({"required": list(required)} if required else {}),
    }


def resource(optional: tuple[str, ...] = (), /, **properties: Schema) -> Schema:
    """Return an object of an answer: it may have more, in later versions too."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def ref(name: str) -> Schema:
    """Return one of `resources`, by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def page_of(name: str) -> Schema:
    """Return a page of a list: `next` is the cursor of the page after it, null on the last."""
    return resource(data=several(ref(name)), next=maybe(TEXT))


# --- whether a value is that -------------------------------------------------------------------


def faults(schema: Mapping[str, Any], value: Any, at: str = "#") -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a value: where, as a JSON pointer, and why."""
    if "anyOf" in schema and all(any(faults(each, value)) for each in schema["anyOf"]):
        yield at, " or ".join(why for each in schema["anyOf"] for _, why in faults(each, value))
        return
    kinds = _kinds_of(schema)
    if kinds and not any(_is_a(kind, value) for kind in kinds):
        yield at, f"must be {' or '.join(kinds)}"
    elif "enum" in schema and value not in schema["enum"]:
        yield at, f"must be one of {', '.join(schema['enum'])}"
    elif isinstance(value, str):
        yield from _of_text(schema, value, at)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _of_number(schema, value, at)
    elif isinstance(value, list):
        yield from _of_list(schema, value, at)
    elif isinstance(value, dict):
        yield from _of_object(schema, value, at)


def _kinds_of(schema: Mapping[str, Any]) -> list[str]:
    kinds = schema.get("type", [])
    return [kinds] if isinstance(kinds, str) else list(kinds)


def _is_a(kind: str, value: Any) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _KINDS[kind])


def _of_text(schema: Mapping[str, Any], value: str, at: str) -> Iterator[tuple[str, str]]:
    if len(value) > schema.get("maxLength", len(value)):
        yield at, f"has {len(value):,} characters: at most {schema['maxLength']:,}"
    if len(value) < schema.get("minLength", 0):
        yield at, f"must have at least {schema['minLength']} characters"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield at, f"must match {schema['pattern']}"


def _of_number(schema: Mapping[str, Any], value: float, at: str) -> Iterator[tuple[str, str]]:
    if value < schema.get("minimum", value):
        yield at, f"must be at least {schema['minimum']}"
    if value > schema.get("maximum", value):
        yield at, f"must be at most {schema['maximum']}"


def _of_list(schema: Mapping[str, Any], value: list[Any], at: str) -> Iterator[tuple[str, str]]:
    if len(value) > schema.get("maxItems", len(value)):
        yield at, f"has {len(value):,} items: at most {schema['maxItems']:,}"
        return
    for index, item in enumerate(value):
        yield from faults(schema.get("items", ANYTHING), item, f"{at}/{index}")


def _of_object(
    schema: Mapping[str, Any], value: Mapping[str, Any], at: str
) -> Iterator[tuple[str, str]]:
    known = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield pointer(at, name), "is missing"
    more = schema.get("additionalProperties", ANYTHING)
    for name, item in value.items():
        if name in known:
            yield from faults(known[name], item, pointer(at, name))
        elif more is False:
            there = f"there is {', '.join(sorted(known))}" if known else "nothing is expected here"
            yield pointer(at, name), f"is not known; {there}"
        else:
            yield from faults(more, item, pointer(at, name))


def pointer(at: str, name: str) -> str:
    """Return the JSON pointer to a member of what is at a place."""
    return f"{at}/{name.replace('~', '~0').replace('/', '~1')[:200]}"
