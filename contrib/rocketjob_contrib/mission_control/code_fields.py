"""Code that jobs run is not set by what creates jobs of properties: an entry, or another job.

Who may make entries, or edit jobs, may not be who may run code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rocketjob import Job
from rocketjob.model import registry
from rocketjob.model.types import exact_json

CREATES = ("job_class_name", "properties")  # of a job that creates another, as an upload job does
DEEPEST = 20


def code_problem(
    class_name: Any, properties: Mapping[str, Any], known: Mapping[str, Any], depth: int = 0
) -> str | None:
    """Say which properties hold code that is run, here or in a job that such a job creates.

    Args:
        known: what is stored already: whoever stored it was allowed to.
    """
    changed = {name: v for name, v in properties.items() if name not in known or known[name] != v}
    if problem := _own_problem(class_name, changed):
        return problem
    job_class = registry.lookup(class_name, Job) if isinstance(class_name, str) else None
    creates = job_class is not None and all(name in job_class.fields() for name in CREATES)
    if not creates or not any(name in changed for name in CREATES):
        return None
    return _inner_problem(properties, depth)


def _inner_problem(properties: Mapping[str, Any], depth: int) -> str | None:
    inner = properties.get("properties")
    if isinstance(inner, str):
        try:
            inner = exact_json.loads(inner)
        except ValueError:
            return None  # the field itself says so
    if not inner or not isinstance(inner, Mapping):
        return None
    name = properties.get("job_class_name")
    if depth >= DEEPEST or registry.lookup(str(name), Job) is None:
        return f"{name} is not loaded here: whether its properties hold code cannot be told"
    return code_problem(name, inner, {}, depth + 1)


def _own_problem(class_name: Any, properties: Mapping[str, Any]) -> str | None:
    known = registry.lookup(class_name, Job) if isinstance(class_name, str) else None
    if known is None:
        return None
    fields = known.fields()
    if not any(field.code for field in fields.values()):
        return None

    def may_be_code(name: str) -> bool:
        field = fields.get(name)
        return field.code if field is not None else isinstance(getattr(known, name, None), property)

    names = ", ".join(sorted(name for name in properties if may_be_code(str(name))))
    return f"{names} of {class_name} holds code that is run: not to be set here" if names else None
