"""Failed slices: why they failed, their records, and mending those by hand."""

import re
from html import unescape

import pytest

from rocketjob import Job
from rocketjob_contrib.mission_control.slices import finding, viewing
from rocketjob_plugins.batch import Batch, InputCategory, mending
from support.encryption import reversing
from support.web import as_role, browser, counted_calls, tags, text_of


class WebSlicedJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=3)

    def perform(self, record):
        if record in ("bad", b"\xff") or record == {"n": 0}:
            raise ValueError(f"{record!r} is bad <b>")
        if record == "worse":
            raise TimeoutError("too late")


class WebSlicedSecretJob(WebSlicedJob):
    input_category = InputCategory(slice_size=3, serializer="encrypt")


class WebSlicedSimpleJob(Job):
    destroy_on_complete = False

    def perform(self): ...


GOOD = ["a", "b", "c"]
BAD = ["x", "bad", "z"]


def failed_job(rocketjob, records, job_class=WebSlicedJob, file="people.csv"):
    job = job_class()
    job.upload(records)
    job.upload_file_name = file
    job.save()
    rocketjob.work_off()
    return job.reload()


def records_of(page):
    """Return what the table shows: number, content."""
    rows = re.findall(r'<tr id="record-(\d+)".*?data-label="Content">(.*?)</td>', page.text, re.S)
    return [(int(n), unescape(re.sub(r"<[^>]*>", "", text)).strip()) for n, text in rows]


def form_of(page):
    data = {each["name"]: each["value"] for each in tags(page, "input", type="hidden")}
    found = re.search(r'<textarea id="text"[^>]*>\n(.*?)</textarea>', page.text, re.S)
    if found:
        data["text"] = unescape(found.group(1)).replace("\n", "\r\n")
    return data


def opened(job, index, slice_=1, client=None):
    client = client or browser()
    page = client.get(f"/jobs/{job.id}/edit_slice?slice={slice_}&line_index={index}")
    assert page.status_code == 200
    return form_of(page)


def saved(job, index, text, slice_=1, client=None, **changes):
    client = client or browser()
    data = opened(job, index, slice_, client) | {"text": text} | changes
    return client.post(f"/jobs/{job.id}/update_slice", data=data)


# --- exceptions ------------------------------------------------------------------------------


def test_W73_the_page_of_an_exception_says_why_and_at_which_record(rocketjob):
    job = failed_job(rocketjob, [*GOOD, *BAD])
    (link,) = tags(
        browser().get(f"/jobs/{job.id}"),
        "a",
        href=f"/jobs/{job.id}/exception?error_type=ValueError",
    )
    page = browser().get(link["href"])
    said = text_of(page)
    assert "ValueError" in said and "'bad' is bad <b>" in said and "<b>" not in page.text
    assert "Record 5 of" in said and "slice 4" in said
    numbers = re.findall(r'<li value="(\d+)"', page.text)
    assert numbers == [str(n) for n in range(1, len(numbers) + 1)] and numbers


def test_W74_the_backtrace_begins_with_the_frames_of_the_application(rocketjob):
    job = failed_job(rocketjob, BAD)
    own = ['  File "/srv/app/jobs.py", line 9, in perform', "    parse(row)"]
    library = ['  File "/x/site-packages/lib.py", line 3, in parse', "    raise ValueError"]

    def page_with(lines):
        job.input.collection.update_one({"_id": 1}, {"$set": {"exception.backtrace": lines}})
        return browser().get(f"/jobs/{job.id}/exception")

    page = page_with([*own, *library])
    full, shown = re.search(r"<details>(.*?)</details>(.*)</section>", page.text, re.S).groups()
    assert "Full backtrace" in full and "Application only" in full
    assert "site-packages" in full and "site-packages" not in shown and "jobs.py" in shown
    for lines in (library, own, []):
        assert "Full backtrace" not in page_with(lines).text


def test_W75_W78_the_failed_slices_of_a_class_are_gone_through(rocketjob):
    job = failed_job(rocketjob, [*BAD, "worse", "q", "r", *BAD, *GOOD, *BAD])
    for page_name in ("exception", "view_slice"):
        path = f"/jobs/{job.id}/{page_name}?error_type=ValueError"

        def steps(query, path=path):
            page = browser().get(path + query)
            nav = re.search(r'<nav class="pages steps".*?</nav>', page.text, re.S).group()
            return re.search(r"Failed slice (\d+ of \d+)", nav).group(1), re.findall(
                r"slice=(\d+)", nav
            )

        assert steps("") == ("1 of 3", ["7", "13"])
        assert steps("&slice=7") == ("2 of 3", ["1", "1", "13", "13"])
        assert steps("&slice=13") == ("3 of 3", ["1", "7"])
        assert steps("&offset=1") == ("2 of 3", ["1", "1", "13", "13"])


