"""The kernel's own checks of `rocketjob doctor`: settings, plugins, store, servers, jobs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

from rocketjob.base import clock
from rocketjob.base import config as config_module
from rocketjob.base.errors import PluginError, WrongSetting
from rocketjob.base.log_targets import found, options_of, wanted
from rocketjob.base.text import counted, megabytes, relative, span
from rocketjob.jobs.claims import UNCLAIMED
from rocketjob.jobs.job import Job
from rocketjob.jobs.state_names import known_states
from rocketjob.jobs.unknown import UnknownJob
from rocketjob.model.app_modules import import_app
from rocketjob.queue.reclaim import owners
from rocketjob.server.checks import (
    OK,
    PROBLEM,
    WARNING,
    Check,
    Finding,
    Patient,
    complaints,
)
from rocketjob.server.classes import find_classes
from rocketjob.server.events import COLLECTION
from rocketjob.server.recovery import unheld, unserved
from rocketjob.server.server import MISSED_BEATS, Server
from rocketjob.server.waiting_checks import RESUME, awaited, hanging, left_out, without_workers
from rocketjob.store import Store

SLOW_SECONDS = 0.1  # a round trip to the store that takes longer slows every job down
SKEW_SECONDS = 2.0  # a heartbeat that far in the future was written by a clock that is ahead
LONG_WAIT = timedelta(minutes=15)  # a job that is due and waits longer is worth a look


def kernel_checks() -> list[Check]:
    """Return the kernel's own checks."""
    return [
        Check("configuration", check_configuration, needs_store=False),
        Check("plugins", check_plugins, needs_store=False),
        Check("app", check_app, needs_store=False),
        Check("store", check_store, needs_store=False),
        Check("servers", check_servers),
        Check("clock", check_clock),
        Check("classes", check_classes),
        Check("jobs", check_jobs),
    ]


# --- here ------------------------------------------------------------------------------------


def check_configuration(patient: Patient) -> Iterator[Finding]:
    """Report settings that differ from the defaults, and variables that are misspelt."""
    changed: dict[str, list[str]] = {}
    for name, origin in config_module.origins(patient.given).items():
        if origin != "default":
            changed.setdefault(origin, []).append(name)
    shown = "; ".join(f"from {origin}: {', '.join(names)}" for origin, names in changed.items())
    message = shown or "all settings have their defaults"
    yield Finding("configuration", OK, message, "", {"origins": changed})
    disabled = patient.application.config.disabled_plugins
    for name, hint in config_module.unknown_variables(disabled).items():
        text = f"the variable {name} is not a setting, so it has no effect: {hint}"
        yield Finding("configuration", WARNING, text, "correct or remove it", {"variable": name})
    for text in patient.application.config.unread:
        yield Finding("configuration", WARNING, text)
    yield from _log_findings(patient)


def _log_findings(patient: Patient) -> Iterator[Finding]:
    """Report targets of the log that do not exist, or have wrong options."""
    targets = patient.application.log_targets()
    for one in wanted(patient.application.config.log):
        try:
            options_of(one, found(one, targets))
        except WrongSetting as error:
            advice = "servers with this setting do not start"
            yield Finding("configuration", PROBLEM, str(error), advice, {"target": one.target})


def check_plugins(patient: Patient) -> Iterator[Finding]:
    """Report plugins that are broken or disabled."""
    infos = patient.application.plugins.infos()
    for info in infos:
        if info.error:
            yield Finding("plugins", PROBLEM, info.error, data={"plugin": info.name})
        for warning in info.warnings:
            yield Finding("plugins", WARNING, warning, data={"plugin": info.name})
    off = [info.name for info in infos if not info.enabled and not info.error]
    unknown = sorted(set(patient.application.config.disabled_plugins) - {i.name for i in infos})
    if unknown:
        yield Finding(
            "plugins",
            WARNING,
            f"disabled_plugins names {', '.join(unknown)}, not installed here",
            "correct or remove the names",
        )
    loaded = [info.name for info in infos if info.enabled]
    message = f"{len(loaded)} loaded" + (f"; disabled: {', '.join(off)}" if off else "")
    yield Finding("plugins", OK, message, data={"loaded": loaded, "disabled": off})


def check_app(patient: Patient) -> Iterator[Finding]:
    """Import the app modules, and report their job classes."""
    config = patient.application.config
    broken = False
    for name in config.app:
        try:
            import_app([name])
        except PluginError as error:
            broken = True
            yield Finding("app", PROBLEM, str(error), "servers with this setting do not start")
    loaded = find_classes(patient.application)
    if loaded.own:
        classes = "job class" if len(loaded.own) == 1 else "job classes"
        message = f"{len(loaded.own)} {classes} here: {', '.join(loaded.own)}"
        yield Finding("app", OK, message, data={"classes": loaded.own})
    elif not config.app:
        message = "no app module is named, so your job classes were not checked"
        yield Finding("app", WARNING, message, "name your modules: --app myapp.jobs")
    elif not broken:
        modules = ", ".join(config.app)
        yield Finding(
            "app", WARNING, f"no job class was found in {modules}", "is it the right one?"
        )


