"""Mission Control in a real browser: every page, live, by keyboard, without scripts, two tabs."""

import io
import os
import re
import threading
from collections import Counter
from pathlib import Path

import pytest

from rocketjob import Job
from rocketjob.base.errors import StoreUnavailable
from rocketjob.server import events
from rocketjob.server.server import Server
from rocketjob.server.subscribers import QuestionSubscriber
from rocketjob.store import context
from rocketjob_contrib.mission_control.directories import preview_page
from rocketjob_plugins.batch import mending
from rocketjob_plugins.demo.population import (
    DemoImportJob,
    DemoMailJob,
    DemoReportJob,
    Life,
    populate,
)
from rocketjob_plugins.dirmon import preview
from rocketjob_plugins.dirmon.entry import DirmonEntry
from rocketjob_plugins.failures import groups_of, look
from support.chromium import Served, faults_of, look_at, page_of, started_browser
from support.questions import at_work


class BrowserReconciliationOfTheCustomersOfAllSubsidiariesByTheirNumbersJob(Job):
    a_field_whose_name_is_as_long_as_that_of_the_class: str = "x" * 300

    def upload(self, path): ...

    def perform(self): ...


class BrowserChartedJob(Job):
    def perform(self): ...


LOOKS = [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]


@pytest.fixture(scope="module")
def chromium():
    with started_browser() as browser:
        yield browser


@pytest.fixture
def served(file_store, monkeypatch):
    """A server over a store with something of everything; nobody answers what is asked."""
    monkeypatch.setattr(preview_page, "SECONDS", 0.5)
    populate()
    server = Served(live_seconds=0.2)
    yield server
    server.stop()


def paths_of(served):
    """Return every page that can be looked at, by the table of routes; one question a module."""
    ids = {
        "jobs": [
            DemoMailJob.failed().first().id,
            DemoImportJob.running().first().id,
            DemoMailJob.queued_now().first().id,
        ],
        "servers": [Server.running().first().id],
        "failures": [groups_of(look())[0].key],
        "directories": [DirmonEntry.where(state="enabled").first().id],
    }
    paths, asked = ["/preferences", "/nothing/here"], set()
    for section, route in served._app.state.site.routes:
        if "GET" not in route.methods or route.path.endswith(
            (".json", ".jsonl", ".csv", "/download")
        ):
            continue
        if route.view.__qualname__.startswith("asking."):
            if route.view.__module__ in asked:
                continue
            asked.add(route.view.__module__)
        names = re.findall(r"{(\w+)}", route.path)
        if not names:
            asked_for = "?list=failed&all=1&event=destroy" if route.path == "/jobs/bulk" else ""
            paths.append(route.path + asked_for)
        elif names == ["id"] and section.name in ids:
            paths += [route.path.replace("{id}", str(id)) for id in ids[section.name]]
    return paths


@pytest.mark.skipif("ROCKETJOB_TEST_STORE" in os.environ, reason="one store is asked for")
@pytest.mark.parametrize("other_store", ["mongodb-plain"], indirect=True)
def test_every_page_can_be_looked_at_on_mongodb_too(served, chromium):
    """On the embedded store they are in the next test."""
    with page_of(chromium) as page:
        for path in paths_of(served):
            if path == "/nothing/here":  # the browser itself reports the 404
                continue
            page.goto(served.address + path)
            assert page.locator("h1").count() == 1, path


def test_P61_P62_every_page_is_accessible_and_fits_the_screen(served, chromium):
    """Pages that are made by one template are looked at once, and once where there are no rows.

    Each is seen in both themes and at both widths; every other one in the other two pairs of them.
    """
    faults, kinds = [], {}
    rendered = served.rendered()
    with page_of(chromium, quiet=False) as page:
        for path in paths_of(served):  # before any is open, which would ask for itself again
            text = page.request.get(served.address + path).text()
            assert text.count("<h1") == 1, path
            kinds.setdefault((rendered[-1], text.count('class="empty"')), path)
        for number, path in enumerate(kinds.values()):
            page.goto(served.address + path)
            for width, theme in (LOOKS[0], LOOKS[3]) if number % 2 else (LOOKS[1], LOOKS[2]):
                look_at(page, width, theme)
                faults += [f"{path} {width} {theme}: {fault}" for fault in faults_of(page)]
                if (wide := page.evaluate("document.documentElement.scrollWidth")) > width:
                    faults.append(f"{path} is {wide} pixels wide at {width}")
    assert not faults, "\n".join(faults)


