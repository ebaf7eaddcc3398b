"""The edit form of a job: made of its class's own fields, and saved only as it was shown."""

import enum
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from typing import Any, Literal

import pytest

from rocketjob import Job, after, before, field, now, validators
from rocketjob.model.record import values_of
from rocketjob_contrib.mission_control.forms import controls_of, read
from rocketjob_contrib.mission_control.requests import Form
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory
from rocketjob_plugins.files.upload import UploadFileJob
from rocketjob_plugins.on_demand import OnDemandJob
from support.encryption import reversing
from support.web import as_role, browser, tags, text_of


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class EditedJob(Job):
    destroy_on_complete = False
    pausable = True
    login: str | None = None
    internal: str = "kept"
    text: str | None = field(default=None, user_editable=True, description="free text")
    size: int = field(default=5, validator=validators.in_range(1, 9), user_editable=True)
    region: str = field(default="eu", validator=validators.in_(["eu", "us"]), user_editable=True)
    mode: Literal["fast", "slow"] | None = field(default=None, user_editable=True)
    colour: Colour | None = field(default=None, user_editable=True)
    urgent: bool | None = field(default=None, user_editable=True)
    options: dict[str, Any] | None = field(default=None, user_editable=True)
    names: list[str] = field(factory=list, user_editable=True)
    ways: list[Literal["air", "sea"]] = field(factory=list, user_editable=True)
    pause_for: timedelta | None = field(default=None, user_editable=True)
    price: Decimal | None = field(default=None, user_editable=True)
    at: datetime | None = field(default=None, user_editable=True)
    target: str | None = field(default=None, user_editable=True)

    def perform(self): ...


class EditedImportJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=7, format="csv", columns=["a", "b"])
    output_category = OutputCategory()

    def perform(self, row): ...


class EditedGuardedJob(EditedJob):
    @before("save")
    def refuse(self):
        if self.text == "boom":
            raise RuntimeError("not today")


class EditedBrokenJob(EditedJob):
    @after("initialize")
    def break_down(self):
        raise RuntimeError("boom")


class EditedSecretJob(Job):
    destroy_on_complete = False
    password: str | None = field(default=None, encrypted=True, user_editable=True)
    pin: int | None = field(default=None, encrypted=True, user_editable=True)

    def perform(self): ...


def form_of(page):
    """Return what a browser would send of a form that nobody has touched."""
    data = {}
    for each in tags(page, "input"):
        if each.get("type") == "checkbox":
            if "checked" in each:
                data.setdefault(each["name"], []).append(each["value"])
        elif "name" in each:
            data[each["name"]] = each.get("value", "")
    for name, text in re.findall(
        r'<textarea[^>]* name="([^"]*)"[^>]*>\n(.*?)</textarea>', page.text, re.S
    ):
        lines = unescape(text).replace("\r\n", "\n").replace("\r", "\n")
        data[name] = lines.replace("\n", "\r\n")
    for name, inner in re.findall(
        r'<select[^>]* name="([^"]*)"[^>]*>(.*?)</select>', page.text, re.S
    ):
        chosen = re.findall(r"<option(?: value=\"[^\"]*\")? selected>([^<]*)<", inner)
        data[name] = unescape(chosen[0]) if chosen else ""
    return data


def posted(job, client=None, **typed):
    """Open the form of a job, type, and save."""
    client = client or browser()
    page = client.get(f"/jobs/{job.id}/edit")
    assert page.status_code == 200
    data = form_of(page) | {f"field.{name}": value for name, value in typed.items()}
    return client.post(f"/jobs/{job.id}", data=data)


def said_of(page, name):
    """Return what is said below a field."""
    found = re.search(rf'id="field-{re.escape(name)}-said">(.*?)</div>', page.text, re.S)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", found.group(1))).split())


@pytest.mark.parametrize("state", ["queued", "running", "paused", "failed", "completed", "aborted"])
def test_W66_edit_is_not_offered_once_a_job_has_ended_for_good(rocketjob, state):
    job = EditedJob.create()
    Job.collection().update_one({"_id": job.id}, {"$set": {"state": state}})
    client = browser()
    offered = tags(client.get(f"/jobs/{job.id}"), "a", href=f"/jobs/{job.id}/edit")
    answer = client.get(f"/jobs/{job.id}/edit")
    if state in ("completed", "aborted"):
        assert not offered and answer.status_code == 303
        assert f"cannot be edited: it is {state}" in text_of(client.get(f"/jobs/{job.id}"))
    else:
        assert offered and answer.status_code == 200


