"""The frame of each page: menu, tabs at the side, messages, times; rows W01 to W23."""

import hashlib
import re
from datetime import UTC, datetime, timedelta

import pytest

from rocketjob import Job
from rocketjob_contrib.mission_control.assets import FOLDER
from rocketjob_contrib.mission_control.templating import breakable, marked
from rocketjob_contrib.mission_control.tree import tree
from support.web import as_role, browser, cells, links, tags, text_of


class FramedJob(Job):
    destroy_on_complete = False
    numbers: dict = {}

    def perform(self): ...


PAGES = ("/jobs", "/jobs/failed", "/dirmon_entries", "/preferences")


@pytest.mark.parametrize("root", ["", "/ops/jobs"])
def test_W01_every_link_stays_inside_the_path_where_it_is_mounted(rocketjob, root):
    FramedJob.create()
    page = browser(root).get(f"{root}/jobs")
    inside = [link for link in links(page) if link.startswith("/") and link != "/"]
    assert inside and all(link.startswith(f"{root}/") for link in inside)
    assert all(form["action"].startswith(f"{root}/") for form in tags(page, "form"))


def test_W01_it_has_no_storage_of_its_own(rocketjob):
    before = rocketjob.store.collection_names()
    for page in PAGES:
        assert browser().get(page).status_code == 200
    assert rocketjob.store.collection_names() == before


def test_W02_the_mount_path_shows_the_overview_on_which_the_running_jobs_are(rocketjob):
    job = FramedJob.create()
    job.start()
    answer = browser("/ops").get("/ops/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/ops/overview")
    assert f"/ops/jobs/{job.id}" in links(browser("/ops").get("/ops/overview"))


@pytest.mark.parametrize(
    ("path", "title"), [("/jobs/failed", "Jobs"), ("/dirmon_entries", "Directories")]
)
def test_W03_the_menu_has_every_section_and_marks_the_one_that_is_shown(rocketjob, path, title):
    page = browser().get(path)
    menu = re.search(r'aria-label="Sections">(.*?)</nav>', page.text, re.S).group(1)
    assert re.findall(r'class="current"[^>]*>.*?</svg>(\w+)', menu) == [title]
    assert 'href="/jobs/running"' in menu and 'href="/dirmon_entries/enabled"' in menu


def test_W04_the_brand_leads_to_the_project_and_home_to_the_host(rocketjob):
    page = browser(home="/start").get("/jobs")
    (brand,) = tags(page, "a", class_="brand")
    assert brand["target"] == "_blank" and "noopener" in brand["rel"]
    assert "/start" in links(page)


def test_W05_the_menu_folds_behind_a_button_that_needs_no_script(rocketjob):
    page = browser().get("/jobs")
    (button,) = tags(page, "button", aria_label="Menu")
    assert button["popovertarget"] == "sections"
    assert tags(page, "nav", id="sections")


def test_W06_the_side_of_jobs_has_each_state_with_its_count(rocketjob):
    FramedJob.create()
    FramedJob.create(run_at=timedelta(hours=1))
    FramedJob.create().pause()
    page = browser().get("/jobs/running")
    side = re.search(r'<nav class="tabs".*?</nav>', page.text, re.S).group(0)
    found = re.findall(r'class="tab">(\w+)</span>(?:<span class="count">([\d,+]+))?', side)
    assert found == [
        ("All", ""),
        ("Scheduled", "1"),
        ("Queued", "1"),
        ("Running", "0"),
        ("Completed", "0"),
        ("Paused", "1"),
        ("Failed", "0"),
        ("Aborted", "0"),
    ]


def test_W08_the_side_of_directories_has_each_state(rocketjob):
    page = browser().get("/dirmon_entries")
    side = re.search(r'<nav class="tabs".*?</nav>', page.text, re.S).group(0)
    names = re.findall(r'class="tab">(\w+)<', side)
    assert names == ["Create", "All", "Pending", "Enabled", "Failed", "Disabled"]


def test_W09_the_present_tab_is_marked(rocketjob):
    page = browser().get("/jobs/failed")
    (current,) = tags(page, "a", aria_current="page")
    assert current["href"] == "/jobs/failed"


STATES = [
    "aborted",
    "completed",
    "disabled",
    "enabled",
    "failed",
    "paused",
    "pending",
    "queued",
    "running",
    "sleeping",
    "scheduled",
    "starting",
    "stopping",
    "zombie",
]


def test_W10_each_state_has_an_icon_and_a_colour(rocketjob):
    icons = browser().get("/static/icons.svg").text
    style = browser().get("/static/mission.css").text
    for state in STATES:
        assert f'id="{state}"' in icons
        assert re.search(rf"\.state-{state}\b", style)