def test_names_of_any_length_fit_the_screen(served, chromium):
    long = "Reconciliation" * 12
    job = BrowserReconciliationOfTheCustomersOfAllSubsidiariesByTheirNumbersJob.create(
        description=long
    )
    entry = DirmonEntry.create(
        name=long, pattern=f"/in/{long}/*.csv", job_class_name=type(job).__name__
    )
    server = Server(name=f"{long}:1", host=long, pid=1)
    server.save()
    paths = ["/jobs", f"/jobs/{job.id}", f"/jobs/{job.id}/edit", f"/jobs?q={long}", "/jobs?page=99"]
    paths += ["/servers", f"/servers/{server.id}", f"/servers?q={long}"]
    paths += ["/dirmon_entries", f"/dirmon_entries/{entry.id}"]
    with page_of(chromium) as page:
        for path in paths:
            page.goto(served.address + path)
            for width in (390, 820, 1280):
                look_at(page, width, "light")
                assert page.evaluate("document.documentElement.scrollWidth") <= width, path
                squeezed = page.evaluate(SQUEEZED)
                assert not squeezed, (path, width, squeezed)


# Texts of which there is one letter on a line.
SQUEEZED = """[...document.querySelectorAll("dd, .list td:not(:empty)")].filter(each =>
    each.innerText.length > 30 && each.getBoundingClientRect().width < 60)
    .map(each => each.innerText)"""


def test_P19_P22_by_keyboard_the_word_being_typed_is_completed_and_a_class_jumped_to(
    served, chromium
):
    with page_of(chromium) as page:
        page.goto(f"{served.address}/jobs/failed")
        page.fill("#q", "state:failed -(cl")
        offered = "[...document.getElementById('suggestions').options].map(each => each.value)"
        assert "state:failed -(class:DemoMailJob" in page.evaluate(offered)
        page.keyboard.press("Control+k")
        page.keyboard.type("DemoMailJob")
        page.keyboard.press("Enter")
        page.wait_for_url("**/jobs?q=class%3ADemoMailJob")
        page.locator("#search-words", has_text="class is DemoMailJob").wait_for()
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.id") == "jump"


def test_P01_a_page_follows_what_happens_and_keeps_what_you_have_begun(served, chromium):
    with page_of(chromium) as page:
        page.goto(f"{served.address}/jobs/running")
        page.locator("#live-state[data-state]").wait_for()  # by the stream, or by asking
        page.fill("#q", "half a word")
        page.focus("#q")
        page.evaluate("document.querySelector('tbody tr').mark = 'the same'")
        before = page.inner_text("tr:first-child .cell-progress")
        for _ in range(12):
            Life().step()
        page.wait_for_function(
            "before => document.querySelector('tr:first-child .cell-progress').innerText != before",
            arg=before,
        )
        assert page.input_value("#q") == "half a word"
        assert page.evaluate("document.activeElement.id") == "q"
        assert page.evaluate("document.querySelector('tbody tr').mark") == "the same"


