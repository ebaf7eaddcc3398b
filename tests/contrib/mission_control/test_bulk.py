"""One action on many jobs of a list: tick rows, or take all that match; preview, then done."""

import re
from datetime import timedelta
from operator import eq

import pytest

from rocketjob import Job, before
from rocketjob.base import clock
from rocketjob.testing import sandbox
from rocketjob_contrib.mission_control import Policy, tokens
from rocketjob_contrib.mission_control.jobs import bulk as web_bulk
from rocketjob_plugins import audit
from rocketjob_plugins.bulk import BulkActionJob
from support.web import as_role, browser, counted_calls, links, tags, text_of

PATH = "/jobs/bulk"


class WebBulkJob(Job):
    destroy_on_complete = False
    login: str | None = None

    def perform(self):
        raise OSError("disk full")


class WebBulkOtherJob(WebBulkJob): ...


class WebBulkGuardedJob(WebBulkJob):
    @before("retry")
    def _not_today(self):
        raise RuntimeError("not today <b>")


class WebBulkRevokingJob(WebBulkJob):
    @before("retry")
    def _nobody_any_more(self):
        tokens.revoke("bulk")


class OnlyOthersPolicy(Policy):
    """Rules of an application's own, that look at the job."""

    def may(self, identity, permission, target=None):
        allowed = super().may(identity, permission, target)
        return allowed and not isinstance(target, WebBulkOtherJob)


def failed(rocketjob, number=1, cls=WebBulkJob, **values):
    jobs = [cls.create(**values) for _ in range(number)]
    rocketjob.work_off()
    return [job.reload() for job in jobs]


def offers(page):
    """Return what can be chosen to be done."""
    chosen = re.search(r'<select id="tick-event".*?</select>', page.text, re.S)
    return set(re.findall(r'<option value="(\w+)"', chosen.group()))


def tick(job):
    return f"{job.id}:{job.state}"


def posted(page, **changes):
    """Return what the form of a preview posts."""
    form = re.search(r'<form[^>]* method="post".*?</form>', page.text, re.S).group()
    fields = {}
    for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form):
        fields.setdefault(name, []).append(value.replace("&#43;", "+"))
    return fields | changes


def asked(client, event="retry", jobs=(), **query):
    query = {"event": event, "list": "failed", "back": "/jobs/failed", **query}
    ticks = [tick(job) for job in jobs]
    return client.get(PATH, params={**query, **({"id": ticks} if ticks else {"all": "1"})})


def said(client, answer):
    """Return the message after an action."""
    assert answer.status_code == 303, text_of(answer)
    return text_of(client.get(answer.headers["location"]))


# --- the list ------------------------------------------------------------------------------------


def test_P23_a_list_has_a_box_on_each_row_and_offers_what_can_be_done(rocketjob):
    (job,) = failed(rocketjob)
    page = browser().get("/jobs/failed")
    (box,) = tags(page, "input", name="id")
    assert (box["form"], box["value"]) == ("bulk", tick(job))
    assert "WebBulkJob" in box["aria-label"]
    assert offers(page) == {"retry", "abort", "destroy", "set_priority"}
    assert "all 1 that match" in text_of(page)


@pytest.mark.parametrize(
    ("name", "events"),
    [
        ("scheduled", "run_now pause fail abort destroy set_priority"),
        ("queued", "pause fail abort destroy set_priority"),
        ("running", "pause fail abort destroy set_priority"),
        ("paused", "resume fail abort destroy set_priority"),
        ("completed", "destroy"),
        ("aborted", "destroy"),
    ],
)
def test_P23_each_list_offers_what_its_state_allows(rocketjob, name, events):
    later = {"run_at": timedelta(hours=1)} if name == "scheduled" else {}
    job, state = WebBulkJob.create(**later), "queued" if name == "scheduled" else name
    Job.collection().update_one({"_id": job.id}, {"$set": {"state": state}})
    page = browser().get(f"/jobs/{name}")
    offered = offers(page)
    assert set(events.split()) <= offered
    assert not offered & ({"run_now", "resume", "retry"} - set(events.split()))


def test_P23_who_may_do_nothing_is_offered_nothing(rocketjob):
    failed(rocketjob)
    page = as_role("view").get("/jobs/failed")
    assert not tags(page, "input", name="id") and not tags(page, "form", id="bulk")
    assert not tags(browser(read_only=True).get("/jobs/failed"), "input", name="id")