def test_W10_the_icon_names_the_state(rocketjob):
    FramedJob.create()
    page = browser().get("/jobs")
    assert tags(page, "svg", aria_label="queued")
    assert "<title>queued</title>" in page.text


def test_W11_the_title_names_the_page_and_the_product(rocketjob):
    page = browser().get("/jobs/failed")
    assert "<title>Failed jobs · Mission Control</title>" in page.text
    heading = re.search(r"<h1>.*?</h1>", page.text, re.S).group(0)
    assert "icons.svg" in heading and "#failed" in heading


def test_W12_a_message_is_shown_once_escaped_and_can_be_dismissed(rocketjob):
    job = FramedJob.create(description="<script>alert(1)</script>")
    client = browser()
    client.post(f"/jobs/{job.id}/pause", data={"back": "/jobs"})
    page = client.get("/jobs")
    assert f"FramedJob {job.id} is paused" in text_of(page)
    assert tags(page, "a", aria_label="Dismiss")
    assert "<script>alert" not in page.text
    assert "is paused" not in text_of(client.get("/jobs"))


def test_W12_a_message_that_was_not_signed_here_is_not_shown(rocketjob):
    client = browser()
    client.cookies.set("rocketjob_flash", "W1siZGFuZ2VyIiwgIlBheSBtZSIsIG51bGxdXQ==.0" * 2)
    assert "Pay me" not in client.get("/jobs").text


@pytest.mark.parametrize("event", ["pause", "fail", "abort", "destroy"])
def test_W13_every_action_asks_first_and_says_what_it_does(rocketjob, event):
    job = FramedJob.create()
    page = browser().get(f"/jobs/{job.id}/{event}")
    assert f"{event.capitalize()} this job?" in text_of(page)
    assert "FramedJob" in text_of(page)
    assert job.reload().is_queued
    (form,) = tags(page, "form", method="post")
    assert form["action"] == f"/jobs/{job.id}/{event}"


def test_W14_an_action_ends_on_a_page_that_can_be_reloaded(rocketjob):
    job = FramedJob.create()
    answer = browser().post(f"/jobs/{job.id}/pause", data={"back": "/jobs/queued?q=Framed"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/jobs/queued?q=Framed")


CROSS_SITE = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"origin": "https://evil.example"},
    {"origin": "null"},
]


@pytest.mark.parametrize("headers", CROSS_SITE, ids=str)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_W15_another_site_cannot_change_anything(rocketjob, headers, method):
    job = FramedJob.create()
    answer = browser().request(method, f"/jobs/{job.id}/pause", headers=headers)
    assert answer.status_code == 403
    assert job.reload().is_queued


@pytest.mark.parametrize(
    "headers", [{"sec-fetch-site": "same-origin"}, {"origin": "http://127.0.0.1"}, {}], ids=str
)
def test_W15_our_own_pages_and_programs_can(rocketjob, headers):
    job = FramedJob.create()
    assert browser().post(f"/jobs/{job.id}/pause", headers=headers).status_code == 303
    assert job.reload().is_paused


def test_W16_times_are_shown_in_the_zone_that_was_chosen(rocketjob):
    rocketjob.freeze(datetime(2026, 7, 1, 12, tzinfo=UTC))
    FramedJob.create()
    client = browser()
    assert 'title="2026-07-01 12:00:00 UTC"' in client.get("/jobs").text
    client.post("/preferences", data={"zone": "America/New_York"})
    assert 'title="2026-07-01 08:00:00 EDT"' in client.get("/jobs").text
    assert client.post("/preferences", data={"zone": "Mars/Crater"}).status_code == 400


def test_W16_the_default_zone_is_that_of_the_settings(rocketjob):
    rocketjob.freeze(datetime(2026, 7, 1, 12, tzinfo=UTC))
    FramedJob.create()
    page = browser(time_zone="Europe/Berlin").get("/jobs")
    assert 'title="2026-07-01 14:00:00 CEST"' in page.text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.005, "5.000ms"), (0.05, "50.0ms"), (5, "5.000s"), (90, "1m 30s"), (3660, "1h 1m")],
)
def test_W17_durations_are_as_exact_as_they_are_short(rocketjob, seconds, text):
    rocketjob.freeze(datetime(2026, 7, 1, tzinfo=UTC))
    job = FramedJob.create()
    Job.collection().update_one(
        {"_id": job.id},
        {
            "$set": {
                "state": "completed",
                "started_at": job.created_at,
                "completed_at": job.created_at + timedelta(seconds=seconds),
            }
        },
    )
    assert cells(browser().get("/jobs/completed"), "duration") == [text]