def test_W20_lists_change_in_their_place_and_the_address_with_them(served, chromium):
    job = DemoMailJob.failed().first()
    with page_of(chromium) as page:
        page.goto(f"{served.address}/jobs/{job.id}/retry?back=/jobs/running")
        page.click("form[method=post] button")
        page.locator(".message.success").wait_for()
        page.evaluate("window.mark = 'the same page'")
        page.click("nav.tabs a[title=Failed]")
        page.locator("h1", has_text="Failed jobs").wait_for()
        page.wait_for_function("() => document.title.startsWith('Failed jobs')")
        assert page.url == f"{served.address}/jobs/failed"
        assert page.locator(".message").count() == 0  # which was said, and is over
        page.fill("#q", "letter")
        page.press("#q", "Enter")
        page.wait_for_url("**/jobs/failed?q=letter")
        page.click("a.sort[data-sort=description]")
        page.locator("th[aria-sort=ascending]").wait_for()
        page.go_back()
        page.wait_for_function("() => !document.querySelector('th[aria-sort]')")
        assert page.input_value("#q") == "letter"
        assert page.evaluate("window.mark") == "the same page"


def test_W20_so_do_sections_the_current_one_is_marked_and_the_page_goes_on_living(served, chromium):
    with page_of(chromium) as page:
        page.goto(f"{served.address}/jobs/failed")
        page.locator("#live-state[data-state]").wait_for()  # by the stream, or by asking
        page.evaluate("window.mark = 'the same page'")
        page.click("nav.sections >> text=Servers")
        page.locator("h1", has_text="All servers").wait_for()
        page.wait_for_function("() => document.title.startsWith('All servers')")
        assert page.url == f"{served.address}/servers"
        assert page.locator("nav.sections [aria-current=true]").inner_text() == "Servers"
        Server.create(name="new:1")
        page.get_by_text("new:1").wait_for()
        page.set_viewport_size({"width": 390, "height": 844})
        page.click("button.menu")
        page.click("nav.sections >> text=Directories")
        page.locator("h1", has_text="Enabled").wait_for()
        page.locator("nav.sections").wait_for(state="hidden")  # the menu is closed again
        page.go_back()
        page.locator("h1", has_text="All servers").wait_for()
        assert page.locator("nav.sections [aria-current=true]").text_content() == "Servers"
        assert page.evaluate("window.mark") == "the same page"
        page.goto(f"{served.address}/preferences")  # nothing there lives: the next page must
        page.evaluate("window.mark = 'gone'")
        page.click("button.menu")
        page.click("nav.sections >> text=Jobs")
        page.locator("#live-state[data-state]").wait_for()
        assert page.evaluate("window.mark") is None


def test_what_servers_answer_is_shown_and_can_be_read_by_everybody(served, chromium, tmp_path):
    made, job = Server.running().first(), DemoMailJob.failed().first()
    by = f"{made.incarnation}.1"
    here = at_work(job, 3 * 3600, threading.current_thread(), part=41)
    (tmp_path / "a.csv").write_text("x")
    entry = DirmonEntry.where(state="enabled").first()
    pattern = {"$set": {"pattern": f"{tmp_path}/*.csv"}}
    DirmonEntry.collection().update_one({"_id": entry.id}, pattern)
    faults = []
    with (
        QuestionSubscriber.subscribed(
            made.incarnation,
            made.name,
            others=lambda: {by: {"pid": 7, "performing": []}},
            brought=[preview.question()],
        ),
        QuestionSubscriber.subscribed(by, f"{made.name}:1", lambda: [here]),
        page_of(chromium) as page,
    ):
        listener = events.Listener().start()
        for way, shown in (
            (lambda: page.goto(f"{served.address}/servers/{made.id}?ask=work"), "from record 41"),
            (lambda: dump(page, served, made), "DemoMailJob, slice from record 41"),
            (lambda: page.goto(f"{served.address}/dirmon_entries/{entry.id}/preview"), "a.csv"),
        ):
            way()
            page.get_by_text(shown).first.wait_for()
            for width, theme in LOOKS:
                look_at(page, width, theme)
                faults += [f"{page.url} {width} {theme}: {each}" for each in faults_of(page)]
                assert page.evaluate("document.documentElement.scrollWidth") <= width
        listener.stop()
    assert not faults, "\n".join(faults)


