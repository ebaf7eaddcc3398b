"""The JSON API: what it answers, what it refuses, and that nothing is changed that was not seen."""

import json
from datetime import timedelta
from operator import eq
from pathlib import Path

import pytest
from starlette.responses import RedirectResponse

from rocketjob import Job, field
from rocketjob.server.server import Server
from rocketjob_contrib.mission_control import (
    Identity,
    Permission,
    Section,
    WebSettings,
    create_app,
)
from rocketjob_contrib.mission_control.api.cursors import cursor
from rocketjob_contrib.mission_control.api.openapi import text_of
from rocketjob_contrib.mission_control.jobs import api
from rocketjob_contrib.mission_control.routes import change, get
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.cron import Cron
from rocketjob_plugins.dirmon.entry import DirmonEntry
from rocketjob_plugins.webhooks import outbox
from support.web import as_role, browser

FILE = Path(__file__).parents[3] / "docs" / "_static" / "openapi-v1.json"
API = "/api/v1"


class WebApiJob(Job):
    destroy_on_complete = False
    pausable = True
    note: str | None = field(default=None, user_editable=True)
    url: str | None = field(default=None, user_editable=True)
    script: str | None = field(default=None, user_editable=True, code=True)

    def perform(self): ...


class WebApiArgumentsJob(Job):
    def perform(self, file: str, *, dry: bool = False): ...


class WebApiNightlyJob(Cron, Job):
    cron_schedule = "0 3 * * * UTC"

    def perform(self): ...


class WebApiBatchJob(Batch, Job):
    destroy_on_complete = False

    def perform(self, record):
        raise ValueError(f"bad {record}")


class WebApiFileJob(Job):
    upload_file_name: str | None = None
    region: str | None = field(default=None, user_editable=True)

    def perform(self): ...


def _failed_batch(rocketjob, *records):
    job = WebApiBatchJob()
    job.upload(list(records or ("a", "b")))
    job.save()
    rocketjob.work_off()
    return job


def _problem(answer, status, name):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert eq(answer.json()["type"], f"urn:rocketjob:problem:{name}")
    assert answer.json()["status"] == status
    return answer.json()


# --- lists -------------------------------------------------------------------------------------


def test_P56_a_list_is_paged_by_cursors_and_no_row_is_there_twice(rocketjob):
    ids = [str(WebApiJob.create().id) for _ in range(5)]
    client, seen, cursor_of_next = browser(), [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor_of_next} if cursor_of_next else {})
        page = client.get(f"{API}/jobs", params=params).json()
        seen += [row["id"] for row in page["data"]]
        cursor_of_next = page["next"]
        if cursor_of_next is None:
            break
        WebApiJob.create()  # newer than the page: it is not there, and moves none
    assert eq(seen, ids[::-1])


def test_P56_a_list_is_narrowed_by_state_class_and_text(rocketjob):
    one = WebApiJob.create(description="Import ÄPFEL")
    WebApiArgumentsJob.perform_later("a.csv")
    paused = WebApiJob.create()
    paused.pause()

    def found(**params):
        return [row["id"] for row in browser().get(f"{API}/jobs", params=params).json()["data"]]

    assert eq(found(state="paused"), [str(paused.id)])
    assert eq(found(**{"class": "WebApiJob"}), [str(paused.id), str(one.id)])
    assert eq(found(q="äpfel"), [str(one.id)])
    assert eq(found(q="class:WebApiJob -state:paused created:<2h"), [str(one.id)])
    assert eq(found(q=f"id:{one.id} error:x OR äpfel"), [str(one.id)])
    assert found(state="failed") == []


def test_P17_a_search_of_the_api_that_cannot_be_understood_says_where(rocketjob):
    answer = browser().get(f"{API}/jobs", params={"q": "state:failed clas:x"})
    problem = _problem(answer, 400, "malformed")
    assert problem["detail"].startswith("q at character 14: jobs are not searched by clas")


def test_P56_a_search_goes_on_behind_what_was_read_in_one_go(rocketjob, monkeypatch):
    monkeypatch.setattr(api, "AT_A_TIME", 2)
    ids = [str(WebApiJob.create(description=f"d{n % 2}").id) for n in range(9)]
    found = browser().get(f"{API}/jobs", params={"q": "desc:d0"}).json()
    assert eq([row["id"] for row in found["data"]], ids[::-2])
    assert found["next"] is None
    monkeypatch.setattr(api, "SECONDS", 0.0)  # the time is up at once
    page = browser().get(f"{API}/jobs", params={"q": "desc:d1"}).json()
    assert page["data"] == [] and page["next"] is not None


