"""What plugins store together with a change that a person makes: the hook `act_writes`.

A document asks `beside`, `of_save` or `beside_many`, and stores what it gets in its own step; what
is not a document asks `told`, or has `record` store it. Secrets are hidden here, for all plugins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from bson import ObjectId

from rocketjob.base import acts
from rocketjob.base.acts import Act, Deed
from rocketjob.base.errors import HookFailed
from rocketjob.base.passwords import HIDDEN, bounded, without_secrets
from rocketjob.model.record import HISTORY, record_of
from rocketjob.store import Also, Insert, Store, Unit, context

WHOLE = ("create", "destroy")  # events of which the whole document is told
LONGEST = 500  # characters of a value that are kept
NOT_TOLD = frozenset(
    (
        "_id",
        "_type",
        HISTORY,
        "created_at",
        "claimed_by",
        "claim_number",
        "worker_name",
        "heartbeat",
    )
)
"""Keys whose values say nothing of what a person has changed."""


def beside(document: Any, event: str, before: Any, after: Any) -> Sequence[Insert | Also]:
    """Return what is to be stored with a change of a document, if a person makes it.

    Args:
        before: what was stored of what is changed, by key; a callable is called only if need be.
        after: what is stored now, likewise.
    """
    act = _act_to_tell()
    if act is None:
        return ()
    whole = event in WHOLE
    deed = Deed(
        event=event,
        kind=_kind(document),
        id=document.id,
        name=_name_of(document),
        before=_told(document, before() if callable(before) else before, whole),
        after=_told(document, after() if callable(after) else after, whole),
    )
    return _written(act, deed)


def of_save(
    document: Any, keys: Iterable[str], changed: Mapping[str, Any]
) -> Sequence[Insert | Also]:
    """Return what is to be stored with a save of a document that changes, or removes, these keys.

    Args:
        changed: what it sets.
    """
    stored, keys = record_of(document).stored or {}, list(keys)
    before = {key: stored.get(key) for key in keys}
    return beside(document, "save", before, {key: changed.get(key) for key in keys})


def beside_many(documents: Sequence[Any]) -> Sequence[Insert | Also]:
    """Return what is to be stored with many new documents: one record for all."""
    act, first = _act_to_tell(), documents[0]
    if act is None:
        return ()
    if len(documents) == 1:
        return beside(first, "create", {}, first.to_document())
    after = {"count": len(documents), "first": first.id, "last": documents[-1].id}
    return _written(act, Deed(event="create", kind=_kind(first), name=_name_of(first), after=after))


def record(
    event: str,
    kind: str,
    *,
    store: Store | None = None,
    together: Sequence[Insert] = (),
    **more: Any,
) -> bool:
    """Record what a person does that changes no document, before it is done.

    Args:
        event, kind, more: of the `Deed`.
        store: where it is recorded; None: the store of this process.
        together: what is inserted in the same step.

    Returns:
        False if nobody acts, or no plugin wants to know: then nothing was stored.
    """
    inserts = [*together, *(brought := told(event, kind, **more))]
    if brought:
        (store or context.current().store).commit([Unit.of(inserts[0].collection, None, inserts)])
    return bool(brought)


def told(event: str, kind: str, **more: Any) -> Sequence[Insert | Also]:
    """Return what is to be stored with a change of what is no document, if a person makes it.

    Args:
        event, kind, more: of the `Deed`.
    """
    act = _act_to_tell()
    if act is None:
        return ()
    hidden = {key: _hidden(more.get(key, {})) for key in ("before", "after")}
    more["id"] = without_secrets(more.get("id"))
    return _written(act, Deed(event=event, kind=kind, **{**more, **hidden}))


def _act_to_tell() -> Act | None:
    """Return the act that is under way here, if any plugin wants to know of it."""
    act = acts.present()
    return act if act is not None and context.current().plugins.listens("act_writes") else None


def _kind(document: Any) -> str:
    return "job" if hasattr(document, "perform") else type(document).__name__


def _name_of(document: Any) -> str:
    """Return the class of a job, and what else people call another document."""
    if hasattr(document, "perform"):
        stored = record_of(document).stored or {}
        return str(stored.get("_type") or document.type_name())
    return str(getattr(document, "name", None) or document.id)


def _written(act: Act, deed: Deed) -> Sequence[Insert | Also]:
    """Return what the plugins bring; what cannot be recorded is not done."""
    brought = context.current().plugins.collect("act_writes", _refuse, act=act, deed=deed)
    return [_with_id(each) for each in brought]


def _refuse(error: HookFailed) -> NoReturn:
    raise error


def _with_id(brought: Insert | Also) -> Insert | Also:
    if isinstance(brought, Insert) and "_id" not in brought.document:
        return brought._replace(document={"_id": ObjectId(), **brought.document})
    return brought


def _told(document: Any, values: Mapping[str, Any], whole: bool) -> dict[str, Any]:
    """Return what is told of stored values; of a whole document not what is as by default."""
    fields = {field.key: field for field in document.fields().values()}
    told = {}
    for key, value in values.items():
        field = fields.get(key)
        if key in NOT_TOLD or (whole and key != "state" and field and value == field.default):
            continue
        told[key] = HIDDEN if field and field.encrypted and value is not None else value
    return _hidden(told)


def _hidden(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values without what is secret, and no longer than can be read."""
    return {key: _brief(value) for key, value in without_secrets(values).items()}


def _brief(value: Any) -> Any:
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if isinstance(value, str):
        return bounded(value, LONGEST)
    if isinstance(value, dict | list | tuple) and len(text := repr(value)) > LONGEST:
        return bounded(text, LONGEST)
    return value