def test_W75_so_are_those_that_are_too_many_to_be_counted(rocketjob, monkeypatch):
    monkeypatch.setattr(finding, "COUNTED", 2)
    job = failed_job(rocketjob, BAD * 4)

    def steps(slice_):
        page = browser().get(f"/jobs/{job.id}/exception?error_type=ValueError&slice={slice_}")
        nav = re.search(r'<nav class="pages steps".*?</nav>', page.text, re.S).group()
        return " ".join(re.sub("<[^>]*>", " ", nav).split()).split(" First")[0], re.findall(
            r"slice=(\d+)", nav
        )

    assert steps(4) == ("Failed slice 2 of 2+", ["1", "1", "7", "10"])
    assert steps(7) == ("Failed slice beyond the first 2+", ["1", "4", "10", "10"])
    assert steps(10) == ("Failed slice beyond the first 2+", ["1", "7"])
    assert browser().get(f"/jobs/{job.id}/exception?slice=99").status_code == 404


def test_W76_where_nothing_has_failed_so_the_job_says_it(rocketjob):
    job = failed_job(rocketjob, BAD)
    client = browser()
    for page in ("exception", "view_slice"):
        answer = client.get(f"/jobs/{job.id}/{page}?error_type=KeyError")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/jobs/{job.id}")
        assert "no slice has failed with KeyError" in text_of(client.get(f"/jobs/{job.id}"))
    assert client.get(f"/jobs/{job.id}/exceptions").headers["location"] == f"/jobs/{job.id}"


NOWHERE = (
    *("error_type=ValueError&offset=9", "offset=99999999999999999999", "offset=-1", "slice=4"),
    *("slice=x", "slice=99999999999999999999", "error_type=ValueError&slice=-1", "slice=%00"),
)


@pytest.mark.parametrize("page", ["exception", "view_slice", "edit_slice", "delete_line"])
def test_R07_a_slice_that_is_not_there_any_more_is_a_404_with_ways_on(rocketjob, page):
    job = failed_job(rocketjob, BAD)
    for query in NOWHERE:
        answer = browser().get(f"/jobs/{job.id}/{page}?{query}")
        assert answer.status_code == 404, query
        assert tags(answer, "a", href=f"/jobs/{job.id}")
        assert [a for a in tags(answer, "a") if f"/jobs/{job.id}/exception?" in a["href"]]


def test_R07_without_an_exception_class_all_failed_slices_are_meant(rocketjob):
    job = failed_job(rocketjob, BAD)
    assert "1 of 1" in text_of(browser().get(f"/jobs/{job.id}/exception"))


@pytest.mark.parametrize("kind", ["simple", "not loaded"])
def test_a_job_without_slices_says_so(rocketjob, kind):
    job = WebSlicedSimpleJob.create()
    if kind == "not loaded":
        Job.collection().update_one({"_id": job.id}, {"$set": {"_type": "GoneBatchJob"}})
    client = browser()
    for page in ("exception", "view_slice", "edit_slice", "delete_line", "retry_slice"):
        assert client.get(f"/jobs/{job.id}/{page}").headers["location"] == f"/jobs/{job.id}"
        why = (
            "it is not a batch job" if kind == "simple" else "its class GoneBatchJob is not loaded"
        )
        assert why in text_of(client.get(f"/jobs/{job.id}"))
    assert client.post(f"/jobs/{job.id}/update_slice").status_code == 303


# --- records ---------------------------------------------------------------------------------


def test_W77_the_records_are_a_table_with_the_one_that_failed_marked(rocketjob):
    job = failed_job(rocketjob, [*GOOD, *BAD])
    page = browser().get(f"/jobs/{job.id}/view_slice?error_type=ValueError")
    assert records_of(page) == [(4, "x done"), (5, "bad"), (6, "z")]
    (failing,) = tags(page, "tr", class_="failing")
    assert failing["id"] == "record-5" and "autofocus" in failing
    assert "ValueError" in text_of(page) and "Record 5" in text_of(page)
    assert len(tags(page, "a", title="Edit record 6")) == 1
    viewer = as_role("editor").get(f"/jobs/{job.id}/view_slice")
    assert tags(viewer, "a", title="Edit record 6")
    read_only = browser(read_only=True).get(f"/jobs/{job.id}/view_slice")
    assert read_only.status_code == 200 and not tags(read_only, "a", title="Edit record 6")


