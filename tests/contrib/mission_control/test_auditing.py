"""Audit: who did what to what, why, and what it was before; row P49."""

from datetime import timedelta

import pytest
from bson import ObjectId

from rocketjob import Job
from rocketjob.base import acts, clock
from rocketjob_plugins.audit import COLLECTION, count_records, records
from support.web import as_role, browser, text_of


class WebAuditedJob(Job):
    destroy_on_complete = False
    priority = 40

    def perform(self): ...


def done(by, reason=None, how="tidy.py"):
    job = WebAuditedJob.create()
    with acts.acting(by=by, how=how, reason=reason):
        job.abort()
    return job


def whos(page):
    return [cell.get_text(strip=True) for cell in page.select("td.cell-by")]


def test_P49_the_newest_first_with_who_what_why_and_what_it_was(rocketjob):
    done("ada")
    job = done("bob", reason="wrong file")
    page = browser().get("/audit")
    assert page.status_code == 200
    text = text_of(page)
    assert "bob abort WebAuditedJob" in text and "wrong file" in text and "tidy.py" in text
    assert text.index("bob") < text.index("ada")
    assert f"/jobs/{job.id}" in page.text
    assert "state queued -> aborted" in text


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("by=ada", ["ada"]),
        ("event=abort", ["bob", "ada"]),
        ("event=retry", []),
        ("name=WebAuditedJob", ["bob", "ada"]),
        ("name=OtherJob", []),
        ("since=1h", ["bob"]),
        ("since=7d&by=bob", ["bob"]),
    ],
)
def test_P49_it_is_narrowed_by_who_what_and_when(rocketjob, query, said):
    done("ada")
    rocketjob.travel(timedelta(hours=2))
    done("bob")
    page = browser().get(f"/audit?{query}")
    assert [who for who in ("bob", "ada") if f">{who}</a>" in page.text] == said
    if not said:
        assert "No such record." in page.text


def test_P49_and_by_job(rocketjob):
    job = done("ada")
    done("bob")
    page = browser().get(f"/audit?job={job.id}")
    assert ">ada</a>" in page.text and ">bob</a>" not in page.text


@pytest.mark.parametrize("query", ["job=x", "since=tomorrow", f"by={'x' * 201}", "page=0"])
def test_P49_what_makes_no_sense_is_refused(rocketjob, query):
    assert browser().get(f"/audit?{query}").status_code == 400


def test_P49_pages_keep_what_it_is_narrowed_to(rocketjob):
    for number in range(12):
        done("ada", reason=f"number {number}")
    page = browser().get("/audit?by=ada&page=2")
    assert "number 0" in page.text and "number 11" not in page.text
    assert "by=ada" in page.text.partition('aria-label="Pages"')[2]
    assert "1 to 10 of 12" in text_of(browser().get("/audit?by=ada"))


def test_P49_where_nobody_has_done_anything_it_says_for_how_long_records_are_kept(rocketjob):
    assert "listed for 90 days" in text_of(browser().get("/audit"))


def test_P49_whoever_may_look_may_read_it(rocketjob):
    done("ada")
    assert as_role("view").get("/audit").status_code == 200


def test_P49_markup_and_passwords_in_a_record_are_shown_as_text_and_hidden(rocketjob):
    done("<b>ada</b>", reason="from https://me:geheim@host/x", how="<i>")
    page = browser().get("/audit").text
    assert "<b>ada</b>" not in page and "&lt;b&gt;ada&lt;/b&gt;" in page
    assert "geheim" not in page


@pytest.mark.parametrize(
    "written",
    [
        {"odd": 1},
        {"at": None},
        {"at": 5},
        {"before": 5, "after": [1]},
        {"by": 7, "how": 8, "name": {"x": 1}},
    ],
    ids=["more", "no time", "a number for the time", "no tables", "no texts"],
)
def test_P49_a_record_that_something_else_has_written_keeps_no_page_from_anybody(
    rocketjob, written
):
    done("ada")
    audit = rocketjob.store.collection(COLLECTION)
    audit.insert_one({"_id": ObjectId(), "kind": "job", "at": clock.now(), **written})
    for path in ("/audit", "/overview", "/api/v1/audit"):
        assert browser().get(path).status_code == 200, path
    assert ">ada</a>" in browser().get("/audit").text
    assert [record.change for record in records() if record.by != "ada"] == [""]


def test_records_are_counted_up_to_a_number(rocketjob):
    for _ in range(3):
        done("ada")
    assert count_records(at_most=2) == 2
    assert count_records(by="ada", at_most=9) == 3
    assert count_records(event="retry", at_most=9) == 0