def dump(page, served, server):
    """Ask for the stacks of a server as people do."""
    page.goto(f"{served.address}/servers/{server.id}")
    page.click("text=Thread dump")
    page.click("#dialog[open] button")
    page.wait_for_url("**/thread_dump")


def test_what_is_folded_or_unfolded_stays_so(served, chromium):
    job = DemoMailJob.failed().first()
    with page_of(chromium) as page:
        page.goto(f"{served.address}/jobs/{job.id}")
        page.locator("#live-state[data-state]").wait_for()  # by the stream, or by asking
        page.click("details.backtrace summary")
        Job.collection().update_one({"_id": job.id}, {"$set": {"description": "changed"}})
        page.get_by_text("changed").wait_for()
        assert page.get_attribute("details.backtrace", "open") is None


def test_the_stream_begins_however_late_its_script_arrives(served, chromium):
    held = []
    with page_of(chromium) as page:
        page.route("**/hx-sse-*", lambda route: held.append(route))
        page.goto(f"{served.address}/jobs/running", wait_until="commit")
        page.wait_for_function("() => 'htmx' in window")
        page.evaluate("new Promise((done) => setTimeout(done))")  # after all that htmx put off
        held[0].continue_()
        page.locator("#live-state[data-state=live]").wait_for()


def test_P02_live_can_be_paused(served, chromium):
    with page_of(chromium) as page:
        page.goto(f"{served.address}/jobs/paused")
        page.locator("#live-state[data-state]").click()
        assert page.get_attribute("#live-state", "data-state") == "paused"
        page.reload()
        page.locator("#live-state[data-state=paused]").wait_for()
        job = DemoMailJob.create(recipient="x@example.com", description="while it was paused")
        job.pause()
        assert page.get_by_text("while it was paused").count() == 0
        page.click("#live-state")
        page.get_by_text("while it was paused").wait_for()


def test_P02_a_lost_connection_is_said_with_the_time_of_what_is_shown(served, chromium):
    with page_of(chromium, quiet=False) as page:
        page.goto(f"{served.address}/jobs/running")
        page.locator("#live-state[data-state]").wait_for()  # by the stream, or by asking
        served.stop()
        page.locator("#live-state[data-state=lost]").wait_for()
        assert re.search(r"reconnecting, showing \d\d:\d\d:\d\d", page.inner_text("#live-state"))


def test_a_store_that_goes_away_while_a_page_is_open_is_said_and_comes_back(
    served, chromium, monkeypatch
):
    def gone(*args, **options):
        raise StoreUnavailable("the disk is gone")

    with page_of(chromium, quiet=False) as page:
        page.goto(f"{served.address}/jobs/failed")
        page.locator("#live-state[data-state=live]").wait_for()
        with monkeypatch.context() as away:
            for name in ("count_by", "wait_for_change"):
                away.setattr(type(context.current().store), name, gone)
            page.get_by_text("State unknown").wait_for()
            assert page.locator(".list").count() == 0  # nothing that is not so any more
        page.locator("h1", has_text="Failed jobs").wait_for()


def test_a_verdict_is_unknown_in_a_page_that_hears_nothing_for_15_seconds(served, chromium):
    with page_of(chromium) as page:
        page.clock.install()
        page.goto(f"{served.address}/jobs/running")
        strip = page.locator("#verdict")
        assert "FAILING" in strip.inner_text()
        page.locator("#live-state").click()  # it is paused: nothing is asked for
        page.clock.fast_forward(14_000)
        assert strip.get_attribute("data-stale") is None
        page.clock.fast_forward(4_000)
        assert "UNKNOWN" in strip.inner_text() and "FAILING" not in strip.inner_text()
        page.locator("#live-state").click()
        page.wait_for_selector("#verdict:not([data-stale])")
        page.clock.fast_forward(1_000)
        assert "FAILING" in strip.inner_text()


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_P03_a_failure_and_its_retry_are_on_the_first_screen(served, chromium, width, height):
    with page_of(chromium) as page:
        page.set_viewport_size({"width": width, "height": height})
        page.goto(f"{served.address}/overview")
        for selector in ("#verdict strong", ".failing .name", ".failing .button:has-text('Retry')"):
            box = page.locator(selector).first.bounding_box()
            assert box["y"] + box["height"] <= height, selector


