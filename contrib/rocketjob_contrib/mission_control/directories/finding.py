"""The entry that a path names, and what it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bson import ObjectId

from rocketjob.base.passwords import without_passwords
from rocketjob.model.lookup import as_object_id
from rocketjob_contrib.mission_control.errors import Missing
from rocketjob_contrib.mission_control.templating import shortened
from rocketjob_plugins.dirmon.entry import DirmonEntry

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View


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
    return entry


def called(entry: DirmonEntry) -> str:
    """Return what people call an entry, at most so much of it, and no password of a URL."""
    return shortened(without_passwords(entry.name or entry.pattern), 100) or str(entry.id)
