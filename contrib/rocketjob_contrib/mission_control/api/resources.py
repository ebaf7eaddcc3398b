"""The resources of the API, as its OpenAPI document describes them."""

from __future__ import annotations

from rocketjob_contrib.mission_control.api.schemas import (
    ANYTHING,
    FLAG,
    FREE,
    TEXT,
    TIME,
    WHOLE,
    Schema,
    maybe,
    ref,
    resource,
    several,
)

NUMBER: Schema = {"type": "number"}
_ROW: dict[str, Schema] = {
    "id": TEXT,
    "class": TEXT,
    "known_class": FLAG,
    "state": TEXT,
    "description": maybe(TEXT),
    "priority": WHOLE,
    "created_at": TIME,
    "started_at": maybe(TIME),
    "completed_at": maybe(TIME),
    "run_at": maybe(TIME),
    "percent_complete": WHOLE,
    "failure_count": WHOLE,
    "worker_name": maybe(TEXT),
    "exception": maybe(ref("ExceptionInfo")),
    "problem": maybe(TEXT),
}
_TIMES: Schema = resource(
    count=WHOLE, mean=maybe(NUMBER), p50=maybe(NUMBER), p95=maybe(NUMBER), max=maybe(NUMBER)
)
_FIGURES: dict[str, Schema] = {
    "completed": WHOLE,
    "failed": WHOLE,
    "aborted": WHOLE,
    "retried": WHOLE,
    "crashed": WHOLE,
    "records": WHOLE,
    "rejects": WHOLE,
    "wait": _TIMES,
    "run": _TIMES,
}