# --- the store -------------------------------------------------------------------------------


def check_store(patient: Patient) -> Iterator[Finding]:
    """Open the store, write to it, measure the time, and pass on its own report."""
    store = patient.store
    report = store.check()
    yield Finding("store", OK, f"{store.url} ({_report_line(report)})", data=report)
    yield from complaints("store", report)
    yield from _index_findings(patient)
    yield _round_trip(store)


def _index_findings(patient: Patient) -> Iterator[Finding]:
    for collection, spec, refused in patient.application.create_indexes(patient.store):
        if refused is not None:
            yield Finding(
                "store",
                PROBLEM,
                f"the index {spec['name']} of {collection} is not as it should be: {refused}",
                "see rocketjob store indexes",
                {"collection": collection, "index": spec["name"]},
            )


def _report_line(report: dict[str, Any]) -> str:
    parts = [str(report.get("store", "store"))]
    parts += [str(value) for key, value in report.items() if key.endswith("_version")][:1]
    if "bytes" in report:
        parts.append(megabytes(report["bytes"]))
    if "deployment" in report:
        parts.append(str(report["deployment"]))
        parts.append("transactions" if report.get("transactions") else "no transactions")
        parts.append(f"wake-up by {report.get('wake-up')}")
    if "synchronous" in report:
        parts.append(f"synchronous {report['synchronous']}")
    return ", ".join(parts)


