"""The entry that a path names, and what it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from bson import ObjectId

from rocketjob.base.passwords import without_passwords
from rocketjob.model.lookup import as_object_id
from rocketjob.model.misfits import without_misfits
from rocketjob.model.record import values_of
from rocketjob_contrib.mission_control.errors import Missing
from rocketjob_contrib.mission_control.templating import shortened
from rocketjob_plugins.dirmon.entry import DirmonEntry

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

_problems: WeakKeyDictionary[DirmonEntry, str] = WeakKeyDictionary()


def entry_in_path(view: View) -> DirmonEntry:
    """Return the entry of the id in the path.

    Raises:
        Missing: there is none; the list of all entries says so.
    """
    id = as_object_id(view.id)
    entry = DirmonEntry.where(id=id).first() if isinstance(id, ObjectId) else None
    if entry is None:
        text = f"There is no entry with the id {view.id[:50]}: it has been destroyed"
        raise Missing(text, "/dirmon_entries")
    return shown(entry)


def as_origin(id: str) -> tuple[str, str] | None:
    """Return the path and the name of the entry of an id; None where there is none."""
    entry = DirmonEntry.where(id=ObjectId(id)).first() if ObjectId.is_valid(id) else None
    return None if entry is None else (f"/dirmon_entries/{id}", called(shown(entry)))


def usable_entry_in_path(view: View) -> DirmonEntry:
    """Return the entry of the id in the path, to be changed, copied or enabled.

    Raises:
        Missing: there is none, or something else has written what no entry has.
    """
    entry = entry_in_path(view)
    if problem := problem_of(entry):
        text = f"{called(entry)} {problem}: destroy it, and create another"
        raise Missing(text, f"/dirmon_entries/{entry.id}")
    return entry


def shown(entry: DirmonEntry) -> DirmonEntry:
    """Return an entry to be shown, whatever its document contains."""
    if problems := without_misfits(entry):
        values, required = values_of(entry), ("pattern", "job_class_name")
        values.update({name: "" for name in required if values[name] is None})
        _problems[entry] = f"does not fit: {'; '.join(problems)}"
    return entry


def problem_of(entry: DirmonEntry) -> str | None:
    """Say what is wrong with the document of an entry, if anything."""
    return _problems.get(entry)


def called(entry: DirmonEntry) -> str:
    """Return what people call an entry, at most so much of it, and no password of a URL."""
    return shortened(without_passwords(entry.name or entry.pattern), 100) or str(entry.id)