def test_W79_bytes_that_cannot_be_printed_are_marked_and_named(rocketjob):
    job = failed_job(rocketjob, ["bad", "a\x00\x1b\tb\\ ü<i>", b"\xff\xc3\xbc"])
    page = browser().get(f"/jobs/{job.id}/view_slice")
    shown = dict(records_of(page))
    assert shown[2] == "a\\x00\\x1b\tb\\\\ ü<i>" and "<i>" not in page.text
    assert shown[3].split() == ["\\xffü", "bytes"]
    marked = {unescape(a["title"]) for a in tags(page, "span", class_="byte")}
    assert marked == {"byte 0x00, NUL", "byte 0x1B, ESC", "a backslash", "byte 0xFF, not UTF-8"}


def test_R22_records_are_shown_a_page_at_a_time_and_cut(rocketjob):
    job = WebSlicedJob(slice_size=100)
    job.upload([*(f"record {n}" for n in range(60)), "bad", "x" * 3_000_000, {"n": "y" * 9000}])
    job.save()
    rocketjob.work_off()
    path = f"/jobs/{job.id}/view_slice?error_type=ValueError&slice=1"
    page = browser().get(path)
    assert [number for number, _ in records_of(page)] == list(range(51, 64))
    assert len(page.text) < 40_000
    assert "and 2,999,000 more" in text_of(page)
    first = browser().get(f"{path}&page=1")
    assert [number for number, _ in records_of(first)] == list(range(1, viewing.ROWS + 1))
    for odd in ("0", "999", "x", "-1", "9" * 30):
        assert browser().get(f"{path}&page={odd}").status_code == 200
    client = browser()
    answer = client.get(f"/jobs/{job.id}/edit_slice?slice=1&line_index=61")
    assert answer.status_code == 303
    said = text_of(client.get(answer.headers["location"]))
    assert "Record 62 cannot be edited here: it is larger than 1,000,000 characters" in said


def test_a_page_of_records_asks_the_store_at_most_eight_times(rocketjob):
    job = failed_job(rocketjob, BAD * 5)
    client = browser()
    for page in ("exception", "view_slice", "edit_slice"):
        with counted_calls() as calls:
            assert client.get(f"/jobs/{job.id}/{page}?slice=4").status_code == 200
        assert len(calls) <= 8, calls


# --- mending ---------------------------------------------------------------------------------

HARD = ["bad", "a\x00\\x41\r\n\u2028é ", {"b": [1, 1.0, "1", None], "a": True}]


@pytest.mark.parametrize("index", range(3))
def test_W80_a_record_goes_through_the_form_byte_for_byte(rocketjob, index):
    job = failed_job(rocketjob, HARD)
    before = mending.find(job, 1).stored["records"]
    data = opened(job, index)
    assert browser().post(f"/jobs/{job.id}/update_slice", data=data).status_code == 303
    assert list(job.input.find(1)) == HARD
    assert mending.find(job, 1).stored["records"] == before


def test_W80_line_breaks_of_a_browser_are_line_breaks(rocketjob):
    job = failed_job(rocketjob, BAD)
    assert saved(job, 1, "one\r\ntwo\\x0d\\q").status_code == 303
    assert job.input.find(1)[1] == "one\ntwo\r\\q"


def test_W81_a_saved_record_is_said_to_be_and_its_slice_shown(rocketjob):
    job = failed_job(rocketjob, [*GOOD, *BAD])
    client = browser()
    answer = saved(job, 1, "good", 4, client)
    assert answer.status_code == 303
    where = f"/jobs/{job.id}/view_slice?slice=4"
    assert answer.headers["location"].startswith(where)
    page = client.get(answer.headers["location"])
    assert "Record 5 is saved" in text_of(page)
    assert records_of(page) == [(4, "x done"), (5, "good"), (6, "z")]
    job.retry()
    rocketjob.work_off()
    assert job.reload().is_completed


