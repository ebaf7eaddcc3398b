"""What a batch job is: its fields and categories, where its slices are, and its events.

How input comes in, how output goes out, and the work itself are in modules of their own, which take
a job like this; the mixin `Batch` (see `batch`) puts them in front of users.
"""

from __future__ import annotations

import functools
import sys
import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from rocketjob import field, validate, validators
from rocketjob.base.errors import ConfigurationError, ValidationError
from rocketjob.jobs import claims
from rocketjob.model.fields import read_only_field
from rocketjob.model.record import record_of, values_of
from rocketjob.store import Filter
from rocketjob_plugins.batch.category import (
    InputCategory,
    OutputCategory,
    UnknownCategory,
    as_categories,
    changes_of,
    merged,
)
from rocketjob_plugins.batch.class_body import (
    SHORT,
    SHORT_INPUT,
    checked,
    serializer_of,
    take_categories,
    take_shorts,
    throttles_of,
)
from rocketjob_plugins.batch.holding import UNDONE, BatchHolding, within_reach_of
from rocketjob_plugins.batch.io import tables
from rocketjob_plugins.batch.present import percent_of, shown_of, workers_of
from rocketjob_plugins.batch.serializers import serializer
from rocketjob_plugins.batch.settings import within_reach
from rocketjob_plugins.batch.slices import InputSlices, OutputSlices, Slices, reject_slices
from rocketjob_plugins.batch.streams import StreamError

if TYPE_CHECKING:
    from rocketjob_plugins.batch.slice import Slice

PROCESSING = {"state": "running", "sub_state": "processing"}
KINDS = ("inputs", "outputs")


