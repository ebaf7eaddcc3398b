"""Working a batch job: one worker before and after, all of them on the slices between.

The way of a slice: claimed, its records performed one by one, its output stored and the slice
removed in one step. A record that raises ends the slice, and what came before it is kept; a retry
goes on at that record. Whether the job still runs is looked at before each slice, and between two
records when some time has passed.
"""

from __future__ import annotations

from rocketjob.base.deprecation import moved

__getattr__ = moved(
    __name__,
    {
        "SliceFailed": "rocketjob_plugins.batch.work.slices",
        "SliceWorker": "rocketjob_plugins.batch.work.slices",
        "finish_if_done": "rocketjob_plugins.batch.work.end",
        "open_to_all": "rocketjob_plugins.batch.work.begin",
        "persistently": "rocketjob_plugins.batch.work.persist",
        "work_batch_job": "rocketjob_plugins.batch.work.join",
    },
)
