"""A job for people: fields, exception, history, and what can be done with it."""

from __future__ import annotations

import click

from rocketjob import Job, UnknownJob, application
from rocketjob.base.errors import HookFailed
from rocketjob.base.text import relative
from rocketjob.cli.job_json import event_commands, possible_events
from rocketjob.cli.output import (
    Cell,
    Column,
    as_text,
    clean,
    moment,
    print_heading,
    print_pairs,
    print_table,
    style_of,
    styled,
    to_json,
)
from rocketjob.jobs import origin
from rocketjob.jobs.exception import JobException
from rocketjob.jobs.reasons import Section
from rocketjob.jobs.shown import (
    class_name,
    created_in,
    own_fields,
    problem_of,
    progress_of,
    reasons_of,
    remarks_of,
    unknown_fields,
)
from rocketjob.model.record import values_of
from rocketjob.states.history import HistoryEntry


def print_job(job: Job, reveal: bool) -> None:
    """Print a job.

    Args:
        reveal: encrypted fields too, in clear.
    """
    state = styled(job.state, fg=style_of(job.state) or None, bold=True)
    click.echo(f"{styled(clean(class_name(job)), bold=True)} {job.id} {state}")
    _print_problem(job)
    for remark in remarks_of(job):
        for line in remark.text.splitlines():
            click.echo(styled(clean(line), fg="yellow"))
    print_pairs(_standard(job))
    own_values = own_fields(job, reveal)
    fields = {name: own_values[name] for name in own_values if not _is_idle(job, name)}
    if fields:
        print_heading("Fields")
        print_pairs(((name, as_text(value)) for name, value in fields.items()), indent="  ")
    _print_unknown(job)
    for title, value in (("Arguments", job.arguments), ("Result", job.result)):
        if value is not None:
            print_heading(title)
            for line in to_json(value, indent=2).splitlines():
                click.echo(f"  {clean(line)}")
    if job.exception is not None:
        print_heading("Exception")
        _print_exception(job.exception)
    if job.history:
        print_heading("History")
        _print_history(job.history)
    _print_created(job)
    for section in sections_of(job):
        print_heading(section.title)
        for line in section.lines:
            click.echo(f"  {clean(line)}")
    _print_possible(job)


def _print_unknown(job: Job) -> None:
    unknown = unknown_fields(job)
    if unknown:
        print_heading("Stored, but no field of the class here")
        print_pairs(((name, as_text(value)) for name, value in unknown.items()), indent="  ")


def _print_created(job: Job) -> None:
    created = created_in(job, origin.SHOWN + 1)
    if not created:
        return
    print_heading("Jobs created in it")
    for each in created[: origin.SHOWN]:
        state = styled(each.state, fg=style_of(each.state) or None)
        click.echo(f"  {each.id}  {clean(class_name(each))} {state} {relative(each.created_at)}")
    if len(created) > origin.SHOWN:
        where = to_json({"created_in": str(job.id)})
        click.echo(f"  and more: rocketjob jobs list --where '{where}'")


def sections_of(job: Job) -> list[Section]:
    """Return what plugins show of a job; of one that fails, what went wrong."""
    failed: list[HookFailed] = []
    plugins = application.current().plugins
    sections: list[Section] = plugins.collect("job_sections", failed.append, job=job)
    return [*sections, *(Section("Not shown", [str(error)]) for error in failed)]


def _is_idle(job: Job, name: str) -> bool:
    """Return whether a field is the class's own and has nothing to show now."""
    return job.fields()[name].read_only and values_of(job)[name] is None


def _print_problem(job: Job) -> None:
    if problem := problem_of(job):
        click.echo(styled(f"It {clean(problem)}", fg="red"))
    elif isinstance(job, UnknownJob):
        text = (
            "Its class is not loaded here, so its own fields are shown as stored: use --app MODULE"
        )
        click.echo(styled(text, fg="yellow"))


def run_time(job: Job) -> str:
    """Return how long a job ran, or runs; nothing for one that waits, also for another attempt."""
    return job.duration if job.started_at and not job.is_queued else ""


def _standard(job: Job) -> list[tuple[str, str]]:
    pairs = [
        ("Description", job.description or ""),
        ("Priority", str(job.priority)),
        ("Created", moment(job.created_at)),
        ("Created in", _creator(job)),
        ("Created for", " ".join(origin.parts_of(job.created_for)) if job.created_for else ""),
        ("Not before", moment(job.run_at)),
        ("Expires", moment(job.expires_at)),
        ("Started", moment(job.started_at)),
        (_ended(job), moment(job.completed_at)),
        ("Took" if job.completed_at else "Running for", run_time(job)),
        ("Progress", progress_of(job)),
        ("Worker", ", ".join(job.worker_names) or job.worker_name or ""),
        ("Held back", _held_back(job)),
        (
            "Why" if job.is_failed else "Held up",
            "\n".join(reason.text for reason in reasons_of(job)),
        ),
        ("Failures", str(job.failure_count or "")),
        ("Crashes", str(job.interruptions or "")),
        ("Log level", job.log_level or ""),
        ("On success", "is removed" if job.destroy_on_complete else "is kept"),
    ]
    return [(name, value) for name, value in pairs if value]


def _creator(job: Job) -> str:
    if job.created_in is None:
        return ""
    name = origin.class_of(job.created_in)
    return f"{name or 'a job that is not stored any more:'} {job.created_in}"


def _held_back(job: Job) -> str:
    if job.throttled_by is None:
        return ""
    at = f" ({relative(job.throttled_at)})" if job.throttled_at is not None else ""
    return f"by {job.throttled_by}: {job.throttled_text or job.throttled_by}{at}"


def _ended(job: Job) -> str:
    return job.state.capitalize() if job.state not in ("queued", "running") else "Ended"


def _print_exception(error: JobException, lead: str = "") -> None:
    name = f"{error.class_name}: " if error.class_name != "JobException" else ""
    worker = f"  (on {error.worker_name})" if error.worker_name else ""
    first, *rest = (error.message or "").splitlines() or [""]
    click.echo(styled(f"  {lead}{clean(name + first)}", fg="red") + clean(worker))
    for line in (*rest, *error.backtrace):
        click.echo(f"    {clean(line)}".rstrip())
    if error.cause is not None:
        _print_exception(error.cause, "caused by ")


def _print_history(history: list[HistoryEntry]) -> None:
    print_table(
        [
            Column("  AT", fixed=True),
            Column("", fixed=True, spare=2),
            Column("EVENT", fixed=True),
            Column("STATE", fixed=True),
            Column("CLAIM", fixed=True, right=True, spare=3),
            Column("WORKER", fixed=True, spare=1),
            Column("REASON", wraps=True, least=20),
        ],
        [
            (
                f"  {entry.at:%Y-%m-%d %H:%M:%S}",
                relative(entry.at),
                entry.event if entry.count == 1 else f"{entry.event} ({entry.count} times)",
                Cell(entry.state, style_of(entry.state)),
                str(entry.claim_number or ""),
                entry.by or entry.worker_name or "",
                entry.reason or "",
            )
            for entry in history
        ],
    )


def _print_possible(job: Job) -> None:
    names = {command.event: command.name for command in event_commands()}
    possible = [names[event] for event in possible_events(job)]
    click.echo()
    click.echo(f"Possible now: rocketjob jobs {'|'.join(possible)} {job.id}")
