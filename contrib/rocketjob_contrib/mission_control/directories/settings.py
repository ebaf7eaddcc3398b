"""The categories of a batch job in the form of an entry: what differs from the class's is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from rocketjob import Job
from rocketjob.base.errors import RocketJobError
from rocketjob_contrib.mission_control.categories import WHICH, Card, specs_of, with_value
from rocketjob_contrib.mission_control.forms import Control, controls_for, read
from rocketjob_contrib.mission_control.requests import Form
from rocketjob_plugins.batch.category import changes_of


def read_settings(
    job_class: type[Job], present: Mapping[str, Any], form: Form
) -> tuple[list[Card], dict[str, Any], bool]:
    """Return a card for each category of the class, with what was typed.

    Returns:
        the cards; the settings that differ, by `input_categories` and `output_categories`, where
        any of them was touched; and whether somebody else has changed any.
    """
    cards, changes, is_stale = [], {}, False
    for which in WHICH:
        before = _stored(which, present)
        after = dict(before)  # one that the class does not have stays: the entry complains of it
        for category in _categories(job_class, which):
            card, after[category.name], stale = _read(
                which, category, before.get(category.name, {}), form
            )
            cards.append(card)
            is_stale |= stale
        after = {name: settings for name, settings in after.items() if settings}
        if after != before:
            changes[which] = [{"name": name, **settings} for name, settings in after.items()]
    return cards, changes, is_stale


def _categories(job_class: type[Job], which: str) -> list[Any]:
    if which not in job_class.fields():
        return []
    try:
        return list(getattr(job_class.from_properties({}), which) or ())
    except Exception:  # it cannot be made without its fields: there is no card
        return []


def _stored(which: str, present: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    try:
        changes = changes_of(which, present.get(which))
    except RocketJobError:
        return {}
    return {
        str(change.get("name", "main")): {k: v for k, v in change.items() if k != "name"}
        for change in changes
    }


def _read(
    which: str, category: Any, before: dict[str, Any], form: Form
) -> tuple[Card, dict[str, Any], bool]:
    specs = [
        attrs.evolve(spec, default=getattr(category, spec.name))
        for spec in specs_of(type(category))
    ]
    prefix = f"{which}.{category.name}."
    reading = read(controls_for(specs, before, prefix=prefix, may_leave_out=True), form)
    after, controls = dict(before), []
    for control in reading.controls:
        name = control.spec.name
        if name in reading.values:
            control = _take(category, control, reading.values[name], after)
        controls.append(control)
    return Card(which=which, name=category.name, controls=controls), after, reading.is_stale


def _take(category: Any, control: Control, value: Any, after: dict[str, Any]) -> Control:
    """Take a setting that was touched, unless it is that of the class, or none."""
    name = control.spec.name
    after.pop(name, None)
    if value is None or value in ("", []) or value == getattr(category, name):
        return control
    _, control = with_value(category, control, value)
    if not control.errors:
        after[name] = value
    return control