def test_P23_a_user_is_offered_what_is_possible_for_jobs_of_ones_own(rocketjob):
    failed(rocketjob)
    page = as_role("user").get("/jobs/failed")
    assert offers(page) == {"retry", "abort", "set_priority"}


# --- preview -------------------------------------------------------------------------------------


def test_P23_the_preview_counts_by_state_and_class(rocketjob):
    failed(rocketjob, 2), failed(rocketjob, 1, WebBulkOtherJob)
    WebBulkJob.create()
    page = asked(browser(), list="all")
    text = text_of(page)
    assert "Retry 3 jobs?" in text and "3 failed" in text
    assert "WebBulkJob 2 WebBulkOtherJob 1" in text
    assert "1 more match, but their state does not allow it" in text
    assert (Job.failed().count(), list(audit.records())) == (3, [])


def test_P23_all_that_match_is_what_was_searched_for(rocketjob):
    failed(rocketjob, 2), failed(rocketjob, 1, WebBulkOtherJob)
    client = browser()
    page = asked(client, q="Other")
    assert "Retry 1 job?" in text_of(page)
    assert "Retry: 1 done" in said(client, client.post(PATH, data=posted(page)))
    assert {type(job).__name__ for job in Job.queued()} == {"WebBulkOtherJob"}


def test_P23_what_comes_into_a_list_after_the_preview_is_left_alone(rocketjob):
    """By its age, by its time, or since it was started, though it was there before."""
    failed(rocketjob), WebBulkJob.create(run_at=timedelta(minutes=5))
    client, at = browser(), clock.now().isoformat()
    rocketjob.travel(timedelta(hours=2))
    for narrowed in ({"list": "failed", "q": "created:>1h"}, {"list": "queued"}):
        form = {"event": "abort", "all": "1", **narrowed}
        assert asked(client, **form).text.count('name="count" value="1"') == 1, "it is there now"
        assert "nothing was done" in said(client, client.post(PATH, data=form | {"at": at}))
    assert Job.aborted().count() == 0


def test_P23_of_ticked_rows_only_those_are_meant(rocketjob):
    first, second, third = failed(rocketjob, 3)
    client = browser()
    page = asked(client, jobs=[first, third])
    assert "Retry 2 jobs?" in text_of(page)
    answer = client.post(PATH, data=posted(page))
    assert answer.headers["location"].endswith("/jobs/failed")
    assert "Retry: 2 done" in said(client, answer)
    assert [job.reload().state for job in (first, second, third)] == ["queued", "failed", "queued"]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"event": "retry", "id": "x"}, "an id and a state, not x"),
        ({"event": "retry", "all": "1", "list": "nowhere"}, "There is no list nowhere"),
        ({"event": "retry", "all": "1", "at": "soon"}, "soon is not a time"),
        ({"event": "retry", "all": "1", "count": "-1"}, "count must be a number"),
        ({"event": "retry", "all": "1", "q": "nonsense:1"}, "nonsense"),
        ({"event": "retry", "all": "1", "q": "x" * 5000}, "characters"),
        ({"event": "set_priority", "all": "1", "priority": "0"}, "from 1 to 100, not 0"),
        ({"event": "set_priority", "all": "1", "priority": "٣"}, "from 1 to 100, not"),
    ],
)
def test_what_makes_no_sense_is_refused(rocketjob, query, says):
    failed(rocketjob)
    answer = browser().post(PATH, data=query)
    assert answer.status_code == 400
    assert says in text_of(answer)
    assert Job.failed().count() == 1


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({}, "Choose what is to be done, not nothing"),
        ({"event": "start", "all": "1"}, "Choose what is to be done, not start"),
        ({"event": "retry", "list": "failed"}, "Retry: tick the jobs that are meant, or all"),
    ],
)
def test_who_has_chosen_nothing_is_told_so_on_the_list(rocketjob, query, says):
    client = browser()
    assert says in said(client, client.get(PATH, params=query))


def test_more_rows_than_a_list_has_are_refused(rocketjob):
    ids = [f"{number:024x}:failed" for number in range(101)]
    answer = browser().post(PATH, data={"event": "retry", "id": ids})
    assert (answer.status_code, "at most 100 rows" in text_of(answer)) == (400, True)