class Clicks:
    """A person before a page, whose clicks are counted; what is not seen cannot be clicked."""

    def __init__(self, page):
        self.page, self.number = page, 0

    def on(self, role, name):
        self.page.get_by_role(role, name=name, exact=True).first.click()
        self.number += 1


def test_a_newcomer_finds_and_mends_a_failure_with_at_most_four_clicks(served, chromium):
    with page_of(chromium) as page:
        page.goto(served.address)
        newcomer = Clicks(page)
        newcomer.on("link", "DemoMailJob · TimeoutError")
        page.get_by_text("smtp.example.com did not answer in 30 s").first.wait_for()  # the cause
        newcomer.on("link", "Retry these 13")
        newcomer.on("button", "Retry these 13")
        page.locator("#messages .message", has_text="13").wait_for()
        assert newcomer.number <= 4
        assert not DemoMailJob.failed().where({"exception.class_name": "TimeoutError"}).exists()


def test_a_newcomer_finds_and_mends_why_a_job_waits_with_at_most_four_clicks(served, chromium):
    for server in Server.where(state={"$in": ["running", "starting"]}):
        Server.collection().update_one({"_id": server.id}, {"$set": {"state": "paused"}})
    with page_of(chromium) as page:
        page.goto(served.address)
        newcomer = Clicks(page)
        newcomer.on("link", "why?")
        page.get_by_text("Every server that takes DemoMailJob is paused").wait_for()  # the cause
        newcomer.on("link", "all servers are paused")
        newcomer.on("link", "Resume all")
        newcomer.on("button", "Resume all")
        page.get_by_role("link", name="Pause", exact=True).first.wait_for()
        assert newcomer.number <= 4
        assert Server.where(state="running").exists()


def test_an_action_asks_in_a_dialog_and_stays_on_the_list(served, chromium):
    job = DemoMailJob.failed().order_by("-completed_at").first()
    with page_of(chromium) as page:
        page.goto(f"{served.address}/jobs/failed?size=25")
        page.click(f"#row-{job.id} a[title=Retry]")
        dialog = page.locator("#dialog[open]")
        dialog.wait_for()
        assert "Retry this job?" in dialog.inner_text()
        dialog.locator("button").click()
        page.locator(".message.success").wait_for()
        assert page.url == f"{served.address}/jobs/failed?size=25"
        assert page.locator(f"#row-{job.id}").count() == 0
        assert job.reload().is_queued


def test_P23_a_range_is_ticked_with_shift_and_stays_so_while_the_page_lives(served, chromium):
    jobs = list(DemoMailJob.failed().order_by("-completed_at").limit(5))
    with page_of(chromium) as page:
        page.goto(f"{served.address}/jobs/failed?size=25&q=DemoMail")
        page.click(f"#tick-{jobs[1].id}")
        page.click(f"#tick-{jobs[3].id}", modifiers=["Shift"])
        assert page.inner_text("#ticked") == "3 ticked, or take"
        jobs[0].retry()
        page.locator(f"#row-{jobs[0].id}").wait_for(state="detached")
        assert page.inner_text("#ticked") == "3 ticked, or take"
        page.click("#bulk button")
        page.click("form[method=post] button")
        assert "Retry: 3 done" in page.inner_text(".message.success")
    assert [job.reload().state for job in jobs] == [*["queued"] * 4, "failed"]


