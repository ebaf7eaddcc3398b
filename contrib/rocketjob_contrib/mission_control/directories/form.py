"""The form of an entry: its own fields, and those of the class whose jobs it creates.

A property that is left blank is left out, and the class's default holds; what is typed is stored
only where it differs from that. Code that a job runs is never set by an entry.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from rocketjob import Job
from rocketjob.base.errors import ValidationError
from rocketjob.jobs.exception import message_of
from rocketjob.model import registry
from rocketjob.model.fields import Field
from rocketjob.model.record import values_of
from rocketjob.model.types import check_any
from rocketjob_contrib.mission_control.categories import WHICH, Card
from rocketjob_contrib.mission_control.code_fields import code_problem
from rocketjob_contrib.mission_control.directories import settings
from rocketjob_contrib.mission_control.directories.entry_page import shown_properties
from rocketjob_contrib.mission_control.forms import (
    Control,
    Reading,
    controls_for,
    controls_of,
    read,
    spec_of,
    with_errors,
)
from rocketjob_contrib.mission_control.requests import Form
from rocketjob_plugins.dirmon.entry import DirmonEntry
from rocketjob_plugins.files.upload import FILE_FIELDS, misfits, takes_files

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

PREFIX = "properties."
DROP = "drop."  # the name of the box that removes a property which no field asks for
GIVEN = ("run_at", *FILE_FIELDS, *WHICH)  # fields that have no place here, or one of their own


@attrs.frozen(kw_only=True)
class EntryForm:
    """What the form has in it.

    Attributes:
        own: of the entry itself.
        properties: of the class of its jobs, if that is known.
        cards: of the categories of a batch job.
        kept: properties that no field asks for, as they are shown, and whether each may be dropped.
        problems: what is wrong besides single fields.
    """

    own: Sequence[Control]
    properties: Sequence[Control] = ()
    cards: Sequence[Card] = ()
    kept: Sequence[tuple[str, Any, bool]] = ()
    problems: tuple[str, ...] = ()
    is_stale: bool = False

    @property
    def has_errors(self) -> bool:
        inner = [control for card in self.cards for control in card.controls]
        controls = (*self.own, *self.properties, *inner)
        return bool(self.problems) or any(control.errors for control in controls)


def job_class_called(name: Any) -> type[Job] | None:
    """Return the class of this name, if its jobs can be given files; nothing is ever imported."""
    known = registry.lookup(name, Job) if isinstance(name, str) else None
    return known if known is not None and known is not Job and takes_files(known) else None


def form_of(view: View, entry: DirmonEntry, *, with_class: bool) -> EntryForm:
    """Return the form of an entry as it is.

    Args:
        with_class: whether the class can be chosen.
    """
    return read_form(view, entry, Form(), with_class=with_class)[0]


def read_form(
    view: View, entry: DirmonEntry, form: Form, *, with_class: bool, is_new: bool = False
) -> tuple[EntryForm, dict[str, Any]]:
    """Return the form with what was typed, and the fields of the entry that are to be set.

    Args:
        is_new: whether the entry is yet to be stored, so that nothing of it is taken as given.
    """
    own = read(_own(entry, with_class), form)
    values = dict(own.values)
    name = values.get("job_class_name", entry.job_class_name)
    job_class = job_class_called(name.strip() if isinstance(name, str) else name)
    if job_class is None:
        return EntryForm(own=own.controls, is_stale=own.is_stale), values
    present = _present(entry, job_class)
    reading = read(_controls(job_class, present), form)
    cards, categories, is_stale = settings.read_settings(job_class, present, form)
    kept = _kept(view, job_class, present, reading.controls)
    dropped = {name for name, _, may_drop in kept if may_drop and DROP + name in form}
    properties = {**_merged(job_class, present, reading, dropped), **categories}
    for which in [which for which in categories if not categories[which]]:
        del properties[which]
    if properties != present or (is_new and properties != entry.properties):
        values["properties"] = properties
    problem = code_problem(job_class.type_name(), properties, {} if is_new else present)
    done = EntryForm(
        own=own.controls,
        properties=reading.controls,
        cards=cards,
        kept=[each for each in kept if each[0] not in dropped],
        problems=(problem,) if problem else (),
        is_stale=own.is_stale or reading.is_stale or is_stale,
    )
    return done, values


def with_messages(form: EntryForm, errors: Mapping[str, Sequence[str]]) -> EntryForm:
    """Return the form with the messages of a validation where they belong."""
    of_properties: dict[str, list[str]] = {}
    own: dict[str, Sequence[str]] = {}
    for name, messages in errors.items():
        if name != "properties":
            own[name] = messages
            continue
        for message in messages:
            about, colon, rest = message.partition(": ")
            key = PREFIX + about if colon else name
            of_properties.setdefault(key, []).append(rest if colon else message)
    controls, others = with_errors(form.own, own)
    properties, left = with_errors(form.properties, of_properties)
    left = [message.removeprefix(PREFIX) for message in left]
    problems = (*form.problems, *others, *left)
    return attrs.evolve(form, own=controls, properties=properties, problems=problems)


def class_problem(name: str) -> str | None:
    """Say why there are no fields of a class to be shown."""
    if not name.strip():
        return "is required: it is blank"
    return next(
        (text for about, text in misfits(name.strip(), {}) if about == "job_class_name"), None
    )


# --- the fields ------------------------------------------------------------------------------


def _own(entry: DirmonEntry, with_class: bool) -> list[Control]:
    skip = ("properties",) if with_class else ("properties", "job_class_name")
    controls = controls_of(DirmonEntry, values_of(entry), skip=skip)
    return [attrs.evolve(each, spec=_as_line(each)) for each in controls]


def _as_line(control: Control) -> Any:
    is_class = control.spec.name == "job_class_name"
    known = tuple(known_classes()) if is_class else ()
    return attrs.evolve(control.spec, is_line=True, suggestions=known)


def known_classes() -> list[str]:
    """Name the classes that are loaded here and whose jobs can be given files."""
    classes = registry.loaded_classes(Job)
    return sorted(
        each.type_name() for each in classes if job_class_called(each.type_name()) is each
    )


def _present(entry: DirmonEntry, job_class: type[Job]) -> dict[str, Any]:
    """Return the properties that there are; of another class only what this one has a place for."""
    properties = dict(entry.properties) if isinstance(entry.properties, Mapping) else {}
    if entry.job_class not in (None, job_class):
        return {name: value for name, value in properties.items() if name in job_class.fields()}
    return dict(job_class.under_present_names(properties))


def _controls(job_class: type[Job], present: Mapping[str, Any]) -> list[Control]:
    specs = [
        spec_of(field) for _, field in sorted(job_class.fields().items()) if _is_offered(field)
    ]
    values = {spec.name: parsed(job_class, spec.name, present) for spec in specs}
    return controls_for(specs, values, prefix=PREFIX, may_leave_out=True)


def _is_offered(field: Field) -> bool:
    usable = field.user_editable and not field.read_only and not field.code
    return usable and field.name not in GIVEN


def parsed(job_class: type[Job], name: str, present: Mapping[str, Any]) -> Any:
    """Return the value that a property gives the field, or the property itself if it gives none."""
    if name not in present:
        return None
    try:
        return values_of(job_class.from_properties({name: present[name]}))[name]
    except Exception:
        return present[name]


def _kept(
    view: View, job_class: type[Job], present: Mapping[str, Any], controls: Sequence[Control]
) -> list[tuple[str, Any, bool]]:
    asked = {control.spec.name for control in controls}
    shown = shown_properties(view, job_class, present)
    fields = job_class.fields()
    return [
        (name, value, name not in fields)
        for name, value in shown.items()
        if name not in asked and name not in WHICH
    ]


# --- what is stored --------------------------------------------------------------------------


def _merged(
    job_class: type[Job], present: Mapping[str, Any], reading: Reading, dropped: set[str]
) -> dict[str, Any]:
    """Return the properties with what was touched; what is blank or the default is left out."""
    properties = {name: value for name, value in present.items() if name not in dropped}
    for name, value in reading.values.items():
        field = job_class.fields()[name]
        if value is None or value == "" or (not field.encrypted and _is_default(field, value)):
            properties.pop(name, None)
        else:
            properties[name] = _storable(reading, name, value)
    return properties


def _is_default(field: Field, value: Any) -> bool:
    default = field.make_default()
    return type(default) is type(value) and bool(default == value)


def _storable(reading: Reading, name: str, value: Any) -> Any:
    """Return a value as a property holds it, of which the job's field makes the value again."""
    if isinstance(value, enum.Enum):
        value = value.value
    if check_any({"value": value}) is None:
        return value
    return next(each.text for each in reading.controls if each.spec.name == name).strip()


def refused(form: EntryForm, error: Exception) -> EntryForm:
    """Return the form with what keeps the entry from being stored."""
    if isinstance(error, ValidationError):
        return with_messages(form, error.errors)
    return attrs.evolve(form, problems=(*form.problems, f"Nothing was saved: {message_of(error)}"))
