"""Saved views, suggestions, and the box in the bar: rows P18, P19 and P22."""

import base64
import json
from operator import eq

import pytest

from rocketjob import Job, field
from rocketjob.base.errors import WrongSetting
from rocketjob.server.server import Server
from rocketjob.testing import sandbox
from rocketjob_contrib.mission_control import WebSettings, create_app
from rocketjob_contrib.mission_control.jobs import suggestions
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.dirmon.entry import DirmonEntry
from support.web import browser, cells, counted_calls, links, tags, text_of


class WebJumpedJob(Job):
    destroy_on_complete = False
    customer: int | None = None
    password: str | None = None
    sealed: str | None = field(default=None, encrypted=True)

    def perform(self): ...


class WebJumpedFileJob(Batch, Job):
    destroy_on_complete = False

    def perform(self, record): ...


# --- saved views -------------------------------------------------------------------------------


def save(client, name, path="/jobs/failed?q=class%3AWebJumpedJob", **more):
    return client.post("/views", data={"name": name, "path": path, "back": "/jobs", **more})


def test_P18_a_view_is_kept_in_the_browser_and_can_be_forgotten(rocketjob):
    client = browser()
    page = client.get("/jobs/failed?q=class:WebJumpedJob&sort=-description&page=2")
    (path,) = [a["value"] for a in tags(page, "input", name="path")]
    assert path == "/jobs/failed?q=class%3AWebJumpedJob&sort=-description"
    answer = save(client, " Failed  mine ", path)
    assert (answer.status_code, answer.headers["location"]) == (303, "/jobs")
    page = client.get("/jobs")
    assert path in links(page) and "This browser keeps the view Failed mine" in text_of(page)
    save(client, "Failed mine", forget="yes")
    assert path not in links(client.get("/jobs"))
    assert path not in links(browser().get("/jobs"))


def test_P18_a_view_of_the_same_name_takes_the_place_of_the_other(rocketjob):
    client = browser()
    save(client, "mine", "/jobs?q=a")
    save(client, "mine", "/jobs?q=b")
    assert "/jobs?q=b" in links(client.get("/jobs")) and "/jobs?q=a" not in links(
        client.get("/jobs")
    )


def test_P18_views_for_everybody_are_in_the_settings(rocketjob):
    views = {"Failed <imports>": "/jobs/failed?q=class:ImportJob"}
    client = browser("/ops", app=create_app(WebSettings(views=views, read_only=True)))
    page = client.get("/ops/jobs")
    assert "/ops/jobs/failed?q=class:ImportJob" in links(page)
    assert "Failed <imports> for everybody" in text_of(page)
    with pytest.raises(ValueError, match="views must have a path such as /jobs/failed"):
        WebSettings(views={"x": "https://evil.example"})


def test_P18_views_for_everybody_are_in_the_file_of_settings_too():
    with sandbox(web={"views": {"Night": "/jobs?q=night"}}):
        assert "/jobs?q=night" in links(browser().get("/jobs"))
    wrong = sandbox(web={"views": {"Night": "//evil.example"}})
    with pytest.raises(WrongSetting, match="must have a path such as /jobs/failed"), wrong:
        pass


def test_P18_what_only_the_browser_keeps_can_be_changed_in_read_only_mode(rocketjob):
    client = browser(read_only=True)
    assert save(client, "mine").status_code == 303
    assert client.post("/preferences", data={"theme": "dark"}).status_code == 303


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("", "/jobs"),
        ("x" * 41, "/jobs"),
        ("x", "//evil.example"),
        ("x", "https://evil.example"),
        ("x", "/\\evil"),
        ("x", ""),
        ("\x07", "/jobs"),
        ("x", "/jobs?q=" + "y" * 3_000),
    ],
)
def test_P18_a_view_without_a_name_or_of_another_site_is_refused(rocketjob, name, path):
    assert save(browser(), name, path).status_code == 400


def test_P18_there_is_room_for_some_views(rocketjob):
    client = browser()
    for number in range(20):
        assert save(client, f"view {number}", "/jobs").status_code == 303
    page = save(client, "one more", "/jobs")
    assert page.status_code == 400 and "There is no room for another view" in text_of(page)


ROWS = [
    None,
    5,
    {"a": 1},
    [1, None],
    [["x"]],
    [["x", 5]],
    [["x", "//evil.example"]],
    [["x", "javascript:alert(1)"]],
    [["<script>", "/jobs?q=<script>"]],
]


