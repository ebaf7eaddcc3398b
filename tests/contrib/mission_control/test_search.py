"""The search box of the lists of jobs, and lists as files: rows P17, P18 and P57."""

import csv
import io
import json
from operator import eq

import pytest

from rocketjob import Job, field
from rocketjob.base.errors import StoreUnavailable
from rocketjob_contrib.mission_control.jobs import export, searching
from support.encryption import reversing
from support.web import as_role, browser, cells, counted_calls, links, tags, text_of


class WebSearchedJob(Job):
    destroy_on_complete = False
    customer: int | None = None
    plan: str | None = None
    api_token: str | None = None
    sealed: str | None = field(default=None, encrypted=True)

    def perform(self): ...


def failed(message="it broke", **values):
    job = WebSearchedJob.create(**values)
    job.fail(ValueError(message))
    return job


def rows_of(answer):
    assert answer.status_code == 200
    return list(csv.DictReader(io.StringIO(answer.text)))


@pytest.fixture
def three(rocketjob):
    failed("state 'ZZ' is not known", description="one", customer=1)
    failed("it broke", description="two", customer=2)
    WebSearchedJob.create(description="three", customer=3)


# --- the box -----------------------------------------------------------------------------------


def test_P17_the_box_takes_the_grammar_and_says_what_it_understood(three):
    page = browser().get("/jobs", params={"q": 'class:WebSearchedJob error:"ZZ" created:<2h'})
    assert cells(page, "description") == ["one"]
    said = text_of(page)
    assert 'Jobs whose class is WebSearchedJob and error has "ZZ" and created less than' in said
    assert "No index has: class, error, created." in said
    (box,) = tags(page, "input", id="q")
    assert box["aria-describedby"] == "search-words"


def test_P17_in_a_list_of_one_state_the_search_narrows_it(three):
    page = browser().get("/jobs/failed?q=field.customer:%3C3+-error:ZZ")
    assert cells(page, "description") == ["two"]
    assert "1 to 1 of 1 that match, of 2" in text_of(page)


@pytest.mark.parametrize(
    ("text", "problem", "wrong"),
    [
        ("class:WebSearchedJop", "did you mean WebSearchedJob?", "WebSearchedJop"),
        ("state:failed clas:x", "jobs are not searched by clas; did you mean class?", "clas"),
        ("field.sealed:x", "stored encrypted", "field.sealed"),
        ("field.api_token:x", "a secret by its name", "field.api_token"),
        ("old OR", "something must stand behind OR", "&nbsp;"),
        ("a:<script>alert(1)</script>", "jobs are not searched by a", "a"),
        ("x\0", "NUL cannot be searched for", "\0"),
    ],
)
def test_P17_what_is_wrong_is_shown_under_the_box_and_nothing_is_listed(
    three, text, problem, wrong
):
    page = browser().get("/jobs", params={"q": text})
    assert page.status_code == 200
    assert "This search cannot be understood:" in text_of(page) and problem in text_of(page)
    assert "Nothing was looked for." in text_of(page) and "Show all 3" in text_of(page)
    assert cells(page, "class") == []
    assert "<script>alert" not in page.text
    (box,) = tags(page, "input", id="q")
    assert (box["aria-invalid"], box["aria-describedby"]) == ("true", "search-problem")
    assert box["value"] == text
    assert f"<mark>{wrong}</mark>" in page.text or wrong == "&nbsp;"


@pytest.mark.parametrize("ending", ["json", "csv", "jsonl"])
def test_P17_programs_are_told_so_with_400(three, ending):
    answer = browser().get(f"/jobs.{ending}", params={"q": "clas:x", "search[value]": "clas:x"})
    assert answer.status_code == 400
    assert "jobs are not searched by clas" in text_of(answer)


def test_messages_that_are_not_shown_cannot_be_searched_either(three):
    client = as_role("view", redact_messages=True)
    assert cells(client.get("/jobs?q=error:ZZ"), "class") == []
    assert len(cells(client.get("/jobs?q=error:ValueError"), "class")) == 2
    page = client.get("/jobs?q=field.exception.message:x")
    assert "only those who may look at records can search" in text_of(page)
    assert len(cells(as_role("editor", redact_messages=True).get("/jobs?q=error:ZZ"), "class")) == 1


def test_P17_a_search_of_very_many_goes_through_the_list_in_its_order_and_says_how_far(
    three, monkeypatch
):
    monkeypatch.setattr(searching, "LARGE", 1)
    client = browser(title="a site of its own for a search of very many")
    assert cells(client.get("/jobs?q=error:ZZ"), "description") == ["one"]
    assert cells(client.get("/jobs/failed?q=field.customer:1"), "description") == ["one"]
    monkeypatch.setattr(searching, "LOOKED_AT", 1)
    page = client.get("/jobs/failed?q=customer:2 OR field.customer:2")
    assert "cannot be understood" in text_of(page)
    page = client.get("/jobs/failed?q=field.customer:1 OR two")
    assert cells(page, "description") == ["two"]
    assert "Only the newest 1 jobs were looked at" in text_of(page)


def test_P17_an_id_is_looked_up_however_many_there_are(three, monkeypatch):
    monkeypatch.setattr(searching, "LARGE", 1)
    monkeypatch.setattr(searching, "LOOKED_AT", 1)
    oldest = WebSearchedJob.first()
    page = browser(title="another site of its own").get(f"/jobs?q={oldest.id}")
    assert cells(page, "description") == ["one"]
    assert "looked at" not in text_of(page)


