"""Entries of directory monitors: their pages, the form, and what can be done; rows W96 to W107."""

import importlib
import re
from datetime import date
from html import unescape
from pathlib import Path

import pytest

from rocketjob import Job, application, field
from rocketjob.model.encrypted_fields import Sealed
from rocketjob_contrib import mission_control
from rocketjob_contrib.mission_control import gate
from rocketjob_contrib.mission_control.code_fields import code_problem
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory
from rocketjob_plugins.dirmon import DirmonEntry, DirmonJob
from rocketjob_plugins.dirmon.entry import STATES
from support.web import as_role, browser, cells, counted_calls, headings, links, tags, text_of


class IntakeJob(Job):
    """Takes a file; it has fields of several types."""

    upload_file_name: str | None = None
    region: str = field(default="eu", user_editable=True)
    count: int = field(default=3, user_editable=True)
    since: date | None = field(default=None, user_editable=True)
    tags_: list[str] = field(factory=list, user_editable=True)
    rate: float | None = field(default=None, user_editable=True)
    password: str | None = field(default=None, user_editable=True, encrypted=True)
    script: str | None = field(default=None, user_editable=True, code=True)
    hidden_from_people: int = 0

    def perform(self): ...


class NeedyIntakeJob(Job):
    upload_file_name: str | None = None
    account: int = field(user_editable=True)

    def perform(self): ...


class IntakeBatchJob(Batch, Job):
    input_category = InputCategory(slice_size=50, format="csv")
    output_category = OutputCategory()

    def perform(self, row): ...


class FilelessJob(Job):
    def perform(self): ...


def entry(state="pending", stored=None, **values):
    """Store an entry; what is given as `stored` is not validated."""
    values = {"pattern": "/in/*.csv", "job_class_name": "IntakeJob", "name": "Orders", **values}
    made = DirmonEntry.create(**values)
    changes = {"state": state, **(stored or {})}
    DirmonEntry.collection().update_one({"_id": made.id}, {"$set": changes})
    return made.reload()


def typed(page, **changes):
    """Return what a form would send, with some fields changed; `__` stands for a dot."""
    sent = {}
    for tag in ("input", "textarea", "select"):
        for each in tags(page, tag):
            if each.get("name") and each.get("type") != "checkbox":
                sent[each["name"]] = each.get("value", "")
    sent |= _texts(page)
    return {**sent, **{name.replace("__", "."): value for name, value in changes.items()}}


def _texts(page):
    found = re.findall(r'<textarea [^>]*name="([^"]+)"[^>]*>\n(.*?)</textarea>', page.text, re.S)
    chosen = re.findall(r'<select [^>]*name="([^"]+)"[^>]*>(.*?)</select>', page.text, re.S)
    picked = {
        name: (re.findall(r"<option selected>([^<]*)", body) or [""])[0] for name, body in chosen
    }
    return {**{name: unescape(text) for name, text in found}, **picked}


NEW = {
    "field.name": " Orders ",
    "field.pattern": " /in/*.csv ",
    "field.job_class_name": "IntakeJob",
    "field.archive_directory": "archive",
}


def create(client=None, **changes):
    form = {**NEW, **{name.replace("__", "."): value for name, value in changes.items()}}
    return (client or browser()).post("/dirmon_entries", data=form)


# --- lists and the page ----------------------------------------------------------------------


def test_where_there_are_no_entries_one_can_be_created_by_those_who_may(rocketjob):
    page = as_role("dirmon").get("/dirmon_entries")
    assert "There are no entries yet." in text_of(page)
    assert links(page).count("/dirmon_entries/new") == 2  # at the side, and where nothing is
    assert "/dirmon_entries/new" not in links(as_role("view").get("/dirmon_entries"))
    assert "Create an entry" not in text_of(as_role("dirmon").get("/dirmon_entries/failed"))


def test_W96_a_list_leads_to_the_pages_of_the_entries(rocketjob):
    made = entry(pattern="/in/" + "x" * 90)
    page = browser().get("/dirmon_entries")
    assert headings(page) == ["Name", "Job class", "Pattern"]
    assert f"/dirmon_entries/{made.id}" in links(page)
    assert cells(page, "pattern") == ["/in/" + "x" * 75 + "…"]