@pytest.mark.parametrize("text", ["x", "====", "am9iczp4", "\u00e4", cursor("audit", "6" * 24)])
def test_P56_a_cursor_of_something_else_is_refused(rocketjob, text):
    _problem(browser().get(f"{API}/jobs", params={"cursor": text}), 400, "malformed")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("limit=0", "limit must be at least 1"),
        ("limit=201", "limit must be at most 200"),
        ("limit=x", "limit must be integer"),
        ("limit=" + "9" * 30, "limit must be integer"),
        ("limit=1&limit=2", "limit is there twice"),
        ("stat=failed", "stat is not a parameter; there is state"),
        ("state=nix", "state must be one of scheduled, queued"),
    ],
)
def test_P56_a_parameter_that_makes_no_sense_is_named(rocketjob, query, said):
    assert said in _problem(browser().get(f"{API}/jobs?{query}"), 400, "malformed")["detail"]


def test_P56_servers_workers_and_entries_are_paged_too(rocketjob):
    for number in range(3):
        Server.create(name=f"api:{number}")
        DirmonEntry.create(pattern=f"/in{number}/*", job_class_name="WebApiFileJob")
    for path in ("servers", "entries"):
        first = browser().get(f"{API}/{path}?limit=2").json()
        second = browser().get(f"{API}/{path}?limit=2&cursor={first['next']}").json()
        ids = {row["id"] for row in (*first["data"], *second["data"])}
        assert (len(ids), second["next"]) == (3, None)


# --- one job -----------------------------------------------------------------------------------


def test_P56_a_job_is_stored_read_changed_and_removed(rocketjob):
    client = browser()
    new = {"class": "WebApiJob", "fields": {"note": "a", "priority": 7}}
    made = client.post(f"{API}/jobs", json=new)
    assert made.status_code == 201
    path = made.headers["location"]
    assert eq(path, f"{API}/jobs/{made.json()['id']}")
    seen = client.get(path)
    assert seen.headers["etag"] == made.headers["etag"]
    assert (seen.json()["priority"], seen.json()["fields"]["note"]) == (7, "a")
    after = client.patch(path, json={"fields": {"note": None, "priority": 9}})
    assert (after.json()["priority"], after.json()["fields"]["note"]) == (9, None)
    assert client.delete(path).status_code == 204
    _problem(client.get(path), 404, "not-found")


def test_P56_a_job_gets_its_arguments(rocketjob):
    body = {"class": "WebApiArgumentsJob", "arguments": ["a.csv"]}
    made = browser().post(f"{API}/jobs", json=body | {"keyword_arguments": {"dry": True}})
    assert made.status_code == 201
    assert Job.find(made.json()["id"]).arguments is not None
    problem = _problem(
        browser().post(f"{API}/jobs", json={"class": "WebApiArgumentsJob"}), 422, "invalid"
    )
    assert "missing a required argument" in problem["detail"]


@pytest.mark.parametrize("name", ["WebApiJo", "os.system", "Job", "rocketjob:Job", "builtins.exec"])
def test_P56_no_class_is_imported_for_a_name(rocketjob, name):
    problem = _problem(browser().post(f"{API}/jobs", json={"class": name}), 422, "invalid")
    assert eq(problem["errors"][0]["pointer"], "#/class")
    assert Job.count() == 0


