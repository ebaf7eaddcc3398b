"""What a message says: as data for a webhook, and in words for a mail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rocketjob import Job, Server, now

LONGEST = 500  # characters of an error
MANY = 20  # jobs that are named
EVENTS = {"failed": "fail", "completed": "complete", "aborted": "abort"}  # by the state of a job
DID = {"fail": "failed", "complete": "completed", "abort": "was aborted"}


def of_job(job: Job, event: str) -> dict[str, Any]:
    """Return how a job ended."""
    error = job.exception if event == "fail" else None
    return {
        "event": event,
        "state": job.state,
        "at": now(),
        "job": {"id": str(job.id), "class": type(job).__name__, "description": job.description},
        "error": error and {"class": error.class_name, "message": (error.message or "")[:LONGEST]},
    }


def of_server(server: Server, event: str, **more: Any) -> dict[str, Any]:
    """Return what has become of a server or of one of its worker processes."""
    return {
        "event": event,
        "at": now(),
        "server": {"name": server.name, "host": server.host},
        **more,
    }


def of_worker(server: Server, worker: str, how: str, performing: Sequence[str]) -> dict[str, Any]:
    """Return how a worker process died, and what it was at."""
    jobs = list(performing[:MANY])
    return of_server(server, "worker_died", worker=worker, how=how[:LONGEST], performing=jobs)


def headline(content: Mapping[str, Any]) -> str:
    """Say in one line what has happened."""
    if content["event"] == "server_lost":
        return f"Server {content['server']['name']} died: its heartbeat stopped"
    if content["event"] == "worker_died":
        return f"{content['worker']} died: {content['how']}"
    error = content["error"]
    detail = f": {error['class']}: {error['message']}" if error else ""
    return f"{content['job']['class']} {DID[content['event']]}{detail}"


def details(content: Mapping[str, Any]) -> list[str]:
    """Return the lines below: of what it was, and how to look at it."""
    if server := content.get("server"):
        performing = content.get("performing", ())
        told = ["It was at:", *(f"  {each}" for each in performing)] if performing else []
        return [f"Host: {server['host']}", *told, "", "rocketjob servers list"]
    job = content["job"]
    described = f" ({job['description']})" if job["description"] else ""
    return [f"Job: {job['id']}{described}", "", f"rocketjob jobs show {job['id']}"]