def test_W96_the_same_rows_are_there_as_json(rocketjob):
    made = entry()
    answer = browser().get("/dirmon_entries/pending.json").json()
    assert answer["data"][0]["id"] == str(made.id) and answer["recordsTotal"] == 1


def test_W08_create_is_offered_to_who_may(rocketjob):
    assert "/dirmon_entries/new" in links(as_role("dirmon").get("/dirmon_entries"))
    assert "/dirmon_entries/new" not in links(as_role("view").get("/dirmon_entries"))


def test_W97_the_page_of_an_entry_has_all_that_is_known_of_it(rocketjob):
    stored = {"encoding": "cp1252"}
    made = entry(properties={"region": "<b>us</b>", "count": "7"}, stored=stored)
    page = browser().get(f"/dirmon_entries/{made.id}")
    said = text_of(page)
    for part in ("Orders pending", "Job class IntakeJob", "Pattern /in/*.csv", str(made.id)):
        assert part in said
    assert "Archive directory archive Encoding cp1252" in said
    assert "count 7 region <b>us</b>" in said and "<b>us" not in page.text


def test_W97_a_failed_entry_says_why(rocketjob):
    error = {"class_name": "OSError", "message": "no <such> folder", "backtrace": ["File x.py"]}
    made = entry("failed", stored={"exception": error})
    said = text_of(browser().get(f"/dirmon_entries/{made.id}"))
    assert "Why it failed OSError : no <such> folder" in said and "File x.py" in said


def test_W97_nothing_secret_is_on_any_page_of_an_entry(rocketjob):
    made = entry(name=None, stored={"pattern": "sftp://ada:hunter2@example.com/in/*.csv"})
    for path in ("", "/edit", "/copy", "/destroy"):
        page = browser().get(f"/dirmon_entries/{made.id}{path}")
        assert "hunter2" not in page.text, path
    assert "hunter2" not in browser().get("/dirmon_entries").text
    assert "hunter2" not in browser().get("/dirmon_entries.json").text


@pytest.mark.parametrize("secret", ["hunter2", "hunter2" * 20], ids=["short", "long"])
def test_nothing_secret_is_in_a_message_about_an_entry(rocketjob, secret):
    stored = {"pattern": f"sftp://ada:{secret}@example.com/in/*.csv"}
    made = entry("enabled", name=None, stored=stored)
    client = browser()
    client.get(f"/dirmon_entries/{made.id}/enable")
    page = client.get(f"/dirmon_entries/{made.id}")
    assert "nothing was done" in text_of(page) and "hunter2" not in page.text
    for path in ("/edit", "/copy", "/destroy"):
        assert "hunter2" not in client.get(f"/dirmon_entries/{made.id}{path}").text, path


def test_an_enabled_entry_that_nobody_scans_says_so(rocketjob):
    made = entry("enabled")
    client = browser()
    assert "no directory monitor is queued" in text_of(client.get(f"/dirmon_entries/{made.id}"))
    DirmonJob.create()
    assert "no directory monitor" not in text_of(client.get(f"/dirmon_entries/{made.id}"))


def test_a_class_that_is_not_loaded_here_is_named_and_its_entry_is_shown(rocketjob):
    made = entry(properties={"region": "us"}, stored={"job_class_name": "GoneJob"})
    client = browser()
    said = text_of(client.get(f"/dirmon_entries/{made.id}"))
    assert "The class GoneJob is not loaded in the web process" in said and "region us" in said
    page = client.get(f"/dirmon_entries/{made.id}/edit")
    answer = client.post(f"/dirmon_entries/{made.id}", data=typed(page, field__name="New"))
    assert answer.status_code == 422 and "GoneJob is not loaded here" in text_of(answer)
    client.post(f"/dirmon_entries/{made.id}/enable")
    assert "GoneJob is not loaded here" in text_of(client.get("/dirmon_entries"))


