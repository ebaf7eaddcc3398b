"""Changing failed slices: a record is edited or deleted, or one slice is retried.

What is posted says which slice it is, and by a digest which records were seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
from starlette.responses import Response

from rocketjob.base.errors import NotFound, StateConflict
from rocketjob.base.log import Logger
from rocketjob.base.passwords import without_passwords
from rocketjob.jobs.shown import class_name
from rocketjob_contrib.mission_control.form_values import as_posted, digest
from rocketjob_contrib.mission_control.lists import Count
from rocketjob_contrib.mission_control.slices.finding import (
    Gone,
    Place,
    asked_for,
    batch_job,
    path_to,
    whole,
)
from rocketjob_contrib.mission_control.slices.viewing import page_of, unread
from rocketjob_plugins.batch import mending, record_text

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

log = Logger("rocketjob.web")
LARGEST = 1_000_000  # characters of a record that a page lets be edited


@attrs.frozen(kw_only=True)
class RecordForm:
    """The form of one record.

    Attributes:
        index: of the record in its slice; None where it is not there any more.
        text: what is in the field: of the record, or what was typed.
        seen: tells the record as it was shown.
        digest: of the slice that was shown; None where it can no longer be saved.
        now: the record as it is stored now, where somebody else was first.
        warning: why nothing was saved.
        error: what is wrong with what was typed.
    """

    place: Place
    index: int
    number: int
    kind: str
    text: str
    seen: str
    digest: str | None
    now: str | None = None
    warning: str | None = None
    error: str | None = None
    is_done: bool = False
    next_number: int = 0

    @property
    def rows(self) -> int:
        return min(24, max(6, self.text.count("\n") + 2, len(self.text) // 90 + 2))


# --- editing -----------------------------------------------------------------------------------


def form(view: View) -> Response:
    """Show the form of a record."""
    job, place, found = asked_for(view)
    index = _index(view)
    try:
        return _render(view, job, _form_of(place, found, index))
    except NotFound as error:
        raise _no_record(job, place, index) from error
    except Exception as error:
        view.say("danger", f"Record {place.id + index:,} cannot be edited here: {unread(error)}")
        return view.go(path_to(job, "view_slice", place.error_type, place.id))


def _form_of(place: Place, found: mending.FailedSlice, index: int) -> RecordForm:
    record = found.record(index)
    if record_text.size_of(record) > LARGEST:
        raise ValueError(f"it is larger than {LARGEST:,} characters")
    text = record_text.text_of(record)
    return RecordForm(
        place=place,
        index=index,
        number=found.number_of(index),
        kind=record_text.kind_of(record),
        text=text,
        seen=digest(text),
        digest=found.digest,
        is_done=index < found.next_index,
        next_number=found.number_of(found.next_index),
    )


def save(view: View) -> Response:
    """Put what was typed in the place of the record that was shown."""
    job, index = batch_job(view), _index(view)
    id, typed = _slice_id(view), as_posted(view.form.get("text", ""))
    try:
        record = record_text.record_of(view.form.get("kind", ""), typed)
        mending.replace_record(job, id, index, record, view.form.get("digest", ""))
    except mending.SliceChanged as error:
        return _overtaken(view, job, id, index, typed, error)
    except NotFound as error:
        return _overtaken(view, job, id, index, typed, mending.SliceChanged(str(error)))
    except Exception as error:
        return _not_stored(view, job, id, index, typed, unread(error))
    _log(view, job, "edit", id, index)
    view.say("success", f"Record {id + index:,} is saved")
    return view.go(path_to(job, "view_slice", _error_type(view), id, page=page_of(index)))


def _overtaken(
    view: View, job: Any, id: int, index: int, typed: str, error: mending.SliceChanged
) -> Response:
    """Show what was typed, and beside it what is stored now: nothing is lost."""
    now, shown = error.now, view.form.get("seen", "")
    changed = _typed_form(view, id, index, typed)
    if now is None or not now.is_failed:
        return _render(view, job, attrs.evolve(changed, warning=str(error)), 409)
    at = _where(now, index, shown)
    try:
        stored = _form_of(changed.place, now, at)
    except Exception:
        stored = None
    if stored is None:
        warning = f"{error}, and this record is not there any more"
        return _render(view, job, attrs.evolve(changed, warning=warning), 409)
    is_same = stored.seen == shown
    what = "this record is as you saw it" if is_same else "this record is stored otherwise now"
    warning = f"{error}: {what}"
    if at != index:
        warning += f", and is now number {stored.number:,}"
    now_stored = None if is_same else stored.text
    return _render(
        view, job, attrs.evolve(stored, text=typed, now=now_stored, warning=warning), 409
    )


def _where(now: mending.FailedSlice, index: int, shown: str) -> int:
    """Return the index that the record that was shown has now; its old one if it is not found."""

    def is_it(at: int) -> bool:
        try:
            return digest(record_text.text_of(now.record(at))) == shown
        except Exception:
            return False

    near = sorted(range(len(now.slice)), key=lambda at: abs(at - index))
    return next((at for at in near if is_it(at)), index)


def _not_stored(view: View, job: Any, id: int, index: int, typed: str, why: str) -> Response:
    changed = _typed_form(view, id, index, typed)
    return _render(view, job, attrs.evolve(changed, error=why, digest=view.form.get("digest")), 422)


def _typed_form(view: View, id: int, index: int, typed: str) -> RecordForm:
    return RecordForm(
        place=Place(id=id, error_type=_error_type(view), total=Count(0)),
        index=index,
        number=id + index,
        kind=view.form.get("kind", ""),
        text=typed,
        seen=view.form.get("seen", ""),
        digest=None,
    )


def _render(view: View, job: Any, form: RecordForm, status: int = 200) -> Response:
    return view.render(
        "slices/edit.html",
        status,
        job=job,
        name=class_name(job),
        form=form,
        back=path_to(job, "view_slice", form.place.error_type, form.place.id),
    )


# --- deleting, retrying --------------------------------------------------------------------------


def ask_delete(view: View) -> Response:
    """Ask whether a record is to be deleted."""
    job, place, found = asked_for(view)
    index = _index(view)
    try:
        parts = list(record_text.tokens(found.record(index), 500))
    except NotFound as error:
        raise _no_record(job, place, index) from error
    except Exception as error:
        parts = [(f"It cannot be shown: {unread(error)}", None)]
    return _ask(view, job, found, place, index=index, parts=parts, action="delete_line")


def delete(view: View) -> Response:
    """Delete the record that was shown."""
    job, id, index = batch_job(view), _slice_id(view), _index(view)
    which = f"Record {id + index:,}"
    try:
        mending.delete_record(job, id, index, view.form.get("digest", ""))
    except Exception as error:
        return _nothing_done(view, job, id, f"{which} was not deleted: {unread(error)}")
    _log(view, job, "delete", id, index)
    view.say("success", f"{which} is deleted; those behind it in the slice have moved up")
    return view.go(path_to(job, "view_slice", _error_type(view), id))


def ask_retry(view: View) -> Response:
    """Ask whether one slice is to be retried."""
    job, place, found = asked_for(view)
    return _ask(view, job, found, place, index=None, parts=[], action="retry_slice")


def retry(view: View) -> Response:
    """Queue one slice again."""
    job, id = batch_job(view), _slice_id(view)
    try:
        mending.retry(job, id, view.form.get("digest", ""))
    except (StateConflict, NotFound) as error:
        return _nothing_done(view, job, id, f"Slice {id:,} was not retried: {error}")
    _log(view, job, "retry", id, None)
    view.say("success", f"Slice {id:,} is tried again", f"/jobs/{job.id}")
    return view.go(f"/jobs/{job.id}")


def _ask(view: View, job: Any, found: mending.FailedSlice, place: Place, **values: Any) -> Response:
    template = "slices/ask_dialog.html" if view.is_fragment else "slices/ask.html"
    back = path_to(job, "view_slice", place.error_type, place.id)
    name = class_name(job)
    return view.render(template, job=job, name=name, found=found, place=place, back=back, **values)


def _nothing_done(view: View, job: Any, id: int, text: str) -> Response:
    """Say why; the slice is shown as it is now, if it is still there."""
    view.say("warning", text)
    try:
        is_there = mending.find(job, id).is_failed
    except (NotFound, ValueError):
        is_there = False
    path = path_to(job, "view_slice", _error_type(view), id) if is_there else f"/jobs/{job.id}"
    return view.go(path)


# --- what was asked for --------------------------------------------------------------------------


def _index(view: View) -> int:
    """Return the index of the record that is meant; one that is none is beyond the end."""
    asked = whole(view.form.get("line_index") or view.query.get("line_index") or "0")
    return 10**9 if asked is None else asked


def _slice_id(view: View) -> int:
    asked = whole(view.form.get("slice") or view.query.get("slice") or "")
    if asked is not None:
        return asked
    raise Gone("Which slice is meant was not said", ("Go to the job", f"/jobs/{view.target.id}"))


def _error_type(view: View) -> str | None:
    return view.form.get("error_type") or view.query.get("error_type") or None


def _no_record(job: Any, place: Place, index: int) -> Gone:
    back = path_to(job, "view_slice", place.error_type, place.id)
    return Gone("There is no such record in this slice any more.", ("Show the slice", back))


def _log(view: View, job: Any, action: str, id: int, index: int | None) -> None:
    """Note who changed what, and not what is in it."""
    record = {} if index is None else {"record": id + index}
    log.info(
        "a failed slice was changed by hand",
        action=action,
        job_id=str(job.id),
        job=class_name(job),
        file=without_passwords(job.upload_file_name) or "",
        slice=id,
        **record,
        login=view.identity.login or "",
    )
