"""The pages of what has failed, in groups; row P21."""

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from rocketjob import Job
from rocketjob_plugins.batch import Batch
from support.web import (
    WebFailingJob,
    a_group_of_failures,
    as_role,
    browser,
    cells,
    counted_calls,
    links,
    tags,
    text_of,
)


class WebFailingBatchJob(Batch, Job):
    destroy_on_complete = False

    def perform(self, record):
        raise KeyError(record)


def hidden(page):
    return {tag["name"]: tag["value"] for tag in tags(page, "input", type="hidden")}


def test_P21_the_list_has_a_row_for_each_group_with_count_jobs_and_times(rocketjob):
    a_group_of_failures("state 'ZZ' in line 1", "state 'XX' in line 22")
    rocketjob.travel(timedelta(seconds=1))
    a_group_of_failures("the disk is full")
    page = browser().get("/failures")
    assert cells(page, "count") == ["1", "2"]
    what = cells(page, "what")
    assert what[1] == "failed WebFailingJob · ValueError state '…' in line # (2 messages)"
    assert cells(page, "jobs") == ["1", "2"]
    assert len(tags(page, "svg", class_="spark state-failed")) == 2
    assert tags(page, "svg", role="img", class_="spark state-failed")[0]["aria-label"]


def test_P21_where_nothing_has_failed_it_says_so(rocketjob):
    assert "Nothing has failed." in text_of(browser().get("/failures"))
    assert "Nothing has failed in the last 1h." in text_of(browser().get("/failures?since=1h"))


def test_P21_the_list_is_narrowed_by_time_and_class_and_is_searched_and_sorted(rocketjob):
    a_group_of_failures("the disk is full")
    rocketjob.travel(timedelta(hours=2))
    a_group_of_failures("line 1", "line 2")
    client = browser()
    assert cells(client.get("/failures?since=1h"), "count") == ["2"]
    assert cells(client.get("/failures?class=Other"), "count") == []
    assert cells(client.get("/failures?class=WebFailingJob&sort=count"), "count") == ["1", "2"]
    assert cells(client.get("/failures?q=disk"), "count") == ["1"]
    assert client.get("/failures?since=yesterday").status_code == 400
    assert client.get("/failures?sort=trend").status_code == 400


def test_P21_a_group_has_its_messages_and_its_jobs(rocketjob):
    key = a_group_of_failures("line 1 <b>", "line 2 <b>")
    page = browser().get(f"/failures/{key}")
    assert "line 1 <b>" in text_of(page) and "<b>" not in page.text
    for job in WebFailingJob.all():
        assert f"/jobs/{job.id}" in links(page)


def test_P21_a_group_of_slices_leads_to_their_exceptions(rocketjob):
    job = WebFailingBatchJob()
    job.upload(["a"])
    job.save()
    rocketjob.work_off()
    client = browser()
    (link,) = [a["href"] for a in tags(client.get("/failures"), "a", class_="name")]
    page = client.get(link)
    assert f"/jobs/{job.id}/exception?error_type=KeyError" in links(page)
    assert "1 slice" in text_of(page)


@pytest.mark.parametrize("key", ["0123456789abcdef", "..%2f", "x" * 500, "<b>"])
def test_P21_a_group_of_which_nothing_is_failed_leads_back_to_the_list(rocketjob, key):
    answer = browser().get(f"/failures/{key}")
    assert answer.status_code in (303, 404)
    assert answer.headers.get("location", "/failures") == "/failures"


def test_P21_a_retry_says_what_it_will_do_and_then_does_it(rocketjob):
    key = a_group_of_failures("line 1", "line 2")
    client = as_role("manager", login="grace")
    asked = client.get(f"/failures/{key}/retry")
    assert "Retry these 2?" in text_of(asked)
    assert "2 failed jobs would be retried." in text_of(asked)
    answer = client.post(f"/failures/{key}/retry", data=hidden(asked))
    assert (answer.status_code, answer.headers["location"]) == (303, "/failures")
    page = client.get("/failures")
    assert "WebFailingJob ValueError: 2 jobs retried" in text_of(page)
    assert "Nothing has failed." in text_of(page)
    assert {job.history[-1].by for job in WebFailingJob.queued()} == {"grace"}


def test_P21_a_retry_from_the_page_of_the_group_leads_to_the_list_with_its_message(rocketjob):
    key = a_group_of_failures("line 1", "line 2")
    client = browser()
    asked = hidden(client.get(f"/failures/{key}/retry", params={"back": f"/failures/{key}?page=1"}))
    answer = client.post(f"/failures/{key}/retry", data=asked)
    assert answer.headers["location"] == "/failures"
    assert "WebFailingJob ValueError: 2 jobs retried" in text_of(client.get("/failures"))