def test_R11_the_page_and_the_list_cost_few_calls(rocketjob):
    made = entry("enabled")
    client = browser()
    for path in (
        "/dirmon_entries",
        f"/dirmon_entries/{made.id}",
        f"/dirmon_entries/{made.id}/edit",
    ):
        with counted_calls() as calls:
            assert client.get(path).status_code == 200
        assert len(calls) <= 4, calls


# --- states ----------------------------------------------------------------------------------

OFFERED = {
    "pending": {"enable", "destroy"},
    "enabled": {"disable", "destroy"},
    "disabled": {"enable", "destroy"},
    "failed": {"enable", "disable", "destroy"},
}


@pytest.mark.parametrize("state", STATES)
def test_W98_the_buttons_are_those_of_the_state(rocketjob, state):
    made = entry(state)
    found = links(browser().get(f"/dirmon_entries/{made.id}"))
    marker = f"/dirmon_entries/{made.id}/"
    names = {link[len(marker) :].partition("?")[0] for link in found if link.startswith(marker)}
    assert names == OFFERED[state] | {"edit", "copy", "preview"}


def test_W98_the_buttons_are_those_of_the_role(rocketjob):
    made = entry()
    dirmon = text_of(as_role("dirmon").get(f"/dirmon_entries/{made.id}"))
    assert "Enable Edit Copy" in dirmon and "Destroy" not in dirmon
    viewer = links(as_role("view").get(f"/dirmon_entries/{made.id}"))
    assert not [link for link in viewer if link.startswith(f"/dirmon_entries/{made.id}/")]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize("event", ["enable", "disable"])
@pytest.mark.parametrize("state", STATES)
def test_W106_an_entry_is_switched_only_where_its_state_allows_it(rocketjob, state, event, method):
    made = entry(state)
    client = browser()
    answer = client.request(method, f"/dirmon_entries/{made.id}/{event}")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/dirmon_entries/{made.id}")
    page = client.get(f"/dirmon_entries/{made.id}")
    if event in OFFERED[state]:
        assert made.reload().state == f"{event}d" and "Orders is" in text_of(page)
    else:
        assert made.reload().state == state
        assert f"nothing was done. Orders is {state}" in text_of(page)
        assert 'class="message danger"' in page.text


def test_W106_an_entry_that_would_fail_at_once_is_not_enabled(rocketjob):
    made = entry(stored={"properties": {"count": "many"}})
    client = browser()
    client.post(f"/dirmon_entries/{made.id}/enable")
    assert made.reload().state == "pending"
    assert "Orders is not right" in text_of(client.get("/dirmon_entries"))


def test_W106_an_entry_that_was_switched_since_it_was_shown_is_left_alone(rocketjob):
    made = entry("failed")
    client = browser()
    client.post(f"/dirmon_entries/{made.id}/enable", data={"state": "pending"})
    client.request("DELETE", f"/dirmon_entries/{made.id}", data={"state": "pending"})
    assert made.reload().state == "failed"


def test_W107_destroy_asks_first_and_goes_back_to_the_list(rocketjob):
    made = entry()
    client = browser()
    page = client.get(f"/dirmon_entries/{made.id}/destroy")
    assert "Files and jobs stay" in text_of(page)
    answer = client.post(f"/dirmon_entries/{made.id}/destroy", data=typed(page))
    assert (answer.status_code, answer.headers["location"]) == (303, "/dirmon_entries")
    assert not DirmonEntry.all().exists()
    assert "Orders has been destroyed" in text_of(client.get("/dirmon_entries"))


def test_an_unknown_entry_leads_back_to_the_list(rocketjob):
    made = entry()
    made.delete()
    client = browser()
    for path in (f"{made.id}", "nonsense", f"{made.id}/edit", f"{made.id}/enable"):
        answer = client.get(f"/dirmon_entries/{path}")
        assert (answer.status_code, answer.headers["location"]) == (303, "/dirmon_entries")
    assert "There is no entry with the id" in text_of(client.get("/dirmon_entries"))


# --- create ----------------------------------------------------------------------------------