def test_W67_the_form_has_exactly_the_editable_fields_in_the_order_of_definition(rocketjob):
    page = browser().get(f"/jobs/{EditedJob.create().id}/edit")
    expected = [name for name, f in EditedJob.fields().items() if f.user_editable]
    assert expected[:3] == ["description", "priority", "run_at"]
    found = re.findall(r'name="seen\.([^"]+)"', page.text)
    assert found == expected
    assert "free text" in said_of(page, "text")


def test_W68_each_type_has_its_widget(rocketjob):
    job = EditedJob.create(size=3, urgent=False, names=["x", "y"], ways=["sea"], options={"a": "1"})
    page = browser().get(f"/jobs/{job.id}/edit")
    (size,) = tags(page, "input", name="field.size")
    assert (size["type"], size["min"], size["max"], size["value"]) == ("number", "1", "9", "3")
    assert size["placeholder"] == "5"
    assert [t["name"] for t in tags(page, "textarea")][:2] == ["field.description", "field.text"]
    sent = form_of(page)
    assert sent["field.urgent"] == "false" and sent["field.region"] == "eu"
    assert sent["field.names"] == "x\r\ny"
    assert sent["field.ways"] == ["sea"]
    assert sent["field.options"] == '{"a": "1"}'
    for name, options in {
        "urgent": ["", "true", "false"],
        "mode": ["", "fast", "slow"],
        "colour": ["", "red", "blue"],
        "region": ["eu", "us"],
    }.items():
        inner = re.search(rf'name="field\.{name}".*?>(.*?)</select>', page.text, re.S).group(1)
        assert re.findall(r"<option[^>]*>([^<]*)<", inner) == options
    assert "a duration such as" in said_of(page, "pause_for")


VALUES = {
    "text": ' two\nlines <script>alert(1)</script> & "quotes" \u202e ',
    "size": 9,
    "region": "us",
    "mode": "slow",
    "colour": Colour.BLUE,
    "urgent": True,
    "options": {"zip": "00501", "n": 1, "f": 1.0, "none": None, "list": ["1", 2, True]},
    "names": ["b", "a", "b"],
    "ways": ["air"],
    "pause_for": timedelta(days=1, seconds=1.5),
    "price": Decimal("1.10"),
    "at": datetime(2026, 3, 29, 1, 30, 0, 123000, tzinfo=UTC),
    "target": "\nbegins with a line break",
}


def test_W68_every_value_goes_through_the_form_and_comes_back_as_it_was(rocketjob):
    job = EditedJob.create(**VALUES)
    stored = Job.collection().find_one({"_id": job.id})
    answer = posted(job)
    assert answer.headers["location"] == f"/jobs/{job.id}"
    assert Job.collection().find_one({"_id": job.id}) == stored
    controls = controls_of(EditedJob, values_of(job.reload()))
    assert not [control.name for control in controls if control.locked]


def test_W68_what_is_typed_is_stored_by_its_type(rocketjob):
    job, texts = EditedJob.create(), EditedJob.create(**VALUES)
    typed = {c.name: c.text for c in controls_of(EditedJob, values_of(texts))}
    typed |= {"ways": ["air"]}
    assert posted(job, **typed).status_code == 303
    job.reload()
    for name, value in VALUES.items():
        assert getattr(job, name) == value, name
    assert type(job.options["f"]) is float and job.options["list"][2] is True