def test_W18_a_tree_folds_has_links_and_can_be_read_without_script(rocketjob):
    job = FramedJob.create(numbers={"see": "https://example.com/a?b=1", "none": None, "n": [1, 2]})
    page = browser().get(f"/jobs/{job.id}")
    assert 'href="https://example.com/a?b=1"' in page.text
    assert "null" in text_of(page)
    assert "<details class='tree' open>" in page.text


def test_W18_a_large_tree_starts_folded(rocketjob):
    assert "open" not in str(tree({str(n): n for n in range(11)}))
    assert " open" in str(tree({str(n): n for n in range(10)}))
    assert "<script" not in str(tree({"<script>": "<script>"}))


def test_W19_refresh_keeps_search_sorting_and_page(rocketjob):
    FramedJob.create_many({} for _ in range(12))
    page = browser().get("/jobs?q=framed&sort=-created&page=2")
    (refresh,) = tags(page, "a", id="refresh")
    assert refresh["href"] == "/jobs?q=framed&sort=-created&page=2"


def test_W21_everything_comes_from_the_package_and_nothing_from_elsewhere(rocketjob):
    page = browser().get("/jobs")
    assert "http" not in "".join(a.get("src", "") for a in tags(page, "script"))
    for tag in (*tags(page, "script"), *tags(page, "link")):
        address = tag.get("src") or tag["href"]
        assert browser().get(address).status_code == 200
        assert "immutable" in browser().get(address).headers["cache-control"]


def test_what_comes_from_the_package_is_compressed_and_a_page_with_a_secret_is_not(rocketjob):
    page = browser().get("/jobs")
    assert "content-encoding" not in page.headers
    for tag in tags(page, "script"):
        packed = browser().get(tag["src"])
        plain = browser().get(tag["src"], headers={"accept-encoding": "identity"})
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.content == plain.content
        assert packed.num_bytes_downloaded < len(plain.content) / 1.5


def test_W21_P52_no_script_and_no_style_is_within_a_page(rocketjob):
    job = FramedJob.create()
    for path in (*PAGES, f"/jobs/{job.id}", f"/jobs/{job.id}/abort"):
        page = browser().get(path)
        assert re.search(r"<script(?![^>]*\bsrc=)", page.text) is None
        assert "<style" not in page.text and " style=" not in page.text
        assert re.search(r"\son\w+=", page.text) is None
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none';") and "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        others = ("x-content-type-options", "referrer-policy", "cache-control")
        assert [page.headers[name] for name in others] == ["nosniff", "same-origin", "no-store"]


def test_W22_an_unexpected_error_is_a_page_and_a_log_line(rocketjob, monkeypatch, caplog):
    monkeypatch.setattr(Job, "counts_by_state", classmethod(lambda cls: 1 / 0))
    page = browser().get("/jobs/failed")
    assert page.status_code == 500
    assert "in the log of the web process" in text_of(page)
    assert "ZeroDivisionError" not in page.text


@pytest.mark.parametrize("back", ["//evil.example", "https://evil.example", "/\\evil.example"])
def test_W22_the_way_back_never_leads_to_another_host(rocketjob, back):
    job = FramedJob.create()
    answer = browser().post(f"/jobs/{job.id}/pause", data={"back": back})
    assert answer.headers["location"] == f"/jobs/{job.id}"


def test_W23_there_is_an_icon_for_the_tab(rocketjob):
    (icon,) = tags(browser().get("/jobs"), "link", rel="icon")
    assert browser().get(icon["href"]).headers["content-type"].startswith("image/svg+xml")


def test_a_page_for_somebody_who_is_signed_in_names_him_or_her(rocketjob):
    assert "ada" in text_of(as_role("view").get("/jobs"))


def test_W21_files_of_others_are_as_they_were_published():
    lines = (FOLDER / "MANIFEST").read_text().splitlines()[1:]
    listed = {line.split()[1]: line.split()[0] for line in lines}
    others = {path.name for path in FOLDER.glob("*.min.*")}
    assert set(listed) == others
    for name, digest in listed.items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest


def test_what_stands_between_backticks_is_code_and_nothing_else_is_markup():
    assert marked("run `a <b>` or <i> `c") == (
        "run <code>a &lt;b&gt;</code> or &lt;i&gt; <code>c</code>"
    )


def test_only_the_names_of_long_classes_can_be_broken():
    assert breakable("ImportJob") == "ImportJob"
    assert breakable("shop.jobs.NightlyImport<Of>Job") == (
        "shop.jobs.<wbr>Nightly<wbr>Import&lt;Of&gt;Job"
    )
    assert breakable(None) == ""