def test_W99_P44_the_form_asks_for_name_class_pattern_and_archive(rocketjob):
    page = browser().get("/dirmon_entries/new")
    names = {each["name"] for each in tags(page, "input") if each["name"].startswith("field.")}
    own = ("name", "job_class_name", "pattern", "archive_directory", "encoding")
    assert names == {f"field.{name}" for name in own}
    assert tags(page, "input", name="field.archive_directory")[0]["value"] == "archive"
    known = {each["value"] for each in tags(page, "option")}
    assert {"IntakeJob", "IntakeBatchJob"} <= known and "FilelessJob" not in known


def test_W100_properties_shows_the_fields_of_the_class_and_keeps_what_was_typed(rocketjob):
    page = create(show="properties", field__archive_directory="/archive")
    assert page.status_code == 200 and not DirmonEntry.all().exists()
    assert tags(page, "input", name="field.archive_directory")[0]["value"] == "/archive"
    found = [each["name"] for tag in ("input", "textarea", "select") for each in tags(page, tag)]
    fields = {name for name in found if name.startswith("field.properties.")}
    own = {f"field.properties.{name}" for name in ("region", "count", "since", "tags_", "password")}
    assert own <= fields
    assert not {f"field.properties.{name}" for name in ("run_at", "upload_file_name")} & fields
    assert "field.properties.hidden_from_people" not in fields
    labels = [label for label in ("Count", "Region", "Since") if label in text_of(page)]
    assert labels == sorted(labels)
    again = browser().post(
        "/dirmon_entries", data=typed(page, field__properties__region="us", show="properties")
    )
    assert ">\nus</textarea>" in again.text


def test_W100_a_batch_class_has_a_card_for_each_category(rocketjob):
    page = create(show="properties", field__job_class_name="IntakeBatchJob")
    said = text_of(page)
    assert "Input main" in said and "Output main" in said and "csv (default)" in said
    size = tags(page, "input", name="field.input_categories.main.slice_size")[0]
    assert (size["value"], size["placeholder"]) == ("", "50")


def test_W102_a_new_entry_is_pending_and_its_texts_are_trimmed(rocketjob):
    client = browser()
    answer = create(client)
    made = DirmonEntry.all().first()
    assert answer.headers["location"] == f"/dirmon_entries/{made.id}"
    assert (made.name, made.pattern, made.state) == ("Orders", "/in/*.csv", "pending")
    assert (made.archive_directory, made.properties) == ("archive", {})
    assert "Orders is stored, and pending until it is enabled" in text_of(
        client.get(f"/dirmon_entries/{made.id}")
    )


def test_W103_what_is_blank_or_the_default_is_left_out_and_the_rest_is_typed(rocketjob):
    answer = create(
        field__properties__region="  ",
        field__properties__count="3",
        field__properties__since="2026-02-01",
        field__properties__tags_="a\r\nb\r\n",
        field__properties__rate="0.5",
        field__properties__priority="30",
    )
    assert answer.status_code == 303
    made = DirmonEntry.all().first()
    assert set(made.properties) == {"since", "tags_", "rate", "priority"}
    job = IntakeJob.from_properties(made.properties)
    assert (job.since, job.tags_, job.rate, job.priority) == (date(2026, 2, 1), ["a", "b"], 0.5, 30)


def test_W103_settings_of_categories_are_kept_where_they_differ(rocketjob):
    create(
        field__job_class_name="IntakeBatchJob",
        field__input_categories__main__format="psv",
        field__input_categories__main__slice_size="50",
        field__output_categories__main__columns="",
    )
    made = DirmonEntry.all().first()
    assert made.properties == {"input_categories": [{"name": "main", "format": "psv"}]}
    job = IntakeBatchJob.from_properties(made.properties)
    assert (job.input_category_for("main").format, job.slice_size) == ("psv", 50)