@pytest.mark.parametrize("number", range(len(ROWS)))
def test_P18_a_cookie_that_somebody_else_has_set_leads_nowhere_else(rocketjob, number):
    value = base64.urlsafe_b64encode(json.dumps(ROWS[number]).encode()).decode()
    for cookie in (value, value[:-3], "\xff", "[" * 3_000):
        headers = {"cookie": f"rocketjob_views={cookie}".encode("latin-1")}
        page = browser().get("/jobs", headers=headers)
        assert page.status_code == 200 and "evil" not in page.text
        assert "<script>" not in page.text and "javascript:" not in page.text


# --- suggestions -------------------------------------------------------------------------------


def offered(client):
    page = client.get("/jobs")
    assert tags(page, "datalist", id="suggestions")
    return [a["value"] for a in tags(page, "option")]


def test_P19_keys_classes_states_exceptions_servers_and_fields_are_suggested(rocketjob):
    WebJumpedJob.create().fail(KeyError("x"))
    gone = WebJumpedJob.create()
    Job.collection().update_one({"_id": gone.id}, {"$set": {"_type": "WebJumpedGoneJob"}})
    Server.create(name="batch-01:7")
    words = offered(browser(title="a site of its own for suggestions"))
    wanted = {"class:", "class:WebJumpedGoneJob", "state:failed", "state:scheduled"}
    wanted |= {"error:KeyError", "server:batch-01:7"}
    assert wanted <= set(words)
    assert not {"field.sealed:", "field.password:", "class:Job"} & set(words)
    (box,) = tags(browser().get("/jobs"), "input", id="q")
    assert box["list"] == "suggestions"


def test_P19_they_are_capped_and_kept_for_some_minutes(rocketjob, monkeypatch):
    monkeypatch.setattr(suggestions, "OF_A_KIND", 2)
    WebJumpedJob.create()
    client = browser(title="another site of its own for suggestions")
    words = offered(client)
    assert len([word for word in words if word.startswith("class:")]) <= 3
    Server.create(name="batch-02:7")
    with counted_calls() as calls:
        assert eq(offered(client), words)
    assert len(calls) <= 4, calls


# --- the box in the bar ------------------------------------------------------------------------


def led_to(text):
    answer = browser().get("/jump", params={"q": text})
    assert answer.status_code == 303
    return answer.headers["location"]


def test_P22_an_id_a_class_a_server_and_an_entry_lead_to_their_pages(rocketjob):
    job, server = WebJumpedJob.create(), Server.create(name="batch-01:7")
    entry = DirmonEntry.create(name="Night", pattern="/in/*", job_class_name="WebJumpedFileJob")
    assert led_to(f" {job.id} ") == f"/jobs/{job.id}"
    assert led_to(str(server.id)) == led_to("batch-01:7") == f"/servers/{server.id}"
    assert led_to(str(entry.id)) == led_to("Night") == f"/dirmon_entries/{entry.id}"
    assert led_to("WebJumpedJob") == "/jobs?q=class%3AWebJumpedJob"
    assert led_to("") == "/"
    assert browser().get(f"/jobs/{job.id}").status_code == 200


def test_P22_a_file_leads_to_the_jobs_that_have_it(rocketjob, tmp_path):
    path = tmp_path / "acme orders.csv"
    path.write_text("a\nb\n")
    job = WebJumpedFileJob.create()
    job.upload(path)
    page = browser().get(led_to("orders.csv"))
    assert cells(page, "class") == ["queued WebJumpedFileJob"]


@pytest.mark.parametrize(
    "text", ["state:failed", "clas:x", 'say "hi', "a(b", "no such thing", "5" * 24, "x" * 5000]
)
def test_P22_anything_else_is_searched_for(rocketjob, text):
    WebJumpedJob.create(description=f"it is {text[:100]}")
    page = browser().get(led_to(text))
    assert page.status_code == 200 and "cannot be understood" not in text_of(page)


def test_P22_every_page_has_the_box_also_below_a_path(rocketjob):
    page = browser("/ops", app=create_app(WebSettings())).get("/ops/servers")
    assert tags(page, "form", action="/ops/jump")
    answer = browser("/ops", app=create_app(WebSettings())).get("/ops/jump?q=x")
    assert answer.headers["location"] == "/ops/jobs?q=x"
