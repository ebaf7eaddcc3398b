"""Forms that are made of the fields of a class: the edit form of a job, properties of an entry.

    controls = controls_of(job_class, values)       # by name; fields without one are blank
    view.render("...", controls=controls)           # {{ control(view, each) }} of forms.html

    reading = read(controls, view.form)             # once it is posted
    if reading.is_stale or reading.has_errors: show it again with `reading.controls`
    reading.values                                  # what was touched, parsed; None: to be null
    reading.blanks                                  # names that were left, or made, empty

- Only fields that are `user_editable` are offered; whatever else is posted is not looked at.
- A field with `code=True` is offered only with `code=True` here, and is locked otherwise.
- An encrypted value is in no page: an empty field keeps it.
- With each field goes a digest of what was shown, so that an untouched field is never written, and
  one that somebody else has changed meanwhile is noticed.
- `controls_for(specs, values)` does the same for what is no document: see `categories`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from rocketjob.base.errors import RocketJobError
from rocketjob.base.passwords import HIDDEN, hide_passwords
from rocketjob.model.described import bounds_of, choices_of
from rocketjob.model.document_class import DocumentClass
from rocketjob.model.encrypted_fields import Sealed
from rocketjob.model.fields import MISSING, Field
from rocketjob.model.types.base import Codec
from rocketjob_contrib.mission_control import form_values
from rocketjob_contrib.mission_control.requests import Form

FIELD, SEEN, CLEAR = "field.", "seen.", "clear."
SHORT = 60  # characters of a placeholder
NO_CODE = "It holds code that is run. Changing that needs a permission of its own (jobs.code), and \
WebSettings(edit_code=True)."
NOT_EXACT = "It holds a value that a form cannot show exactly; change it with rocketjob jobs set."
HINTS = {
    "datetime": "a time in UTC such as 2026-01-31T08:30:00Z, or from now such as 2h",
    "date": "a date such as 2026-01-31",
    "timedelta": "a duration such as 90s or 1h 30m",
    "range": "a range such as 1:10 or 1:10:2",
    "Decimal": "a decimal number",
    "float": "a number",
}


@attrs.frozen(kw_only=True)
class Spec:
    """What is asked for.

    Attributes:
        default: MISSING where there is none to be shown.
        choices: all values that there are; None: any of the type.
        is_secret: whether no page may have the value.
        is_code: whether the value is run.
        is_line: whether it is a text that has no line breaks.
        suggestions: some of the values that a line can have.
    """

    name: str
    codec: Codec
    default: Any = MISSING
    help: str | None = None
    choices: tuple[Any, ...] | None = None
    least: Any = None
    most: Any = None
    is_secret: bool = False
    is_code: bool = False
    is_line: bool = False
    suggestions: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        if self.is_secret:
            return "secret"
        if self.is_line:
            return "line"
        return form_values.kind_of(self.codec, self.choices)

    def text_of(self, value: Any) -> str:
        """Return a value as text; as it is, where it does not fit the field."""
        try:
            return form_values.text_of(self.kind, self.codec, value)
        except Exception:
            return str(value)

    def parse(self, text: str) -> Any:
        kind = form_values.kind_of(self.codec, self.choices)
        return form_values.parse(kind, self.codec, text, self.choices)


@attrs.frozen(kw_only=True)
class Control:
    """One field as it stands in a form.

    Attributes:
        prefix: in front of its name, where a form has several of one name.
        value: that is stored.
        text: that is in the field: of the value, or what was typed.
        seen: the digest of what the store has.
        may_be_blank: whether a choice can be left open.
        may_leave_out: whether the default then holds, instead of null.
        errors: what is wrong with what was typed.
        now: what the store has meanwhile, where somebody else was first.
        locked: why it cannot be changed.
    """

    spec: Spec
    prefix: str = ""
    value: Any = None
    text: str = ""
    seen: str = ""
    may_be_blank: bool = True
    may_leave_out: bool = False
    errors: tuple[str, ...] = ()
    now: str | None = None
    was_changed: bool = False
    locked: str | None = None

    @property
    def name(self) -> str:
        return self.prefix + self.spec.name

    @property
    def label(self) -> str:
        return self.spec.name.replace("_", " ").capitalize()

    @property
    def kind(self) -> str:
        """Return how it is asked for; what is no number stands in a field of text."""
        kind = self.spec.kind
        if kind == "number" and self.text and not _is_number(self.text):
            return "typed"
        return kind

    @property
    def hint(self) -> str | None:
        """Return which form a value has, where that does not go without saying."""
        kind = self.spec.kind
        if kind == "json":
            return "JSON"
        if kind == "lines":
            return "one on each line"
        if kind == "typed" or kind == "decimal":
            return HINTS.get(self.spec.codec.name, self.spec.codec.name)
        return None

    @property
    def placeholder(self) -> str:
        default = self.spec.default
        if self.spec.is_secret or default is MISSING or default is None:
            return ""
        text = " ".join(hide_passwords(self.spec.text_of(default)).split())
        return text if len(text) <= SHORT else text[: SHORT - 1] + "…"

    @property
    def options(self) -> list[tuple[str, bool]]:
        """Return the choices, and whether each is chosen."""
        item = self.spec.codec.item
        choices = self.spec.choices or (item.choices if item is not None else None) or ()
        chosen = self.text.split("\n")
        return [(text, text in chosen) for text in map(form_values.item_text, choices)]

    @property
    def rows(self) -> int:
        return min(14, max(1, self.text.count("\n") + 1, len(self.text) // 70 + 1))


def _is_number(text: str) -> bool:
    return text.strip().lstrip("+-").isdecimal()


def spec_of(field: Field) -> Spec:
    """Return what is asked for a field of a document."""
    least, most = bounds_of(field)
    return Spec(
        name=field.name,
        codec=field.codec,
        default=field.default,
        help=field.description,
        choices=choices_of(field),
        least=least,
        most=most,
        is_secret=field.encrypted,
        is_code=field.code,
    )


def controls_of(
    cls: type[DocumentClass],
    values: Mapping[str, Any],
    *,
    code: bool = False,
    skip: Iterable[str] = (),
    may_leave_out: bool = False,
) -> list[Control]:
    """Return the controls of a class's user-editable fields, in the order of definition.

    Args:
        values: that are stored, by name.
        code: whether fields that hold code may be changed.
        skip: names of fields that are asked for elsewhere.
        may_leave_out: whether every field may be left blank, as the default then holds.
    """
    left_out = {*skip}
    fields = [f for f in cls.__fields__.values() if f.user_editable and f.name not in left_out]
    specs = [spec_of(field) for field in fields if not field.read_only]
    return controls_for(specs, values, code=code, may_leave_out=may_leave_out)


def controls_for(
    specs: Iterable[Spec],
    values: Mapping[str, Any],
    *,
    prefix: str = "",
    code: bool = False,
    may_leave_out: bool = False,
) -> list[Control]:
    """Return controls for these specifications."""
    return [_control(each, values.get(each.name), prefix, code, may_leave_out) for each in specs]


def _control(spec: Spec, value: Any, prefix: str, code: bool, may_leave_out: bool) -> Control:
    text = "" if spec.is_secret else spec.text_of(value)
    locked = NO_CODE if spec.is_code and not code else _cannot_be_shown(spec, value, text)
    shown = hide_passwords(text)
    return Control(
        spec=spec,
        prefix=prefix,
        value=value,
        text=shown,
        seen=_digest_of_secret(value) if spec.is_secret else form_values.digest(shown),
        may_be_blank=may_leave_out or spec.codec.optional or value is None,
        may_leave_out=may_leave_out,
        locked=locked,
    )


def _digest_of_secret(value: Any) -> str:
    """Tell one ciphertext from another, and nothing of a value in clear."""
    return form_values.digest(value.data.hex() if isinstance(value, Sealed) else str(value is None))


def _cannot_be_shown(spec: Spec, value: Any, text: str) -> str | None:
    if value is None or spec.is_secret or spec.codec.faults(value):
        return None  # one that does not fit can be mended here
    exact = form_values.is_exact(spec.kind, spec.codec, value, text, spec.choices)
    return None if exact and "\0" not in text else NOT_EXACT


# --- what was posted -------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Reading:
    """What somebody has typed.

    Attributes:
        controls: with what was typed, and what is wrong with it.
        values: of the fields that were touched, by name without a prefix.
        blanks: names of fields that are blank now, touched or not.
    """

    controls: list[Control]
    values: dict[str, Any]
    blanks: frozenset[str]

    @property
    def has_errors(self) -> bool:
        return any(control.errors for control in self.controls)

    @property
    def is_stale(self) -> bool:
        """Whether somebody else has changed a field since it was shown."""
        return any(control.was_changed for control in self.controls)


def read(controls: Iterable[Control], form: Form) -> Reading:
    """Return what was posted for these controls; everything else is not looked at."""
    read_controls, values, blanks = [], {}, set[str]()
    for control in controls:
        typed = _typed(control, form)
        if typed is None:
            done, is_set, value = control, False, None
        else:
            done, is_set, value = _taken(control, typed, form)
        if is_set:
            values[control.spec.name] = value
        if not done.text.strip() and not (control.spec.is_secret and control.value is not None):
            blanks.add(control.spec.name)
        read_controls.append(done)
    return Reading(controls=read_controls, values=values, blanks=frozenset(blanks))


def _typed(control: Control, form: Form) -> str | None:
    """Return what a field was sent with; None if it was not, or may not be."""
    if control.locked:
        return None
    sent = form.all(FIELD + control.name)
    if control.spec.kind == "several":
        return "\n".join(sent) if sent or SEEN + control.name in form else None
    return form_values.as_posted(sent[-1]) if sent else None


def _taken(control: Control, typed: str, form: Form) -> tuple[Control, bool, Any]:
    """Return a control with what was typed, whether that is to be stored, and its value."""
    seen = form.get(SEEN + control.name)
    if control.spec.is_secret:
        return _secret(control, typed, seen, CLEAR + control.name in form)
    typed_digest = form_values.digest(typed)
    is_stale = seen is not None and seen != control.seen
    is_touched = typed_digest != control.seen and typed_digest != seen
    if not is_touched:
        return attrs.evolve(control, was_changed=is_stale and typed_digest == seen), False, None
    if is_stale:
        return attrs.evolve(control, text=typed, now=control.text, was_changed=True), False, None
    try:
        value = _value_of(control, typed)
    except (ValueError, RocketJobError) as error:
        return attrs.evolve(control, text=typed, errors=(str(error),)), False, None
    return attrs.evolve(control, text=typed), True, value


def _value_of(control: Control, typed: str) -> Any:
    if HIDDEN in typed and control.text != control.spec.text_of(control.value):
        raise ValueError(f"has {HIDDEN} in the place of a password: write the password itself")
    if not typed.strip():
        return None if control.may_be_blank else form_values.blank(control.spec.codec)
    return control.spec.parse(typed)


def _secret(
    control: Control, typed: str, seen: str | None, clear: bool
) -> tuple[Control, bool, Any]:
    """Take a value that is not to be seen: it never goes back into the page."""
    if not typed and not clear:
        return control, False, None
    if seen is not None and seen != control.seen:
        return attrs.evolve(control, now="another value", was_changed=True), False, None
    if not typed:
        return control, True, None
    try:
        return control, True, control.spec.parse(typed)
    except (ValueError, RocketJobError):
        problem = f"must be {control.spec.codec.name}; what was typed is not shown"
        return attrs.evolve(control, errors=(problem,)), False, None


def with_errors(
    controls: Sequence[Control], errors: Mapping[str, Sequence[str]]
) -> tuple[list[Control], list[str]]:
    """Return controls with messages by name, and those messages that are about none of them."""
    names = {control.name for control in controls}
    noted = [
        attrs.evolve(control, errors=(*control.errors, *errors.get(control.name, ())))
        for control in controls
    ]
    others = [
        f"{name}: {message}"
        for name, each in errors.items()
        if name not in names
        for message in each
    ]
    return noted, others