@pytest.mark.parametrize(
    ("index", "text", "why"),
    [
        (1, "\\ud800", "surrogates"),
        (1, "\\xe9", "\\xe9 is a byte"),
        (2, "{", "Expecting property name"),
        (2, '{"a": 1, "a": 2}', "is there twice"),
        (2, '{"__rocketjob__": 1}', "choose another"),
    ],
)
def test_W81_what_cannot_be_stored_is_said_and_stays_in_the_form(rocketjob, index, text, why):
    job = failed_job(rocketjob, ["bad", "b", {"a": 1}])
    page = saved(job, index, text)
    assert page.status_code == 422
    assert why in text_of(page)
    assert form_of(page)["text"] == text and form_of(page)["digest"]
    assert list(job.input.find(1)) == ["bad", "b", {"a": 1}]


def test_W82_R02_a_record_is_deleted_by_its_place_after_a_question(rocketjob):
    job = failed_job(rocketjob, ["bad", "same", "same"])
    client = browser()
    asked = client.get(f"/jobs/{job.id}/delete_line?slice=1&line_index=2")
    assert "Delete record 3?" in text_of(asked) and "same" in text_of(asked)
    part = client.get(asked.url, headers={"hx-request": "true"})
    assert "<html" not in part.text
    answer = client.post(f"/jobs/{job.id}/delete_line", data=form_of(asked))
    page = client.get(answer.headers["location"])
    assert "Record 3 is deleted" in text_of(page)
    assert records_of(page) == [(1, "bad"), (2, "same")]
    client.post(f"/jobs/{job.id}/delete_line", data=form_of(asked))
    assert "Record 3 was not deleted: slice 1 was changed" in text_of(client.get(f"/jobs/{job.id}"))
    assert len(job.input.find(1)) == 2


def test_W83_who_changed_which_record_of_which_file_is_logged_and_not_what_is_in_it(
    rocketjob, caplog
):
    caplog.set_level("INFO", "rocketjob")
    job = failed_job(rocketjob, BAD, file="https://ada:s3cret@h/people.csv")
    client = as_role("editor", login="ada")
    saved(job, 1, "private", client=client)
    asked = client.get(f"/jobs/{job.id}/delete_line?slice=1&line_index=0")
    client.post(f"/jobs/{job.id}/delete_line", data=form_of(asked))
    logged = [str(vars(r)) for r in caplog.records if "slice was changed by hand" in r.getMessage()]
    assert len(logged) == 2
    for text, action in zip(logged, ("edit", "delete"), strict=True):
        assert all(
            part in text for part in ("ada", action, str(job.id), "people.csv", "WebSlicedJob")
        )
        assert "private" not in text and "s3cret" not in text


def test_W84_cancel_leads_to_the_slice(rocketjob):
    job = failed_job(rocketjob, BAD)
    page = browser().get(f"/jobs/{job.id}/edit_slice?error_type=ValueError&slice=1&line_index=1")
    (cancel,) = [a for a in tags(page, "a", class_="button quiet") if "view_slice" in a["href"]]
    assert cancel["href"] == f"/jobs/{job.id}/view_slice?error_type=ValueError&slice=1"


def test_R01_a_slice_that_is_edited_twice_loses_nobodys_work(rocketjob):
    job = failed_job(rocketjob, BAD)
    ada, bob = as_role("editor", login="ada"), as_role("editor", login="bob")
    of_ada = opened(job, 1, client=ada)
    assert saved(job, 1, "of bob", client=bob).status_code == 303
    path = f"/jobs/{job.id}/update_slice"
    page = ada.post(path, data=of_ada | {"text": "of ada"})
    assert page.status_code == 409
    assert "Nothing was saved" in text_of(page) and "of bob" in text_of(page)
    assert form_of(page)["text"] == "of ada"
    assert job.input.find(1)[1] == "of bob"
    assert ada.post(path, data=form_of(page)).status_code == 303
    assert job.input.find(1)[1] == "of ada"


def test_R01_a_record_that_has_moved_is_found_again(rocketjob):
    job = failed_job(rocketjob, ["bad", "x", "y"])
    data = opened(job, 2) | {"text": "of ada"}
    mending.delete_record(job, 1, 1, mending.find(job, 1).digest)
    page = browser().post(f"/jobs/{job.id}/update_slice", data=data)
    assert page.status_code == 409
    assert "this record is as you saw it, and is now number 2" in text_of(page)
    assert browser().post(f"/jobs/{job.id}/update_slice", data=form_of(page)).status_code == 303
    assert list(job.input.find(1)) == ["bad", "of ada"]


