"""What became of the records of a slice: rendered, committed, or set aside."""

from __future__ import annotations

from rocketjob.base.deprecation import moved

__getattr__ = moved(
    __name__,
    {
        "Outcome": "rocketjob_plugins.batch.outcome.render",
        "add_counts": "rocketjob_plugins.batch.outcome.render",
        "add_statistics": "rocketjob_plugins.batch.outcome.commit",
        "store_outcomes": "rocketjob_plugins.batch.outcome.commit",
    },
)
