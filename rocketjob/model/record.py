"""What is known of a document besides the values of its fields.

Each document has one record: what is stored of it, which fields were assigned since, who may write
it, what is being done to it. `record_of` returns it to those who write documents.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from rocketjob.model.encrypted_fields import Sealed, decrypt
from rocketjob.model.fields import MISSING, Field
from rocketjob.model.renewal import Renewal, Renewer
from rocketjob.model.validation import Errors
from rocketjob.store import Stored

HISTORY = "history"  # its key in the stored document
HISTORY_LIMIT = 100  # entries kept, for 25 attempts of three each; older ones are dropped
Changes = tuple[dict[str, Any], dict[str, Any]]
"""What to `$set` and what to `$unset`."""


class Guard(Protocol):
    """What only its holder may write under: see `rocketjob.jobs.claims`."""

    def guard(self) -> dict[str, Any]: ...


class Snapshot(NamedTuple):
    """What a document held at one time."""

    values: dict[str, Any]
    stored: Stored | None
    assigned: frozenset[str]
    claim: Guard | None
    unsaved: Sequence[dict[str, Any]]
    renewal: Renewal | None


class Record:
    """What is known of one document.

    Attributes:
        stored: the document as it is in the store, as far as is known; None if it never was. One
            that earlier code has stored is here as its class would store it now.
        renewal: what is still to be written for that.
        assigned: the names of the fields that were assigned since.
        given: those that the constructor was given; None for one that it has not made.
        claim: under which its holder may write it; None where nobody has to hold it.
        unsaved: entries that its history gets with the next write.
        change: the change of state that is under way.
        logger: bound to the document, and the level that it has.
        by: whom its history names for the next changes of state, where it was a person.
        performance: how it is performed at this time, where that matters to anybody.
        sent: the document of an insert that had no answer; see `rocketjob.model.sent`.
    """

    # Set by few: so the others, which are many, are made quickly.
    given: frozenset[str] | None = None
    unsaved: Sequence[dict[str, Any]] = ()
    claim: Guard | None = None
    change: Any = None
    logger: Any = None
    by: str | None = None
    renewal: Renewal | None = None
    performance: Any = None
    sent: Stored | None = None
    _errors: Errors | None = None

    def __init__(self, stored: Stored | None = None) -> None:
        self.stored = stored
        self.assigned: set[str] = set()

    @property
    def errors(self) -> Errors:
        """What the last validation said; made when it is first asked for."""
        if self._errors is None:
            self._errors = Errors()
        return self._errors

    @property
    def history(self) -> Sequence[dict[str, Any]]:
        """The entries that are stored, oldest first."""
        stored = (self.stored or {}).get(HISTORY)
        return stored if isinstance(stored, list) else ()

    # --- what is to be written ---------------------------------------------------------------

    def changes(self, document: Any) -> Changes:
        """Return what to set and to unset, comparing only what can have changed."""
        stored = self.stored or {}
        values, fields = values_of(document), document.fields()
        changed: dict[str, Any] = {}
        removed: dict[str, Any] = {}
        for name in self.assigned | document.__layout__.mutable:
            field = fields[name]
            key, current = field.key, values[name]
            present = stored.get(key, MISSING)
            if current is present or (
                field.encrypted and is_stored(field, current, present, document)
            ):
                continue
            value = field.store(current, document)
            if value is MISSING:
                if key in stored:
                    removed[key] = ""
            elif value != present:
                changed[key] = value
        return (
            (changed, removed)
            if self.renewal is None
            else self._renewing(document, changed, removed)
        )

    def _renewing(self, document: Any, changed: dict[str, Any], removed: dict[str, Any]) -> Changes:
        """Return changes with the renewal, unless others may be reading what is stored."""
        assert self.renewal is not None
        if document.is_renewable():
            return self.renewal.joined(changed, removed)
        # The value under its old name stays for them: None has to be said under the new one.
        hidden = removed.keys() & self.renewal.changed.keys()
        return (
            {**changed, **dict.fromkeys(hidden)},
            {key: "" for key in removed if key not in hidden},
        )

    def renewed_by(self, renewer: Renewer, stored: Stored) -> Stored:
        """Return what is stored as its class would store it now, and note what that changes."""
        self.stored, self.renewal = renewer.renew(stored)
        return self.stored

    def unless_renewed(self, document: Any) -> dict[str, Any]:
        """Return the part of a write's filter by which nobody else has changed what is renewed.

        Who holds a claim needs none: its document was renewed with the claim.
        """
        if self.renewal is None or self.claim is not None or not document.is_renewable():
            return {}
        return self.renewal.guard

    def guard(self) -> dict[str, Any]:
        """Return the part of a write's filter that says whose the document must still be."""
        return {} if self.claim is None else self.claim.guard()

    # --- what was written --------------------------------------------------------------------

    def loaded(self, stored: Stored) -> None:
        """Note that the document was read from the store again."""
        self.was_stored(stored)
        self._errors = None

    def was_stored(self, stored: Stored) -> None:
        """Note that the whole document is in the store as it is here."""
        self.stored = stored
        self.renewal = self.sent = None
        self.assigned.clear()
        self.unsaved = ()

    def was_sent(self) -> None:
        """Note that the insert that had no answer was made; what was assigned may differ by now."""
        self.stored, self.sent = self.sent, None
        self.unsaved = ()

    def written(
        self,
        changed: Mapping[str, Any],
        removed: Iterable[str] = (),
        entries: Sequence[dict[str, Any]] = (),
    ) -> None:
        """Note that all that had changed was written, and what the history got with it."""
        stored = {**(self.stored or {}), **changed}
        for key in removed:
            stored.pop(key, None)
        if entries or self.unsaved:
            _append(stored, [*self.unsaved, *entries])
        left = self.renewal
        self.was_stored(stored)
        if left is not None and not left.is_in(changed, removed):
            self.renewal = left

    def written_apart(self, changed: Mapping[str, Any]) -> None:
        """Note that some fields were written by themselves; others may still have changed."""
        self.stored = {**(self.stored or {}), **changed}
        self.assigned.difference_update(changed)

    def note_history(self, entries: Sequence[dict[str, Any]]) -> None:
        """Note what the history got of a document that was removed in the same step."""
        self.stored = {**(self.stored or {})}
        _append(self.stored, [*self.unsaved, *entries])
        self.unsaved = ()

    # --- going back --------------------------------------------------------------------------

    def snapshot(self, document: Any) -> Snapshot:
        """Return what the document holds now; values that can change in place are shared."""
        values, assigned = values_of(document).copy(), frozenset(self.assigned)
        del values["_record"]
        return Snapshot(values, self.stored, assigned, self.claim, self.unsaved, self.renewal)

    def restore(self, document: Any, snapshot: Snapshot) -> None:
        """Put the document back to what it held then."""
        values = values_of(document)
        values.clear()
        values.update(snapshot.values, _record=self)
        self.stored, self.assigned = snapshot.stored, set(snapshot.assigned)
        self.claim, self.unsaved = snapshot.claim, snapshot.unsaved
        self.renewal = snapshot.renewal