@pytest.mark.parametrize("by", ["retry", "claim", "drop", "record"])
def test_R01_what_was_typed_stays_where_the_slice_is_in_other_hands_or_gone(rocketjob, by):
    job = failed_job(rocketjob, BAD)
    data = opened(job, 2) | {"text": "typed <b>"}
    if by == "drop":
        job.input.delete_all()
    elif by == "record":
        for _ in range(2):
            mending.delete_record(job, 1, 1, mending.find(job, 1).digest)
    else:
        job.input.requeue_failed()
        if by == "claim":
            job.input.claim("server.1", "worker", 1)
    page = browser().post(f"/jobs/{job.id}/update_slice", data=data)
    assert page.status_code == 409
    assert form_of(page)["text"] == "typed <b>" and "digest" not in form_of(page)
    assert "to be copied" in text_of(page)
    why = {"retry": "is queued", "claim": "a worker has it", "drop": "not there any more"}
    assert why.get(by, "this record is not there any more") in text_of(page)


def test_R03_only_the_one_record_is_sent_and_others_keep_their_types(rocketjob):
    records = [{"n": 0}, ["1", 1, None, 2.0], 7]
    job = failed_job(rocketjob, records)
    page = browser().get(f"/jobs/{job.id}/edit_slice?slice=1&line_index=0")
    assert '["1"' not in page.text
    assert saved(job, 2, '{"n": "7", "m": 8.0}').status_code == 303
    again = list(job.input.find(1))
    assert again == [{"n": 0}, ["1", 1, None, 2.0], {"n": "7", "m": 8.0}]
    assert type(again[2]["m"]) is float


def test_one_slice_is_retried_while_its_job_runs(rocketjob):
    job = failed_job(rocketjob, BAD * 2)
    client = browser()
    Job.collection().update_one({"_id": job.id}, {"$set": {"state": "aborted"}})
    assert "Retry this slice" not in client.get(f"/jobs/{job.id}/view_slice").text
    asked = client.get(f"/jobs/{job.id}/retry_slice?slice=4")
    client.post(f"/jobs/{job.id}/retry_slice", data=form_of(asked))
    assert "Slice 4 was not retried: the job is aborted" in text_of(client.get(f"/jobs/{job.id}"))
    Job.collection().update_one({"_id": job.id}, {"$set": {"state": "running"}})
    assert "Retry this slice" in client.get(f"/jobs/{job.id}/view_slice").text
    answer = client.post(f"/jobs/{job.id}/retry_slice", data=form_of(asked))
    assert answer.headers["location"] == f"/jobs/{job.id}"
    assert job.input.counts_by_state() == {"failed": 1, "queued": 1}


def test_R15_encrypted_records_are_shown_to_editors_only_and_encrypted_again(rocketjob, caplog):
    caplog.set_level("INFO", "rocketjob")
    reversing(rocketjob)
    job = failed_job(rocketjob, ["bad", "hunter2", "z"], WebSlicedSecretJob)
    for client in (as_role("manager"), as_role("view")):
        assert client.get(f"/jobs/{job.id}/view_slice").status_code == 403
        assert "hunter2" not in client.get(f"/jobs/{job.id}").text
        assert "hunter2" not in client.get(f"/jobs/{job.id}/exception").text
    editor = as_role("editor")
    page = editor.get(f"/jobs/{job.id}/view_slice")
    assert "hunter2" in text_of(page) and "stored encrypted" in text_of(page)
    assert saved(job, 1, "hunter3", client=editor).status_code == 303
    stored = mending.find(job, 1).stored["records"]
    assert job.input.find(1)[1] == "hunter3" and b"hunter" not in stored
    logged = " ".join(str(vars(record)) for record in caplog.records)
    assert "encrypted records were looked at" in logged and "hunter" not in logged


def test_encrypted_records_without_the_key_are_said_to_be(rocketjob, monkeypatch):
    reversing(rocketjob)
    job = failed_job(rocketjob, BAD, WebSlicedSecretJob)
    job.input.collection.update_one({"_id": 1}, {"$set": {"records": b"garbage"}})
    page = browser().get(f"/jobs/{job.id}/view_slice")
    assert page.status_code == 200
    assert "The records cannot be read" in text_of(page)
    client = browser()
    answer = client.get(f"/jobs/{job.id}/edit_slice?slice=1")
    assert answer.status_code == 303