def test_P18_the_address_is_the_state_of_a_search_with_its_sorting_and_page(rocketjob):
    for number in range(12):
        failed(description=f"job {number:02}", customer=number)
    address = "/jobs/failed?q=field.customer%3A%3E0&sort=description&page=2"
    client = browser()
    first, again = client.get(address), client.get(address)
    assert cells(first, "description") == cells(again, "description") == ["job 11"]
    kept = [link for link in links(first) if "sort=description" in link and "page" not in link]
    assert "/jobs/failed?q=field.customer%3A%3E0&sort=description" in kept
    (box,) = tags(first, "input", id="q")
    assert box["value"] == "field.customer:>0"


def test_a_search_costs_no_more_calls_of_the_store(three):
    client = browser()
    for query in ("class:WebSearchedJob state:failed,scheduled", "state:nosuch", "class:NoSuch"):
        with counted_calls() as calls:
            client.get("/jobs", params={"q": query})
        assert len(calls) <= 8, calls


# --- files -------------------------------------------------------------------------------------


def test_P57_a_list_is_a_file_of_csv_with_its_filter_and_order(three):
    page = browser().get("/jobs/failed?q=field.customer:%3C3&sort=description")
    assert "/jobs/failed.csv?q=field.customer%3A%3C3&sort=description" in links(page)
    answer = browser().get("/jobs/failed.csv?q=field.customer:%3C3&sort=description")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].startswith('attachment; filename="jobs-failed-')
    rows = rows_of(answer)
    assert [row["description"] for row in rows] == ["one", "two"]
    assert rows[0]["class"] == "WebSearchedJob" and rows[0]["state"] == "failed"
    assert rows[0]["exception_message"] == "state 'ZZ' is not known"
    assert json.loads(rows[0]["fields"])["customer"] == 1


def test_P57_and_of_json_lines(three):
    answer = browser().get("/jobs.jsonl?q=one")
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    (row,) = map(json.loads, answer.text.splitlines())
    assert (row["description"], row["fields"]["customer"]) == ("one", 1)
    assert row["created_at"].endswith("Z")
    assert browser().get("/jobs.jsonl?q=nothing").text == ""


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t=", "\r=", "\n=", " =", "\uff1d"])
def test_P57_no_cell_is_a_formula(rocketjob, sign):
    formula = f'{sign}cmd|" /C calc"!A0'
    failed(formula, description=formula)
    (row,) = rows_of(browser().get("/jobs.csv"))
    assert row["description"] == row["exception_message"] == f"'{formula}"


def test_P57_secrets_are_masked(rocketjob):
    reversing(rocketjob)
    failed(
        "https://bob:hunter2@host",
        description="see https://bob:hunter2@host",
        sealed="hunter2",
        api_token="hunter2",
        plan="ftp://bob:hunter2@host",
        meta={"db": {"password": "hunter2"}, "n": 1},
    )
    for ending in ("csv", "jsonl"):
        text = browser().get(f"/jobs.{ending}").text
        assert "hunter2" not in text and "***" in text


def test_P57_messages_that_may_quote_a_record_are_hidden_from_those_who_may_not_see_it(three):
    hidden = as_role("view", redact_messages=True).get("/jobs/failed.jsonl?sort=description").text
    assert "ZZ" not in hidden and "hidden" in hidden
    assert "ZZ" in as_role("editor", redact_messages=True).get("/jobs/failed.jsonl").text


def test_P57_a_file_is_capped_and_says_so_in_its_last_row(three, monkeypatch):
    monkeypatch.setattr(export, "MOST", 2)
    rows = rows_of(browser().get("/jobs.csv"))
    assert [row["description"] for row in rows[:2]] == ["three", "two"]
    assert rows[2]["id"] == "(only the first 2 jobs: there are more; narrow the search)"
    last = browser().get("/jobs.jsonl").text.splitlines()[-1]
    assert "only the first 2 jobs" in json.loads(last)["incomplete"]
    monkeypatch.setattr(export, "SECONDS", -1)
    assert "as that took long" in browser().get("/jobs.jsonl").text


def test_P57_a_store_that_goes_away_meanwhile_is_said_in_the_file(three, monkeypatch):
    def away(view, stored):
        raise StoreUnavailable("gone")

    monkeypatch.setattr(export, "_row", away)
    assert "jobs are missing" in browser().get("/jobs.jsonl").text


def test_P57_where_nothing_can_be_changed_files_can_be_had_and_need_their_permission(three):
    assert browser(read_only=True).get("/jobs.csv").status_code == 200
    assert as_role("view").get("/jobs.csv").status_code == 200
    assert browser().head("/jobs.csv").text == ""


def test_P57_jobs_that_do_not_fit_their_class_or_have_none_here_are_in_the_file(three):
    stored = Job.collection()
    one, two, three_ = WebSearchedJob.all().order_by("id").pluck("id")
    stored.update_one({"_id": one}, {"$set": {"_type": "WebGoneJob", "password": "x9x9"}})
    stored.update_one({"_id": two}, {"$set": {"customer": "many", "exception": 5}})
    stored.update_one({"_id": three_}, {"$set": {"priority": "x", "created_at": "y", "meta": 3}})
    for ending in ("csv", "jsonl"):
        text = browser().get(f"/jobs.{ending}").text
        assert all(str(id) in text for id in (one, two, three_)) and "x9x9" not in text


def test_P57_a_file_of_very_many_jobs_is_sorted_by_an_index(three, monkeypatch):
    monkeypatch.setattr(searching, "LARGE", 1)
    rows = rows_of(browser().get("/jobs/failed.csv?sort=description&q=error:ValueError"))
    assert [row["description"] for row in rows] == ["two", "one"]


def test_P57_many_rows_come_whole(rocketjob):
    WebSearchedJob.create_many({"customer": number} for number in range(450))
    rows = rows_of(browser().get("/jobs.csv"))
    assert eq([json.loads(row["fields"])["customer"] for row in rows], list(range(449, -1, -1)))
