"""Requests that no browser sends by itself: each gets an answer that says what is wrong."""

import re

import pytest

from rocketjob import Job, field
from rocketjob_contrib.mission_control import WebSettings
from rocketjob_contrib.mission_control.serve import application_at
from support.web import as_role, browser, links, tags


class WebTargetJob(Job):
    destroy_on_complete = False
    pausable = True
    data: dict | None = field(default=None, user_editable=True)

    def perform(self): ...


@pytest.mark.parametrize("value", ["abc.\xe9", "\xff.\xff", ".", "a.b.c", "\xe9"])
def test_a_cookie_that_another_site_of_the_host_has_set_is_ignored(rocketjob, value):
    for name in ("rocketjob_flash", "rocketjob_look"):
        cookie = f"{name}={value}".encode("latin-1")
        assert browser().get("/jobs", headers={"cookie": cookie}).status_code == 200


@pytest.mark.parametrize("host", ["[", "[::1", "evil.com@localhost", "localhost@evil.com", "", "ÿ"])
def test_a_host_that_is_none_is_not_this_machine(rocketjob, host):
    assert browser().get("/jobs", headers={"host": host.encode("latin-1")}).status_code == 403


@pytest.mark.parametrize("host", ["localhost:8787", "LOCALHOST", "[::1]:80", "[::1]", "127.0.0.1"])
def test_every_name_of_this_machine_is(rocketjob, host):
    assert browser().get("/jobs", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["http://[", "null", "http://", "http://evil.com", "x", ""])
def test_an_origin_that_is_not_ours_is_refused(rocketjob, origin):
    job = WebTargetJob.create()
    answer = as_role("admin").post(f"/jobs/{job.id}/pause", headers={"origin": origin})
    assert answer.status_code == 403
    assert job.reload().is_queued


BACK = [
    "//[",
    "http://[",
    "//evil.com",
    "/\\evil.com",
    "/\t/evil.com",
    "/\n//evil.com",
    "evil",
    "/\0",
]


@pytest.mark.parametrize("back", BACK)
def test_the_way_back_leads_to_no_other_site(rocketjob, back):
    job, client = WebTargetJob.create(), browser()
    page = client.get(f"/jobs/{job.id}/pause", params={"back": back})
    assert page.status_code == 200
    assert back not in [*links(page), *(field.get("value") for field in tags(page, "input"))]
    done = client.post(f"/jobs/{job.id}/pause", data={"back": back})
    assert (done.status_code, done.headers["location"]) == (303, f"/jobs/{job.id}")


def test_a_path_that_begins_with_two_slashes_makes_no_link_to_another_site(rocketjob):
    page = browser().get("http://127.0.0.1//evil.com/x")
    assert page.status_code == 404
    addresses = re.findall(r'(?:href|action|src|hx-get)="([^"]*)"', page.text)
    assert addresses
    assert not [each for each in addresses if each.startswith(("//", "/\\"))]


def test_the_head_of_the_stream_ends(rocketjob):
    answer = browser().head("/events")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize("name", ["run_at", "data", "priority"])
@pytest.mark.parametrize(
    "typed", ["9" * 500_000, "[" * 500_000, "x\0" * 200_000], ids=("digits", "brackets", "nul")
)
def test_what_is_far_too_large_is_said_to_be_wrong_in_a_few_words(rocketjob, name, typed):
    job = WebTargetJob.create()
    answer = browser().post(f"/jobs/{job.id}", data={f"field.{name}": typed})
    assert answer.status_code == 422
    said = re.findall(r'<p class="error">(.*?)</p>', answer.text, re.S)
    assert said and max(map(len, said)) < 2000
    assert len(answer.text) < len(typed) * 2 + 50_000  # what was typed, once
    assert job.reload().is_queued


def test_a_message_that_quotes_what_was_sent_quotes_a_part_of_it(rocketjob):
    answer = browser().post("/preferences", data={"zone": "x" * 500_000})
    assert answer.status_code == 400
    assert len(answer.text) < 20_000


def test_the_path_without_its_slash_leads_to_no_host_that_a_request_names(rocketjob):
    client = browser(app=application_at("/ops/jobs/", WebSettings()))
    answer = client.get("/ops/jobs", headers={"host": "evil.com"})
    assert (answer.status_code, answer.headers["location"]) == (307, "/ops/jobs/")
    assert client.get("/ops/jobs/", headers={"host": "evil.com"}).status_code == 403
    assert client.get("/ops/jobs/").headers["location"] == "/ops/jobs/overview"
    assert client.get("/ops/jobsx").status_code == 404
