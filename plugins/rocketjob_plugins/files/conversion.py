"""`ConversionJob`: convert one tabular format to another, on all workers."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from rocketjob import Job, after, before, field, validate
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory
from rocketjob_plugins.batch.io.rows import is_workbook
from rocketjob_plugins.batch.io.tables import output_table
from rocketjob_plugins.batch.streams import StreamError
from rocketjob_plugins.batch.streams.target import check_address
from rocketjob_plugins.batch.streams.writer import check_writer

SHORT = ("source", "target", "encoding")


class ConversionJob(Batch, Job):
    """Read rows from one file and write them to another.

        ConversionJob.create(source="orders.xlsx", target="orders.json.gz")
        ConversionJob.create(source="cities.csv", target="cities.psv", encoding="cp1252")

    The formats (csv, psv, json and xlsx) and the compression come from the file names, or from the
    `format` of the categories. Subclasses can change rows in `perform`.
    """

    destroy_on_complete = False
    input_category = InputCategory(format="auto", header_cleanser="none")
    output_category = OutputCategory(format="auto")

    pgp_recipients: list[str] | None = field(
        default=None, user_editable=True, description="for whose keys a .pgp target is encrypted"
    )

    def __init__(self, **values: Any) -> None:
        shorts = {name: values.pop(name) for name in SHORT if name in values}
        super().__init__(**values)
        for name, value in shorts.items():
            setattr(self, name, value)

    @classmethod
    def from_properties(cls, properties: Mapping[str, Any]) -> Any:
        values = dict(properties)
        shorts = {name: values.pop(name) for name in SHORT if name in values}
        job = super().from_properties(values)
        for name, value in shorts.items():
            setattr(job, name, value)
        return job

    @property
    def source(self) -> str | None:
        """The file to read: the one of the main input category."""
        return self.input_category_for("main").file_name

    @source.setter
    def source(self, name: str | None) -> None:
        self.input_category_for("main").file_name = name

    @property
    def encoding(self) -> str | None:
        """The encoding of the file to read: that of the main input category."""
        return self.input_category_for("main").encoding

    @encoding.setter
    def encoding(self, name: str | None) -> None:
        self.input_category_for("main").encoding = name

    @property
    def target(self) -> str | None:
        """The file to write: the one of the main output category."""
        return self.output_category_for("main").file_name

    @target.setter
    def target(self, name: str | None) -> None:
        self.output_category_for("main").file_name = name

    @validate
    def _has_files(self) -> None:
        if not self.target:
            self.errors.add("output_categories", "main must have a file_name: give target=")
        if not self.source and self.record_count is None and self.is_new and not self.input.count():
            self.errors.add("input_categories", "main must have a file_name: give source=")

    @validate
    def _workbook_has_cells(self) -> None:
        category = self.output_category_for("main")
        with suppress(StreamError):  # the category says itself what is wrong with it
            if is_workbook(category) and output_table(category).dialect is None:
                problem = f"an Excel workbook has no rows of {category.format}: leave the format"
                self.errors.add("output_categories", f'{problem} "auto", or make it csv')

    @validate
    def _target_is_no_web_address(self) -> None:
        try:
            check_address(self.target or "")
        except StreamError as error:
            self.errors.add("output_categories", str(error))

    def perform(self, row: Any) -> Any:
        return row

    @before("batch")
    def _try_target(self) -> None:
        """Fail before the work, not after it, where the target cannot be written."""
        check_writer(str(self.target), pgp_recipients=self.pgp_recipients or ())

    @before("batch", when=lambda job: job.record_count is None)
    def _upload(self) -> None:
        self.input.delete_all()  # left by an earlier attempt whose process died
        self.upload()

    # After callbacks run in reverse: the output is dropped once it has been written.
    @after("batch")
    def _drop(self) -> None:
        self.input.drop()
        self.output.drop()

    @after("batch")
    def _download(self) -> None:
        category = self.output_category_for("main")
        source = self.input_category_for("main")
        if category.columns is None and source.columns is not None and not self.output.count():
            category.columns = list(source.columns)  # there is no row to take them from
        self.download(pgp_recipients=self.pgp_recipients or ())