def test_a_dialog_works_by_keyboard(served, chromium):
    job = DemoMailJob.failed().order_by("-completed_at").first()
    with page_of(chromium) as page:
        page.goto(f"{served.address}/jobs/failed")
        page.focus(f"#row-{job.id} a[title=Destroy]")
        page.keyboard.press("Enter")
        page.locator("#dialog[open]").wait_for()
        page.keyboard.press("Escape")
        page.wait_for_function("() => !document.getElementById('dialog').open")
        assert page.evaluate("document.activeElement.title") == "Destroy"
        page.keyboard.press("Enter")
        page.locator("#dialog[open] button").focus()
        page.keyboard.press("Enter")
        page.locator(".message.success").wait_for()
        assert not DemoMailJob.where(id=job.id)


def test_P26_of_two_tabs_one_wins_and_the_other_is_told(served, chromium):
    job = DemoMailJob.failed().first()
    with page_of(chromium) as first, page_of(chromium) as second:
        for page in (first, second):
            page.goto(f"{served.address}/jobs/{job.id}")
            page.click(".title a[href*='/retry']")
            page.locator("#dialog[open]").wait_for()
        first.click("#dialog button")
        first.locator(".message.success").wait_for()
        second.click("#dialog button")
        second.locator(".message.warning").wait_for()
        assert "nothing was done" in second.inner_text(".message.warning")
        assert [entry.event for entry in job.reload().history][-1] == "retry"


def test_P64_without_scripts_lists_pages_and_actions_work(served, chromium):
    job = DemoMailJob.failed().order_by("-completed_at").first()
    with page_of(chromium, scripts=False) as page:
        page.goto(f"{served.address}/jobs/running")
        page.click("nav.tabs a[title=Failed]")
        page.fill("#q", "letter")
        page.click(".search button")
        page.click("a.sort[data-sort=description]")
        assert page.url == f"{served.address}/jobs/failed?q=letter&sort=description"
        page.goto(f"{served.address}/jobs/{job.id}")
        page.click(".title a[href*='/retry']")
        page.click("form[method=post] button")
        assert "is tried again" in page.inner_text(".message.success")
        assert job.reload().is_queued


def test_R01_of_two_who_edit_one_record_nobodys_work_is_lost(served, chromium):
    job = DemoImportJob.running().first()
    seen = mending.find(job, mending.ids_of_failed(job, None, 1)[0])
    record = "caf\x00\r\n\\x41 \u00fc\t<b>"
    mending.replace_record(job, seen.id, 0, record, seen.digest)
    with page_of(chromium, scripts=False) as first, page_of(chromium, quiet=False) as second:
        for page in (first, second):
            page.goto(f"{served.address}/jobs/{job.id}/view_slice?slice={seen.id}")
            page.click("a[title^='Edit record']")
        first.click("form.card button")  # as it is, through a real form
        assert "is saved" in first.inner_text(".message.success")
        assert job.input.find(seen.id)[0] == record
        first.click("a[title^='Edit record']")
        first.fill("#text", "of ada")
        first.click("form.card button")
        second.fill("#text", "of bob")
        second.click("form.card button")
        assert second.input_value("#text") == "of bob"
        assert second.inner_text("pre.now") == "of ada"
        assert job.input.find(seen.id)[0] == "of ada"
        second.click("form.card button")
        second.locator(".message.success").wait_for()
        assert job.input.find(seen.id)[0] == "of bob"


def test_a_job_is_edited_in_a_real_form_which_changes_only_what_was_touched(served, chromium):
    job = DemoMailJob.failed().first()
    job.update(description="a\r\nb\n\n", recipient="\nbegins with a line break")
    with page_of(chromium) as page:
        page.goto(f"{served.address}/jobs/{job.id}/edit")
        page.fill("[name='field.template']", "one\ntwo")
        page.fill("[name='field.priority']", "3")
        page.keyboard.press("Enter")
        page.locator(".message.success").wait_for()
        assert page.url == f"{served.address}/jobs/{job.id}"
    job.reload()
    assert (job.template, job.priority) == ("one\ntwo", 3)
    assert (job.description, job.recipient) == ("a\r\nb\n\n", "\nbegins with a line break")