def test_W69_a_batch_job_has_a_card_for_each_category(rocketjob):
    job = EditedImportJob.create()
    page = browser().get(f"/jobs/{job.id}/edit")
    assert "Input main" in text_of(page) and "Output main" in text_of(page)
    names = re.findall(r'name="seen\.input_categories\.main\.([^"]+)"', page.text)
    assert names == ["columns", "format", "format_options", "mode", "skip_unknown", "slice_size"]
    names = re.findall(r'name="seen\.output_categories\.main\.([^"]+)"', page.text)
    assert names == ["columns", "format", "format_options"]
    columns, size = "input_categories.main.columns", "input_categories.main.slice_size"
    typed = {columns: "x\r\ny\r\nz", size: "50", "output_categories.main.format": "json"}
    assert posted(job, **typed).status_code == 303
    category = job.reload().input_category_for("main")
    assert (category.columns, category.slice_size, category.format) == (["x", "y", "z"], 50, "csv")
    assert job.output_category_for("main").format == "json"


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("slice_size", "0", "must be 1 to 1000000, not 0"),
        ("columns", "a\na", "a is there twice"),
        ("format_options", "{", "is not valid JSON"),
        ("mode", "sideways", "must be one of line, array, hash, not 'sideways'"),
        ("format", "pdf", "must be one of auto, array"),
    ],
)
def test_R08_R24_what_a_category_cannot_have_is_said_beside_it(rocketjob, name, text, problem):
    job = EditedImportJob.create()
    page = posted(job, **{f"input_categories.main.{name}": text, "description": "typed"})
    assert page.status_code == 422
    assert problem in said_of(page, f"input_categories.main.{name}")
    assert form_of(page)["field.description"] == "typed"
    assert job.reload().description is None


def test_R08_a_forged_category_is_not_looked_at(rocketjob):
    job = EditedImportJob.create()
    forged = {
        "input_categories.other.format": "json",
        "input_categories.main.serializer": "none",
        "input_categories.main.name": "other",
        "input_categories": "[]",
    }
    assert posted(job, **forged).status_code == 303
    assert job.reload().input_categories == [
        InputCategory(slice_size=7, format="csv", columns=["a", "b"])
    ]


def test_W70_blank_is_null_and_what_is_not_editable_is_not_looked_at(rocketjob):
    job = EditedJob.create(text="there", mode="fast", pause_for=timedelta(1), names=["a"])
    forged = {"internal": "forged", "state": "completed", "id": "0" * 24, "login": "root"}
    blank = dict.fromkeys(("text", "mode", "pause_for", "names"), "")
    assert posted(job, **blank, **forged, nothing="x").status_code == 303
    job.reload()
    assert (job.text, job.mode, job.pause_for, job.names) == (None, None, None, [])
    assert (job.internal, job.state, job.login) == ("kept", "queued", None)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("size", "12", "must be from 1 to 9, not 12"),
        ("size", "many", "must be a whole number, not 'many'"),
        ("size", "", "must not be empty"),
        ("urgent", "perhaps", "must be one of true, false, not 'perhaps'"),
        ("colour", "green", "must be one of red, blue, not 'green'"),
        ("region", "mars", "must be one of eu, us, not 'mars'"),
        ("ways", ["rail"], "must be one of air, sea, not 'rail'"),
        ("options", "{not json", "is not valid JSON"),
        ("options", '{"a": 1, "a": 2}', "the name 'a' is there twice"),
        ("options", '{"a": 0.12345678901234567890}', "cannot be kept as it is"),
        ("options", "[1]", "must be a dict"),
        ("options", "[" * 100_000, "nested too deeply"),
        ("options", '{"at": {"$date": []}}', "is not valid JSON"),
        ("pause_for", "soon", "must be a duration"),
        ("price", "cheap", "must be a decimal number"),
        ("at", "2026-02-30", "must be a time"),
        ("priority", "0", "must be from 1 to 100"),
    ],
)
def test_W71_what_is_wrong_is_said_beside_it_and_nothing_is_saved(rocketjob, name, text, problem):
    job = EditedJob.create()
    stored = Job.collection().find_one({"_id": job.id})
    page = posted(job, text="typed <b>", **{name: text})
    assert page.status_code == 422
    assert problem in said_of(page, name) or problem in text_of(page)
    sent = form_of(page)
    assert sent["field.text"] == "typed <b>"
    if name not in ("ways", "urgent", "colour", "region"):
        assert sent[f"field.{name}"] == text
    assert "<b>" not in page.text
    assert Job.collection().find_one({"_id": job.id}) == stored


def test_W71_ten_megabytes_of_markup_are_stored_or_refused_whole(rocketjob):
    job = EditedJob.create()
    client, text = browser(), "<x>y" * 2_500_000
    path, kind = f"/jobs/{job.id}", {"content-type": "application/x-www-form-urlencoded"}
    assert client.post(path, content=f"field.text={text}", headers=kind).status_code == 303
    assert job.reload().text == text
    page = client.post(path, content=f"field.target={text}", headers=kind)
    assert page.status_code == 422
    assert "Nothing was saved" in page.text and "<x>y" not in page.text
    assert job.reload().target is None