@pytest.mark.parametrize(
    ("changes", "field_name", "message"),
    [
        ({"field__pattern": " "}, "pattern", "is required: it is blank"),
        ({"field__job_class_name": ""}, "job_class_name", "is required: it is blank"),
        ({"field__archive_directory": ""}, "archive_directory", "is required: it is blank"),
        ({"field__job_class_name": "NoSuchJob"}, "job_class_name", "is not loaded here"),
        ({"field__job_class_name": "os.system"}, "job_class_name", "is not loaded here"),
        ({"field__job_class_name": "DirmonEntry"}, "job_class_name", "is not a job class"),
        ({"field__job_class_name": "Job"}, "job_class_name", "is not a job class"),
        ({"field__job_class_name": "FilelessJob"}, "job_class_name", "cannot be given a file"),
        ({"field__pattern": "/in/{a,b"}, "pattern", "its braces do not match"),
        ({"field__pattern": "/in/" + "{a,b}" * 60}, "pattern", "more than 1,000 alternatives"),
        ({"field__pattern": "{" * 4000}, "pattern", "more than 100 pairs of braces"),
        ({"field__pattern": "/in/archive/*"}, "pattern", "archive"),
        ({"field__encoding": "utf-99"}, "encoding", "utf-99"),
    ],
)
def test_W101_what_is_wrong_is_said_at_its_field_and_nothing_is_stored(
    rocketjob, changes, field_name, message
):
    if field_name == "pattern" and message == "archive":
        changes = {**changes, "field__archive_directory": "/in"}
    answer = create(**changes)
    assert answer.status_code == 422 and not DirmonEntry.all().exists()
    at = answer.text.index(f'id="field-{field_name}-said"')
    assert message in answer.text[at : answer.text.index("</div>", at)]
    assert tags(answer, "input", name=f"field.{field_name}")[0]["aria-invalid"] == "true"
    name = tags(answer, "input", name="field.name")[0]
    assert name["value"] == " Orders "


@pytest.mark.parametrize("name", ["NoSuchJob", "", "FilelessJob", "x" * 3000, "<script>", "a\0b"])
def test_W101_R13_properties_of_a_class_that_there_is_not_are_an_error_on_that_field(
    rocketjob, name
):
    page = create(show="properties", field__job_class_name=name)
    assert page.status_code == 200 and "<script>al" not in page.text
    assert tags(page, "input", name="field.job_class_name")[0]["aria-invalid"] == "true"
    assert "Properties of its jobs" not in text_of(page)


def test_R13_no_module_is_imported_for_a_name_that_was_typed(rocketjob, monkeypatch):
    monkeypatch.setattr(importlib, "import_module", lambda *args: 1 / 0)
    for name in ("antigravity.Job", "this:Job", "__import__"):
        assert create(field__job_class_name=name).status_code == 422
        answer = browser().get("/dirmon_entries/new", params={"job_class_name": name})
        assert answer.status_code == 200


@pytest.mark.parametrize("role", ["user", "view"])
def test_R13_the_form_needs_the_permission_and_the_page_of_an_entry_is_checked_too(rocketjob, role):
    made = entry()
    client = as_role(role)
    assert client.get("/dirmon_entries/new").status_code == 403
    assert create(client).status_code == 403
    assert client.get(f"/dirmon_entries/{made.id}/copy").status_code == 403
    assert client.get(f"/dirmon_entries/{made.id}").status_code == 200
    assert (
        browser(authorize=lambda request: None).get(f"/dirmon_entries/{made.id}").status_code == 403
    )


def test_W101_pattern_and_name_are_unique(rocketjob):
    entry()
    said = text_of(create())
    assert "is the pattern of another entry: /in/*.csv" in said
    assert "is the name of another entry: Orders" in said
    assert DirmonEntry.all().count() == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("count", "many"),
        ("count", "1e400"),
        ("since", "yesterday"),
        ("rate", "nan?"),
        ("priority", "0"),
    ],
)
def test_W101_a_property_that_does_not_fit_is_marked_and_stays_as_typed(rocketjob, name, text):
    answer = create(**{f"field__properties__{name}": text})
    assert answer.status_code == 422 and not DirmonEntry.all().exists()
    found = tags(answer, "input", name=f"field.properties.{name}")[0]
    assert (found["aria-invalid"], found["value"]) == ("true", text)


def test_W101_a_property_that_is_missing_is_marked(rocketjob):
    answer = create(field__job_class_name="NeedyIntakeJob")
    assert answer.status_code == 422
    assert tags(answer, "input", name="field.properties.account")[0]["aria-invalid"] == "true"
    assert (
        create(field__job_class_name="NeedyIntakeJob", field__properties__account="7").status_code
        == 303
    )


