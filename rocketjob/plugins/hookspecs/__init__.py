"""What a plugin may implement.

A plugin is a module (or object) with functions marked ``@hookimpl``; take only the arguments you
need::

    from rocketjob import hookimpl

    @hookimpl
    def state_changed(job, event, source, target):
        print(job, event)

It is found through an entry point of the group ``rocketjob``.
"""

from rocketjob.plugins.hookspecs.claims import (
    claim_clauses,
    claim_owners,
    explain,
    reclaim,
    veto_claim,
    waiting_quarantined,
)
from rocketjob.plugins.hookspecs.fields import (
    decrypt,
    encrypt,
    key_of,
)
from rocketjob.plugins.hookspecs.jobs import (
    before_enqueue,
    job_created,
    job_removed,
    jobs_changed,
    perform,
    state_changed,
    transition_writes,
)
from rocketjob.plugins.hookspecs.marks import (
    GROUP,
    ONLY_FOR,
    WRAPPED,
    hookimpl,
    hookspec,
    only_for,
    wrapped,
)
from rocketjob.plugins.hookspecs.people import act_writes, grant_refused, job_sections, take_over
from rocketjob.plugins.hookspecs.processes import (
    metric_recorded,
    own_process_died,
    process_started,
    process_stopping,
    register_questions,
    register_subscribers,
    server_lost,
    server_sweep,
    sweep,
    worker_died,
)
from rocketjob.plugins.hookspecs.registering import (
    open_scratch,
    open_store,
    register_checks,
    register_commands,
    register_hookspecs,
    register_indexes,
    register_jobs,
    register_log_targets,
    register_metrics,
    register_mixins,
    register_settings,
    register_signs,
    register_states,
    register_stores,
)

__all__ = [
    "GROUP",
    "ONLY_FOR",
    "WRAPPED",
    "act_writes",
    "before_enqueue",
    "claim_clauses",
    "claim_owners",
    "decrypt",
    "encrypt",
    "explain",
    "grant_refused",
    "hookimpl",
    "hookspec",
    "job_created",
    "job_removed",
    "job_sections",
    "jobs_changed",
    "key_of",
    "metric_recorded",
    "only_for",
    "open_scratch",
    "open_store",
    "own_process_died",
    "perform",
    "process_started",
    "process_stopping",
    "reclaim",
    "register_checks",
    "register_commands",
    "register_hookspecs",
    "register_indexes",
    "register_jobs",
    "register_log_targets",
    "register_metrics",
    "register_mixins",
    "register_questions",
    "register_settings",
    "register_signs",
    "register_states",
    "register_stores",
    "register_subscribers",
    "server_lost",
    "server_sweep",
    "state_changed",
    "sweep",
    "take_over",
    "transition_writes",
    "veto_claim",
    "waiting_quarantined",
    "worker_died",
    "wrapped",
]