def test_P21_what_has_failed_since_the_question_is_left_alone(rocketjob):
    key = a_group_of_failures("line 1")
    client = browser()
    asked = hidden(client.get(f"/failures/{key}/retry"))
    rocketjob.travel(timedelta(seconds=5))
    a_group_of_failures("line 2")
    client.post(f"/failures/{key}/retry", data=asked)
    assert [job.text for job in WebFailingJob.failed()] == ["line 2"]


def test_P21_the_same_answer_twice_retries_once(rocketjob):
    key = a_group_of_failures("line 1", "line 2")
    client = browser()
    asked = hidden(client.get(f"/failures/{key}/retry"))
    client.post(f"/failures/{key}/retry", data=asked)
    assert client.post(f"/failures/{key}/retry", data=asked).headers["location"] == "/failures"
    assert "Nothing of this group of failures is failed any more" in text_of(
        client.get("/failures")
    )
    assert [len(job.history) for job in WebFailingJob.all()] == [2, 2]


def test_P21_whoever_may_not_retry_a_job_is_refused_for_it(rocketjob):
    key = a_group_of_failures("line 1")
    assert as_role("view").get(f"/failures/{key}/retry").status_code == 403
    assert as_role("view").post(f"/failures/{key}/retry").status_code == 403
    assert "Retry" not in text_of(as_role("view").get("/failures"))
    assert WebFailingJob.failed().count() == 1


def test_a_group_that_is_acknowledged_is_shown_as_seen_until_it_fails_anew(rocketjob):
    key = a_group_of_failures("line 1")
    client = as_role("manager", login="grace")
    asked = hidden(client.get(f"/failures/{key}/acknowledge"))
    client.post(f"/failures/{key}/acknowledge", data={**asked, "reason": "known"})
    page = client.get("/failures")
    assert cells(page, "what")[0].startswith("acknowledged WebFailingJob")
    assert "Acknowledge" not in cells(page, "actions")[0]
    assert "Acknowledged by grace" in text_of(client.get(f"/failures/{key}"))
    rocketjob.travel(timedelta(seconds=5))
    a_group_of_failures("line 2")
    assert cells(client.get("/failures"), "what")[0].startswith("failed WebFailingJob")
    assert "1 failed since." in text_of(client.get(f"/failures/{key}"))


UNTIL = [
    "yesterday",
    "2026-01-01",
    "9" * 100,
    "2026-01-01T00:00:00",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
]


@pytest.mark.parametrize("until", UNTIL)
@pytest.mark.parametrize("action", ["retry", "acknowledge"])
def test_a_time_that_was_not_shown_is_refused(rocketjob, action, until):
    key = a_group_of_failures("line 1")
    assert browser().post(f"/failures/{key}/{action}", data={"until": until}).status_code == 400
    assert WebFailingJob.failed().count() == 1


def test_messages_are_hidden_from_those_who_may_not_see_records(rocketjob):
    key = a_group_of_failures("the password is xyzzy")
    viewer = as_role("manager", redact_messages=True)
    for path in ("/failures", f"/failures/{key}", f"/failures/{key}/retry"):
        assert "xyzzy" not in viewer.get(path).text
    assert cells(viewer.get("/failures?q=xyzzy"), "count") == []
    assert "xyzzy" in as_role("editor", redact_messages=True).get("/failures").text


@pytest.mark.parametrize("path", ["/failures", "/failures/{key}", "/failures/{key}/retry"])
def test_P21_a_page_makes_few_calls_of_the_store(rocketjob, path):
    key = a_group_of_failures("line 1", "line 2")
    client = browser()
    with counted_calls() as calls:
        assert client.get(path.format(key=key)).status_code == 200
    assert len(calls) <= 8, calls


def test_the_way_back_is_kept_through_a_question(rocketjob):
    key = a_group_of_failures("line 1", "line 2")
    client = browser()
    page = client.get("/failures?since=1h")
    (link,) = [a["href"] for a in tags(page, "a", class_="button small") if "retry" in a["href"]]
    assert parse_qs(urlsplit(link).query) == {"back": ["/failures?since=1h"]}
    answer = client.post(f"/failures/{key}/retry", data=hidden(client.get(link)))
    assert answer.headers["location"] == "/failures?since=1h"
