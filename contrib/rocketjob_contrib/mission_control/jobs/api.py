"""Jobs by the API: listed, read, stored, edited, and all that can be done with one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from rocketjob import Job, UnknownJob
from rocketjob.base.errors import NotFound, RocketJobError, ValidationError
from rocketjob.base.passwords import HIDDEN, without_passwords
from rocketjob.base.text import did_you_mean
from rocketjob.cli import job_json
from rocketjob.cli.errors import BadInput
from rocketjob.cli.job_class import build
from rocketjob.jobs.exception import message_of
from rocketjob.jobs.search import LONGEST, Search
from rocketjob.jobs.shown import class_name, load, problem_of
from rocketjob.jobs.steering import Overtaken
from rocketjob.jobs.steering import edit as save_as_read
from rocketjob.model import registry
from rocketjob.model.encrypted_fields import Sealed
from rocketjob.model.fields import Field
from rocketjob.model.record import record_of
from rocketjob.store import Filter, Stored
from rocketjob.store.documents.matcher import compile_match
from rocketjob.store.documents.values import normalise
from rocketjob_contrib.mission_control import categories
from rocketjob_contrib.mission_control.api import cursors, guards
from rocketjob_contrib.mission_control.api.operations import PAGED, Operation, operation, shown_at
from rocketjob_contrib.mission_control.api.problems import Fault, Problem, invalid
from rocketjob_contrib.mission_control.api.schemas import (
    ANYTHING,
    FREE,
    Schema,
    body,
    choice,
    page_of,
    pointer,
    ref,
    resource,
    several,
    text,
)
from rocketjob_contrib.mission_control.code_fields import code_problem
from rocketjob_contrib.mission_control.errors import Missing
from rocketjob_contrib.mission_control.forms import NO_CODE, controls_for
from rocketjob_contrib.mission_control.jobs import actions, batch, edit, tabs
from rocketjob_contrib.mission_control.jobs.actions import Action
from rocketjob_contrib.mission_control.jobs.box import box_of
from rocketjob_contrib.mission_control.jobs.finding import BUILT_IN, job_in_path
from rocketjob_contrib.mission_control.jobs.searching import by_id

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.api.view import ApiView

NAME = text(200, least=1)
SECONDS = 0.4  # that a search looks for
AT_A_TIME = 1000  # jobs that are read in one go for it
LISTED = (
    "_type",
    "state",
    "description",
    "priority",
    "created_at",
    "started_at",
    "completed_at",
    "run_at",
    "percent_complete",
    "failure_count",
    "worker_name",
    "exception.class_name",
    "exception.message",
)
"""What is read of each job of a list."""
SETTINGS = {"type": "object", "additionalProperties": FREE}
REASON = text(500)
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
EDITED = body((), fields=FREE, input_categories=SETTINGS, output_categories=SETTINGS, reason=REASON)


def operations() -> list[Operation]:
    """Return the operations."""
    events = [each for each in actions.all_actions() if each.event != "destroy"]
    return [*_reading(), *_changing(), *map(_transition, events)]


def _reading() -> list[Operation]:
    states = [*(tab.name for tab in tabs.all_tabs() if tab.counted is not None)]
    listed = {"state": choice(*states), "class": NAME, "q": text(LONGEST, least=1), **PAGED}
    return [
        operation(
            "GET /jobs",
            listing,
            "list_jobs",
            "List jobs, the newest first; `q` is a search as in the search box of the pages.",
            query=listed,
            returns=page_of("JobRow"),
            pages=shown_at(*(tab.path for tab in tabs.all_tabs())),
        ),
        operation(
            "GET /jobs/{id}",
            show,
            "get_job",
            "Return all that is known of a job.",
            target=job_in_path,
            returns=ref("Job"),
            has_etag=True,
        ),
        operation(
            "GET /jobs/{id}/explain",
            explain,
            "explain_job",
            "Say why a job is not running now, and when it could.",
            target=job_in_path,
            returns=ref("Explanation"),
        ),
        operation(
            "GET /jobs/{id}/exceptions",
            exceptions,
            "list_exceptions",
            "Return the failed slices of a batch job by exception.",
            target=job_in_path,
            returns=resource(data=several(ref("FailureGroup"))),
        ),
    ]


def _changing() -> list[Operation]:
    new = body(
        ("class",),
        **{"class": NAME},
        fields=FREE,
        arguments=several(ANYTHING, 100),
        keyword_arguments=FREE,
        reason=REASON,
    )
    return [
        operation(
            "POST /jobs",
            create,
            "create_job",
            "Store a job of a class that is loaded in the web process.",
            permission="jobs.create",
            body=new,
            returns=ref("Job"),
            status=201,
            has_etag=True,
        ),
        operation(
            "PATCH /jobs/{id}",
            update,
            "update_job",
            "Change fields of a job that people may edit; null is a value.",
            permission="jobs.edit",
            target=job_in_path,
            body=EDITED,
            match="may",
            returns=ref("Job"),
            has_etag=True,
        ),
        operation(
            "DELETE /jobs/{id}",
            doing(actions.ACTIONS["destroy"]),
            "delete_job",
            "Remove a job from the store.",
            permission="jobs.destroy",
            target=job_in_path,
            match="may",
            pages=("/jobs/{id}/destroy",),
        ),
    ]


def _transition(action: Action) -> Operation:
    more = {actions.BUDGET: SHARE} if action.event == "approve" else {}
    return operation(
        f"POST /jobs/{{id}}/{action.event}",
        doing(action),
        f"{action.event}_job",
        action.warning,
        permission=f"jobs.{action.event}",
        target=job_in_path,
        body=body((), state=NAME, reason=REASON, **more),
        match="may",
        returns=ref("Job"),
        has_etag=True,
    )


# --- lists -------------------------------------------------------------------------------------


def listing(view: ApiView) -> Response:
    """List jobs, the newest first."""
    asked = view.params
    tab = next((each for each in tabs.all_tabs() if each.name == asked.get("state")), None)
    query = Job.all() if tab is None else Job.where(tab.query().filter())
    if "class" in asked:
        query = query.where({"_type": asked["class"]})
    last = cursors.after(view, "jobs", cursors.object_id)
    if last is not None:
        query = query.where({"_id": {"$lt": last}})
    if "q" in asked:
        return _searched(view, query.filter(), _understood(view, asked["q"]))
    found = list(_stored(query.filter(), cursors.size_of(view) + 1))
    return cursors.page(
        view, "jobs", found, lambda stored: row_of(view, stored), lambda stored: stored["_id"]
    )


def _stored(filter: Filter, limit: int = 0, also: Iterable[str] = ()) -> Iterator[Stored]:
    also = set(also)  # of which the whole is read
    names = ("_id", *(name for name in LISTED if name.partition(".")[0] not in also), *also)
    fields = dict.fromkeys(names, 1)
    return iter(Job.collection().find(filter, fields, sort=[("_id", -1)], limit=limit))


def _one_after_the_other(filter: Filter, also: Iterable[str]) -> Iterator[Stored]:
    """Yield jobs, of which as many as wanted are looked at: the store brings some at a time."""
    following = filter
    while True:
        last = None
        for stored in _stored(following, AT_A_TIME, also):
            last = stored
            yield stored
        if last is None:
            return
        following = {"$and": [filter, {"_id": {"$lt": last["_id"]}}]}


def _understood(view: ApiView, text: str) -> Search:
    box = box_of(view, text)
    if box.problem is not None:
        raise Problem(400, f"q {box.problem}", [Fault("q", box.problem.problem)])
    assert box.search is not None
    return box.search


def _searched(view: ApiView, filter: Filter, search: Search) -> Response:
    """Look for what no index has: after a while the page ends, and `next` goes on."""
    size, until = cursors.size_of(view), time.monotonic() + SECONDS
    matches = compile_match(normalise(search.filter))
    if (ids := by_id(search)) is not None:
        filter = {"$and": [filter, {"_id": ids}]}
    found: list[Stored] = []
    following = None
    for stored in _one_after_the_other(filter, search.fields):
        if matches(stored):
            found.append(stored)
        if len(found) == size or time.monotonic() > until:
            following = cursors.cursor("jobs", stored["_id"])
            break
    return view.json({"data": [row_of(view, each) for each in found], "next": following})


def row_of(view: ApiView, stored: Stored) -> dict[str, Any]:
    """Return a job in a list, of what was read for that."""
    error = stored.get("exception")
    rest = {name: value for name, value in stored.items() if name != "exception"}
    job = load(rest, read=rest, relied_on=BUILT_IN)
    return {**_always(job), "exception": _brief_exception(view, job, error)}


def _always(job: Job) -> dict[str, Any]:
    names = ("description", "priority", "created_at", "started_at", "completed_at", "run_at")
    more = ("percent_complete", "failure_count", "worker_name")
    return {
        "id": str(job.id),
        "class": class_name(job),
        "known_class": not isinstance(job, UnknownJob),
        "state": job.state,
        **{name: getattr(job, name) for name in (*names, *more)},
        "problem": problem_of(job),
    }


def _brief_exception(view: ApiView, job: Job, stored: Any) -> dict[str, Any] | None:
    if not isinstance(stored, dict):
        return None
    name, message = stored.get("class_name"), stored.get("message")
    return {
        "class_name": None if name is None else str(name),
        "message": None if message is None else view.quoted(str(message), job),
    }


# --- one job -----------------------------------------------------------------------------------


def show(view: ApiView) -> Response:
    """Return all that is known of a job."""
    return _answer(view, view.target)


def _answer(view: ApiView, job: Job, status: int = 200) -> Response:
    location = f"/jobs/{job.id}" if status == 201 else None
    values = _details(view, job)
    return view.json(values, status, etag=version_of(job), location=location)


def _now(view: ApiView) -> Response:
    """Return the job of the path as it is after a change; it may be gone by then."""
    stored = Job.collection().find_one({"_id": view.target.id})
    if stored is None:
        return view.json(_details(view, view.target))
    return _answer(view, load(stored, relied_on=BUILT_IN))


def _details(view: ApiView, job: Job) -> dict[str, Any]:
    values = job_json.details(job)
    del values["possible_events"]
    values["exception"] = view.quoted_exception(values["exception"], job)
    for entry in values["history"]:
        if not entry.get("by"):  # what a person gave as a reason quotes nothing
            entry["reason"] = view.quoted(entry.get("reason"), job) or None
    values["actions"] = [each.event for each in actions.actions_for(view, job)]
    if edit.may_edit(view, job):
        values["actions"].append("edit")
    return {name: _without_sealed(value) for name, value in values.items()}


def _without_sealed(value: Any) -> Any:
    """Return a value without what is encrypted in it, as properties of other jobs may be."""
    if isinstance(value, Sealed):
        return HIDDEN
    if isinstance(value, Mapping):
        return {key: _without_sealed(item) for key, item in value.items()}
    return [_without_sealed(item) for item in value] if isinstance(value, list) else value


def version_of(job: Job) -> str:
    """Return what tells whether a job is still as it was seen: its state, and what may be edited.

    How far it is, and when it was last written, is not part of that: a job that runs can be edited.
    """
    keys = ("state", *sorted(f.key for f in job.fields().values() if f.user_editable))
    return guards.version(record_of(job).stored or {}, keys)


def explain(view: ApiView) -> Response:
    """Say why a job is not running now."""
    said = view.target.explain()
    reasons = [{"name": r.name, "text": r.text, "until": r.until} for r in said.reasons]
    head = {"state": said.state, "until": said.until, "note": said.note}
    return view.json({**head, "reasons": reasons})


def exceptions(view: ApiView) -> Response:
    """Return the failed slices of a batch job by exception."""
    job = view.target
    groups = batch.failures_of(job) if batch.is_batch(job) else []
    return view.json(
        {
            "data": [
                {
                    "class_name": group.class_name,
                    "count": group.count,
                    "messages": [view.quoted(message, job) for message in group.messages],
                }
                for group in groups
            ]
        }
    )


# --- events ------------------------------------------------------------------------------------


def doing(action: Action) -> Callable[[ApiView], Response]:
    """Return the view that makes an action, as the page does, if the job is as it was seen."""
    do = actions.doing(action)

    def answer(view: ApiView) -> Response:
        job: Job = view.target
        seen = view.body.get("state")
        if guards.must_match(view, version_of(job), f"{class_name(job)} {job.id}"):
            seen = seen or job.state
        budget = view.body.get(actions.BUDGET)
        given = None if budget is None else str(budget)
        view.by_page(do, [("state", seen), (actions.BUDGET, given)])
        return view.nothing() if action.event == "destroy" else _now(view)

    return answer


# --- storing, editing --------------------------------------------------------------------------


def create(view: ApiView) -> Response:
    """Store a job."""
    cls, fields = _class(view), view.body.get("fields", {})
    may_code = edit.may_code(view, None)
    if not may_code and (problem := code_problem(cls.type_name(), fields, {})):
        raise invalid([Fault("#/fields", problem)])
    try:
        arguments = view.body.get("arguments", ()), view.body.get("keyword_arguments", {})
        job = build(cls, fields, *arguments).submit()
    except ValidationError as error:
        raise _refused(error) from error
    except (BadInput, RocketJobError, ValueError, TypeError, NotImplementedError) as error:
        if isinstance(error.__cause__, ValidationError):
            raise _refused(error.__cause__) from error
        raise Problem(422, _why(error)) from error
    actions.log_change(view, "create", job)
    tabs.forget_counts(view)
    stored = Job.collection().find_one({"_id": job.id})  # it may have been taken by now
    return _answer(view, job if stored is None else load(stored, relied_on=BUILT_IN), 201)


def _class(view: ApiView) -> type[Job]:
    """Return the class that is named; nothing is ever imported for that."""
    name = view.body["class"]
    found = registry.lookup(name, Job)
    if found is not None and found is not Job:
        return found
    known = sorted(each.type_name() for each in registry.loaded_classes(Job))
    hint = did_you_mean(name, known, "name its module in `app`")
    why = f"{name[:100]} is not loaded in the web process; {hint}"
    raise invalid([Fault("#/class", why)])


def _refused(error: ValidationError) -> Problem:
    faults = [
        Fault(pointer("#/fields", name), text)
        for name, texts in error.errors.items()
        for text in texts
    ]
    status = 409 if error.conflict else 422
    return Problem(status, str(error), faults)


def _why(error: Exception) -> str:
    return error.format_message() if isinstance(error, BadInput) else message_of(error)


def update(view: ApiView) -> Response:
    """Change fields of a job, as it was read."""
    job = edit.as_stored(view)
    name = f"{class_name(job)} {job.id}"
    if why := edit.why_not(job):
        raise Problem(409, f"{name} cannot be edited: {why}")
    guards.must_match(view, version_of(job), name)
    values = _values(view, job)
    if values:
        _save(view, job, values)
    return _now(view)


def _save(view: ApiView, job: Job, values: dict[str, Any]) -> None:
    try:
        save_as_read(job, values)
    except ValidationError as error:
        raise _refused(error) from error
    except Overtaken as error:
        raise Problem(412, str(error)) from error
    except NotFound as error:
        raise Missing(f"{class_name(job)} {job.id} is gone: nothing was saved") from error
    except (RocketJobError, ValueError, TypeError) as error:
        raise Problem(422, message_of(error)) from error
    edit.log_saved(view, job, values)


def _values(view: ApiView, job: Job) -> dict[str, Any]:
    """Return the fields that are to be set.

    Raises:
        Problem: one is not there, may not be edited, or is given what it cannot be.
    """
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, given in view.body.get("fields", {}).items():
        try:
            values[name] = _value(view, job, name, given)
        except (ValueError, RocketJobError) as error:
            faults.append(Fault(pointer("#/fields", name), str(error)))
    for which in categories.WHICH:
        present = edit.categories_of(job, which)
        changed = _changed(present, which, view.body.get(which, {}), faults)
        if changed != present:
            values[which] = changed
    if not faults and (problem := edit.code_refusal(view, job, values)):
        faults.append(Fault("#/fields/properties", problem))
    if faults:
        raise invalid(faults)
    return values


def _value(view: ApiView, job: Job, name: str, given: Any) -> Any:
    """Return a value that is given for a field.

    Raises:
        ValueError, RocketJobError: it cannot be.
    """
    field = job.fields().get(name)
    if field is None or name in categories.WHICH:
        raise ValueError("there is no such field")
    if not field.user_editable or field.read_only:
        raise ValueError("is not a field that people may edit")
    if field.code and not edit.may_code(view, job):
        raise ValueError(NO_CODE)
    if given is None:
        if not field.codec.optional:
            raise ValueError("must not be null")
        return None
    _refuse_hidden(job, field, given)
    try:
        return field.codec.from_text(given)
    except ValueError as error:
        (message,) = field.unless_secret([str(error)]) or ["cannot be that"]
        raise ValueError(message) from None


def _refuse_hidden(job: Job, field: Field, given: Any) -> None:
    """Refuse what stands for a secret: sent back, it would take the place of the secret."""
    if field.encrypted and given == HIDDEN:
        raise ValueError(f"{HIDDEN} stands for a value that is hidden: leave the field out")
    stored = (record_of(job).stored or {}).get(field.key)
    hidden = without_passwords(stored)
    if hidden != stored and given == hidden:
        raise ValueError(f"has {HIDDEN} in the place of a password: write the password itself")


def _changed(
    present: list[Any], which: str, given: dict[str, Any], faults: list[Fault]
) -> list[Any]:
    """Return the categories with the settings that are given, by the names of categories."""
    changed = list(present)
    for name, settings in given.items():
        at = next((n for n, each in enumerate(changed) if each.name == name), None)
        if at is None:
            there = ", ".join(each.name for each in present) or "none"
            faults.append(Fault(pointer(f"#/{which}", name), f"is no category; there is {there}"))
            continue
        for key, value in settings.items():
            place = pointer(pointer(f"#/{which}", name), key)
            try:
                changed[at] = _with_setting(changed[at], key, value)
            except ValueError as error:
                faults.append(Fault(place, str(error)))
    return changed


def _with_setting(category: Any, key: str, value: Any) -> Any:
    specs = {spec.name: spec for spec in categories.specs_of(type(category))}
    if key not in specs:
        raise ValueError(f"cannot be set; there is {', '.join(specs)}")
    choices = specs[key].choices
    if choices and value is not None and value not in choices:
        raise ValueError(f"must be one of {', '.join(map(str, choices))}")
    (control,) = controls_for([specs[key]], {})
    parsed = specs[key].codec.from_text(value)
    category, control = categories.with_value(category, control, parsed)
    if control.errors:
        raise ValueError("; ".join(control.errors))
    return category
