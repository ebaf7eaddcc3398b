"""The section Jobs: lists for every state, the page of a job, and what can be done with it."""

from __future__ import annotations

from rocketjob import application
from rocketjob_contrib.mission_control.access import Permission
from rocketjob_contrib.mission_control.jobs import (
    actions,
    api,
    bulk,
    bulk_api,
    edit,
    export,
    job_page,
    list_page,
    previous,
    related,
    schedule_form,
    shown_api,
    tabs,
    waiting,
)
from rocketjob_contrib.mission_control.jobs.finding import job_in_path
from rocketjob_contrib.mission_control.routes import Route, asked_first, change, get
from rocketjob_contrib.mission_control.sections import Section
from rocketjob_contrib.mission_control.slices import api as api_of_slices
from rocketjob_contrib.mission_control.slices import (
    changing,
    failed_records,
    map_page,
    rejects,
    retrying,
    viewing,
)
from rocketjob_contrib.mission_control.slices import shown_api as shown_of_slices

PERMISSIONS = (
    Permission("jobs.export", "view"),
    Permission("jobs.create", "admin"),
    Permission("jobs.edit", "manager", own=True),
    Permission("jobs.code", "admin"),
    Permission("jobs.pause", "manager", own=True),
    Permission("jobs.resume", "manager", own=True),
    Permission("jobs.approve", "manager", own=True),
    Permission("jobs.retry", "manager", own=True),
    Permission("jobs.abort", "manager", own=True),
    Permission("jobs.fail", "manager"),
    Permission("jobs.run_now", "manager"),
    Permission("jobs.destroy", "admin"),
    Permission("jobs.bulk", "user"),  # what is done needs its own, for each job
    Permission("slices.view", "editor"),
    Permission("jobs.capsule", "editor"),
    Permission("jobs.capsule_secrets", "admin"),
    Permission("slices.edit", "editor"),
)


def section() -> Section:
    """Return the section."""
    return Section(
        name="jobs",
        title="Jobs",
        icon="jobs",
        home="/jobs/running",
        routes=(*_lists(), *_many(), *_job(), *_actions(), *_slices(), *_capsules()),
        permissions=(*PERMISSIONS, *_of_plugins()),
        tabs=tabs.entries,
        order=10,
        api=(
            *bulk_api.operations(),
            *api.operations(),
            *shown_api.operations(),
            *api_of_slices.operations(job_in_path),
            *shown_of_slices.operations(job_in_path),
        ),
    )


def _of_plugins() -> list[Permission]:
    """Return the permissions for the events of states that plugins bring."""
    return [
        Permission(f"jobs.{action.event}", "manager", own=True) for action in actions.of_plugins()
    ]


def _lists() -> list[Route]:
    routes = []
    for tab in tabs.all_tabs():
        routes.append(get(tab.path, list_page.page_of(tab)))
        routes.append(get(f"{tab.path}.json", list_page.json_of(tab)))
        routes.append(get(f"{tab.path}.csv", export.csv_of(tab), "jobs.export"))
        routes.append(get(f"{tab.path}.jsonl", export.json_lines_of(tab), "jobs.export"))
    return routes


def _many() -> list[Route]:
    return asked_first(bulk.PATH, bulk.ask_first, bulk.do, "jobs.bulk", methods=("POST",))


def _job() -> list[Route]:
    return [
        get("/jobs/{id}", job_page.show, target=job_in_path),
        get("/jobs/{id}/explain", waiting.show, target=job_in_path),
        get("/jobs/{id}/related", related.show, target=job_in_path),
        get("/jobs/{id}/runs", previous.show, target=job_in_path),
        get("/jobs/{id}/edit", edit.show, "jobs.edit", job_in_path),
        get("/jobs/{id}/schedule", schedule_form.show, "jobs.edit", job_in_path),
        change("/jobs/{id}", edit.save, "jobs.edit", job_in_path, ("POST", "PUT", "PATCH")),
    ]


def _actions() -> list[Route]:
    routes: list[Route] = []
    for action in actions.all_actions():
        path = f"/jobs/{{id}}/{action.event}"
        ask, do = actions.asking(action), actions.doing(action)
        routes += asked_first(path, ask, do, f"jobs.{action.event}", job_in_path)
    destroy = actions.doing(actions.ACTIONS["destroy"])
    return [*routes, change("/jobs/{id}", destroy, "jobs.destroy", job_in_path, ("DELETE",))]


def _capsules() -> list[Route]:
    if "capsule" not in application.current().plugins.names:
        return []
    from rocketjob_contrib.mission_control.jobs import capsules  # only where it is loaded

    path, ask, do = "/jobs/{id}/capsule", capsules.ask, capsules.download
    return asked_first(path, ask, do, "jobs.capsule", job_in_path, ("POST",))


def _slices() -> list[Route]:
    view, edit, either = "slices.view", "slices.edit", ("POST", "PATCH")
    return [
        get("/jobs/{id}/slices", map_page.show, target=job_in_path),
        get("/jobs/{id}/exceptions", viewing.groups, target=job_in_path),
        get("/jobs/{id}/exception", viewing.exception, target=job_in_path),
        get("/jobs/{id}/view_slice", viewing.records, view, job_in_path),
        get("/jobs/{id}/failed_records", failed_records.show, view, job_in_path),
        get("/jobs/{id}/failed_records/download", failed_records.download, view, job_in_path),
        change("/jobs/{id}/failed_records", failed_records.upload, edit, job_in_path),
        get("/jobs/{id}/rejects", rejects.show, view, job_in_path),
        get("/jobs/{id}/rejects/download", rejects.download, view, job_in_path),
        change("/jobs/{id}/rejects", rejects.upload, edit, job_in_path),
        get("/jobs/{id}/edit_slice", changing.form, edit, job_in_path),
        change("/jobs/{id}/update_slice", changing.save, edit, job_in_path, either),
        *asked_first(
            "/jobs/{id}/delete_line", changing.ask_delete, changing.delete, edit, job_in_path
        ),
        *asked_first(
            "/jobs/{id}/retry_slice", changing.ask_retry, changing.retry, "jobs.retry", job_in_path
        ),
        *asked_first(
            "/jobs/{id}/retry_slices", retrying.ask, retrying.retry, "jobs.retry", job_in_path
        ),
    ]