def test_P56_what_is_wrong_is_named_with_its_place(rocketjob):
    fields = {"priority": "high", "prority": 3}
    problem = _problem(
        browser().post(f"{API}/jobs", json={"class": "WebApiJob", "fields": fields}), 422, "invalid"
    )
    pointers = {each["pointer"] for each in problem["errors"]}
    assert eq(pointers, {"#/fields/priority", "#/fields/prority"})
    job = WebApiJob.create()
    answer = browser().patch(f"{API}/jobs/{job.id}", json={"fields": {"priority": 0, "state": "x"}})
    assert eq(
        {each["pointer"] for each in _problem(answer, 422, "invalid")["errors"]},
        {"#/fields/state"},
    )
    answer = browser().patch(f"{API}/jobs/{job.id}", json={"fields": {"priority": 0}})
    assert eq(_problem(answer, 422, "invalid")["errors"][0]["pointer"], "#/fields/priority")
    assert job.reload().priority == 50


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b'{"class": "\\ud800"}', "application/json", 400),
        (b'{"class": 1, "class": 2}', "application/json", 400),
        (b'{"class": NaN}', "application/json", 400),
        (b'{"class": ' + b"[" * 100_000, "application/json", 400),
        (b'{"class": ' + b"9" * 5000 + b"}", "application/json", 400),
        (b'{"class": "WebApiJob", "fields": {"priority": 9' + b"9" * 30 + b"}}", "a/b+json", 422),
        (b'{"class": "WebApiJob", "fields": {"note": "\\u0000"}}', "application/json", 201),
        (b'{"klass": "WebApiJob"}', "application/json", 422),
        (b'{"class": null}', "application/json", 422),
        (b"{}", "text/plain", 415),
        (b"class=WebApiJob", "application/x-www-form-urlencoded", 415),
        (b"", "application/json", 422),
    ],
)
def test_P56_a_body_that_cannot_be_taken_is_refused(rocketjob, content, kind, status):
    answer = browser().post(f"{API}/jobs", content=content, headers={"content-type": kind})
    assert answer.status_code == status, answer.text
    assert status == 201 or answer.headers["content-type"] == "application/problem+json"


def test_P56_a_body_that_is_too_large_is_refused(rocketjob):
    answer = browser(max_body=1000).post(f"{API}/jobs", json={"class": "x" * 2000})
    _problem(answer, 413, "too-large")


# --- only what was seen is changed --------------------------------------------------------------


def test_P26_an_event_is_made_only_in_the_state_that_was_seen(rocketjob):
    job = WebApiJob.create()
    path = f"{API}/jobs/{job.id}"
    etag = browser().get(path).headers["etag"]
    _problem(browser().post(f"{path}/abort", json={"state": "failed"}), 409, "conflict")
    after = browser().post(f"{path}/pause", headers={"if-match": etag})
    assert (after.status_code, after.json()["state"]) == (200, "paused")
    _problem(browser().post(f"{path}/abort", headers={"if-match": etag}), 412, "changed")
    problem = _problem(browser().post(f"{path}/pause"), 409, "conflict")
    assert "is paused, since pause" in problem["detail"]
    assert job.reload().is_paused


def test_P26_a_job_is_edited_only_as_it_was_seen(rocketjob):
    job = WebApiJob.create()
    path = f"{API}/jobs/{job.id}"
    etag = browser().get(path).headers["etag"]
    Job.collection().update_one({"_id": job.id}, {"$set": {"note": "theirs"}})
    answer = browser().patch(path, json={"fields": {"note": "mine"}}, headers={"if-match": etag})
    _problem(answer, 412, "changed")
    assert job.reload().note == "theirs"
    _problem(browser().patch(path, json={}, headers={"if-match": ""}), 400, "malformed")
    done = browser().patch(path, json={"fields": {"note": "x"}}, headers={"if-match": "*"})
    assert done.status_code == 200


def test_P26_how_far_a_job_is_does_not_keep_it_from_being_edited(rocketjob):
    job = WebApiJob.create()
    etag = browser().get(f"{API}/jobs/{job.id}").headers["etag"]
    Job.collection().update_one({"_id": job.id}, {"$set": {"percent_complete": 7}})
    change = {"fields": {"priority": 2}}
    answer = browser().patch(f"{API}/jobs/{job.id}", json=change, headers={"if-match": etag})
    assert answer.status_code == 200


def test_R01_a_record_is_mended_only_as_it_was_seen_and_the_slice_retried(rocketjob):
    job = _failed_batch(rocketjob, "a", "b")
    path = f"{API}/jobs/{job.id}/slices"
    (row,) = browser().get(path, params={"error_type": "ValueError"}).json()["data"]
    one = f"{path}/{row['id']}"
    seen = browser().get(f"{one}/records")
    assert eq([each["text"] for each in seen.json()["data"]], ["a", "b"])
    body = {"kind": "text", "text": "ü\\x00"}
    record = f"{one}/records/0"
    _problem(browser().put(record, json=body), 428, "precondition-required")
    guard = {"if-match": seen.headers["etag"]}
    after = browser().put(record, json=body, headers=guard)
    assert after.status_code == 200
    _problem(browser().put(record, json=body, headers=guard), 412, "changed")
    again = browser().get(f"{one}/records")
    assert again.headers["etag"] == after.headers["etag"]
    assert eq([each["text"] for each in again.json()["data"]], ["ü\\x00", "b"])
    assert browser().delete(record, headers={"if-match": again.headers["etag"]}).json()["size"] == 1
    _problem(
        browser().post(f"{one}/retry", headers={"if-match": "*"}), 428, "precondition-required"
    )
    Job.collection().update_one({"_id": job.id}, {"$set": {"state": "paused"}})
    etag = browser().get(one).headers["etag"]
    assert browser().post(f"{one}/retry", headers={"if-match": etag}).status_code == 204
    assert eq(browser().get(path).json()["data"][0]["state"], "queued")


