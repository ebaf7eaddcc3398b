"""Categories: the named inputs and outputs of a batch job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import attrs

from rocketjob.base.errors import ConfigurationError, ValidationError
from rocketjob.base.passwords import without_passwords
from rocketjob.model.types import exact_json
from rocketjob_plugins.batch.streams.errors import StreamError
from rocketjob_plugins.batch.streams.names import shown
from rocketjob_plugins.batch.streams.options import text_encoding
from rocketjob_plugins.batch.tabular.columns import CLEANSERS, REJECTED

C = TypeVar("C", "InputCategory", "OutputCategory")
MODES = ("line", "array", "hash")
MAX_SLICE_SIZE = 1_000_000


class UnknownCategory(ValueError):
    """A job has no category of this name."""


def _positive(instance: Any, attribute: Any, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MAX_SLICE_SIZE:
        raise ConfigurationError(
            f"category {instance.name}: slice_size must be 1 to {MAX_SLICE_SIZE}, not {value!r}"
        )


def _names(instance: Any, attribute: Any, value: Any) -> None:
    if value is None:
        return
    where = f"category {instance.name}: {attribute.name}"
    if not isinstance(value, list) or not all(isinstance(n, str) and n for n in value):
        raise ConfigurationError(f"{where} must be a list of names, not {value!r}")
    named = [name for name in value if not name.startswith(REJECTED)]
    twice = next((name for name in named if named.count(name) > 1), None)
    if twice is not None:
        raise ConfigurationError(f"{where}: {twice} is there twice")


def _as_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _one_of(*allowed: str) -> Any:
    def check(instance: Any, attribute: Any, value: Any) -> None:
        if value not in allowed:
            raise ConfigurationError(
                f"category {instance.name}: {attribute.name} must be one of "
                f"{', '.join(allowed)}, not {value!r}"
            )

    return check


def _encoding(instance: Any, attribute: Any, value: Any) -> None:
    try:
        text_encoding(value)
    except StreamError as error:
        raise ConfigurationError(f"category {instance.name}: {error}") from None


def _name(instance: Any, attribute: Any, value: Any) -> None:
    if not isinstance(value, str) or not value or "." in value or value.startswith("$"):
        raise ConfigurationError(
            f"a category's name must be a string without dots, such as 'invalid', not {value!r}"
        )


def _shown(file_name: str | None) -> str:
    return repr(without_passwords(file_name))


@attrs.define(kw_only=True)
class InputCategory:
    """An input of a batch job; workers process `main`.

    Attributes:
        name: others than `main` hold data that the job's own code reads.
        slice_size: records of a slice, which is what a worker takes at a time.
        serializer: none, compress, zstd or encrypt.
        format: csv, psv, json, xlsx, fixed, or auto, by the file's name; None: plain lines.
        format_options: for the format, such as `layout` for fixed.
        columns: names, where the file has no header line; else they are read from it.
        mode: line (the worker parses), array or hash (parsed at upload).
        allowed_columns: any other is refused, or left out with `skip_unknown`: in the header line,
            and in each row that names its values.
        required_columns: a header line or row that lacks one is refused.
        skip_unknown: leave out columns that are not allowed, and those without a name.
        header_cleanser: `default` makes `First Name` to `first_name`; `none`.
        encoding: of files that are uploaded, where the upload does not say another; None: UTF-8.
        file_name: what was, or is to be, uploaded.
        slice_records: records of a full slice, where that is not `slice_size`; set by uploads.
        header_read: whether `columns` are those of a file's header line; set by uploads.
        first_record: the number of the first record of `file_name`; set by uploads. None: records
            came from elsewhere, too.
    """

    name: str = attrs.field(default="main", validator=_name)
    slice_size: int = attrs.field(default=100, validator=_positive)
    serializer: str = "compress"
    format: str | None = None
    format_options: dict[str, Any] | None = None
    columns: list[str] | None = attrs.field(default=None, converter=_as_list, validator=_names)
    mode: str = attrs.field(default="line", validator=_one_of(*MODES))
    allowed_columns: list[str] | None = attrs.field(
        default=None, converter=_as_list, validator=_names
    )
    required_columns: list[str] | None = attrs.field(
        default=None, converter=_as_list, validator=_names
    )
    skip_unknown: bool = False
    header_cleanser: str = attrs.field(default="default", validator=_one_of(*CLEANSERS))
    encoding: str | None = attrs.field(default=None, validator=_encoding)
    file_name: str | None = attrs.field(default=None, repr=_shown)
    slice_records: int | None = None
    first_record: int | None = None
    header_read: bool = False

    def __str__(self) -> str:
        size = f"slices of {self.slice_size}"
        return _in_words(self.name, size, self.serializer, self.format, self.file_name)

    @property
    def is_tabular(self) -> bool:
        return self.format is not None

    def file_of(self, number: int) -> str | None:
        """Return the name of the file that a record was read from, as messages may show it."""
        if self.file_name is None or self.first_record is None or number < self.first_record:
            return None
        return shown(self.file_name)


@attrs.define(kw_only=True)
class OutputCategory:
    """An output of a batch job.

    Attributes:
        name: named by `Result(value, category=name)`.
        serializer: none, compress, zstd, encrypt, bz2 or encrypted_bz2.
        format: csv, psv, json, fixed, or auto, by the name of the file that it is downloaded to;
            None: values as they are.
        format_options: for the format.
        columns: the order of the columns; from the first row if not set, and of auto from all.
        nils: whether None is kept.
        file_name: what `download` writes, if it is not told.
        columns_learned: whether `columns` are those of the first row; set by workers.
    """

    name: str = attrs.field(default="main", validator=_name)
    serializer: str = "compress"
    format: str | None = None
    format_options: dict[str, Any] | None = None
    columns: list[str] | None = attrs.field(default=None, converter=_as_list, validator=_names)
    nils: bool = False
    file_name: str | None = attrs.field(default=None, repr=_shown)
    columns_learned: bool = False

    def __str__(self) -> str:
        return _in_words(self.name, self.serializer, self.format, self.file_name)

    @property
    def is_tabular(self) -> bool:
        return self.format is not None


def _in_words(name: str, *settings: str | None) -> str:
    """Return a category for people, such as `main: slices of 100, compress, people.csv`."""
    return f"{name}: {without_passwords(', '.join(filter(None, settings)))}"


def as_categories(given: Any, kind: type[C]) -> list[C]:
    """Return categories from names, dicts, or categories; a name given twice: the last holds.

    Raises:
        ConfigurationError: something else was given, or an unknown setting.
    """
    if not isinstance(given, Sequence) or isinstance(given, str):
        given = [given]
    categories: dict[str, C] = {}
    for item in given:
        category = _as_category(item, kind)
        categories[category.name] = category
    return list(categories.values())


def _as_category(given: Any, kind: type[C]) -> C:
    if isinstance(given, kind):
        return attrs.evolve(given)
    if isinstance(given, str):
        return kind(name=given)
    if isinstance(given, dict):
        return merged(kind(), given)
    raise ConfigurationError(f"a category must be a name or a {kind.__name__}, not {given!r}")


def changes_of(name: str, given: Any) -> list[dict[str, Any]]:
    """Return the settings that a property changes: a list of dicts, or the JSON of one.

    Raises:
        ValidationError: it is something else.
    """
    try:
        changes = exact_json.loads(given) if isinstance(given, str) else given
    except ValueError as error:
        raise ValidationError({name: [f"is not valid JSON: {error}"]}) from None
    if isinstance(changes, Mapping):
        changes = [changes]
    if changes is not None and not _are_settings(changes):
        example = '[{"name": "main", "format": "csv"}]'
        raise ValidationError({name: [f"must be a list of settings, such as {example}"]})
    return [dict(change) for change in changes or ()]


def _are_settings(changes: Any) -> bool:
    is_list = isinstance(changes, Sequence) and not isinstance(changes, str)
    return is_list and all(isinstance(change, Mapping) for change in changes)


def merged(category: C, settings: dict[str, Any]) -> C:
    """Return a category with some settings changed.

    Raises:
        ConfigurationError: an unknown setting.
    """
    known = [attribute.name for attribute in attrs.fields(type(category))]
    unknown = [name for name in settings if name not in known]
    if unknown:
        raise ConfigurationError(
            f"a category has no setting {unknown[0]}; it has {', '.join(known)}"
        )
    return attrs.evolve(category, **settings)