def test_W101_a_setting_of_a_category_that_does_not_fit_is_marked(rocketjob):
    answer = create(
        field__job_class_name="IntakeBatchJob", field__input_categories__main__slice_size="0"
    )
    assert answer.status_code == 422 and "must be 1 to 1000000" in text_of(answer)
    assert not DirmonEntry.all().exists()


def test_a_property_that_nobody_asked_for_is_not_stored(rocketjob):
    create(
        field__properties__hidden_from_people="1",
        field__properties__nothing="1",
        field__properties__state="running",
        field__state="enabled",
        state="enabled",
    )
    made = DirmonEntry.all().first()
    assert (made.properties, made.state) == ({}, "pending")


def test_ten_megabytes_of_markup_in_every_field_are_survived(rocketjob):
    hostile = "<script>" * 20_000
    answer = create(
        field__name=hostile,
        field__pattern="/in/" + hostile,
        field__job_class_name=hostile,
        field__archive_directory=hostile,
        field__encoding=hostile,
        field__properties__region=hostile,
    )
    assert answer.status_code == 422 and "<script>" not in answer.text
    said = text_of(answer)
    assert "has 160,000 characters: at most 4,096" in said
    long = create(field__name="n" * 4096, field__properties__region=hostile)
    assert long.status_code == 303
    assert len(long.headers["set-cookie"]) < 4000
    assert browser().get(long.headers["location"]).status_code == 200
    assert len(browser().get("/dirmon_entries").text) < 100_000


# --- edit ------------------------------------------------------------------------------------


def edit(made, client=None, **changes):
    client = client or browser()
    page = client.get(f"/dirmon_entries/{made.id}/edit")
    return client.post(f"/dirmon_entries/{made.id}", data=typed(page, **changes))


def test_W104_an_entry_is_edited_and_what_was_not_touched_stays(rocketjob):
    properties = {"region": "us", "count": "7", "hidden_from_people": 4}
    made = entry("enabled", properties=properties)
    page = browser().get(f"/dirmon_entries/{made.id}/edit")
    assert not tags(page, "input", name="field.job_class_name")
    assert "To have another class, make a new entry" in text_of(page)
    answer = edit(made, field__pattern="/in/*.txt", field__properties__region="asia")
    assert answer.headers["location"] == f"/dirmon_entries/{made.id}"
    made.reload()
    assert (made.pattern, made.state) == ("/in/*.txt", "enabled")
    assert made.properties == {**properties, "region": "asia"}


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_W104_the_methods_of_the_original_work(rocketjob, method):
    made = entry()
    form = {"field.name": "Other", "field.job_class_name": "IntakeBatchJob"}
    assert browser().request(method, f"/dirmon_entries/{made.id}", data=form).status_code == 303
    assert (made.reload().name, made.job_class_name) == ("Other", "IntakeJob")


def test_W104_a_form_that_is_sent_back_untouched_stores_nothing(rocketjob):
    settings = '[{"name": "main", "format": "psv", "encoding": "cp1252"}]'
    for made in (
        entry(properties={"count": "7", "region": "", "tags_": ["a"], "since": "2026-01-01"}),
        entry(
            name="Batch",
            pattern="/b/*",
            job_class_name="IntakeBatchJob",
            properties={"input_categories": settings, "max_rejects": "3"},
        ),
    ):
        before = DirmonEntry.collection().find_one({"_id": made.id})
        client = browser()
        assert edit(made, client).status_code == 303
        assert "nothing was changed" in text_of(client.get(f"/dirmon_entries/{made.id}"))
        assert DirmonEntry.collection().find_one({"_id": made.id}) == before


def test_W104_a_property_that_is_set_to_the_default_or_blanked_is_left_out(rocketjob):
    made = entry(properties={"region": "us", "count": 7})
    edit(made, field__properties__region="eu", field__properties__count="")
    assert made.reload().properties == {}