@pytest.mark.parametrize("slice", ["2", "x", "-1", "9" * 40])
def test_R07_a_slice_that_is_not_there_is_not_found(rocketjob, slice):
    job = _failed_batch(rocketjob)
    for path in ("", "/records"):
        answer = browser().get(f"{API}/jobs/{job.id}/slices/{slice}{path}")
        _problem(answer, 404, "not-found")
    simple = WebApiJob.create()
    _problem(browser().get(f"{API}/jobs/{simple.id}/slices"), 404, "not-found")


def test_an_entry_is_made_changed_copied_enabled_and_removed(rocketjob, tmp_path):
    body = {"pattern": f"{tmp_path}/*", "job_class_name": "WebApiFileJob", "name": "in"}
    made = browser().post(f"{API}/entries", json=body | {"properties": {"region": "EU"}})
    assert (made.status_code, made.json()["state"]) == (201, "pending")
    path = made.headers["location"]
    merged = browser().patch(path, json={"properties": {"priority": 7, "region": None}})
    assert eq(merged.json()["properties"], {"priority": 7})
    copied = browser().post(f"{path}/copy", json={"pattern": f"{tmp_path}/x*"})
    assert (copied.status_code, copied.json()["properties"]) == (201, {"priority": 7})
    assert eq(browser().post(f"{path}/enable").json()["state"], "enabled")
    stale = {"if-match": made.headers["etag"]}
    _problem(browser().post(f"{path}/disable", headers=stale), 412, "changed")
    problem = _problem(browser().post(f"{API}/entries", json=body), 422, "invalid")
    assert eq({each["pointer"] for each in problem["errors"]}, {"#/pattern", "#/name"})
    assert browser().delete(path).status_code == 204


def test_P21_a_group_of_failures_is_retried_as_far_as_it_was_seen(rocketjob):
    for number in (1, 2):
        WebApiJob.create().fail(f"no host {number}")
        rocketjob.travel(timedelta(minutes=1))
    (group,) = browser().get(f"{API}/failures").json()["data"]
    assert (group["class"], group["count"]) == ("WebApiJob", 2)
    late = WebApiJob.create()
    late.fail("no host 3")
    path = f"{API}/failures/{group['id']}"
    assert len(browser().get(path).json()["jobs"]) >= 2
    _problem(browser().post(f"{path}/retry", json={"until": "now"}), 400, "malformed")
    done = browser().post(f"{path}/retry", json={"until": group["last"]}).json()
    assert (done["jobs"], done["refused"], done["failed"]) == (2, 0, {})
    assert late.reload().is_failed
    assert browser().post(f"{path}/acknowledge").status_code == 200
    assert browser().get(f"{API}/failures").json()["data"][0]["unseen"] == 0
    _problem(browser().post(f"{API}/failures/{'0' * 16}/retry"), 404, "not-found")


def test_P33_rejects_are_listed_and_the_corrected_ones_processed(rocketjob):
    job = WebApiBatchJob(max_rejects=9)
    job.upload(["carol", "dave"])
    job.save()
    rocketjob.work_off()
    path = f"{API}/jobs/{job.id}/rejects"
    first = browser().get(path, params={"limit": 1}).json()
    second = browser().get(path, params={"limit": 1, "cursor": first["next"]}).json()
    assert eq([row["text"] for row in (*first["data"], *second["data"])], ["carol", "dave"])
    assert (first["data"][0]["error"], second["next"]) == ("ValueError: bad carol", None)
    _problem(browser().post(path, json={"text": "nonsense"}), 422, "invalid")
    done = browser().post(path, json={"text": "record,_row\nerin,1\n"})
    assert "1 corrected record queued" in done.json()["messages"][0]["text"]


