"""Parquet files as input and output of batch jobs, by `format="parquet"` or by their name.

    class ImportOrders(Batch, Job):
        input_category = InputCategory(format="parquet")
        output_category = OutputCategory(format="parquet")

Rows are dicts that keep their types. No more than a row group is in memory. The columns of an
output are those of its first row group: a row that does not fit them is refused.

Options: `columns`, of which only these are read; `compression` (zstd) and `row_group_size` (10,000)
of what is written.
"""

import itertools

from rocketjob import hookimpl
from rocketjob_plugins.batch.streams import StreamError

OPTIONS = ("columns", "compression", "row_group_size")
ROWS = 1000  # read at once


class Parquet:
    name, extensions = "parquet", ("pq",)

    def __init__(self, options):
        wrong = [option for option in options if option not in OPTIONS]
        if wrong:
            known = ", ".join(OPTIONS)
            raise StreamError(f"the format parquet has no option {wrong[0]!r}; it has {known}")
        self._columns = options.get("columns")
        self._compression = options.get("compression", "zstd")
        self._size = options.get("row_group_size", 10_000)
        if not isinstance(self._size, int) or self._size < 1:
            raise StreamError(f"row_group_size must be a whole number above 0: {self._size!r}")

    @staticmethod
    def library():
        try:
            import pyarrow  # noqa: F401 (whether it is there)
        except ImportError:
            raise StreamError("parquet needs a library: pip install pyarrow") from None

    def read(self, file, place):
        self.library()
        import pyarrow as arrow
        from pyarrow import parquet

        if file.read(4) != b"PAR1":
            file.seek(0)
            raise place.wrong(file.read(32))
        file.seek(0)
        try:
            found = parquet.ParquetFile(file)
            self._check_columns(found.schema_arrow.names, place)
            for batch in found.iter_batches(ROWS, columns=self._columns):
                yield batch.to_pylist()
        except (arrow.ArrowException, OSError) as error:
            raise StreamError(f"is not a valid parquet file: {error}", file=place.name) from error

    def _check_columns(self, names, place):
        for column in self._columns or ():
            if column not in names:
                problem = f"has no column {column}; it has {', '.join(names)}"
                raise StreamError(problem, file=place.name, column=column)

    def write(self, rows, file, place):
        self.library()
        import pyarrow as arrow
        from pyarrow import parquet

        writer, count = None, 0
        try:
            for group in self._groups(rows):
                self._check_names(group, writer.schema.names if writer else list(group[0]), count)
                try:
                    schema = writer.schema if writer else None
                    table = arrow.Table.from_pylist(group, schema=schema)
                    writer = writer or self._writer(parquet, file, table.schema)
                except (arrow.ArrowException, OverflowError, TypeError, ValueError) as error:
                    which = f"rows {count + 1} to {count + len(group)}"
                    raise StreamError(f"{which} do not fit the columns: {error}") from error
                writer.write_table(table)
                count += len(group)
            writer = writer or self._writer(parquet, file, arrow.schema([]))
        except StreamError as error:
            raise error.at(file=place.name) from error.__cause__
        finally:
            if writer is not None:
                writer.close()

    def _writer(self, parquet, file, schema):
        return parquet.ParquetWriter(file, schema, compression=self._compression)

    def _groups(self, blocks):
        rows = itertools.chain.from_iterable(blocks)
        while group := list(itertools.islice(rows, self._size)):
            yield group

    def _check_names(self, group, names, count):
        """Refuse a row with a column that would be left out."""
        known = set(names)
        for number, row in enumerate(group, count + 1):
            if not known.issuperset(row):
                unknown = next(name for name in row if name not in known)
                problem = f"row {number} has the column {unknown}, and the first had "
                raise StreamError(problem + ", ".join(names), column=unknown)


@hookimpl
def register_file_formats():
    return [Parquet]