def test_P39_the_next_times_are_shown_while_an_expression_is_typed(served, chromium):
    job = DemoReportJob.scheduled().first()
    with page_of(chromium) as page:
        for path in (f"/jobs/{job.id}/schedule", f"/jobs/{job.id}/edit"):
            page.goto(served.address + path)
            page.fill("[name='field.cron_schedule']", "0 5 * * Mon Europe/Berlin")
            page.locator("#cron-preview", has_text="At 05:00 on Monday, Berlin time").wait_for()
            assert page.locator("#cron-preview li").count() == 5
            page.fill("[name='field.cron_schedule']", "0 25 * * *")
            page.locator("#cron-preview .error").wait_for()
        page.click("nav.sections >> text=Schedule")
        page.click("nav.tabs >> text=Try an expression")
        page.locator("h1", has_text="Try an expression").wait_for()
        page.fill("[name=expression]", "@weekly")
        page.locator("#cron-preview", has_text="on Sunday").wait_for()


def complete_one():
    job = BrowserChartedJob.create()
    job.start("batch-01:34521:1")
    job.complete()


def test_P04_charts_are_drawn_from_their_tables_and_go_on_living(served, chromium):
    with page_of(chromium) as page:
        page.goto(f"{served.address}/jobs/failed")
        page.locator("#live-state[data-state]").wait_for()  # by the stream, or by asking
        page.click("nav.sections >> text=Metrics")  # which brings the scripts with it
        page.locator("#plot-run .uplot").wait_for()
        complete_one()
        page.click("td.cell-name >> text=BrowserChartedJob")
        page.wait_for_function(COMPLETED, arg=1)
        page.evaluate("document.querySelector('#plot-throughput .uplot').mark = 'the same'")
        complete_one()
        page.wait_for_function(COMPLETED, arg=2)
        assert page.evaluate("document.querySelector('#plot-throughput .uplot').mark") == "the same"
        assert not page.locator("svg.drawn").first.is_visible()


# How many the table says have completed in all.
COMPLETED = """number => number == [...document.querySelectorAll("#table-throughput tbody tr")]
    .map(row => Number(row.cells[1].textContent)).reduce((sum, each) => sum + each, 0)"""


def test_P64_charts_need_no_script(served, chromium):
    with page_of(chromium, scripts=False) as page:
        page.goto(f"{served.address}/charts?for=7d")
        assert page.locator("svg.drawn").first.is_visible()
        assert not page.locator(".plot").first.is_visible()
        page.click("#table-wait >> xpath=ancestor::details >> summary")
        assert page.locator("#table-wait").is_visible()


def test_shift_click_sorts_by_a_further_column(served, chromium):
    with page_of(chromium) as page:
        page.goto(f"{served.address}/jobs/queued?sort=-priority")
        page.click("a.sort[data-sort=description]", modifiers=["Shift"])
        page.wait_for_url("**/jobs/queued?sort=-priority%2Cdescription")
        assert page.locator("th[aria-sort]").count() == 2


def test_P62_on_a_telephone_the_menu_opens_and_tables_are_cards(served, chromium):
    with page_of(chromium, 390) as page:
        page.goto(f"{served.address}/jobs/failed")
        assert not page.locator("#sections").is_visible()
        page.click("button[aria-label=Menu]")
        page.locator("#sections a", has_text="Directories").click()
        page.wait_for_url("**/dirmon_entries/enabled")
        assert (
            page.locator(".list tr").first.evaluate("e => getComputedStyle(e).display") == "block"
        )


def test_P60_P65_theme_and_time_zone_are_chosen_in_a_dialog(served, chromium):
    with page_of(chromium) as page:
        page.goto(f"{served.address}/jobs/failed")
        page.click("a.look")
        page.locator("#dialog[open]").wait_for()
        page.select_option("#dialog select[name=theme]", "dark")
        page.select_option("#dialog select[name=zone]", "Asia/Tokyo")
        page.click("#dialog button")
        page.wait_for_function("() => document.documentElement.dataset.theme == 'dark'")
        assert page.url == f"{served.address}/jobs/failed"
        assert "Asia/Tokyo" in page.inner_text(".bar-top")
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == "rgb(15, 18, 24)"