def record_of(document: Any) -> Record:
    """Return what is known of a document besides its values."""
    return document._record  # type: ignore[no-any-return]


def values_of(document: Any) -> dict[str, Any]:
    """Return the values themselves that a document holds, by name, and not a copy.

    What is set here counts as unchanged, nothing is converted, and encrypted values are as stored:
    for what shows documents as they are, and for loops that an assignment would slow down.
    """
    return document.__dict__  # type: ignore[no-any-return]


def assign(document: Any, **values: Any) -> None:
    """Assign fields values that need no conversion, all in one go."""
    document.__dict__.update(values)
    document._record.assigned.update(values)


def is_stored(field: Field, value: Any, stored: Any, document: Any) -> bool:
    """Return whether the stored value of a document's field is this one."""
    if value is stored:
        return True  # it may be of no use to the class any more, and so not to be encoded
    if field.encrypted and isinstance(stored, bytes) and not isinstance(value, Sealed | None):
        return bool(decrypt(field, stored, document) == value)  # it never looks the same twice
    return bool(field.store(value, document) == stored)


def _append(stored: dict[str, Any], entries: Sequence[dict[str, Any]]) -> None:
    stored[HISTORY] = [*(stored.get(HISTORY) or ()), *entries][-HISTORY_LIMIT:]