def test_W71_what_a_callback_raises_does_not_lose_what_was_typed(rocketjob):
    job = EditedGuardedJob.create()
    page = posted(job, text="boom", description="typed")
    assert page.status_code == 422
    assert "Nothing was saved: RuntimeError: not today" in text_of(page)
    assert form_of(page)["field.description"] == "typed"
    assert job.reload().description is None


def test_W72_save_goes_to_the_job_and_cancel_goes_back(rocketjob):
    job = EditedJob.create()
    client = browser()
    page = client.get(f"/jobs/{job.id}/edit")
    assert tags(page, "a", href=f"/jobs/{job.id}", class_="button quiet")
    answer = posted(job, client, priority="7")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/jobs/{job.id}")
    assert f"EditedJob {job.id} is saved: priority" in text_of(client.get(f"/jobs/{job.id}"))
    assert job.reload().priority == 7


def test_W116_the_priority_is_set_on_the_page_of_the_job(rocketjob):
    job = EditedJob.create()
    client = browser()
    page = client.get(f"/jobs/{job.id}")
    (seen,) = [a["value"] for a in tags(page, "input", name="seen.priority")]
    typed = {"seen.priority": seen, "field.priority": "3"}
    answer = client.post(f"/jobs/{job.id}", data=typed)
    assert answer.headers["location"] == f"/jobs/{job.id}"
    assert (job.reload().priority, job.text) == (3, None)
    assert client.post(f"/jobs/{job.id}", data=typed | {"field.priority": "4"}).status_code == 409
    assert client.post(f"/jobs/{job.id}", data={"field.priority": "400"}).status_code == 422
    assert not tags(as_role("view").get(f"/jobs/{job.id}"), "input", name="field.priority")
    job.abort()
    assert not tags(client.get(f"/jobs/{job.id}"), "input", name="field.priority")


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_the_paths_of_the_original_save_too(rocketjob, method):
    job = EditedJob.create()
    answer = browser().request(method, f"/jobs/{job.id}", data={"field.priority": "8"})
    assert answer.status_code == 303
    assert job.reload().priority == 8


def test_a_stale_form_is_refused_with_both_values_and_nothing_is_lost(rocketjob):
    job = EditedJob.create(text="first", priority=50)
    ada, bob = as_role("manager", login="ada"), as_role("manager", login="bob")
    shown = form_of(ada.get(f"/jobs/{job.id}/edit"))
    assert posted(job, bob, text="of bob", size="2").status_code == 303
    page = ada.post(f"/jobs/{job.id}", data=shown | {"field.text": "of ada", "field.priority": "9"})
    assert page.status_code == 409
    assert "Nothing was saved" in text_of(page)
    assert "of bob" in said_of(page, "text")
    assert "this is what is stored now" in said_of(page, "size")
    again = form_of(page)
    assert (again["field.text"], again["field.priority"], again["field.size"]) == (
        "of ada",
        "9",
        "2",
    )
    assert (job.reload().text, job.priority) == ("of bob", 50)
    assert ada.post(f"/jobs/{job.id}", data=again).status_code == 303
    assert (job.reload().text, job.priority, job.size) == ("of ada", 9, 2)


def test_a_job_that_changes_at_the_very_same_moment_is_not_overwritten(rocketjob, monkeypatch):
    job = EditedJob.create(text="first")
    save = EditedJob.save

    def overtaken(self, **options):
        monkeypatch.setattr(EditedJob, "save", save)
        EditedJob.find(self.id).update(text="of bob")
        return save(self, **options)

    monkeypatch.setattr(EditedJob, "save", overtaken)
    page = posted(job, text="of ada")
    assert page.status_code == 409
    assert "of bob" in said_of(page, "text") and form_of(page)["field.text"] == "of ada"
    assert job.reload().text == "of bob"


def test_a_job_that_ends_at_the_very_same_moment_is_said_to_have_ended(rocketjob, monkeypatch):
    job = EditedJob.create(text="first")
    client, save = browser(), EditedJob.save

    def overtaken(self, **options):
        monkeypatch.setattr(EditedJob, "save", save)
        EditedJob.find(self.id).abort()
        return save(self, **options)

    monkeypatch.setattr(EditedJob, "save", overtaken)
    assert posted(job, client, text="of ada").status_code == 303
    assert "cannot be edited: it is aborted" in text_of(client.get(f"/jobs/{job.id}"))
    assert job.reload().text == "first"