SHOTS = {
    "overview": ("/overview", 1280, "light"),
    "failures": ("/failures", 1280, "light"),
    "jobs": ("/jobs", 1280, "light"),
    "running": ("/jobs/running", 1280, "light"),
    "batch": ("/jobs/{batch}", 1280, "light"),
    "edit": ("/jobs/{batch}/edit", 1280, "light"),
    "exception": ("/jobs/{batch}/exception?error_type=ValueError", 1280, "light"),
    "slice": ("/jobs/{batch}/view_slice?error_type=ValueError", 1280, "light"),
    "waits": ("/jobs/{scheduled}", 1280, "light"),
    "servers": ("/servers", 1280, "light"),
    "server": ("/servers/{server}", 1280, "light"),
    "workers": ("/active_workers", 1280, "light"),
    "directories": ("/dirmon_entries", 1280, "light"),
    "entry": ("/dirmon_entries/{entry}/edit", 1280, "light"),
    "schedule": ("/schedule", 1280, "light"),
    "charts": ("/charts?for=7d", 1280, "light"),
    "failed-dark": ("/jobs/{failed}", 1280, "dark"),
    "phone": ("/jobs/running", 390, "dark"),
}


def in_a_palette(png):
    """Return a picture with at most 256 colours, which takes a third of the bytes."""
    from PIL import Image  # only where the pictures are made again: the extra `docs` has it

    picture, small = Image.open(io.BytesIO(png)).convert("RGB"), io.BytesIO()
    reduced = picture.quantize(method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    # Each colour is the most frequent of those that it stands for: large parts stay as they are.
    parts = picture.tobytes()
    colours = zip(parts[0::3], parts[1::3], parts[2::3], strict=True)
    stands_for = {}
    for (index, colour), _ in Counter(zip(reduced.tobytes(), colours, strict=True)).most_common():
        stands_for.setdefault(index, colour)
    palette = [stands_for.get(index, (0, 0, 0)) for index in range(256)]
    reduced.putpalette([part for colour in palette for part in colour])
    reduced.save(small, "png", optimize=True)
    return small.getvalue()


def test_the_screenshots_of_the_documentation(served, chromium, tmp_path):
    """With `ROCKETJOB_SCREENSHOTS=docs/_static` they are made again there."""
    folder = Path(os.environ.get("ROCKETJOB_SCREENSHOTS", tmp_path))
    ids = {
        "batch": DemoImportJob.running().first().id,
        "scheduled": DemoReportJob.scheduled().first().id,
        "failed": DemoMailJob.failed().first().id,
        "server": Server.running().first().id,
        "entry": DirmonEntry.where(state="enabled").first().id,
    }
    with page_of(chromium) as page:
        for name, (path, width, theme) in SHOTS.items():
            look_at(page, width, theme)
            page.goto(served.address + path.format(**ids))
            if page.locator("#live-state").count():
                page.locator("#live-state[data-state]").wait_for()  # by the stream, or by asking
            if name == "waits":
                page.locator("#reasons p.muted").wait_for()
            if name == "charts":
                page.locator("#plot-run .uplot").wait_for()
            picture = page.screenshot()
            assert len(picture) > 10_000, name
            if folder != tmp_path:
                (folder / f"web-{name}.png").write_bytes(in_a_palette(picture))


def test_every_screenshot_of_the_documentation_is_made_here_and_shown_there():
    docs = Path(__file__).parents[3] / "docs"
    made = {f"web-{name}.png" for name in SHOTS}
    sizes = {path.name: path.stat().st_size for path in docs.glob("_static/web-*.png")}
    assert set(sizes) == made and max(sizes.values()) < 120_000
    assert set(re.findall(r"_static/(web-.*?\.png)", (docs / "web.md").read_text())) == made