def _round_trip(store: Store) -> Finding:
    """Write, read and remove a document among the events, where nothing mistakes it for work."""
    events, times = store.collection(COLLECTION), []
    for _ in range(5):
        began, id = clock.monotonic(), ObjectId()
        document = {"_id": id, "name": "doctor", "action": "ping", "created_at": clock.now()}
        events.insert_one(document)
        events.find_one({"_id": id})
        events.delete_one({"_id": id})
        times.append((clock.monotonic() - began) / 3)
    seconds = sorted(times)[len(times) // 2]
    message = f"readable and writable, {seconds * 1000:.1f} ms per operation"
    data = {"seconds": round(seconds, 6)}
    if seconds < SLOW_SECONDS:
        return Finding("store", OK, message, data=data)
    return Finding("store", WARNING, message, "that is slow: check its disk or network", data)


# --- servers ---------------------------------------------------------------------------------


def check_servers(patient: Patient) -> Iterator[Finding]:
    """Check whether any server can run jobs."""
    patient.servers = list(Server.all().order_by("name"))
    living, due, waiting = patient.living, _due().count(), _open()
    yield from _problems_of(living)
    for server in patient.servers:
        if server not in living:
            yield _zombie(server, bool(living))
    data = {
        "alive": len(living),
        "zombies": len(patient.servers) - len(living),
        "due": due,
        "waiting": waiting,
    }
    status = PROBLEM if due or waiting else WARNING
    if not living:
        message = f"no server is running; {counted(due, 'job')} due"
        if waiting:
            message += f", {waiting:,} running that wait for workers"
        advice = "start one: rocketjob server --app ..."
        yield Finding("servers", status, message, advice, data)
    elif not any(server.starts_jobs for server in living):
        states = ", ".join(f"{server.name} is {server.state}" for server in living)
        message = f"no server starts jobs: {states}"
        yield Finding("servers", status, message, RESUME, data)
    else:
        yield Finding("servers", OK, _servers_line(living), data=data)
    yield from without_workers(living, due + waiting)


def _problems_of(servers: list[Server]) -> Iterator[Finding]:
    """Report what went wrong with the plugins of servers, in their own processes."""
    for server in servers:
        for text in server.problems:
            message, data = f"on the server {server.name}: {text}", {"server": server.name}
            yield Finding("plugins", PROBLEM, message, data=data)


def _servers_line(living: list[Server]) -> str:
    workers = sum(server.max_workers for server in living)
    names = ", ".join(
        server.name if server.state == "running" else f"{server.name} ({server.state})"
        for server in living
    )
    return f"{len(living)} alive with {workers} workers: {names}"


def _zombie(server: Server, others: bool) -> Finding:
    limit = int(MISSED_BEATS * server.heartbeat_seconds)
    advice = (
        f"the other servers remove it within {limit} s of its last heartbeat"
        + ("" if server.is_gone() else "; if it is alive, its clock is behind this one's")
        if others
        else "start a server: it reclaims the work of this one and removes it"
    )
    return Finding(
        "servers",
        WARNING if others else PROBLEM,
        f"{server.name} is a zombie: {_why_dead(server)}",
        advice,
        {"server": server.name, "host": server.host, "pid": server.pid},
    )


def _why_dead(server: Server) -> str:
    if server.is_gone():
        return f"its process {server.pid} has ended"
    return f"its last heartbeat was {relative(server.heartbeat_at)}"


def check_clock(patient: Patient) -> Iterator[Finding]:
    """Compare this clock with the times in the servers' heartbeats."""
    now, beats = clock.now(), [s for s in patient.servers if s.heartbeat_at is not None]
    ahead = {server.name: _ahead(server, now) for server in beats}
    wrong = {name: seconds for name, seconds in ahead.items() if seconds > SKEW_SECONDS}
    for name, seconds in wrong.items():
        yield Finding(
            "clock",
            WARNING,
            f"the clock of {name} is at least {span(seconds)} ahead of this one",
            "synchronise the clocks (chrony, systemd-timesyncd): each server compares run_at "
            "and expires_at with its own. No living server loses work because of it",
            {"server": name, "seconds": round(seconds, 3)},
        )
    if wrong:
        return
    message = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    yield Finding(
        "clock",
        OK,
        f"{message}, the same as on the servers" if beats else message,
        data={"now": now},
    )


def _ahead(server: Server, now: datetime) -> float:
    return (server.heartbeat_at - now).total_seconds() if server.heartbeat_at else 0.0


# --- jobs ------------------------------------------------------------------------------------


def check_classes(patient: Patient) -> Iterator[Finding]:
    """Look for jobs that wait, queued or for workers to join, whose class no server has loaded."""
    if not patient.living:
        return  # check_servers has said that none is running
    missing = unserved(patient.store)
    for name, count in missing.items():
        yield Finding(
            "classes",
            PROBLEM,
            f"{name}: {counted(count, 'job')} queued or to be joined, and no living server has "
            "loaded that class",
            "start a server with its module in --app, without a filter that excludes it; if the "
            "class is gone, remove the jobs",
            {"class": name, "queued": count},
        )
    if not missing:
        yield Finding("classes", OK, "a living server has loaded the class of every job that waits")


def check_jobs(patient: Patient) -> Iterator[Finding]:
    """Look for jobs that are stuck, late or failed."""
    yield from _stuck(patient)
    yield from _unheld(patient)
    yield from left_out(patient)
    yield from awaited(patient)
    yield from hanging(patient)
    yield from _oldest(patient)
    yield from _of_no_plugin(patient)
    failed = Job.failed().count()
    if failed:
        advice = "see why: rocketjob jobs list --state failed"
        yield Finding(
            "jobs", WARNING, f"{counted(failed, 'job')} failed", advice, {"failed": failed}
        )
    else:
        yield Finding("jobs", OK, "no job has failed", data={"failed": 0})


def _stuck(patient: Patient) -> Iterator[Finding]:
    """Look for claims of processes whose server is dead: running jobs, and parts of jobs."""
    living = {server.incarnation for server in patient.living}
    holders = owners(patient.store, patient.application.plugins)
    lost = sorted(one for one in holders if one.partition(".")[0] not in living)
    if not lost:
        return
    count = Job.running().where({"claimed_by": {"$in": lost}}).count()
    yield Finding(
        "jobs",
        WARNING if patient.living else PROBLEM,
        f"work is held by processes of dead servers: {counted(count, 'job')} running",
        "the living servers reclaim it within a minute"
        if patient.living
        else "start a server: it reclaims the work",
        {"owners": lost, "running": count},
    )


def _unheld(patient: Patient) -> Iterator[Finding]:
    """Look for jobs that are running, by their state, and that nobody has."""
    jobs = [f"{job.type_name()} {job.id}" for job in unheld(patient.store)]
    if jobs:
        names = ", ".join(jobs[:5]) + (", and more" if len(jobs) > 5 else "")
        yield Finding(
            "jobs",
            WARNING if patient.living else PROBLEM,
            f"{counted(len(jobs), 'job')} running, and no worker has claimed it: {names}",
            "was start() called outside a worker? A server queues it again after four heartbeats"
            if patient.living
            else "start a server: it queues it again; or rocketjob jobs event requeue",
            {"jobs": jobs},
        )


def _of_no_plugin(patient: Patient) -> Iterator[Finding]:
    """Look for jobs in a state of a plugin that is not here: nothing will ever move them."""
    known = known_states(Job)
    for state, count in patient.store.count_by(Job.collection_name, "state").items():
        if state not in known:
            yield Finding(
                "jobs",
                PROBLEM,
                f"{counted(count, 'job')} {state}, a state of no plugin that is loaded here",
                "install or enable the plugin again, or name the module of the class in --app; "
                f"or give them up: rocketjob jobs abort --all-matching --state {state}",
                {"state": state, "jobs": count},
            )


def _oldest(patient: Patient) -> Iterator[Finding]:
    job = _due().order_by("id").first()
    if job is None:
        yield Finding("jobs", OK, "none is due", data={"due": 0})
        return
    waited = clock.now() - (job.run_at or job.created_at)
    name = job.class_name if isinstance(job, UnknownJob) else job.type_name()
    message = f"{counted(_due().count(), 'job')} due; the oldest, {name}, waits for "
    late = waited > LONG_WAIT
    yield Finding(
        "jobs",
        WARNING if late else OK,
        message + span(waited.total_seconds()),
        "are there enough workers, and does a server take its class and priority?" if late else "",
        {"id": job.id, "seconds": waited.total_seconds()},
    )


def _due() -> Any:
    return Job.queued_now()


def _open() -> int:
    """Count the running jobs that workers join, as batch jobs; of any class, loaded or not."""
    return Job.where(UNCLAIMED).count()