def test_no_reject_is_left_out_where_others_are_resubmitted_between_two_pages(rocketjob):
    job = WebApiBatchJob(max_rejects=9)
    job.upload(["carol", "dave"])
    job.save()
    rocketjob.work_off()
    path = f"{API}/jobs/{job.id}/rejects"
    first = browser().get(path, params={"limit": 1}).json()
    browser().post(path, json={"text": "record,_row\nerin,1\n"})
    second = browser().get(path, params={"limit": 1, "cursor": first["next"]}).json()
    assert eq([row["text"] for row in second["data"]], ["dave"])


@pytest.mark.parametrize(
    "text",
    [
        f'{{"_row": {2**64}, "kind": "text", "record": "x"}}',
        f"record,_row\nx,{2**64}\n",
        "record,_row\n\ud800,1\n",
    ],
    ids=["lines", "csv", "half a character"],
)
def test_what_no_store_can_have_is_refused_in_corrected_records(rocketjob, text):
    job = _failed_batch(rocketjob)
    sent = json.dumps({"text": text})
    headers = {"content-type": "application/json"}
    answer = browser().post(f"{API}/jobs/{job.id}/rejects", content=sent, headers=headers)
    assert answer.status_code in (400, 422), answer.text


def test_P37_the_schedule_is_listed(rocketjob):
    WebApiNightlyJob.create()
    (series,) = browser().get(f"{API}/schedule").json()["data"]
    assert (series["class"], series["cron_schedule"]) == ("WebApiNightlyJob", "0 3 * * * UTC")
    assert series["next"][0].endswith("T03:00:00.000Z")


# --- what nobody may see, or run ----------------------------------------------------------------


def test_P53_what_is_secret_is_in_no_answer_and_is_not_overwritten_by_its_mask(rocketjob):
    job = WebApiJob.create(url="sftp://ada:pw123@host/a", description="https://x/?token=pw123")
    answers = [browser().get(f"{API}/jobs{path}") for path in ("", f"/{job.id}")]
    assert all("pw123" not in answer.text for answer in answers)
    shown = answers[1].json()["fields"]["url"]
    problem = _problem(
        browser().patch(f"{API}/jobs/{job.id}", json={"fields": {"url": shown}}), 422, "invalid"
    )
    assert "write the password itself" in problem["detail"]
    assert "pw123" in job.reload().url


def test_R14_code_is_set_by_nobody_unless_the_application_says_so(rocketjob):
    job = WebApiJob.create()
    edited, made = {"fields": {"script": "1/0"}}, {"class": "WebApiJob", "fields": {"script": "1"}}
    for settings in ({}, {"edit_code": True}):
        client = as_role("manager", **settings)
        _problem(client.patch(f"{API}/jobs/{job.id}", json=edited), 422, "invalid")
    assert "script" in as_role("admin").post(f"{API}/jobs", json=made).json()["detail"]
    admin = as_role("admin", edit_code=True)
    assert admin.patch(f"{API}/jobs/{job.id}", json=edited).status_code == 200
    assert admin.post(f"{API}/jobs", json=made).status_code == 201
    entry = {"pattern": "/in/*", "job_class_name": "OnDemandBatchJob"}
    answer = admin.post(f"{API}/entries", json=entry | {"properties": {"perform_code": "1/0"}})
    assert answer.status_code == 422
    assert DirmonEntry.count() == 0


def test_R16_messages_that_may_quote_a_record_are_hidden_from_those_who_may_not_see_records(
    rocketjob,
):
    job = _failed_batch(rocketjob, "carol")
    for path in ("exceptions", "slices", "slices/1"):
        url = f"{API}/jobs/{job.id}/{path}"
        assert "carol" in as_role("editor", redact_messages=True).get(url).text
        hidden = as_role("view", redact_messages=True).get(url).text
        assert "carol" not in hidden
        assert "(hidden, as it may quote a record)" in hidden


def test_R16_nor_are_they_in_what_webhooks_were_sent(rocketjob):
    error = {"class_name": "ValueError", "message": "bad carol"}
    outbox.messages().insert_one(
        outbox.message_to("https://a.example/", "jobs.failed", {"jobs": [{"exception": error}]})
    )
    for role, is_shown in (("view", False), ("editor", True)):
        answer = as_role(role, redact_messages=True).get(f"{API}/webhooks")
        assert ("carol" in answer.text) == is_shown
        assert len(answer.json()["data"]) == 1