def test_a_job_that_goes_on_while_its_form_is_open_keeps_what_it_has_done(rocketjob):
    job = EditedJob.create()
    client = browser()
    shown = form_of(client.get(f"/jobs/{job.id}/edit"))
    job.pause()
    EditedJob.find(job.id).update(internal="by the job itself")
    assert client.post(f"/jobs/{job.id}", data=shown | {"field.text": "x"}).status_code == 303
    assert (job.reload().state, job.internal, job.text) == ("paused", "by the job itself", "x")
    job.abort()
    answer = client.post(f"/jobs/{job.id}", data=shown | {"field.text": "y"})
    assert answer.status_code == 303
    assert job.reload().text == "x"
    assert "cannot be edited: it is aborted" in text_of(client.get(f"/jobs/{job.id}"))


def test_R08_line_breaks_are_those_of_python_and_untouched_ones_stay(rocketjob):
    job = EditedJob.create(text="a\r\nb\rc", description="x")
    assert posted(job, description="one\r\ntwo").status_code == 303
    assert (job.reload().text, job.description) == ("a\r\nb\rc", "one\ntwo")


def test_a_value_that_no_form_can_show_is_shown_and_locked(rocketjob):
    job = EditedJob.create(text="a\0b")
    page = browser().get(f"/jobs/{job.id}/edit")
    assert "field.text" not in page.text
    assert "cannot show exactly" in text_of(page)
    assert posted(job, text="forged").status_code == 303
    assert job.reload().text == "a\0b"


def test_a_value_that_does_not_fit_its_class_can_be_mended(rocketjob):
    job = EditedJob.create()
    Job.collection().update_one({"_id": job.id}, {"$set": {"size": "huge"}})
    page = browser().get(f"/jobs/{job.id}/edit")
    assert form_of(page)["field.size"] == "huge"
    assert posted(job, text="x").status_code == 422
    assert posted(job, size="4").status_code == 303
    assert job.reload().size == 4


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"_type": "GoneJob"}, "its class GoneJob is not loaded in the web process"),
        ({"_type": "EditedBrokenJob"}, "it cannot be loaded: RuntimeError: boom"),
    ],
)
def test_a_job_whose_class_is_not_here_has_no_form_and_says_why(rocketjob, changes, why):
    job = EditedJob.create(text="stored")
    Job.collection().update_one({"_id": job.id}, {"$set": changes})
    client = browser()
    page = client.get(f"/jobs/{job.id}")
    assert "stored" in text_of(page)
    assert not tags(page, "a", href=f"/jobs/{job.id}/edit")
    for method in ("GET", "POST"):
        path = f"/jobs/{job.id}/edit" if method == "GET" else f"/jobs/{job.id}"
        assert client.request(method, path).status_code == 303
        assert f"cannot be edited: {why}" in text_of(client.get(f"/jobs/{job.id}"))


def test_R14_code_is_changed_only_by_an_admin_where_that_is_switched_on(rocketjob):
    job = OnDemandJob.create(code="return 1")
    for client in (as_role("manager"), as_role("admin"), as_role("editor", edit_code=True)):
        page = client.get(f"/jobs/{job.id}/edit")
        assert "field.code" not in page.text and "return 1" in text_of(page)
        assert "holds code that is run" in text_of(page)
        assert posted(job, client, code="import os").status_code == 303
        assert job.reload().code == "return 1"
    assert posted(job, as_role("admin", edit_code=True), code="return 2").status_code == 303
    assert job.reload().code == "return 2"


def test_R14_nor_through_the_properties_of_a_job_that_creates_another(rocketjob, tmp_path):
    (tmp_path / "a.txt").write_text("a")
    job = UploadFileJob.create(
        job_class_name="OnDemandBatchJob",
        properties={"code": "x"},
        upload_file_name=str(tmp_path / "a.txt"),
    )
    client = as_role("manager")
    for text in ('{"code": "import os"}', '{"upload_code": "x", "code": "x"}'):
        page = posted(job, client, properties=text)
        assert page.status_code == 422
        assert "holds code that is run: not to be set here" in said_of(page, "properties")
    assert job.reload().properties == {"code": "x"}
    assert posted(job, client, description="b").status_code == 303


