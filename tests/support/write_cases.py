"""Every place that writes, and what shows that its write may be interrupted.

A new one fails `acceptance/test_interrupted_mongodb.py` until it stands here: at the scenario there
that reaches it, or, where none does, at what is so if that write is not made, or made unanswered.
"""

REACHED = {  # by scenario: its writes are interrupted on the wire, each in turn
    "one_is_created": [
        "model.document.Document._insert",
        "queue.dispatch.Queue._claim_together",
        "queue.limits.LimitedClaim._claim",
        "worker.committer.Committer._write",
    ],
    "many_are_created": [
        "model.bulk._insert_all",
        "store.outbox.Outbox._commit",
        "store.outbox.Outbox._insert_all",
        "store.transacted._Attempt._insert",
    ],
    "one_is_removed_at_its_end": ["jobs.completions.note", "store.outbox.Outbox.remove"],
    "a_schedule_goes_on": [
        "store.outbox.Outbox._decide",
        "store.outbox.Outbox._end",
        "store.outbox.Outbox._insert",
        "store.outbox.Outbox._show",
        "store.transacted.write_guards",
        "states.machine.Change._write_alone",
    ],
    "one_at_a_time": [
        "jobs.limit.Limit.take",
        "queue.limits.LimitedClaim._note",
        "store.lease._Held.end",
        "store.lease._take",
    ],
    "some_in_an_hour": ["throttle.rate.RateLimit.take"],
    "one_goes_on_where_it_was": ["model.document.Document._update"],
    "a_slice_at_a_time": ["batch.slices.InputSlices.lock"],
    "a_file_is_uploaded": [
        "batch.io.writer.UploadWriter._store",
        "batch.outcome.commit.store_outcomes",
        "batch.slices.InputSlices.claim",
        "batch.work.end._take_over_the_end",
        "store.outbox.Outbox._register",
    ],
    "a_stored_job_is_uploaded_to": [
        "batch.io.job_writes.add_to_record_count",
        "batch.io.writer.UploadWriter._advance_mark",
    ],
    "a_file_is_dropped": [
        "batch.model.BatchModel.cleanup",
        "batch.slices.InputSlices.unlock",
        "dirmon.intake.Intake._start.store",
        "model.saving._store_both",
    ],
    "a_server_dies": [
        "batch.recovery._reclaim",
        "jobs.claims.reclaim",
        "queue.reclaim._quarantine",
        "queue.reclaim._reclaim",
        "server.recovery.Recovery._remove",
    ],
    "a_server_lives": [
        "server.registration.Registration._come_back",
        "server.registration.Registration.beat",
    ],
    "somebody_steers": [
        "model.document.Document.delete",
        "model.query.Query.delete_all",
        "model.query.Query.update_all",
        "states.machine.Change._write_unit",
    ],
    "turns_are_taken": [
        "store.lease.Turns._is_first",
        "store.lease.Turns.end",
        "store.lease.Turns.take",
    ],
}
ONLY = {  # written on one kind of store
    "store.outbox.": "without",
    "store.lease._": "without",
    "store.transacted.": "transactions",
    "jobs.limit.": "transactions",
    "batch.slices.InputSlices.unlock": "transactions",
    "batch.slices.InputSlices.lock": "transactions",
}

OTHERS = {  # by what is so
    "the same unit or write as one that is reached, made by a thread of its own kind": [
        "model.document.commit",
        "worker.committer.Committer._takes_writes",
        "worker.runner._store_failure_alone",
        "worker.runner.ends_as_asked",
        "worker.runner.fail",
        "worker.runner.finish",
        "batch.work.end._end",
        "batch.slice.Slice._write",
        "batch.slices.Slices.insert",
        "batch.slices.Slices.insert_many",
        "queue.unusable._first_taken",
    ],
    "guarded by the claim, and looked for again at the next turn of whoever does it": [
        "batch.recovery._carry_out_old",
        "batch.recovery._halve",
        "batch.recovery._quarantine",
        "batch.slices.InputSlices._requeue",
        "batch.work.records.SlicePerformer._note",
        "batch.work.records.give_up",
        "queue.dispatch.Queue.release",
        "queue.limits.LimitedClaim._release",
        "queue.reclaim._suspect",
        "queue.versions.renew",
        "server.inline._beat",
        "server.inline._claim",
        "server.recovery.Recovery._reclaim_one",
        "server.recovery.Recovery.sweep",
        "server.stalled.Stalled._release",
        "worker.pool.WorkerPool._check_claims",
        "cron.job.Cron.plan_again",
    ],
    "steps of an outbox that its `recover` finds, each interrupted in the suite of the store": [
        "store.outbox.Outbox._collections",
        "store.outbox.Outbox._discard",
        "store.outbox.Outbox._discard_late",
        "store.outbox.Outbox._insert_noting",
        "store.outbox.Outbox._insert_optional",
        "store.outbox.Outbox._remove_inserted",
        "store.outbox.Outbox.withdraw",
    ],
    "a file under a lease that runs out, whoever takes it up then does it again": [
        "dirmon.entry.DirmonEntry.note",
        "dirmon.intake.Intake._drop",
        "dirmon.intake.Intake._finish",
        "dirmon.intake.Intake._give_up",
        "dirmon.intake.Intake._hold",
        "dirmon.intake.Intake._report",
        "dirmon.intake.Intake.finish_others",
    ],
    "an upload that stops, and is undone by what it has noted before": [
        "batch.io.job_writes.reset_marks",
        "batch.io.job_writes.store_categories",
        "batch.io.job_writes.take_back_record_count",
        "batch.io.rows._learn_columns",
        "batch.io.undo.remove.step",
        "batch.io.writer.UploadWriter.undo",
        "batch.slices.Slices.delete_all",
        "batch.slices.Slices.drop",
    ],
    "a command that is given again; acceptance/test_kills_commands.py ends most at each step": [
        "batch.holding.accept_what_is_left",
        "batch.holding.begin_canary",
        "batch.mending._write",
        "batch.mending.retry_failed_with.step",
        "batch.outcome.rejects.resubmit.step",
        "batch.slices.InputSlices.requeue_failed",
        "batch.work.holding._end_canary",
        "model.deeds.record",
        "queue.migration.Migration._write",
        "queue.migration.Migration._write_alone",
        "store.copying._copy_documents",
        "store.copying._copy_indexes",
        "store.copying._remove_changed",
        "store.copying._remove_surplus",
        "store.copying.copy",
    ],
    "an index, which is made again by whoever comes next, and is the same one": [
        "application.Application.create_indexes",
        "batch.slices.Slices.create_indexes",
        "cli.store._rebuild",
        "store.indexes.forget_given",
        "store.indexes.note_given",
    ],
    "what is shown, asked or counted beside the jobs: made again, or missing there": [
        "batch.outcome.commit._add",
        "batch.statistics.Statistics._count",
        "jobs.completions.forget",
        "jobs.holds.clear",
        "jobs.holds.publish",
        "jobs.holds.withdraw",
        "jobs.job.Job._note_awaited",
        "jobs.stuck.note",
        "progress.Report._write",
        "server.answers.ask",
        "server.answers.give",
        "server.answers.remove_old",
        "server.events.publish",
        "server.events.remove_old",
        "server.kernel_checks._round_trip",
    ],
}


def reached_by(scenario, store):
    """Return the sites that a scenario reaches on a kind of store."""
    for site in REACHED.get(scenario, ()):
        where = next((kind for start, kind in ONLY.items() if site.startswith(start)), store)
        if where == store:
            yield site
