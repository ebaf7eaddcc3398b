"""Lines to rows and rows to lines: csv, psv, json, fixed, and formats that plugins bring.

table = Tabular("csv", required_columns=["id"])
table.parse_header("ID,First Name")
table.parse("1,Ann")                      # {"id": "1", "first_name": "Ann"}
"""

from __future__ import annotations

from rocketjob_plugins.batch.tabular.columns import REJECTED, cleanse
from rocketjob_plugins.batch.tabular.fixed import Fixed
from rocketjob_plugins.batch.tabular.formats import Array, Csv, Format, Hash, Json, Psv
from rocketjob_plugins.batch.tabular.known import BUILT_IN, format_of, known_formats, row_options
from rocketjob_plugins.batch.tabular.modes import rows_in_mode
from rocketjob_plugins.batch.tabular.named import check_name
from rocketjob_plugins.batch.tabular.table import Tabular

__all__ = [
    "BUILT_IN",
    "REJECTED",
    "Array",
    "Csv",
    "Fixed",
    "Format",
    "Hash",
    "Json",
    "Psv",
    "Tabular",
    "check_name",
    "cleanse",
    "format_of",
    "known_formats",
    "row_options",
    "rows_in_mode",
]