# --- done ----------------------------------------------------------------------------------------


def test_P23_the_message_says_how_many_were_done_skipped_and_failed_and_why(rocketjob):
    ok, changed = failed(rocketjob, 2)
    guarded = failed(rocketjob, 1, WebBulkGuardedJob)[0]
    client = browser()
    form = posted(asked(client))
    changed.abort()
    text = said(client, client.post(PATH, data=form))
    assert "Retry: 1 done, 1 skipped (their state had changed), 1 failed (see below)" in text
    assert f"WebBulkGuardedJob {guarded.id}: RuntimeError: not today <b>" in text
    assert ok.reload().is_queued


def test_P26_of_two_people_the_second_is_told_that_nothing_was_left(rocketjob):
    failed(rocketjob, 2)
    ada, bob = as_role("manager"), as_role("manager", login="bob")
    first, second = posted(asked(ada)), posted(asked(bob, "abort"))
    assert "Retry: 2 done" in said(ada, ada.post(PATH, data=first))
    assert "Abort: nothing was done" in said(bob, bob.post(PATH, data=second))
    assert Job.queued().count() == 2


def test_P26_a_ticked_row_that_is_in_another_state_is_left_alone(rocketjob):
    job, other = failed(rocketjob, 2)
    client = browser()
    form = posted(asked(client, "abort", [job, other]))
    job.retry()
    text = said(client, client.post(PATH, data=form))
    assert "Abort: 1 done, 1 skipped" in text
    assert job.reload().is_queued and other.reload().is_aborted


def test_P23_what_fails_after_the_preview_is_left_alone(rocketjob):
    failed(rocketjob, 2)
    client = browser()
    form = posted(asked(client))
    rocketjob.travel(timedelta(seconds=1))
    (late,) = failed(rocketjob)
    assert "Retry: 2 done" in said(client, client.post(PATH, data=form))
    assert late.reload().is_failed


def test_P25_many_are_destroyed_only_by_a_typed_word(rocketjob):
    jobs = failed(rocketjob, 2)
    client = as_role("admin")
    page = asked(client, "destroy")
    assert "Type DESTROY to confirm" in text_of(page)
    refused = client.post(PATH, data=posted(page, typed="yes"))
    assert (refused.status_code, Job.count()) == (422, 2)
    assert "type DESTROY, not yes" in text_of(refused)
    assert "Destroy: 2 done" in said(client, client.post(PATH, data=posted(page, typed="destroy")))
    assert Job.count() == 0
    assert {r.id for r in audit.records() if r.event == "destroy"} == {job.id for job in jobs}


def test_P25_the_reason_is_kept_in_the_audit_of_the_whole_and_of_each(rocketjob):
    failed(rocketjob, 2)
    client = as_role("manager", login="eve")
    client.post(PATH, data=posted(asked(client), reason="disk replaced"))
    found = list(audit.records())
    assert [record.event for record in found] == ["retry", "retry", "bulk retry"]
    assert {(r.by, r.via, r.how, r.reason) for r in found} == {
        ("eve", "web", "POST /jobs/bulk", "disk replaced")
    }


def test_the_priority_is_asked_for_and_set(rocketjob):
    jobs = failed(rocketjob, 2)
    client = browser()
    page = asked(client, "set_priority")
    assert tags(page, "input", name="priority", type="number")
    assert "Set priority: 2 done" in said(
        client, client.post(PATH, data=posted(page, priority="7"))
    )
    assert [job.reload().priority for job in jobs] == [7, 7]


def test_nothing_that_matches_is_said(rocketjob):
    client = browser()
    assert "Retry: nothing to do" in text_of(asked(client))
    answer = client.post(PATH, data={"event": "retry", "list": "failed", "all": "1"})
    assert "Retry: nothing was done" in said(client, answer)


def test_P09_a_preview_that_no_index_has_stops_after_a_moment_and_says_so(rocketjob, monkeypatch):
    jobs, client = failed(rocketjob, 3), browser()
    monkeypatch.setattr(web_bulk, "SECONDS", -1.0)
    page = asked(client, q="class:WebBulkJob")
    text = text_of(page)
    assert "Retry 0+ jobs?" in text and "there are more than these" in text
    assert "Retry: 3 done" in said(client, client.post(PATH, data=posted(page)))
    assert all(job.reload().is_queued for job in jobs)


