"""The page of a job: what is said of it, for simple and batch jobs; rows W48 to W65."""

from datetime import UTC, datetime, timedelta

import pytest

from rocketjob import Job, field, hookimpl, now
from rocketjob.base.errors import StoreUnavailable
from rocketjob.store import context
from rocketjob_contrib.mission_control import Panel, create_app
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory, Statistics
from rocketjob_plugins.batch.slices import reject_slices
from rocketjob_plugins.cron import Cron
from rocketjob_plugins.retry import Retry
from support.encryption import reversing
from support.web import as_role, browser, counted_calls, links, tags, text_of


class ShownJob(Retry, Job):
    destroy_on_complete = False
    pausable = True
    account: int = 42
    note: str | None = None
    tags: list = []

    def perform(self):
        try:
            raise OSError("disk full")
        except OSError as error:
            raise ValueError("no report") from error


class ShownCronJob(Cron, Job):
    def perform(self): ...


class PageBatchJob(Statistics, Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(
        slice_size=2,
        format="csv",
        columns=["id", "name"],
        allowed_columns=["id", "name"],
        required_columns=["id"],
        skip_unknown=True,
    )
    output_category = OutputCategory(format="json", serializer="zstd")

    def perform(self, row):
        return row


def page_of(job, client=None):
    return (client or browser()).get(f"/jobs/{job.id}")


def put(job, **stored):
    Job.collection().update_one({"_id": job.id}, {"$set": stored})
    return job


def batch(state="running", records=10, **stored):
    job = PageBatchJob.create(description="customers")
    job.upload([{"id": str(n), "name": "x"} for n in range(records)])
    values = {"sub_state": "processing", "started_at": now() - timedelta(seconds=100)}
    return put(job, state=state, **{**values, **stored})


def fail_slices(job, *numbers, error="ValueError", message="state ZZ"):
    exception = {"class_name": error, "message": message, "backtrace": []}
    job.input.collection.update_many(
        {"_id": {"$in": list(numbers)}}, {"$set": {"state": "failed", "exception": exception}}
    )


def test_W48_the_heading_is_the_class(rocketjob):
    page = page_of(ShownJob.create())
    assert "<title>ShownJob queued · Mission Control</title>" in page.text
    assert "ShownJob" in text_of(page)


def test_W49_W114_the_buttons_are_those_of_the_state_and_the_role(rocketjob):
    job = ShownJob.create()
    offered = [link.split("?")[0].rpartition("/")[2] for link in links(page_of(job))]
    assert [x for x in offered if x in ("pause", "fail", "abort", "destroy", "retry")] == [
        "pause",
        "fail",
        "abort",
        "destroy",
    ]
    assert "Destroy" not in text_of(page_of(job, as_role("manager")))
    assert not tags(page_of(job, as_role("view")), "a", title="Pause")
    below = [x for x in links(page_of(job, as_role("view"))) if x.startswith(f"/jobs/{job.id}/")]
    assert below == [
        f"/jobs/{job.id}/{page}" for page in ("explain", "runs", "related")
    ]  # only read


@pytest.mark.parametrize("phase", ["before", "after"])
def test_W50_a_batch_job_shows_its_phase_beside_its_state(rocketjob, phase):
    job = put(batch(), sub_state=phase, worker_name="host:1:1")
    page = text_of(page_of(job))
    assert f"running {phase}" in page


def test_W51_what_is_known_is_said_and_nothing_else(rocketjob):
    job = put(
        ShownJob.create(description="Sales", log_level="debug", priority=7),
        failure_count=3,
        throttled_by="3 run already",
    )
    page = text_of(page_of(job))
    for text in ("Description Sales", "Priority 7", "Failure count 3", "Log level debug"):
        assert text in page
    assert f"ID {job.id}" in page
    assert "On success is kept" in page
    plain = text_of(page_of(ShownJob.create()))
    for text in ("Description", "Failure count", "Log level", "Cron schedule", "Held back"):
        assert text not in plain


def test_W51_what_holds_a_job_back_is_said_in_words_and_since_when(rocketjob):
    at = now() - timedelta(minutes=5)
    held = {"throttled_by": "load_is_high", "throttled_text": "load 3.2 > 0.8", "throttled_at": at}
    page = text_of(page_of(put(ShownJob.create(), **held)))
    assert "Held back by load_is_high: load 3.2 > 0.8, since 5m ago" in page


def test_W51_a_schedule_is_shown(rocketjob):
    job = ShownCronJob.create(cron_schedule="0 6 * * *")
    assert "Cron schedule 0 6 * * *" in text_of(page_of(job))


def test_W52_a_batch_job_shows_its_record_count_and_slice_size(rocketjob):
    page = text_of(page_of(batch(records=10)))
    assert "Record count 10" in page and "Slice size 2" in page


def test_W53_a_completed_batch_job_shows_its_rate(rocketjob):
    job = batch("completed", sub_state=None)
    began = now()
    put(job, started_at=began, completed_at=began + timedelta(hours=2), record_count=5000)
    assert "Records per hour 2,500" in text_of(page_of(job))


@pytest.mark.parametrize("state", ["running", "paused", "failed"])
def test_W54_a_batch_job_in_work_shows_its_progress(rocketjob, state):
    job = batch(state, completed_at=now() if state != "running" else None)
    job.input.collection.delete_many({"_id": {"$in": [1, 3]}})
    assert "Progress 40 %" in text_of(page_of(job))


@pytest.mark.parametrize(("records", "left", "shown"), [(10, 4, True), (100, 49, False)])
def test_W55_the_remaining_time_is_estimated_from_five_percent_on(rocketjob, records, left, shown):
    job = batch(records=records)
    ids = [stored["_id"] for stored in job.input.collection.find({}, {"_id": 1})]
    job.input.collection.delete_many({"_id": {"$in": ids[left:]}})
    assert ("Time remaining about" in text_of(page_of(job))) == shown


def test_W56_the_slices_are_a_bar_of_four_parts_with_their_numbers(rocketjob):
    job = batch(records=10)
    job.input.collection.delete_one({"_id": 1})
    job.input.collection.update_one({"_id": 3}, {"$set": {"state": "running"}})
    fail_slices(job, 5)
    page = page_of(job)
    assert "Completed 1 Active 1 Queued 2 Failed 1" in text_of(page)
    bar = tags(page, "svg", class_="slices")[0]
    assert bar["aria-label"] == "1 completed, 1 active, 2 queued, 1 failed"
    assert [r["width"] for r in tags(page, "rect") if "x" in r] == [
        "200.0",
        "200.0",
        "400.0",
        "200.0",
    ]


def test_W56_the_bar_is_empty_while_the_record_count_is_unknown(rocketjob):
    job = put(batch(), record_count=None)
    page = page_of(job)
    assert "not known yet: the upload has not ended" in text_of(page)
    assert [r for r in tags(page, "rect") if "x" in r] == []


def test_W57_dates_are_shown_with_how_long_ago_they_were(rocketjob):
    rocketjob.freeze(datetime(2026, 7, 1, 12, tzinfo=UTC))
    job = ShownJob.create(run_at=now() + timedelta(hours=2), expires_at=now() + timedelta(days=1))
    page = text_of(page_of(job))
    assert "Created 2026-07-01 12:00:00" in page
    assert "To run 2026-07-01 14:00:00 in 2h" in page
    assert "Expires 2026-07-02 12:00:00 in 1d" in page
    put(job, state="failed", started_at=now(), completed_at=now() - timedelta(minutes=3))
    assert "Failed 2026-07-01 11:57:00 3m ago" in text_of(page_of(job))


def test_W58_retries_show_the_limit_and_earlier_failures(rocketjob):
    rocketjob.freeze(datetime(2026, 7, 1, 12, tzinfo=UTC))
    job = ShownJob.create(retry_limit=3, failed_at_list=[now() - timedelta(hours=1)])
    page = text_of(page_of(job))
    assert "Retry limit 3" in page
    assert "2026-07-01 11:00:00 UTC 1h ago" in page


def test_W59_every_other_field_is_shown_by_name(rocketjob):
    job = ShownJob.create(note="first\n<b>second</b>", tags=["a", "b"])
    page = page_of(job)
    text = text_of(page)
    assert "account 42 note first <b>second</b> tags [ 2 entries ]" in text
    assert "first\n&lt;b&gt;second" in page.text  # line breaks stay
    assert "note null" in text_of(page_of(ShownJob.create()))


def test_W60_the_exception_is_shown_with_its_causes(rocketjob):
    job = ShownJob.create(retry_limit=0)
    rocketjob.work_off()
    page = text_of(page_of(job))
    assert "ValueError : no report" in page
    assert "in perform" in page
    assert "Caused by OSError : disk full" in page


def test_what_was_set_aside_of_a_batch_job_is_counted(rocketjob, monkeypatch):
    job = batch(records=4, max_rejects=1_500)
    assert "Rejects 0 of at most 1,500" in text_of(page_of(job))
    for number in (1, 3):
        reject_slices(job.id).insert(["a"], number)
    assert "Rejects 2 of at most 1,500" in text_of(page_of(job))

    def away(self):
        raise StoreUnavailable("the store of slices is away")

    monkeypatch.setattr(type(job), "reject_count", property(away))
    assert "Rejects not known: their store is away" in text_of(page_of(job))
    assert "Rejects" not in text_of(page_of(batch(records=4)))


def test_W61_failed_slices_are_grouped_by_exception(rocketjob):
    job = batch(records=10)
    fail_slices(job, 1, 3)
    fail_slices(job, 5, message="state <YY>")
    fail_slices(job, 7, error="KeyError", message="name")
    page = page_of(job)
    text = text_of(page)
    assert "3 ValueError state ZZ state <YY>" in text
    assert "1 KeyError name" in text
    assert "<YY>" not in page.text


def test_W62_statistics_are_a_tree(rocketjob):
    job = put(batch(), statistics={"customers": {"new": 3}})
    page = text_of(page_of(job))
    assert "Statistics" in page and "customers" in page and "new 3" in page


def test_W63_W64_categories_are_shown(rocketjob):
    page = text_of(page_of(batch()))
    assert "Input Serializer compress Format csv Header cleanser default Skip unknown true" in page
    assert "Allowed columns [ 2 entries ]" in page and "Required columns [ 1 entry ]" in page
    assert "Output Serializer zstd" in page and "Format json" in page


@pytest.mark.parametrize(("state", "leads"), [("running", True), ("paused", False)])
def test_W65_a_running_batch_job_leads_to_its_workers(rocketjob, state, leads):
    job = batch(state)
    assert (f"/active_workers?job_id={job.id}" in links(page_of(job))) is leads


class ShownSecretJob(Job):
    destroy_on_complete = False
    token: str | None = field(default=None, encrypted=True)
    source: str | None = None

    def perform(self): ...


def test_R15_encrypted_fields_and_passwords_are_on_no_page(rocketjob):
    reversing(rocketjob)
    job = ShownSecretJob.create(token="s3cret-token", source="sftp://ada:s3cret-word@host/in")
    client = browser()
    for path in (f"/jobs/{job.id}", "/jobs", "/jobs.json", f"/jobs/{job.id}/abort"):
        assert "s3cret" not in client.get(path).text, path
    put(job, _type="GoneSecretJob")
    assert "s3cret" not in page_of(job).text


@pytest.mark.parametrize("name", ["description", "progress_text", "throttled_text"])
def test_R15_nor_are_passwords_in_what_people_and_programs_say_of_a_job(rocketjob, name):
    url = "sftp://ada:s3cret-word@host/in"
    fields = {"throttled_by": "limit", "worker_name": "web:1:1", "claimed_by": "web"}
    job = put(ShownJob.create(), state="running", **fields, **{name: f"copies {url}"})
    client = browser()
    lists = ("/jobs", "/jobs.json", "/jobs/running", "/jobs/running.json", "/jobs?q=copies")
    pages = (f"/jobs/{job.id}", f"/jobs/{job.id}/abort", f"/jobs/{job.id}/explain")
    for path in (*lists, *pages, "/active_workers", "/active_workers.json"):
        assert "s3cret" not in client.get(path).text, path
    assert getattr(Job.find(job.id), name) == f"copies {url}"
    put(job, _type="GoneSecretJob")
    assert "s3cret" not in client.get("/jobs").text + page_of(job).text


def test_a_job_whose_class_is_not_loaded_shows_what_is_stored(rocketjob):
    job = put(ShownJob.create(account=7), _type="GoneShownJob")
    page = text_of(page_of(job))
    assert "GoneShownJob" in page and "account 7" in page
    assert "is not loaded in the web process" in page
    assert browser().post(f"/jobs/{job.id}/abort").status_code == 303
    assert job.reload().is_aborted


def test_a_job_that_does_not_fit_its_class_is_shown_and_says_so(rocketjob):
    job = put(ShownJob.create(), account="many", priority="high")
    page = text_of(page_of(job))
    assert "does not fit its class" in page


def test_the_history_says_who_did_what(rocketjob):
    job = ShownJob.create()
    as_role("manager", login="grace").post(f"/jobs/{job.id}/pause")
    page = text_of(page_of(job))
    assert "pause paused grace" in page


@pytest.mark.parametrize("make", [lambda: ShownJob.create(), batch])
def test_R11_a_page_of_a_job_makes_few_calls_of_the_store(rocketjob, make):
    job = make()
    client = browser()
    with counted_calls() as calls:
        assert page_of(job, client).status_code == 200
    assert 0 < len(calls) <= 8, calls


def test_R11_also_of_one_with_failed_slices(rocketjob):
    job = batch()
    fail_slices(job, 1, 3)
    client = browser()
    with counted_calls() as calls:
        page_of(job, client)
    assert len(calls) <= 8, calls


class WeatherPlugin:
    """A stranger's panel."""

    @hookimpl
    def job_panels(self, view, job):
        values = {"facts": [("Sun", "yes")]}
        return [Panel(title="Weather", template="jobs/facts.html", values=values)]


class BrokenPlugin:
    @hookimpl
    def job_panels(self, view, job):
        raise RuntimeError("no weather")


def test_a_plugin_adds_a_panel_and_one_that_fails_is_named(rocketjob):
    plugins = context.current().plugins
    plugins.register(WeatherPlugin(), "weather")
    plugins.register(BrokenPlugin(), "broken")
    page = text_of(page_of(ShownJob.create(), browser(app=create_app())))
    assert "Weather Sun yes" in page
    assert "A part of this page is missing" in page and "broken" in page


# --- why a job waits -----------------------------------------------------------------------------


def test_why_a_queued_job_waits_is_asked_by_the_page_once_it_is_open(rocketjob):
    job = ShownJob.create(run_at=timedelta(hours=1))
    page = browser().get(f"/jobs/{job.id}")
    (panel,) = tags(page, "div", id="reasons")
    assert panel["hx-get"] == f"/jobs/{job.id}/explain"
    assert f"/jobs/{job.id}/explain" in links(page)  # without scripts
    part = browser().get(panel["hx-get"], headers={"hx-request": "true"})
    assert "<html" not in part.text
    assert "it is scheduled for later, until" in text_of(part)
    assert "no server is running" in text_of(browser().get(panel["hx-get"]))


def test_what_holds_a_job_back_is_what_a_server_has_stored_and_nothing_is_asked_here(rocketjob):
    job = ShownJob.create()
    said = {"throttled_by": "load", "throttled_text": "load 3.2 > 0.8", "throttled_at": now()}
    Job.collection().update_one({"_id": job.id}, {"$set": said})
    page = browser().get(f"/jobs/{job.id}/explain")
    assert "held back by load: load 3.2 > 0.8" in text_of(page)


@pytest.mark.parametrize("event", ["pause", "abort"])
def test_a_job_that_does_not_wait_is_not_asked_why(rocketjob, event):
    job = ShownJob.create()
    getattr(job, event)()
    assert not tags(browser().get(f"/jobs/{job.id}"), "div", id="reasons")
    answer = browser().get(f"/jobs/{job.id}/explain")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/jobs/{job.id}")


# --- messages of exceptions --------------------------------------------------------------------


def failed_with_a_record():
    job, record = ShownJob.create(), "-".join(("4111", "1111"))  # no line of the source has it
    try:
        try:
            raise KeyError(record)
        except KeyError as error:
            raise ValueError(f"the record {record} is wrong") from error
    except ValueError as error:
        job.fail(reason=error)
    return job


@pytest.mark.parametrize("role", ["view", "user", "manager", "operator"])
def test_R16_messages_of_exceptions_can_be_hidden_from_who_may_not_see_records(rocketjob, role):
    job = failed_with_a_record()
    page = as_role(role, redact_messages=True).get(f"/jobs/{job.id}")
    assert "4111-1111" not in page.text
    assert "ValueError" in page.text and "hidden, as it may quote a record" in page.text


def test_R16_by_default_and_for_editors_messages_are_shown(rocketjob):
    job = failed_with_a_record()
    assert "the record 4111-1111" in as_role("view").get(f"/jobs/{job.id}").text
    shown = as_role("editor", redact_messages=True).get(f"/jobs/{job.id}")
    assert "the record 4111-1111" in shown.text and "hidden, as" not in shown.text


def test_R16_of_failed_slices_too(rocketjob):
    job = batch()
    fail_slices(job, 1, message="the record 4111-1111 is wrong")
    page = as_role("manager", redact_messages=True).get(f"/jobs/{job.id}")
    assert "ValueError" in page.text and "4111-1111" not in page.text
    page = as_role("manager", redact_messages=True).get(f"/jobs/{job.id}/exception?slice=1")
    assert page.status_code == 200
    assert "ValueError" in page.text and "4111-1111" not in page.text