def test_W104_settings_of_a_category_are_changed_one_by_one(rocketjob):
    settings = [{"name": "main", "format": "psv", "encoding": "cp1252", "slice_size": 9}]
    made = entry(job_class_name="IntakeBatchJob", properties={"input_categories": settings})
    edit(made, field__input_categories__main__slice_size="")
    kept = {"name": "main", "format": "psv", "encoding": "cp1252"}
    assert made.reload().properties == {"input_categories": [kept]}
    edit(made, field__input_categories__main__format="csv")
    assert made.reload().properties["input_categories"] == [{"name": "main", "encoding": "cp1252"}]


def test_W104_a_property_that_the_class_has_no_more_can_be_removed(rocketjob):
    made = entry(stored={"properties": {"region": "us", "colour": "red"}})
    refused = edit(made, field__name="New")
    assert refused.status_code == 422 and "colour: there is no such field" in text_of(refused)
    assert edit(made, drop__colour="on").status_code == 303
    assert made.reload().properties == {"region": "us"}


def test_W104_what_somebody_else_has_changed_meanwhile_is_not_overwritten(rocketjob):
    made = entry(properties={"region": "us"})
    client = browser()
    page = client.get(f"/dirmon_entries/{made.id}/edit")
    made.update(pattern="/other/*", properties={"region": "asia"})
    form = typed(page, field__pattern="/mine/*", field__properties__region="africa")
    answer = client.post(f"/dirmon_entries/{made.id}", data=form)
    assert answer.status_code == 409
    said = text_of(answer)
    assert "/other/*" in said and "asia" in said and "Nothing was saved" in said
    assert (made.reload().pattern, made.properties) == ("/other/*", {"region": "asia"})
    again = client.post(f"/dirmon_entries/{made.id}", data=typed(answer))
    assert again.status_code == 303 and made.reload().pattern == "/mine/*"


def test_W104_two_at_the_very_same_moment(rocketjob, monkeypatch):
    made = entry(properties={"region": "us"})
    client = browser()
    page = client.get(f"/dirmon_entries/{made.id}/edit")
    check = gate._check

    def overtaken(view, route):
        check(view, route)
        if route.changes:
            DirmonEntry.find(made.id).update(properties={"count": 9})

    monkeypatch.setattr(gate, "_check", overtaken)
    form = typed(page, field__properties__region="africa")
    answer = client.post(f"/dirmon_entries/{made.id}", data=form)
    assert answer.status_code == 409 and made.reload().properties == {"count": 9}


# --- copy ------------------------------------------------------------------------------------


def test_W105_R10_a_copy_of_an_enabled_entry_is_pending_and_the_first_stays(rocketjob):
    properties = {"region": "us", "hidden_from_people": 4}
    made = entry("enabled", properties=properties, archive_directory="/done")
    client = browser()
    page = client.get(f"/dirmon_entries/{made.id}/copy")
    assert tags(page, "input", name="field.name")[0]["value"] == "Orders copy"
    assert tags(page, "input", name="field.pattern")[0]["value"] == "/in/*.csv"
    answer = client.patch(
        f"/dirmon_entries/{made.id}/replicate", data=typed(page, field__pattern="/in2/*.csv")
    )
    copy = DirmonEntry.where(name="Orders copy").first()
    assert answer.headers["location"] == f"/dirmon_entries/{copy.id}"
    assert (copy.state, copy.pattern, copy.archive_directory) == ("pending", "/in2/*.csv", "/done")
    assert copy.properties == made.properties and copy.exception is None
    assert made.reload().state == "enabled" and made.name == "Orders"


def test_W105_a_copy_that_is_not_right_comes_back_with_what_was_typed(rocketjob):
    made = entry("failed")
    client = browser()
    page = client.get(f"/dirmon_entries/{made.id}/copy")
    answer = client.post(f"/dirmon_entries/{made.id}/replicate", data=typed(page))
    assert answer.status_code == 422
    assert "is the pattern of another entry" in text_of(answer)
    assert DirmonEntry.all().count() == 1