# --- who may -------------------------------------------------------------------------------------


def test_P23_what_a_person_may_not_do_is_refused_by_job_and_said_before(rocketjob):
    own = failed(rocketjob, 2, login="ada")
    others = failed(rocketjob, 1, login="bob")
    client = as_role("user", login="ada")
    page = asked(client)
    assert "Retry 2 jobs?" in text_of(page)
    assert "1 of them are refused" in text_of(page)
    text = said(client, client.post(PATH, data=posted(page)))
    assert "Retry: 2 done, 1 refused (you may not do it to them)" in text
    assert all(job.reload().is_queued for job in own) and others[0].reload().is_failed


def test_P23_what_a_role_may_never_do_is_refused(rocketjob):
    failed(rocketjob, 2)
    client = as_role("manager")
    assert asked(client, "destroy").status_code == 403
    form = {"event": "destroy", "list": "failed", "all": "1", "typed": "DESTROY"}
    assert client.post(PATH, data=form).status_code == 403
    assert as_role("user", login=None).post(PATH, data=form | {"event": "retry"}).status_code == 403
    assert Job.failed().count() == 2


def test_rules_of_an_application_are_asked_for_each_job_up_to_the_limit(rocketjob):
    failed(rocketjob, 1), failed(rocketjob, 1, WebBulkOtherJob)
    client = browser(policy=OnlyOthersPolicy)
    page = asked(client)
    assert "Retry 1 job?" in text_of(page) and "1 of them are refused" in text_of(page)
    assert "1 done, 1 refused" in said(client, client.post(PATH, data=posted(page)))


# --- by a job ------------------------------------------------------------------------------------


@pytest.fixture
def few():
    """A sandbox in which a job does whatever is to be done to more than two jobs."""
    with sandbox(bulk={"at_once": 2}) as rocketjob:
        yield rocketjob


def test_P24_over_the_limit_a_job_does_it_whose_page_shows_how_far_it_is(few):
    jobs = failed(few, 2, login="ada") + failed(few, 1, login="bob")
    jobs += failed(few, 1, WebBulkGuardedJob, login="ada")
    client = as_role("user", login="ada")
    page = asked(client)
    assert "a job does it" in text_of(page)
    answer = client.post(PATH, data=posted(page, reason="disk"))
    (job,) = BulkActionJob.all()
    assert answer.headers["location"].endswith(f"/jobs/{job.id}")
    assert (job.login, job.only_of, job.reason, job.via) == ("ada", "ada", "disk", "web")
    assert "Retry: a job does it" in said(client, answer)
    few.work_off(1)
    assert eq(job.reload().result, {"done": 2, "skipped": 0, "refused": 1, "failed": 1})
    with counted_calls() as calls:
        page = client.get(f"/jobs/{job.id}")
    assert len(calls) <= 8, calls
    text = text_of(page)
    assert "4 of 4: 2 done, 0 skipped, 1 refused, 1 failed" in text
    assert "RuntimeError: not today <b>" in text
    assert any(link.endswith(f"/jobs/{jobs[3].id}") for link in links(page))


def test_the_page_of_one_that_something_else_has_written_is_shown(rocketjob):
    Job.collection().insert_one(
        {"_type": "BulkActionJob", "state": "completed", "expected": "many", "filter": 3}
    )
    id = Job.collection().find_one({})["_id"]
    rocketjob.store.collection("rocket_job.bulk").insert_one({"bulk": id, "word": "failed"})
    text = text_of(browser().get(f"/jobs/{id}"))
    assert "0 done, 0 skipped, 0 refused, 1 failed" in text
    assert "A part of this page is missing" not in text


def test_P24_rules_of_an_application_cannot_be_asked_by_a_job(few):
    failed(few, 3)
    answer = asked(browser(policy=OnlyOthersPolicy))
    assert answer.status_code == 400
    assert "at most 2 are judged at a time: search for fewer" in text_of(answer)


