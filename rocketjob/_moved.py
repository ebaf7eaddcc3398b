"""Modules of RocketJob 0.1 by their names then: they work until 0.3, with a warning."""

from __future__ import annotations

import sys

from rocketjob.base.deprecation import MovedModules

sys.meta_path.append(
    MovedModules(
        {
            "rocketjob.async_loop": "rocketjob.worker.async_loop",
            "rocketjob.callbacks": "rocketjob.model.callbacks",
            "rocketjob.child": "rocketjob.worker_main",
            "rocketjob.clock": "rocketjob.base.clock",
            "rocketjob.codec": "rocketjob.model.types",
            "rocketjob.codec.anything": "rocketjob.model.types.anything",
            "rocketjob.codec.base": "rocketjob.model.types.base",
            "rocketjob.codec.choices": "rocketjob.model.types.choices",
            "rocketjob.codec.containers": "rocketjob.model.types.nested",
            "rocketjob.codec.scalars": "rocketjob.model.types.scalars",
            "rocketjob.codec.times": "rocketjob.model.types.times",
            "rocketjob.config": "rocketjob.base.config",
            "rocketjob.copying": "rocketjob.store.copying",
            "rocketjob.document": "rocketjob.model.document",
            "rocketjob.errors": "rocketjob.base.errors",
            "rocketjob.events": "rocketjob.server.events",
            "rocketjob.explain": "rocketjob.server.explain",
            "rocketjob.fields": "rocketjob.model.fields",
            "rocketjob.history": "rocketjob.states.history",
            "rocketjob.hookspecs": "rocketjob.plugins.hookspecs",
            "rocketjob.indexes": "rocketjob.store.indexes",
            "rocketjob.interrupt": "rocketjob.base.interrupt",
            "rocketjob.job": "rocketjob.jobs.job",
            "rocketjob.job_builder": "rocketjob.jobs.builder",
            "rocketjob.job_exception": "rocketjob.jobs.exception",
            "rocketjob.job_query": "rocketjob.jobs.query",
            "rocketjob.job_text": "rocketjob.jobs.present",
            "rocketjob.limits": "rocketjob.queue.limits",
            "rocketjob.log": "rocketjob.base.log",
            "rocketjob.many": "rocketjob.model.bulk",
            "rocketjob.passwords": "rocketjob.base.passwords",
            "rocketjob.plugin_manager": "rocketjob.plugins.manager",
            "rocketjob.query": "rocketjob.model.query",
            "rocketjob.recovery": "rocketjob.server.recovery",
            "rocketjob.registration": "rocketjob.server.registration",
            "rocketjob.registry": "rocketjob.model.registry",
            "rocketjob.runner": "rocketjob.worker.runner",
            "rocketjob.sealed": "rocketjob.model.encrypted_fields",
            "rocketjob.slots": "rocketjob.worker.slots",
            "rocketjob.state_machine": "rocketjob.states.machine",
            "rocketjob.subscribers": "rocketjob.server.subscribers",
            "rocketjob.successors": "rocketjob.store.outbox",
            "rocketjob.supervisor": "rocketjob.server.supervisor",
            "rocketjob.tracebacks": "rocketjob.base.tracebacks",
            "rocketjob.unknown_job": "rocketjob.jobs.unknown",
            "rocketjob.validation": "rocketjob.model.validation",
            "rocketjob.validators": "rocketjob.model.validators",
            "rocketjob.worker_pool": "rocketjob.worker.pool",
            "rocketjob.worker_process": "rocketjob.server.worker_process",
        }
    )
)