class BatchModel(BatchHolding, abstract=True):
    """A batch job, without what brings its input in and takes its output out."""

    callback_events: ClassVar[frozenset[str]] = frozenset({"slice", "batch"})
    joinable: ClassVar[Filter | None] = PROCESSING
    __shorts__: ClassVar[dict[str, Any]] = {}
    __batch_throttles__: ClassVar[tuple[str, ...]] = ()

    input_categories: list[InputCategory] = field(
        factory=lambda: [InputCategory()], user_editable=True, copy_on_restart=True
    )
    output_categories: list[OutputCategory] = field(
        factory=list, user_editable=True, copy_on_restart=True
    )
    record_count: int | None = field(default=None, description="None: the upload has not ended")
    throttle_running_workers: int | None = field(
        default=None,
        validator=validators.ge(0),
        user_editable=True,
        copy_on_restart=True,
        description="slices in work at once; no limit if 0 or not set",
    )
    max_rejects: int | None = field(
        default=None,
        validator=validators.ge(0),
        user_editable=True,
        copy_on_restart=True,
        description="bad records to set aside before a slice fails; none if not set",
    )
    sub_state: str | None = read_only_field()
    upload_mark: dict[str, Any] | None = read_only_field()
    ended_in: str | None = read_only_field()  # which worker of a process has claimed its end

    # What a worker knows while it processes: not stored.
    if TYPE_CHECKING:
        current_slice: Slice | None = read_only_field()
    else:
        current_slice = None
    record_number: ClassVar[int] = 0
    """The number of the record in work in the whole upload, from 1."""

    @functools.cached_property
    def open_uploads(self) -> dict[str, weakref.ref[Any]]:
        """The uploads through this object that have not ended, by category."""
        return {}

    # --- the class ---------------------------------------------------------------------------

    def __init_subclass__(cls, **options: Any) -> None:
        cls.__shorts__ = {**cls._inherited_shorts(), **take_shorts(cls)}
        take_categories(cls)
        super().__init_subclass__(**options)
        cls.__batch_throttles__ = throttles_of(cls)
        for callback in cls._all_callbacks():
            if callback.event == "batch" and callback.kind == "around":
                raise ConfigurationError(
                    f"{cls.__name__}.{callback.name}: there is no around('batch'), since before "
                    "and after it run at different times, on different workers"
                )

    @classmethod
    def _inherited_shorts(cls) -> dict[str, Any]:
        shorts: dict[str, Any] = {}
        for base in reversed(cls.__mro__[1:]):
            shorts.update(base.__dict__.get("__shorts__", {}))
        return shorts

    @classmethod
    def batch_throttles(cls) -> list[str]:
        """Name the methods that defer the job's slices."""
        return list(cls.__batch_throttles__)

    @classmethod
    def undefine_batch_throttle(cls, name: str) -> None:
        """Take an inherited batch throttle off this class."""
        if name not in cls.__batch_throttles__:
            raise ValueError(f"{cls.__name__} has no batch throttle {name}")
        cls.__batch_throttles__ = tuple(n for n in cls.__batch_throttles__ if n != name)

    def __init__(self, **values: Any) -> None:
        shorts = {name: values.pop(name) for name in SHORT if name in values}
        for name, kind in (
            ("input_categories", InputCategory),
            ("output_categories", OutputCategory),
        ):
            if name in values:
                values[name] = checked(as_categories(values[name], kind))
        super().__init__(**values)
        given = set(values)
        self._apply_shorts({**type(self).__shorts__, **shorts}, given, shorts)
        record_of(self).assigned.clear()

    def _apply_shorts(
        self, shorts: Mapping[str, Any], given: set[str], own: Mapping[str, Any]
    ) -> None:
        """Bring the short forms into the categories; those are what is stored."""
        if "slice_size" in shorts and ("input_categories" not in given or "slice_size" in own):
            self.slice_size = shorts["slice_size"]
        if self.collect_output and not self.output_categories:
            self.output_categories = [OutputCategory(nils=True)]
        if "collect_nil_output" in shorts:
            for each in self.output_categories:
                each.nils = bool(shorts["collect_nil_output"])
        if shorts.get("compress") is False or shorts.get("encrypt") or shorts.get("compress"):
            name = serializer_of(shorts)
            for category in self.input_categories[:1]:
                category.serializer = name
            for output in self.output_categories[:1]:
                output.serializer = name
        if shorts.get("tabular_output_header"):
            if not self.output_categories:
                self.output_categories = [OutputCategory()]
            main = self.output_categories[0]
            main.columns = list(shorts["tabular_output_header"])
            main.format = main.format or "csv"

    # --- categories --------------------------------------------------------------------------

    if TYPE_CHECKING:  # that the body of a class may set it, besides an instance
        slice_size: int = read_only_field(default=100)
    else:

        @property
        def slice_size(self) -> int:
            """Records of a slice of the main input."""
            return self.input_category_for("main").slice_size

        @slice_size.setter
        def slice_size(self, size: int) -> None:
            self.input_category_for("main").slice_size = size

    @property
    def upload_file_name(self) -> str | None:
        """What was, or is to be, uploaded as the main input."""
        return self.input_category_for("main").file_name

    @upload_file_name.setter
    def upload_file_name(self, name: str | None) -> None:
        self.input_category_for("main").file_name = name

    def input_category_for(self, name: str | InputCategory = "main") -> InputCategory:
        """Return an input category.

        Raises:
            ValueError: there is none of that name; the message names those that there are.
        """
        if isinstance(name, InputCategory):
            return name
        category: InputCategory = _find(name, self.input_categories, "Input")
        return category

    def output_category_for(self, name: str | OutputCategory = "main") -> OutputCategory:
        """Return an output category; raises ValueError as `input_category_for` does."""
        if isinstance(name, OutputCategory):
            return name
        category: OutputCategory = _find(name, self.output_categories, "Output")
        return category

    def has_input_category(self, name: str) -> bool:
        return any(category.name == name for category in self.input_categories)

    def has_output_category(self, name: str) -> bool:
        return any(category.name == name for category in self.output_categories)

    def add_output_category(self, name: str = "main", **settings: Any) -> OutputCategory:
        """Add an output to this job alone."""
        category = OutputCategory(name=name, **settings)
        tables.check(category)
        kept = [each for each in self.output_categories if each.name != name]
        self.output_categories = [*kept, category]
        return category

    @classmethod
    def from_properties(cls, properties: Mapping[str, Any]) -> Any:
        """Make a job from texts; `input_categories` and `output_categories` change settings."""
        values = dict(properties)
        which: tuple[Literal["input_categories", "output_categories"], ...]
        which = "input_categories", "output_categories"
        changes = {name: changes_of(name, values.pop(name, None)) for name in which}
        shorts = {name: _whole(name, values.pop(name)) for name in SHORT_INPUT if name in values}
        job: Any = super().from_properties(values)
        for name, size in shorts.items():
            setattr(job, name, size)
        for name in which:
            job.merge_categories(name, changes[name])
        return job

    def merge_categories(
        self,
        which: Literal["input_categories", "output_categories"],
        changes: Sequence[Mapping[str, Any]] | None,
    ) -> None:
        """Change settings of categories, each found by its `name`, `main` if that is not given."""
        for change in changes or ():
            name = change.get("name", "main")
            present: list[Any] = getattr(self, which)
            try:
                category = _find(name, present, "Input" if which[0] == "i" else "Output")
            except ValueError as error:
                raise ConfigurationError(str(error)) from None
            present[present.index(category)] = checked([merged(category, dict(change))])[0]

    @property
    def input(self) -> InputSlices:
        """The slices of the main input that are still to be processed."""
        return self.input_for("main")

    def input_for(self, name: str | InputCategory = "main") -> InputSlices:
        return InputSlices(self.id, self.input_category_for(name), self.type_name())

    @property
    def output(self) -> OutputSlices:
        """The slices of the main output, in the order of the input."""
        return self.output_for("main")

    def output_for(self, name: str | OutputCategory = "main") -> OutputSlices:
        return OutputSlices(self.id, self.output_category_for(name), self.type_name())

    def all_slices(self) -> list[Slices]:
        """Return every collection of slices that the job can have."""
        inputs: list[Slices] = [
            InputSlices(self.id, category) for category in self.input_categories
        ]
        outputs: list[Slices] = [
            OutputSlices(self.id, category) for category in self.output_categories
        ]
        return [*inputs, *outputs, reject_slices(self.id)]

    def removed_by(self, event: str) -> bool:
        # A record that was set aside is input that nobody has processed yet.
        return super().removed_by(event) and not self.reject_count

    def cleanup(self) -> None:
        """Drop the job's input and output."""
        names = [slices.name for slices in self.all_slices()]
        store, prefixes = self.input.store, [f"rocket_job.{k}.{self.id}." for k in KINDS]
        others = [n for n in store.collection_names() if n.startswith(tuple(prefixes))]
        for name in dict.fromkeys([*names, *others]):
            store.collection(name).drop()
        self.input.unlock()

    @property
    def reject_count(self) -> int:
        """How many records are set aside as bad."""
        return reject_slices(self.id).count()

    def write_guard(self) -> dict[str, Any]:
        guard = super().write_guard()
        if "claimed_by" not in guard and self.state == "running":
            guard["sub_state"] = (record_of(self).stored or {}).get("sub_state")
        return guard

    # --- work --------------------------------------------------------------------------------

    def slices_are_elsewhere(self) -> str | None:
        """Say where its slices were looked for, if they have never been there.

        A job that has records has a collection of slices until it has completed, empty at last.
        """
        if not self.record_count or self.input.is_there():
            return None
        return (
            f"its {self.record_count:,} records are not in {self.input.store.url}: does slices_url "
            "say the same wherever jobs are uploaded and worked, and is the store in its place?"
        )

    def free_slots(self, wanted: int, quarantined: bool | None = None) -> int:
        """Return how many workers find a slice; one, where only the end is left."""
        with within_reach():
            slices, which = self.input.collection, within_reach_of(self)
            if which is None:
                return 0
            filter = {**which, "state": "queued", **claims.quarantine_filter(quarantined)}
            count = len(list(slices.find(filter, {"_id": 1}, limit=wanted)))
            if count or quarantined or (self.record_count is None and not which):
                return min(count, self.free_places())
            return 0 if slices.find_one({**which, **UNDONE}, {"_id": 1}) else 1

    def free_places(self, *, lock: bool = False) -> int:
        """Return how many more slices `throttle_running_workers` lets be taken now.

        Args:
            lock: within a transaction, let no other worker count at the same time.
        """
        limit = self.throttle_running_workers
        if not limit:
            return sys.maxsize
        if lock:
            self.input.lock()
        return max(0, limit - self.input.count("running"))

    @validate
    def _categories_are_valid(self) -> None:
        if not isinstance(self.input_categories, list) or not self.input_categories:
            self.errors.add("input_categories", "must hold at least one category")
            return
        if not self.has_input_category("main"):
            self.errors.add("input_categories", "must hold one named main: it is what is processed")
        for name in ("input_categories", "output_categories"):
            for category in getattr(self, name):
                try:
                    codec = serializer(category.serializer)
                    tables.check(category, plugins=True)
                except (ConfigurationError, StreamError) as error:
                    self.errors.add(name, str(error))
                    continue
                if codec.whole and name == "input_categories":
                    self.errors.add(name, f"{codec.name} is for output: its records are not read")

    # --- what is shown -----------------------------------------------------------------------

    if not TYPE_CHECKING:  # for type checkers it is the field that every job has

        @property
        def percent_complete(self) -> int:
            """How much of the input is known to be processed, from 0 to 100."""
            return percent_of(self)

        @percent_complete.setter
        def percent_complete(self, percent: int) -> None:
            values_of(self)["percent_complete"] = percent

    @property
    def worker_names(self) -> list[str]:
        return workers_of(self)

    def as_dict(self) -> dict[str, Any]:
        return shown_of(self, super().as_dict())


def _whole(name: str, value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise ValidationError({name: [f"must be a whole number, not {value!r}"]}) from None


def _find(name: str, categories: Sequence[Any], kind: str) -> Any:
    for category in categories:
        if category.name == name:
            return category
    if not isinstance(name, str):
        raise ValueError(f"{kind} category must be given by name, not {name!r}")
    known = ", ".join(category.name for category in categories) or "none"
    raise UnknownCategory(f"Unknown {kind} Category: {name!r}. Registered: {known}")
