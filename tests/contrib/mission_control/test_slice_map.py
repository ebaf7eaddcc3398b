"""The map of a batch job's slices on its page, and those that hold it up: rows P15 and P16."""

import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from rocketjob import Job, now
from rocketjob.base.errors import StoreUnavailable
from rocketjob.store import context
from rocketjob_contrib.mission_control.slices import map_page
from rocketjob_plugins.batch import Batch, InputCategory
from support.web import as_role, browser, counted_calls, links, tags, text_of

AS_SCRIPT = {"HX-Request": "true"}


class PageMapJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=10)

    def perform(self, line): ...


class PageMapSimpleJob(Job):
    def perform(self): ...


def uploaded(count=100, state="running"):
    job = PageMapJob()
    job.upload([str(number) for number in range(count)])
    job.save()
    running = {"state": state, "sub_state": "processing", "started_at": now()}
    Job.collection().update_one({"_id": job.id}, {"$set": running})
    return job.reload()


def change(job, state, *ids, **values):
    values["state"] = state
    job.input.collection.update_many({"_id": {"$in": list(ids)}}, {"$set": values})


def remove(job, *ids):
    job.input.collection.delete_many({"_id": {"$in": list(ids)}})


def map_of(job, client=None, **query):
    return (client or browser()).get(f"/jobs/{job.id}/slices", params=query, headers=AS_SCRIPT)


def cells_of(page):
    found = re.search(r'<ol class="map".*?</ol>', page.text, re.S)
    return re.findall(r'<a class="state-(\S+)" href="(\S+)" title="([^"]+)"', found[0])


def test_P15_the_page_of_a_job_asks_for_the_map(rocketjob):
    page = browser().get(f"/jobs/{(job := uploaded()).id}")
    assert tags(page, "div", hx_get=f"/jobs/{job.id}/slices")
    assert f"/jobs/{job.id}/slices" in links(page)
    assert "<html" in browser().get(f"/jobs/{job.id}/slices").text
    assert "<html" not in map_of(job).text


def test_P15_cells_are_in_the_order_of_the_file_and_say_what_is_in_them(rocketjob):
    job = uploaded(95)
    remove(job, 1, 11)
    change(job, "failed", 21)
    change(job, "running", 31)
    cells = cells_of(map_of(job))
    assert [state for state, _, _ in cells] == (
        ["completed"] * 2 + ["failed", "running"] + ["queued"] * 6
    )
    assert [text for _, _, text in cells][1:4] == [
        "records 11 to 20: 1 completed",
        "records 21 to 30: 1 failed",
        "records 31 to 40: 1 running",
    ]
    assert cells[-1][2] == "records 91 to 95: 1 queued"
    stops = [a["title"] for a in tags(map_of(job), "a") if "title" in a and "tabindex" not in a]
    assert stops == ["records 21 to 30: 1 failed", "records 31 to 40: 1 running"]


def test_P15_a_click_opens_the_slice(rocketjob):
    job = uploaded()
    error = {"class_name": "ValueError", "message": "no such state", "backtrace": []}
    change(job, "failed", 21, exception=error, failure_count=1)
    change(job, "running", 31, worker_name="host:7", started_at=now())
    paths = [path for _, path, _ in cells_of(map_of(job))]
    assert parse_qs(urlsplit(paths[2]).query) == {"slice": ["21"]}
    assert "ValueError" in text_of(browser().get(paths[2]))
    opened = text_of(browser().get(paths[3].replace("&amp;", "&")))
    assert "31 to 40 running host:7" in opened
    assert "41 to 50" not in opened


def test_P15_a_cell_of_several_slices_opens_a_list_of_them(rocketjob, monkeypatch):
    monkeypatch.setattr(map_page, "CELLS", 5)
    job = uploaded()
    error = {"class_name": "ValueError", "message": "<b>no such state</b>"}
    change(job, "failed", 21, exception=error, failure_count=3)
    remove(job, 1, 11)
    cells = cells_of(map_of(job))
    assert [text for _, _, text in cells][:2] == [
        "records 1 to 20: 2 completed",
        "records 21 to 40: 1 failed, 1 queued",
    ]
    page = browser().get(cells[1][1].replace("&amp;", "&"))
    assert "21 to 30 failed 3 ValueError <b>no such state</b>" in text_of(page)
    assert "<b>no" not in page.text
    assert f"/jobs/{job.id}/exception?slice=21" in links(page)
    assert "None is left" in text_of(browser().get(cells[0][1].replace("&amp;", "&")))