_COUNTS: Schema = {"type": "object", "additionalProperties": WHOLE}
RESOURCES: dict[str, Schema] = {
    "Problem": resource(
        ("errors",),
        type=TEXT,
        title=TEXT,
        status=WHOLE,
        detail=TEXT,
        errors=several(resource(pointer=TEXT, detail=TEXT)),
    ),
    "ExceptionInfo": resource(
        ("backtrace", "worker_name", "cause"),
        class_name=maybe(TEXT),
        message=maybe(TEXT),
        backtrace=several(TEXT),
        worker_name=maybe(TEXT),
        cause=maybe(ref("ExceptionInfo")),
    ),
    "JobRow": resource(**_ROW),
    "Job": resource(
        **_ROW,
        fields=FREE,
        unknown_fields=FREE,
        arguments=ANYTHING,
        result=ANYTHING,
        remarks=FREE,
        history=several(FREE),
        actions=several(TEXT),
    ),
    "BulkPreview": resource(
        event=TEXT,
        at=TIME,
        matching=maybe(WHOLE),
        count=WHOLE,
        is_all=FLAG,
        left_alone=WHOLE,
        refused=WHOLE,
        by_state=_COUNTS,
        by_class=_COUNTS,
        by_a_job=FLAG,
    ),
    "BulkDone": resource(
        job=maybe(TEXT), count=WHOLE, counts=maybe(_COUNTS), results=several(ref("BulkResult"))
    ),
    "BulkResult": resource(
        **{"id": TEXT, "class": maybe(TEXT), "result": TEXT, "why": maybe(TEXT)}
    ),
    "Explanation": resource(
        state=TEXT,
        until=maybe(TIME),
        note=TEXT,
        reasons=several(resource(name=TEXT, text=TEXT, until=maybe(TIME))),
    ),
    "FailureGroup": resource(class_name=TEXT, count=WHOLE, messages=several(TEXT)),
    "SliceRow": resource(
        id=WHOLE,
        state=TEXT,
        size=maybe(WHOLE),
        failure_count=WHOLE,
        worker_name=maybe(TEXT),
        started_at=maybe(TIME),
        exception=maybe(ref("ExceptionInfo")),
    ),
    "Slice": resource(
        id=WHOLE,
        state=TEXT,
        size=WHOLE,
        failure_count=WHOLE,
        worker_name=maybe(TEXT),
        record_number=maybe(WHOLE),
        next_index=WHOLE,
        exception=maybe(ref("ExceptionInfo")),
    ),
    "Record": resource(
        index=WHOLE,
        number=WHOLE,
        kind=TEXT,
        text=maybe(TEXT),
        is_done=FLAG,
        is_next=FLAG,
        problem=maybe(TEXT),
    ),
    "Server": resource(
        id=TEXT,
        name=TEXT,
        state=TEXT,
        workers=WHOLE,
        max_workers=WHOLE,
        performing=several(TEXT),
        started_at=maybe(TIME),
        heartbeat_at=maybe(TIME),
        actions=several(TEXT),
    ),
    "Answers": resource(
        servers=several(
            resource(
                server=TEXT,
                processes=several(resource(name=TEXT, is_worker=FLAG, content=FREE)),
                missing=several(TEXT),
            )
        )
    ),
    "Worker": resource(
        id=TEXT,
        worker=TEXT,
        server=maybe(TEXT),
        job_id=TEXT,
        state=TEXT,
        description=TEXT,
        started_at=maybe(TIME),
        phase=maybe(TEXT),
        records=maybe(several(WHOLE)),
    ),
    "Entry": resource(
        id=TEXT,
        name=maybe(TEXT),
        pattern=TEXT,
        job_class_name=TEXT,
        properties=FREE,
        archive_directory=maybe(TEXT),
        encoding=maybe(TEXT),
        state=TEXT,
        created_at=maybe(TIME),
        exception=maybe(ref("ExceptionInfo")),
        problem=maybe(TEXT),
        actions=several(TEXT),
    ),
    "Preview": resource(
        previews=several(
            resource(
                servers=several(TEXT), files=several(FREE), counts=FREE, problems=several(TEXT)
            )
        ),
        missing=several(TEXT),
    ),
    "Done": resource(messages=several(resource(kind=TEXT, text=TEXT))),
    "Counts": resource(jobs=FREE, servers=FREE, entries=FREE),
    "Identity": resource(login=maybe(TEXT), roles=several(TEXT), permissions=several(TEXT)),
    "Metrics": resource(
        since=TIME,
        until=TIME,
        step=NUMBER,
        total=resource(**_FIGURES),
        classes={"type": "object", "additionalProperties": resource(**_FIGURES)},
        points=several(resource(at=TIME, completed=WHOLE, failed=WHOLE, aborted=WHOLE)),
    ),
    "Failures": resource(
        ("messages", "jobs"),
        id=TEXT,
        exception=TEXT,
        pattern=TEXT,
        count=WHOLE,
        jobs_count=WHOLE,
        slices_count=WHOLE,
        unseen=WHOLE,
        first=maybe(TIME),
        last=maybe(TIME),
        trend=several(WHOLE),
        messages=several(resource(text=TEXT, count=WHOLE)),
        jobs=several(TEXT),
    ),
    "Retried": resource(
        jobs=WHOLE, slices=WHOLE, skipped=WHOLE, refused=WHOLE, failed=FREE, later=WHOLE
    ),
    "Series": resource(
        job_id=TEXT,
        name=maybe(TEXT),
        state=TEXT,
        cron_schedule=TEXT,
        words=TEXT,
        problem=maybe(TEXT),
        time_zone=maybe(TEXT),
        next=several(TIME),
        overdue_seconds=maybe(NUMBER),
        missed=WHOLE,
        last=maybe(resource(state=TEXT, ended_at=TIME, seconds=maybe(NUMBER))),
    ),
    "Reject": resource(number=WHOLE, kind=TEXT, text=maybe(TEXT), error=TEXT),
    "Webhook": resource(
        id=TEXT,
        event=TEXT,
        host=TEXT,
        state=TEXT,
        created_at=maybe(TIME),
        next_at=maybe(TIME),
        attempts=WHOLE,
        content=FREE,
        log=several(FREE),
    ),
    "AuditRecord": resource(
        at=TIME,
        by=maybe(TEXT),
        via=TEXT,
        how=TEXT,
        reason=maybe(TEXT),
        event=TEXT,
        kind=TEXT,
        id=maybe(TEXT),
        name=maybe(TEXT),
        before=FREE,
        after=FREE,
    ),
}