def test_without_the_plugin_more_than_are_done_at_once_are_refused_and_none_is_changed(monkeypatch):
    monkeypatch.setattr(web_bulk, "MANY", 2)
    with sandbox(disabled_plugins=["bulk"]) as rocketjob:
        failed(rocketjob, 4)
        client = as_role("manager")
        body = {"event": "retry", "state": "failed"}
        for answer in (client.post(API, json=body), client.get(API, params=body)):
            assert answer.status_code == 400
            assert "the plugin bulk, which has a job do it, is not here" in answer.json()["detail"]
        assert Job.failed().count() == 4


# --- by the API ----------------------------------------------------------------------------------

API = "/api/v1/jobs/bulk"


def test_P56_what_the_preview_has_counted_is_done_and_each_result_is_answered(rocketjob):
    jobs, client = failed(rocketjob, 2), as_role("manager")
    seen = client.get(API, params={"event": "retry", "state": "failed"}).json()
    assert (seen["count"], seen["by_class"], seen["by_a_job"]) == (2, {"WebBulkJob": 2}, False)
    rocketjob.travel(timedelta(seconds=1))
    (late,) = failed(rocketjob)
    sent = {"event": "retry", "state": "failed", "at": seen["at"], "count": seen["count"]}
    done = client.post(API, json=sent).json()
    assert eq(done["counts"], {"done": 2, "skipped": 0, "refused": 0, "failed": 0})
    assert eq([each["id"] for each in done["results"]], [str(job.id) for job in jobs])
    assert late.reload().is_failed and done["job"] is None


def test_P56_where_there_are_more_than_were_seen_nothing_is_done(rocketjob):
    failed(rocketjob, 2)
    client = as_role("admin")
    answer = client.post(API, json={"event": "destroy", "count": 1})
    assert (answer.status_code, Job.count()) == (409, 2)
    answer = client.post(API, json={"event": "destroy", "state": "failed"})
    assert (answer.status_code, Job.count()) == (422, 2)
    assert "#/count must say how many" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"event": "retry", "ids": ["a" * 24]}, "#/state is missing"),
        ({"event": "retry", "at": "soon"}, "#/at must be a time"),
        ({"event": "set_priority"}, "#/priority is missing"),
        ({"event": "start"}, "#/event must be one of"),
    ],
)
def test_P56_what_is_wrong_is_named_with_its_place(rocketjob, body, says):
    failed(rocketjob)
    answer = as_role("admin").post(API, json=body)
    assert (answer.status_code, says in answer.json()["detail"]) == (422, True)


def test_P56_no_ids_are_no_jobs(rocketjob):
    failed(rocketjob, 2)
    body = {"event": "retry", "state": "failed", "ids": []}
    done = as_role("admin").post(API, json=body).json()
    assert (done["count"], done["results"], Job.failed().count()) == (0, [], 2)


def test_P56_of_a_job_that_does_it_the_results_are_paged(few):
    jobs = failed(few, 3)
    client = as_role("manager")
    done = client.post(API, json={"event": "retry", "state": "failed"}).json()
    assert (done["counts"], done["results"]) == (None, [])
    few.work_off(1)
    path, ids, cursor = f"/api/v1/jobs/{done['job']}/bulk", [], {}
    while cursor is not None:
        page = client.get(path, params={"limit": 2, "only": "done", **cursor}).json()
        ids += [each["id"] for each in page["data"]]
        cursor = {"cursor": page["next"]} if page["next"] else None
    assert eq(ids, [str(job.id) for job in jobs])
    assert client.get(f"/api/v1/jobs/{jobs[0].id}/bulk").status_code == 404


def test_a_token_that_is_revoked_amid_the_jobs_stops_the_next_and_says_how_many(rocketjob):
    jobs = failed(rocketjob, 1, WebBulkRevokingJob) + failed(rocketjob, 1)
    text = tokens.create("bulk", "manager", None)[1]
    program = browser(client=("192.0.2.7", 40000))
    program.headers["authorization"] = f"Bearer {text}"
    answer = program.post(API, json={"event": "retry", "state": "failed"})
    assert answer.status_code == 403
    assert "1 of 2 were done" in answer.json()["detail"]
    assert eq([job.reload().state for job in jobs], ["queued", "failed"])


# --- what it costs -------------------------------------------------------------------------------


def test_the_preview_asks_the_store_a_few_times_however_many_jobs_match(rocketjob):
    failed(rocketjob, 5)
    for client in (browser(), as_role("user")):
        with counted_calls() as calls:
            asked(client)
        assert len(calls) <= 8, calls