def test_P15_what_an_exception_says_is_hidden_as_elsewhere(rocketjob):
    job = uploaded()
    change(job, "failed", 21, exception={"class_name": "E", "message": "of 4111"}, failure_count=2)
    client = as_role("view", redact_messages=True)
    for page in (map_of(job, client), map_of(job, client, **{"from": 1, "to": 100})):
        assert page.status_code == 200
        assert "4111" not in page.text


def test_P15_beside_it_is_a_table_of_what_belongs_together(rocketjob):
    job = uploaded(100)
    remove(job, 1, 11, 21)
    rows = re.search(r"<details>.*?</details>", map_of(job).text, re.S)[0]
    assert rows.count("<tr>") == 3  # with the head
    assert "records 1 to 30: 3 completed" in rows
    assert "records 31 to 100: 7 queued" in rows


@pytest.mark.parametrize("count", [6_000, 1_000_000])
def test_P15_a_page_is_small_however_many_slices_there_are(rocketjob, count):
    job = uploaded(100)
    Job.collection().update_one({"_id": job.id}, {"$set": {"record_count": 10 * count}})
    slices = [{"_id": 101 + 10 * i, "state": "failed" if i % 2 else "queued"} for i in range(500)]
    far = [{"_id": 10 * count - 9 - 10 * i, "state": "running"} for i in range(500)]
    job.input.collection.insert_many(slices + far)
    page = map_of(job)
    assert len(cells_of(page)) <= map_page.CELLS
    assert len(page.text) < 40_000
    assert page.text.count("<tr>") <= map_page.RUNS + 13


def test_P15_states_that_nobody_here_knows_have_cells_too(rocketjob):
    job = uploaded()
    change(job, "<b>odd</b>", 21)
    change(job, ["x"], 31)
    cells = cells_of(map_of(job))
    assert cells[2][2] == "records 21 to 30: 1 &lt;b&gt;odd&lt;/b&gt;"
    assert cells[3][2].startswith("records 31 to 40: 1 ")
    assert "<b>odd" not in map_of(job).text
    assert map_of(job, **{"from": 1, "to": 100}).status_code == 200


def test_P15_a_job_without_a_map_says_why(rocketjob, monkeypatch):
    assert "nothing has been uploaded yet" in text_of(map_of(PageMapJob.create()))
    simple = PageMapSimpleJob.create()
    answer = map_of(simple)
    assert answer.status_code == 303
    assert f"/jobs/{simple.id}/slices" not in links(browser().get(f"/jobs/{simple.id}"))
    job = uploaded()

    def away(*args, **kwargs):
        raise StoreUnavailable("connection refused")

    monkeypatch.setattr(type(context.current().store), "count_by_range", away)
    assert "cannot be looked at: connection refused" in text_of(map_of(job))


@pytest.mark.parametrize("odd", ["x", "-1", "9" * 30, "1.5", "", "1&to=", "٣"])
def test_P15_odd_numbers_in_the_address_are_no_error(rocketjob, odd):
    job = uploaded()
    for path in (f"from={odd}&to=9", f"from=1&to={odd}", f"from={odd}"):
        assert browser().get(f"/jobs/{job.id}/slices?{path}").status_code == 200


def test_P16_slices_that_are_slow_or_fail_again_are_named_in_their_order(rocketjob):
    job = uploaded()
    for minutes, id in ((5, 1), (90, 11), (20, 21)):
        since = now() - timedelta(minutes=minutes)
        change(job, "running", id, started_at=since, worker_name=f"host:{id}")
    error = {"class_name": "ValueError", "message": "no such state"}
    change(job, "failed", 31, failure_count=2, exception=error)
    change(job, "failed", 41, failure_count=5, exception=error)
    change(job, "failed", 51, failure_count=1, exception=error)
    said = text_of(map_of(job))
    slow, failing = said.split("In work for longest")[1].split("Failed more than once")
    assert re.findall(r"host:\d+", slow) == ["host:11", "host:21", "host:1"]
    assert "1h ago" in slow
    assert re.findall(r"\d+ to \d+", failing) == ["41 to 50", "31 to 40"]
    assert "In work for longest" not in text_of(map_of(uploaded()))


def test_R11_the_map_makes_few_calls_of_the_store(rocketjob):
    job = uploaded()
    change(job, "running", 1, 31)
    change(job, "failed", 21, failure_count=2)
    remove(job, 11)
    client = browser()
    for path in ("", "?from=1&to=50"):
        with counted_calls() as calls:
            assert client.get(f"/jobs/{job.id}/slices{path}").status_code == 200
        assert 0 < len(calls) <= 8, calls