def test_W105_a_copy_can_have_another_class_and_takes_what_that_has_a_place_for(rocketjob):
    made = entry(properties={"region": "us", "priority": 20})
    client = browser()
    form = {
        "field.pattern": "/b/*",
        "field.name": "B",
        "field.job_class_name": "IntakeBatchJob",
    }
    assert client.post(f"/dirmon_entries/{made.id}/replicate", data=form).status_code == 303
    assert DirmonEntry.where(name="B").first().properties == {"priority": 20}


# --- code and secrets ------------------------------------------------------------------------

RUNS = "print('owned')"


@pytest.mark.parametrize("role", ["admin", "dirmon"])
def test_R14_code_cannot_be_set_by_an_entry_whoever_asks(rocketjob, role):
    client = as_role(role, edit_code=True)
    page = create(client, show="properties")
    assert "field.properties.script" not in page.text
    create(client, field__properties__script=RUNS)
    made = DirmonEntry.all().first()
    assert made.properties == {}
    edit(made, client, field__properties__script=RUNS)
    assert made.reload().properties == {}


def test_R14_nor_by_way_of_a_job_that_creates_another(rocketjob):
    inner = '{"script": "' + "x" + '"}'
    answer = create(
        field__job_class_name="UploadFileJob",
        field__properties__job_class_name="IntakeJob",
        field__properties__properties=inner,
    )
    assert answer.status_code == 422 and not DirmonEntry.all().exists()
    assert "script of IntakeJob holds code that is run" in text_of(answer)
    fine = create(
        field__job_class_name="UploadFileJob",
        field__properties__job_class_name="IntakeJob",
        field__properties__properties='{"region": "us"}',
    )
    assert fine.status_code == 303


def test_R14_however_deep_it_is_and_where_the_class_is_not_known():
    deep = {"script": RUNS}
    name = "IntakeJob"
    for _ in range(30):
        deep, name = {"job_class_name": name, "properties": deep}, "UploadFileJob"
    assert "cannot be told" in code_problem("UploadFileJob", deep, {})
    unknown = {"job_class_name": "GoneJob", "properties": {"x": 1}}
    assert "GoneJob is not loaded here" in code_problem("UploadFileJob", unknown, {})
    text = {"job_class_name": "IntakeJob", "properties": '{"script": "x"}'}
    assert "holds code" in code_problem("UploadFileJob", text, {})


def test_R14_an_entry_that_has_code_can_be_edited_but_not_copied(rocketjob):
    made = entry(properties={"script": RUNS, "region": "us"})
    client = as_role("dirmon")
    assert edit(made, client, field__properties__region="asia").status_code == 303
    assert made.reload().properties == {"script": RUNS, "region": "asia"}
    form = {"field.pattern": "/b/*", "field.name": "B"}
    answer = client.post(f"/dirmon_entries/{made.id}/replicate", data=form)
    assert answer.status_code == 422 and "holds code that is run" in text_of(answer)
    assert DirmonEntry.all().count() == 1


def test_a_secret_property_is_sealed_kept_and_never_shown(rocketjob):
    application.current().config.encryption_keys = ["web:" + "A" * 43 + "="]
    client = browser()
    answer = create(client, field__properties__password="hunter2")
    assert answer.status_code == 303
    made = DirmonEntry.all().first()
    assert isinstance(made.properties["password"], Sealed)
    for path in ("", "/edit", "/copy"):
        page = client.get(f"/dirmon_entries/{made.id}{path}")
        assert (
            "hunter2" not in page.text and made.properties["password"].data.hex() not in page.text
        )
    before = made.properties["password"].data
    edit(made, client, field__name="Other")
    assert made.reload().properties["password"].data == before
    assert IntakeJob.from_properties(made.properties).password == "hunter2"
    edit(made, client, **{"clear.properties.password": "on"})
    assert "password" not in made.reload().properties


def test_the_section_is_made_with_the_hook_alone():
    root = Path(mission_control.__file__).parent
    named = [
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.suffix in (".py", ".html", ".js")
        and "directories" not in path.relative_to(root).parts
        and any(
            word in path.read_text() for word in ("directories.", "directories/", "DirmonEntry")
        )
    ]
    others = ("jump.py", "schedule/guardians.py")  # which lead to an entry, or ask for some
    assert sorted(named) == ["__init__.py", *others]
