"""The input and output categories of a batch job in a form: a card each, with its own fields."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from rocketjob.base.errors import RocketJobError
from rocketjob.model.types import codec_for
from rocketjob_contrib.mission_control.forms import Control, Reading, Spec, controls_for, read
from rocketjob_contrib.mission_control.requests import Form
from rocketjob_plugins.batch import InputCategory, OutputCategory
from rocketjob_plugins.batch.category import MAX_SLICE_SIZE, MODES
from rocketjob_plugins.batch.tabular.known import brought, known_formats

WHICH = ("input_categories", "output_categories")
INPUT = ("columns", "format", "format_options", "mode", "skip_unknown", "slice_size")
OUTPUT = ("columns", "format", "format_options")
HELP = {
    "columns": "where the file has no header line",
    "format_options": 'for the format, such as {"delimiter": ";"}',
    "slice_size": "records in a slice",
    "skip_unknown": "leave out columns that are not allowed",
}


@attrs.frozen(kw_only=True)
class Card:
    """One category in a form."""

    which: str
    name: str
    controls: list[Control]

    @property
    def title(self) -> str:
        return f"{'Input' if self.which == WHICH[0] else 'Output'} {self.name}"


def specs_of(kind: type[InputCategory] | type[OutputCategory]) -> list[Spec]:
    """Return what is asked for of a category."""
    attributes = {each.name: each for each in attrs.fields(attrs.resolve_types(kind))}
    names = INPUT if kind is InputCategory else OUTPUT
    return [_spec(attributes[name]) for name in names]


def _spec(attribute: Any) -> Spec:
    choices = {"mode": MODES, "format": ("auto", *sorted(known_formats(brought())))}
    is_size = attribute.name == "slice_size"
    codec = codec_for(attribute.type)
    return Spec(
        name=attribute.name,
        codec=codec,
        default=attribute.default,
        help=HELP.get(attribute.name),
        choices=choices.get(attribute.name) or codec.choices,
        least=1 if is_size else None,
        most=MAX_SLICE_SIZE if is_size else None,
    )


def cards_of(which: str, categories: Iterable[Any], *, may_leave_out: bool = False) -> list[Card]:
    """Return a card for each category, such as those of a job.

    Args:
        which: `input_categories` or `output_categories`.
        may_leave_out: see `controls_of`.
    """
    cards = []
    for category in categories:
        prefix = f"{which}.{category.name}."
        values = {each.name: getattr(category, each.name) for each in attrs.fields(type(category))}
        specs = specs_of(type(category))
        controls = controls_for(specs, values, prefix=prefix, may_leave_out=may_leave_out)
        cards.append(Card(which=which, name=category.name, controls=controls))
    return cards


def read_cards(
    cards: Sequence[Card], categories: Sequence[Any], form: Form
) -> tuple[list[Card], list[Any], bool]:
    """Return the cards with what was typed, the categories with it, and whether any is stale."""
    changed, done, is_stale = [], [], False
    for card, category in zip(cards, categories, strict=True):
        reading = read(card.controls, form)
        is_stale |= reading.is_stale
        controls, category = _changed(category, reading)
        changed.append(category)
        done.append(attrs.evolve(card, controls=controls))
    return done, changed, is_stale


def _changed(category: Any, reading: Reading) -> tuple[list[Control], Any]:
    """Return a category with what was typed, field by field: each refuses its own."""
    controls = []
    for control in reading.controls:
        name = control.spec.name
        if name in reading.values:
            category, control = with_value(category, control, reading.values[name])
        controls.append(control)
    return controls, category


def with_value(category: Any, control: Control, value: Any) -> tuple[Any, Control]:
    """Return a category with a value, or as it is and the control with why it refuses that."""
    name = control.spec.name
    try:
        return attrs.evolve(category, **{name: value}), control
    except (RocketJobError, ValueError, TypeError) as error:
        message = str(error).removeprefix(f"category {category.name}: ").removeprefix(f"{name} ")
        return category, attrs.evolve(control, errors=(message,))