def test_P51_another_site_cannot_have_a_browser_change_anything(rocketjob):
    job = WebApiJob.create()
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        answer = browser().post(f"{API}/jobs/{job.id}/pause", headers=headers)
        _problem(answer, 403, "forbidden")
    assert job.reload().is_queued


def test_P46_a_program_is_not_led_to_a_login(rocketjob):
    client = browser(authorize=lambda request: RedirectResponse("/login"))
    _problem(client.get(f"{API}/jobs"), 401, "not-signed-in")


# --- what something else has written -------------------------------------------------------------


def test_a_document_that_fits_nothing_is_shown_nevertheless(rocketjob):
    id = WebApiJob.create().id
    wrong = {"priority": "x", "description": 7, "exception": [1], "history": 3, "note": b"\0"}
    Job.collection().update_one({"_id": id}, {"$set": wrong | {"percent_complete": {"a": 1}}})
    Job.collection().update_one({"_id": WebApiJob.create().id}, {"$set": {"_type": "GoneJob"}})
    page = browser().get(f"{API}/jobs").json()["data"]
    assert eq([row["known_class"] for row in page], [False, True])
    for row in page:
        assert browser().get(f"{API}/jobs/{row['id']}").status_code == 200
        assert browser().get(f"{API}/jobs/{row['id']}/explain").status_code == 200
    assert "does not fit" in page[1]["problem"]
    _problem(browser().patch(f"{API}/jobs/{page[0]['id']}", json={}), 409, "conflict")
    assert browser().post(f"{API}/jobs/{page[0]['id']}/pause").status_code in (200, 409)


# --- the document, and what is derived ----------------------------------------------------------


def test_P56_the_openapi_file_is_what_the_operations_say(rocketjob):
    current = text_of(each for _, each in create_app().state.site.operations)
    is_current = eq(FILE.read_text(encoding="utf-8"), current)
    assert is_current, "an operation has changed: run python scripts/openapi.py"


def test_P56_the_names_and_paths_of_operations_are_unique(rocketjob):
    operations = [each for _, each in create_app().state.site.operations]
    for key in (lambda each: each.name, lambda each: (each.method, each.path)):
        assert len({key(each) for each in operations}) == len(operations)


def _paint(view):
    if view.form.get("color") != "red":
        view.say("warning", "only red is possible")
        return view.go("/paint")
    view.say("success", "it is red", "/paint")
    return view.go("/paint")


PAINT = Section(
    name="paint",
    title="Paint",
    icon="page",
    home="/paint",
    routes=(
        get("/paint", lambda view: view.go("/")),
        change("/paint", _paint, "paint.do"),
    ),
    permissions=(Permission("paint.do", "operator"),),
)


def test_P56_what_the_page_of_a_plugin_changes_can_be_done_by_programs_too(rocketjob):
    def who(request):
        return Identity("ada", {request.headers["x-role"]})

    client = browser(app=create_app(WebSettings(authorize=who), sections=[PAINT]))
    path = f"{API}/paint"
    done = client.post(path, json={"color": "red"}, headers={"x-role": "operator"})
    assert eq(done.json()["messages"][0]["text"], "it is red")
    assert eq(done.json()["location"], "/paint")
    refused = client.post(path, json={"color": "blue"}, headers={"x-role": "operator"})
    assert "only red" in _problem(refused, 409, "conflict")["detail"]
    _problem(client.post(path, json={}, headers={"x-role": "manager"}), 403, "forbidden")
    _problem(client.post(path, json={"color": 1}, headers={"x-role": "operator"}), 422, "invalid")
    described = client.get(f"{API}/openapi.json", headers={"x-role": "view"}).json()
    assert "post" in described["paths"]["/paint"]


def test_P56_a_path_or_a_method_that_is_not_there_is_said_to_be_none(rocketjob):
    _problem(browser().get(f"{API}/nothing"), 404, "not-found")
    _problem(browser().post("/api/v2/jobs"), 404, "not-found")
    answer = browser().put(f"{API}/jobs")
    _problem(answer, 405, "method-not-allowed")
    assert eq(answer.headers["allow"], "GET, POST, HEAD")
    assert browser().head(f"{API}/jobs").status_code == 200
