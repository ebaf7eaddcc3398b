"""Modules of the batch plugin by their names in RocketJob 0.1: until 0.3, with a warning."""

from __future__ import annotations

import sys

from rocketjob.base.deprecation import MovedModules

sys.meta_path.append(
    MovedModules(
        {
            f"rocketjob_plugins.batch.{old}": f"rocketjob_plugins.batch.{new}"
            for old, new in {
                "download": "io.download",
                "headers": "io.headers",
                "reject_file": "outcome.reject_file",
                "rejects": "outcome.rejects",
                "rows": "io.rows",
                "tables": "io.tables",
                "texts": "streams.texts",
                "upload": "io.upload",
            }.items()
        }
    )
)