def test_R14_however_deep_it_is_and_where_the_class_is_not_known(rocketjob, tmp_path):
    (tmp_path / "a.txt").write_text("a")
    harmless = {"job_class_name": "OnDemandBatchJob"}
    job = UploadFileJob.create(
        job_class_name="UploadFileJob",
        properties=harmless,
        upload_file_name=str(tmp_path / "a.txt"),
    )
    client = as_role("manager")
    for inner, problem in (
        ('"OnDemandBatchJob", "properties": {"code": "x"}', "code of OnDemandBatchJob holds code"),
        ('"GoneJob", "properties": {"code": "x"}', "GoneJob is not loaded here"),
    ):
        page = posted(job, client, properties=f'{{"job_class_name": {inner}}}')
        assert page.status_code == 422
        assert problem in said_of(page, "properties")
    assert job.reload().properties == harmless
    fine = '{"job_class_name": "OnDemandBatchJob", "properties": {"description": "x"}}'
    assert posted(job, client, properties=fine).status_code == 303


def test_R15_secrets_are_in_no_page_no_attribute_and_no_error(rocketjob, caplog):
    reversing(rocketjob)
    job = EditedSecretJob.create(password="hunter2-secret", pin=4711)
    page = browser().get(f"/jobs/{job.id}/edit")
    assert "hunter2" not in page.text and "4711" not in page.text
    assert [a["type"] for a in tags(page, "input", name="field.password")] == ["password"]
    assert posted(job).status_code == 303
    assert job.reload().password == "hunter2-secret"
    refused = posted(job, password="new-secret-9", pin="not-a-number-8")
    assert refused.status_code == 422
    assert "not-a-number-8" not in refused.text and "new-secret-9" not in refused.text
    assert "must be int; what was typed is not shown" in said_of(refused, "pin")
    assert posted(job, password="new-secret-9").status_code == 303
    assert (job.reload().password, job.pin) == ("new-secret-9", 4711)
    data = form_of(page) | {"clear.password": "on"}
    assert browser().post(f"/jobs/{job.id}", data=data).status_code == 409  # another one is there
    data = form_of(browser().get(f"/jobs/{job.id}/edit")) | {"clear.password": "on"}
    assert browser().post(f"/jobs/{job.id}", data=data).status_code == 303
    assert job.reload().password is None
    logged = " ".join(str(vars(record)) for record in caplog.records)
    assert "secret" not in logged.replace("EditedSecretJob", "")


def test_R15_the_password_of_a_url_is_not_shown_and_stays(rocketjob):
    job = EditedJob.create(target="https://ada:s3cret@example.com/in", text="x")
    page = browser().get(f"/jobs/{job.id}/edit")
    assert "s3cret" not in page.text
    assert form_of(page)["field.target"] == "https://ada:***@example.com/in"
    assert posted(job, text="y").status_code == 303
    assert job.reload().target == "https://ada:s3cret@example.com/in"
    page = posted(job, target="https://ada:***@example.com/out")
    assert "write the password itself" in said_of(page, "target")
    assert posted(job, target="https://ada:new@example.com/out").status_code == 303
    assert job.reload().target == "https://ada:new@example.com/out"


def test_an_edit_is_logged_with_who_did_it_and_which_fields(rocketjob, caplog):
    caplog.set_level("INFO", "rocketjob")
    job = EditedJob.create(target="https://u:p4ss@h/")
    posted(job, as_role("manager", login="ada"), text="secret text", size="3")
    (record,) = [r for r in caplog.records if "edited by hand" in r.getMessage()]
    logged = str(vars(record))
    assert "ada" in logged and "text, size" in logged and str(job.id) in logged
    assert "secret text" not in logged


def test_forms_leave_blank_what_the_class_decides_where_that_is_meant(rocketjob):
    controls = controls_of(EditedJob, {"size": 3}, may_leave_out=True)
    assert all(control.may_be_blank for control in controls)
    reading = read(
        controls, Form([("field.size", ""), ("field.priority", "4"), ("field.urgent", "")])
    )
    assert reading.values == {"size": None, "priority": 4}
    assert {"size", "urgent", "text"} <= reading.blanks and "priority" not in reading.blanks


def test_an_expected_start_can_be_put_off_by_a_duration(rocketjob):
    job = EditedJob.create()
    assert posted(job, run_at="2h").status_code == 303
    assert timedelta(hours=1) < job.reload().run_at - now() <= timedelta(hours=2)