@pytest.mark.parametrize(
    "forged",
    [
        {"digest": ""},
        {"digest": "0" * 32},
        {"slice": "999"},
        {"line_index": "999"},
        {"line_index": "-1"},
        {"line_index": "9" * 40},
        {"kind": "pickle"},
    ],
)
def test_a_forged_form_changes_nothing(rocketjob, forged):
    job = failed_job(rocketjob, BAD)
    page = saved(job, 1, "forged", **forged)
    assert page.status_code in (409, 422)
    assert list(job.input.find(1)) == BAD
    assert form_of(page)["text"] == "forged"


def test_a_form_that_does_not_say_which_slice_changes_nothing(rocketjob):
    job = failed_job(rocketjob, BAD)
    for path in ("update_slice", "delete_line", "retry_slice"):
        for slice_ in ({}, {"slice": "x"}, {"slice": "1" * 30}):
            answer = browser().post(f"/jobs/{job.id}/{path}", data=slice_)
            assert answer.status_code == 404
    assert list(job.input.find(1)) == BAD


def test_ten_megabytes_in_a_record_are_stored_whole(rocketjob):
    job = failed_job(rocketjob, BAD)
    data, text = opened(job, 1), "<x>y" * 2_500_000
    data.pop("text")
    body = "&".join(f"{name}={value}" for name, value in data.items()) + f"&text={text}"
    kind = {"content-type": "application/x-www-form-urlencoded"}
    assert (
        browser().post(f"/jobs/{job.id}/update_slice", content=body, headers=kind).status_code
        == 303
    )
    assert job.input.find(1)[1] == text


def test_cross_site_posts_are_refused(rocketjob):
    job = failed_job(rocketjob, BAD)
    data = opened(job, 1) | {"text": "forged"}
    for path in ("update_slice", "delete_line", "retry_slice", ""):
        url = f"/jobs/{job.id}/{path}".rstrip("/")
        answer = browser().post(url, data=data, headers={"sec-fetch-site": "cross-site"})
        assert answer.status_code == 403
    assert list(job.input.find(1)) == BAD


# --- retrying ----------------------------------------------------------------------------------


def test_P35_the_slices_of_one_class_of_exceptions_are_retried_from_the_page_of_the_job(rocketjob):
    job = failed_job(rocketjob, [*BAD, "worse", "q", "r", *BAD])
    client = browser()
    page = client.get(f"/jobs/{job.id}")
    path = f"/jobs/{job.id}/retry_slices"
    assert tags(page, "a", href=f"{path}?error_type=ValueError")
    assert "Retry these 2" in text_of(page) and "Retry it" in text_of(page)
    with counted_calls() as calls:
        asked = client.get(f"{path}?error_type=ValueError")
    assert len(calls) <= 8, calls
    assert "Retry 2 slices?" in text_of(asked) and "stay failed" in text_of(asked)
    answer = client.post(path, data=form_of(asked))
    assert "2 slices with ValueError tried again" in text_of(client.get(answer.headers["location"]))
    assert {each.id: each.state for each in job.input} == {1: "queued", 4: "failed", 7: "queued"}
    assert job.reload().is_running
    client.post(path, data=form_of(asked))
    assert "No slice has failed with ValueError any more" in text_of(client.get(f"/jobs/{job.id}"))


def test_P35_who_may_not_retry_is_not_offered_it(rocketjob):
    job = failed_job(rocketjob, BAD)
    page = as_role("view").get(f"/jobs/{job.id}")
    assert "Retry it" not in text_of(page)
    assert as_role("view").post(f"/jobs/{job.id}/retry_slices").status_code == 403


@pytest.mark.parametrize(
    "error_type", ["KeyError", "$where", "", "x" * 5000], ids=["other", "operator", "none", "long"]
)
def test_P35_what_there_is_not_any_more_is_said(rocketjob, error_type):
    job, client = failed_job(rocketjob, BAD), browser()
    path = f"/jobs/{job.id}/retry_slices"
    assert client.get(path, params={"error_type": error_type}).status_code == 303
    assert client.post(path, data={"error_type": error_type}).status_code == 303
    said = text_of(client.get(f"/jobs/{job.id}"))
    assert "any more" in said and len(said) < 5000
    assert job.reload().is_failed
